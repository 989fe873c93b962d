"""`--compile`: the backbone of a method through torch.compile while it trains; it is what most of a step is spent in.

The rest of a loss draws random views, logs, and branches on its data: torch.compile would break it into pieces, and
draw other numbers. The first compiled step waits for the compiler, for 10 to 200 seconds, which count as training; last
digits may differ from those without, so that a compiled cell is another cell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import TrainingFailed
from harness.nn.backbone import Backbone
from harness.reasons import reason_of


class CompiledSteps:
    """Takes steps with the trunk of each backbone in `method` compiled, and of copies that follow one by averaging.

    Between steps, where others look at the method, it is as it was: other batch sizes and evaluation would each be
    compiled again.
    """

    def __init__(self, method: nn.Module) -> None:
        trunks: list[Any] = [module.trunk for module in method.modules() if isinstance(module, Backbone)]
        self.compiled = {trunk: torch.compile(trunk.forward) for trunk in trunks}
        self.note = ""  # how long the first step took

    def __call__(self, step: Callable[[], Tensor]) -> Tensor:
        """Raises TrainingFailed where the first step fails, since that compiles."""
        started = time.perf_counter()
        try:
            with self._in_place():
                loss = step()
        except TrainingFailed:
            raise
        except Exception as error:
            if self.note:
                raise
            raise TrainingFailed(f"the first step with --compile failed, run it without: {reason_of(error)}") from error
        self.note = self.note or f"compiled: the first step took {time.perf_counter() - started:.1f} s"
        return loss

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        for trunk, forward in self.compiled.items():
            trunk.forward = forward
        try:
            yield
        finally:
            for trunk in self.compiled:
                del trunk.forward
