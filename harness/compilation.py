"""`--compile`: the backbone of a method through torch.compile while it trains; it is what most of a step is spent in.

The rest of a loss draws random views, logs, and branches on its data: torch.compile would break it into pieces, and
draw other numbers. The first step waits for the compiler, for 10 to 200 seconds, which count as training; last digits
may differ from those without, so that a compiled cell is another cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from harness.errors import TrainingFailed
from harness.nn.backbone import Backbone
from harness.reasons import reason_of


@contextmanager
def compiled_backbones(method: nn.Module) -> Iterator[None]:
    """The trunk of each backbone in `method`, copies that follow it by averaging too, compiled as long as this lasts.

    Evaluations then run without: other batch sizes, and no gradient, would each be compiled again.
    """
    trunks: list[Any] = [module.trunk for module in method.modules() if isinstance(module, Backbone)]
    for trunk in trunks:
        trunk.forward = torch.compile(trunk.forward)
    try:
        yield
    finally:
        for trunk in trunks:
            del trunk.forward


@contextmanager
def first_step_compiles() -> Iterator[None]:
    """Around a step: what fails there says that it was compiled."""
    try:
        yield
    except TrainingFailed:
        raise
    except Exception as error:
        raise TrainingFailed(f"the first step with --compile failed, run it without: {reason_of(error)}") from error


def compiling(method: nn.Module, wanted: bool) -> Any:
    """`compiled_backbones`, if that is wanted."""
    return compiled_backbones(method) if wanted else nullcontext()
