"""Calibration of a probe on digits, before and after its temperature."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.judging.probing import probe_of
from harness.metrics.calibration import temperature_of
from harness.metrics.classification import calibration_error, negative_log_likelihood
from harness_plugins.evaluations.calibration import SCORES, Config, harness_evaluation, run


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_scores_of_digits_are_those_of_the_probe_and_its_temperature(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    config = Config(penalties=1, strongest=1e-4, weakest=1e-4)  # far too strong a penalty: too unsure
    scores = run(subject, config)
    assert set(scores) == {score.name for score in SCORES}
    value = {name: float(getattr(score, "value", score)) for name, score in scores.items()}
    probe = probe_of(subject, config, "any")
    shares = probe.probabilities(subject.features("test"))
    labels = subject.labels("test")
    assert value["ece_before"] == pytest.approx(calibration_error(shares, labels), abs=1e-5)
    assert value["nll_before"] == pytest.approx(negative_log_likelihood(shares, labels), abs=1e-5)
    t = temperature_of(probe.logits(subject.features("validation")), subject.labels("validation"))
    assert value["temperature"] == pytest.approx(t)
    assert t < 0.8
    for name in ("ece", "adaptive_ece", "brier", "nll"):
        assert value[name] < value[f"{name}_before"], name
    assert 0 < value["ece_floor"] < value["ece_before"]
    assert scores["ece"].note.startswith(f"T={t:.3g} by {len(subject.labels('validation'))} validation images")
    assert float(torch.as_tensor(scores["brier"].outcomes).mean()) == pytest.approx(value["brier"])


def test_the_diagram_has_gaps_and_intervals(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    run(subject, Config(penalties=1, strongest=1e-2, weakest=1e-2))
    (picture,) = subject.pictures
    shown = json.loads(Path(picture.file).read_text())
    assert picture.kind == "curve"
    assert len(shown["x"]) == 15
    before, after = shown["lines"].values()
    assert before[0] is None  # ten classes: confidence is at least 0.1
    assert after[-1] > 0.9
    ((low,), (high,)) = (shown[side].values() for side in ("low", "high"))
    inside = [lo <= y <= hi for lo, y, hi in zip(low, after, high, strict=True) if y is not None]
    assert len(inside) > 5
    assert all(inside)
    assert shown["levels"]["calibrated"] == pytest.approx(shown["x"], abs=1e-4)


def test_a_class_that_training_does_not_show(tmp_path: Path) -> None:
    data = digits_dataset()
    seen = replace(data, train=data.train.rows((data.train.labels != 3).nonzero().squeeze(1)))
    scores = run(example_subject(Flat(), seen, tmp_path), Config(penalties=1, strongest=1e-2, weakest=1e-2))
    assert all(torch.isfinite(torch.as_tensor(float(getattr(s, "value", s)))) for s in scores.values())


def test_it_is_told_not_ranked_and_its_config() -> None:
    assert [(score.name, score.role) for score in SCORES if score.primary] == [("ece", "told")]
    assert {score.word for score in SCORES if score.beside == "ece"} == {"before", "floor"}
    assert harness_evaluation().on_request
    with pytest.raises(ValueError, match="bins must be at least 1"):
        Config(bins=0)
    with pytest.raises(ValueError, match="0 < strongest <= weakest"):
        Config(strongest=0.0)
