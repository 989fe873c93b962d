"""What a subject's frozen backbone makes of each place of an image: maps, or the tokens of patches.

B images, C channels, H=W pixels, D features, h,w positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.judging.subject import Subject
from harness.nn.backbone import Backbone


class _Reached(Exception):
    """The trunk was called: with what, is all that is asked."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs


def positions_of(subject: Subject) -> Callable[[Tensor], Tensor]:
    """A function of images (B,C,H,W) in [0,1] that gives (B,D,h,w), for `subject.batched`.

    The trunk sees what `encode` makes of an image (its lightness alone, say, or each image standardised by itself).
    Raises NotApplicable where the method has no backbone, or one that sees no positions.
    """
    method, backbone = subject.method, getattr(subject.method, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise NotApplicable(f"{subject.cell.method.name} has no backbone whose positions can be read")
    return lambda images: backbone.positions(as_encoded(method, backbone, images))


def as_encoded(method: Any, backbone: Backbone, images: Tensor) -> Tensor:
    """What reaches the trunk when the method encodes images: standardised (B,C,H,W).

    Where encoding does not call the trunk once for all of them, it is what the backbone makes of them.
    """

    def stop(trunk: nn.Module, args: tuple[Any, ...]) -> None:
        raise _Reached(args[0])

    handle = backbone.trunk.register_forward_pre_hook(stop)
    try:
        method.encode(images)
    except _Reached as reached:
        if len(reached.inputs) == len(images):
            return reached.inputs
    finally:
        handle.remove()
    return backbone.standardise(images)
