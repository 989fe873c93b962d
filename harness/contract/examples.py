"""Small data that plugins are checked on: one batch of each kind, the same on every machine.

N examples, C channels, H=W pixels, T frames, L tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.batches import Batch, lengths_of
from harness.data.columns import InMemory, Texts, all_values
from harness.data.fields import PLURALS, DataKind, DataSpec, ImageField, TextField, VideoField
from harness.data.tokens import PADDING
from harness.records import Information
from harness.seeding import derived_generator

EXAMPLES = 32  # in a check's one batch
FRAMES = 5  # of a clip
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "juniper")


@dataclass(frozen=True, kw_only=True)
class SmallData:
    """One batch of examples of one kind to check a plugin on."""

    spec: DataSpec
    values: Tensor  # as a dataset keeps them: uint8 images (N,C,H,W) or clips (N,T,C,H,W), or tokens (N,L)
    labels: Tensor  # int64 (N,)
    captions: Tensor  # int64 (N,L): the class in words
    paired: Tensor | None  # uint8 like the values: the negative; texts have none

    @property
    def kind(self) -> DataKind:
        return self.spec.kind

    @property
    def title(self) -> str:
        return self.spec.inputs.title

    @property
    def thing(self) -> str:
        """What an example is: image, clip or text."""
        return PLURALS[self.kind].removesuffix("s")

    @property
    def inputs(self) -> Tensor:
        """As networks see them: float in [0,1], or tokens (N,L)."""
        return self.spec.inputs.ready(self.values)

    def batch(self, uses: Collection[Information]) -> Batch:
        """All examples, with what a method may see beside them and nothing else."""
        paired = {"paired", "unpaired"} & set(uses) and self.paired is not None
        return Batch(
            inputs=self.inputs,
            lengths=lengths_of(self.values) if self.kind == "text" else None,
            labels=self.labels if "labels" in uses else None,
            captions=self.captions if "captions" in uses else None,
            paired=self.spec.inputs.ready(self.paired) if paired else None,  # type: ignore[arg-type]
        )

    def padded(self, more: int) -> Tensor:
        """The same texts with `more` tokens of padding: (N,L+more)."""
        return nn.functional.pad(self.values, (0, more), value=PADDING)


def small_datasets(kinds: tuple[DataKind, ...] = ("image",), n: int = EXAMPLES) -> list[SmallData]:
    """What plugins that take these kinds are checked on, with n examples.

    8x8 grey images with ten classes and 16x16 coloured ones with four; grey clips of 8x8; texts of up to nine words.
    """
    made: list[SmallData] = []
    if "image" in kinds:
        made.append(generated_images(channels=1, size=8, classes=10, n=n))
        made.append(generated_images(channels=3, size=16, classes=4, n=n))
    if "video" in kinds:
        made.append(generated_clips(channels=1, size=8, classes=4, n=n))
    if "text" in kinds:
        made.append(generated_texts(classes=4, n=n))
    return made


def generated_images(*, channels: int, size: int, classes: int, n: int = EXAMPLES) -> SmallData:
    """Smooth seeded patterns, one for each class, moved and with noise: learnable, and the same on every machine."""
    generator = derived_generator(0, "contract images", f"{channels}x{size}x{classes}")
    patterns = _patterns(classes, channels, size, generator)  # (K,C,H,W)
    labels = torch.arange(n) % classes
    noise = 0.1 * torch.randn(n, channels, size, size, generator=generator)
    rows = torch.randint(-1, 2, (n,), generator=generator).tolist()
    moved = torch.stack([patterns[label].roll(row, dims=1) for label, row in zip(labels.tolist(), rows, strict=True)])
    images = (moved + noise).clamp(0, 1).mul(255).round().to(torch.uint8)  # (N,C,H,W)
    field = ImageField(channels=channels, size=size).measured(InMemory(images))
    return _small_data(field, images, labels, classes, 255 - images)


def generated_clips(*, channels: int, size: int, classes: int, n: int = EXAMPLES) -> SmallData:
    """The pattern of the class, which rolls down by a pixel a frame from a row of the clip's own, with noise."""
    generator = derived_generator(0, "contract clips", f"{channels}x{size}x{classes}")
    patterns = _patterns(classes, channels, size, generator)  # (K,C,H,W)
    labels = torch.arange(n) % classes
    noise = 0.1 * torch.randn(n, FRAMES, channels, size, size, generator=generator)
    starts = torch.randint(0, size, (n,), generator=generator).tolist()
    moved = [
        torch.stack([patterns[label].roll(start + frame, dims=1) for frame in range(FRAMES)])  # (T,C,H,W)
        for label, start in zip(labels.tolist(), starts, strict=True)
    ]
    clips = (torch.stack(moved) + noise).clamp(0, 1).mul(255).round().to(torch.uint8)  # (N,T,C,H,W)
    field = VideoField(frames=FRAMES, channels=channels, size=size).measured(InMemory(clips))
    return _small_data(field, clips, labels, classes, 255 - clips)


def generated_texts(*, classes: int, n: int = EXAMPLES) -> SmallData:
    """One to nine words, about half of them one of the two words that tell the class."""
    generator = derived_generator(0, "contract texts", str(classes))
    labels = torch.arange(n) % classes
    texts = [_text(label, generator) for label in labels.tolist()]
    field = TextField().measured(Texts(tuple(texts)))
    return _small_data(field, _tokens(texts, field), labels, classes, None)


def _text(label: int, generator: torch.Generator) -> str:
    length = int(torch.randint(1, 10, (), generator=generator))
    own = torch.rand(length, generator=generator) < 0.5
    drawn = torch.randint(0, len(WORDS), (length,), generator=generator).tolist()
    telling = [WORDS[(2 * label + index % 2) % len(WORDS)] for index in drawn]
    return " ".join(telling[place] if own[place] else WORDS[drawn[place]] for place in range(length))


def _patterns(classes: int, channels: int, size: int, generator: torch.Generator) -> Tensor:
    """A smooth image in [0,1] for each class: (K,C,H,W)."""
    coarse = torch.rand(classes, channels, size // 2, size // 2, generator=generator)
    return nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def _small_data(
    field: ImageField | VideoField | TextField,
    values: Tensor,
    labels: Tensor,
    classes: int,
    paired: Tensor | None,
) -> SmallData:
    captions = [f"an example of class {label}" for label in labels.tolist()]
    words = TextField().measured(Texts(tuple(captions)))
    spec = DataSpec(
        inputs=field,
        classes=tuple(f"class {label}" for label in range(classes)),
        captions=words,
        paired_domain="" if paired is None else "negative",
    )
    tokens = _tokens(captions, words)
    return SmallData(spec=spec, values=values, labels=labels, captions=tokens, paired=paired)


def _tokens(texts: Sequence[str], field: TextField) -> Tensor:
    """int64 (N,L)."""
    return all_values(field.read(Texts(tuple(texts)), field)[0])
