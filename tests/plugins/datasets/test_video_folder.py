"""Films in folders: those of every sort are the same clips, and odd ones are named."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness import loading
from harness.data import video_files
from harness.data.video_decoding import Cut, at_rate, clips_of
from harness.data.video_files import list_films
from harness.errors import DatasetMissing, HarnessError, RequestError
from harness.registry.config import resolve
from harness_plugins.datasets import video_folder

av = pytest.importorskip("av")
SPEC = video_folder.harness_dataset()
N, SIZE = 10, 32
CUT = Cut(frames=4, rate=0.0, stride=0, size=16, channels=3)


def film(seed: int = 0, n: int = N, size: int = SIZE) -> np.ndarray:
    """A bright square that moves over a dark ground: uint8 (n,H,W,3)."""
    frames = np.full((n, size, size, 3), 30 + 5 * seed, dtype=np.uint8)
    for place in range(n):
        frames[place, 8:24, 2 * place : 2 * place + 12] = (200, 120, 40)
    return frames


def write_stream(
    file: Path,
    frames: np.ndarray,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    turned: tuple[int, bool, bool] | None = None,
    times: list[int] | None = None,
) -> Path:
    """Ten frames a second, or each at its time in hundredths of a second; turned: degrees to the left, mirrors."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixels
        stream.bit_rate = 4_000_000
        if turned:
            stream.set_display_rotation(*turned)
        if times:
            stream.codec_context.time_base = Fraction(1, 100)
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if times:
                picture.pts, picture.time_base = times[place], Fraction(1, 100)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file


def write_sound(file: Path) -> Path:
    """A tenth of a second of silence, and no picture."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return file


def write_gif(file: Path, frames: np.ndarray, duration: int = 100) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(file, save_all=True, append_images=rest, duration=duration)
    return file


def write_arrays(file: Path, frames: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, frames=frames)
    return file


def write_stills(folder: Path, frames: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{place:03}.png")
    return folder


@pytest.mark.parametrize(
    ("name", "write", "tolerance"),
    [
        ("a.mp4", write_stream, 12),
        ("a.avi", lambda file, frames: write_stream(file, frames, "mjpeg", "yuvj420p"), 12),
        ("a.mkv", lambda file, frames: write_stream(file, frames, "ffv1", "yuv444p10le"), 4),  # ten bits a channel
        ("a.MOV", lambda file, frames: write_stream(file, frames, "mpeg4"), 12),
        ("ä b.gif", write_gif, 8),
        ("a.npz", write_arrays, 0),
        ("a", write_stills, 0),
    ],
)
def test_a_film_of_any_sort_is_its_frames(name: str, write, tolerance: float, tmp_path: Path) -> None:
    (clip,) = clips_of(write(tmp_path / name, film()), Cut(frames=N, rate=0.0, stride=0, size=SIZE, channels=3))
    assert clip.shape == (N, 3, SIZE, SIZE)
    assert np.abs(clip.astype(float) - film().transpose(0, 3, 1, 2)).mean() <= tolerance


@pytest.mark.parametrize("sort", ["mp4", "gif"])
def test_the_rate_takes_frames_by_their_times(sort: str, tmp_path: Path) -> None:
    """Ten frames a second: at five of them every second one, at twenty each twice."""
    file = (write_stream if sort == "mp4" else write_gif)(tmp_path / f"a.{sort}", film())
    every = clips_of(file, Cut(frames=N, rate=0.0, stride=0, size=SIZE, channels=1))[0]
    (half,) = clips_of(file, Cut(frames=5, rate=5.0, stride=0, size=SIZE, channels=1))
    (double,) = clips_of(file, Cut(frames=19, rate=20.0, stride=0, size=SIZE, channels=1))
    np.testing.assert_array_equal(half, every[::2])
    np.testing.assert_array_equal(double, every.repeat(2, 0)[:19])


def test_ticks_take_the_last_frame_that_has_begun() -> None:
    times = [3.0, 3.04, 3.5, 4.0]
    expected = [max(i for i, time in enumerate(times) if time - 3.0 <= tick / 4 + 1e-6) for tick in range(5)]
    assert at_rate(times, 4) == expected == [0, 1, 2, 2, 3]


def test_strides_cut_several_clips_of_which_none_is_in_two_splits(tmp_path: Path) -> None:
    for label in ("left", "right"):
        for row in range(6):
            write_arrays(tmp_path / label / f"{row}.npz", film(row))
    config = video_folder.Config(path=tmp_path, size=16, frames=4, stride=2)
    raw = SPEC.load(config, Path())
    assert raw.inputs.shape == (12 * 4, 4, 3, 16, 16)
    assert raw.groups.bincount().tolist() == [4] * 12
    assert raw.labels.tolist() == [0] * 24 + [1] * 24
    dataset = loading.load(SPEC, config, Path(), seed=0)
    grounds = [set(part.values[:, 0, 0, 0, 0].tolist()) for part in (dataset.train, dataset.validation, dataset.test)]
    labels = [part.labels for part in (dataset.train, dataset.validation, dataset.test)]
    films = [
        {(ground, label) for ground, label in zip(part.values[:, 0, 0, 0, 0].tolist(), known.tolist(), strict=True)}
        for part, known in zip((dataset.train, dataset.validation, dataset.test), labels, strict=True)
    ]
    assert sum(map(len, films)) == len(set().union(*films)) == 12
    assert grounds[0]
    one = SPEC.load(video_folder.Config(path=tmp_path, size=16, frames=4), Path())
    assert torch.equal(one.inputs[0], torch.from_numpy(clips_of(tmp_path / "left" / "0.npz", CUT)[0]))
    assert len(one.inputs) == 12


def test_a_test_folder_is_the_official_test(tmp_path: Path) -> None:
    for part, count in (("train", 8), ("test", 3)):
        for label in ("a", "b"):
            for row in range(count):
                write_stills(tmp_path / part / label / f"film {row}", film(row, 5))
    config = video_folder.Config(path=tmp_path, size=16, frames=4)
    dataset = loading.load(SPEC, config, Path(), seed=0)
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (16, 6)
    assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(SPEC.files(config, Path())) == 22 * 5
    assert len(loading.fingerprint(SPEC, config, Path())) == 16


def odd_films(folder: Path) -> dict[str, str]:
    """Files that cannot be used, and what is said of each."""
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no film")
    whole = write_stream(folder / "cut.mp4", film()).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # its index, at the end, is gone
    write_sound(folder / "sound.mp4")
    write_stream(folder / "one.mp4", film(n=1))
    (folder / "text.gif").write_text("GIF89a, or not")
    write_gif(folder / "one.gif", film(n=1))
    np.savez(folder / "floats.npz", frames=np.zeros((8, 4, 4)))
    np.savez(folder / "two.npz", a=film(), b=film())
    (folder / "broken.npz").write_bytes(b"PK\x03\x04")
    write_stills(folder / "two frames", film(n=2))
    return {
        "empty.mp4": "it is empty",
        "text.mp4": "Invalid data",
        "cut.mp4": "it holds no pictures",
        "sound.mp4": "it holds no pictures",
        "one.mp4": "it has 1 frame, frames=4 are asked",
        "text.gif": "cannot identify image file",
        "one.gif": "it has 1 frame, frames=4 are asked",
        "floats.npz": r"it holds float64 \(8, 4, 4\): expected uint8",
        "two.npz": "it holds a, b: expected one array",
        "broken.npz": "",
        "two frames": "it has 2 frames, frames=4 are asked",
    }


def test_odd_films_are_named_in_one_line(tmp_path: Path) -> None:
    good, bad = tmp_path / "all" / "good", tmp_path / "all" / "odd"
    bad.mkdir(parents=True)
    write_arrays(good / "a.npz", film())
    said = odd_films(bad)
    with pytest.raises(RequestError) as error:
        SPEC.load(video_folder.Config(path=tmp_path / "all", size=16, frames=4), Path())
    assert f"video-folder: {len(said)} of {len(said) + 1} films cannot be used: remove or replace" in str(error.value)
    assert "and 8 more" in str(error.value)
    assert "\n" not in str(error.value)
    for name, reason in said.items():
        for other in said.keys() - {name}:
            hidden = bad / other
            if hidden.exists():
                hidden.rename(tmp_path / other)
        with pytest.raises(RequestError, match=rf"1 of 2 films .*odd/{name} \(.*{reason}"):
            SPEC.load(video_folder.Config(path=tmp_path / "all", size=16, frames=4), Path())
        for other in said.keys() - {name}:
            (tmp_path / other).rename(bad / other)


def test_all_others_are_used_beside_each_other(tmp_path: Path) -> None:
    """Odd sizes, other shapes of frames, a film cut off in its stream, frames at uneven times, other encodings."""
    odd = np.full((N, 27, 33, 3), 90, dtype=np.uint8)
    write_stream(tmp_path / "a" / "odd.mkv", odd, "ffv1", "yuv444p")
    write_stream(tmp_path / "a" / "wide.avi", np.full((N, 16, 64, 3), 90, dtype=np.uint8))
    write_stream(tmp_path / "a" / "uneven.mkv", odd, "ffv1", "yuv444p", times=[0, 5, 9, 30, 31, 33, 70, 75, 90, 100])
    write_gif(tmp_path / "a" / "still.gif", odd + np.arange(N, dtype=np.uint8)[:, None, None, None])
    whole = write_stream(tmp_path / "a" / "cut.avi", film(n=40), "mjpeg", "yuvj420p").read_bytes()
    (tmp_path / "a" / "cut.avi").write_bytes(whole[: len(whole) // 2])
    raw = SPEC.load(video_folder.Config(path=tmp_path, size=16, frames=4), Path())
    assert raw.inputs.shape == (5, 4, 3, 16, 16)
    even = raw.inputs[1:].float()  # all but cut.avi are one grey
    assert (even - 90).abs().max() <= 12


def test_frames_at_uneven_times_are_taken_by_their_times(tmp_path: Path) -> None:
    times = [0, 5, 9, 30, 31, 33, 70, 75, 90, 100]
    greys = np.arange(N, dtype=np.uint8)[:, None, None, None] * 20 + np.zeros((1, 16, 16, 3), dtype=np.uint8)
    file = write_stream(tmp_path / "a.mkv", greys, "ffv1", "yuv444p", times=times)
    (clip,) = clips_of(file, Cut(frames=11, rate=10.0, stride=0, size=16, channels=1))
    seen = np.round(clip[:, 0, 8, 8] / 20.0).astype(int).tolist()
    assert seen == [max(i for i, time in enumerate(times) if time <= tick * 10) for tick in range(11)]


@pytest.mark.parametrize("mirrors", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_films_are_turned_upright(degrees: int, mirrors: tuple[bool, bool], tmp_path: Path) -> None:
    """As the display matrix says, which is read back by its own formula: corner by corner."""
    frames = np.full((4, 32, 48, 3), 30, dtype=np.uint8)
    frames[:, :8, :12] = 255  # the upper left corner
    file = write_stream(tmp_path / "a.mp4", frames, turned=(degrees, *mirrors))
    shown = np.rot90(frames[0], degrees // 90)
    shown = shown[:, ::-1] if mirrors[0] else shown
    shown = shown[::-1] if mirrors[1] else shown
    height, width = shown.shape[:2]
    inner = shown[(height - 32) // 2 :, (width - 32) // 2 :][:32, :32]
    (clip,) = clips_of(file, Cut(frames=4, rate=0.0, stride=0, size=32, channels=3))
    assert np.abs(clip[0].astype(float) - inner.transpose(2, 0, 1)).mean() <= 12


def test_what_was_decoded_is_kept_until_a_film_or_the_cut_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    read: list[str] = []
    plain = video_files.clips_of

    def counted(path: Path, cut: Cut) -> list[np.ndarray]:
        read.append(path.name)
        return plain(path, cut)

    monkeypatch.setattr(video_files, "clips_of", counted)
    for label, sort in (("b", "npz"), ("a", "gif")):
        for row in range(2):
            write = write_arrays if sort == "npz" else write_gif
            write(tmp_path / "films" / label / f"{row}.{sort}", film(row))
    write_stills(tmp_path / "films" / "b" / "2", film(2))
    config = video_folder.Config(path=tmp_path / "films", size=16, frames=4, stride=3)
    first, second = (SPEC.load(config, Path()) for _ in range(2))
    assert sorted(read) == ["0.gif", "0.npz", "1.gif", "1.npz", "2"]
    for name in ("inputs", "labels", "groups"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert first.labels.tolist() == [0] * 6 + [1] * 9
    ground = first.inputs[:, 0, 0, 0, 0]
    assert ground[-9:].tolist() == [30] * 3 + [35] * 3 + [40] * 3
    write_arrays(tmp_path / "films" / "b" / "0.npz", film(9))
    assert SPEC.load(config, Path()).inputs[6, 0, 0, 0, 0] == 75
    SPEC.load(video_folder.Config(path=tmp_path / "films", size=16, frames=5, stride=3), Path())
    assert len(read) == 15


def test_previews_and_links_back_up_are_no_films(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a" / "day" / "1.npz", film())
    write_stills(tmp_path / "a" / "day", film(n=1))
    write_stills(tmp_path / "a" / "day" / "2", film())
    os.symlink(tmp_path / "a", tmp_path / "a" / "day" / "up")
    found, _ = list_films(tmp_path)
    assert [film.relative_to(tmp_path).as_posix() for film in found.films] == ["a/day/1.npz", "a/day/2"]


def test_a_rate_needs_times(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no times to take rate=5 a second by: leave rate=0"):
        clips_of(write_arrays(tmp_path / "a.npz", film()), Cut(frames=4, rate=5.0, stride=0, size=16, channels=3))


def test_grey_arrays_are_taken_and_cut_in_the_centre(tmp_path: Path) -> None:
    frames = np.zeros((4, 16, 32), dtype=np.uint8)
    frames[:, :, 8:24] = 255
    write_arrays(tmp_path / "a.npz", frames)
    write_arrays(tmp_path / "b.npz", frames[..., None])
    for name in ("a.npz", "b.npz"):
        (clip,) = clips_of(tmp_path / name, CUT)
        assert clip.shape == (4, 3, 16, 16)
        assert clip.min() > 200


@pytest.mark.parametrize(
    ("folders", "kind", "message"),
    [
        ([], DatasetMissing, "has no class folders"),
        (["train", "val"], RequestError, "call them train and test"),
        (["a"], RequestError, "has no films"),
        (["train/a", "test/b"], RequestError, "has no films"),
    ],
)
def test_folders_without_films_say_so(
    folders: list[str], kind: type[HarnessError], message: str, tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(kind, match=message):
        list_films(tmp_path)
    with pytest.raises(DatasetMissing, match="there is no folder"):
        list_films(tmp_path / "none")


def test_odd_parameters_are_errors(tmp_path: Path) -> None:
    for params in ({"size": 2}, {"frames": 1}, {"rate": -1.0}):
        with pytest.raises(RequestError, match=next(iter(params))):
            resolve(video_folder.Config, {"path": str(tmp_path), **params}, "video-folder")


def test_the_frame_rate_that_was_asked_for_is_known_to_films_and_to_no_key(tmp_path: Path) -> None:
    for label in "ab":
        write_arrays(tmp_path / label / "1.npz", film())
    timed, all_frames = (
        SPEC.describe(video_folder.Config(path=tmp_path, rate=rate), Path()).inputs for rate in (5.0, 0.0)
    )
    assert (timed.rate, all_frames.rate) == (5.0, 0.0)
    assert repr(timed) == repr(all_frames)
