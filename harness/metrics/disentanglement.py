"""How a code's dimensions share out the known causes of its images: MIG, SAP and DCI, in float64.

MIG  mean over factors v of (I(z_1st; v) - I(z_2nd; v)) / H(v), the two dimensions with the most mutual information.
     Chen et al. 2018, arXiv:1802.04942, eq. 5. Differs: a deterministic code in BINS equal-width bins instead of
     q(z|x), as in Locatello et al. 2019, arXiv:1811.12359.
SAP  mean over factors of S_1st - S_2nd, with S the balanced accuracy on held-out rows of a classifier by thresholds on
     one dimension alone. Kumar et al. 2018, arXiv:1711.00848, section 3. Differs: thresholds lie at the training
     quantiles of BINS equal parts, and each part votes for the value with the largest share of its own rows there.
DCI  of importances R (L,F): disentanglement sum_l rho_l (1 - H_F(P_l)), P_l = R_l / sum_f R_lf, rho_l = sum_f R_lf /
     sum R; completeness sum_f sigma_f (1 - H_L(Q_f)), Q_f = R_f / sum_l R_lf, sigma_f = sum_l R_lf / sum R; entropies
     to the base of their number of terms. Informativeness: held-out accuracy. Eastwood and Williams 2018, section 2,
     https://openreview.net/forum?id=By-7dz-AZ; R from random forests, as there.

A code of one dimension is compared with a second one that is flat. All three lie in [0,1] (SAP up to 1 - 1/V).
N images, L code dimensions, F factors, V values of a factor, T bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 20  # T
TREES = 20  # of a forest
SPLIT_AMONG = 64  # dimensions that a tree's split chooses from, at most: all of them in a code of usual size


@dataclass(frozen=True, kw_only=True)
class Dci:
    """Disentanglement, completeness and informativeness of a code, each a fraction in [0,1]; higher is better."""

    disentanglement: float
    completeness: float
    informativeness: float  # mean over factors of the accuracy on held-out rows


def mutual_information(codes: Tensor, values: Tensor, bins: int = BINS) -> Tensor:
    """I(z_l; v) in nats of each dimension of codes (N,L), in equal-width bins, with integers (N,): (L,) float64."""
    symbols = _equal_width_bins(codes.double(), bins)  # (N,L)
    share = _joint_counts(symbols, values, bins) / len(codes)  # (L,T,V)
    independent = share.sum(2, keepdim=True) * share.sum(1, keepdim=True)
    return (torch.xlogy(share, share) - torch.xlogy(share, independent)).sum((1, 2)).clamp_min(0)


def entropy(values: Tensor) -> float:
    """H(v) in nats of integers (N,).

    >>> round(entropy(torch.tensor([0, 0, 1, 1])), 4)
    0.6931
    """
    share = torch.bincount(values).double() / len(values)
    return float(torch.special.entr(share).sum())


def mutual_information_gap(codes: Tensor, factors: Tensor) -> Tensor:
    """MIG of codes (N,L) for each of the factors (N,F), none of them constant: (F,) float64."""
    gaps = [_gap(mutual_information(codes, values), flat=0.0) / entropy(values) for values in factors.unbind(1)]
    return torch.stack(gaps)


def separated_attribute_predictability(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Tensor:
    """SAP for each factor: (F,) float64. `train` and `test` are codes (N,L) and factors (N,F) of different rows."""
    edges = _quantiles(train[0].double(), BINS)  # (L,T-1)
    fitted, judged = _between_edges(train[0].double(), edges), _between_edges(test[0].double(), edges)  # (N,L) each
    gaps = []
    for known, truth in zip(train[1].unbind(1), test[1].unbind(1), strict=True):
        scores = threshold_accuracy(fitted, known, judged, truth)
        gaps.append(_gap(scores, flat=1 / len(truth.unique())))
    return torch.stack(gaps)


def threshold_accuracy(fitted: Tensor, known: Tensor, judged: Tensor, truth: Tensor) -> Tensor:
    """Balanced accuracy of each dimension alone: bins (N,L) and values (N,) to fit, others to judge -> (L,) float64."""
    values = int(max(known.max(), truth.max())) + 1
    counts = _joint_counts(fitted, known, BINS, values)  # (L,T,V)
    votes = (counts / counts.sum(1, keepdim=True).clamp_min(1)).argmax(2)  # (L,T)
    right = (votes.gather(1, judged.T) == truth).double()  # (L,M)
    recall = [right[:, truth == value].mean(1) for value in truth.unique().tolist()]
    return torch.stack(recall).mean(0)


def dci(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Dci:
    """`train` and `test` are codes (N,L) and factors (N,F) of different rows."""
    importances, accuracies = forest_importances(train, test)
    return Dci(
        disentanglement=disentanglement(importances),
        completeness=disentanglement(importances.T),
        informativeness=float(accuracies.mean()),
    )


def forest_importances(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A random forest for each factor: how much impurity each dimension took away (L,F), and its accuracy (F,)."""
    from sklearn.ensemble import RandomForestClassifier

    fitted, judged = train[0].float().numpy(), test[0].float().numpy()
    columns, accuracies = [], []
    for known, truth in zip(train[1].unbind(1), test[1].unbind(1), strict=True):
        forest = RandomForestClassifier(TREES, max_features=min(fitted.shape[1], SPLIT_AMONG), random_state=0)
        forest.fit(fitted, known.numpy())
        columns.append(torch.from_numpy(forest.feature_importances_))
        accuracies.append(float((forest.predict(judged) == truth.numpy()).mean()))
    return torch.stack(columns, 1).double(), torch.tensor(accuracies, dtype=torch.float64)


def disentanglement(importances: Tensor) -> float:
    """sum_l rho_l (1 - H(P_l)) of importances (L,F): 1 if no row has more than one entry. Transposed: completeness.

    >>> round(disentanglement(torch.eye(3)), 6), round(disentanglement(torch.ones(3, 3)), 6)
    (1.0, 0.0)
    """
    values = importances.double()
    rows = values.sum(1)  # (L,)
    if values.shape[1] < 2 or float(rows.sum()) == 0:
        return float(rows.sum() > 0)  # nothing to share among, or nothing to share
    shares = values / rows.clamp_min(torch.finfo(values.dtype).tiny)[:, None]
    mixed = torch.special.entr(shares).sum(1) / torch.tensor(values.shape[1]).double().log()
    return float((rows / rows.sum() * (1 - mixed)).sum().clamp(0, 1))


def _gap(scores: Tensor, *, flat: float) -> Tensor:
    """The best less the second best of (L,), and for L = 1 less what a flat dimension has."""
    if len(scores) == 1:
        return (scores[0] - flat).clamp_min(0)
    best, second = scores.topk(2).values
    return best - second


def _equal_width_bins(codes: Tensor, bins: int) -> Tensor:
    """(N,L) -> the bin in [0, bins) of each value, between the smallest and the largest of its dimension."""
    low, high = codes.amin(0), codes.amax(0)
    width = (high - low).clamp_min(torch.finfo(codes.dtype).tiny)
    return ((codes - low) / width * bins).long().clamp(0, bins - 1)


def _quantiles(codes: Tensor, bins: int) -> Tensor:
    """(N,L) -> the edges between equally filled bins, (L,bins-1)."""
    levels = torch.linspace(0, 1, bins + 1, dtype=codes.dtype)[1:-1]
    ordered = codes.sort(0).values  # (N,L); torch.quantile refuses large inputs
    place = levels * (len(codes) - 1)
    below = place.long()
    part = (place - below)[:, None]
    above = (below + 1).clamp_max(len(codes) - 1)
    return (ordered[below] * (1 - part) + ordered[above] * part).T.contiguous()


def _between_edges(codes: Tensor, edges: Tensor) -> Tensor:
    return torch.searchsorted(edges, codes.T.contiguous()).T  # (N,L)


def _joint_counts(symbols: Tensor, values: Tensor, bins: int, count: int | None = None) -> Tensor:
    """How often each bin of (N,L) meets each value of (N,): (L,T,V) float64."""
    dims, count = symbols.shape[1], count or int(values.max()) + 1
    index = (torch.arange(dims) * bins + symbols) * count + values[:, None]  # (N,L)
    return torch.bincount(index.flatten(), minlength=dims * bins * count).double().view(dims, bins, count)
