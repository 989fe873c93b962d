"""The codebook against scikit-learn's nearest neighbours and the moving averages of the paper."""

from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from harness.nn.quantiser import Codebook, perplexity


def one_hot(index: torch.Tensor, size: int) -> torch.Tensor:
    return (index[:, None] == torch.arange(size)).float()  # (N,K)


def trained(size: int, dim: int, vectors: torch.Tensor, steps: int, decay: float = 0.9) -> Codebook:
    torch.manual_seed(0)
    book = Codebook(size, dim, decay)
    for _ in range(steps):
        book.revive(vectors)
        book.update(vectors, one_hot(book.nearest(vectors), size))
    return book


def test_the_nearest_code_is_that_of_scikit_learn() -> None:
    torch.manual_seed(0)
    book, vectors = Codebook(20, 5, 0.99), torch.randn(300, 5)
    expected = NearestNeighbors(n_neighbors=1).fit(book.codes.numpy()).kneighbors(vectors.numpy())[1][:, 0]
    assert book.nearest(vectors).tolist() == expected.tolist()
    assert torch.equal(book(book.nearest(vectors)), book.codes[torch.as_tensor(expected)])


def test_codes_are_the_moving_averages_of_the_paper() -> None:
    """N_i = g N_i + (1 - g) n_i, m_i = g m_i + (1 - g) sum of z, e_i = m_i / N_i: equations 6 to 8 of appendix A.1."""
    torch.manual_seed(0)
    book, first = Codebook(4, 3, 0.8), torch.randn(40, 3)
    book.revive(first)
    counts, sums = book.counts.clone(), book.sums.clone()
    for vectors in torch.randn(5, 40, 3):
        index = book.nearest(vectors)
        book.update(vectors, one_hot(index, 4))
        for code in range(4):
            mine = vectors[index == code]
            counts[code] = 0.8 * counts[code] + 0.2 * len(mine)
            sums[code] = 0.8 * sums[code] + 0.2 * mine.sum(0)
    torch.testing.assert_close(book.codes, sums / counts[:, None])


def test_as_many_codes_as_clusters_find_the_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(6, 4, generator=generator)
    vectors = (centres.repeat(50, 1) + 0.01 * torch.randn(300, 4, generator=generator)).contiguous()
    book = trained(12, 4, vectors, 100)
    gaps = torch.cdist(centres, book.codes).amin(1)  # (6,)
    assert gaps.max() < 0.05


def test_a_code_far_from_all_vectors_is_replaced() -> None:
    vectors = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    book = trained(8, 3, vectors, 20)
    book.codes[0] = 1e3
    book.counts[0] = 0.0
    others = book.codes[1:].clone()
    book.revive(vectors)
    assert torch.equal(book.codes[1:], others)
    assert torch.cdist(book.codes[:1], vectors).min() < 0.2


def test_more_codes_than_vectors_are_all_different() -> None:
    torch.manual_seed(0)
    book = Codebook(50, 3, 0.9)
    book.revive(torch.randn(7, 3))
    assert len(book.codes.unique(dim=0)) == 50


def test_perplexity_counts_codes_of_equal_use() -> None:
    assert float(perplexity(torch.ones(7))) == pytest.approx(7, rel=1e-6)
    assert float(perplexity(torch.tensor([0.0, 3.0, 0.0]))) == pytest.approx(1)
    assert 2 < float(perplexity(torch.tensor([8.0, 1.0, 1.0, 0.5]))) < 4
