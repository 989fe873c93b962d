"""Evaluations of a dataset in files read it in blocks or take what they need, and give the numbers of one in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import example_subject

from harness.data.columns import Files, InMemory
from harness.data.rows import Dataset, Rows
from harness.data.splits import split_dataset
from harness.judging import in_domain
from harness.judging.subject import Subject
from harness.plugin import EvaluationSpec, ScoreValue
from harness.registry import Registry
from harness.seeding import seed_everything
from harness_plugins.backbones import convnet
from harness_plugins.datasets import digits
from harness_plugins.models import vae
from harness_plugins.pretext import rotation
from harness_plugins.references import pca

OF_VAE = ("coverage", "density", "fid", "knn", "latent", "linear-probe", "memorisation", "rate", "reconstruction")
OF_VAE += ("representation",)  # fmt: skip
LIMITS = {"latent": {"train_limit": 500}}  # it draws so many rows and keeps them
N = 900


def data(folder: Path | None) -> Dataset:
    """The first digits, cut into splits: in memory, or each image in a file of `folder` that its number names."""
    raw = digits.load(digits.Config(), Path())
    images = raw.inputs[:N]
    paths = tuple((folder or Path()) / str(row) for row in range(N))
    files = Files(paths, lambda some: images[[int(path.name) for path in some]])
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for path, image in zip(paths, images, strict=True):
            path.write_bytes(image.numpy().tobytes())
    raw = replace(raw, inputs=files if folder else images, labels=raw.labels[:N], test=None)
    return split_dataset("digits", raw, digits.describe(digits.Config(), Path()), 0)


def subject_of(plugin, dataset: Dataset, folder: Path) -> Subject:
    """An untrained method on the dataset."""
    backbone = convnet.harness_backbone()
    seed_everything(0, "test")
    network = backbone.build(dataset.spec, backbone.config())
    spec = plugin.harness_method()
    return example_subject(spec.build(network, dataset.spec, spec.config()), dataset, folder)


def judged(evaluation: str, plugin, folder: Path, *, in_files: bool) -> dict[str, float | ScoreValue]:
    spec: EvaluationSpec = Registry().load(evaluation, ("evaluation",)).spec
    subject = subject_of(plugin, data(folder / "images" if in_files else None), folder)
    seed_everything(0, "evaluation")
    return dict(spec.run(subject, spec.config(**LIMITS.get(evaluation, {}))))


@pytest.fixture
def nothing_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A split in files must not be turned into one tensor."""
    whole = Rows.values

    def values(rows: Rows) -> torch.Tensor:
        assert isinstance(rows.inputs, InMemory) or len(rows) <= 512, f"{len(rows)} rows are read whole"
        return whole.fget(rows)  # type: ignore[attr-defined]

    monkeypatch.setattr(Rows, "values", property(values))
    monkeypatch.setattr(in_domain, "FEWEST", 600)
    monkeypatch.setattr(in_domain, "MOST", 600)


@pytest.mark.usefixtures("nothing_is_read_whole")
@pytest.mark.parametrize(("evaluation", "plugin"), [*((name, vae) for name in OF_VAE), ("pretext", rotation)])
def test_scores_are_those_of_the_same_images_in_memory(evaluation: str, plugin, tmp_path: Path) -> None:
    expected, found = (judged(evaluation, plugin, tmp_path / str(files), in_files=files) for files in (False, True))
    assert expected
    assert expected == found


def test_principal_components_are_those_of_the_same_images_in_memory(tmp_path: Path) -> None:
    methods = []
    for in_files in (False, True):
        dataset = data(tmp_path if in_files else None)
        method = pca.PCA(None, dataset.spec, pca.Config(dim=4))
        method.fit(dataset.train.inputs if in_files else dataset.train.values)
        methods.append(method)
    assert torch.equal(methods[0].mean, methods[1].mean)
    assert torch.equal(methods[0].components, methods[1].components)
