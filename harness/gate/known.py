"""The part of a request that a version of the code can read: run with the Python of that version.

    python -P harness/gate/known.py REQUEST.json -o KNOWN.json

A change that adds a method cannot ask for it of its base. There the request is tried word by word: what this version
does not know is left out and told, and the rest is expanded. This file imports nothing of harness.gate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import RequestError
from harness.expansion import expand
from harness.records import Cell
from harness.registry import Registry
from harness.registry.grammar import parse_plugins
from harness.suite import make_request

# In this order: what is asked of a method is tried when the methods that nobody knows are gone.
WORDS = ("plugins", "references", "datasets", "targets", "backbone", "evaluations", "set")
PART = "part"
Words = Mapping[str, Any]
Unknown = list[dict[str, str]]  # {"word": "plugins", "text": "mine", "why": "no plugin 'mine': ..."}
Expand = Callable[[Words], list[Cell]]


def known(words: Words, expanded: Expand) -> tuple[dict[str, Any], Unknown]:
    """The request without what this version does not know, and what that is; no words where nothing is left.

    Raises RequestError where it is something else that cannot be read.
    """
    reason = _reason(words, expanded)
    if reason is None:
        return dict(words), []
    kept, unknown = _parts(words, expanded) if PART in words else _words(words, expanded)
    if not unknown:
        raise reason
    return kept if _runs(kept, expanded) else {}, unknown


def _parts(words: Words, expanded: Expand) -> tuple[dict[str, Any], Unknown]:
    """Each part with the words from above it, so that each keeps what is known of them."""
    above = {word: value for word, value in words.items() if word != PART}
    parts: list[dict[str, Any]] = []
    unknown: Unknown = []
    for table in words[PART]:
        kept, lost = _words({**above, **table}, expanded)
        parts += [kept] if _runs(kept, expanded) else []
        unknown += [each for each in lost if each not in unknown]
    return {PART: parts}, unknown


def _words(words: Words, expanded: Expand) -> tuple[dict[str, Any], Unknown]:
    kept: dict[str, Any] = dict(words)
    unknown: Unknown = []
    if reason := _reason(_alone("references", "random-init", words), expanded):
        raise reason
    for word in [word for word in WORDS if word in words]:
        if _reason(kept, expanded) is None:
            break
        kept[word] = []
        for text in _texts(word, words[word]):
            reason = _reason(_alone(word, text, kept), expanded)
            if reason is None:
                kept[word].append(text)
            else:
                unknown.append({"word": word, "text": text, "why": str(reason)})
    return kept, unknown


def _alone(word: str, text: str, kept: Words) -> dict[str, Any]:
    """A request of one text, beside no other that could be unknown; a setting needs what it sets."""
    if word == "set":
        return {**kept, word: [text]}
    scalars = {key: value for key, value in kept.items() if key not in WORDS}
    return {**scalars, "plugins": [], "references": ["random-init"] if word != "plugins" else [], word: [text]}


def _texts(word: str, value: Any) -> Sequence[str]:
    if word == "set":
        return make_request({word: value}).settings
    texts = [value] if isinstance(value, str) else value
    return [str(ref) for text in texts for ref in parse_plugins(text)]


def _runs(words: Words, expanded: Expand) -> bool:
    """Can it be read, and is any method of it left that was asked for?"""
    named = any(table.get("plugins") or table.get("references") for table in words.get(PART, [words]))
    return named and _reason(words, expanded) is None


def _reason(words: Words, expanded: Expand) -> RequestError | None:
    try:
        expanded(words)
    except RequestError as reason:
        return reason
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """0: written; 2: a request of which this version can read nothing, in one line."""
    parser = argparse.ArgumentParser(prog="known", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("request", type=Path, help="the words of a request, as JSON")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file that is written, JSON")
    asked = parser.parse_args(arguments)
    registry = Registry()
    try:
        words = json.loads(asked.request.read_text(encoding="utf-8"))
        kept, unknown = known(words, lambda words: expand(make_request(words), registry))
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    asked.out.write_text(json.dumps({"words": kept, "unknown": unknown}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
