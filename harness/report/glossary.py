"""The words of a page, explained at its end: each evaluation and score by its own plugin, and the report's own few.

What is said of a score is what its specification says. Of an evaluation that is not installed where the report is made
nothing is said, and nothing leads there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.registry.explained import Explained, explained
from harness.report.content import SMALL_WORDS, Content
from harness.report.entries import Column
from harness.report.frame import TRAINING
from harness.report.pictures import slug
from harness.report.series import BASELINE
from harness.report.tables import ScoreRow

Key = tuple[str, str]  # the name of an evaluation, whatever its parameters, and of its score

_GAIN = f"the difference to {BASELINE} within each seed; positive is better"
_BASELINE = "the same backbone, untrained: what its architecture gives without learning"
_REFERENCE = "what stands there for scale, and is not tested: raw inputs, the untrained backbone, training with labels"
_READOUT = "a place where features can be read from a method; of several, the best on validation is taken"
_IN_DOMAIN = (
    "a small classifier of the dataset's own classes, whose features measure distances of sets of images; the letters "
    "after it are of its weights: only distances of the same letters can be compared"
)
_HALF = "one half of the validation split chose what had to be chosen, the other half scored a setting"
OWN: tuple[tuple[str, str, Callable[[Content], bool]], ...] = (  # a word, what it means, and whether it is there
    ("gain", _GAIN, lambda content: any(entry.gain for _, entry in content.entries)),
    (BASELINE, _BASELINE, lambda content: any(one.is_baseline for one in content.series)),
    ("reference", _REFERENCE, lambda content: any(one.is_reference for one in content.series)),
    ("half", _HALF, lambda content: bool(content.tunings)),
    ("readout", _READOUT, lambda content: any("readout" in row.note for row in content.scores)),
    ("in-domain classifier", _IN_DOMAIN, lambda content: any("in-domain" in row.note for row in content.scores)),
)


@dataclass(frozen=True, kw_only=True)
class Term:
    """A score."""

    id: str  # of its line
    score: str
    text: str
    back: str  # the id of the column that it heads first; empty: it is in the table of all scores alone


@dataclass(frozen=True, kw_only=True)
class Glossary:
    evaluations: tuple[tuple[str, str, tuple[Term, ...]], ...]  # its name, what it asks, its scores
    words: tuple[tuple[str, str], ...]
    ids: Mapping[Key, str]

    def id(self, column: Column) -> str:
        """Of the line of a column's score; empty where there is none."""
        return self.ids.get(_key(column.evaluation, column.score), "")


def glossary(content: Content, told: Mapping[str, Explained] | None = None) -> Glossary:
    """Of what is shown. told: by evaluation, where it is not asked of the installed plugins."""
    shown: dict[str, dict[str, ScoreRow]] = {}
    for row in content.scores:
        if row.evaluation != TRAINING:
            shown.setdefault(_name(row.evaluation), {}).setdefault(row.score, row)
    if told is None:
        told = explained(shown)
    heads = dict(_heads(content))
    taken: set[str] = set()
    groups = []
    for name, rows in shown.items():
        if name in told:
            terms = [
                Term(id=_new(f"word-{name}-{score}", taken), score=score, text=_said(row, told[name], content.counted),
                     back=heads.get((name, score), ""))
                for score, row in rows.items()
            ]  # fmt: skip
            groups.append((name, _counting(told[name].summary, content.counted), tuple(terms)))
    ids = {(name, term.score): term.id for name, _, terms in groups for term in terms}
    return Glossary(evaluations=tuple(groups), words=tuple(_words(content)), ids=ids)


def _heads(content: Content) -> Iterator[tuple[Key, str]]:
    """The scores that head a column, with the id of the first one that they do."""
    found: dict[Key, str] = {}
    for place, comparison in enumerate(content.comparisons):
        for index, column in enumerate(comparison.columns):
            found.setdefault(_key(column.evaluation, column.score), head_id(place, index))
    yield from found.items()


def head_id(comparison: int, column: int) -> str:
    return f"column-{comparison}-{column}"


def _key(evaluation: str, score: str) -> Key:
    return _name(evaluation), score


def _name(evaluation: str) -> str:
    """Without its parameters, and without the part of the labels that it was fitted to.

    >>> _name("fid[samples=10]"), _name("knn (1% labels)"), _name("probe[a=(1)] (5/class)"), _name("package:norms")
    ('fid', 'knn', 'probe', 'package:norms')
    """
    return re.split(r"\[| \(", evaluation, maxsplit=1)[0]


def _new(text: str, taken: set[str]) -> str:
    """An id that nothing on the page has."""
    name = wished = slug(text)
    number = 2
    while name in taken:
        name, number = f"{wished}-{number}", number + 1
    taken.add(name)
    return name


def _counting(text: str, counted: str) -> str:
    """A plugin's own words, of what this report is about: most were written for images, and judge clips and texts too.

    >>> _counting("Test images classified right by their nearest image", "clips")
    'Test clips classified right by their nearest clip'
    """
    return re.sub(r"\bimages?\b", lambda match: counted if match[0] == "images" else counted.removesuffix("s"), text)


def _said(row: ScoreRow, told: Explained, counted: str) -> str:
    better = "" if row.better == "none" else f"{row.better} is better"
    about = ", ".join(filter(None, (row.unit, better)))
    said = _counting(told.scores.get(row.score, "").strip(), counted)
    said = said[:1].upper() + said[1:] + ("" if not said or said[-1] in ".?!" else ".")
    return " ".join(filter(None, (said, f"({about})" if about else "")))


def _words(content: Content) -> Sequence[tuple[str, str]]:
    own = [(word, text) for word, text, there in OWN if there(content)]
    return [*own, *((word, SMALL_WORDS[word].format(content.counted)) for word in content.small_words)]
