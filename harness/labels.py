"""How many labels an evaluation fits to: `1%`, `10%`, `5/class`. Plain text and arithmetic; `harness.data.fewer` draws.

A method that learns from labels keeps all of them: this is about what is fitted to the frozen representation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import RequestError
from harness.records import ALL_LABELS, written_number

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(%|/\s*class)")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """A part of the labels of a training split: `share` in percent of every class, or `each` so many of a class."""

    share: float = 100.0  # percent in (0,100]
    each: int = 0  # of every class; 0: the share says how many

    def __str__(self) -> str:
        return f"{self.each}/class" if self.each else f"{written_number(self.share)}%"

    @property
    def all(self) -> bool:
        return not self.each and self.share == 100

    @classmethod
    def parse(cls, text: str) -> Labels:
        """Read `1%`, `0.5 %`, `5/class`.

        >>> str(Labels.parse("10.0 %")), str(Labels.parse("5 / class"))
        ('10%', '5/class')
        """
        found = _WRITTEN.fullmatch(text.strip())
        number, unit = found.groups() if found else ("0", "%")
        if unit == "%" and 0 < float(number) <= 100:
            return cls(share=float(number))
        if unit != "%" and number.isdecimal() and int(number) > 0:
            return cls(each=int(number))
        raise RequestError(f"labels '{text}' is no part of them: write '1%', '10%', up to '100%', or '5/class'")

    def of_class(self, n: int) -> int:
        """How many of a class's n training examples keep their label, at least one; more than n where it asks for more.

        >>> Labels(share=1).of_class(130), Labels(share=1).of_class(20), Labels(each=5).of_class(130)
        (1, 1, 5)
        """
        return self.each or max(1, round(n * self.share / 100))


def label_parts(texts: Sequence[str]) -> tuple[str, ...]:
    """The parts that a request asks for, each written in one way, once, in the order of the request."""
    return tuple(dict.fromkeys(str(Labels.parse(text)) for text in texts)) or (ALL_LABELS,)
