"""What a subject's frozen backbone makes of each place of an image: maps, or the tokens of patches.

B images, C channels, H=W pixels, D features, h,w positions.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from harness.judging.subject import Subject


def positions_of(subject: Subject) -> Callable[[Tensor], Tensor]:
    """A function of images (B,C,H,W) in [0,1] that gives (B,D,h,w), for `subject.batched`.

    The trunk sees what `encode` gives to it (an image's lightness alone, say). Raises NotApplicable where the method
    has no backbone, and the function where that sees no positions.
    """
    backbone = subject.backbone
    return lambda images: backbone.positions(subject.trunk_inputs(images))
