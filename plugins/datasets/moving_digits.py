"""Handwritten digits that move through a box and bounce off its walls: clips made on the spot, of real handwriting.

After Moving MNIST (Srivastava et al. 2015, arXiv:1502.04681, section 4.1), with one digit of scikit-learn's 1,797, or
of MNIST's 70,000 where they are (`handwriting=mnist`). A fifth of the handwriting is for the test, or the first
thousand of MNIST's test, one clip of each; the clips of one handwriting are never in two splits.
Known of each clip: the digit, and the direction and the speed in its middle step. `label` says which of them are the
classes, so that `--targets 'moving-digits,moving-digits[label=direction]'` probes both. Without friction the motion has
no arrow of time: backwards it is as likely. With `turns` or `bounces=random` the future is uncertain:
`bounces=random` is after Stochastic Moving MNIST (Denton and Fergus 2018, arXiv:1802.07687), whose walls throw a digit
back in any direction, so that all is certain up to the next wall.

N clips, T frames, H=W=size pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.data.torchvision_files import download, mnist_files, read_mnist
from harness.plugin import DatasetMissing, DatasetSpec, DataSpec, Factor, VideoField, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from harness.plugin import RawData

DRAWING = 2  # to be raised with every change of harness.data.motion that changes pixels: this file is the fingerprint
WRITTEN = 8  # height and width of scikit-learn's handwriting as it is, in pixels; MNIST's is 28
WAYS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")  # as in harness.data.motion
SPEEDS = ("slow", "medium", "fast")
PACES = ((0.5, 0.8), (1.1, 1.4), (1.7, 2.0))  # of a digit with 12 pixels of room in each direction, in pixels a frame
TARGETS = ("x in pixels", "y in pixels", "velocity x in pixels a frame", "velocity y in pixels a frame")
TEST_SHARE = 0.2  # of scikit-learn's handwriting
TESTED = 1_000  # of MNIST's test
CHUNK = 512  # clips drawn at a time


@dataclass(frozen=True, kw_only=True)
class Config:
    clips: int = 4_000  # for training and validation; the test has one of each of its 359 digits, or 1,000 of MNIST
    handwriting: Literal["digits", "mnist"] = "digits"  # scikit-learn's, or MNIST's, which `datasets prepare` fetches
    frames: int = 12  # T
    size: int = 24  # height and width of a frame in pixels
    digit: int = 12  # height and width of the digit in pixels, at least 8
    label: Literal["digit", "direction", "speed"] = "digit"  # what the classes are
    friction: float = 0.0  # fraction of its speed that it loses a frame: gives time an arrow
    turns: float = 0.0  # probability of a new direction between two frames: makes the future uncertain
    bounces: Literal["mirror", "random"] = "mirror"  # where to after a wall; random: makes the future uncertain
    seed: int = 0  # of the motions

    def __post_init__(self) -> None:
        if not self.digit >= WRITTEN or not self.digit + 4 <= self.size <= 256:
            raise ValueError(f"digit={self.digit}, size={self.size}: expected 8 <= digit <= size - 4, size to 256")
        if not 2 <= self.frames <= 256 or self.clips < 100:
            raise ValueError(f"frames={self.frames}, clips={self.clips}: expected 2 to 256 frames, at least 100 clips")
        if not 0 <= self.friction < 1 or not 0 <= self.turns <= 1:
            raise ValueError("friction is a fraction in [0,1), turns a probability in [0,1]")
        if self.turns and self.bounces == "random":
            raise ValueError("turns and bounces=random are two kinds of an uncertain future: ask for one of them")

    @property
    def room(self) -> int:
        """How far the digit can move in each direction, in pixels."""
        return self.size - self.digit


FACTORS = (
    Factor(name="digit", values=tuple("0123456789")),
    Factor(name="direction", values=WAYS),
    Factor(name="speed", values=SPEEDS),
)


def describe(config: Config, root: Path) -> DataSpec[VideoField]:
    return DataSpec(
        inputs=VideoField(frames=config.frames, channels=1, size=config.size),
        classes=next(factor.values for factor in FACTORS if factor.name == config.label),
        factors=FACTORS,
        targets=TARGETS,
    )


def files(config: Config, root: Path) -> list[Path]:
    """This file and MNIST's, or the table inside scikit-learn, found without importing it (which takes two seconds)."""
    if config.handwriting == "mnist":
        return [Path(__file__), *mnist_files(root / "MNIST" / "raw")]
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DatasetMissing("dataset 'moving-digits' needs the digits of scikit-learn: `pip install scikit-learn`")
    return [Path(__file__), Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"]


def prepare(config: Config, root: Path) -> None:
    if config.handwriting == "mnist":
        download("MNIST", root, {})


def load(config: Config, root: Path) -> RawData:
    from dataclasses import replace

    import numpy as np
    import torch

    learned, tested = (_from_mnist if config.handwriting == "mnist" else _from_table)(config, root)
    test = _part(config, "test", tested, np.arange(len(tested.digits)))
    rows = np.arange(config.clips) % len(learned.digits)
    return replace(_part(config, "training", learned, rows), groups=torch.from_numpy(learned.numbers[rows]), test=test)


class Written(NamedTuple):
    """Handwriting: pictures (M,h,h) in [0,1], what they show (M,), and which of the source's each is (M,)."""

    pictures: np.ndarray
    digits: np.ndarray
    numbers: np.ndarray


def _from_table(config: Config, root: Path) -> tuple[Written, Written]:
    """scikit-learn's for training, and for the test."""
    import numpy as np
    import torch

    from harness.metrics.holdout import stratified_holdout
    from harness.seeding import derived_generator

    table = np.loadtxt(files(config, root)[1], delimiter=",")  # (1797,65): 64 pixels in 0..16, label
    writing, digits = table[:, :-1].reshape(-1, WRITTEN, WRITTEN) / 16, table[:, -1].astype(np.int64)
    held = round(TEST_SHARE * len(digits))
    parts = stratified_holdout(
        len(digits), torch.from_numpy(digits), held, derived_generator(0, "moving-digits", "handwriting")
    )
    pool, out = (Written(writing[rows], digits[rows], rows) for rows in (part.numpy() for part in parts))
    return pool, out


def _from_mnist(config: Config, root: Path) -> tuple[Written, Written]:
    """As many of MNIST's for training as there are clips, and the first of its test."""
    import numpy as np

    def first(part: str, count: int) -> Written:
        images, digits = read_mnist(root / "MNIST" / "raw", part)
        pictures = images[:count, 0].double().numpy() / 255
        return Written(pictures, digits[:count].numpy(), np.arange(len(pictures)))

    return first("train", config.clips), first("t10k", TESTED)


def _part(config: Config, part: str, written: Written, chosen: np.ndarray) -> RawData:
    """One clip of each of the chosen rows of the handwriting."""
    import numpy as np
    import torch

    from harness.data.motion import Motion, drawn_ways, middle_places, paths
    from harness.plugin import RawData
    from harness.seeding import derived_seed

    generator = np.random.Generator(np.random.PCG64(derived_seed(config.seed, "moving-digits", part)))
    draws = generator.random((len(chosen), 6))
    way, angles = drawn_ways(draws[:, :2])
    pace = (draws[:, 2] * len(SPEEDS)).astype(np.int64)
    low, high = np.array(PACES)[pace].T * (config.room / 12)
    motion = Motion(
        angles=angles,
        speeds=low + (high - low) * draws[:, 3],
        friction=config.friction,
        turns=config.turns,
        scatter=config.bounces == "random",
    )
    middle = middle_places(motion, config.room, draws[:, 4:])
    places = paths(motion, middle, config.room, config.frames, generator)  # (N,T,2)
    factors = torch.from_numpy(np.stack([written.digits[chosen], way, pace], 1))
    known = np.concatenate([middle + config.digit / 2, motion.velocities()], 1)
    column = next(index for index, factor in enumerate(FACTORS) if factor.name == config.label)
    return RawData(
        inputs=torch.from_numpy(_drawn(config, written.pictures[chosen], places)),
        labels=factors[:, column].clone(),
        factors=factors,
        targets=torch.from_numpy(known.astype(np.float32)),
    )


def _drawn(config: Config, writing: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Digits (N,h,h) with their upper left corner at the places (N,T,2), bilinearly: uint8 (N,T,1,H,W)."""
    import numpy as np

    clips = np.empty((len(places), config.frames, 1, config.size, config.size), dtype=np.uint8)
    for start in range(0, len(places), CHUNK):
        some = slice(start, start + CHUNK)
        across, down = (
            _weights(config, places[some, :, axis], writing.shape[-1]) for axis in (0, 1)
        )  # (n,T,W,h), (n,T,H,h)
        values = down @ writing[some, None] @ across.transpose(0, 1, 3, 2)  # (n,T,H,W)
        clips[some, :, 0] = (values * 255 + 0.5).astype(np.uint8)
    return clips


def _weights(config: Config, starts: np.ndarray, side: int) -> np.ndarray:
    """How much each of the `side` pixels of the handwriting gives to each of a row that it begins at: -> (n,T,W,side).

    Bilinear, with antialiasing where the handwriting is made smaller, as Pillow and torchvision resize.
    """
    import numpy as np

    scale = side / config.digit
    middles = (np.arange(config.size) + 0.5 - starts[:, :, None]) * scale - 0.5  # (n,T,W)
    reach = max(scale, 1.0)
    dark = 2 * int(np.ceil(reach))  # pixels beyond each edge, so that all weights that are not 0 sum to 1
    weights = np.maximum(0, 1 - np.abs(middles[..., None] - np.arange(-dark, side + dark)) / reach)
    total = np.maximum(weights.sum(-1, keepdims=True), 1e-9)
    return (weights / total)[..., dark : dark + side]


def read_factors(config: Config, clips: Tensor) -> Tensor:
    """Direction and speed that clips, uint8 (N,T,1,H,W), show in their middle step: int64 (N,3), -1 for the digit.

    By the centre of the ink in the two middle frames; -1 where a frame has none.
    """
    import numpy as np
    import torch

    from harness.data.motion import nearest_way

    centre = (clips.shape[1] - 2) // 2
    ink = clips[:, centre : centre + 2, 0].double().cpu().numpy()  # (N,2,H,W)
    total = ink.sum((2, 3))
    places = np.arange(ink.shape[-1]) + 0.5
    middles = np.stack([(ink.sum(2) * places).sum(2), (ink.sum(3) * places).sum(2)], 2)
    middles = middles / np.maximum(total, 1)[:, :, None]  # (N,2,2): frames; x, y
    step = middles[:, 1] - middles[:, 0]
    limits = [(slower[1] + faster[0]) / 2 * config.room / 12 for slower, faster in pairwise(PACES)]
    pace = np.searchsorted(limits, np.linalg.norm(step, axis=1))
    found = np.stack([np.full(len(step), -1), nearest_way(step), pace], 1)
    return torch.from_numpy(np.where((total > 0).all(1)[:, None], found, -1).astype(np.int64))


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="moving-digits",
        kind="video",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        read_factors=read_factors,
        config=Config,
        source="after arXiv:1502.04681; digits: Alpaydin and Kaynak 1998, doi:10.24432/C50P49, with scikit-learn; "
        "MNIST: doi:10.1109/5.726791",
    )
