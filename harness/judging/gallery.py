"""What an evaluation shows: pictures as files in a folder of its own, for the report.

N images or clips, T frames, C channels, H=W pixels, D features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from harness.cleaned import one_line
from harness.confined import Outside, inside
from harness.data.images import to_uint8
from harness.errors import TrainingFailed
from harness.judging import compared, drawn
from harness.judging.films import FASTEST, SLOW, fitting, grid, picture_of
from harness.records import LAST, Picture

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Gallery:
    """Pictures in the order in which they were shown; a Subject has its methods as its own.

    classes: names of the target's. rows_of: which rows the test examples are, for comparisons between methods.
    """

    def __init__(self, folder: Path, classes: Sequence[str], rows_of: str) -> None:
        self._classes, self._rows_of = list(classes), rows_of
        self.begin(folder)

    def begin(self, folder: Path) -> None:
        """Show nothing yet, and keep files in this folder from now on."""
        self.pictures: list[Picture] = []
        self._folder = folder

    def show_images(
        self,
        name: str,
        images: Tensor,
        columns: int,
        caption: str,
        *,
        texts: Sequence[str] = (),
        row_names: Sequence[str] = (),
        heading: str = "",
        place: int = LAST,
        shared: bool = False,
    ) -> None:
        """Keep images (N,C,H,W) in [0,1] as one PNG grid with `columns` columns, for the report.

        It writes one of `texts` under each image, or one of `row_names` beside each row of images. Above the pictures
        of this name stands `heading`, at its `place` among those of others (the built-in ones have 10 to 160); what is
        the same for all methods is `shared`: shown once. A clip (N,T,C,H,W) is shown as its frames side by side.
        Tokens of texts (N,L) are no picture: of them nothing is kept.
        """
        if images.ndim == 5:
            images = images.permute(0, 2, 3, 1, 4).flatten(3)  # (N,C,H,T*W)
        if images.ndim == 2:
            return
        rows = -(-len(images) // columns)
        assert not texts or len(texts) == len(images), f"{len(texts)} texts for {len(images)} images"
        assert not row_names or len(row_names) == rows, f"{len(row_names)} names for {rows} rows"
        sheet = grid(to_uint8(images.detach().float().cpu()), columns)  # (H',W',C)
        file = self._new_file(f"{name}.png")
        picture_of(sheet).save(file, optimize=True)
        picture = Picture(
            name=name, kind="image", file=str(file), caption=caption,
            columns=columns, texts=tuple(texts), row_names=tuple(row_names),
            heading=heading, place=place, shared=shared,
        )  # fmt: skip
        self.pictures.append(picture)

    def show_film(
        self,
        name: str,
        clips: Tensor,
        columns: int,
        caption: str,
        *,
        row_names: Sequence[str] = (),
        seen: int = 0,
        frames_per_second: float = 0.0,
        heading: str = "",
        place: int = LAST,
        shared: bool = False,
    ) -> None:
        """Keep clips (N,T,C,H,W) in [0,1] as one moving picture, an animated PNG that runs again and again.

        They move side by side in a grid as that of `show_images`, N a multiple of `columns`. The lines between them are
        white for the first `seen` frames and dark after, from where on something is told. `frames_per_second` 0: slow
        enough to look. A film of more than harness.judging.films.MOST_BYTES loses its last columns, then half of the
        height and width of its frames, and so on; the caption says so.
        """
        assert clips.ndim == 5, f"clips of shape {tuple(clips.shape)}, expected (N,T,C,H,W)"
        assert len(clips) > 0 == len(clips) % columns, f"{len(clips)} clips for {columns} columns"
        assert clips.shape[1] > 1, "one frame does not move: show_images"
        assert clips.shape[2] in (1, 3), f"{clips.shape[2]} channels, expected 1 or 3"
        rows = len(clips) // columns
        assert not row_names or len(row_names) == rows, f"{len(row_names)} names for {rows} rows"
        assert frames_per_second >= 0, f"{frames_per_second} frames a second"
        frames = to_uint8(clips.detach().float().cpu()).unflatten(0, (rows, columns))
        film = fitting(frames, seen, min(frames_per_second or SLOW, FASTEST))
        file = self._new_file(f"{name}.png")
        file.write_bytes(film.content)
        picture = Picture(
            name=name, kind="film", file=str(file), caption="; ".join(filter(None, (caption, film.note))),
            columns=film.columns, row_names=tuple(row_names), heading=heading, place=place, shared=shared,
        )  # fmt: skip
        self.pictures.append(picture)

    def show_points(
        self, name: str, points: Tensor, labels: Tensor | None, caption: str, *, heading: str = "", place: int = LAST
    ) -> None:
        """Keep points (N,2) with their labels (N,) as a scatter plot, for the report; see `show_images`."""
        if points.shape[1:] != (2,) or not bool(torch.isfinite(points).all()):
            raise TrainingFailed(f"points of '{one_line(name)[:80]}' are {tuple(points.shape)}, expected finite (N,2)")
        if labels is not None and labels.shape != points.shape[:1]:
            raise TrainingFailed(
                f"labels of '{one_line(name)[:80]}' are {tuple(labels.shape)} for {len(points)} points"
            )
        content: dict[str, Any] = {
            "x": [round(value, 3) for value in points[:, 0].tolist()],
            "y": [round(value, 3) for value in points[:, 1].tolist()],
            "label": labels.tolist() if labels is not None else [],
            "classes": self._classes,
        }
        self._keep_json(
            content, Picture(name=name, kind="scatter", file="", caption=caption, heading=heading, place=place)
        )

    def show_curves(
        self,
        name: str,
        x: Sequence[float],
        lines: Mapping[str, Sequence[float]],
        caption: str,
        *,
        low: Mapping[str, Sequence[float]] = NOTHING,
        high: Mapping[str, Sequence[float]] = NOTHING,
        levels: Mapping[str, float | Sequence[float]] = NOTHING,
        x_label: str = "",
        y_label: str = "",
        x_names: Sequence[str] = (),
        log_x: bool = False,
        y_range: tuple[float, float] | None = None,
        bounds: tuple[float, float] | None = None,
        heading: str = "",
        place: int = LAST,
    ) -> None:
        """Keep curves over the places `x`, for the report; `heading` and `place` are as in `show_images`.

        Each of the named `lines` has a value for each place; one that is not finite is a gap. `low` and `high` are the
        ends of the intervals of those lines that have any. `levels` are what to read them by, quiet lines of one height
        or of a value for each place. `x_names` stand in the place of the numbers along the axis, which is logarithmic
        if `log_x`. All methods' pictures have one scale, `y_range` or what they need. A report draws the mean over
        seeds, with its interval, which ends at the `bounds` of what is possible.
        """
        content = drawn.curves(
            x, lines, low=low, high=high, levels=levels,
            x_label=x_label, y_label=y_label, x_names=x_names, log_x=log_x, y_range=y_range,
            bounds=bounds,
        )  # fmt: skip
        self._keep_json(
            content, Picture(name=name, kind="curve", file="", caption=caption, heading=heading, place=place)
        )

    def show_texts(
        self,
        name: str,
        columns: Mapping[str, Sequence[str]],
        caption: str,
        *,
        heading: str = "",
        place: int = LAST,
    ) -> None:
        """Keep a table of texts, for each of the named columns one of each row; see `show_images`."""
        content = {"columns": {title: list(texts) for title, texts in columns.items()}}
        self._keep_json(
            content, Picture(name=name, kind="texts", file="", caption=caption, heading=heading, place=place)
        )

    def show_matrix(
        self,
        name: str,
        values: Tensor,
        rows: Sequence[str],
        columns: Sequence[str],
        caption: str,
        *,
        low: float = 0.0,
        high: float = 1.0,
        heading: str = "",
        place: int = LAST,
    ) -> None:
        """Keep a matrix of numbers (R,C) with names as a heat map whose colours run from `low` to `high`."""
        content = drawn.matrix(values, rows, columns, low, high)
        self._keep_json(
            content, Picture(name=name, kind="matrix", file="", caption=caption, heading=heading, place=place)
        )

    def keep_features(self, name: str, features: Tensor, rows: Tensor, caption: str, *, heading: str = "") -> None:
        """Keep the features (N,D) of the test examples `rows` (N,), of which a report compares all methods."""
        file = self._new_file(f"{name}.npz")
        compared.write(file, features, rows, self._rows_of)
        self.pictures.append(Picture(name=name, kind="features", file=str(file), caption=caption, heading=heading))

    def _keep_json(self, content: dict[str, Any], picture: Picture) -> None:
        file = self._new_file(f"{picture.name}.json")
        file.write_text(json.dumps(content), encoding="utf-8")
        self.pictures.append(replace(picture, file=str(file)))

    def _new_file(self, name: str) -> Path:
        """A new file of this evaluation. Raises TrainingFailed for a name that leads elsewhere, or that it has used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            file = inside(self._folder, name)
        except Outside:
            raise TrainingFailed(f"picture '{one_line(name)[:80]}' has a name that leads out of its folder") from None
        if "/" in name or any(Path(picture.file) == file for picture in self.pictures):
            fault = "a name with a slash" if "/" in name else "the name of an earlier one"
            raise TrainingFailed(f"picture '{one_line(name)[:80]}' has {fault}: give each a name of its own")
        return file
