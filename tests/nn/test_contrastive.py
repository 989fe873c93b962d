"""Contrastive losses against their formulas, by loops; a queue against a list; Sinkhorn against its definition."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.nn.contrastive import info_nce, nt_xent
from harness.nn.queue import Queue
from harness.nn.sinkhorn import sinkhorn

B, P, Q, K = 5, 4, 7, 6


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())


def nt_xent_by_loops(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    views = [*one, *other]
    total = torch.zeros((), dtype=one.dtype)
    for i in range(2 * B):
        partner = (i + B) % (2 * B)
        below = sum((cosine(views[i], views[k]) / temperature).exp() for k in range(2 * B) if k != i)
        total = total - ((cosine(views[i], views[partner]) / temperature).exp() / below).log()
    return total / (2 * B)


def info_nce_by_loops(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    total = torch.zeros((), dtype=queries.dtype)
    for query, key in zip(queries, keys, strict=True):
        own = (cosine(query, key) / temperature).exp()
        total = total - (own / (own + sum((cosine(query, n) / temperature).exp() for n in negatives))).log()
    return total / len(queries)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_its_formula(temperature: float) -> None:
    pairs = [drawn(B, P).requires_grad_(), drawn(B, P, seed=1).requires_grad_()]
    expected = nt_xent_by_loops(*pairs, temperature)
    found = nt_xent(*pairs, temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, theirs in zip(torch.autograd.grad(found, pairs), torch.autograd.grad(expected, pairs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_nt_xent_of_views_alike_has_its_least_value() -> None:
    """With one image per direction and T -> 0 it vanishes; where all is one point it is log(2B - 1)."""
    apart = torch.eye(B)
    assert float(nt_xent(apart, apart, 0.01)) == pytest.approx(0.0, abs=1e-6)
    same = torch.ones(B, P)
    assert float(nt_xent(same, same, 0.5)) == pytest.approx(log(2 * B - 1), rel=1e-6)


def test_nt_xent_knows_no_order_of_the_views() -> None:
    one, other = drawn(B, P), drawn(B, P, seed=1)
    assert float(nt_xent(one, other, 0.5)) == pytest.approx(float(nt_xent(other, one, 0.5)), rel=1e-6)


def test_bf16_autocast_rounds_no_similarity() -> None:
    one, other = drawn(B, P).float(), drawn(B, P, seed=1).float()
    expected = nt_xent(one, other, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(nt_xent(one, other, 0.1)) == float(expected)


def test_info_nce_is_its_formula() -> None:
    queries, keys, negatives = drawn(B, P).requires_grad_(), drawn(B, P, seed=1), drawn(Q, P, seed=2)
    expected = info_nce_by_loops(queries, keys, negatives, 0.2)
    found = info_nce(queries, keys, negatives, 0.2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(found, queries)[0], torch.autograd.grad(expected, queries)[0], rtol=1e-4, atol=1e-6
    )


def test_info_nce_of_a_key_among_strangers() -> None:
    """The own key at cosine 1, Q negatives at 0: log(1 + Q exp(-1/T))."""
    queries = torch.eye(P)[:1].expand(B, -1)
    found = info_nce(queries, queries, torch.eye(P)[1:2].expand(Q, -1), 0.5)
    assert float(found) == pytest.approx(log(1 + Q * exp(-2)), rel=1e-6)


@pytest.mark.parametrize("pushes", [[3, 3], [3, 3, 3], [7], [9, 2], [20]])
def test_a_queue_keeps_the_latest(pushes: list[int]) -> None:
    queue, kept = Queue(Q, P), []
    kept = list(queue.values)
    for turn, n in enumerate(pushes):
        rows = drawn(n, P, seed=turn).float()
        queue.push(rows)
        kept = [*kept, *rows][-Q:]
    expected = {tuple(row.tolist()) for row in kept}
    assert {tuple(row.tolist()) for row in queue.values} == expected
    assert int(queue.pushed) == sum(min(n, Q) for n in pushes)


def test_a_queue_is_saved_and_starts_on_the_sphere() -> None:
    queue = Queue(Q, P)
    torch.testing.assert_close(queue.values.norm(dim=1), torch.ones(Q))
    queue.push(torch.ones(2, P))
    other = Queue(Q, P)
    other.load_state_dict(queue.state_dict())
    other.push(torch.zeros(1, P))
    assert torch.equal(other.values[2], torch.zeros(P))


def test_pushing_leaves_a_graph_alone() -> None:
    queue, weights = Queue(Q, P), torch.ones(P, requires_grad=True)
    loss = (queue.values * weights).square().sum()
    before = queue.values.clone()
    queue.push(torch.zeros(3, P))
    loss.backward()
    torch.testing.assert_close(weights.grad, 2 * before.square().sum(0))


def test_sinkhorn_is_its_definition() -> None:
    scores = drawn(B, K).float()
    plan = (scores / 0.3).exp()
    for _ in range(3):
        plan = plan / plan.sum(0, keepdim=True) / K
        plan = plan / plan.sum(1, keepdim=True) / B
    torch.testing.assert_close(sinkhorn(scores, 0.3, 3), plan * B, rtol=1e-4, atol=1e-6)


def test_sinkhorn_gives_every_prototype_its_share() -> None:
    """Rows sum to 1 always, columns to B/K in the limit; one favourite of all is no favourite any more."""
    scores = drawn(8 * K, K).float() + F.one_hot(torch.zeros(8 * K, dtype=torch.int64), K) * 5
    plan = sinkhorn(scores, 0.5, 200)
    torch.testing.assert_close(plan.sum(1), torch.ones(8 * K))
    torch.testing.assert_close(plan.sum(0), torch.full((K,), 8.0), rtol=1e-2, atol=1e-2)


def test_sinkhorn_survives_large_scores() -> None:
    assert torch.isfinite(sinkhorn(drawn(B, K).float() * 100, 0.05)).all()
