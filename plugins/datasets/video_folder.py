"""Any folder of class folders of films: `video-folder[path=./films,size=32,frames=16,rate=10]`.

`films/jump/1.mp4`, `films/run/x/2.gif`, `films/run/3.npz` and the folder of frames `films/run/4/` are films of two
classes. Where `films/train/` and `films/test/` hold the class folders, `test/` is the official test set; otherwise
Harness holds out a fifth of the films. Clips of one film are never in two splits.

`rate` frames a second are taken (0: all), and `frames` of them are a clip: one from the middle of each film, or with
`stride` one every so many frames. .mp4, .avi and the like need PyAV (`pip install 'harness[video]'`); .gif, .npz (uint8
(n,H,W), (n,H,W,1) or (n,H,W,3)) and folders of frames do not. What was decoded is kept in the cache folder. Frames are
turned upright, as the camera says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.data.video_decoding import Cut
from harness.data.video_files import Films, cached_films, list_films
from harness.plugin import DatasetSpec, DataSpec, VideoField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

NAME = "video-folder"


@dataclass(frozen=True, kw_only=True)
class Config:
    path: Path = field(metadata={"changes_images": False})  # the folder, seen from where the command runs
    size: int = 32  # height and width of a frame in pixels, after resizing
    channels: Literal[1, 3] = 3  # 1 for grey, 3 for colour
    frames: int = 12  # of a clip
    rate: float = 0.0  # frames a second that are taken; 0: all, whatever their rate
    stride: int = 0  # frames from the beginning of one clip of a film to the next; 0: one clip, from the middle

    def __post_init__(self) -> None:
        if not 4 <= self.size <= 1024:
            raise ValueError(f"size={self.size}: expected 4 to 1024 pixels")
        if self.frames < 2 or self.rate < 0 or self.stride < 0:
            raise ValueError("frames must be at least 2, rate and stride at least 0")

    @property
    def cut(self) -> Cut:
        return Cut(frames=self.frames, rate=self.rate, stride=self.stride, size=self.size, channels=self.channels)


def _films(config: Config) -> tuple[Films, Films | None]:
    return list_films(config.path.expanduser().absolute())


def describe(config: Config, root: Path) -> DataSpec[VideoField]:
    return DataSpec(
        inputs=VideoField(frames=config.frames, channels=config.channels, size=config.size, rate=config.rate),
        classes=_films(config)[0].classes,
    )


def files(config: Config, root: Path) -> list[Path]:
    train, test = _films(config)
    return [*train.files, *(test.files if test else [])]


def load(config: Config, root: Path) -> RawData:
    from dataclasses import replace

    import torch

    from harness.plugin import RawData

    def part(films: Films, start: int, clips: torch.Tensor, rows: torch.Tensor) -> RawData:
        own = (rows >= start) & (rows < start + len(films.films))
        which = rows[own] - start
        return RawData(inputs=clips[own], labels=torch.tensor(films.labels)[which], groups=which)

    train, test = _films(config)
    clips, rows = cached_films([*train.films, *(test.films if test else ())], config.cut, NAME)
    learned = part(train, 0, clips, rows)
    if test is None:
        return learned
    return replace(learned, test=replace(part(test, len(train.films), clips, rows), groups=None))


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME, kind="video", describe=describe, files=files, load=load, config=Config, source="your own films"
    )
