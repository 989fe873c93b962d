"""How numbers are written, the same in every table: by unit, with a true minus sign, and never more than is known.

A number, its unit, its interval, a p: each is one word, whose spaces are no place to break a line.
"""

from __future__ import annotations

from harness.metrics.statistics import Difference, Estimate

ALPHA = 0.05
_DECIMALS = {"fraction": 3, "difference of fractions": 3, "dB": 2, "nats": 3, "bits": 3}
KEPT = "\u00a0"  # a space within a number
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, unit: str = "") -> str:
    """One value, without its unit.

    >>> number(0.95313, "fraction"), number(21.034, "dB"), number(0.00123, ""), number(-1234.6, "images/s")
    ('0.953', '21.03', '0.00123', '−1,235')
    >>> plain(number(5.32e7, "weights")), plain(number(12_345, "images")), number(0.00004, "fraction"), number(0.0)
    ('53.2 M', '12.3 k', '4e-05', '0')
    """
    decimals = _DECIMALS.get(unit)
    if decimals is not None and (abs(value) >= 0.5 * 10**-decimals or value == 0):
        text = f"{value:.{decimals}f}"
    elif 0 < abs(value) < 1e-3:
        text = f"{value:.3g}"
    elif abs(value) >= 1e4:
        text = next(f"{value / size:.3g}{KEPT}{letter}" for size, letter in _PREFIXES if abs(value) >= size)
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.0f}" if value == round(value) else f"{value:#.3g}"
    return text.replace("-", "−") if "e" not in text else text


def signed(value: float, unit: str = "") -> str:
    """A difference: `+0.123` or `−0.045`; one that the unit's decimals cannot show is zero."""
    text = _rounded(value, unit)
    return text if text.startswith("−") or not text.strip("0.") else f"+{text}"


def _rounded(value: float, unit: str) -> str:
    """A number to its unit's decimals, even where that makes it zero."""
    decimals = _DECIMALS.get(unit)
    return number(value if decimals is None else round(value, decimals) + 0.0, unit)


def interval(estimate: Estimate | Difference, unit: str = "") -> str:
    """`[0.941, 0.965]`, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{_rounded(estimate.low, unit)},{KEPT}{_rounded(estimate.high, unit)}]"


def plus_minus(estimate: Estimate, unit: str = "") -> str:
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


def plain(text: str) -> str:
    """The same with spaces that a line may break at, for where text is searched or copied: a terminal."""
    return text.replace(KEPT, " ")
