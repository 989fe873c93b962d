"""Scores of several methods on several datasets, as one array; and what had to be left out to make them comparable.

M methods, D datasets, S seeds. A method is compared on the datasets that all chosen methods have; NaN stands where a
method lacks a seed. What is counted: a dataset is one case, and its seeds are repetitions within it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Better = Literal["higher", "lower"]
DIGITS = 12  # significant digits of a score; what differs by less is rounding, and a tie


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What is compared. Every method has at least one seed on every dataset."""

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Floats = field(repr=False)  # (M,D,S); NaN: no such run
    better: Better = "higher"
    left_out: tuple[str, ...] = ()  # a sentence for each thing that is not in the comparison, or not whole

    @property
    def oriented(self) -> Floats:
        """The scores so that greater is better, as all functions of ranks and profiles need them. (M,D,S)"""
        return self.values if self.better == "higher" else -self.values

    @property
    def means(self) -> Floats:
        """Each method's mean over its seeds on each dataset, greater is better. (M,D)"""
        return means_over_seeds(self.oriented)


def arranged(
    methods: Sequence[str],
    datasets: Sequence[str],
    seeds: Sequence[int],
    scores: Sequence[float | None],
    *,
    chosen: Sequence[str] | None = None,
    better: Better = "higher",
) -> Scores:
    """The arrays of these four columns (a row is one run), and what was left out of them with the reason.

    `chosen`: the methods to compare, in that order; all where None. A score that is no finite number counts as missing.
    Raises ValueError for columns of different lengths, for two scores of one run, or where no two methods or no dataset
    are left to compare.

    >>> found = arranged(["vae", "vae", "gan"], ["digits", "shapes", "digits"], [0, 0, 0], [0.9, 0.8, 0.7])
    >>> found.datasets, found.values.shape
    (('digits',), (2, 1, 1))
    >>> found.left_out
    ('1 of 2 datasets is left out: shapes (no score of gan). Without gan there would be 2.',)
    """
    runs = _runs(methods, datasets, seeds, scores)
    names = list(dict.fromkeys(methods if chosen is None else chosen))
    every = list(dict.fromkeys(dataset for method, dataset, _ in _keys(methods, datasets, seeds) if method in names))
    has = {name: {dataset for method, dataset, _ in runs if method == name} for name in names}
    unscored = [name for name in names if not has[name]]
    names = [name for name in names if has[name]]
    if len(names) < 2:
        raise ValueError(f"a comparison needs two methods with scores, and there is {names[0] if names else 'none'}")
    kept = [dataset for dataset in every if all(dataset in has[name] for name in names)]
    if not kept:
        short = min(names, key=lambda name: len(has[name]))
        raise ValueError(f"no dataset has scores of all {len(names)} methods; {short} has the fewest: leave it out")
    said = [f"{name} is left out: it has no score on any dataset." for name in unscored]
    said += _said_of_datasets(every, kept, names, has)
    order = sorted({seed for method, dataset, seed in runs if method in has and dataset in kept})
    values = [[[runs.get((m, d, s), np.nan) for s in order] for d in kept] for m in names]
    array = np.array(values, dtype=np.float64)
    said += _said_of_seeds(names, kept, array)
    return Scores(methods=tuple(names), datasets=tuple(kept), seeds=tuple(order), values=array, better=better,
                  left_out=tuple(said))  # fmt: skip


def means_over_seeds(scores: Floats) -> Floats:
    """(...,S), NaN where there is no run, -> (...). Raises ValueError where something has no run at all.

    >>> means_over_seeds(np.array([[0.5, 0.7], [0.9, np.nan]])).tolist()
    [0.6, 0.9]
    """
    there = ~np.isnan(scores)
    if not there.any(axis=-1).all() or np.isinf(scores).any():
        raise ValueError("every method needs at least one seed on every dataset, and finite scores")
    mean: Floats = np.where(there, scores, 0.0).sum(axis=-1) / there.sum(axis=-1)
    return mean


def differences(a: Floats, b: Floats) -> Floats:
    """a - b, rounded to 12 significant digits of the scores: 0.3 - 0.2 and 0.8 - 0.7 are then one number.

    >>> differences(np.array([0.3, 0.8]), np.array([0.2, 0.7])).tolist()
    [0.1, 0.1]
    """
    return np.round(np.asarray(a, np.float64) - np.asarray(b, np.float64), decimals(a, b))


def decimals(*scores: Floats) -> int:
    """How many decimals the largest of these scores has within 12 significant digits."""
    largest = max((float(np.abs(one).max()) for one in scores if one.size), default=0.0)
    return DIGITS - 1 - int(np.floor(np.log10(largest))) if largest > 0 else DIGITS


def _keys(methods: Iterable[Any], datasets: Iterable[Any], seeds: Iterable[Any]) -> list[tuple[str, str, int]]:
    return [(str(m), str(d), int(s)) for m, d, s in zip(methods, datasets, seeds, strict=True)]


def _runs(
    methods: Sequence[str], datasets: Sequence[str], seeds: Sequence[int], scores: Sequence[float | None]
) -> dict[tuple[str, str, int], float]:
    """(method, dataset, seed) -> score, of what has one."""
    if len({len(methods), len(datasets), len(seeds), len(scores)}) > 1:
        raise ValueError("methods, datasets, seeds and scores must be of one length: a row is one run")
    runs: dict[tuple[str, str, int], float] = {}
    for key, score in zip(_keys(methods, datasets, seeds), scores, strict=True):
        if score is None or not isfinite(score):
            continue
        if key in runs:
            raise ValueError(
                f"{key[0]} has two scores on {key[1]} with seed {key[2]}: choose one score and one setting"
            )
        runs[key] = float(score)
    return runs


def _said_of_datasets(every: list[str], kept: list[str], names: list[str], has: dict[str, set[str]]) -> list[str]:
    """One sentence on the datasets that some method lacks, and on the method that costs most of them."""
    lost = [dataset for dataset in every if dataset not in kept]
    if not lost:
        return []
    lacking = {dataset: [name for name in names if dataset not in has[name]] for dataset in lost}
    each = "; ".join(f"{dataset} (no score of {', '.join(lacking[dataset])})" for dataset in lost)
    sentence = f"{len(lost)} of {len(every)} datasets {'is' if len(lost) == 1 else 'are'} left out: {each}."
    back = {name: sum(lacking[dataset] == [name] for dataset in lost) for name in names}
    costly = max(names, key=lambda name: back[name])
    if back[costly]:
        sentence += f" Without {costly} there would be {len(kept) + back[costly]}."
    return [sentence]


def _said_of_seeds(names: list[str], kept: list[str], values: Floats) -> list[str]:
    """One sentence on the methods that lack seeds which others have on the same dataset."""
    there = ~np.isnan(values)  # (M,D,S)
    most = (there.sum(axis=0) > 0).sum(axis=-1)  # (D,): seeds that anybody has
    own = there.sum(axis=-1)  # (M,D)
    short = [f"{names[m]} on {kept[d]} ({own[m, d]} of {most[d]})" for m, d in np.argwhere(own < most)]
    return [f"Fewer seeds than others: {', '.join(short)}; a mean is over the seeds that are there."] if short else []
