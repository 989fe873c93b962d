"""Tasks on clips: what is asked is what was done to frames that show when they are."""

from __future__ import annotations

from math import factorial
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.data.batches import Batch
from harness.data.fields import DataSpec, VideoField
from harness.errors import NotApplicable, RequestError
from harness.registry.config import resolve
from harness_plugins.backbones import conv3d
from harness_plugins.pretext import arrow_of_time, frame_order, middle_frame, next_frame, speed

T, SIZE = 12, 12
SPEC = DataSpec(inputs=VideoField(frames=T, channels=1, size=SIZE))
CLOCK = (torch.arange(float(T)) / T).view(1, T, 1, 1, 1).expand(64, -1, -1, SIZE, SIZE)  # each frame shows its time


def built(module, spec=SPEC, **params: Any):
    torch.manual_seed(0)
    config = module.Config(**params)
    return module.harness_method().build(conv3d.build(spec, conv3d.Config(width=4)), spec, config)


def asked(method, clips: Tensor = CLOCK) -> tuple[Tensor, Tensor]:
    """The times (B,n) of the frames that the backbone was shown, and the answers (B,)."""
    shown: list[Tensor] = []
    method.backbone.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    torch.manual_seed(1)
    _, answers = method.solve(Batch(inputs=clips))
    return (shown[0][:, :, 0, 0, 0] * T).round().long(), answers


@pytest.mark.parametrize(("frames", "reverse", "answers_of"), [(3, True, 6), (3, False, 3), (4, False, 12)])
def test_frame_order_asks_for_the_order_that_is_shown(frames: int, reverse: bool, answers_of: int) -> None:
    method = built(frame_order, frames=frames, reverse=reverse)
    times, answers = asked(method)
    assert len(method.orders) == answers_of
    ranks = times.argsort(1).argsort(1)
    orders = method.orders[answers]
    same = (ranks == orders).all(1)
    assert same.all() if reverse else (same | (frames - 1 - ranks == orders).all(1)).all()
    assert reverse or 10 < int(same.sum()) < 54  # both directions are shown
    gaps = times.sort(1).values.diff(dim=1)
    assert (gaps == gaps[0, 0]).all()
    assert len(times.min(1).values.unique()) > 3  # windows begin anywhere that they fit


@pytest.mark.parametrize("frames", [3, 4, 5])
def test_a_world_that_runs_backwards_has_the_same_frame_orders(frames: int) -> None:
    """What is shown in one order is shown, in the other world, in the order counted from the end: never two answers."""
    orders = frame_order.orders_of(frames, reverse=False)
    mirrored = {tuple(frames - 1 - rank for rank in order) for order in orders}
    assert len(orders) == len(mirrored) == factorial(frames) / 2
    assert not mirrored & set(orders)


def test_frame_order_keeps_frames_near_each_other() -> None:
    method, shown = built(frame_order, farthest=2), []
    method.backbone.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    for seed in range(8):
        torch.manual_seed(seed)
        method.solve(Batch(inputs=CLOCK))
    times = (torch.cat(shown)[:, :, 0, 0, 0] * T).round().long()
    assert set(times.sort(1).values.diff(dim=1).flatten().tolist()) == {1, 2}


def test_arrow_of_time_asks_whether_the_clip_runs_backwards() -> None:
    times, answers = asked(built(arrow_of_time, frames=5))
    steps = times.diff(dim=1)
    assert (steps == (1 - 2 * answers)[:, None]).all()
    assert set(answers.tolist()) == {0, 1}
    assert len(times.min(1).values.unique()) > 4


def test_speed_asks_how_far_apart_the_frames_are() -> None:
    method = built(speed)
    times, answers = asked(method)
    assert method.frames == 4
    assert (times.diff(dim=1) == answers[:, None] + 1).all()
    assert set(answers.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("module", [frame_order, arrow_of_time, speed])
def test_still_clips_tell_nothing(module) -> None:
    """All frames alike: every clip gets the same answer."""
    method = built(module, shift=0.0).eval()
    logits, _ = method.solve(Batch(inputs=torch.full((32, T, 1, SIZE, SIZE), 0.3)))
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))


def test_every_clip_is_moved_as_a_whole() -> None:
    """Frames that are alike before they are moved are alike after it."""
    picture = torch.rand(8, 1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).expand(-1, T, -1, -1, -1)
    for module in (frame_order, arrow_of_time, speed):
        method = built(module, shift=0.25)
        shown: list[Tensor] = []
        method.backbone.register_forward_pre_hook(lambda module, inputs, shown=shown: shown.append(inputs[0]))
        method.solve(Batch(inputs=picture))
        assert torch.equal(shown[0], shown[0][:, :1].expand_as(shown[0]))
        assert not torch.equal(shown[0][:, 0], picture[:, 0])


def test_next_frame_continues_its_own_continuation() -> None:
    method = built(next_frame, past=4, ahead=3).eval()
    past = CLOCK[:5, :4]
    with torch.no_grad():
        told = method.forecast(past, 5)
        first = method.painted(past)[0].clamp(0, 1)
        second = method.painted(torch.cat([past, first], 1)[:, -4:])[0].clamp(0, 1)
    assert told.shape == (5, 5, 1, SIZE, SIZE)
    torch.testing.assert_close(told, torch.cat([first, second], 1)[:, :5])


def test_next_frame_is_judged_by_its_error_and_that_of_its_drawing() -> None:
    method = built(next_frame, past=11, drawing=0.25, present=0.5)  # one frame ahead, so that windows begin at 0
    batch = Batch(inputs=torch.rand(4, T, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    painted, drawn = method.painted(batch.inputs[:, :11])
    errors = [(part - batch.inputs[:, 11:]).square().mean() for part in (painted, drawn)]
    seen = method.present(method.backbone(batch.inputs[:, :11]))
    present = (seen - batch.inputs[:, 10]).square().mean()
    torch.testing.assert_close(method.loss(batch), errors[0] + 0.25 * errors[1] + 0.5 * present)
    torch.testing.assert_close(batch.scalars["error"], errors[0].detach())


def test_the_best_single_answer_to_two_futures_is_their_mean_or_with_norm_1_their_median() -> None:
    futures = torch.tensor([0.0, 1.0, 1.0])
    answers = torch.linspace(0, 1, 101)
    best = {
        norm: float(answers[torch.stack([next_frame.difference(a, futures, norm) for a in answers]).argmin()])
        for norm in (1, 2)
    }
    assert best[1] == 1.0
    assert best[2] == pytest.approx(2 / 3, abs=0.01)


def test_the_gradient_difference_loss_is_that_of_the_equation() -> None:
    one, two = torch.rand(2, 3, 1, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    rows = [abs(abs(one[..., i, j] - one[..., i - 1, j]) - abs(two[..., i, j] - two[..., i - 1, j]))
            for i in range(1, 4) for j in range(5)]  # fmt: skip
    columns = [abs(abs(one[..., i, j - 1] - one[..., i, j]) - abs(two[..., i, j - 1] - two[..., i, j]))
               for i in range(4) for j in range(1, 5)]  # fmt: skip
    expected = torch.stack(rows).mean() + torch.stack(columns).mean()
    torch.testing.assert_close(next_frame.edge_difference(one, two), expected)
    assert next_frame.edge_difference(one, one) == 0


def test_middle_frame_sees_both_sides_and_never_the_middle() -> None:
    """The clock of what the backbone and the painter are shown, against the frame that is the truth."""
    method = built(middle_frame)
    assert method.farthest == 4
    seen: list[tuple[Tensor, Tensor]] = []
    method.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    painter, edges = method.painter.forward, []
    method.painter.forward = lambda code, known: (edges.append(known), painter(code, known))[1]
    gaps = set()
    for seed in range(40):
        torch.manual_seed(seed)
        method.loss(Batch(inputs=CLOCK[:2]))
        times = (seen[-1][0, :, 0, 0, 0] * T).round().long()
        edge = (edges[-1][0, :, 0, 0, 0] * T).round().long()
        assert times[[1, 2]].tolist() == edge.tolist()
        assert times.diff().tolist()[::2] == [1, 1]
        gaps.add(int(times[2] - times[1]) - 1)
    assert gaps == {1, 3, 5, 7}


def test_middle_frame_asks_the_code_for_the_frames_at_the_edges() -> None:
    """The third term by hand: the loss with it less the loss without."""
    method = built(middle_frame, edges=3.0)
    drawn: list[Tensor] = []
    method.edges.register_forward_hook(lambda module, inputs, output: drawn.append(output))
    seen: list[Tensor] = []
    method.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    losses = []
    for weight in (3.0, 0.0):
        method.config = middle_frame.Config(edges=weight)
        torch.manual_seed(5)
        losses.append(method.loss(Batch(inputs=CLOCK[:4])))
    inner = torch.stack([seen[0][:, 1, 0], seen[0][:, 2, 0]], 1)  # the two at the edges, of four that are seen
    torch.testing.assert_close(losses[0] - losses[1], 3.0 * (drawn[0] - inner).square().mean())
    assert built(middle_frame, edges=0.0).edges is None


@pytest.mark.parametrize("module", [next_frame, middle_frame])
def test_a_few_steps_teach_a_moving_bar(module) -> None:
    """A bar that moves by a pixel a frame: better than copying after a few steps."""
    torch.manual_seed(0)
    starts = torch.randint(0, SIZE, (64,))
    bar = torch.zeros(64, T, 1, SIZE, SIZE)
    places = (starts[:, None] + torch.arange(T)) % SIZE
    bar.scatter_(4, places.view(64, T, 1, 1, 1).expand(-1, -1, -1, SIZE, 1), 1.0)
    method = built(module)
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        method.loss(Batch(inputs=bar)).backward()
        optimiser.step()
    method.eval()
    with torch.no_grad():
        told = (
            method.forecast(bar[:, :4], 1)[:, 0] if module is next_frame else method.infill(bar[:, 2:4], bar[:, 5:7], 1)
        )
    assert (told - bar[:, 4]).square().mean() < 0.5 * (bar[:, 3] - bar[:, 4]).square().mean()


@pytest.mark.parametrize(
    ("module", "frames", "params", "reason"),
    [
        (next_frame, 4, {}, "no future after past=4"),
        (middle_frame, 4, {}, "no middle between sides=2"),
        (frame_order, 2, {}, "no 3 to put in order"),
        (arrow_of_time, 1, {}, "clips of one frame have no time"),
        (speed, 3, {}, "no two that are 3 apart"),
    ],
)
def test_clips_that_are_too_short_are_skipped_with_the_reason(module, frames: int, params: dict, reason: str) -> None:
    spec = DataSpec(inputs=VideoField(frames=frames, channels=1, size=SIZE))
    assert reason in module.harness_method().applies(spec, module.Config(**params))
    with pytest.raises(NotApplicable, match=reason):
        built(module, spec, **params)


@pytest.mark.parametrize(
    ("module", "params", "message"),
    [
        (next_frame, {"past": 0}, "past, ahead and copies"),
        (next_frame, {"norm": 3}, "norm"),
        (middle_frame, {"drawing": -1.0}, "drawing and edges are weights"),
        (frame_order, {"farthest": 0}, "farthest must be at least 1"),
        (frame_order, {"frames": 2}, "3 to 5 frames"),
        (arrow_of_time, {"shift": 0.7}, "shift is a fraction"),
        (speed, {"paces": 1}, "paces and frames"),
    ],
)
def test_odd_parameters_are_errors(module, params: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        resolve(module.Config, params, "it")
