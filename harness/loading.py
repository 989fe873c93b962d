"""From a dataset's spec to its rows: where the files are, whether they are there, what they hold, how they are cut.

Everything here takes a DatasetSpec and an instance of its config class; finding them by name is the registry's work.
"""

from __future__ import annotations

import dataclasses
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.cache import cache_root
from harness.data.content import content_fingerprint
from harness.data.fields import PLURALS, DataSpec, TextField
from harness.errors import BrokenPlugin, DatasetMissing, HarnessError, RequestError
from harness.plugin.specs import DatasetSpec
from harness.reasons import reason_of
from harness.typed import type_fault

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.columns import Column
    from harness.data.rows import Dataset, RawData

__all__ = ["cache_root", "check_present", "data_root", "fingerprint", "load"]


def data_root(option: str | Path | None = None) -> Path:
    """The folder of all datasets: `option` (--data-dir), else $HARNESS_DATA, else `data` in the cache folder."""
    chosen = option or os.environ.get("HARNESS_DATA")
    return Path(chosen).expanduser().absolute() if chosen else cache_root() / "data"


def described(spec: DatasetSpec, config: Any, root: Path) -> DataSpec:
    """What a dataset looks like. Raises BrokenPlugin where its plugin cannot say so."""
    said = _asked(spec, "describe", config, root)
    if not isinstance(said, DataSpec):
        raise BrokenPlugin(f"describe() of dataset '{spec.name}'{_home(spec)} gave {_a(said)}, expected a DataSpec")
    fault = type_fault(said)
    if fault:
        raise BrokenPlugin(f"describe() of dataset '{spec.name}'{_home(spec)} gave a DataSpec in which {fault}")
    return said


def files_of(spec: DatasetSpec, config: Any, root: Path) -> list[Path]:
    """The files that hold a dataset, one at least. Raises BrokenPlugin where its plugin cannot say so."""
    said = _asked(spec, "files", config, root)
    if not isinstance(said, (list, tuple)) or not all(isinstance(path, (str, Path)) for path in said):
        raise BrokenPlugin(f"files() of dataset '{spec.name}'{_home(spec)} gave {_a(said)}, expected a list of paths")
    if not said:
        raise BrokenPlugin(
            f"files() of dataset '{spec.name}'{_home(spec)} names none: its content is its fingerprint; where the "
            "examples are made by code, give [Path(__file__)]"
        )
    return [Path(path) for path in said]


def _asked(spec: DatasetSpec, function: str, config: Any, root: Path) -> Any:
    try:
        return getattr(spec, function)(config, root)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        from harness.registry.config import full_ref

        raise BrokenPlugin(f"{function}() of '{full_ref(spec.name, config)}' failed: {reason_of(error)}") from error


def _home(spec: DatasetSpec) -> str:
    """The file that a dataset's plugin is in, to be put in a sentence; "" where that is not known."""
    file = getattr(getattr(spec.load, "__code__", None), "co_filename", "")
    return f" ({Path(file).name})" if file else ""


def _a(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def check_present(spec: DatasetSpec, config: Any, root: Path) -> None:
    """Raise DatasetMissing, with the command that fetches it, unless all files of the dataset are there."""
    missing = [path for path in files_of(spec, config, root) if not path.is_file()]
    if not missing:
        return
    if missing[0].is_symlink():
        raise DatasetMissing(f"dataset '{spec.name}' is not whole: {missing[0]} is a link to nothing: remove it")
    if spec.prepare is None:
        raise DatasetMissing(f"dataset '{spec.name}' is not there: {missing[0]} is missing and nothing can fetch it")
    raise DatasetMissing(
        f"dataset '{spec.name}' is not in {root} ({missing[0].name} is missing): "
        f"fetch it with `harness datasets prepare {spec.name} --data-dir {root}`"
    )


def fingerprint(spec: DatasetSpec, config: Any, root: Path) -> str:
    """16 hexadecimal digits for the content of the dataset: its files and the parameters that change its images.

    A parameter that only says where the files are has `field(metadata={"changes_images": False})` in the config.
    """
    check_present(spec, config, root)
    return content_fingerprint(files_of(spec, config, root), image_parameters(spec.name, config))


def image_parameters(name: str, config: Any) -> str:
    """The name and the parameters that change the images, as JSON: what a fingerprint knows beside the files."""
    counted = [field.name for field in dataclasses.fields(config) if field.metadata.get("changes_images", True)]
    return json.dumps([name, {key: getattr(config, key) for key in counted}], sort_keys=True, default=str)


def load(spec: DatasetSpec, config: Any, root: Path, seed: int) -> Dataset:
    """Read the dataset and cut it into the three splits of `seed`."""
    check_present(spec, config, root)
    said = described(spec, config, root)
    try:
        raw = spec.load(config, root)
        check_rows(raw, said)
    except (OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())
        fetched = spec.prepare is not None and any(file.is_relative_to(root) for file in files_of(spec, config, root))
        if not fetched:
            raise RequestError(f"dataset '{spec.name}'{_home(spec)} does not keep its contract: {reason}") from error
        again = f"delete it and run `harness datasets prepare {spec.name} --data-dir {root}`"
        raise RequestError(f"dataset '{spec.name}' in {root} is damaged, {reason}: {again}") from error
    return made(spec, config, raw, said, seed)


def made(spec: DatasetSpec, config: Any, raw: RawData, said: DataSpec, seed: int) -> Dataset:
    """What was loaded cut into the three splits of `seed`. Raises RequestError where they cannot be filled."""
    from harness.data.splits import split_dataset

    reader = None if spec.read_factors is None else partial(spec.read_factors, config)
    masks = None if spec.read_masks is None else partial(spec.read_masks, config)
    dataset = split_dataset(spec.name, raw, said, seed, reader, masks)
    _check_classes(dataset)
    return dataset


def raw_fault(raw: object) -> str:
    """Why what a dataset loaded is no RawData, or "" where it is."""
    from harness.data.rows import RawData

    if not isinstance(raw, RawData):
        return f"load() gave {_a(raw)}, expected RawData"
    fault = type_fault(raw)
    return f"load() gave RawData in which {fault}" if fault else ""


def check_rows(raw: RawData, spec: DataSpec) -> None:
    """Raise ValueError unless the inputs, and what is known of them, are as the dataset's description says."""
    import torch

    from harness.data.columns import column_of
    from harness.data.splits import rows_of

    fault = raw_fault(raw)
    if fault:
        raise ValueError(fault)

    parts = {"training": raw, "test": raw.test, "unseen": raw.unseen}
    things = PLURALS[spec.kind]
    if raw.groups is not None:
        _check_tensor("groups", raw.groups, "int64", 1)
    if raw.groups is not None and len(raw.groups) != len(column_of(raw.inputs)):
        raise ValueError(f"it has {len(raw.groups)} groups for {len(column_of(raw.inputs))} training {things}")
    if raw.unlabelled is not None:
        _check_column("unlabelled", column_of(raw.unlabelled), spec)
    for name, part in parts.items():
        if part is None:
            continue
        rows = rows_of(part)
        _check_column(name, rows.inputs, spec)
        if rows.labels is not None:
            _check_labels(name, rows.labels, len(rows), spec)
        if rows.paired is not None:
            _check_column(f"{name} paired", rows.paired, spec)
        if rows.captions is not None:
            TextField().check(rows.captions)
        columns: dict[str, object] = {
            "labels": spec.classes,
            "captions": spec.captions,
            "paired": spec.paired_domain,
        }
        columns |= {"factors": spec.factors, "targets": spec.targets}
        for column, expected in columns.items():
            values = getattr(rows, column)
            if (values is not None) != bool(expected):
                what = "paired images" if column == "paired" else column
                raise ValueError(f"it has {what} for some {things} only")
            if values is not None and len(values) != len(rows):
                raise ValueError(f"it has {len(values)} {column} for {len(rows)} {name} {things}")
        if rows.targets is not None:
            _check_tensor(f"{name} targets", rows.targets, "float32", 2)
            if rows.targets.shape[1] != len(spec.targets):
                raise ValueError(f"it has {rows.targets.shape[1]} {name} targets, of {', '.join(spec.targets)}")
        if rows.factors is not None:
            _check_tensor(f"{name} factors", rows.factors, "int64", 2)
            limits = torch.tensor([len(factor.values) for factor in spec.factors])
            if rows.factors.shape[1] != len(limits) or bool(((rows.factors < 0) | (rows.factors >= limits)).any()):
                raise ValueError(f"its {name} factors do not fit {', '.join(factor.name for factor in spec.factors)}")


def _check_column(part: str, column: Column, spec: DataSpec) -> None:
    things = PLURALS[spec.kind]
    if len(column) == 0:
        raise ValueError(f"it has no {things}" if part == "training" else f"it has no {part} {things}")
    try:
        spec.inputs.check(column)
    except ValueError as error:
        raise ValueError(f"its {part} {things} are {error}") from None


def _check_labels(part: str, labels: Tensor, n: int, spec: DataSpec) -> None:
    classes = len(spec.classes)
    _check_tensor(f"{part} labels", labels, "int64", 1)
    if len(labels) != n:
        raise ValueError(f"it has {len(labels)} labels for {n} {part} {PLURALS[spec.kind]}")
    if n and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"its {part} labels run from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")


def _check_tensor(what: str, values: Tensor, dtype: str, dimensions: int) -> None:
    if str(values.dtype) != f"torch.{dtype}" or values.ndim != dimensions:
        expected = "N,R"[: 2 * dimensions - 1] + ("," if dimensions == 1 else "")
        raise ValueError(f"its {what} are {values.dtype} {tuple(values.shape)}, expected torch.{dtype} ({expected})")


def _check_classes(dataset: Dataset) -> None:
    """Every class needs an image to learn from."""
    labels = dataset.train.labels
    if labels is None:
        return
    classes = dataset.spec.classes
    empty = [classes[label] for label, n in enumerate(labels.bincount(minlength=len(classes)).tolist()) if n == 0]
    if empty:
        raise RequestError(f"dataset '{dataset.name}' leaves no training example of class '{empty[0]}': add some")
