"""Static binarisation of grey images: each pixel is drawn once, white with its grey value as the probability.

P(white) = grey / 255. Salakhutdinov and Murray 2008, On the Quantitative Analysis of Deep Belief Networks, section 4.
Likelihoods of binary images are published for it. Differs from the paper: the draw is ours, not the file that others
pass on, so likelihoods agree in expectation over draws.

N images, C channels, H=W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.seeding import derived_generator


def binarised(images: Tensor, *purpose: str) -> Tensor:
    """uint8 (N,C,H,W) of any grey -> uint8 of 0 and 255. The draw depends on `purpose` and on nothing else.

    >>> binarised(torch.tensor([0, 255], dtype=torch.uint8), "example").tolist()
    [0, 255]
    """
    generator = derived_generator(0, "binarisation", *purpose)
    thresholds = torch.randint(255, images.shape, dtype=torch.uint8, generator=generator)  # 0 to 254
    return (images > thresholds).to(torch.uint8) * 255
