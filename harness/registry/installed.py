"""The plugins as they are listed: what entry points and sources tell before anything is imported."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import sys
import tokenize
from ast import literal_eval
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

from harness.registry.sources import find_source

GROUPS = {
    "harness.models": "model",
    "harness.pretext_tasks": "pretext",
    "harness.pretrained": "pretrained",
    "harness.references": "reference",
    "harness.backbones": "backbone",
    "harness.datasets": "dataset",
    "harness.evaluations": "evaluation",
    "harness.launchers": "launcher",
    "harness.trackers": "tracker",
}
METHOD_KINDS = ("model", "pretext", "pretrained", "reference")
KINDS = tuple(GROUPS.values())
OWN = "harness"  # our own distribution
FILE = "file"  # what stands for the distribution of a plugin that is an unpackaged file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PluginInfo:
    """What is known of a plugin before it is imported."""

    name: str
    kind: str  # one of KINDS
    module: str  # its import name
    distribution: str  # "file" for an unpackaged file
    version: str

    @property
    def origin(self) -> str:
        """`harness 0.1.0`, or `file`."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def source(self) -> Path | None:
        """The module's source file, found without importing anything; None if there is none."""
        try:
            if self.distribution == FILE:
                return Path(str(sys.modules[self.module].__file__))
            return find_source(self.module)
        except Exception as error:  # a stranger's import finder may raise anything
            logger.debug("no source for %s: %s", self.module, error)
            return None

    @property
    def summary(self) -> str:
        """The first line of the module's docstring, read from its source without importing it; "" if there is none."""
        file = self.source
        return "" if file is None else first_docstring_line(file)


def plugin_infos(entry_points: Iterable[EntryPoint] | None = None) -> list[PluginInfo]:
    """All plugins of these entry points, or of every installed distribution, sorted by kind and name."""
    points = installed_entry_points() if entry_points is None else entry_points
    return sorted({_info(point) for point in points if point.group in GROUPS}, key=listing_order)


def installed_entry_points() -> list[EntryPoint]:
    """Those of our groups, of every distribution on the path; the first one of a name hides later ones.

    Looked up again when something was installed or removed since, which changes a folder on the path.
    """
    folders = (Path(entry or ".") for entry in sys.path)
    return list(_entry_points(tuple((str(folder), folder.stat().st_mtime_ns) for folder in folders if folder.exists())))


@lru_cache(maxsize=2)
def _entry_points(path: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """importlib.metadata.entry_points() parses all groups of all distributions; this parses only what is ours."""
    found: dict[str, list[EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        if "[harness." in (distribution.read_text("entry_points.txt") or ""):
            points = [point for point in distribution.entry_points if point.group in GROUPS]
            found.setdefault(normalised_distribution(distribution.name or "unknown"), points)
    return tuple(point for points in found.values() for point in points)


def _info(point: EntryPoint) -> PluginInfo:
    """Survives an entry point that is not valid: loading it will say so."""
    module = re.split(r"[:\[]", point.value)[0].strip()
    distribution = point.dist
    name, version = _name_and_version(distribution) if distribution is not None else ("unknown", "")
    return PluginInfo(point.name, GROUPS[point.group], module, name, version)


@cache
def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    """Parsing a distribution's metadata takes a millisecond, and all its plugins share it."""
    return distribution.name or "unknown", distribution.version or ""


def is_own(info: PluginInfo) -> bool:
    """Is it a plugin of Harness itself, or code of others?"""
    return info.distribution == OWN


def listing_order(info: PluginInfo) -> tuple[int, str, str, str]:
    return (KINDS.index(info.kind), info.name, info.distribution, info.module)


def namespace(kind: str) -> str:
    """All methods of a request stand in one list, so that they share their names."""
    return "method" if kind in METHOD_KINDS else kind


def normalised_distribution(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def first_docstring_line(file: Path) -> str:
    """The first line of a module's docstring, from its first tokens alone; "" if it has none or cannot be read."""
    try:
        with tokenize.open(file) as source:
            for token in tokenize.generate_tokens(source.readline):
                if token.type == tokenize.STRING:
                    text = literal_eval(token.string)
                    return text.strip().partition("\n")[0].strip() if isinstance(text, str) else ""
                if token.type not in (tokenize.COMMENT, tokenize.NL):
                    return ""
    except (OSError, SyntaxError, ValueError, tokenize.TokenError) as error:
        logger.debug("no docstring in %s: %s", file, error)
    return ""
