"""Every mistake that a user can make in a request: one helpful line on stderr, exit code 2, nothing begun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app, main

EMPTY_SUITE = "plugins = []\nreferences = []\n"
SUITES = {
    "broken.toml": "plugins = [",
    "unknown.toml": "plugin = 'vae'\n",
    "empty.toml": EMPTY_SUITE,
    "wrong.toml": "seeds = 'many'\n",
    "type.toml": "plugins = 3\n",
    "table.toml": "[set.trian]\nlearning_rate = 0.1\n",
}

CASES = [
    ("bench --plugins jigsww", "did you mean 'jigsaw'?"),
    ("bench --plugins nothing:vae", "vae"),
    ("bench --plugins vae[latent_dimm=3]", "did you mean 'latent_dim'?"),
    ("bench --plugins vae[latent_dim=many]", "vae[latent_dim=many]"),
    ("bench --plugins vae[latent_dim=0]", "must be at least 1"),
    ("bench --plugins vae[beta=1", "vae[beta=1"),
    ("bench --plugins digits", "digits"),
    ("bench --plugins ./missing.py", "missing.py"),
    ("bench --references supervized", "did you mean 'supervised'?"),
    ("bench --datasets digit", "did you mean 'digits'?"),
    ("bench --datasets mnist --data-dir {tmp}", "harness datasets prepare mnist --data-dir"),
    ("bench --datasets image-folder", "image-folder[path=...]"),
    ("bench --datasets image-folder[path={tmp}/nowhere]", "nowhere"),
    ("bench --targets digts", "did you mean 'digits'?"),
    ("bench --devices cuda:99", "no device 'cuda:99' on this machine: choose from cpu"),
    ("bench --precision fp8", "no precision 'fp8': choose from fp32, bf16, auto"),
    ("bench --evaluations linear-prob", "did you mean 'linear-probe'?"),
    ("bench --evaluations knn[kk=3]", "has no parameter 'kk'"),
    ("bench --backbone convnett", "did you mean 'convnet'?"),
    ("bench --backbone convnet[norm=group]", "batch"),
    ("bench --labels 0%", "labels '0%' is no part of them: write '1%', '10%', up to '100%', or '5/class'"),
    ("bench --labels 10%,7/foo", "labels '7/foo' is no part of them"),
    ("bench --budget 20", "is not a number and a unit"),
    ("bench --budget 20parsecs", "is not a number and a unit"),
    ("bench --budget=-1epochs", "must be finite and not negative"),
    ("bench --seeds many", "seeds 'many' make no sense"),
    ("bench --seeds 0", "no seed at all"),
    ("bench --plugins  --references none", "nothing to run"),
    ("bench --set vae.betaa=3", "did you mean 'beta'?"),
    ("bench --set vea.beta=3", "did you mean 'vae'?"),
    ("bench --set beta", "is not NAME.KEY=VALUE"),
    ("bench --set train.learning_rate=-1", "learning_rate must be positive"),
    ("bench --set train.nesterov=true", "has no parameter 'nesterov'"),
    ("bench --threads 0", "threads must be at least 1"),
    ("bench --jobs 0", "--jobs must be at least 1"),
    ("bench --table al", "--table al: did you mean 'all'?"),
    ("bench --table wide --dry-run", "--table wide: choose from all, main, none"),
    ("bench --timeout 0", "--timeout is a number of seconds above 0"),
    ("bench --out {tmp}/file/run", "cannot write to"),
    ("bench {tmp}/none.toml", "no suite"),
    ("bench {tmp}/broken.toml", "is no valid TOML"),
    ("bench {tmp}/unknown.toml", "has no key 'plugin': did you mean 'plugins'?"),
    ("bench {tmp}/empty.toml", "nothing to run"),
    ("bench {tmp}/wrong.toml", "seeds 'many' make no sense"),
    ("bench {tmp}/type.toml", "'plugins' cannot be 3"),
    ("bench {tmp}/table.toml", "did you mean 'train'?"),
    ("report {tmp}/nowhere", "nowhere"),
    ("report {tmp}", "is no run"),
    ("report {tmp} --table maine", "--table maine: did you mean 'main'?"),
    ("compare {tmp}/nowhere {tmp}", "nowhere does not exist: give a folder that `harness bench` made"),
    ("compare {tmp} {tmp}/file", "is no run: give a folder that `harness bench` made"),
    ("compare {tmp} {tmp}", "is given twice: a run is compared with another one"),
    ("compare {tmp} {tmp}/a --margins {tmp}/none.toml", "no margins file"),
    ("compare {tmp} {tmp}/a --margins {tmp}/broken.toml", "is no valid TOML"),
    ("compare {tmp} {tmp}/a --margins {tmp}/unknown.toml", "has no key 'plugin': choose from"),
    ("compare {tmp} {tmp}/a --across bugdet", "did you mean 'budget'?"),
    ("compare {tmp} {tmp}/a --undecided maybe", "--undecided is warn or fail, not 'maybe'"),
    ("compare {tmp} {tmp}/a --format htm", "no format 'htm': did you mean 'html'?"),
    ("compare {tmp} {tmp}/a --out a.pdf", "the ending says the format: .md, .json, .html, .xml"),
    ("export {tmp}", "is no run"),
    ("export {tmp} --format pytest-benchmrak", "did you mean 'pytest-benchmark'?"),
    ("plugins show jigsww", "did you mean 'jigsaw'?"),
    ("plugins check ./missing.py", "missing.py"),
    ("plugins list --kind modell", "did you mean 'model'?"),
    ("datasets show mnst", "did you mean 'mnist'?"),
    ("datasets prepare digitz", "did you mean 'digits'?"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in SUITES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "file").write_text("a file, where a folder is wanted")
    return tmp_path


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_a_mistake_is_one_helpful_line(
    line: str, expected: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    words = [word.replace("{tmp}", str(folder)) for word in line.split(" ")]
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("harness: error: ")
    assert error.count("\n") == 1
    assert expected in error
    assert not (folder / "runs").exists()  # nothing was begun


@pytest.mark.parametrize("line", ["bench --unknown", "benhc", "bench a.toml b.toml", "report", "bench --jobs many"])
def test_a_mistake_in_the_options_themselves_is_exit_2_too(line: str) -> None:
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    run = [sys.executable, "-m", "harness", "bench", "--out", str(tmp_path / "run")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot write to" in done.stderr


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("harness 0.")
