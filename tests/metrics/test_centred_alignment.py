"""CKA without bias against sums over index tuples, its invariances, and what the biased one gets wrong."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor

from harness.metrics.centred_alignment import gram, isometric, linear_cka, u_centred


def drawn(n: int, dim: int, seed: int) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hsic_by_definition(k: Tensor, l: Tensor) -> float:  # noqa: E741
    """Song et al. 2012, eq. 4: averages over all ordered tuples of different indices."""
    n = len(k)
    two = [float(k[i, j] * l[i, j]) for i, j in permutations(range(n), 2)]
    three = [float(k[i, j] * l[i, q]) for i, j, q in permutations(range(n), 3)]
    four = [float(k[i, j] * l[q, r]) for i, j, q, r in permutations(range(n), 4)]
    return sum(two) / len(two) + sum(four) / len(four) - 2 * sum(three) / len(three)


def test_the_inner_product_of_u_centred_matrices_is_hsic_without_bias() -> None:
    k, l = gram(drawn(7, 3, 0)), gram(drawn(7, 2, 1))  # noqa: E741
    ours = float((u_centred(k) * u_centred(l)).sum()) / (7 * 4)
    assert ours == pytest.approx(hsic_by_definition(k, l))
    one, other = (hsic_by_definition(m, m) for m in (k, l))
    assert float(linear_cka([k, l])[0, 1]) == pytest.approx(hsic_by_definition(k, l) / (one * other) ** 0.5)


def test_axes_scale_and_place_do_not_matter_and_a_stretch_does() -> None:
    x = drawn(50, 6, 0)
    turn, _ = torch.linalg.qr(drawn(6, 6, 1))
    stretched = x * torch.tensor([1.0, 1, 1, 10, 10, 10])
    alike = linear_cka([gram(x), gram(3 * x @ turn + 7), gram(stretched)])
    torch.testing.assert_close(alike, alike.T)
    assert float(alike[0, 1]) == pytest.approx(1.0)
    assert float(alike[0, 2]) < 0.9
    torch.testing.assert_close(alike.diagonal(), torch.ones(3, dtype=torch.float64))


def test_unrelated_wide_features_are_unlike_which_the_biased_estimate_denies() -> None:
    x, y = drawn(60, 500, 0), drawn(60, 500, 1)
    assert abs(float(linear_cka([gram(x), gram(y)])[0, 1])) < 0.1
    k, l = gram(x), gram(y)  # noqa: E741
    biased = float((k * l).sum() / (k.norm() * l.norm()))
    assert biased > 0.85


def test_what_does_not_vary_has_no_likeness() -> None:
    alike = linear_cka([gram(torch.ones(5, 2)), gram(drawn(5, 2, 0))])
    assert alike[0].isnan().all()
    assert float(alike[1, 1]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="needs 4 examples, got 3"):
        u_centred(torch.eye(3))


@pytest.mark.parametrize("shape", [(20, 5), (5, 20)])
def test_fewer_dimensions_with_the_same_inner_products(shape: tuple[int, int]) -> None:
    x = drawn(*shape, 0) + 3
    small = isometric(x)
    assert small.shape == (shape[0], min(shape))
    torch.testing.assert_close(gram(small), gram(x))
    maps = x.view(shape[0], -1, 1, 1)
    torch.testing.assert_close(gram(maps), gram(x))
