"""A training that is interrupted goes on from its state to the same bits, and what cannot be kept is said."""

from __future__ import annotations

import errno
import itertools
import random
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import Interrupted, Training, case_of, first_difference, trained
from torch import nn

from harness import state_file
from harness.contract.methods import MethodCase
from harness.data.batches import Batch
from harness.records import StatePace
from harness.registry import METHOD_KINDS, Registry
from harness.snapshot import Unfit
from harness.training_state import found_state

REGISTRY = Registry()
# An EMA, a centre, a queue of keys, two networks in turn with two optimisers, words and their masks, clips.
METHODS = ("vae", "gan", "byol", "dino", "moco", "masked-word", "next-frame", "supervised", "text-to-image", "cyclegan")


def case(name: str) -> MethodCase:
    found = case_of(name, REGISTRY)
    assert found is not None
    return found


def cut(case: MethodCase, file: Path, stop: int, **how: Any) -> Training:
    """Interrupted while it takes the step after `stop`, then gone on with."""
    with pytest.raises(Interrupted):
        trained(case, file, stop=stop, **how)
    return trained(case, file, **how)


@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_training_comes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    known = case(name)
    assert first_difference(trained(known), cut(known, tmp_path / "key/training.state", 4)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [info.name for info in REGISTRY.infos() if info.kind in METHOD_KINDS])
def test_every_method_comes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    if name in ("checkpoint", "timm-encoder", "torchvision-encoder", "transformers-encoder"):
        pytest.skip("it does not train")
    known = case_of(name, REGISTRY)
    if known is None:
        pytest.skip("it takes no steps")
    whole = trained(known)
    for stop in (1, 3, 7):
        again = cut(known, tmp_path / f"{stop}/training.state", stop)
        assert first_difference(whole, again) == "", f"after step {stop}"


def test_after_any_step(tmp_path: Path) -> None:
    """Epochs have three steps: in the midst of one, and between two."""
    known = case("vae")
    whole = trained(known)
    for stop in range(1, 8):
        assert first_difference(whole, cut(known, tmp_path / f"{stop}/training.state", stop)) == ""


def test_interrupted_again_and_again(tmp_path: Path) -> None:
    known, file = case("moco"), tmp_path / "key/training.state"
    for stop in (1, 2, 5):
        with pytest.raises(Interrupted):
            trained(known, file, stop=stop)
    assert first_difference(trained(known), trained(known, file)) == ""


def test_judging_that_is_interrupted_costs_no_training(tmp_path: Path) -> None:
    known, file = case("vae"), tmp_path / "key/training.state"
    whole = trained(known, file)
    assert state_file.read_head(file, "key")["done"] == 1
    assert first_difference(whole, trained(known, file)) == ""


@pytest.mark.parametrize(
    "config",
    [
        {"optimiser": "sgd"},
        {"optimiser": "lars", "learning_rate": 0.1},
        {"clip_norm": 1.0, "warmup": 0.5, "final_weight_decay": 0.2},
        {"schedule": "steps[0.4,0.7;0.5]"},
    ],
)
def test_whatever_the_optimiser(config: dict[str, Any], tmp_path: Path) -> None:
    known = case("simsiam")  # whose predictor has a rate of its own
    whole, again = trained(known, **config), cut(known, tmp_path / "key/training.state", 4, **config)
    assert first_difference(whole, again) == ""


def test_a_budget_in_seconds_goes_on_with_what_is_left(tmp_path: Path) -> None:
    known, file = case("rotation"), tmp_path / "key/training.state"
    with pytest.raises(Interrupted):
        trained(known, file, budget="1.5 s", stop=3)
    before = state_file.read_head(file, "key")
    started = time.perf_counter()
    after = trained(known, file, budget="1.5 s").result
    assert 0 < before["seconds"] < 1.5 <= after.seconds
    assert before["steps"] == 3 < after.steps
    assert before["done"] == pytest.approx(before["seconds"] / 1.5)
    assert after.seconds - before["seconds"] < time.perf_counter() - started


# What methods keep, and where. ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Frozen, with something inside that is not."""

    seen: dict[str, int]
    act: Callable[[torch.Tensor], torch.Tensor] = torch.tanh


class Schedule:
    """An object of a class of the plugin's own."""

    def __init__(self) -> None:
        self.steps = 0

    def next(self) -> float:
        self.steps += 1
        return 1 / self.steps


def counter() -> Callable[[], int]:
    count = 0

    def up() -> int:
        nonlocal count
        count += 1
        return count

    return up


class Awkward(nn.Module):
    """Keeps state in every place that a snapshot can see; each has its part in the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 8)
        self.hidden = [nn.BatchNorm1d(8)]  # no module of its owner
        self.settings = Settings({})
        self.schedule = Schedule()
        self.up = counter()
        self.generators = {
            "torch": torch.Generator().manual_seed(1),
            "numpy": np.random.default_rng(2),
            "older": np.random.RandomState(3),
            "python": random.Random(4),
        }
        self.queue: deque[torch.Tensor] = deque(maxlen=3)
        self.mean = np.zeros((2, 4), dtype=np.float32)
        self.last = torch.zeros(0)
        self.also = self.last
        self.register_buffer("bank", torch.zeros(0, 8), persistent=False)
        self.register_buffer("view", torch.zeros(8))
        self.names: set[int] = set()
        self.frozen = False

    def loss(self, batch: Batch) -> torch.Tensor:
        z = self.hidden[0](self.layer(batch.inputs.flatten(1)))
        z = z + 0.1 * torch.randn_like(z) + float(np.random.rand()) + random.random()
        z = z + torch.rand(8, generator=self.generators["torch"])
        z = z * float(self.generators["numpy"].random() + self.generators["older"].rand())
        z = z + self.generators["python"].random() + self.schedule.next() + self.up()
        target = sum(self.queue, torch.zeros(8)) + float(self.mean.sum()) + self.view
        target = target + (self.bank.mean(0) if len(self.bank) else 0) + len(self.names) + self.also.sum()
        target = target + self.settings.seen.get("steps", 0) + (1.0 if self.training else 0.0)
        return self.settings.act(z - target).square().mean()

    def after_step(self) -> None:
        self.queue.append(self.layer.weight.detach().mean(1).clone())
        self.mean += 0.5
        self.bank = torch.cat([self.bank, self.queue[-1][None]])
        self.view = self.view + 1
        self.last = self.last + 1 if len(self.last) else torch.ones(2)
        self.also = self.last
        self.names.add(len(self.bank))
        self.settings.seen["steps"] = self.settings.seen.get("steps", 0) + 1
        if len(self.bank) == 3:
            self.frozen = True
            self.layer.bias.requires_grad_(False)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


def test_state_of_every_kind_comes_back(tmp_path: Path) -> None:
    def build() -> Awkward:
        torch.manual_seed(0)
        return Awkward()

    known = case("rotation")
    whole = trained(known, build=build)
    for stop in (1, 2, 4, 6):
        again = cut(known, tmp_path / f"{stop}/training.state", stop, build=build)
        assert "not kept" not in again.result.note
        assert first_difference(whole, again) == "", f"after step {stop}"
        assert len(again.method.queue) == 3
        assert again.method.also is again.method.last
        assert again.method.settings.seen == {"steps": 8}
        assert not again.method.layer.bias.requires_grad
        assert again.method.hidden[0].running_mean.equal(whole.method.hidden[0].running_mean)


STEPS = 0  # of this module


class Spoiled(nn.Module):
    def __init__(self, spoil: Callable[[Any], object]) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 8)
        self.spoil = [spoil]

    def loss(self, batch: Batch) -> torch.Tensor:
        return self.layer(batch.inputs.flatten(1)).square().mean()

    def after_step(self) -> None:
        self.spoil[0](self)


def in_the_module(method: Any) -> None:
    global STEPS
    STEPS += 1


def in_the_class(method: Any) -> None:
    Spoiled.steps = getattr(Spoiled, "steps", 0) + 1


def an_iterator(method: Any) -> None:
    method.stream = itertools.cycle([1, 2])


def a_new_layer(method: Any) -> None:
    method.extra = nn.Linear(2, 2)


def a_new_weight(method: Any) -> None:
    method.layer.bias = nn.Parameter(torch.zeros(8))


def objects_in_a_list(method: Any) -> None:
    method.__dict__.setdefault("schedules", []).append(Schedule())


def an_open_file(method: Any) -> None:
    if not hasattr(method, "log"):
        method.log = open(__file__)  # noqa: SIM115


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (in_the_module, r"test_training_state\.STEPS changed, and is no part of the method"),
        (in_the_class, r"Spoiled\.steps changed, and is no part of the method"),
        (an_iterator, r"method\.stream is a cycle"),
        (a_new_layer, r"method\.extra is a Linear that was not there when training began"),
        (a_new_weight, r"a weight that was trained is none of the method's any more"),
        (objects_in_a_list, r"method\.schedules\[0\] is a Schedule that was not there"),
        (an_open_file, r"method\.log is a TextIOWrapper"),
    ],
)
def test_what_cannot_be_kept_is_said_and_costs_nothing_else(
    spoil: Callable[[Any], object], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "key/training.state"
    done = trained(case("rotation"), file, build=lambda: Spoiled(spoil))
    assert done.result.steps == 8
    assert done.result.note.count("was not kept under way: ") == 1
    assert re.search(words, done.result.note), done.result.note
    assert not file.exists()
    if hasattr(done.method, "log"):
        done.method.log.close()


# The file. --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The state that an interrupted training left."""
    file = tmp_path_factory.mktemp("left") / "key/training.state"
    with pytest.raises(Interrupted):
        trained(case("rotation"), file, stop=4)
    return file.read_bytes()


def test_a_damaged_state_is_named_and_training_starts_anew(left: bytes, tmp_path: Path) -> None:
    known, file = case("rotation"), tmp_path / "key/training.state"
    whole = trained(known)
    file.parent.mkdir()
    places = [0, 30, 200, len(left) // 2, len(left) - 1]
    damaged = [left[:place] + bytes([left[place] ^ 4]) + left[place + 1 :] for place in places]
    for content in (*damaged, b"", left[:100], left[:-1], left + b"\0"):
        file.write_bytes(content)
        again = trained(known, file, pace=StatePace())
        assert "the state of its interrupted training is damaged (" in again.result.note
        assert "\n" not in again.result.note
        assert not file.exists()
        assert first_difference(whole, Training(again.method, replace(again.result, note=""), again.draws)) == ""


def test_no_flipped_bit_is_believed(left: bytes, tmp_path: Path) -> None:
    file, draw = tmp_path / "training.state", random.Random(0)
    for _ in range(100):
        place = draw.randrange(len(left)) if draw.random() < 0.5 else draw.randrange(3000)
        file.write_bytes(left[:place] + bytes([left[place] ^ (1 << draw.randrange(8))]) + left[place + 1 :])
        with pytest.raises(state_file.Damaged):
            state_file.read_head(file, "key")


def test_the_state_of_another_cell_is_not_taken(left: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key/training.state"
    file.parent.mkdir()
    file.write_bytes(left)
    again = trained(case("rotation"), file, key="another", pace=StatePace())
    assert "it is that of another cell" in again.result.note
    assert again.result.steps == 8


def test_the_state_of_another_method_does_not_fit(left: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key/training.state"
    file.parent.mkdir()
    file.write_bytes(left)
    with pytest.raises(Unfit):
        trained(case("vae"), file)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").write_text("mine")
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    file = tmp_path / "key/training.state"
    state_file.write_state(file, {"key": "key"}, [])
    assert not (tmp_path / "key").is_symlink()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere/precious")
    (tmp_path / "key/.training.state.new").symlink_to(tmp_path / "elsewhere/precious")
    state_file.write_state(file, {"key": "key"}, [])
    assert state_file.read_head(file, "key") == {"key": "key", "tensors": []}
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["precious"]
    assert (tmp_path / "elsewhere/precious").read_text() == "mine"


def test_a_full_disk_is_noted_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, write, calls = tmp_path / "key/training.state", state_file.write_state, []

    def full(*given: Any) -> None:
        calls.append(given)
        if len(calls) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*given)

    monkeypatch.setattr(state_file, "write_state", full)
    known = case("rotation")
    done = trained(known, file)
    assert done.result.note == "the state of its training could not be written (No space left on device)"
    assert len(calls) == 8
    assert state_file.read_head(file, "key")["steps"] == 2  # what was written stays
    monkeypatch.undo()
    assert first_difference(trained(known), trained(known, file)) == ""


def test_it_is_written_after_a_minute_and_then_every_half_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes ten seconds here; where writing takes long it comes less often, and at the end in any case."""
    written = seconds_of_writing(monkeypatch, tmp_path, slow=0.0)
    assert written == [60, 90, 120, 150, 180, 200]
    assert seconds_of_writing(monkeypatch, tmp_path, slow=2.0) == [60, 160, 200]


def seconds_of_writing(monkeypatch: pytest.MonkeyPatch, folder: Path, slow: float) -> list[int]:
    now, times = [0.0], []
    monkeypatch.setattr("harness.clock.time.perf_counter", lambda: now[0])

    class Slow(Spoiled):
        def after_step(self) -> None:
            now[0] += 10

    def write(file: Path, head: dict[str, Any], tensors: Any) -> None:
        times.append(round(head["seconds"]))
        now[0] += slow

    monkeypatch.setattr(state_file, "write_state", write)
    done = trained(case("rotation"), folder / "training.state", steps=20, pace=StatePace(), build=lambda: Slow(len))
    assert done.result.seconds == 200  # writing takes no time of training
    monkeypatch.undo()
    return times


def test_a_training_of_less_than_a_minute_writes_nothing(tmp_path: Path) -> None:
    trained(case("rotation"), tmp_path / "key/training.state", pace=StatePace())
    assert list(tmp_path.iterdir()) == []
    assert found_state(None, "key") == (None, "")
