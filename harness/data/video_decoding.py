"""One film as clips: .mp4, .avi and others with PyAV, .gif with Pillow, folders of frames, .npz.

Frames are treated as the images of `image-folder`: turned upright, the short side resized, the centre cut out.

n frames of a film, T of a clip, C channels, H=W=size pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.files_below import SUFFIXES
from harness.data.folder import centre_cut, decode_image
from harness.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from PIL.Image import Image

FILMS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})  # what PyAV reads
MOVING = FILMS | {".gif", ".npz"}
STILL = SUFFIXES - {".gif"}  # what the images of a folder of frames are
UNTOLD = 0.1  # seconds that a frame of a GIF is shown which says 0, as in browsers


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which frames of a film are clips, and what they look like."""

    frames: int  # T
    rate: float  # frames a second that are taken; 0: all
    stride: int  # frames from the beginning of one clip to that of the next; 0: one clip, from the middle of the film
    size: int  # H = W, in pixels
    channels: int

    def begins(self, count: int) -> list[int]:
        """Where clips begin in a film of so many frames.

        >>> Cut(frames=4, rate=0, stride=3, size=8, channels=1).begins(11)
        [0, 3, 6]
        """
        if self.stride == 0:
            return [(count - self.frames) // 2]
        return list(range(0, count - self.frames + 1, self.stride))


def frames_of(folder: Path) -> list[Path]:
    """The images of a folder of frames, by name: numbers in the names need leading zeros."""
    files = (entry for entry in folder.iterdir() if entry.suffix.lower() in STILL and not entry.name.startswith("."))
    return sorted(file for file in files if file.is_file())


def clips_of(film: Path, cut: Cut) -> list[np.ndarray]:
    """The clips of one film: uint8 (T,C,H,W) each. Raises ValueError where it has too few frames."""
    import numpy as np

    frames, times = read_film(film, cut)
    if cut.rate:
        if times is None:
            raise ValueError(f"its frames have no times to take rate={cut.rate:g} a second by: leave rate=0")
        frames = [frames[place] for place in at_rate(times, cut.rate)]
    if len(frames) < cut.frames:
        count = f"{len(frames)} frame{'' if len(frames) == 1 else 's'}"
        raise ValueError(f"it has {count}{f' at rate={cut.rate:g}' if cut.rate else ''}, frames={cut.frames} are asked")
    return [np.stack(frames[begin : begin + cut.frames]) for begin in cut.begins(len(frames))]


def at_rate(times: Sequence[float], rate: float) -> list[int]:
    """Which frames are seen at 0, 1/rate, 2/rate ... seconds after the first: the last that has begun by then.

    >>> at_rate([0.0, 0.1, 0.2, 0.3], 5), at_rate([0.0, 0.1], 20)
    ([0, 2], [0, 0, 1])
    """
    import numpy as np

    begun = np.asarray(times) - times[0]
    ticks = np.arange(int(begun[-1] * rate + 1e-6) + 1) / rate
    return (np.searchsorted(begun, ticks + 1e-6, side="right") - 1).tolist()


def read_film(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    """All frames of a film, uint8 (C,H,W) each, and when each begins in seconds, where that is known."""
    if film.is_dir():
        return [decode_image(file, cut.size, cut.channels) for file in frames_of(film)], None
    if film.stat().st_size == 0:
        raise ValueError("it is empty")
    reader = {".gif": _read_gif, ".npz": _read_arrays}.get(film.suffix.lower(), _read_stream)
    return reader(film, cut)


def _read_stream(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    try:
        import av
    except ImportError:
        raise RequestError(f"{film} is read with PyAV, which is not there: `pip install 'harness[video]'`") from None
    av.logging.set_level(av.logging.PANIC)  # what is wrong is said by what it raises
    frames, times = [], []
    with av.open(str(film)) as container:
        if not container.streams.video:
            raise ValueError("it holds no pictures")
        pace = float(container.streams.video[0].average_rate or 25)
        for place, frame in enumerate(container.decode(video=0)):
            frames.append(_pixels(upright(frame.to_image(), _matrix(frame)), cut))
            times.append(place / pace if frame.time is None else frame.time)
    return frames, times


def _matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """The display matrix of a frame, nine integers, where a camera that was held upright or mirrored says one."""
    import numpy as np

    told: Any = frame.side_data.get("DISPLAYMATRIX")  # a buffer, which PyAV's types do not say
    return None if told is None else tuple(np.frombuffer(told, dtype=np.int32).tolist())


def upright(image: Image, matrix: Sequence[int] | None) -> Image:
    """The picture as it is to be shown: the multiple of a quarter turn that is nearest, and the mirror, of a matrix.

    (x,y) is shown at (a*x + c*y, b*x + d*y), where the matrix is a, b, _, c, d, _, ... (ISO 14496-12, section 6.2.2).
    """
    from PIL.Image import Transpose

    if matrix is None:
        return image
    a, b, _, c, d = matrix[:5]
    if abs(b) > abs(a):  # x is shown as y, and y as x
        image, across, down = image.transpose(Transpose.TRANSPOSE), c, b
    else:
        across, down = a, d
    if across < 0:
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Transpose.FLIP_TOP_BOTTOM) if down < 0 else image


def _read_gif(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    from PIL import Image, ImageSequence

    frames, times, now = [], [], 0.0
    with Image.open(film) as opened:
        for frame in ImageSequence.Iterator(opened):
            frames.append(_pixels(frame.convert("RGBA"), cut))
            times.append(now)
            now += frame.info.get("duration", 0) / 1000 or UNTOLD
    return frames, times


def _read_arrays(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    import numpy as np
    from PIL import Image

    with film.open("rb") as file, np.load(file) as arrays:
        if len(arrays.files) != 1 and "frames" not in arrays.files:
            raise ValueError(
                f"it holds {', '.join(arrays.files) or 'nothing'}: expected one array, or one called frames"
            )
        values = arrays["frames" if "frames" in arrays.files else arrays.files[0]]
    if values.dtype != np.uint8 or values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[3] not in (1, 3)):
        raise ValueError(f"it holds {values.dtype} {values.shape}: expected uint8 (n,H,W), (n,H,W,1) or (n,H,W,3)")
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    return [_pixels(Image.fromarray(frame), cut) for frame in values], None


def _pixels(image: Image, cut: Cut) -> np.ndarray:
    """uint8 (C,H,W), as harness.data.folder makes them."""
    import numpy as np

    pixels = np.asarray(centre_cut(image.convert("L" if cut.channels == 1 else "RGB"), cut.size))
    return pixels[None] if cut.channels == 1 else pixels.transpose(2, 0, 1)
