"""Curves and matrices as an evaluation keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import nn


def test_curves_and_matrices_are_files_with_gaps(tmp_path: Path) -> None:
    subject = example_subject(nn.Identity(), digits_dataset(), tmp_path)
    nan = float("nan")
    subject.show_curves(
        "freeze", [0, 1, 2], {"tuned": [0.5, nan, 0.123456789], "frozen": [1, 2, 3]}, "by depth",
        low={"tuned": [0.4, nan, 0.1]}, high={"tuned": [0.6, nan, 0.2]}, levels={"scratch": 0.7, "line": [1, 2, 3]},
        x_label="stages", y_label="accuracy", x_names=["none", "one", "all"], y_range=(0.0, 1.0), place=7,
    )  # fmt: skip
    subject.show_matrix("alike", torch.tensor([[1.0, nan]]), ["a"], ["b", "c"], "likeness", heading="Alike")
    curve, matrix = subject.pictures
    assert (curve.kind, curve.place, matrix.kind, matrix.heading) == ("curve", 7, "matrix", "Alike")
    assert json.loads(Path(curve.file).read_text()) == {
        "x": [0, 1, 2],
        "lines": {"tuned": [0.5, None, 0.12346], "frozen": [1, 2, 3]},
        "low": {"tuned": [0.4, None, 0.1]},
        "high": {"tuned": [0.6, None, 0.2]},
        "levels": {"scratch": [0.7, 0.7, 0.7], "line": [1, 2, 3]},
        "x_label": "stages",
        "y_label": "accuracy",
        "x_names": ["none", "one", "all"],
        "log_x": False,
        "y_range": [0, 1],
        "bounds": None,
    }
    assert json.loads(Path(matrix.file).read_text())["values"] == [[1.0, None]]


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    subject = example_subject(nn.Identity(), digits_dataset(), tmp_path)
    with pytest.raises(AssertionError, match="line 'a' has 1 values for 2 places"):
        subject.show_curves("c", [0, 1], {"a": [1]}, "")
    with pytest.raises(AssertionError, match="an interval has two ends"):
        subject.show_curves("c", [0, 1], {"a": [1, 2]}, "", low={"a": [0, 1]})
    with pytest.raises(AssertionError, match="1 names for 2 places"):
        subject.show_curves("c", [0, 1], {"a": [1, 2]}, "", x_names=["x"])
    with pytest.raises(AssertionError, match=r"\(1, 2\) values for 2 x 1"):
        subject.show_matrix("m", torch.ones(1, 2), ["a", "b"], ["c"], "")
