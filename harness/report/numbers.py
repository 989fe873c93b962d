"""How numbers are written: with a true minus sign, and never more than is known.

What stands in one column (one score of one table) has the digits of that column, see `harness.report.digits`: in the
table, in its intervals and in the sentences on it. A number that stands alone is written by its unit. A number, its
unit, its interval, a p: each is one word, whose spaces are no place to break a line.
"""

from __future__ import annotations

import re

from harness.metrics.statistics import Difference, Estimate
from harness.report.digits import DECIMALS, KEPT, PREFIXES, Digits

ALPHA = 0.05
Written = str | Digits  # the unit of a number that stands alone, or the digits of its column


def number(value: float, unit: Written = "") -> str:
    """One value, without its unit.

    >>> number(0.95313, "fraction"), number(21.034, "dB"), number(0.00123, ""), number(-1234.6, "images/s")
    ('0.953', '21.03', '0.00123', '−1,235')
    >>> plain(number(5.32e7, "weights")), plain(number(12_345, "images")), number(0.00004, "fraction"), number(0.0)
    ('53.2 M', '12.3 k', '4e-05', '0')
    """
    if isinstance(unit, Digits):
        return unit.text(value)
    decimals = DECIMALS.get(unit)
    if decimals is not None and (abs(value) >= 0.5 * 10**-decimals or value == 0):
        text = f"{value:.{decimals}f}"
    elif 0 < abs(value) < 1e-3:
        text = f"{value:.3g}"
    elif abs(value) >= 1e4:
        text = next(f"{value / size:.3g}{KEPT}{letter}" for size, letter in PREFIXES if abs(value) >= size)
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.0f}" if value == round(value) else f"{value:#.3g}"
    return text.replace("-", "−") if "e" not in text else text


def signed(value: float, unit: Written = "") -> str:
    """A difference: `+0.123` or `−0.045`; one that the decimals cannot show is zero."""
    text = _rounded(value, unit)
    return text if text.startswith("−") or is_zero(text) else f"+{text}"


def is_zero(text: str) -> bool:
    """Is none of the digits of a written number another than 0?

    >>> is_zero("0.000"), is_zero("−0.010"), is_zero("0.0e+00")
    (True, False, True)
    """
    return not re.search("[1-9]", text.partition("e")[0])


def size(value: float, unit: Written = "") -> str:
    """What is more than 0 and has to be seen to be: to two digits where the decimals of its column would show 0."""
    text = number(value, unit)
    return f"{value:.2g}" if is_zero(text) else text


def _rounded(value: float, unit: Written) -> str:
    """A number to its unit's decimals, even where that makes it zero."""
    decimals = None if isinstance(unit, Digits) else DECIMALS.get(unit)
    return number(value if decimals is None else round(value, decimals) + 0.0, unit)


def interval(estimate: Estimate | Difference, unit: Written = "") -> str:
    """`[0.941, 0.965]`, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{_rounded(estimate.low, unit)},{KEPT}{_rounded(estimate.high, unit)}]"


def plus_minus(estimate: Estimate, unit: Written = "") -> str:
    """`0.953 ± 0.012`, or the mean alone."""
    half = estimate.half_width
    return number(estimate.mean, unit) + (f"{KEPT}±{KEPT}{number(half, unit)}" if half is not None else "")


def probability(p: float) -> str:
    """`p = 0.012`, `p < 0.001`."""
    text = "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.9995 else "p = 1"
    return text.replace(" ", KEPT)


def duration(seconds: float) -> str:
    """`41 s`, `3 min 20 s`, `2 h 5 min`.

    >>> [plain(duration(seconds)) for seconds in (0.42, 41, 200, 7500)]
    ['0.42 s', '41 s', '3 min 20 s', '2 h 5 min']
    """
    minutes, rest = divmod(round(seconds), 60)
    text = f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    return (f"{seconds:.2g} s" if seconds < 60 else text).replace(" ", KEPT)


def separated(text: str) -> str:
    """A text that begins with a count, a budget say: the count as all counts are written, in groups of three digits.

    >>> separated("120000 images"), separated("20 epochs"), separated("1e+20 steps"), separated("0.5 epochs")
    ('120,000 images', '20 epochs', '1e+20 steps', '0.5 epochs')
    """
    return re.sub(r"^\d{4,}(?=\s|$)", lambda match: f"{int(match[0]):,}", text)


def plain(text: str) -> str:
    """The same with spaces that a line may break at, for where text is searched or copied: a terminal."""
    return text.replace(KEPT, " ")
