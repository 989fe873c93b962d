"""Is a candidate as good as its base? Worse, equivalent, better or undecided, by a margin in the score's own unit.

The gain g is how much better the candidate is, paired by seed and by test example (harness.metrics.crossed), d its
estimate, s its standard error. The margin m is the loss that nobody would mind. With alpha for alarms and beta for
passes, all tests one-sided:

    non-inferior   d - c(beta) s > -m      a loss of the margin or more is rejected
    equivalent     -m < d -+ c(beta) s < m, both: two one-sided tests (Schuirmann 1987, J. Pharmacokin. 15:657)
    worse          not non-inferior, d < -m/2, and g >= 0 is rejected at alpha, by Holm over all that may raise an alarm
    better         not equivalent, d > m/2, and g <= 0 is rejected likewise

"No significant difference" is none of these: what is not shown is undecided. A pass (non-inferior) needs no correction:
all rows have to pass (intersection-union). With one seed nothing is known of other seeds, so only what is identical to
the last bit is judged. As seeds and examples grow, g < -m becomes worse, |g| < m equivalent and g > m better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from scipy import stats as distributions

from harness.metrics.crossed import critical, p_value
from harness.metrics.statistics import POWER, Difference, holm, seeds_needed

Array = NDArray[np.float64]
Word = Literal["better", "equivalent", "worse", "undecided"]
ALIKE = 3  # seeds that must agree to the last digit before a difference counts as known
_NODES = 80  # of the quadrature over what the variance by seeds may be estimated as


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How often it may be wrong."""

    alarm: float = 0.05  # chance that any row of an unchanged candidate is called worse (or any better)
    wrong_pass: float = 0.05  # chance that a row that is worse by its margin passes

    def __post_init__(self) -> None:
        if not (0 < self.alarm < 0.5 and 0 < self.wrong_pass < 0.5):
            raise ValueError("alarm and wrong_pass are chances above 0 and below 0.5")

    @property
    def level(self) -> float:
        """Of the two-sided interval that both one-sided bounds of a pass make together: 0.9."""
        return 1 - 2 * self.wrong_pass


@dataclass(frozen=True, kw_only=True)
class Question:
    """One row to be judged."""

    gain: Difference  # of candidate over base: positive is better
    margin: float  # in the score's unit, 0 or more
    identical: bool = False  # to the last bit, in all that was measured

    def __post_init__(self) -> None:
        if not 0 <= self.margin < inf:
            raise ValueError(f"a margin is a finite number and not negative, got {self.margin}")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is said of a row, and why."""

    word: Word
    non_inferior: bool  # the row passes
    why: str
    low: float | None = None  # of the gain, at Rule.level
    high: float | None = None
    p: float | None = None  # corrected, of the direction that the estimate has: that there is no loss, or no gain
    detectable: float | None = None  # the least true loss that is called worse with 80 % power
    seeds: int | None = None  # about how many would decide it; None: decided, or no number would


def decide(questions: Sequence[Question], rule: Rule | None = None) -> list[Decision]:
    """Judge the rows of one family, in their order.

    >>> from harness.metrics.statistics import paired_difference
    >>> gain = paired_difference({0: 0.90, 1: 0.91, 2: 0.90, 3: 0.91}, {0: 0.94, 1: 0.95, 2: 0.93, 3: 0.95})
    >>> found, = decide([Question(gain=gain, margin=0.01)])
    >>> found.word, found.non_inferior, round(found.low, 3), round(found.high, 3)
    ('worse', False, -0.043, -0.032)
    """
    rule = rule or Rule()
    losses = [_one_sided(question, -1) for question in questions]
    gains = [_one_sided(question, 1) for question in questions]
    tested = sum(p is not None for p in losses)
    return [
        _decided(question, loss, gain, rule, tested)
        for question, loss, gain in zip(questions, holm(losses), holm(gains), strict=True)
    ]


def by_size(gain: float, margin: float) -> Decision:
    """What is said of a gain that is known exactly, such as a count of operations.

    >>> [by_size(gain, 0.0).word for gain in (-1, 0, 1)], by_size(-1, 2.0).word
    (['worse', 'equivalent', 'better'], 'equivalent')
    """
    word: Word = "worse" if gain < -margin else "better" if gain > margin else "equivalent"
    why = {"worse": "beyond the margin", "better": "better, beyond the margin"}.get(word, "within the margin")
    return Decision(word=word, non_inferior=word != "worse", why="unchanged" if gain == 0 else why, low=gain, high=gain)


# One row. -------------------------------------------------------------------------------------------------------------


def _testable(found: Difference) -> bool:
    return found.n > 1 and found.of_seeds + found.of_examples > 0


def _one_sided(question: Question, sign: int) -> float | None:
    """p of the hypothesis that there is no gain (sign 1), or no loss (-1); None where nothing can be tested."""
    found = question.gain
    if question.identical or not _testable(found):
        return None
    total = found.of_seeds + found.of_examples
    both = p_value(found.effect / sqrt(total), found.of_seeds / total, found.n)
    return both / 2 if sign * found.effect > 0 else 1 - both / 2


def _decided(question: Question, loss: float | None, gain: float | None, rule: Rule, tested: int) -> Decision:
    found, margin = question.gain, question.margin
    if question.identical:
        return Decision(word="equivalent", non_inferior=True, why="identical", low=0.0, high=0.0)
    if loss is None or gain is None:
        return _untested(question)
    total = found.of_seeds + found.of_examples
    reach = float(critical(found.of_seeds / total, found.n, rule.level)) * sqrt(total)
    low, high = found.effect - reach, found.effect + reach
    passes = low > -margin
    word: Word = "undecided"
    if passes and high < margin:
        word = "equivalent"
    elif found.effect < -margin / 2 and loss < rule.alarm:  # not non-inferior: such a loss would be equivalent
        word = "worse"
    elif found.effect > margin / 2 and gain < rule.alarm:
        word = "better"
    design = Design(of_seeds=found.of_seeds, of_examples=found.of_examples, seeds=found.n, margin=margin, rule=rule)
    enough = None if passes or word == "worse" else design.enough_seeds(found.effect, tested)
    return Decision(
        word=word,
        non_inferior=passes,
        why=_why(word, passes, enough, found),
        low=low,
        high=high,
        p=loss if found.effect < 0 else gain,
        detectable=design.detectable(tested),
        seeds=enough,
    )


def _untested(question: Question) -> Decision:
    """One seed, or several that gave one and the same difference: known where enough of them agree."""
    found = question.gain
    if found.n >= ALIKE:
        known = by_size(found.effect, question.margin)
        return Decision(
            word=known.word,
            non_inferior=known.non_inferior,
            why=f"the same difference at all {found.n} seeds",
            low=found.effect,
            high=found.effect,
        )
    why = "one seed says nothing of others" if found.n == 1 else "both seeds gave the same difference: no test"
    return Decision(
        word="undecided", non_inferior=False, why=f"{why}: run {ALIKE} or more", low=found.low, high=found.high
    )


def _why(word: Word, passes: bool, enough: int | None, found: Difference) -> str:
    if word == "equivalent":
        return "the interval lies within the margin"
    if word == "worse":
        return "shown to be worse, and not shown to stay within the margin"
    if word == "better":
        return "shown to be better"
    if passes:
        return "non-inferior: not worse by the margin; whether it is better is open"
    if enough:
        return f"about {max(enough, found.n + 1)} seeds would decide it"
    return "more test examples would be needed" if found.of_examples > 0 else "no number of seeds up to 100 decides it"


# The design. ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Design:
    """What seeds and examples can show, where the parts of the variance (see harness.metrics.crossed) are these."""

    of_seeds: float  # A, for so many seeds
    of_examples: float  # B
    seeds: int
    margin: float
    rule: Rule

    def at(self, seeds: int) -> Design:
        """The same with another number of seeds, on the same examples."""
        each = self.of_seeds * self.seeds / seeds
        return Design(of_seeds=each, of_examples=self.of_examples, seeds=seeds, margin=self.margin, rule=self.rule)

    def passes(self, gain: float) -> float:
        """The chance that a true gain is shown to be no loss of the margin."""
        spread, weights = self._estimated()
        reach = self._critical(spread, self.rule.level) * spread
        return float((weights * special.ndtr((gain + self.margin - reach) / self._error)).sum())

    def alarms(self, gain: float, tested: int = 1) -> float:
        """The chance that a true gain is called worse, where so many rows are tested (Holm's first step)."""
        return self._below(self._limits(tested), gain)

    def detectable(self, tested: int = 1, chance: float = POWER) -> float:
        """The least true loss that is called worse with that chance."""
        limits = self._limits(tested)
        most = 2 * float(np.abs(limits).max()) + 10 * self._error
        return float(optimize.brentq(lambda loss: self._below(limits, -loss) - chance, 0.0, most, xtol=1e-9 * most))

    def enough_seeds(self, gain: float, tested: int = 1, chance: float = POWER) -> int | None:
        """How many seeds decide it with that chance; None where no sensible number does.

        What looks worse by more than half the margin is taken for as bad as it looks, to be shown; of anything else it
        is asked when an unchanged candidate would pass; and of that too, where no number of seeds would show it.
        """
        if gain < -self.margin / 2:
            shown = seeds_needed(lambda n: self.at(n).alarms(gain, tested) >= chance)
            if shown is not None:
                return shown
        return seeds_needed(lambda n: self.at(n).passes(0.0) >= chance)

    @property
    def _error(self) -> float:
        return sqrt(self.of_seeds + self.of_examples)

    def _below(self, limits: Array, gain: float) -> float:
        _, weights = _chi_square(self.seeds - 1)
        return float((weights * special.ndtr((limits - gain) / self._error)).sum())

    def _limits(self, tested: int) -> Array:
        """The estimate below which a candidate is called worse, for each standard error that may be estimated."""
        spread, _ = self._estimated()
        shown = -self._critical(spread, 1 - 2 * self.rule.alarm / max(1, tested)) * spread
        passing = self._critical(spread, self.rule.level) * spread - self.margin  # above it: non-inferior
        return np.minimum(np.minimum(shown, -self.margin / 2), passing)

    def _estimated(self) -> tuple[Array, Array]:
        """What the standard error may be estimated as, and the weights of each for a mean."""
        spread, weights = _chi_square(self.seeds - 1)
        return np.sqrt(self.of_seeds * spread + self.of_examples), weights

    def _critical(self, error: Array, level: float) -> Array:
        return critical(np.clip(1 - self.of_examples / error**2, 0.0, 1.0), self.seeds, level)


@cache
def _chi_square(freedom: int) -> tuple[Array, Array]:
    """Nodes and weights for means over chi2(freedom)/freedom: Gauss-Legendre over its quantiles."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return distributions.chi2.ppf((nodes + 1) / 2, freedom) / freedom, weights / 2
