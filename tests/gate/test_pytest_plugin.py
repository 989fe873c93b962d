"""`pytest --harness-gate`: suites of other projects, run by pytester; the gate itself gives what a test asks it for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.errors import RequestError
from harness.gate import gating
from harness.gate.findings import Comparison, Finding, Place

pytest_plugins = ["pytester"]

SUITE = """
    def test_vae(harness_gate):
        harness_gate("vae", datasets="digits", seeds=3, budget="2 epochs", tiers=("exact", "quality"))
"""
VERDICTS = {"pass": "equivalent", "regression": "worse", "inconclusive": "undecided", "cannot compare": ""}


def comparison(outcome: str, policy: str = "fail") -> Comparison:
    row = Finding(
        place=Place(method="vae", evaluation="knn", source="digits"),
        score="accuracy",
        unit="fraction",
        direction="higher",
        gated=True,
        state="refused" if outcome == "cannot compare" else "compared",
        verdict=VERDICTS[outcome],  # type: ignore[arg-type]
        non_inferior=outcome == "pass",
        why="as it is in this test",
        base=0.95,
        candidate=0.87,
        change=-0.08,
        low=-0.09,
        high=-0.07,
        margin=0.01,
        seeds=3,
    )
    return Comparison(base="main", candidate="mine", findings=(row,), policy=policy)  # type: ignore[arg-type]


class Gates:
    """The gate's stand-in: what it was asked, and what it answers, one after the other and the last for ever."""

    def __init__(self) -> None:
        self.asked: list[gating.GateRequest] = []
        self.answers: list[str | Exception] = ["pass"]

    def __call__(self, request: gating.GateRequest) -> Comparison:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return comparison(answer, request.policy or "fail")


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Gates:
    found = Gates()
    monkeypatch.setattr(gating, "gate", found)
    return found


@pytest.fixture
def suite(pytester: pytest.Pytester, gates: Gates) -> pytest.Pytester:
    """A project with one gated method."""
    pytester.makepyfile(test_methods=SUITE)
    return pytester


def test_without_the_option_gated_tests_are_skipped_and_say_how_to_run_them(
    suite: pytest.Pytester, gates: Gates
) -> None:
    result = suite.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * `pytest --harness-gate` runs it, *"])
    assert "harness gate" not in str(result.stdout).replace("--harness-gate", "")
    assert gates.asked == []


def test_a_pass_is_a_line_of_the_summary(suite: pytest.Pytester, gates: Gates) -> None:
    result = suite.runpytest("--harness-gate")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "harness gate: against the merge base",
            "*= harness gate =*",
            "test_methods.py::test_vae: Pass: of 1 gated rows 1 pass.",
        ]
    )
    (asked,) = gates.asked
    assert (asked.root, asked.base, asked.tiers) == (suite.path, None, ("exact", "quality"))
    assert asked.words == {"plugins": "vae", "datasets": "digits", "seeds": 3, "budget": "2 epochs"}
    assert (asked.seconds, asked.policy, asked.margins.entries) == (gating.GateRequest().seconds, None, ())


def test_a_regression_fails_with_the_table_and_without_a_traceback(suite: pytest.Pytester, gates: Gates) -> None:
    gates.answers = ["regression"]
    result = suite.runpytest("--harness-gate", "-ra")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "mine against main",
            "*score*change*base → candidate*",
            "✗ worse *vae*knn accuracy*−0.080 ?−0.090, −0.070?*0.950 → 0.870*",
            "*as it is in this test*",
            "FAILED test_methods.py::test_vae - *Regression: of 1 gated rows 1 worse.",
        ]
    )
    assert "pytest_plugin.py" not in str(result.stdout)
    assert "\x1b" not in str(result.stdout)


@pytest.mark.parametrize(
    ("outcome", "policy", "failed"),
    [
        ("cannot compare", "warn", True),
        ("inconclusive", "fail", True),
        ("inconclusive", "warn", False),
        ("inconclusive", None, True),
    ],
)
def test_what_else_fails(suite: pytest.Pytester, gates: Gates, outcome: str, policy: str | None, failed: bool) -> None:
    gates.answers = [outcome]
    result = suite.runpytest("--harness-gate", *(("--harness-gate-undecided", policy) if policy else ()))
    result.assert_outcomes(failed=int(failed), passed=int(not failed))
    lines = str(result.stdout).split("= harness gate =")[1]
    assert comparison(outcome).sentence in lines
    assert ("vae on digits: knn accuracy undecided: 0.950 → 0.870" in lines) == (not failed)


def test_the_options_reach_the_gate(suite: pytest.Pytester, gates: Gates) -> None:
    suite.path.joinpath("gate.toml").write_text('undecided = "warn"\n[[margin]]\nscore = "accuracy"\nmargin = 0.02\n')
    suite.runpytest("--harness-gate=v1.0", "--harness-gate-minutes=2.5", "--harness-gate-margins=gate.toml")
    (asked,) = gates.asked
    assert (asked.base, asked.seconds, asked.policy) == ("v1.0", 150.0, None)
    assert asked.margins.policy == "warn"
    assert asked.margins.entries[0].says["size"] == 0.02


def test_tiers_are_all_unless_some_are_named(pytester: pytest.Pytester, gates: Gates) -> None:
    pytester.makepyfile(
        """
        def test_all(harness_gate):
            harness_gate(["vae", "jigsaw"])

        def test_text(harness_gate):
            harness_gate("vae", tiers="exact, time")
        """
    )
    pytester.runpytest("--harness-gate").assert_outcomes(passed=2)
    assert [asked.tiers for asked in gates.asked] == [("exact", "time", "quality"), ("exact", "time")]
    assert gates.asked[0].words == {"plugins": ["vae", "jigsaw"]}


def test_one_can_look_before_it_fails(pytester: pytest.Pytester, gates: Gates) -> None:
    gates.answers = ["regression"]
    pytester.makepyfile(
        """
        def test_accepted(harness_gate):
            found = harness_gate.compare("vae", seeds=2)
            assert [row.score for row in found.gated("regression")] == ["accuracy"]

        def test_refused(harness_gate):
            harness_gate.check(harness_gate.compare("vae", seeds=2))
        """
    )
    result = pytester.runpytest("--harness-gate")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_accepted: Regression: *", "*test_refused: Regression: *"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('harness_gate("vae", dataset="digits")', "*harness gate: *no key 'dataset': did you mean 'datasets'?"),
        ('harness_gate("vae", tiers="exakt")', "*harness gate: no tier 'exakt': tiers are exact, time, quality"),
    ],
)
def test_a_bad_request_is_one_line(pytester: pytest.Pytester, gates: Gates, call: str, message: str) -> None:
    pytester.makepyfile(f"def test_it(harness_gate):\n    {call}")
    result = pytester.runpytest("--harness-gate")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in str(result.stdout)
    assert "errors.py" not in str(result.stdout)


def test_what_the_gate_cannot_do_is_one_line(suite: pytest.Pytester, gates: Gates) -> None:
    gates.answers = [RequestError("no base: name one")]
    result = suite.runpytest("--harness-gate")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["harness gate: no base: name one"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--harness-gate-minutes=0"], "*--harness-gate-minutes is a time above 0, not 0"),
        (["--harness-gate-minutes=nan"], "*--harness-gate-minutes is a time above 0, not nan"),
        (["--harness-gate-undecided=maybe"], "*invalid choice: 'maybe'*"),
        (["--harness-gate-margins=absent.toml"], "*--harness-gate-margins: *absent.toml*"),
        (["--harness-gate-margins=bad.toml"], "*--harness-gate-margins: *margin 1 has no key 'scores'*'score'*"),
        (["--harness-gate-out=test_methods.py/out"], "*--harness-gate-out: cannot make *choose another"),
    ],
)
def test_a_bad_option_is_one_line(suite: pytest.Pytester, options: Sequence[str], message: str) -> None:
    suite.path.joinpath("bad.toml").write_text('[[margin]]\nscores = "accuracy"\n')
    result = suite.runpytest("--harness-gate", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in str(result.stderr)


@pytest.mark.parametrize("asked", ["tests", "tests/test_methods.py", "tests/test_methods.py::test_vae"])
def test_what_was_meant_to_be_tested_is_not_taken_for_the_base(
    pytester: pytest.Pytester, gates: Gates, asked: str
) -> None:
    pytester.mkdir("tests").joinpath("test_methods.py").write_text(
        "def test_vae(harness_gate):\n    harness_gate('vae')"
    )
    result = pytester.runpytest("--harness-gate", asked)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*took '{asked}' for its base: write `pytest {asked} --harness-gate`"])
    pytester.runpytest(asked, "--harness-gate").assert_outcomes(passed=1)


def test_comparisons_are_written_for_machines(pytester: pytest.Pytester, gates: Gates) -> None:
    gates.answers = ["pass", "pass", "regression"]
    pytester.makepyfile(
        test_methods="""
        import pytest

        @pytest.mark.parametrize("method", ["a/b", "a|b"])
        def test_vae(harness_gate, method):
            harness_gate("vae")

        def test_again(harness_gate):
            harness_gate("vae")
        """
    )
    pytester.runpytest("--harness-gate", "--harness-gate-out=found/here").assert_outcomes(passed=2, failed=1)
    folder = pytester.path / "found" / "here"
    stems = ["test_methods-test_again", "test_methods-test_vae-a-b", "test_methods-test_vae-a-b-2"]
    assert {file.name for file in folder.iterdir()} == {f"{stem}.{end}" for stem in stems for end in ("json", "xml")}
    written = json.loads((folder / f"{stems[0]}.json").read_text(encoding="utf-8"))
    assert (written["outcome"], written["exit_code"], len(written["rows"])) == ("regression", 1, 1)
    root = ElementTree.parse(folder / f"{stems[0]}.xml").getroot()
    assert root.get("name") == "test_methods.py::test_again"
    assert len(root.findall(".//failure")) == 1


def test_it_does_not_share_the_machine(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        def pytest_addoption(parser):  # as pytest-xdist does
            parser.addoption("-N", dest="numprocesses", type=int)
        """
    )
    result = suite.runpytest("-p", "no:xdist", "--harness-gate", "-N", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*takes the machine for itself: add `-n 0`"])
    suite.runpytest("-p", "no:xdist", "--harness-gate", "-N", "0").assert_outcomes(passed=1)


METHOD = """
from dataclasses import dataclass

from torch import nn

from harness.plugin import MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    units: int = 16


class Mine(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()
        self.backbone = backbone
        self.decoder = nn.Linear(backbone.dim, data.inputs.channels * data.inputs.size**2)

    def loss(self, batch):
        return (self.decoder(self.backbone(batch.inputs)) - batch.inputs.flatten(1)).square().mean()

    def encode(self, images):
        return self.backbone(images)


@hookimpl
def harness_method():
    return MethodSpec(name="mine", kind="model", build=Mine, config=Config, source="mine")
"""


@pytest.mark.slow
def test_a_needless_copy_in_a_project_of_its_own_is_caught(pytester: pytest.Pytester) -> None:
    """No stand-in: a git repository with one method, whose change clones its inputs."""
    method = pytester.makepyfile(my_method=METHOD)
    pytester.makepyfile("def test_mine(harness_gate):\n    harness_gate('./my_method.py', seeds=1, tiers='exact')")
    for line in ("init -q -b main", "add .", "-c user.name=A -c user.email=a@b commit -qm first"):
        subprocess.run(["git", *line.split()], cwd=pytester.path, check=True)
    unchanged = pytester.runpytest_subprocess("--harness-gate")
    unchanged.assert_outcomes(passed=1)
    method.write_text(METHOD.replace("self.backbone(batch.inputs)", "self.backbone(batch.inputs.clone())"))
    changed = pytester.runpytest_subprocess("--harness-gate")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*worse*mine*step operators*+1*", "*aten.clone.default +1*"])


def test_the_help_says_what_there_is(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--help", "--harness-gate")
    result.stdout.fnmatch_lines(["Harness:*", "*--harness-gate=[[]BASE]*", "*--harness-gate-out=FOLDER*"])


def test_pytest_finds_it_and_pays_nothing_for_it() -> None:
    """What importing it brings beside pytest is Harness's empty face and the standard library."""
    (found,) = {point.value for point in entry_points(group="pytest11", name="harness-gate")}
    code = (
        "import sys, pytest; before = set(sys.modules); import importlib; importlib.import_module(sys.argv[1]);"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    run = [sys.executable, "-c", code, found]
    brought = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert brought.stdout.split() == ["harness"]
    code = code.replace("name.split('.')[0]", "name").replace(" - set(sys.stdlib_module_names)", "")
    brought = subprocess.run([*run[:2], code, found], capture_output=True, text=True, check=True)
    assert {name for name in brought.stdout.split() if name.startswith("harness")} == {"harness", found}
