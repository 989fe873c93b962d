"""What one kind of data looks like: images, clips, texts. Only the field of a dataset's inputs knows the kind.

A field says how a column of its values is kept, what is measured of the training split, what a network sees, and how a
column of another dataset is read as its own. Its work is in `harness.data.images`, `.clips` and `.texts`; here is no
torch, so that a plan can read declarations without it.

N examples, B a batch of them, C channels, H=W pixels, T frames, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from harness.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.columns import Column

DataKind = Literal["image", "video", "text"]
ANY: tuple[DataKind, ...] = ("image", "video", "text")
PLURALS: dict[str, str] = {"image": "images", "video": "clips", "text": "texts"}  # of what is counted


@dataclass(frozen=True, kw_only=True)
class ImageField:
    """Images: kept as uint8 (N,C,H,W), seen as float (B,C,H,W) in [0,1]."""

    channels: int
    size: int  # H = W, in pixels
    mean: tuple[float, ...] = ()  # per channel, of the training split, in [0,1]; empty until it is measured
    std: tuple[float, ...] = ()
    mirror: bool = False  # is a mirrored image one of the same kind? Of clothes and photographs yes, of writing no
    kind: ClassVar[DataKind] = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C,H,W)."""
        return (self.channels, self.size, self.size)

    @property
    def title(self) -> str:
        """`28x28x1`."""
        return f"{self.size}x{self.size}x{self.channels}"

    def check(self, column: Column) -> None:
        """Raise ValueError, with what was found and expected, unless the column holds such images."""
        from harness.data import images

        images.check(column, self.shape)

    def measured(self, train: Column) -> ImageField:
        """The same with mean and std of the training split."""
        from harness.data import images

        mean, std = images.column_statistics(train)
        return replace(self, mean=mean, std=std)

    def ready(self, values: Tensor) -> Tensor:
        """uint8 (B,C,H,W) as it is kept -> float32 in [0,1], as networks see it."""
        from harness.data import images

        return images.to_float(values)

    def read(self, column: Column, of: Field) -> tuple[Column, str]:
        """A column of another dataset, whose field is `of`, as images of this field; and what was done to it.

        Raises NotApplicable if it holds no images.
        """
        from harness.data import images

        require_kind(self, of)
        assert isinstance(of, ImageField)
        if of.shape == self.shape:
            return column, ""
        return images.resized(column, self.channels, self.size), f"resized from {of.title} to {self.title}"


@dataclass(frozen=True, kw_only=True)
class VideoField:
    """Clips: kept as uint8 (N,T,C,H,W), seen as float (B,T,C,H,W) in [0,1]."""

    frames: int  # T
    channels: int
    size: int  # H = W, in pixels
    mean: tuple[float, ...] = ()  # per channel, of all frames of the training split, in [0,1]
    std: tuple[float, ...] = ()
    rate: float = field(default=0.0, repr=False)  # frames a second, for films; 0: not known
    kind: ClassVar[DataKind] = "video"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T,C,H,W)."""
        return (self.frames, self.channels, self.size, self.size)

    @property
    def title(self) -> str:
        """`8 frames of 28x28x1`."""
        return f"{self.frames} frames of {self.frame.title}"

    @property
    def frame(self) -> ImageField:
        """One frame of such a clip, with the statistics of all of them."""
        return ImageField(channels=self.channels, size=self.size, mean=self.mean, std=self.std)

    def check(self, column: Column) -> None:
        """Raise ValueError, with what was found and expected, unless the column holds such clips."""
        from harness.data import images

        images.check(column, self.shape)

    def measured(self, train: Column) -> VideoField:
        """The same with mean and std of the training split."""
        from harness.data import images

        mean, std = images.column_statistics(train)
        return replace(self, mean=mean, std=std)

    def ready(self, values: Tensor) -> Tensor:
        """uint8 (B,T,C,H,W) as it is kept -> float32 in [0,1], as networks see it."""
        from harness.data import images

        return images.to_float(values)

    def read(self, column: Column, of: Field) -> tuple[Column, str]:
        """A column of another dataset as clips of this field: frames are resized, and as many taken, evenly spaced.

        Raises NotApplicable if it holds no clips.
        """
        from harness.data import clips

        require_kind(self, of)
        assert isinstance(of, VideoField)
        if of.shape == self.shape:
            return column, ""
        return clips.resized(column, *self.shape[:3]), f"changed from {of.title} to {self.title}"


@dataclass(frozen=True, kw_only=True)
class TextField:
    """Texts: kept as strings until the source's field reads them, seen as tokens int64 (B,L), PADDING after the end."""

    length: int = 0  # L, tokens of every text; 0: those of the longest one in training, once it is measured
    words: int = 0  # the most frequent so many are known, all others are UNKNOWN; 0: all that training has
    pieces: int = 0  # tokens are pieces of words, by byte-pair encoding, so many of them; 0: they are words
    tokenizer: str = ""  # of the `tokenizers` library, as JSON; empty until it is trained on the training split
    kind: ClassVar[DataKind] = "text"

    @property
    def shape(self) -> tuple[int]:
        """(L,)."""
        return (self.length,)

    @property
    def title(self) -> str:
        """`texts of 64 tokens`."""
        return f"texts of {self.length} tokens" if self.length else "texts"

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The known words by token, after "" for PADDING and "?" for UNKNOWN; empty until the tokenizer is trained.

        Pieces are written as the tokenizer does, with a character for each byte.
        """
        from harness.data import texts

        return texts.vocabulary_of(self.tokenizer)

    def check(self, column: Column) -> None:
        """Raise ValueError unless the column holds texts."""
        from harness.data import texts

        texts.check(column)

    def measured(self, train: Column) -> TextField:
        """The same with a tokenizer that is trained on the training split, and the length of its longest text."""
        from harness.data import texts

        tokenizer = self.tokenizer or self._trained(texts.strings_of(train))
        length = self.length or texts.longest(tokenizer, texts.strings_of(train))
        return replace(self, tokenizer=tokenizer, length=length)

    def _trained(self, strings: Sequence[str]) -> str:
        from harness.data import texts

        return (
            texts.trained_pieces(strings, self.pieces) if self.pieces else texts.trained_tokenizer(strings, self.words)
        )

    def ready(self, values: Tensor) -> Tensor:
        """Tokens (B,L) as they are."""
        return values

    def read(self, column: Column, of: Field) -> tuple[Column, str]:
        """Texts of any dataset as tokens of THIS field's tokenizer; no note. Raises NotApplicable if they are none."""
        from harness.data import texts

        require_kind(self, of)
        assert self.tokenizer, "the tokenizer is trained when the dataset is loaded"
        return texts.tokenised(column, self.tokenizer, self.length), ""

    def text(self, tokens: Tensor) -> str:
        """What one text's tokens (L,) say, without padding: words with blanks between them, or pieces put together."""
        from harness.data import texts

        return texts.text_of(self.tokenizer, tokens.tolist())


Field = ImageField | VideoField | TextField
F = TypeVar("F", ImageField, VideoField, TextField, ImageField | VideoField | TextField, covariant=True)


def require_kind(field: Field, other: Field) -> None:
    """Raise NotApplicable unless both are of one kind."""
    if field.kind != other.kind:
        raise NotApplicable(f"it was trained on {PLURALS[field.kind]}, these are {PLURALS[other.kind]}")


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A known cause of how an example looks, with finitely many values: colour, with red, green, blue."""

    name: str
    values: tuple[str, ...]  # names of the values, by index
    in_caption: bool = True  # do captions tell its value?


@dataclass(frozen=True, kw_only=True)
class DataSpec(Generic[F]):
    """What a dataset looks like to a method: its inputs, and what is known of each, if anything.

    What only the data can tell (mean, std, tokenizers) is empty in a dataset's description and there once it is loaded.
    """

    inputs: F
    classes: tuple[str, ...] = ()  # class names by label; empty: the dataset has no labels
    captions: TextField | None = None  # of each example; None: it has no captions
    paired_domain: str = ""  # the domain of the paired images that translation starts from: "outline"; empty: none
    factors: tuple[Factor, ...] = ()
    targets: tuple[str, ...] = ()  # names, with units, of the numbers known of each example: "x in pixels"
    regions: tuple[str, ...] = ()  # what a pixel may show, by mask value, the background first; empty: nobody knows

    @property
    def kind(self) -> DataKind:
        """`image`, `video` or `text`."""
        return self.inputs.kind
