"""Encoders that were trained elsewhere: a network of another library that sees images as it saw them in training.

B images, C channels, H=W pixels, S pixels of the network's input, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import NotApplicable

AT_ONCE = 2**22  # pixels of a batch that a network sees at a time: 83 images of 224 pixels


class PretrainedEncoder(nn.Module):
    """What a network gives for images in [0,1] of any size, grey or in colour: (B,C,H,W) -> (B,D). It is never trained.

    network: standardised images (B,3,S,S) -> (B,D), or maps (B,D,h,w), whose mean is taken. note: what a reader must
    know of its weights. Differs from what such networks were tested with: all of an image is resized, nothing cropped.
    """

    mean: Tensor  # (1,3,1,1)
    std: Tensor

    def __init__(
        self, network: nn.Module, *, size: int, mean: Sequence[float], std: Sequence[float], note: str = ""
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size = size  # S
        self.note = note
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """It stays in eval mode, as it was trained to be used."""
        return super().train(False)

    def encode(self, images: Tensor) -> Tensor:
        """(B,C,H,W) in [0,1], of one channel or of three -> (B,D)."""
        return torch.cat([self._encoded(part) for part in images.split(max(1, AT_ONCE // self.size**2))])

    def _encoded(self, images: Tensor) -> Tensor:
        images = resized(images, self.size).expand(-1, self.mean.shape[1], -1, -1)  # (B,3,S,S)
        features = self.network((images - self.mean) / self.std)
        return features.mean((2, 3)) if features.ndim == 4 else features


def resized(images: Tensor, size: int) -> Tensor:
    """(B,C,H,W) -> (B,C,S,S) by bicubic interpolation, antialiased where that is smaller; in [0,1] as before."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)


def require_takes(network: nn.Module, channels: int, size: int, name: str) -> Tensor:
    """What a network gives for one black image, (1,D) or (1,D,h,w).

    Raises NotApplicable, with its own words, where it takes no such image.
    """
    training = network.training
    try:
        with torch.no_grad():
            return network.eval()(torch.zeros(1, channels, size, size))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise NotApplicable(f"{name} takes no images of {size}x{size}x{channels} ({reason}): choose another") from error
    finally:
        network.train(training)


def require_installed(library: str) -> None:
    """Raise ValueError, with the command that installs it, where an optional library is not there."""
    if find_spec(library) is None:
        raise ValueError(f"{library} is not installed: pip install 'harness[{library}]'")


def require_known(name: str, names: Iterable[str], library: str) -> None:
    """Raise ValueError, with the nearest name, unless the library has a model of this name."""
    known = set(names)
    if name in known:
        return
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean '{near[0]}'?" if near else f"{library}'s list_models() has their names"
    raise ValueError(f"there is no model '{name}': {advice}")


def numbers_of(text: str, what: str) -> tuple[float, ...]:
    """`0.485,0.456,0.406` as numbers; nothing of "". Raises ValueError that says how `what` is written.

    >>> numbers_of("0.5, 0.25", "mean"), numbers_of("", "mean")
    ((0.5, 0.25), ())
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"{what} is one number for each channel: write {what}='0.5,0.5,0.5'") from None
