"""Benches on a GPU: every method judged by every evaluation that fits it, and what an evaluation does to the GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import harness
from harness.records import EvaluationResult
from harness.registry import METHOD_KINDS, Registry

GPU = "cuda:0"
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")
DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), pytest.param(GPU, marks=ON_GPU)]
SMALL = {
    "image": "shapes[n=600,size=16,test=200]",
    "video": "moving-digits[clips=200,frames=8,size=16]",
    "text": "docstrings",
}
JUDGES = Path(__file__).with_name("judges_on_a_gpu.py")
GOOD = ["knn", "linear-probe", "representation"]
FAULTS = {
    "index": "it left cuda:0 unusable: CUDA error: device-side assert triggered",
    "index_later": "it left cuda:0 unusable: CUDA error: device-side assert triggered",
    "memory": "OutOfMemoryError: CUDA out of memory",
    "tf32": "it changed ",
    "no_cudnn": "it changed ",
    "zero_features": "it wrote into the features",
    "zero_weights": "it wrote into the weights",
}


def methods() -> Iterator[tuple[str, str]]:
    """Every method with each kind of data that it takes."""
    registry = Registry()
    for info in registry.infos():
        if info.kind in METHOD_KINDS and info.kind != "pretrained":
            for kind in SMALL:
                if kind in registry.load(info.name, METHOD_KINDS).spec.takes:
                    yield info.name, kind


def judges() -> list[str]:
    """All, those on request too; fine-tuning is made short."""
    names = [info.name for info in Registry().infos() if info.kind == "evaluation"]
    return ["finetune[steps=8,rates=1,checkpoints=1]" if name == "finetune" else name for name in names]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "kind"), list(methods()))
def test_every_method_is_judged_without_a_false_fault(name: str, kind: str, device: str, tmp_path: Path) -> None:
    words = {"references": "none", "seeds": 1, "budget": "40 steps", "evaluations": judges(), "progress": False}
    results = harness.bench(plugins=name, datasets=SMALL[kind], devices=device, out=tmp_path / "run", **words)
    assert results.failures == []
    (cell,) = results.cells
    assert cell.training.status == "skipped" or any(row.status == "ok" for row in cell.evaluations)


@ON_GPU
@pytest.mark.parametrize("method", ["vae", "simclr"])
def test_a_request_repeats_bit_for_bit(method: str, tmp_path: Path) -> None:
    words = {"references": "none", "seeds": 1, "budget": "60 steps", "evaluations": "default", "progress": False}
    one, two = (harness.bench(plugins=method, devices=GPU, out=tmp_path / name, **words) for name in ("one", "two"))
    assert scores(one) == scores(two)


@ON_GPU
def test_what_is_trained_in_bf16_is_near_fp32(tmp_path: Path) -> None:
    words = {"references": "none", "seeds": 1, "budget": "5 epochs", "evaluations": "linear-probe", "progress": False}
    results = harness.bench(
        plugins="supervised", precision=["fp32", "bf16"], devices=GPU, out=tmp_path / "run", **words
    )
    assert results.ok
    one, two = (row.scores[0].value for cell in results.cells for row in cell.evaluations)
    assert abs(one - two) < 0.05


@ON_GPU
def test_cpu_and_gpu_judge_alike(tmp_path: Path) -> None:
    """The same weights and images: what differs is the order of sums."""
    words = {"seeds": 1, "evaluations": ["knn", "linear-probe", "representation", "clustering", "retrieval"]}
    results = harness.bench(
        plugins="none",
        references=["random-init", "pixels", "pca"],
        devices=["cpu", GPU],
        out=tmp_path / "run",
        progress=False,
        **words,
    )
    assert results.ok
    by_device: dict[str, dict[str, float]] = {"cpu": {}, GPU: {}}
    for cell in results.cells:
        for row in cell.evaluations:
            for score in row.scores:
                by_device[cell.cell.device][f"{cell.cell.method.name} {row.evaluation} {score.score}"] = score.value
    cpu, gpu = by_device["cpu"], by_device[GPU]
    assert cpu.keys() == gpu.keys()
    far = {name: (cpu[name], gpu[name]) for name in cpu if abs(cpu[name] - gpu[name]) > 0.02 + 0.02 * abs(cpu[name])}
    assert far == {}


def scores(results: harness.Results) -> dict[tuple[str, str], float]:
    assert results.ok
    return {
        (row.evaluation, score.score): score.value
        for cell in results.cells
        for row in cell.evaluations
        for score in row.scores
        if row.evaluation != "throughput"
    }


def judged(ways: list[str], out: Path) -> dict[str, EvaluationResult]:
    bad = [f"{JUDGES}[way={way}]" for way in ways]
    words = {"plugins": "rotation", "references": "none", "seeds": 1, "budget": "2 steps", "progress": False}
    (cell,) = harness.bench(**words, devices=GPU, evaluations=[*bad, *GOOD], out=out).cells
    assert cell.training.status == "ok", cell.training.reason
    assert len(cell.evaluations) == len(bad) + len(GOOD)
    return {row.evaluation: row for row in cell.evaluations}


@ON_GPU
def test_what_an_evaluation_does_to_the_gpu_costs_its_own_row(tmp_path: Path) -> None:
    rows, alone = judged(list(FAULTS), tmp_path / "beside"), judged([], tmp_path / "alone")
    for name in GOOD:
        assert rows[name].status == "ok", rows[name].reason
        assert rows[name].scores == alone[name].scores
    told = {way: rows[f"gpu-judge[way={way}]"].reason for way in FAULTS}
    assert {way: reason[: len(FAULTS[way])] for way, reason in told.items()} == FAULTS


@ON_GPU
def test_doctor_names_the_gpu() -> None:
    said = subprocess.run([sys.executable, "-m", "harness", "doctor"], capture_output=True, text=True, check=True)
    assert torch.cuda.get_device_name(GPU) in said.stdout


@ON_GPU
def test_the_gate_counts_alike_twice(tmp_path: Path) -> None:
    """Operators, bytes and bits of a method's steps on a GPU."""
    request = {"plugins": "vae", "references": "none", "datasets": "digits", "seeds": [0], "evaluations": "knn"}
    asked = tmp_path / "request.json"
    asked.write_text(json.dumps({**request, "devices": [GPU]}))

    def counted(name: str) -> Any:
        out = tmp_path / name
        program = [sys.executable, "-m", "harness.gate.exact", str(asked), "--cell", "0", "-o", str(out)]
        subprocess.run(program, check=True)
        return json.loads(out.read_text())

    one = counted("one")
    assert one == counted("two")
    assert one["conditions"]["device name"] == torch.cuda.get_device_name(GPU)
