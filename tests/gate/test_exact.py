"""The ruler of the exact tier: what it counts, that it counts alike twice, and what needless work it sees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import harness
from harness.expansion import expand
from harness.gate import exact
from harness.gate.exact import Ledger, bits, measured
from harness.gate.exact_findings import exact_findings, identical
from harness.gate.findings import Finding
from harness.gate.margins import Margins
from harness.loading import data_root
from harness.registry import Registry
from harness.suite import make_request

METHOD = """
import torch.nn.functional as F
from torch import nn
from dataclasses import dataclass
from harness.plugin import MethodSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Config:
    pass

class Small(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 4)
        self.seen = []

    def loss(self, batch):
        wide = batch.inputs.repeat(1, 64, 1, 1)                   # (B,64,H,W)
        features = self.backbone(batch.inputs)                    # (B,D)
        return F.mse_loss(self.head(features).sum(1), wide.mean((1, 2, 3))) * 1.0

    def encode(self, images):
        return self.backbone(images)

@hookimpl
def harness_method():
    return MethodSpec(name="small", kind="pretext", build=Small, config=Config, source="a test")
"""
BATCH, WIDE = 128, 128 * 64 * 8 * 8 * 4  # bytes of the wide tensor
REQUEST = {"references": "none", "datasets": "digits", "seeds": [0], "evaluations": "knn"}
KEPT = ("features = self", "self.seen.append(wide); features = self")
HELD = {"step held bytes", "encoding held bytes", "encoding peak bytes"}
NEEDLESS = {  # what is written in the place of what, and the rows that say so
    "an operator": (("self.head(features)", "self.head(features + 0)"), {"step operators"}),
    "a copy": (("self.head(features)", "self.head(features.clone())"), {"step operators"}),
    "a contiguous copy": (
        ("wide.mean", "wide.transpose(2, 3).contiguous().mean"),
        {"step operators", "step views", "step peak bytes"},
    ),
    "a copy in another type": (
        ("wide.mean((1, 2, 3))", "wide.double().mean((1, 2, 3)).float()"),
        {"step operators", "step peak bytes"},
    ),
    "a list that grows": (KEPT, {"step peak bytes", "step kept bytes", *HELD}),
    "a large tensor that is kept": (
        ("features = self", "self.kept = wide; features = self"),
        {"step peak bytes", *HELD},
    ),
    "a doubled layer": (
        ("nn.Linear(backbone.dim, 4)", "nn.Sequential(nn.Linear(backbone.dim, 4), nn.Linear(4, 4))"),
        {
            "method trained weights",
            "step operators",
            "step views",
            "step flops",
            "step held bytes",
            "encoding held bytes",
        },
    ),
    "a frozen layer": (
        ("self.seen = []", "self.more = nn.Linear(512, 512).requires_grad_(False)"),
        {"method frozen weights", "step peak bytes", *HELD},
    ),
    "an operator of encoding": (
        ("return self.backbone(images)", "return self.backbone(images) + 0"),
        {"encoding operators"},
    ),
    "work after each step": (
        ("    def encode", "    def after_step(self):\n        self.head.weight.norm()\n\n    def encode"),
        {"step operators"},
    ),
}
HARMLESS = {
    "a comment": ("# (B,64,H,W)", "# (B,64,H,W): wide"),
    "another name of a layer": ("self.head", "self.top"),
    "a rewritten line": ("wide = batch.inputs.repeat", "images = batch.inputs; wide = images.repeat"),
}


@cache
def counts(folder: Path, old: str = "", new: str = "") -> dict:
    """What is measured of the method with one piece of its text replaced."""
    assert old in METHOD
    folder.mkdir(exist_ok=True)
    file = folder / f"method_{abs(hash((old, new)))}.py"
    file.write_text(METHOD.replace(old, new) if old else METHOD)
    return of(str(file))


def of(plugin: str, **words: object) -> dict:
    registry = Registry()
    (cell,) = expand(make_request({**REQUEST, "plugins": plugin, **words}), registry)
    return json.loads(json.dumps(measured(cell, registry, data_root(None))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("methods")


def worse(folder: Path, change: tuple[str, str]) -> dict[str, Finding]:
    rows = exact_findings([counts(folder)], [counts(folder, *change)], Margins())
    return {row.judged: row for row in rows if row.verdict == "worse"}


@pytest.mark.parametrize("what", NEEDLESS)
def test_needless_work_is_seen_and_named(folder, what):
    change, expected = NEEDLESS[what]
    found = worse(folder, change)
    assert set(found) == expected
    assert any(row.gated and row.outcome == "regression" for row in found.values())


def test_the_operator_that_is_new_is_named(folder):
    row = worse(folder, NEEDLESS["a copy"][0])["step operators"]
    assert row.change == 1
    assert "aten.clone.default +1" in row.why


def test_bytes_are_those_of_the_tensor_that_is_kept(folder):
    grown = worse(folder, KEPT)
    assert grown["step kept bytes"].change == WIDE
    assert grown["step peak bytes"].change >= 4 * WIDE  # of all steps before the last
    held = worse(folder, NEEDLESS["a large tensor that is kept"][0])
    assert held["step held bytes"].change == held["encoding peak bytes"].change == WIDE
    assert 0 < held["step peak bytes"].change < WIDE  # it was alive at the base's peak already


def test_what_is_held_is_weights_gradients_moments_and_the_batch_but_no_dataset(folder):
    found = counts(folder)
    batch = BATCH * 64 * 4  # bytes
    held = found["costs"]["step"]["held_bytes"] - 4 * 4 * found["costs"]["method"]["trained_weights"]
    order = 1294 * 8  # of the rows of an epoch, whose values would take 1294 * 64 bytes
    assert batch + order <= held < batch + order + 4096  # with statistics of normalisation, steps of the optimiser ...
    assert found["costs"]["encoding"]["held_bytes"] < 2.1 * 4 * found["costs"]["method"]["trained_weights"]


@pytest.mark.parametrize("what", HARMLESS)
def test_a_harmless_change_changes_nothing(folder, what):
    base, candidate = counts(folder), counts(folder, *HARMLESS[what])
    assert {key: base[key] for key in ("costs", "calls", "digest")} == {
        key: candidate[key] for key in ("costs", "calls", "digest")
    }
    assert identical(base, candidate)
    rows = exact_findings([base], [candidate], Margins())
    assert {row.verdict for row in rows} == {"equivalent"}
    assert next(row for row in rows if row.score == "digest").why == "identical"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("* 1.0", "* 2.0"), {"losses", "weights", "encoding"}),
        (("self.backbone(images)\n", "self.backbone(images[:, :, :, ::1] * 1.0)\n"), {"encoding"}),
    ],
)
def test_what_only_changes_numbers_is_in_the_digest_alone(folder, change, parts):
    base, candidate = counts(folder), counts(folder, *change)
    if "encoding" in parts and len(parts) == 1:
        assert base["digest"] == candidate["digest"]  # to multiply by one changes no bit, but is an operator
        assert base["costs"]["encoding"]["operators"] + 1 == candidate["costs"]["encoding"]["operators"]
        return
    assert base["costs"] == candidate["costs"]
    assert base["calls"] == candidate["calls"]
    assert {part for part in base["digest"] if base["digest"][part] != candidate["digest"][part]} == parts
    assert not identical(base, candidate)


def test_counts_agree_with_those_of_a_program_that_is_known():
    ledger = Ledger(torch.device("cpu"))
    costs: dict = {}
    calls: dict = {}
    with ledger:
        kept = torch.zeros(1000)  # 4,000 bytes
        with ledger.counting(costs, calls, 1):
            other = kept + 1  # 4,000 more
            other.mul_(2)
            (other.view(10, 100).t() * 1).sum()  # 4,000 more, and 4
            left = torch.zeros(25)
            del other
    names = ("add.Tensor", "mul.Tensor", "mul_.Tensor", "sum.default", "zeros.default")
    assert calls["operators"] == {f"aten.{name}": 1 for name in names}
    assert calls["views"] == {"aten.t.default": 1, "aten.view.default": 1}
    assert costs == {"operators": 5, "views": 2, "peak_bytes": 12_004, "held_bytes": 4100, "kept_bytes": 100}
    assert left.numel() == 25


def test_memory_that_was_there_before_is_not_counted():
    before = torch.zeros(1_000_000)
    ledger = Ledger(torch.device("cpu"))
    with ledger:
        (before[:10] + 1).sum()
    assert ledger.peak == 44


def test_bytes_on_a_gpu_are_those_of_its_allocator(monkeypatch):
    allocated, peaks = iter([1000, 1500, 1700, 1700]), []
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: next(allocated))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", peaks.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 9000)
    ledger, costs = Ledger(torch.device("cuda:0")), {}
    with ledger.counting(costs, {}, 2):
        pass
    assert costs == {"operators": 0, "views": 0, "peak_bytes": 8000, "held_bytes": 700, "kept_bytes": 100}
    assert peaks == [torch.device("cuda:0")]  # reset before, once


@pytest.mark.parametrize("plugin", ["vae", "gan", "pca", "pixels", "random-init", "rotation"])
def test_every_sort_of_method_is_measured(plugin):
    found = of(plugin)
    assert found["status"] == "ok", found["reason"]
    trains = plugin in ("vae", "gan", "rotation")
    assert ("step" in found["costs"]) == trains
    assert found["costs"]["encoding"]["peak_bytes"] > 0
    assert set(found["digest"]) == {"losses", "weights", "encoding"}
    if trains:
        assert found["costs"]["step"]["flops"] > 0
        assert found["costs"]["step"]["kept_bytes"] == 0
        for kind, calls in found["calls"]["step"].items():
            assert sum(calls.values()) == found["costs"]["step"][kind]


def test_seeds_and_precisions_are_told_apart():
    one, other, low = of("vae"), of("vae", seeds=[1]), of("vae", precision="bf16")
    assert one["costs"] == other["costs"]
    assert one["digest"] != other["digest"]
    assert (low["place"]["precision"], low["costs"]["step"]["flops"]) == ("bf16", one["costs"]["step"]["flops"])
    assert low["costs"]["step"]["operators"] > one["costs"]["step"]["operators"]  # of casts
    assert of("vae", precision="auto")["place"]["precision"] == "fp32"  # nothing is timed


def test_a_method_that_fails_gives_its_reason(folder):
    found = counts(folder, "features = self", "raise ValueError('no such layer'); features = self")
    assert found["status"] == "failed"
    assert found["reason"].startswith("ValueError: no such layer")
    found = counts(folder, "features = self", "raise SystemExit(0); features = self")
    assert (found["status"], found["reason"][:13]) == ("failed", "SystemExit: 0")


def test_bits_are_of_type_shape_and_content():
    ones = torch.ones(2, 3)
    assert bits(ones) == bits(torch.ones(3, 2).t()) == bits(ones.clone())
    others = [ones.bfloat16(), ones.reshape(3, 2), ones * 2, ones.reshape(6)]
    assert len({bits(each) for each in [ones, *others]}) == 5
    assert bits(torch.tensor(0.0)) != bits(torch.tensor(-0.0))


# As a process. --------------------------------------------------------------------------------------------------------


def run(folder: Path, words: dict, *arguments: str, **environment: str) -> dict:
    (folder / "request.json").write_text(json.dumps(words))
    command = [sys.executable, "-P", exact.__file__, str(folder / "request.json"), "-o", str(folder / "out.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out.json").read_text())


def test_two_fresh_processes_agree_and_a_trainer_of_another_version_is_seen(tmp_path):
    words = {**REQUEST, "plugins": "vae"}
    base, again = run(tmp_path, words, PYTHONHASHSEED="0"), run(tmp_path, words, PYTHONHASHSEED="1")
    assert base == again
    assert base["status"] == "ok"
    shutil.copytree(Path(harness.__file__).parent, tmp_path / "version" / "harness")
    trainer = tmp_path / "version" / "harness" / "trainer.py"
    planted = trainer.read_text().replace(
        "curve.add(loss, batch.scalars)\n", "curve.add(loss.clone(), batch.scalars)\n"
    )
    assert planted != trainer.read_text()
    trainer.write_text(planted)
    candidate = run(tmp_path, words, PYTHONHASHSEED="0", PYTHONPATH=str(tmp_path / "version"))
    found = [row for row in exact_findings([base], [candidate], Margins()) if row.verdict == "worse"]
    assert [row.judged for row in found] == ["step operators"]
    assert identical(base, candidate)  # slower, and the same numbers


def test_the_list_and_the_mistakes_of_the_command(tmp_path):
    words = {**REQUEST, "plugins": "vae,rotation"}
    listed = run(tmp_path, words, "--list")
    assert [one["place"]["method"] for one in listed] == ["vae", "rotation"]
    for arguments, said in (
        ((), "the request has 2 cells: choose one with --cell"),
        (("--cell", "2"), "no cell 2: the request has 2, from 0"),
        (("--cell", "0", "--steps", "2"), "--steps must be at least 3"),
    ):
        exit_code = exact.main([str(tmp_path / "request.json"), "-o", str(tmp_path / "no.json"), *arguments])
        assert exit_code == 2
        with pytest.raises(exact.RequestError, match=said):
            exact._answer(exact._asked([str(tmp_path / "request.json"), "-o", "no", *arguments]))
