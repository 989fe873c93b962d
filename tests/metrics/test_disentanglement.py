"""MIG, SAP and DCI against formulas written out from their papers, and on codes whose scores are known."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, mutual_info_score
from torchmetrics.functional.clustering import mutual_info_score as torchmetrics_mutual_information

from harness.metrics.classification import balanced_accuracy
from harness.metrics.disentanglement import (
    TREES,
    dci,
    disentanglement,
    entropy,
    forest_importances,
    mutual_information,
    mutual_information_gap,
    separated_attribute_predictability,
    threshold_accuracy,
)

VALUES = (3, 4, 2)


def factors_of(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(count, (n,), generator=generator) for count in VALUES], 1)


def axis_codes(factors: torch.Tensor, seed: int) -> torch.Tensor:
    """One dimension for each factor, with little noise, and one of noise alone."""
    noise = torch.randn(len(factors), 4, generator=torch.Generator().manual_seed(seed))
    return torch.cat([factors + 0.02 * noise[:, :3], noise[:, 3:]], 1)


def mixed_codes(factors: torch.Tensor, seed: int, noise: float = 0.1) -> torch.Tensor:
    """Four dimensions that all hold all factors in equal parts, with noise."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]])
    scaled = factors / torch.tensor(VALUES)  # (N,F)
    return scaled @ mixing + noise * torch.randn(len(factors), 4, generator=generator)


def test_mig_is_the_gap_of_equation_5() -> None:
    factors = factors_of(500, 0)
    codes = mixed_codes(factors, 1)
    for column, gap in enumerate(mutual_information_gap(codes, factors).tolist()):
        truth = factors[:, column].numpy()
        informations = []
        for dimension in codes.double().numpy().T:
            edges = np.histogram(dimension, bins=20)[1]
            informations.append(mutual_info_score(truth, np.digitize(dimension, edges[:-1])))
        second, best = sorted(informations)[-2:]
        shares = np.bincount(truth) / len(truth)
        assert gap == pytest.approx((best - second) / -(shares * np.log(shares)).sum(), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_information_of_all_dimensions_is_that_of_torchmetrics_one_by_one(seed: int) -> None:
    symbols = torch.randint(4, (400, 3), generator=torch.Generator().manual_seed(seed))
    values = (symbols[:, 0] + symbols[:, 1]) % 3
    found = mutual_information(symbols.double(), values, bins=4)  # bins of equal width: the symbols themselves
    with torch.sparse.check_sparse_tensor_invariants(False):  # torchmetrics builds a sparse table, and torch asks
        theirs = [float(torchmetrics_mutual_information(column, values)) for column in symbols.unbind(1)]
    assert found.tolist() == pytest.approx(theirs, abs=1e-5)


def test_accuracy_by_thresholds_is_the_balanced_accuracy_of_each_dimension() -> None:
    known, truth = factors_of(300, 0)[:, 1], factors_of(200, 1)[:, 1]
    generator = torch.Generator().manual_seed(2)
    fitted = (known[:, None] * 3 + torch.randint(4, (300, 2), generator=generator)).clamp(0, 19)
    judged = (truth[:, None] * 3 + torch.randint(4, (200, 2), generator=generator)).clamp(0, 19)
    found = threshold_accuracy(fitted, known, judged, truth)
    for dimension in range(2):
        table = torch.zeros(20, 4).index_put_((fitted[:, dimension], known), torch.ones(300), accumulate=True)
        votes = (table / table.sum(0)).argmax(1)  # (T,)
        assert float(found[dimension]) == pytest.approx(balanced_accuracy(votes[judged[:, dimension]], truth))


def test_information_of_a_copy_is_its_entropy_and_of_noise_is_small() -> None:
    values = torch.arange(600) % 3
    both = torch.stack([values.float(), torch.randn(600, generator=torch.Generator().manual_seed(0))], 1)
    copied, noise = mutual_information(both, values).tolist()
    assert copied == pytest.approx(log(3)) == pytest.approx(entropy(values))
    assert 0 <= noise < 0.06


def test_sap_is_the_gap_of_balanced_accuracies_by_thresholds() -> None:
    train, test = factors_of(800, 0), factors_of(300, 1)
    codes, judged = mixed_codes(train, 2), mixed_codes(test, 3)
    for column, gap in enumerate(separated_attribute_predictability((codes, train), (judged, test)).tolist()):
        known, truth = train[:, column].numpy(), test[:, column].numpy()
        accuracies = []
        for fitted, other in zip(codes.double().numpy().T, judged.double().numpy().T, strict=True):
            edges = np.quantile(fitted, np.linspace(0, 1, 21)[1:-1])
            places, others = np.digitize(fitted, edges, right=True), np.digitize(other, edges, right=True)
            votes = []
            for place in range(20):
                shares = [((places == place) & (known == value)).sum() / (known == value).sum() for value in set(known)]
                votes.append(int(np.argmax(shares)))
            accuracies.append(balanced_accuracy_score(truth, [votes[place] for place in others]))
        second, best = sorted(accuracies)[-2:]
        assert gap == pytest.approx(best - second, abs=1e-9)


def test_dci_is_the_weighted_entropy_of_forest_importances() -> None:
    train, test = factors_of(300, 0), factors_of(200, 1)
    codes, judged = mixed_codes(train, 2), mixed_codes(test, 3)
    forests = [
        RandomForestClassifier(TREES, max_features=None, random_state=0).fit(codes.numpy(), train[:, column].numpy())
        for column in range(3)
    ]
    r = np.stack([forest.feature_importances_ for forest in forests], 1)  # (L,F)
    modular = 0.0
    for row in r:
        shares = row / row.sum()
        modular += row.sum() / r.sum() * (1 - sum(-share * log(share) / log(3) for share in shares if share > 0))
    compact = 0.0
    for column in r.T:
        shares = column / column.sum()
        compact += column.sum() / r.sum() * (1 - sum(-share * log(share) / log(4) for share in shares if share > 0))
    right = [float((f.predict(judged.numpy()) == test[:, i].numpy()).mean()) for i, f in enumerate(forests)]
    scores = dci((codes, train), (judged, test))
    assert scores.disentanglement == pytest.approx(modular, rel=1e-5)
    assert scores.completeness == pytest.approx(compact, rel=1e-5)
    assert scores.informativeness == pytest.approx(np.mean(right))


def test_a_code_along_the_factors_is_disentangled_and_a_mixed_one_is_not() -> None:
    train, test = factors_of(600, 0), factors_of(400, 1)
    axis = (axis_codes(train, 2), train), (axis_codes(test, 3), test)
    mixed = (mixed_codes(train, 2), train), (mixed_codes(test, 3), test)
    assert float(mutual_information_gap(*axis[1]).min()) > 0.85
    assert float(mutual_information_gap(*mixed[1]).max()) < 0.2
    best = 1 - torch.tensor([1 / count for count in VALUES], dtype=torch.float64)  # others are at chance
    torch.testing.assert_close(separated_attribute_predictability(*axis), best, atol=0.12, rtol=0)
    good, bad = dci(*axis), dci(*mixed)
    assert min(good.disentanglement, good.completeness, good.informativeness) > 0.98
    assert max(bad.disentanglement, bad.completeness) < 0.5


def test_equal_and_missing_importances() -> None:
    assert disentanglement(torch.eye(4)[:, :2]) == pytest.approx(1)
    assert disentanglement(torch.ones(5, 3)) == pytest.approx(0, abs=1e-12)
    assert disentanglement(torch.zeros(5, 3)) == 0.0
    assert disentanglement(torch.tensor([[1.0, 0.0], [1.0, 1.0]])) == pytest.approx(1 / 3)


def test_two_dimensions_that_say_the_same_leave_no_gap_and_one_is_compared_with_none() -> None:
    factors = factors_of(600, 0)[:, :1]
    codes = factors.double()
    assert float(mutual_information_gap(codes.repeat(1, 2), factors)) == 0.0
    assert float(mutual_information_gap(codes, factors)) == pytest.approx(1)
    assert float(separated_attribute_predictability((codes, factors), (codes, factors))) == pytest.approx(2 / 3)


def test_a_flat_code_says_nothing() -> None:
    factors = factors_of(200, 0)
    codes = torch.ones(200, 2)
    assert float(mutual_information_gap(codes, factors).abs().max()) < 1e-12
    assert float(separated_attribute_predictability((codes, factors), (codes, factors)).abs().max()) < 1e-12
    importances, _ = forest_importances((codes, factors), (codes, factors))
    assert float(importances.sum()) == 0.0
