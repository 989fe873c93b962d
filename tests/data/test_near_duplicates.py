from __future__ import annotations

import numpy as np
import pytest

from harness.data.near_duplicates import minhashes, shingles, unlike_before


def text(generator: np.random.Generator, words: int = 40) -> list[str]:
    return [f"w{number}" for number in generator.integers(0, 500, words)]


def jaccard(one: str, other: str) -> float:
    first, second = set(shingles(one)), set(shingles(other))
    return len(first & second) / len(first | second)


def test_equal_hashes_estimate_how_alike_two_texts_are() -> None:
    words = text(np.random.default_rng(0), 60)
    one, other = " ".join(words[:50]), " ".join(words[10:])
    hashes = minhashes([one, other], 2000)
    assert float((hashes[0] == hashes[1]).mean()) == pytest.approx(jaccard(one, other), abs=0.04)


def test_near_duplicates_are_found_and_others_kept() -> None:
    generator = np.random.default_rng(1)
    originals = [text(generator) for _ in range(200)]
    changed = [[*words[:-1], "changed"] for words in originals]  # one word of 40
    texts = [" ".join(words) for words in originals + changed]
    kept = unlike_before(texts)
    assert kept[:200].all()
    assert not kept[200:].any()


def test_case_counts_for_nothing_and_short_texts_are_compared_as_a_whole() -> None:
    assert unlike_before(["One two", "one TWO", "two one", "", ""]).tolist() == [True, False, True, True, False]
    assert unlike_before([]).tolist() == []
