"""The tidy frame: one row per score, with everything that says where the number comes from.

A skipped or failed evaluation, or training, is a row with an empty score and no value: never a missing row.
Text columns hold "" where there is nothing to say, so that Parquet and CSV give back the same frame.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cleaned import cleaned, from_a_sheet, in_a_sheet, one_line
from harness.data.cache import write_atomically
from harness.errors import RequestError
from harness.records import CellResult, EvaluationResult, PluginRef, as_trained, budget_text, never_trains, written
from harness.registry.grammar import parse_plugins
from harness.sealed import checksum

TRAINING = "training"  # the name of the evaluation that holds what training gave and cost
PROVENANCE = "provenance."
PARAMS = "params."  # of a method; "params.backbone." of its backbone: a column for each
CHECKSUM = b"harness checksum"
_COUNT = "examples"  # the score of training that says how many were drawn; its unit is their kind
TRAINING_SCORES = (
    "loss", "seconds", _COUNT, "steps", "parameters", "views", "passes", "flops", "examples_per_second",
)  # fmt: skip

COLUMNS: dict[str, Any] = {
    "run": str, "cell": str, "label": str, "method": str, "kind": str, "trained": "bool", "uses": str,
    "params": str, "backbone": str,
    "source": str, "target": str, "device": str, "precision": str, "seed": "int64", "budget": str,
    "budget_examples": "Int64", "train": str,
    "evaluation": str, "labels": str, "score": str, "value": "float64", "unit": str, "better": str, "primary": "bool",
    "role": str, "beside": str, "word": str, "asks": str, "low": "float64", "high": "float64", "proportion": "bool",
    "chance": "float64", "n": "Int64", "status": str, "reason": str, "note": str, "seconds": "float64",
    "examples": str, "finished": str,
}  # fmt: skip
_OF_ROWS = (  # columns in which the rows of one cell differ
    "target", "evaluation", "labels", "score", "value", "unit", "better", "primary", "role", "beside", "word", "asks",
    "low", "high", "proportion", "chance", "n", "status", "reason", "note", "seconds", "examples",
)  # fmt: skip
_KINDS = ("model", "pretext", "pretrained", "reference")
_LATER = (
    "role",
    "beside",
    "word",
    "asks",
    "low",
    "high",
    "proportion",
    "examples",
    "labels",
    "label",
)  # columns that an older frame lacks


def dataset_labels(results: Iterable[CellResult]) -> dict[str, str]:
    """What to call each dataset (by its full text), to be shared between runs that are reported together.

    Its name, and in brackets only the parameters that tell it apart: `image-folder`, not the path that it is at.
    Methods, backbones and evaluations keep their full text, which names what differs from their defaults.
    """
    refs = [ref for result in results for ref in (result.cell.source, *result.cell.targets)]
    variants: dict[str, dict[str, PluginRef]] = {}
    for ref in refs:
        variants.setdefault(ref.name, {})[str(ref)] = ref
    labels = {}
    for same_name in variants.values():
        telling = _telling_params([ref.params for ref in same_name.values()])
        for text, ref in same_name.items():
            params = {key: value for key, value in ref.params.items() if key in telling}
            labels[text] = str(PluginRef(name=ref.name, params=params))
    return labels


def _telling_params(variants: Sequence[Mapping[str, Any]]) -> set[str]:
    keys = {key for params in variants for key in params}
    return {key for key in keys if len({repr(params.get(key, "")) for params in variants}) > 1}


def _cleaned(row: dict[str, Any]) -> dict[str, Any]:
    """Of a row, texts and what they are called, as they may be shown (harness.cleaned)."""
    return {cleaned(key): cleaned(value) if isinstance(value, str) else value for key, value in row.items()}


def tidy_frame(results: Iterable[CellResult], run: str = "", labels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per score of these results, in an order that does not depend on theirs.

    run: the name of their run. labels: from `dataset_labels` where several runs share one frame.
    """
    results = sorted(results, key=_order)
    names = labels if labels is not None else dataset_labels(results)
    cells = [_cleaned(_cell_columns(result, run, names)) for result in results]
    rows = [list(_rows(result, names)) for result in results]
    columns = list(dict.fromkeys([*COLUMNS, *(key for cell in cells for key in cell)]))
    told = _with_types(pd.DataFrame([row for of_cell in rows for row in of_cell], columns=list(_OF_ROWS)))
    of_cells = _with_types(pd.DataFrame(cells, columns=[column for column in columns if column not in _OF_ROWS]))
    place = [number for number, of_cell in enumerate(rows) for _ in of_cell]
    return pd.concat([of_cells.take(place).reset_index(drop=True), told], axis=1)[columns]


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several tidy frames under each other; a provenance column that one of them lacks is empty there."""
    if len(frames) == 1:
        return frames[0]
    return typed(pd.concat(frames, ignore_index=True)) if frames else tidy_frame([])


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the types of COLUMNS, and text with "" for nothing in every other column.

    What the scores of an older frame do not say of themselves is nothing.
    """
    frame = frame.assign(**{column: _NOTHING[COLUMNS[column]] for column in _LATER if column not in frame.columns})
    return _with_types(_with_trained(frame))


def _with_types(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that there are as `typed` gives them."""
    types: dict[Any, Any] = {column: COLUMNS.get(column, str) for column in frame.columns}
    texts = [column for column, kind in types.items() if kind is str]
    filled = {column: frame[column].astype(object).where(frame[column].notna(), "") for column in texts}
    frame = frame.assign(**filled).astype(types)
    of_parameters = [column for column in frame.columns if str(column).startswith(PARAMS)]
    return frame.assign(**{column: _numbers_if_all(frame[column]) for column in of_parameters})


def _with_trained(frame: pd.DataFrame) -> pd.DataFrame:
    """What an older frame does not say in a column of its own, from its rows of training."""
    if "trained" in frame.columns:
        return frame
    spent = frame[(frame["evaluation"] == TRAINING) & (frame["score"] == _COUNT)].groupby("cell")["value"].first()
    examples = frame["cell"].map(spent)
    trained = (examples.fillna(0).astype(float) > 0) | (frame["kind"] == "pretrained")
    return frame.assign(trained=trained, budget_examples=examples.astype("Float64").round().astype("Int64"))


def _numbers_if_all(texts: pd.Series) -> pd.Series:
    """A parameter's values as numbers, NaN where a method has none, if all of them are; else as text."""
    values = texts[texts != ""]
    try:
        numbers = values.astype(float)
    except ValueError:
        return texts
    return texts if values.empty else numbers.reindex(texts.index)


_NOTHING: dict[Any, Any] = {str: "", "float64": float("nan"), "bool": False}


def write_frame(frame: pd.DataFrame, folder: Path) -> None:
    """Write `results.parquet` and `results.csv` into the folder: whole files, in the place of links too.

    No text of the CSV is one that a spreadsheet takes for a formula; `read_frame` gives it back as it was.
    """
    sheet = sheet_of(frame)
    parquet = io.BytesIO()
    _write_parquet(frame, checksum(sheet), parquet)
    write_atomically(folder / "results.parquet", lambda file: file.write(parquet.getvalue()))
    write_atomically(folder / "results.csv", lambda file: file.write(sheet))


def sheet_of(frame: pd.DataFrame) -> bytes:
    """The CSV of a frame, in which no text is a formula to a spreadsheet."""
    numeric = pd.api.types.is_numeric_dtype
    texts = [column for column in frame.columns if COLUMNS.get(column, str) is str and not numeric(frame[column])]
    sheet = frame.assign(**{column: _in_a_sheet(frame[column]) for column in texts})
    sheet.columns = [in_a_sheet(column) for column in sheet.columns]
    written = io.BytesIO()
    sheet.to_csv(written, index=False, encoding="utf-8", errors="backslashreplace")
    return written.getvalue()


def _in_a_sheet(texts: pd.Series) -> Any:
    """Each text once: most columns repeat few."""
    changed = {text: safe for text in texts.unique() if (safe := in_a_sheet(text)) != text}
    return [changed.get(text, text) for text in texts.tolist()] if changed else texts


def _write_parquet(frame: pd.DataFrame, content: str, file: io.BytesIO) -> None:
    """With the checksum of the CSV of the same frame among the file's own words."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), CHECKSUM: content.encode()})
    pyarrow.parquet.write_table(table, file)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(path.read_bytes()))
        stored = table.to_pandas()
        frame = typed(stored)
        said = (table.schema.metadata or {}).get(CHECKSUM)
        whole = said is None or checksum(sheet_of(stored)).encode() == said  # None: an older version wrote it
    except OSError as error:
        raise ValueError(one_line(str(error))) from None
    except Exception as error:  # of damaged bytes, Arrow and pandas raise whatever they meet
        raise ValueError(f"it is damaged: {one_line(str(error))[:200]}") from None
    if not whole:
        raise ValueError("it is damaged: its checksum is another")
    return frame


def read_frame(path: Path) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote, from its Parquet or its CSV file."""
    if path.suffix == ".parquet":
        return _read_parquet(path)
    texts = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns=from_a_sheet)
    return typed(texts.assign(**{column: _parsed(texts[column], column) for column in texts.columns}))


def _parsed(texts: pd.Series, column: str) -> list[Any]:
    """The values behind a CSV column; every float to the last bit, which not every version of pandas promises."""
    parsers: Any = {"float64": float, "int64": int, "Int64": int, "bool": "True".__eq__}
    parse = parsers.get(COLUMNS.get(column, str), from_a_sheet)
    return [None if text == "" and parse is not from_a_sheet else parse(text) for text in texts]


def _order(result: CellResult) -> tuple[Any, ...]:
    cell = result.cell
    where = (str(cell.source), str(cell.backbone or ""), cell.device, cell.precision, budget_text(cell))
    return (_KINDS.index(cell.kind), str(cell.method), *where, str(vars(cell.train)), cell.seed, result.key)


def _rows(result: CellResult, labels: Mapping[str, str]) -> Iterator[list[Any]]:
    """What each row of a cell has of its own: _OF_ROWS."""
    told = [_evaluation_rows(evaluation, labels) for evaluation in result.evaluations]
    for row in chain(_training_rows(result), *told):
        values = map(row.get, _OF_ROWS)
        yield [cleaned(value) if isinstance(value, str) else value for value in values]


def _cell_columns(result: CellResult, run: str, labels: Mapping[str, str]) -> dict[str, Any]:
    cell = result.cell
    provenance = {"threads": cell.threads, "train": vars(cell.train), **result.provenance}
    return {
        "run": run,
        "cell": result.key,
        "method": str(cell.method),
        "kind": cell.kind,
        "trained": has_learned(result),
        "budget_examples": result.training.examples if result.training.status == "ok" else None,
        "train": str(result.provenance.get("settings", "")),
        "uses": str(result.provenance.get("uses", "")),
        "params": _all_params(result),
        "backbone": str(cell.backbone or ""),
        "source": labels.get(str(cell.source), str(cell.source)),
        "device": cell.device,
        "precision": as_trained(cell, result.training).precision,
        "seed": cell.seed,
        "budget": "" if cell.kind == "pretrained" or never_trains(result) else budget_text(cell),
        "finished": result.finished,
        **parameters(result),
        **{PROVENANCE + key: text for key, text in flattened(provenance)},
    }


def has_learned(result: CellResult) -> bool:
    """Did its method learn from examples, here or elsewhere, by steps or in closed form?"""
    return result.cell.kind == "pretrained" or bool(result.training.steps or result.training.examples)


def parameters(result: CellResult) -> dict[str, str]:
    """`params.latent_dim` -> "8" for each parameter of the method, `params.backbone.width` of its backbone."""
    found: dict[str, str] = {}
    for prefix, role in (("", "method"), ("backbone.", "backbone")):
        for ref in asked(result, role)[:1]:
            found |= {f"{PARAMS}{prefix}{key}": _as_text(value) for key, value in ref.params.items()}
    return found


def asked(result: CellResult, role: str) -> tuple[PluginRef, ...]:
    """The plugin with every parameter that was asked for as this part of a cell; none where it cannot be read."""
    text = result.identity.get(role)
    try:
        return parse_plugins(str(text)) if text else ()
    except RequestError:  # of an older run: how parameters were written then
        return ()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else written(value)


def _all_params(result: CellResult) -> str:
    """Every parameter of the method, defaults too: its identity has them."""
    name = result.cell.method.name
    full = str(result.identity.get("method", ""))
    return (full if full.startswith(f"{name}[") else str(result.cell.method)).removeprefix(name)[1:-1]


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested mappings as ("outer.inner", text).

    >>> list(flattened({"torch": "2.9", "plugins": {"vae": "1a"}, "threads": 2}))
    [('torch', '2.9'), ('plugins.vae', '1a'), ('threads', '2')]
    """
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def _training_rows(result: CellResult) -> list[dict[str, Any]]:
    training = result.training
    common = {"target": "", "evaluation": TRAINING, "status": training.status, "seconds": training.seconds}
    common |= {"note": training.note}
    if training.status != "ok":
        return [{**common, **_NO_SCORE, "reason": training.reason}]
    speed = training.examples / training.seconds if training.seconds > 0 and training.examples else None
    one = training.counted.removesuffix("s")  # "image"
    scores = [
        (training.loss, "loss", None),  # each method has a loss of its own: never compared
        (training.seconds, "s", 0.0),
        (training.examples, training.counted, 0.0),
        (training.steps, "steps", 0.0),
        (training.parameters, "weights", 0.0),
        (training.views, f"views/{one}", 0.0),
        (training.passes, f"passes/{one}", 0.0),
        (training.flops, "FLOPs", 0.0),
        (speed, f"{training.counted}/s", 0.0),
    ]
    return [
        {**common, **_NO_SCORE, "score": name, "value": float(value), "unit": unit, "low": low}
        for name, (value, unit, low) in zip(TRAINING_SCORES, scores, strict=True)
        if value is not None
    ]


def _evaluation_rows(evaluation: EvaluationResult, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    common = {
        "target": labels.get(evaluation.target, evaluation.target),
        "evaluation": evaluation.evaluation,
        "labels": evaluation.labels,
        "status": evaluation.status,
        "reason": evaluation.reason,
        "note": evaluation.note,
        "seconds": evaluation.seconds,
        "examples": evaluation.examples,
    }
    if evaluation.status != "ok" or not evaluation.scores:
        return [{**common, **_NO_SCORE}]
    return [
        {**common, **vars(score), "note": "; ".join(filter(None, (score.note, evaluation.note)))}
        for score in evaluation.scores
    ]


_NO_SCORE: dict[str, Any] = {
    "score": "", "value": None, "unit": "", "better": "none", "primary": False, "role": "told", "proportion": False,
}  # fmt: skip


def counted(frame: pd.DataFrame) -> str:
    """What the examples of these rows are: "images", "clips" or "texts"; "examples" where there are several kinds."""
    training = frame[(frame["evaluation"] == TRAINING) & (frame["score"] == _COUNT)]
    kinds = training["unit"].unique()
    return str(kinds[0]) if len(kinds) == 1 else _COUNT
