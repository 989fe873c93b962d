"""What installed evaluations say of themselves, for a reader of their scores: a sentence each, and one of every score.

The sentence of an evaluation is read from its source. Those of scores are known once it is imported, torch with it.
That happens in a process beside this one, so that what exits, crashes or hangs there costs its own lines alone. Of our
own evaluations they are kept in the cache folder until their files change, or what they may take sentences from.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

from harness import __version__
from harness.aside import Gone, Tell, aside
from harness.cleaned import one_line
from harness.data.cache import cache_root, read_kept, write_kept
from harness.errors import HarnessError
from harness.registry.grammar import is_path
from harness.registry.installed import PluginInfo, is_own
from harness.registry.registry import Registry

EVALUATION = ("evaluation",)
LONGEST_IMPORT = 60.0  # seconds
LONGEST = 300  # characters of a sentence
SHARED = Path(__file__).parents[1] / "judging"  # what evaluations may take the specifications of scores from

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explained:
    summary: str  # one sentence; empty: its module says nothing
    scores: Mapping[str, str] = field(default_factory=dict)  # by name; empty: its specification says nothing


def explained(names: Iterable[str], registry: Registry | None = None) -> dict[str, Explained]:
    """Evaluations by name (`fid`, `package:norms`); without files, what is not installed, and what shares its name."""
    registry = registry or Registry()
    infos = {name: info for name in dict.fromkeys(names) if (info := _found(registry, name))}
    scores = {name: kept for name, info in infos.items() if (kept := _kept(info)) is not None}
    missing = [name for name in infos if name not in scores]
    own = [name for name in missing if is_own(infos[name])]
    for together in (own, *([name] for name in missing if name not in own)):
        told = dict(_told(registry, together)) if together else {}
        scores |= told
        for name in told.keys() & set(own):
            _keep(infos[name], told[name])
    return {name: Explained(_sentence(info.summary), scores.get(name, {})) for name, info in infos.items()}


def _found(registry: Registry, name: str) -> PluginInfo | None:
    try:
        return None if is_path(name) else registry.find(name, EVALUATION)
    except HarnessError as error:
        logger.debug("nothing to say of evaluation %s: %s", name, error)
        return None


def _told(registry: Registry, names: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """What the specifications of these evaluations say, imported beside this process; of a broken one, nothing."""

    def work(tell: Tell) -> None:
        for name in names:
            try:
                spec = registry.load(name, EVALUATION).spec
                tell([name, {str(score.name): one_line(str(score.help))[:LONGEST] for score in spec.scores}])
            except HarnessError as error:
                logger.debug("nothing to say of the scores of %s: %s", name, error)

    try:
        yield from aside(work, seconds=LONGEST_IMPORT)
    except (Gone, HarnessError) as error:
        logger.debug("nothing to say of the scores of %s: %s", ", ".join(names), error)


def _sentence(line: str) -> str:
    """The first line of a docstring as far as its sentences end there.

    >>> _sentence("Probe: what is held? A query attends to"), _sentence("A list of norms"), _sentence("Made of")
    ('Probe: what is held?', 'A list of norms.', 'Made of.')
    """
    line = one_line(line)[:LONGEST]
    whole = re.match(r".*[.?!](?=\s|$)", line)
    return whole[0] if whole else f"{line}." if line else ""


def _kept(info: PluginInfo) -> dict[str, str] | None:
    """What was kept of one of our own; None of others, whose code may be in any number of files."""
    content = read_kept(_place(info)) if is_own(info) else None
    return content["scores"] if content is not None and isinstance(content.get("scores"), dict) else None


def _keep(info: PluginInfo, scores: dict[str, str]) -> None:
    try:
        write_kept(_place(info), {"scores": scores})
    except OSError as error:
        logger.debug("what %s says cannot be kept: %s", info.name, error)


def _place(info: PluginInfo) -> Path:
    digest = hashlib.blake2b(json.dumps([*astuple(info), __version__, platform.python_version()]).encode())
    for file in (info.source, *sorted(SHARED.glob("*.py"))):
        digest.update(file.read_bytes() if file else b"")
    return cache_root() / "explained" / f"{digest.hexdigest()[:32]}.json"
