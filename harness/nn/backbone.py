"""The encoder that all methods of a run share, so that only the objective differs.

B examples, C channels, H=W pixels, T frames, L tokens, D features, h,w positions of the maps before the spatial mean, S
pixels of a patch's side, K patches that are kept, E tokens that stand before those of patches, n stages, M layers
of words' states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.fields import DataSpec, TextField
from harness.errors import NotApplicable
from harness.nn.stages import Stage, grouped, whole


@dataclass(frozen=True)
class PatchTokens:
    """How a trunk that sees an image as patches gives what it makes of each of them."""

    encode: Callable[[nn.Module, Tensor, Tensor | None], Tensor]  # (trunk, standardised, kept (B,K)) -> (B,E+K,D)
    side: int  # S
    extra: int = 0  # E: 1 for a class token
    frames: int = 1  # of a tube, where it sees clips as tubes


@dataclass(frozen=True)
class WordStates:
    """How a trunk that reads texts gives what it makes of each word."""

    encode: Callable[
        [nn.Module, Tensor], Sequence[Tensor]
    ]  # (trunk, tokens (B,L)) -> M times (B,L,D), the last at last
    names: tuple[str, ...]  # of the M layers
    look_back: Callable[[nn.Module], None]  # (trunk): from now on a word's states know nothing of later words
    vectors: Callable[[nn.Module], Tensor] | None = None  # (trunk) -> (V,D) itself, to read words with


class Backbone(nn.Module):
    """A trunk with the input standardisation of its source.

    backbone(inputs)        images (B,C,H,W) or clips (B,T,C,H,W) in [0,1], or tokens of texts (B,L) -> (B,D)
    backbone.trunk(inputs)  the same for inputs that are standardised already, e.g. jigsaw tiles
    backbone.maps(images)   (B,C,H,W) in [0,1] -> (B,D,h,w), whose mean over positions is backbone(images) in eval mode
    backbone.positions(images)     (B,C,H,W), standardised, -> (B,D,h,w): maps, or tokens where their patches are
    backbone.tokens(images, kept)  (B,C,H,W) in [0,1] -> (B,E+K,D), of the patches at the places `kept` (B,K) alone
    backbone.words(tokens)  texts (B,L) -> (B,L,D), what the last layer makes of each word; `word_layers`: all of them
    backbone.stages()       the trunk in the order of its layers, for what copies or freezes the first of them
    backbone.between(start, stop, states)  from what `start` stages gave to what `stop` of them give

    Tokens reach the trunk as they are. A text's representation may not depend on how much padding follows its end: see
    harness.nn.words.
    """

    mean: Tensor  # (1,C,1,1), which fits images and clips; a backbone of texts has none
    std: Tensor

    def __init__(
        self,
        trunk: nn.Module,
        dim: int,
        data: DataSpec,
        *,
        any_size: bool,
        maps: Callable[[nn.Module, Tensor], Tensor] | None = None,
        patches: PatchTokens | None = None,
        words: WordStates | None = None,
        stages: Sequence[Stage] = (),
        pooled: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk  # (B,C,H,W) or (B,T,C,H,W), standardised, or (B,L) -> (B,D)
        self.dim = dim  # D
        self.any_size = any_size  # does the trunk take other sizes, such as tiles, or texts of another length?
        self.kind = data.kind
        self._maps = maps  # (trunk, standardised (B,C,H,W)) -> (B,D,h,w); None: it has no maps
        self._patches = patches  # None: it sees no patches
        self._words = words  # None: it tells nothing of single words
        self._stages = grouped(stages or [Stage("trunk", ("",), whole)])  # earliest first; none given: all is one stage
        self._pooled = pooled  # (trunk, what the last stage gives) -> (B,D); None: nothing follows it
        if isinstance(data.inputs, TextField):
            return
        channels = data.inputs.channels
        self.register_buffer("mean", torch.tensor(data.inputs.mean or (0.5,) * channels).view(1, channels, 1, 1))
        self.register_buffer("std", torch.tensor(data.inputs.std or (0.5,) * channels).view(1, channels, 1, 1))

    def standardise(self, inputs: Tensor) -> Tensor:
        """Zero mean and unit variance per channel, by the training images or clips of the source; tokens stay."""
        return inputs if self.kind == "text" else (inputs - self.mean) / self.std

    def forward(self, inputs: Tensor) -> Tensor:
        return self.trunk(self.standardise(inputs))

    def maps(self, images: Tensor) -> Tensor:
        """The features at each position, before the spatial mean: (B,C,H,W) -> (B,D,h,w).

        Raises NotApplicable where the backbone sees no positions.
        """
        if self._maps is None:
            raise NotApplicable("needs feature maps: choose a convolutional backbone, such as convnet")
        return self._maps(self.trunk, self.standardise(images))

    def positions(self, standardised: Tensor) -> Tensor:
        """What the trunk makes of each place: maps, or the tokens of patches at their places, (B,C,H,W) -> (B,D,h,w).

        For images that are standardised already, as `trunk` takes them. Raises NotApplicable where it sees no places.
        """
        if self._maps is not None:
            return self._maps(self.trunk, standardised)
        if self._patches is None:
            raise NotApplicable("its backbone sees no positions: choose convnet, resnet18 or vit")
        tokens = self._patches.encode(self.trunk, standardised, None)[:, self._patches.extra :]  # (B,L,D)
        height, width = (-(-side // self._patches.side) for side in standardised.shape[2:])
        return tokens.transpose(1, 2).unflatten(2, (height, width))

    def map_size(self, size: int) -> int:
        """h = w of the maps of images of H = W = `size`. Raises NotApplicable where there are none."""
        training = self.training
        with torch.no_grad():
            maps = self.eval().maps(self.mean.expand(1, -1, size, size))  # (1,D,h,w)
        self.train(training)
        return maps.shape[-1]

    def tokens(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """What the backbone makes of each patch that it sees: (B,C,H,W) in [0,1] -> (B,E+K,D), after E tokens of none.

        kept: int64 (B,K), which patches of each image are seen, by their places in reading order; None: all L of them.
        What is not kept is not seen at all, and costs nothing. Raises NotApplicable where the backbone has no patches.
        """
        return self._seen_as_patches().encode(self.trunk, self.standardise(images), kept)

    @property
    def patch(self) -> int:
        """S, the side of a patch in pixels. Raises NotApplicable where the backbone has no patches."""
        return self._seen_as_patches().side

    @property
    def extra_tokens(self) -> int:
        """E, how many tokens stand before those of patches. Raises NotApplicable where the backbone has no patches."""
        return self._seen_as_patches().extra

    @property
    def tube(self) -> int:
        """Frames of a tube, where it sees clips as tubes of patches. Raises NotApplicable where it has no patches."""
        return self._seen_as_patches().frames

    def _seen_as_patches(self) -> PatchTokens:
        if self._patches is None:
            better = "video-vit" if self.kind == "video" else "vit"
            raise NotApplicable(f"needs a backbone that sees patches: choose --backbone {better}")
        return self._patches

    def words(self, tokens: Tensor) -> Tensor:
        """What the last layer makes of each word of texts (B,L): (B,L,D). Raises NotApplicable where it tells nothing.

        After a text's end it may be anything.
        """
        return self.word_layers(tokens)[-1]

    def word_layers(self, tokens: Tensor) -> Sequence[Tensor]:
        """What each layer makes of each word: (B,L) -> M times (B,L,D), in the order of `word_layer_names`."""
        return self._reads_words().encode(self.trunk, tokens)

    @property
    def word_layer_names(self) -> tuple[str, ...]:
        """The M layers, the last at last. Raises NotApplicable where it tells nothing of single words."""
        return self._reads_words().names

    @property
    def word_vectors(self) -> Tensor | None:
        """The vectors (V,D) that words are read with, as they are trained; None where it shows none."""
        return self._words.vectors(self.trunk) if self._words is not None and self._words.vectors is not None else None

    def look_back(self) -> None:
        """From now on, what it makes of a word depends on that word and those before it alone, and so `forward` too.

        For what predicts words: called once, before anything is trained. Raises NotApplicable where there are no words.
        """
        self._reads_words().look_back(self.trunk)

    def _reads_words(self) -> WordStates:
        if self._words is None:
            raise NotApplicable("needs what a backbone makes of each word: choose --backbone transformer or gru")
        return self._words

    def stages(self) -> tuple[Stage, ...]:
        """The trunk as stages, earliest first, at most 8; one of the whole trunk where the backbone declares none."""
        return self._stages

    @property
    def is_chain(self) -> bool:
        """Can it be run stage by stage, with `between`?"""
        return all(stage.apply is not None for stage in self._stages)

    def between(self, start: int, stop: int, states: Tensor) -> Tensor:
        """What `stop` stages give, from what `start` of them gave: the standardised inputs for 0, (B,D) for all n.

        So `between(0, n, standardised)` is `trunk(standardised)`. For a backbone that is a chain.
        """
        for stage in self._stages[start:stop]:
            assert stage.apply is not None, "only a chain can be run stage by stage"
            states = stage.apply(self.trunk, states)
        ends = start < stop == len(self._stages)
        return self._pooled(self.trunk, states) if ends and self._pooled is not None else states
