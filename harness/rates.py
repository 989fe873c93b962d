"""How a schedule of the learning rate is written. Plain text and arithmetic; `harness.clock.rate_at` follows it.

    schedule = "cosine" | "constant" | "steps[" place { "," place } ";" factor "]"
    place    = number | number "/" number       a fraction of the budget in (0,1): 0.4, or 200/500 of 500 epochs

`steps[200/500,350/500;0.631]` multiplies the rate by 0.631 after 200 of 500 epochs, and again after 350.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

NAMES = ("cosine", "constant")
_STEPS = re.compile(r"steps\[([^;\]]+);([^;\]]+)\]")
_ROUNDING = 1e-9  # of the budget: what a quotient may be off
_HOW = (
    "write 'cosine', 'constant', or 'steps[0.4,0.7;0.631]', which is a rate times 0.631 at 0.4 and at 0.7 of the budget"
)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A rate that is multiplied by `factor` at each place."""

    places: tuple[float, ...]  # fractions of the budget in (0,1), rising
    factor: float  # above 0

    def at(self, done: float) -> float:
        """The factor once this fraction of the budget is spent."""
        return self.factor ** sum(done >= place - _ROUNDING for place in self.places)


@cache
def parse_schedule(text: str) -> str | Steps:
    """A name, or steps. Raises ValueError for what is neither.

    >>> parse_schedule("steps[200/500, 350/500; 0.5]")
    Steps(places=(0.4, 0.7), factor=0.5)
    """
    if text in NAMES:
        return text
    found = _STEPS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"schedule '{text}' is unknown: {_HOW}")
    try:
        places = tuple(map(_place, found[1].split(",")))
        factor = float(found[2])
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"schedule '{text}' holds something that is no number: {_HOW}") from None
    if not all(0 < place < 1 for place in places) or list(places) != sorted(set(places)):
        raise ValueError(f"schedule '{text}': places are rising fractions of the budget, 0.4 or 200/500")
    if not 0 < factor < float("inf"):
        raise ValueError(f"schedule '{text}': the factor must be above 0")
    return Steps(places=places, factor=factor)


def _place(text: str) -> float:
    part, _, whole = text.partition("/")
    return float(part) / float(whole) if whole else float(text)
