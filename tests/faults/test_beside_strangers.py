"""Code of others changes the numbers of nobody else, whatever it does to the process when it is imported."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch

import harness
from harness.data.columns import InMemory
from harness.registry import Registry

NEIGHBOUR = '''"""A {kind} that changes the process when it is imported."""
import locale, os, random, sys, warnings
import numpy as np
import torch
import torch.nn.functional as F
import harness.data.columns, harness.nn.backbone, harness.seeding
from harness.plugin import EvaluationSpec, MethodSpec, ScoreSpec, hookimpl

{at_import}

class Mine(torch.nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()

    def encode(self, images):
        return images.flatten(1).float()

def run(subject, config):
    return {{"mean": 0.5}}

@hookimpl
def harness_{hook}():
    return {spec}
'''
SPECS = {
    "method": 'MethodSpec(name="{name}", kind="reference", build=Mine, uses_backbone=False, source="a test")',
    "evaluation": 'EvaluationSpec(name="{name}", run=run, scores=(ScoreSpec(name="mean", unit="", better="none"),))',
}
CHANGES = {
    "the default dtype": "torch.set_default_dtype(torch.float64)",
    "threads": "torch.set_num_threads(2)",
    "a function of torch": "F.normalize = lambda values, *a, **k: values",
    "a module of torch": "torch.nn.Linear.forward = lambda self, values: values[:, :1] * 0 + 1",
    "Harness": "harness.data.columns.InMemory.take = lambda self, index: self.values[:len(index)]",
    "its seeds": "harness.seeding.derived_seed = lambda *a: 7",
    "generators": "np.random.set_bit_generator(np.random.PCG64(3)); torch.manual_seed(9); random.seed(3)",
    "kernels": "torch.backends.mkldnn.enabled = False; torch.use_deterministic_algorithms(False)",
    "surroundings": "os.environ['HARNESS_CACHE'] = '/proc/nowhere'; os.environ['A'] = '2'; os.chdir('/')\n"
    "sys.path.insert(0, '/proc'); warnings.simplefilter('error'); locale.setlocale(locale.LC_ALL, 'C')",
    "limits": "import resource, signal; number = resource.RLIMIT_NOFILE\n"
    "resource.setrlimit(number, (12, resource.getrlimit(number)[1])); os.umask(0o777)\n"
    "signal.alarm(1); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); os.sched_setaffinity(0, {0})",
    "tracing": "import faulthandler, gc, tempfile\nfaulthandler.dump_traceback_later(1, exit=True); gc.disable()\n"
    "tempfile.tempdir = '/nowhere'; sys.setprofile(lambda *a: None)",
    "streams": "os.close(0); os.close(2); os.open('/dev/null', 0); sys.stdin = None",
    "shadows": "import types; sys.modules['scipy.linalg'] = None; sys.modules['torchmetrics'] = types.ModuleType('x')",
    "hooks": "torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 2)",
    "an error in a cell": "if 'harness.run' not in sys.modules: raise ValueError('here')",
}  # fmt: skip
FATAL = {  # to itself, too
    "modules": "import builtins; sys.modules['json'] = None; builtins.len = lambda x: 1\n"
    "sys.excepthook = lambda *a: os._exit(0); sys.meta_path.clear()",
}
WORDS = {"plugins": "rotation", "references": "none", "seeds": 1, "budget": "2 steps", "progress": False}
GOOD = ["knn", "linear-probe", "representation"]


def neighbour(folder: Path, kind: str, change: str) -> Path:
    """A plugin file that makes this change; its name says which."""
    name = f"mine-{change.replace(' ', '-')}"
    file = folder / f"{name}.py"
    spec = SPECS[kind].format(name=name)
    file.write_text(NEIGHBOUR.format(kind=kind, hook=kind, spec=spec, at_import={**CHANGES, **FATAL}[change]))
    return file


def numbers(results: harness.Results) -> dict[tuple[str, str], float]:
    cell = next(result for result in results.cells if result.cell.method.name == "rotation")
    assert cell.training.status == "ok"
    known = {("training", "loss"): cell.training.loss or 0.0}
    return known | {
        (row.evaluation, score.score): score.value
        for row in cell.evaluations
        for score in row.scores
        if not row.evaluation.startswith("mine")
    }


def weights(results: harness.Results) -> bytes:
    cell = next(result for result in results.cells if result.cell.method.name == "rotation")
    return results.folder.checkpoint(cell.key).read_bytes()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    results = harness.bench(**WORDS, evaluations=GOOD, out=tmp_path_factory.mktemp("alone") / "run")
    assert results.ok
    assert len(numbers(results)) > 8
    return results


def test_good_methods_beside_such_methods_have_the_same_weights_and_numbers(
    tmp_path: Path, alone: harness.Results
) -> None:
    """All of them are named before it."""
    files = [str(neighbour(tmp_path, "method", change)) for change in CHANGES]
    words = {**WORDS, "plugins": [*files, "rotation"]}
    results = harness.bench(**words, evaluations=GOOD, out=tmp_path / "run")
    assert numbers(results) == numbers(alone)
    assert weights(results) == weights(alone)
    failed = [cell for cell in results.cells if cell.training.status == "failed"]
    assert [cell.cell.method.name for cell in failed] == ["mine-an-error-in-a-cell"]
    assert failed[0].training.reason.endswith("cannot be loaded: ValueError: here")


def test_good_evaluations_beside_such_evaluations_have_the_same_numbers(tmp_path: Path, alone: harness.Results) -> None:
    files = [str(neighbour(tmp_path, "evaluation", change)) for change in CHANGES]
    results = harness.bench(**WORDS, evaluations=[*files, *GOOD], out=tmp_path / "run")
    assert numbers(results) == numbers(alone)
    assert weights(results) == weights(alone)
    (cell,) = results.cells
    failed = [row for row in cell.evaluations if row.status == "failed"]
    assert [row.evaluation for row in failed] == ["mine-an-error-in-a-cell"]
    assert failed[0].reason.endswith("cannot be loaded: ValueError: here")
    assert len(cell.evaluations) == len(CHANGES) + len(GOOD)


def test_one_neighbour_alone(tmp_path: Path, alone: harness.Results) -> None:
    file = neighbour(tmp_path, "method", "a function of torch")
    results = harness.bench(**{**WORDS, "plugins": [str(file), "rotation"]}, evaluations=GOOD, out=tmp_path / "run")
    assert numbers(results) == numbers(alone)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("the default dtype", "set the default dtype to float64: undone"),
        ("a function of torch", "replaced torch.nn.functional.normalize: undone"),
        ("Harness", "replaced harness.data.columns.InMemory.take: undone"),
        ("surroundings", ""),
        ("modules", "replaced module json: undone"),
    ],
)
def test_the_process_that_plans_is_as_it_was_and_the_culprit_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, told: str
) -> None:
    before = (dict(os.environ), os.getcwd(), list(warnings.filters), torch.get_default_dtype())
    functions = (torch.nn.functional.normalize, InMemory.take)
    python = (sys.modules["json"], len, sys.excepthook, list(sys.meta_path))
    path = list(sys.path)
    file = neighbour(tmp_path, "method", change)
    with caplog.at_level(logging.WARNING, logger="harness"):
        Registry().load_file(file)
    assert (dict(os.environ), os.getcwd(), list(warnings.filters), torch.get_default_dtype()) == before
    assert (torch.nn.functional.normalize, harness.data.columns.InMemory.take) == functions  # type: ignore[attr-defined]
    assert (sys.modules["json"], len, sys.excepthook, list(sys.meta_path)) == python
    assert [record.getMessage() for record in caplog.records] == ([f"plugin file {file} {told}"] if told else [])
    sys.path[:] = path


def test_what_a_library_changes_of_itself_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(CHANGES, "imports", "import torch._dynamo, sklearn.ensemble, scipy.signal")
    file = neighbour(tmp_path, "method", "imports")
    with caplog.at_level(logging.WARNING, logger="harness"):
        Registry().load_file(file)
    assert caplog.records == []
