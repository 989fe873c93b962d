"""What the layers of a method's backbone make of some inputs, as Gram matrices: activations are not kept.

N inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from harness.metrics.centred_alignment import gram

PASSED_ON = (nn.Identity, nn.Dropout, nn.Flatten)  # what changes nothing that CKA sees in eval mode


def layers_of(method: Any) -> dict[str, nn.Module]:
    """The parts of a method's backbone in the order that its trunk has them, by name; none where it has no backbone.

    Children of the trunk, and of those that are a sequence of blocks, each block.
    """
    trunk = getattr(getattr(method, "backbone", None), "trunk", None)
    if not isinstance(trunk, nn.Module):
        return {}
    found: dict[str, nn.Module] = {}
    for name, child in trunk.named_children():
        blocks = child.named_children() if isinstance(child, nn.Sequential) else ()
        parts = {f"{name}.{number}": block for number, block in blocks} or {name: child}
        found |= {key: part for key, part in parts.items() if not isinstance(part, PASSED_ON)}
    return {f"{name} {type(part).__name__}": part for name, part in found.items()}


@contextmanager
def watched(layers: dict[str, nn.Module], n: int) -> Iterator[dict[str, Tensor]]:
    """Inside, each of the layers leaves the Gram matrix (N,N) of its last output for n inputs, by name, on the CPU.

    An output that is no tensor of n rows leaves none.
    """
    grams: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 1 and len(output) == n:
            grams[name] = gram(output.detach().float()).cpu()

    handles = [module.register_forward_hook(partial(keep, name)) for name, module in layers.items()]
    try:
        yield grams
    finally:
        for handle in handles:
            handle.remove()
