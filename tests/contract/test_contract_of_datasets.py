"""The contract of datasets: each way to break it is found by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from findings import checked, plugin

from harness.contract.kit import check_plugin
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import RawData
from harness.plugin.specs import DatasetSpec
from harness.registry import Registry


def dataset(raw: RawData, spec: DataSpec[ImageField], file: Path) -> DatasetSpec:
    return DatasetSpec(
        name="d",
        describe=lambda config, root: spec,
        files=lambda config, root: [file],
        load=lambda config, root: raw,
        source="own work",
    )


GREY = DataSpec(inputs=ImageField(channels=1, size=8), classes=("a", "b"))
IMAGES = torch.zeros(60, 1, 8, 8, dtype=torch.uint8)
LABELS = torch.tensor([0, 1] * 30)
DATASETS = [
    (RawData(inputs=IMAGES, labels=LABELS), GREY, "", ""),
    (RawData(inputs=IMAGES.float(), labels=LABELS), GREY, "inputs_are_as_described", "expected torch.uint8"),
    (
        RawData(inputs=IMAGES[:, :, :4], labels=LABELS),
        GREY,
        "inputs_are_as_described",
        "expected torch.uint8 (N, 1, 8, 8",
    ),
    (RawData(inputs=IMAGES, labels=LABELS + 1), GREY, "labels_are_in_range", "run from 1 to 2, expected 0 to 1"),
    (RawData(inputs=IMAGES, labels=LABELS[:40]), GREY, "labels_are_in_range", "labels returned (40,), expected (60,)"),
    (RawData(inputs=IMAGES), GREY, "labels_are_in_range", "not a torch.int64 tensor"),
    (
        RawData(inputs=IMAGES, labels=LABELS),
        DataSpec(inputs=ImageField(channels=1, size=8)),
        "labels_are_in_range",
        "names no classes",
    ),
    (
        RawData(inputs=IMAGES, labels=LABELS),
        DataSpec(inputs=ImageField(channels=2, size=8), classes=("a", "a")),
        "describes_itself",
        "it has 2 channels",
    ),
]


@pytest.mark.parametrize(("raw", "spec", "name", "message"), DATASETS)
def test_datasets(raw: RawData, spec: DataSpec[ImageField], name: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "images.bin"
    file.write_bytes(b"x")
    failed = checked(dataset(raw, spec, file), "dataset", tmp_path)
    if not name:
        assert failed == {}
    else:
        assert message in failed[name].detail


@pytest.mark.parametrize(
    ("masks", "regions", "message"),
    [
        (lambda config, rows: torch.zeros(len(rows), 8, 8, dtype=torch.uint8), ("nothing", "a line"), ""),
        (lambda config, rows: torch.zeros(len(rows), 8, 8, dtype=torch.uint8), (), "say both or none"),
        (None, ("nothing", "a line"), "say both or none"),
        (lambda config, rows: torch.zeros(len(rows), 8, 8), ("nothing", "a line"), "expected torch.uint8"),
        (lambda config, rows: torch.zeros(len(rows), 4, 4, dtype=torch.uint8), ("nothing",), "expected (60, 8, 8)"),
        (
            lambda config, rows: torch.full((len(rows), 8, 8), 2, dtype=torch.uint8),
            ("nothing", "a line"),
            "a mask shows 2, of 2 regions from 0 on",
        ),
    ],
)
def test_masks(masks: object, regions: tuple[str, ...], message: str, tmp_path: Path) -> None:
    file = tmp_path / "images.bin"
    file.write_bytes(b"x")
    spec = dataset(RawData(inputs=IMAGES, labels=LABELS), replace(GREY, regions=regions), file)
    failed = checked(replace(spec, read_masks=masks), "dataset", tmp_path)
    assert set(failed) == ({"masks_show_its_regions"} if message else set())
    assert not message or message in failed["masks_show_its_regions"].detail


def test_a_dataset_that_is_not_there_is_skipped(tmp_path: Path) -> None:
    spec = dataset(RawData(inputs=IMAGES, labels=LABELS), GREY, tmp_path / "missing.bin")
    checks = {check.name: check for check in check_plugin(plugin(spec, "dataset", tmp_path), Registry(), tmp_path)}
    assert checks["describes_itself"].status == "ok"
    for name in ("files_are_there", "inputs_are_as_described", "labels_are_in_range", "fills_its_splits"):
        assert checks[name].status == "skipped"
        assert "missing.bin" in checks[name].detail
