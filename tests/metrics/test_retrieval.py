"""Rankings against scikit-learn's average precision, a loop of the paper's formula, and simulated chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torchmetrics.functional.retrieval import retrieval_hit_rate

from harness.metrics.features import normalised
from harness.metrics.retrieval import chance_of_average_precision, chance_of_recall, judged, retrieve


def example(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three overlapping clouds on the sphere: (N,5) and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    centres = torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
    return normalised(torch.randn(n, 5, generator=generator) + centres[labels]), labels


def test_every_query_against_scikit_learn_torchmetrics_and_the_formula_of_the_paper() -> None:
    (queries, wanted), (bank, classes) = example(30, 0), example(80, 1)
    found = retrieve(queries, wanted, bank, classes, (1, 5), block=250)  # three queries at a time
    for i in range(30):
        scores, relevant = queries[i] @ bank.T, classes == wanted[i]
        theirs = average_precision_score(relevant.numpy(), scores.numpy())
        assert float(found.average_precision[i]) == pytest.approx(theirs, abs=1e-6)
        ranked = relevant[scores.argsort(descending=True)].numpy()
        total = int(ranked.sum())
        at_r = sum(ranked[: k + 1].mean() for k in range(total) if ranked[k]) / total
        assert float(found.map_at_r[i]) == pytest.approx(at_r, abs=1e-6)
        for k in (1, 5):
            assert float(found.recall[k][i]) == float(retrieval_hit_rate(scores, relevant, top_k=k))
        assert int(found.relevant[i]) == total


def test_blocks_change_nothing() -> None:
    (queries, wanted), (bank, classes) = example(30, 0), example(80, 1)
    one, other = (retrieve(queries, wanted, bank, classes, (1,), block=block) for block in (80, 10_000))
    assert torch.equal(one.average_precision, other.average_precision)
    assert torch.equal(one.recall[1], other.recall[1])


def test_perfect_worst_and_unanswerable_queries() -> None:
    hits = torch.tensor([[True, True, False, False], [False, False, True, True], [False] * 4])
    found = judged(hits, [1, 2, 10])
    assert found.average_precision.tolist() == pytest.approx([1.0, (1 / 3 + 2 / 4) / 2, 0.0])
    assert found.map_at_r.tolist() == [1.0, 0.0, 0.0]
    assert found.recall[2].tolist() == [1.0, 0.0, 0.0]
    assert found.recall[10].tolist() == [1.0, 1.0, 0.0]  # as far as the bank goes


@pytest.mark.parametrize("relevant", [1, 4, 12])
def test_chance_is_that_of_random_rankings(relevant: int) -> None:
    rng = np.random.default_rng(0)
    hits = torch.from_numpy(rng.permuted(np.tile(np.arange(12) < relevant, (20_000, 1)), axis=1))
    found = judged(hits, [3])
    expected = chance_of_average_precision(torch.tensor([float(relevant)]), 12)
    assert float(found.average_precision.mean()) == pytest.approx(float(expected), abs=0.005)
    expected = chance_of_recall(torch.tensor([float(relevant)]), 12, 3)
    assert float(found.recall[3].mean()) == pytest.approx(float(expected), abs=0.01)


def test_limits_of_chance() -> None:
    assert chance_of_average_precision(torch.tensor([0.0, 1.0]), 1).tolist() == [0.0, 1.0]
    assert chance_of_average_precision(torch.tensor([0.0]), 50).tolist() == [0.0]
    assert chance_of_recall(torch.tensor([0.0, 3.0]), 3, 10).tolist() == [0.0, 1.0]
