"""The digits of a column: one rule for all that stands in it, so that its numbers can be compared at a glance.

1. Fractions, and differences of them, have three decimals, where these show anything of what is not zero.
2. Of other units the smallest half of an interval shows two significant digits; at least three and at most five of the
   column's largest value are written. Without intervals: the unit's own decimals (dB 2, nats and bits 3), else three
   digits of the largest value, within the same bounds. Counts, where all are whole numbers, are written whole.
3. Where a value that is not within its interval of zero would be written as zero, there are more decimals, up to seven
   digits of the largest. Where that is not enough, the whole column is scientific, with three digits: 3.42e+01 beside
   3.90e+25. What is below a millionth, and below a millionth of the largest, is noise of float32: zero.
4. From a million on, the column is in k, M, G or T: the largest of which its smallest value has one at least (of those
   that are no less than its largest by 1e4). A column whose largest value is below 1e-4 is scientific.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from harness.metrics.statistics import Difference, Estimate

DECIMALS = {"fraction": 3, "difference of fractions": 3, "dB": 2, "nats": 3, "bits": 3}
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
KEPT = "\u00a0"  # a space within a number
FEWEST, MOST = 3, 5  # significant digits of the largest value of a column
WIDEST = 7  # of it where others are so small that they need it
_FIXED = ("fraction", "difference of fractions")
_WHOLE = 1e4  # below it, no digit before the point is rounded away
_NOISE = 1e-6
_TINY, _LARGE, _HUGE = 1e-4, 1e6, 1e15


@dataclass(frozen=True)
class Digits:
    """How every value of one column is written."""

    decimals: int  # after the point; -2: whole hundreds. Of the first factor, where it is scientific
    factor: float = 1.0  # that values are in: 1e6, which `letter` says
    letter: str = ""  # "M"
    scientific: bool = False

    def text(self, value: float) -> str:
        """
        >>> Digits(1).text(-25.388), Digits(-2).text(38_412), Digits(1, 1e6, "M").text(5.32e7), Digits(3).text(-1e-9)
        ('−25.4', '38,400', '53.2\\xa0M', '0.000')
        >>> Digits(2, scientific=True).text(-0.0123)
        '−1.23e-02'
        """
        if not isfinite(value):
            return str(value)
        if self.scientific:
            text = f"{value:.{self.decimals}e}"
            return f"−{text[1:]}" if text.startswith("-") else text
        rounded = round(value / self.factor, self.decimals) + 0.0
        text = f"{rounded:,.{max(0, self.decimals)}f}" + (f"{KEPT}{self.letter}" if self.letter else "")
        return text.replace("-", "−")


def of_estimates(found: Iterable[Estimate | Difference | None], unit: str, others: Iterable[float] = ()) -> Digits:
    """The digits of a column with these estimates, and with numbers that have no interval."""
    known = [one for one in found if one is not None]
    values = [(one.effect if isinstance(one, Difference) else one.mean, _half(one)) for one in known]
    return digits([*values, *((value, None) for value in others)], unit)


def _half(one: Estimate | Difference) -> float | None:
    return None if one.low is None or one.high is None else (one.high - one.low) / 2


def digits(values: Iterable[tuple[float, float | None]], unit: str) -> Digits:
    """The digits of a column of values, each with half its interval or None, all in `unit`.

    >>> digits([(0.95, 0.01), (0.9, 1e-5)], "fraction").decimals
    3
    >>> digits([(-25.388, 0.31), (-27.93, 2.2)], "nats").decimals
    2
    """
    known = [(value, half) for value, half in values if isfinite(value)]
    largest = max((abs(value) for value, _ in known), default=0.0)
    seen = [(value, half) for value, half in known if abs(value) >= _NOISE * min(1.0, largest)]
    told = _told(seen)
    if unit in _FIXED and (not told or any(map(_seen(DECIMALS[unit]), told))):
        return Digits(DECIMALS[unit])
    if not largest:
        return Digits(0)
    factor, letter = _prefix([abs(value) for value, _ in seen], largest)
    in_letters = [(value / factor, half and half / factor) for value, half in seen]
    decimals = _decimals(in_letters, unit if factor == 1 else "")
    if decimals is None or not _TINY <= largest < _HUGE:
        return Digits(FEWEST - 1, scientific=True)
    return Digits(decimals, factor, letter)


def _prefix(sizes: Iterable[float], largest: float) -> tuple[float, str]:
    """
    >>> _prefix([5.3e7, 1.2e6], 5.3e7), _prefix([1.9e7, 6.7e4], 1.9e7), _prefix([6.7e4], 6.7e4)
    ((1000000.0, 'M'), (1000.0, 'k'), (1.0, ''))
    """
    if largest < _LARGE:
        return 1.0, ""
    smallest = min(size for size in sizes if size >= largest / _WHOLE)
    return next(((size, letter) for size, letter in PREFIXES if smallest >= size), (1.0, ""))


def _decimals(values: Sequence[tuple[float, float | None]], unit: str) -> int | None:
    """Of values (with half their intervals) of which one at least is not 0; None where no number of them will do."""
    largest = max(abs(value) for value, _ in values)
    halves = [half for _, half in values if half and isfinite(half) and half > _NOISE * largest]
    least, most = _until(FEWEST, largest), max(0, _until(MOST, largest))
    least = max(0, least) if largest < _WHOLE else least
    if all(value == round(value) for value, _ in values) and not halves:
        return 0
    wished = _until(2, min(halves)) if halves else DECIMALS.get(unit, least)
    places = range(min(max(wished, least), most), max(0, _until(WIDEST, largest)) + 1)
    return next((n for n in places if all(map(_seen(n), _told(values)))), None)


def _told(values: Sequence[tuple[float, float | None]]) -> list[float]:
    """The sizes of those that are not within their interval of zero."""
    return [abs(value) for value, half in values if value and not (half and abs(value) <= half)]


def _seen(decimals: int) -> Callable[[float], bool]:
    """Does a value show a digit of its own with so many decimals? 0.05 does not with one. Before the point, three."""
    return lambda value: value >= 10.0**-decimals * (100 if decimals < 0 else 1)


def _until(count: int, value: float) -> int:
    """The decimals with which a value shows so many significant digits.

    >>> _until(2, 0.031), _until(3, 25.4), _until(3, 38_412)
    (3, 1, -2)
    """
    return count - 1 - floor(log10(abs(value)))
