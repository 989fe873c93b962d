"""Pictures that evaluations made: the first seed of every series on every target, read from the runs' folders."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.records import CellResult, EvaluationResult, Picture
from harness.report.figures import Drawing, feature_map
from harness.report.series import Series

PNG = b"\x89PNG\r\n\x1a\n"
WIDE = 560  # CSS pixels that small pictures are scaled up to, by whole factors


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture in the report: a PNG, or a scatter that became a drawing."""

    series: Series
    seed: int
    target: str
    source: str
    picture: Picture
    file: Path
    content: bytes = b""  # of a PNG; empty where the file is gone
    drawing: Drawing | None = None
    classes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return self.target if self.source == self.target else f"{self.source} → {self.target}"

    @property
    def width(self) -> int:
        """CSS pixels: a whole multiple of the picture's own width, so that its pixels stay square and sharp."""
        if not self.content.startswith(PNG):
            return WIDE
        (pixels,) = struct.unpack(">I", self.content[16:20])
        return pixels * max(1, min(6, WIDE // pixels))


def slug(text: str) -> str:
    """Text as part of a file name.

    >>> slug("vae[beta=1.0] · cpu")
    'vae-beta-1.0-cpu'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def first_seeds(
    results: Iterable[tuple[Path, Series, CellResult]], labels: Mapping[str, str]
) -> dict[tuple[int, str, str, str], tuple[Path, Series, CellResult, EvaluationResult, Picture]]:
    """The picture of the lowest seed for each (series, source, target, picture name)."""
    found: dict[tuple[int, str, str, str], tuple[Path, Series, CellResult, EvaluationResult, Picture]] = {}
    for folder, series, result in results:
        source = labels.get(str(result.cell.source), str(result.cell.source))
        for evaluation in result.evaluations:
            target = labels.get(evaluation.target, evaluation.target)
            for picture in evaluation.pictures:
                key = (series.index, source, target, picture.name)
                if key not in found or result.cell.seed < found[key][2].cell.seed:
                    found[key] = (folder, series, result, evaluation, picture)
    return found


def shown_pictures(
    results: Iterable[tuple[Path, Series, CellResult]], labels: Mapping[str, str]
) -> dict[str, list[Shown]]:
    """Pictures by name ("reconstructions", "samples", "map" ...), in the order of the series."""
    by_name: dict[str, list[Shown]] = {}
    for (_, source, target, name), (folder, series, result, _, picture) in first_seeds(results, labels).items():
        shown = Shown(
            series=series, seed=result.cell.seed, source=source, target=target, picture=picture,
            file=folder / picture.file,
        )  # fmt: skip
        by_name.setdefault(name, []).append(_with_content(shown))
    for group in by_name.values():
        group.sort(key=lambda one: (one.source, one.target, one.series.index))
    return by_name


def _with_content(shown: Shown) -> Shown:
    if not shown.file.is_file():
        return shown
    if shown.picture.kind == "image":
        return replace(shown, content=shown.file.read_bytes())
    points = json.loads(shown.file.read_text())
    where = f"{shown.series.label} on {shown.where}"
    name = slug(f"{shown.picture.name}-{shown.series.index}-{where}")
    drawing = feature_map(points, name, title=where, series=shown.series.index)
    return replace(shown, drawing=drawing, classes=tuple(map(str, points.get("classes", []))))
