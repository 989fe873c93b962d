from __future__ import annotations

from collections import Counter

import pytest
import torch

from harness.data.tokens import PADDING
from harness.metrics.kneser_ney import NO_WORD, bigram, bigram_of, discount, pair_counts, smoothed

TEXTS = [[2, 3, 4, 2, 3], [3, 2, 3, 4], [4, 4, 2, 3, 5], [2]]
SIZE = 7  # with PADDING, UNKNOWN and 6, which is never seen
TOKENS = torch.tensor([text + [0] * (6 - len(text)) for text in TEXTS])


def by_hand(word: int, before: int) -> float:
    """Equations 18 to 20 of Chen and Goodman, by counting in Python."""
    pairs = Counter((one, other) for text in TEXTS for one, other in zip([0, *text], text, strict=False))
    contexts = Counter(other for _, other in pairs)
    d2 = Counter(pairs.values())
    d1 = Counter(contexts.values())
    high = d2[1] / (d2[1] + 2 * d2[2])
    low = d1[1] / (d1[1] + 2 * d1[2])
    kinds = len(pairs)
    following = max(contexts[word] - low, 0) / kinds if word in contexts else 0.0
    following += low * len(contexts) / kinds / (SIZE - 1)
    total = sum(count for (one, _), count in pairs.items() if one == before)
    if not total:
        return following
    types = sum(one == before for one, _ in pairs)
    return max(pairs[before, word] - high, 0) / total + high * types / total * following


def test_every_probability_is_that_of_the_equations() -> None:
    found = bigram(pair_counts(TOKENS, SIZE))
    for before in range(SIZE):
        for word in range(1, SIZE):
            assert float(found[before, word]) == pytest.approx(by_hand(word, before), abs=1e-6)


def test_rows_sum_to_one_and_the_end_is_no_word() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 30, (50, 12), generator=generator)
    tokens[::2, 7:] = 0
    found = bigram(pair_counts(tokens, 40))
    torch.testing.assert_close(found.sum(1), torch.ones(40))
    assert (found[:, 0] == 0).all()
    assert (found[:, 1:] > 0).all()
    one = smoothed(pair_counts(tokens, 40).sum(0))
    assert float(one.sum()) == pytest.approx(1)
    assert one[0] == 0 < one[39]


def test_unigrams_of_many_words_are_their_shares() -> None:
    counts = torch.tensor([0.0, 0.0, 600.0, 300.0, 100.0])
    torch.testing.assert_close(smoothed(counts)[2:], counts[2:] / 1000, atol=1e-3, rtol=0)


def test_where_nothing_was_counted_all_words_are_alike() -> None:
    nothing = pair_counts(torch.zeros(3, 4, dtype=torch.int64), 5)
    torch.testing.assert_close(smoothed(nothing.sum(0)), torch.tensor([0, 0.25, 0.25, 0.25, 0.25]))
    torch.testing.assert_close(bigram(nothing)[3], torch.tensor([0, 0.25, 0.25, 0.25, 0.25]))
    assert discount(torch.tensor([0.0, 2.0, 5.0])) == 0.5
    assert discount(torch.tensor([1.0, 1.0, 2.0])) == 0.5


def test_no_word_is_the_padding_of_tokens() -> None:
    assert NO_WORD == PADDING


def test_without_a_table_of_all_pairs_it_is_the_same() -> None:
    tokens = torch.randint(0, 30, (40, 12), generator=torch.Generator().manual_seed(0)).sort(1, descending=True).values
    found = bigram_of(tokens, 33)
    before = torch.tensor([7, 0, 32, 7, 29])  # 32 was never seen
    torch.testing.assert_close(found.rows(before), bigram(pair_counts(tokens, 33))[before])
    assert bigram_of(torch.zeros(2, 3, dtype=torch.int64), 5).rows(torch.tensor([0, 4])).sum(1).tolist() == [1, 1]
