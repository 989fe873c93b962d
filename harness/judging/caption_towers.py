"""A judge of images and captions: two towers that learn which caption belongs to which image of the target.

The image tower is a network like the in-domain classifier's; the text tower is an embedding of the words, a GRU, and
the mean over the words. They learn from the training images and their captions by symmetric InfoNCE over a batch
(Radford et al. 2021, arXiv:2103.00020, figure 3), in which images with one caption are no wrong answers to each other;
weights are those of the check on validation with the best R-precision. Trained once for a dataset and a seed, and kept
(harness.judging.kept_networks): all methods of a seed have one judge.
Differs from the DAMSM of Xu et al. 2018 (arXiv:1711.10485): no pre-trained image network, no regions, a GRU for the
LSTM. Of 10,000 images of 28x28 pixels it takes 14 s of one core.

N images, B of them in a batch, L words, E of an embedded word, D features, U different captions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.columns import Column, all_values, batches_of, blocks, example_shape
from harness.data.images import column_statistics, to_float
from harness.data.rows import Rows
from harness.data.tokens import PADDING, UNKNOWN
from harness.judging.extractor import INFERENCE_BATCH
from harness.judging.in_domain import Classifier
from harness.judging.kept_networks import image_keys, kept_weights, one_thread, weights_hash
from harness.metrics.r_precision import Ranked, candidates, ranked
from harness.nn.words import are_words, mean_of_words

RECIPE = 1  # raise it whenever the towers or their training change: kept ones are then trained anew
DIM = 64  # D and E
BATCH = 128  # images per training step
EPOCHS = 10
FEWEST, MOST = 20_000, 60_000  # images seen in training, whatever the dataset's size
LEARNING_RATE = 4e-3
TEMPERATURE = 0.1
LOST = 0.1  # of the words of training are read as unknown ones, so that these mean something
CHECKS = 10  # of validation, evenly over training
CHECKED = 2_000  # validation images at most
CANDIDATES = 100  # captions that each of them chooses from
PRECISION = "validation R-precision"  # beside the weights, in the kept file


class Towers(nn.Module):
    """Images and captions as unit vectors (N,D) of one space."""

    def __init__(self, shape: tuple[int, ...], words: int) -> None:
        super().__init__()
        self.images = Classifier(shape, DIM)  # (N,C,H,W) in [0,1] -> (N,D)
        self.embedding = nn.Embedding(words, DIM, padding_idx=PADDING)
        self.reader = nn.GRU(DIM, DIM, batch_first=True)  # (N,L,E) -> (N,L,D)
        self.text = nn.Linear(DIM, DIM)

    def of_images(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> unit vectors (B,E)."""
        return F.normalize(self.images(images), dim=1)

    def of_captions(self, tokens: Tensor) -> Tensor:
        """int64 (N,L) -> (N,D): what stands after a caption's end takes no part."""
        read, _ = self.reader(self.embedding(tokens))
        return F.normalize(self.text(mean_of_words(read, tokens)), dim=1)


@dataclass(frozen=True, kw_only=True)
class CaptionJudge:
    """Trained towers, and how well they match real validation images with their captions."""

    towers: Towers
    device: torch.device
    fingerprint: str  # the first hexadecimal digits of a hash of the weights
    precision: float  # R-precision on validation, in [0,1]
    chance: float  # what guessing would get there
    checked: int  # on how many images

    @property
    def is_skilled(self) -> bool:
        """Is its R-precision on validation three standard errors above guessing?"""
        return self.precision > self.chance + 3 * sqrt(self.chance * (1 - self.chance) / self.checked)

    def ranked(self, images: Column, captions: Tensor, among: Tensor) -> Ranked:
        """How images rank their candidates (N,R) out of different captions, tokens (U,L)."""
        return matched(self.towers, images, captions, among, self.device)

    def __str__(self) -> str:
        """`caption judge f3a9c1, validation R-precision 0.912`."""
        return f"caption judge {self.fingerprint}, {PRECISION} {self.precision:.3f}"


def kept_judge(train: Rows, validation: Rows, words: int, folder: Path, device: torch.device) -> CaptionJudge:
    """The judge of captioned images: from the disk, or trained now. Cells that ask at once train it once.

    train, validation: their captions are tokens of one vocabulary of so many `words`.
    """
    weights = kept_weights(
        folder, _content_key((train, validation), words), lambda: train_towers(train, validation, words)
    )
    precision = float(weights.pop(PRECISION))
    towers = Towers(example_shape(train.inputs), words)
    towers.load_state_dict(weights)
    towers.eval().requires_grad_(False).to(device)
    known = len(captions_of(_checked(validation)).unique(dim=0))
    return CaptionJudge(
        towers=towers,
        device=device,
        fingerprint=weights_hash(weights),
        precision=precision,
        chance=1 / min(CANDIDATES, known),
        checked=len(_checked(validation)),
    )


def train_towers(train: Rows, validation: Rows, words: int, *, seed: int = 0) -> dict[str, Tensor]:
    """The weights of the best of ten checks on validation, and its R-precision: the same whoever calls."""
    captions = captions_of(train)  # (N,L)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        towers = Towers(example_shape(train.inputs), words)
        buffers = (towers.images.mean, towers.images.std)
        for buffer, values in zip(buffers, column_statistics(train.inputs), strict=True):
            buffer.copy_(torch.tensor(values).view_as(buffer))
        seen = min(max(EPOCHS * len(train), FEWEST), MOST)
        order = torch.cat([torch.randperm(len(train)) for _ in range(ceil(seen / len(train)))])[:seen]
        steps = order.split(BATCH)[: max(1, seen // BATCH)]
        checks = {ceil(len(steps) * check / CHECKS) for check in range(1, CHECKS + 1)}
        check = _check(validation)
        optimiser = torch.optim.AdamW(towers.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=len(steps))
        best, weights = -1.0, {}
        for done, (index, images) in enumerate(zip(steps, batches_of(train.inputs, steps), strict=True), start=1):
            loss = symmetric_info_nce(towers, to_float(images), captions[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if done in checks and (reached := check(towers)) >= best:
                best, weights = reached, {name: value.clone() for name, value in towers.state_dict().items()}
    return {**weights, PRECISION: torch.tensor(best, dtype=torch.float64)}


def symmetric_info_nce(towers: Towers, images: Tensor, captions: Tensor) -> Tensor:
    """Nats per image: the own caption among those of the batch, and the own image among those; mean of both ways.

    images: (B,C,H,W). captions: (B,L). The caption of another image that is the same one is left out.
    """
    lost = (torch.rand(captions.shape) < LOST) & are_words(captions)
    cosines = towers.of_images(images) @ towers.of_captions(captions.masked_fill(lost, UNKNOWN)).T  # (B,B)
    same = (captions[:, None] == captions[None]).all(2).fill_diagonal_(False)
    logits = (cosines / TEMPERATURE).masked_fill(same, -torch.inf)
    answers = torch.arange(len(logits))
    return (F.cross_entropy(logits, answers) + F.cross_entropy(logits.T, answers)) / 2


def _check(validation: Rows) -> Callable[[Towers], float]:
    """R-precision of towers on validation images, always the same ones with the same candidates."""
    some = _checked(validation)
    known, own = captions_of(some).unique(dim=0, return_inverse=True)
    among = candidates(own, len(known), CANDIDATES, torch.Generator().manual_seed(RECIPE))

    def check(towers: Towers) -> float:
        towers.eval()
        found = matched(towers, some.inputs, known, among, torch.device("cpu"))
        towers.train()
        return float(found.right.mean())

    return check


def _checked(validation: Rows) -> Rows:
    return validation.rows(torch.arange(min(CHECKED, len(validation))))


def matched(towers: Towers, images: Column, captions: Tensor, among: Tensor, device: torch.device) -> Ranked:
    """How images rank their candidates (N,R) out of different captions, tokens (U,L)."""
    with torch.no_grad():
        words = torch.cat([towers.of_captions(part.to(device)) for part in captions.split(INFERENCE_BATCH)])
        parts = (towers.of_images(to_float(part.to(device))) for part in blocks(images, INFERENCE_BATCH))
        return ranked(torch.cat(list(parts)).cpu(), words.cpu(), among)


def captions_of(rows: Rows) -> Tensor:
    """Tokens (N,L) of rows that have captions."""
    assert rows.captions is not None
    return all_values(rows.captions)


def _content_key(splits: tuple[Rows, Rows], words: int) -> str:
    """16 hexadecimal digits for everything that the kept file depends on."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"caption judge {RECIPE} {words} {torch.__version__}".encode())
    for split in splits:
        captions = captions_of(split)
        digest.update(str((tuple(captions.shape), *example_shape(split.inputs))).encode())
        digest.update(image_keys(split.inputs).numpy().tobytes() + captions.contiguous().numpy().tobytes())
    return digest.hexdigest()
