"""Texts that are almost the same, found by MinHash without comparing all pairs. Broder 1997; bands: Leskovec, ch. 3.

A text is the set of its runs of W words. Two texts of Jaccard similarity s agree in one of B bands of R hashes with the
probability 1 - (1 - s^R)^B: with the numbers below 6 % at 0.3, 64 % at 0.5, 99.7 % at 0.7, all but surely from 0.8 on.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

WORDS = 4  # W
BANDS, ROWS = 32, 5  # B, R
PRIME = 2**31 - 1  # of the hashes a x + b; below 2^31, so that a product fits into 64 bits


def unlike_before(texts: Sequence[str]) -> np.ndarray:
    """Which texts are near no text before them: bool (N,).

    >>> unlike_before(["a cat sat on the mat", "the dog ran home", "a cat sat on the mat"]).tolist()
    [True, True, False]
    """
    import numpy as np

    first = np.ones(len(texts), dtype=bool)
    if not texts:
        return first
    signatures = minhashes(texts, BANDS * ROWS)  # (N,B*R)
    for band in np.split(signatures, BANDS, axis=1):
        rows = np.ascontiguousarray(band).view([("", band.dtype)] * ROWS).ravel()  # (N,): one value for each row
        seen = np.zeros(len(texts), dtype=bool)
        seen[np.unique(rows, return_index=True)[1]] = True
        first &= seen
    return first


def minhashes(texts: Sequence[str], count: int, seed: int = 0) -> np.ndarray:
    """The least of `count` hashes over each text's runs of words: int64 (N,count). Equal ones estimate similarity."""
    import numpy as np

    runs = [shingles(text) for text in texts]
    hashed = np.array([zlib.crc32(run.encode()) % PRIME for each in runs for run in each], dtype=np.int64)  # (S,)
    starts = np.cumsum([0, *(len(each) for each in runs)])[:-1]  # each text's first, of which it has one at least
    draw = np.random.default_rng(seed)
    factors, shifts = draw.integers(1, PRIME, count), draw.integers(0, PRIME, count)
    columns = [
        np.minimum.reduceat((factor * hashed + shift) % PRIME, starts)
        for factor, shift in zip(factors, shifts, strict=True)
    ]
    return np.stack(columns, axis=1)


def shingles(text: str) -> list[str]:
    """The runs of W words of a text; the whole text where it has fewer."""
    words = text.lower().split()
    return [" ".join(words[start : start + WORDS]) for start in range(max(1, len(words) - WORDS + 1))]
