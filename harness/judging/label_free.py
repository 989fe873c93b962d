"""The label-free feature space: that of an encoder which learned to tell the target's own images apart.

For images without classes. It is a network like the in-domain classifier's, which learns two things at once. Of two
views of each image of a batch, which is another view of the same one (SimCLR, Chen et al. 2020, arXiv:2002.05709)? And
by how many quarter turns was it turned (Gidaris et al. 2018, arXiv:1803.07728)? It learns from all images outside the
test split but a tenth, on which it must do better than guessing. It is kept and named as the classifier is.
Differs from the papers: views are mild, since distances are to tell of what stronger ones would make it blind to: they
keep their colours, their sides and most of the image; both views of an image have one turn, so that an image turned is
another image; features are the layer below the projection.
On 10,000 images of Fashion-MNIST it takes 11 s of one core, and Fréchet distances order what the classifier's order.
Multiples of the floor here (there), n = 2,000: noise of deviation 0.12 19 (29), a blur of 1.2 pixels 71 (287), three
classes of ten missing 48 (63), half of the classes four times as often 31 (35).

N images, B of them in a batch, C channels, H=W pixels, F features, P units of the projection.
"""

from __future__ import annotations

import hashlib
from math import ceil, sqrt
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.columns import Column, batches_of, blocks, concatenated, example_shape
from harness.data.images import column_statistics, to_float
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.judging.extractor import Extractor
from harness.judging.in_domain import BATCH, FEATURES, LEARNING_RATE, SCALED_BY, Classifier
from harness.judging.kept_networks import kept_weights, one_thread, ordered_with_keys, weights_hash
from harness.judging.subject import Subject
from harness.nn.contrastive import matching_logits, nt_xent
from harness.nn.views import Views, two_views

RECIPE = 1  # raise it whenever the views or the training change: kept encoders are then trained anew
PROJECTION = 64  # P
EPOCHS = 4
FEWEST, MOST = 20_000, 40_000  # images seen in training, whatever the dataset's size; two views of each
TEMPERATURE = 0.2
SMALLEST = 0.8  # area of a crop, as a fraction of the image
JITTER = 0.1  # of brightness and contrast
NOISE = 0.05  # deviation of the noise of a view, at most, on pixels in [0,1]
TURNS = 4  # quarter turns
HELD = 0.1  # of the images: to see whether it learned
FEWEST_HELD = 10  # images
ACCURACY, AMONG = "view accuracy", "views to choose from"  # beside the weights, in the kept file


def label_free_extractor(subject: Subject) -> Extractor:
    """The encoder of the subject's target: from the disk, or trained now if this is the first time.

    Raises NotApplicable where it learned nothing. Cells that ask for it at once train it once: the others wait.
    """
    target = subject.target
    images = concatenated([target.train.inputs, target.validation.inputs])
    return kept_encoder(images, target.name, subject.cache / "extractors", subject.device)


def kept_encoder(images: Column, name: str, folder: Path, device: torch.device) -> Extractor:
    """`label_free_extractor` for all images outside the test split: load `folder/<key>.safetensors`, or train it."""
    held = max(FEWEST_HELD, round(HELD * len(images)))
    if len(images) < 2 * held:
        raise NotApplicable(f"{name} has {len(images)} images outside its test split, too few to train an encoder with")
    ordered, keys = ordered_with_keys(Rows(inputs=images))
    parts = torch.arange(len(images)).split([len(images) - held, held])
    learned, unseen = (ordered.inputs.rows(part) for part in parts)

    def make() -> dict[str, Tensor]:
        encoder = train_encoder(learned)
        accuracy, among = view_accuracy(encoder, unseen)
        numbers = {ACCURACY: torch.tensor(accuracy, dtype=torch.float64), AMONG: torch.tensor(among)}
        return {**encoder.state_dict(), **numbers}

    weights = kept_weights(folder, _content_key(images, keys), make)
    reached, among = float(weights.pop(ACCURACY)), int(weights.pop(AMONG))
    require_skill(reached, among, held // among * among, name)
    encoder = Classifier(example_shape(images), PROJECTION)
    encoder.load_state_dict(weights)
    encoder.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Extractor(
        name="label-free encoder",
        fingerprint=weights_hash(weights),
        dim=FEATURES,
        embed=lambda images: encoder.features(to_float(images)),
        device=device,
        accuracy=reached,
        skill=f"finds an image by another view among {among} with accuracy {{:.3f}}",
        convolve=lambda images: encoder.convolutions(to_float(images)),
    )


def require_skill(accuracy: float, among: int, n: int, name: str) -> None:
    """Raise NotApplicable unless an accuracy on n images is three standard errors above guessing, 1 of `among`."""
    chance = 1 / among
    if accuracy <= chance + 3 * sqrt(chance * (1 - chance) / n):
        raise NotApplicable(
            f"an encoder learned nothing from {name}: it finds {accuracy:.3f} of {n} images that it did not learn from "
            f"by another view, guessing finds {chance:.3f}: take the Inception network (extractor=inception)"
        )


class Learner(nn.Module):
    """The encoder with its two tasks. The projection is the encoder's head."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = Classifier(shape, PROJECTION)
        self.turns = nn.Linear(FEATURES, TURNS)

    def loss(self, views: Tensor) -> Tensor:
        """Nats per view (2B,C,H,W), of which the first and the second half show the same images."""
        turned, turns = one_turn_each(views)
        hidden = F.relu(self.encoder.hidden(turned))  # (2B,F)
        one, other = self.encoder.head(hidden).chunk(2)  # (B,P) each
        return nt_xent(one, other, TEMPERATURE) + F.cross_entropy(self.turns(hidden), turns)


def train_encoder(images: Column, *, seed: int = 0) -> Classifier:
    """An encoder of images, whose head is the projection; AdamW, one cycle of the rate: the same whoever calls."""
    n = len(images)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = Learner(example_shape(images)).to(memory_format=torch.channels_last)
        encoder, views = learner.encoder, _views(images)
        for buffer, values in zip((encoder.mean, encoder.std), column_statistics(images), strict=True):
            buffer.copy_(torch.tensor(values).view_as(buffer))
        steps = _steps(n)
        optimiser = torch.optim.AdamW(learner.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=len(steps))
        for pixels in batches_of(images, steps):
            loss = learner.loss(noisy(two_views(views, to_float(pixels))))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        encoder.eval().requires_grad_(False).set_scale(images.rows(torch.arange(min(SCALED_BY, n))))
    return encoder


def _steps(n: int) -> list[Tensor]:
    """Rows of each batch, epoch after epoch; none twice in a batch, where it would be its own negative."""
    batch = min(BATCH, n)
    seen = min(max(EPOCHS * n, FEWEST), MOST)
    epochs = [torch.randperm(n).split(batch)[: n // batch] for _ in range(ceil(seen / (n // batch * batch)))]
    return [step for epoch in epochs for step in epoch][: ceil(seen / batch)]


def _views(images: Column) -> Views:
    return Views(size=example_shape(images)[-1], smallest=SMALLEST, brightness=JITTER, contrast=JITTER)


def noisy(views: Tensor) -> Tensor:
    """Gaussian noise on each view (B,C,H,W) in [0,1], of a deviation drawn evenly up to NOISE."""
    deviation = NOISE * torch.rand(len(views), 1, 1, 1)
    return (views + deviation * torch.randn_like(views)).clamp_(0, 1)


def one_turn_each(views: Tensor) -> tuple[Tensor, Tensor]:
    """Each image turned by quarter turns of its own, both its views alike: (2B,C,H,H), and how many (2B,)."""
    turns = torch.randint(TURNS, (len(views) // 2,)).repeat(2)
    turned = torch.empty_like(views)
    for turn in range(TURNS):
        turned[turns == turn] = torch.rot90(views[turns == turn], turn, (2, 3))
    return turned, turns


def view_accuracy(encoder: Classifier, images: Column, *, seed: int = 0) -> tuple[float, int]:
    """The share of images whose other view is the nearest in the projection; and among how many views that is."""
    among, views = min(BATCH, len(images)), _views(images)
    right = []
    with torch.no_grad(), one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for pixels in blocks(images.rows(torch.arange(len(images) // among * among)), among):
            one, other = encoder(noisy(two_views(views, to_float(pixels)))).chunk(2)
            logits, answers = matching_logits(one, other)
            right.append(logits.argmax(1) == answers)
    return float(torch.cat(right).double().mean()), among


def _content_key(images: Column, keys: Tensor) -> str:
    """16 hexadecimal digits for everything that the kept file depends on."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"label-free {RECIPE} {torch.__version__} {(len(images), *example_shape(images))}".encode())
    digest.update(keys.numpy().tobytes())
    return digest.hexdigest()
