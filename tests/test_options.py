"""How a request is carried out is said beside it: on the command line, in a suite and in Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.launchers.local import LocalLauncher
from harness.options import Options, launcher_of, trackers_of
from harness.plugin import Conditions
from harness.registry import Registry
from harness.suite import apart, make_request, overridden, read_suite

SUITE = 'launcher = "local"\ntrackers = ["json-lines"]\nplugins = "pixels"\nreferences = "none"\nevaluations = "none"\n'


def test_the_local_launcher_is_found_by_its_entry_point(tmp_path: Path) -> None:
    build = launcher_of(Options(), Registry())
    conditions = Conditions(jobs=1, timeout=None, logs=tmp_path, tell=lambda hook, **news: None)
    with build(conditions) as launcher:
        assert isinstance(launcher, LocalLauncher)
    qualified = launcher_of(Options(launcher="harness:local"), Registry())
    with qualified(conditions) as launcher:
        assert isinstance(launcher, LocalLauncher)


def test_trackers_are_one_text_or_several_and_none_is_none() -> None:
    names = ["tracker 'json-lines'", "tracker 'json-lines[file=a.jsonl]'"]
    together = Options(trackers=("json-lines,json-lines[file=a.jsonl]",))
    apart = Options(trackers=("json-lines", "json-lines[file=a.jsonl]"))
    assert list(trackers_of(together, Registry())) == list(trackers_of(apart, Registry())) == names
    assert trackers_of(Options(trackers=("none",)), Registry()) == {}
    assert trackers_of(Options(), Registry()) == {}


def test_a_name_that_is_no_tracker_is_said_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="no tracker 'json-line': did you mean 'json-lines'"):
        trackers_of(Options(trackers=("json-line",)), Registry())
    with pytest.raises(RequestError, match=r"no tracker 'vae': 'vae' of harness .* is a plugin of another kind: model"):
        trackers_of(Options(trackers=("vae",)), Registry())


def test_a_suite_names_a_launcher_and_trackers_above_its_parts(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE + '[[part]]\nseeds = 1\n[[part]]\nbudget = "0 steps"\n')
    words, ways = apart(overridden(read_suite(tmp_path / "suite.toml"), {"trackers": "none"}))
    assert ways == {"launcher": "local", "trackers": ("none",)}
    assert len(make_request(words).parts) == 2
    assert make_request(words) == make_request({**words, "part": words["part"]})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"launcher": ["local"]}, r"the suite: launcher names a launcher, as text: not \['local'\]"),
        ({"trackers": 3}, "the suite: trackers names trackers, as text: not 3"),
        ({"monitor": "often"}, "the suite: monitor is a number of moments of training, such as 10, not 'often'"),
        ({"monitor": True}, "the suite: monitor is a number of moments of training, such as 10, not True"),
    ],
)
def test_ways_of_another_kind_are_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        apart(words, "the suite")


def test_a_suite_says_how_often_training_is_looked_at_and_no_request_knows_of_it() -> None:
    assert apart({"seeds": 2, "monitor": 10}) == ({"seeds": 2}, {"monitor": 10})
    with pytest.raises(RequestError, match="'monitor' says how a whole suite is carried out"):
        make_request({"monitor": 10})
    with pytest.raises(RequestError, match="--monitor is a number of moments of training, 0 for none, not -1"):
        Options(monitor=-1)


def test_a_part_has_no_launcher_of_its_own() -> None:
    with pytest.raises(RequestError, match="part 1: 'launcher' says how a whole suite is carried out: write it above"):
        make_request({"part": [{"launcher": "local"}]})


def bench(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_the_command_line_and_a_suite_choose_what_follows_a_run(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE + "seeds = 1\n")
    done = bench("suite.toml", "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "events.jsonl").exists()
    assert "launcher" not in (tmp_path / "run" / "request.toml").read_text()
    done = bench("suite.toml", "--out", "run", "--trackers", "json-lines[file=more.jsonl]", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "run" / "more.jsonl").read_text().splitlines()) == 2  # all is cached


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_wrong_launcher_is_exit_2_before_anything_is_planned(tmp_path: Path, more: list[str]) -> None:
    done = bench("--launcher", "locl", "--out", "run", *more, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("harness: error: no launcher 'locl': did you mean 'local'?")
    assert not (tmp_path / "run").exists()
