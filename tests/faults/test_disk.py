"""A full disk, files of limited size, a run that is removed under way: one line, exit 2; what is finished is kept."""

from __future__ import annotations

import errno
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import RequestError
from harness.store import RunFolder

COMMAND = (sys.executable, "-m", "harness", "bench", "--plugins", "rotation", "--budget", "2 steps")
COMMAND += ("--references", "pixels", "--seeds", "1", "--evaluations", "knn", "--out", "run")


@pytest.mark.parametrize("limit", [pytest.param(2_000, marks=pytest.mark.slow), 100_000])
def test_files_of_limited_size_are_one_line_or_failed_rows(tmp_path: Path, limit: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=200, cwd=tmp_path, preexec_fn=limited)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr + done.stdout
    if done.returncode == 2:
        assert done.stderr.strip().splitlines()[-1].startswith("harness: error: cannot write ")
    again = subprocess.run(COMMAND, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_what_cannot_be_stored_ends_the_run_and_keeps_what_is_finished(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(run)
    (result,) = folder.load_cells()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.store.write_whole", full)
    with pytest.raises(RequestError, match=r"cannot write to .* \(No space left on device\): what is finished"):
        folder.save(result, None)
    monkeypatch.undo()
    assert len(RunFolder(run).load_cells()) == 1


def test_a_run_that_is_removed_under_way_is_one_line(tmp_path: Path) -> None:
    class Remover:
        def harness_cell_finished(self, cell: object, result: object) -> None:
            shutil.rmtree(tmp_path / "run")

    from harness.plugin import hookimpl
    from harness.registry import Registry
    from harness.run import Options, carry_out
    from harness.suite import make_request

    Remover.harness_cell_finished = hookimpl(Remover.harness_cell_finished)  # type: ignore[method-assign]
    request = make_request({"plugins": "none", "references": "pixels,pca", "seeds": 1, "evaluations": "knn"})
    with pytest.raises(harness.errors.HarnessError, match=r"cannot write|is no run") as caught:
        carry_out(request, Options(out=tmp_path / "run"), Registry(), Remover())
    assert str(caught.value).isprintable()
