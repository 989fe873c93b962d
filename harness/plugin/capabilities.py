"""What a method may be able to do, shown by having the method of that name. Nothing is registered or inherited.

B images, C channels, H=W pixels, D features, L latent dimensions or words, K classes, P steps of a path. Images are
float in [0,1].
All of these but `loss`, `turns`, `rates` and `after_step` are called in eval mode; all but `loss` and `turns` without
gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from torch import Tensor

from harness.data.batches import Batch
from harness.data.columns import Column


class Learns(Protocol):
    """Trained by gradient descent, one optimiser for all its weights. Runs in train mode, under autocast."""

    def loss(self, batch: Batch) -> Tensor:
        """The scalar () that one optimiser step lowers; it needs a gradient and must be finite.

        With `--precision bf16` all of it runs under autocast: matrix products and convolutions in bf16, whatever their
        inputs are. What must not be rounded so, such as the similarities of a contrastive loss or a covariance, goes
        into `with full_precision(z.device):`, with `z.float()`. `batch.log(name, value)` shows a scalar in the curves;
        `batch.progress` is the fraction of the budget spent. Draws come from torch's global generators, which are
        seeded. Inputs are channels last in memory: take `.reshape` or `.flatten`, not `.view`.
        """
        ...


class StepsOn(Protocol):
    """Does something after each step, such as a moving average of its weights (harness.nn.moving_average)."""

    def after_step(self, progress: float) -> None:
        """Called without gradients after every optimiser step (with turns, after the last of them), in train mode.

        progress: the fraction of the training budget that was spent before this step, in [0,1): that of its batch. A
        method may leave it out: `after_step(self)`.
        """
        ...


class SetsRates(Protocol):
    """Has parts that do not follow the schedule of the learning rate."""

    def rates(self, progress: float) -> Mapping[str, float]:
        """Part of the method, such as "predictor" -> a factor on `train.learning_rate`, in the schedule's place.

        1.0 keeps its rate constant: no warm-up, no cosine (SimSiam's predictor, arXiv:2011.10566, section 4.2); 0.0
        holds its weights still; a part that is not named at this progress follows the schedule. Asked before every
        step with the `progress` of its batch. Parts may not overlap.
        """
        ...


class TakesTurns(Protocol):
    """Trained by gradient descent, several networks in turn: a GAN reads as its algorithm box."""

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield (name of a part of the method, such as "generator", its loss); resumed after that part's step.

        The weights of that part alone are stepped, by an optimiser of its own. For the rest as `loss`.
        """
        ...


class Fits(Protocol):
    """Learns in closed form; no optimiser, no budget."""

    def fit(self, images: Tensor | Column) -> None:
        """Learn in closed form from all images of the source: uint8 (N,C,H,W), or a column where they are in files.

        Walk either with `harness.data.columns.blocks(column_of(images), size)`: uint8 (n,C,H,W) at a time, in order.
        """
        ...


class Encodes(Protocol):
    """Has a representation: what every method needs, since it is what is judged."""

    def encode(self, images: Tensor) -> Tensor:
        """Whole images (B,C,H,W) -> the representation (B,D), the same for an image whatever else is in its batch."""
        ...


class Reconstructs(Protocol):
    """Draws an image again from its code."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W), through the code."""
        ...

    def code_bits(self) -> float:
        """Size of one image's code in bits: what the compression ratio divides by."""
        ...


class Codes(Protocol):
    """Has a latent code that can be decoded."""

    def code(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> the latent code (B,L), deterministic; often the representation itself, but not always."""
        ...

    def decode(self, code: Tensor) -> Tensor:
        """(B,L) -> (B,C,H,W) in [0,1]; `decode(code(x))` is `reconstruct(x)`."""
        ...


class CodesInSymbols(Protocol):
    """Has a code of discrete symbols."""

    def symbols(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> the discrete code int64 (B,S): S symbols of the method's alphabet."""
        ...


class Samples(Protocol):
    """Makes new images."""

    def sample(self, n: int, generator: Any) -> Tensor:
        """n new images (n,C,H,W) in [0,1], from the given torch.Generator (on the CPU) alone."""
        ...


class SamplesOnRequest(Protocol):
    """Makes images of a label or of a caption."""

    condition: Literal["labels", "captions"]  # or "", where a config makes it unconditional

    def sample_as(self, condition: Tensor, generator: Any) -> Tensor:
        """One image for each label (B,) or caption's tokens (B,L) -> (B,C,H,W) in [0,1], from the generator alone."""
        ...


class Interpolates(Protocol):
    """Walks from one image to another through its code."""

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """(B,C,H,W) twice -> (B,P,C,H,W): the path between the two codes, with both reconstructed ends."""
        ...


class Translates(Protocol):
    """Makes images of the source from images of the other domain."""

    def translate(self, paired: Tensor) -> Tensor:
        """Images of the other domain (B,C,H,W) -> the same scenes as images of the source's own domain (B,C,H,W)."""
        ...


class TranslatesBack(Protocol):
    """Makes images of the other domain from images of the source."""

    def translate_back(self, images: Tensor) -> Tensor:
        """Images of the source's own domain (B,C,H,W) -> the same scenes in the paired domain (B,C,H,W)."""
        ...


class Stylises(Protocol):
    """Draws the content of one image in the style of another."""

    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        """(B,C,H,W) twice -> (B,C,H,W): the content of the first in the style of the second."""
        ...


class BoundsLikelihood(Protocol):
    """Says how likely an image is, at least."""

    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        """A lower bound on log p(x) with that many importance samples: (B,C,H,W) -> (B,) nats per image.

        Draws from torch's global generator, which the evaluation seeds.
        """
        ...


class Diffuses(Protocol):
    """Turns images into noise and noise into images, step by step, to be shown."""

    def forward_process(self, images: Tensor, steps: int, generator: Any) -> Tensor:
        """(B,C,H,W) -> (B,P,C,H,W): the image on its way from data (first) to noise (last), in [0,1] to be shown."""
        ...

    def reverse_process(self, n: int, steps: int, generator: Any) -> Tensor:
        """n samples on their way from noise (first) to data (last): (n,P,C,H,W) in [0,1]."""
        ...


class Predicts(Protocol):
    """Classifies by itself."""

    def predict(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> class logits of the source's labels (B,K)."""
        ...


class Forecasts(Protocol):
    """Continues a clip."""

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        """The frames that follow: (B,P,C,H,W), the present last -> (B,`steps`,C,H,W) in [0,1], without noise."""
        ...


class DrawsFutures(Protocol):
    """Continues a clip in one of several ways."""

    def sample_future(self, past: Tensor, steps: int, generator: Any) -> Tensor:
        """One of the possible futures of each clip, drawn: (B,P,C,H,W) -> (B,`steps`,C,H,W) in [0,1].

        Draws from the given torch.Generator (on the CPU) alone.
        """
        ...


class FillsIn(Protocol):
    """Paints the frame in the middle of a gap."""

    farthest: int  # the largest `far` that it takes

    def infill(self, before: Tensor, after: Tensor, far: int) -> Tensor:
        """The frame that is `far` frames from the last one before and from the first one after, in the middle of a gap
        of 2 * far - 1 frames: (B,P,C,H,W) twice -> (B,C,H,W) in [0,1], without noise.
        """
        ...


class PredictsWords(Protocol):
    """Says of each word of a text how likely it was, by the words before it."""

    def next_words(self, tokens: Tensor) -> Tensor:
        """Texts (B,L) -> logits (B,L,V) for the word at each place, from the words before that place alone.

        PADDING's logit is for the text's end, -inf where that is not foreseen; logits after it may be anything.
        """
        ...


class Completes(Protocol):
    """Goes on with a text."""

    def complete(
        self, prompts: Tensor, words: int, generator: Any, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """Beginnings (B,P) without padding -> (B,P+words) with them: PADDING where a text ended before.

        Draws from the given torch.Generator (on the CPU) alone; see harness.nn.word_draws for the two parameters.
        """
        ...


class Pretext(Protocol):
    """Poses a question whose answer it knows by construction. Called under autocast, on test batches too."""

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Pose the pretext task on a batch: logits (M,K) and targets (M,), M questions with K answers each."""
        ...


class FeedsItsTrunk(Protocol):
    """Gives the trunk of its backbone something else than standardised inputs, such as images less their own mean."""

    def trunk_inputs(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W): what `encode` gives to `self.backbone.trunk`, so that others feed it alike."""
        ...


class ReadsOut(Protocol):
    """A method with several representations: one is chosen on validation (harness.judging.readouts), judged on test.

    `encode` stays what the method itself takes for best, and what is used without labels to choose by.
    """

    def readouts(self) -> tuple[str, ...]:
        """Names of all places to read from, that of `encode` first: "decoder 1 at t=20"."""
        ...

    def read(self, images: Tensor, readout: str) -> Tensor:
        """(B,C,H,W) -> (B,D), deterministic."""
        ...


class Diagnoses(Protocol):
    """Knows when its own training went wrong."""

    def diagnose(self, images: Tensor) -> str:
        """Why training gave nothing of use, e.g. a collapsed posterior, by some validation images; or nothing."""
        ...


CAPABILITIES = {
    "loss": "learn by gradient descent",
    "turns": "train several networks in turn",
    "after_step": "do something after each step",
    "rates": "set the learning rates of its parts",
    "fit": "learn in closed form",
    "encode": "encode images",
    "trunk_inputs": "say what its backbone is given",
    "read": "be read in several places",
    "reconstruct": "reconstruct images",
    "code": "give a latent code",
    "decode": "decode a latent code",
    "symbols": "give a discrete code",
    "sample": "sample new images",
    "sample_as": "sample what is asked for",
    "interpolate": "interpolate between images",
    "translate": "translate images of another domain",
    "translate_back": "translate images into another domain",
    "stylise": "transfer a style",
    "log_likelihood_bound": "bound the likelihood",
    "forward_process": "turn images into noise step by step",
    "reverse_process": "show how samples come about",
    "predict": "predict labels",
    "forecast": "continue a clip",
    "sample_future": "draw futures of a clip",
    "infill": "paint the frame in the middle of a gap",
    "next_words": "predict the next word",
    "complete": "complete a text",
    "solve": "pose a pretext task",
    "diagnose": "tell a failed training",
}


def capabilities_of(method: object) -> frozenset[str]:
    """The names in CAPABILITIES that `method` (an instance or its class) has; who samples on request can sample.

    An instance whose `condition` is empty, since its config says so, has no `sample_as`.
    """
    names = {name for name in CAPABILITIES if callable(getattr(method, name, None))}
    if getattr(method, "condition", None) == "":
        names.discard("sample_as")
    return frozenset(names | {"sample"} if "sample_as" in names else names)
