"""Checkpoints: the run's backbone with stored weights, standardised as in training, judged and never trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import harness
from harness.contract.kit import check_plugin
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable, RequestError, TrainingFailed
from harness.loading import data_root
from harness.nn.backbone import Backbone
from harness.plugin.capabilities import capabilities_of
from harness.registry import METHOD_KINDS, Registry
from harness.weights import save_weights
from harness_plugins.backbones import convnet, mlp
from harness_plugins.pretext.rotation import Config as RotationConfig
from harness_plugins.pretext.rotation import Rotation
from harness_plugins.pretrained.checkpoint import Checkpoint, Config

THERE = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.2,), std=(0.3,)))  # where it was trained
HERE = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.7,), std=(0.1,)))


def encoder(spec: DataSpec, seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    return convnet.build(spec, convnet.Config(width=4)).eval()


def images() -> Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_encoder_of_a_run_is_the_same_elsewhere(tmp_path: Path) -> None:
    """Standardised by the data of its training, not by those that it is judged on."""
    trained = Rotation(encoder(THERE), THERE, RotationConfig()).eval()
    save_weights(trained, tmp_path / "method.safetensors")
    method = Checkpoint(encoder(HERE, seed=1), HERE, Config(file=tmp_path / "method.safetensors")).eval()
    with torch.no_grad():
        assert torch.equal(method.encode(images()), trained.encode(images()))
    assert method.note == "all weights from method.safetensors, where they are called backbone.trunk.*"
    assert capabilities_of(method) == {"encode", "trunk_inputs"}
    assert not any(weight.requires_grad for weight in method.parameters())


def test_foreign_weights_are_standardised_by_the_source_or_as_is_said(tmp_path: Path) -> None:
    there = encoder(HERE)
    torch.save({"state_dict": {f"module.{k}": v for k, v in there.trunk.state_dict().items()}}, tmp_path / "a.pt")
    method = Checkpoint(encoder(HERE, seed=1), HERE, Config(file=tmp_path / "a.pt")).eval()
    said = Checkpoint(encoder(HERE, seed=1), HERE, Config(file=tmp_path / "a.pt", mean="0.2", std="0.3")).eval()
    with torch.no_grad():
        torch.testing.assert_close(method.encode(images()), there.trunk((images() - 0.7) / 0.1))
        torch.testing.assert_close(said.encode(images()), there.trunk((images() - 0.2) / 0.3))
    with pytest.raises(TrainingFailed, match="mean has 3 numbers, expected 1: one for each channel"):
        Checkpoint(encoder(HERE), HERE, Config(file=tmp_path / "a.pt", mean="0.1,0.2,0.3"))


def test_images_are_resized_for_a_backbone_of_any_size(tmp_path: Path) -> None:
    save_file(encoder(HERE).trunk.state_dict(), tmp_path / "a.safetensors")
    seen: list[tuple[int, ...]] = []
    method = Checkpoint(encoder(HERE), HERE, Config(file=tmp_path / "a.safetensors", size=16)).eval()
    method.backbone.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    method.encode(images())
    assert seen == [(5, 1, 16, 16)]
    bound = mlp.build(HERE, mlp.Config(hidden=4))
    with pytest.raises(NotApplicable, match="size=16 needs a backbone of any size"):
        Checkpoint(bound, HERE, Config(file=tmp_path / "a.safetensors", size=16))


def test_a_classifier_in_the_file_must_be_allowed(tmp_path: Path) -> None:
    weights = encoder(HERE).trunk.state_dict() | {"fc.weight": torch.rand(2, 2)}
    save_file(weights, tmp_path / "a.safetensors")
    with pytest.raises(TrainingFailed, match=r"1 left over: fc\.weight"):
        Checkpoint(encoder(HERE), HERE, Config(file=tmp_path / "a.safetensors"))
    Checkpoint(encoder(HERE), HERE, Config(file=tmp_path / "a.safetensors", unused=True))


def test_another_backbone_is_named_weight_by_weight(tmp_path: Path) -> None:
    save_file(encoder(HERE).trunk.state_dict(), tmp_path / "a.safetensors")
    wider = convnet.build(HERE, convnet.Config(width=8))
    with pytest.raises(TrainingFailed, match=r"of another shape: 0\.weight 4x1x3x3 for 8x1x3x3"):
        Checkpoint(wider, HERE, Config(file=tmp_path / "a.safetensors"))


@pytest.mark.parametrize(("params", "message"), [
    ({"mean": "a,b"}, "mean is one number for each channel: write mean='0.5,0.5,0.5'"),
    ({"std": "1;2"}, "std is one number for each channel"),
    ({"size": -1}, "size is in pixels"),
])  # fmt: skip
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(file=Path("a.pt"), **params)


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    """One file fits one of the two kinds of images that the kit has: on the other it says what does not fit."""
    registry = Registry()
    loaded = registry.load("checkpoint", METHOD_KINDS)
    without = check_plugin(loaded, registry, data_root())
    assert [(check.status, check.detail) for check in without][-1] == ("skipped", "needs file")
    spec = DataSpec(inputs=ImageField(channels=1, size=8))
    save_file(convnet.build(spec, convnet.Config()).trunk.state_dict(), tmp_path / "a.safetensors")
    checks = check_plugin(loaded, registry, data_root(), {"file": str(tmp_path / "a.safetensors")})
    failed = [check for check in checks if check.status == "failed"]
    assert [check.name for check in failed] == ["can_be_built [16x16x3]"]
    assert "0.weight 32x1x3x3 for 32x3x3x3" in failed[0].detail
    assert next(check for check in checks if check.name == "encodes_images [8x8x1]").status == "ok"


def test_a_method_of_this_kind_that_learns_breaks_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "learner.py"
    file.write_text(
        '"""Learns."""\nfrom torch import nn\nfrom harness.plugin import MethodSpec, hookimpl\n'
        "class Learner(nn.Module):\n"
        "    def __init__(self, backbone, data, config):\n        super().__init__(); self.backbone = backbone\n"
        "    def loss(self, batch):\n        return self.encode(batch.inputs).mean()\n"
        "    def encode(self, images):\n        return self.backbone(images)\n"
        "@hookimpl\ndef harness_method():\n"
        '    return MethodSpec(name="l", kind="pretrained", build=Learner, source="x")\n'
    )
    registry = Registry()
    checks = check_plugin(registry.load_file(file)[0], registry, data_root())
    assert [check.detail for check in checks if check.status == "failed"] == [
        "a pretrained encoder is never trained here, but it has loss()"
    ]


def test_a_bench_judges_it_beside_others_and_another_file_is_another_cell(tmp_path: Path) -> None:
    spec = DataSpec(inputs=ImageField(channels=1, size=8))
    file = tmp_path / "a.safetensors"
    save_file(convnet.build(spec, convnet.Config()).trunk.state_dict(), file)
    plugins = [f"checkpoint[file={file}]", "rotation"]
    options = {"out": tmp_path / "run", "progress": False, "evaluations": "knn", "references": "random-init"}
    results = harness.bench(plugins, seeds="2", budget="5 steps", **options)
    kinds = {result.cell.method.name: result for result in results.cells}
    assert kinds["checkpoint"].cell.kind == "pretrained"
    assert kinds["checkpoint"].training.steps == 0
    assert kinds["checkpoint"].training.note == "all weights from a.safetensors"
    text = (tmp_path / "run" / "report.md").read_text()
    assert "(trained elsewhere)" in text
    assert "neither ranked nor tested" in text
    assert "trained elsewhere, for scale: checkpoint" in text
    with pytest.raises(RequestError, match=r"gone\.pt, which is not there"):
        harness.bench(f"checkpoint[file={tmp_path}/gone.pt]", **options)
