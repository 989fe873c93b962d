"""Pictures that evaluations made: the first seed of every series on every target, read from the runs' folders.

Curves are the mean over its seeds.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cleaned import one_line
from harness.errors import HarnessError
from harness.records import CellResult, EvaluationResult, Picture
from harness.report import curves
from harness.report.figures import Drawing, feature_map
from harness.report.plots import curves_chart, matrix_chart
from harness.report.series import Series
from harness.report.stills import SIGNATURE
from harness.store import verified

WIDE = 560  # CSS pixels that small pictures are scaled up to, by whole factors
BESIDE = 116  # of them for the names of rows
DRAWN: Mapping[str, Callable[..., Drawing]] = {
    "scatter": feature_map,
    "matrix": matrix_chart,
}
CELL = 100  # CSS pixels that one image with a text under it is scaled up to


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One image of a grid, and the text under it."""

    text: str
    view: str  # its place in the grid, as an SVG viewBox
    width: int  # CSS pixels, and height


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture in the report: a PNG, or what became a drawing."""

    series: Series
    seed: int
    target: str
    source: str
    picture: Picture
    file: Path
    content: bytes = b""  # of a PNG, which may be an animated one; empty where the file is gone
    fault: str = ""  # why there is nothing to see, or less
    drawing: Drawing | None = None
    classes: tuple[str, ...] = ()
    curves: dict[str, Any] | None = None  # the mean over `seeds`
    seeds: tuple[int, ...] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by column, of each row

    @property
    def text_rows(self) -> list[tuple[str, ...]]:
        """The table of texts row by row."""
        return list(zip(*self.texts.values(), strict=True))

    @property
    def of_seeds(self) -> str:
        """`seed 0`, or for curves `mean of seeds 0, 1, 2`."""
        return f"mean of seeds {', '.join(map(str, self.seeds))}" if len(self.seeds) > 1 else f"seed {self.seed}"

    @property
    def where(self) -> str:
        return self.target if self.source == self.target else f"{self.source} → {self.target}"

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of a PNG; 0 of what is none."""
        return struct.unpack(">II", self.content[16:24]) if self.content.startswith(SIGNATURE) else (0, 0)

    @property
    def width(self) -> int:
        """CSS pixels: a whole multiple of the picture's own width, so that its pixels stay square and sharp."""
        own = self.pixels[0]
        room = WIDE - BESIDE if self.picture.row_names else WIDE
        return own * max(1, min(6, room // own)) if own else WIDE

    @property
    def cells(self) -> list[Cell]:
        """The images of a grid one by one, where each has a text: they are square, with gaps of one pixel."""
        columns, size = self.picture.columns, 0
        if columns and self.picture.texts:
            size = (self.pixels[0] + 1) // columns - 1
        if size < 1:
            return []
        places = [(index % columns, index // columns) for index in range(len(self.picture.texts))]
        return [
            Cell(text=text, view=f"{x * (size + 1)} {y * (size + 1)} {size} {size}", width=size * max(1, CELL // size))
            for (x, y), text in zip(places, self.picture.texts, strict=True)
        ]


def heading_of(group: Sequence[Shown]) -> str:
    """What stands above pictures of one name: what the first that says it says, else the name."""
    said = [shown.picture.heading for shown in group if shown.picture.heading]
    return said[0] if said else group[0].picture.name.replace("_", " ").capitalize()


def shared_caption(group: Sequence[Shown]) -> str:
    """The caption that all pictures of a group have, or nothing."""
    captions = {shown.picture.caption for shown in group if not shown.picture.shared or group[0].picture.shared}
    return captions.pop() if len(captions) == 1 else ""


def slug(text: str) -> str:
    """Text as part of a file name.

    >>> slug("vae[beta=1.0] · cpu")
    'vae-beta-1.0-cpu'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


Found = tuple[Path, Series, CellResult, EvaluationResult, Picture]


def pictures_by_place(
    results: Iterable[tuple[Path, Series, CellResult]], labels: Mapping[str, str]
) -> dict[tuple[int, str, str, str, str], list[Found]]:
    """The pictures of each (series, source, target, part of the labels, name), that of the lowest seed first."""
    found: dict[tuple[int, str, str, str, str], list[Found]] = {}
    for folder, series, result in results:
        source = labels.get(str(result.cell.source), str(result.cell.source))
        for evaluation in result.evaluations:
            target = labels.get(evaluation.target, evaluation.target)
            for picture in evaluation.pictures:
                if picture.kind == "features":
                    continue  # drawn for all methods together: harness.report.similarity
                key = (series.index, source, target, evaluation.labels, picture.name)
                found.setdefault(key, []).append((folder, series, result, evaluation, picture))
    for group in found.values():
        group.sort(key=lambda one: one[2].cell.seed)
    return found


def shown_pictures(
    results: Iterable[tuple[Path, Series, CellResult]], labels: Mapping[str, str]
) -> dict[str, list[Shown]]:
    """Pictures by name, at the places that they ask for; those of one name are in the order of the series."""
    by_name: dict[str, list[Shown]] = {}
    for (_, source, target, _, name), group in pictures_by_place(results, labels).items():
        folder, series, result, _, picture = group[0]
        shown = Shown(
            series=series, seed=result.cell.seed, source=source, target=target, picture=picture,
            file=folder / picture.file,
        )  # fmt: skip
        shown = _with_curves(shown, group) if picture.kind == "curve" else _with_content(shown, group[0])
        if not any(_same(shown, other) for other in by_name.get(name, [])):
            by_name.setdefault(name, []).append(shown)
    return {name: _with_panels(group) for name, group in in_order(by_name)}


def in_order(by_name: Mapping[str, list[Shown]]) -> list[tuple[str, list[Shown]]]:
    """Names at the places that they ask for; pictures of one name by their data, and in the order of the series."""
    for same_name in by_name.values():
        same_name.sort(key=lambda one: (one.source, one.target, one.series.index))
    placed = sorted(by_name.items(), key=lambda item: (min(one.picture.place for one in item[1]), item[0]))
    return _joined(placed)


def _joined(groups: Sequence[tuple[str, list[Shown]]]) -> list[tuple[str, list[Shown]]]:
    """What all methods share stands beside that with the same heading: the real images beside the samples."""
    kept: dict[str, list[Shown]] = {}
    headed: dict[str, list[Shown]] = {}
    for name, group in groups:
        beside = headed.get(heading_of(group)) if all(one.picture.shared for one in group) else None
        if beside and beside[0].picture.kind == group[0].picture.kind:
            beside.extend(group)
        else:
            kept[name] = list(group)
            headed.setdefault(heading_of(group), kept[name])
    return list(kept.items())


def _same(one: Shown, other: Shown) -> bool:
    """Is it the same picture: of all methods, or of one on targets whose parameters it does not show?"""
    if not one.content or one.content != other.content:
        return False
    alike = one.target.partition("[")[0] == other.target.partition("[")[0]
    return alike and (one.picture.shared or one.series.index == other.series.index)


def _read(found: Found) -> bytes | str:
    """The content of a picture's file, verified; or why there is none, in a few words."""
    folder, _, result, _, picture = found
    try:
        return verified(folder, result, picture.file)
    except FileNotFoundError:
        return f"the picture {one_line(picture.file)} is missing"
    except (OSError, HarnessError) as error:
        return one_line(str(error))


def _is_png(content: bytes) -> bool:
    """Is it a whole PNG? Pillow looks at its checksums; nothing is decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.verify()
    except Exception:  # a damaged file makes Pillow raise whatever it likes
        return False
    return True


def _drawn(shown: Shown, draw: Callable[[], Drawing]) -> Shown:
    """With a drawing of what a file says; a file that says something else costs its own picture."""
    try:
        return replace(shown, drawing=draw())
    except Exception as error:  # whatever a drawing raises of numbers that are none, of lists that are too short, ...
        return replace(shown, drawing=None, fault=f"{one_line(shown.picture.file)} cannot be drawn: {_reason(error)}")


def _reason(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")[:200]


def _parsed(content: bytes, picture: Picture) -> dict[str, Any] | str:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else f"{one_line(picture.file)} is damaged: it is no JSON object"


def _with_content(shown: Shown, found: Found) -> Shown:
    content = _read(found)
    if isinstance(content, str):
        return replace(shown, fault=content)
    if shown.picture.kind in ("image", "film"):
        if not _is_png(content):
            return replace(shown, fault=f"{one_line(shown.picture.file)} is damaged: it is no PNG")
        return replace(shown, content=content)
    parsed = _parsed(content, shown.picture)
    if isinstance(parsed, str):
        return replace(shown, fault=parsed)
    if shown.picture.kind == "texts":
        return _with_texts(shown, parsed)
    where = f"{shown.series.label} on {shown.where}"
    name = slug(f"{shown.picture.name}-{shown.series.index}-{where}")
    classes = parsed.get("classes", [])
    shown = replace(shown, classes=tuple(map(str, classes)) if isinstance(classes, list) else ())
    draw = DRAWN[shown.picture.kind]
    return _drawn(shown, lambda: draw(parsed, name, title=where, series=shown.series.index))


def _with_texts(shown: Shown, content: Mapping[str, Any]) -> Shown:
    """A table of texts, whose columns have a text for each row."""
    columns = content.get("columns")
    columns = columns if isinstance(columns, dict) else {}
    lists = list(columns.values())
    whole = lists and all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists)
    if not whole or not all(isinstance(text, str) for one in lists for text in one):
        return replace(shown, fault=f"{one_line(shown.picture.file)} is damaged: it is no table of texts")
    return replace(shown, texts=columns)


def _with_curves(shown: Shown, group: Sequence[Found]) -> Shown:
    """The curves of all seeds whose file is there, as their mean."""
    read: dict[int, dict[str, Any]] = {}
    faults = []
    for found in group:
        seed = found[2].cell.seed
        content = _read(found) if seed not in read else b""
        parsed = _parsed(content, found[4]) if isinstance(content, bytes) and content else content
        if isinstance(parsed, dict):
            read[seed] = parsed
        elif isinstance(parsed, str):
            faults.append(parsed)
    shown = replace(shown, fault="; ".join(faults))
    if not read:
        return shown
    try:
        seeds = curves.alike(read)
        return replace(shown, curves=curves.merged([read[seed] for seed in seeds]), seeds=seeds)
    except Exception as error:
        return replace(shown, fault=f"{one_line(shown.picture.file)} cannot be drawn: {_reason(error)}")


def _with_panels(group: Sequence[Shown]) -> list[Shown]:
    """Curves drawn, all of them between the same limits."""
    try:
        limits = curves.limits_of([one.curves for one in group if one.curves])
    except Exception:  # each is drawn between its own limits, and one that cannot be drawn says so
        limits = None

    def drawn(one: Shown) -> Shown:
        if not one.curves:
            return one
        where = f"{one.series.label} on {one.where}"
        name = slug(f"{one.picture.name}-{one.series.index}-{where}")
        content = one.curves
        return _drawn(one, lambda: curves_chart(content, limits, name, title=where, series=one.series.index))

    return [drawn(one) for one in group]
