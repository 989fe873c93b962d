"""The contract of methods that draw futures: a sound one passes, and each way to break it is found by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.contract.kit import one_thread, run_check, small_datasets
from harness.contract.methods import method_checks
from harness.plugin.specs import MethodSpec
from harness.registry import Registry
from harness_plugins.pretext.stochastic_next_frame import Config, StochasticNextFrame

CHECK = "draws_futures_from_its_generator_alone"


class Unseeded(StochasticNextFrame):
    def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        return super().sample_future(past, steps, torch.Generator().manual_seed(int(torch.randint(1000, ()))))


class Certain(StochasticNextFrame):
    def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        return self.forecast(past, steps)


class Short(StochasticNextFrame):
    def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        return super().sample_future(past, steps, generator)[:, 1:]


class Dark(StochasticNextFrame):
    def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        return super().sample_future(past, steps, generator) - 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (StochasticNextFrame, ""),
        (Unseeded, "sample_future() depends on more than the generator"),
        (Certain, "sample_future() gives the same images whatever its generator"),
        (Short, "sample_future() returned (5, 3, 1, 8, 8), expected (5, 4, 1, 8, 8)"),
        (Dark, "sample_future() returned values from"),
    ],
)
def test_futures_are_drawn_from_the_generator_alone(build: type, message: str) -> None:
    spec = MethodSpec(name="futures", kind="pretext", build=build, config=Config, source="own work", takes=("video",))
    trunk = Registry().load("conv3d", ("backbone",)).spec
    with one_thread():
        checks = method_checks(spec, Config(past=2), small_datasets(("video",))[0], trunk)
        (found,) = [run_check("futures", name, check) for name, check in checks if name.partition(" ")[0] == CHECK]
    assert found.status == ("failed" if message else "ok")
    assert message in found.detail
