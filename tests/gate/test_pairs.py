"""The time tier for real: two processes, their blocks interleaved, and nothing left of them."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.gate import pairs
from harness.gate.blocks import warmth
from harness.gate.findings import Place
from harness.gate.pairs import Arm, ArmFailed, Measured, Pair, Plan, Work, measure, measured_pair, this_version
from harness.gate.sequential import TimeRule, judged
from harness.gate.timings import row

QUICK = Plan(warm=0.05, block=0.005, rounds=3, patience=120)
TINY = {"plugins": "autoencoder", "datasets": "digits", "settings": [], "backbone": "mlp"}
RULE = TimeRule(margin=0.3, looks=(4, 5), alarm=0.2, wrong_pass=0.2)  # few pairs are all that a test may take
PLACE = Place(method="vae", evaluation="training", source="digits")


def tiny(kind="train", **changes) -> Work:
    words = {key: value for key, value in TINY.items() if value}
    return Work(request=words, kinds=(kind,), data_root=Path.cwd(), **changes)


def timed(*arguments, **options) -> Measured:
    """`measure` of what has one kind of work."""
    *given, work, rule = arguments
    (found,) = measure(*given, work, dict.fromkeys(work.kinds, rule), **options).values()
    return found


@pytest.fixture
def counting(monkeypatch):
    """Arms that import no torch and count."""
    monkeypatch.setattr(pairs, "WORKER", Path(__file__).with_name("spinning_arm.py"))


@pytest.mark.usefixtures("counting")
def test_a_candidate_that_is_slowed_by_30_percent_fails_and_an_equal_one_does_not():
    here, work = this_version(), tiny(inject=0.3)
    rule, plan = TimeRule(margin=0.1), replace(QUICK, rounds=6)
    slow = timed(here, here, work, rule, seconds=300, plan=plan, seed=0)
    assert slow.verdict.word == "fail", [pair.ratio for pair in slow.pairs]
    assert 0.15 < slow.verdict.change < 1  # about 0.3; more where others use the cores
    equal = timed(here, here, replace(work, inject=0.0), TimeRule(margin=0.5), seconds=300, plan=plan, seed=0)
    assert equal.verdict.word == "pass", [pair.ratio for pair in equal.pairs]
    assert not _children()


@pytest.mark.usefixtures("counting")
def test_a_pair_is_ended_when_it_is_interrupted(monkeypatch):
    def interrupted(self, steps):
        raise KeyboardInterrupt

    monkeypatch.setattr(Arm, "block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measured_pair(this_version(), this_version(), tiny(), QUICK, random.Random(0))
    assert not _children()


@pytest.mark.slow
def test_a_method_that_is_slowed_fails_and_an_equal_one_does_not():
    """Twenty real processes: a minute or two. The margin is generous, since tests share their machine."""
    here, work = this_version(), tiny("encode", inject=1.5)
    slow = timed(here, here, work, RULE, seconds=300, plan=QUICK, seed=0)
    assert slow.verdict.word == "fail", [pair.ratio for pair in slow.pairs]
    equal = timed(here, here, replace(work, inject=0.0), replace(RULE, margin=2.0), seconds=300, plan=QUICK, seed=0)
    assert equal.verdict.word != "fail"


def test_a_pair_of_trainings_has_blocks_of_both_arms_and_ends():
    here = this_version()
    work = replace(tiny(), kinds=("train", "encode"))
    found = measured_pair(here, here, work, QUICK, random.Random(0))
    assert list(found) == ["train", "encode"]
    pair = found["train"]
    assert min(found["encode"].base) != min(pair.base)
    assert len(pair.base) == len(pair.candidate) == 2 * QUICK.rounds
    assert min(*pair.base, *pair.candidate) > 0
    assert pair.title == "autoencoder on digits, seed 0"
    assert not _children()


def test_what_takes_no_step_is_an_error_that_says_so_and_nothing_is_left():
    here = this_version()
    work = Work(request={"references": "pixels", "plugins": [], "evaluations": [], "datasets": "digits"})
    with pytest.raises(ArmFailed, match=r"the (base|candidate) cannot be timed: NotApplicable: pixels takes no"):
        measured_pair(here, here, work, QUICK, random.Random(0))
    assert not _children()


def test_an_arm_that_dies_or_is_silent_is_an_error(monkeypatch):
    arm = Arm("base", this_version(), tiny(), replace(QUICK, patience=0.01), 0.0, random.Random(0))
    try:
        with pytest.raises(ArmFailed, match="gave no answer to 'build'"):
            pairs.build([arm])
        os.kill(arm.process.pid, signal.SIGKILL)
        arm.plan = QUICK
        with pytest.raises(ArmFailed, match=r"the (base|candidate) ended, SIGKILL"):
            arm.ask(do="build")
    finally:
        arm.end()
    assert not _children()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an arm ends when it next reads")
def test_arms_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import random, time\n"
        "from pathlib import Path\n"
        "from harness.gate.pairs import Arm, Plan, Work, build, this_version\n"
        "arm = Arm('base', this_version(), Work(request={'plugins': 'vae'}), Plan(), 0.0, random.Random(0))\n"
        "print(arm.process.pid, flush=True)\n"
        "build([arm])\n"
        "print('built', flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    arm = int(parent.stdout.readline())
    assert parent.stdout.readline() == "built\n"
    assert _runs(arm)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while _runs(arm) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(arm)


def test_the_time_ends_it_without_a_verdict(monkeypatch):
    _pretend(monkeypatch, [0.0, 0.01, -0.01] * 20)
    found = timed(this_version(), this_version(), tiny(), TimeRule(), seconds=0.0)
    assert (found.verdict.word, found.verdict.pairs, found.over) == ("inconclusive", 1, True)
    told = row(found, PLACE)
    assert (told.outcome, told.change, told.low) == ("inconclusive", pytest.approx(0.0), None)
    assert "the time was over" in told.why


def test_the_rule_ends_it_and_rows_say_what_it_says(monkeypatch):
    for shift, word, verdict, outcome in (
        (0.1, "fail", "worse", "regression"),
        (0.0, "pass", "equivalent", "pass"),
        (-0.2, "pass", "better", "pass"),
    ):
        _pretend(monkeypatch, [shift + 0.001 * (-1) ** at for at in range(40)])
        found = timed(this_version(), this_version(), tiny(), TimeRule(), seconds=1000.0)
        told = row(found, PLACE)
        assert (found.verdict.word, told.verdict, told.outcome) == (word, verdict, outcome)
        assert (found.verdict.pairs, found.over) == (10, False)
        assert told.candidate == pytest.approx(told.base * (1 + told.change))


def test_each_kind_of_work_has_a_margin_of_its_own(monkeypatch):
    slower = Pair(base=(1.0,), candidate=(1.07,), steps=1, seconds=1, title="", device="cpu", steady=True)
    monkeypatch.setattr(pairs, "measured_pair", lambda *args, **kwargs: {"train": slower, "encode": slower})
    work = replace(tiny(), kinds=("train", "encode"))
    rules = {"train": TimeRule(margin=0.05), "encode": TimeRule(margin=0.2)}
    found = measure(this_version(), this_version(), work, rules, seconds=1000.0)
    assert {kind: each.verdict.word for kind, each in found.items()} == {"train": "fail", "encode": "pass"}


def test_both_arms_get_one_environment_but_for_its_size(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    one, other = (pairs.environment(this_version(), 2, random.Random(seed)) for seed in (1, 2))
    assert one["OMP_NUM_THREADS"] == "2"
    assert (one["OMP_WAIT_POLICY"], one["KMP_BLOCKTIME"], one["PYTHONHASHSEED"]) == ("PASSIVE", "0", "0")
    assert "PYTHONPATH" not in one
    assert len(one.pop(pairs.PADDING)) != len(other.pop(pairs.PADDING))
    assert one == other


def test_a_step_that_still_gets_faster_is_not_steady():
    assert warmth([0.1] * 8) == {"step": 0.1, "steps": 8, "steady": True}
    assert not warmth([9, 8, 7, 6, 5, 4, 3, 2])["steady"]


def test_a_disturbed_block_does_not_move_a_pair():
    calm, disturbed = (1.0, 1.1, 1.0, 1.05, 1.0, 1.0, 1.0, 1.0), (1.1, 9.0, 1.1, 1.1, 1.1, 5.0, 1.1, 1.1)
    pair = Pair(base=calm, candidate=disturbed, steps=1, seconds=1, title="", device="cpu", steady=True)
    assert pair.ratio == pytest.approx(0.0953, abs=1e-4)


def _pretend(monkeypatch, ratios):
    """Pairs with these log ratios, of no processes."""
    made = (
        Pair(base=(1.0,), candidate=(2.718281828459045**x,), steps=1, seconds=1, title="", device="cpu", steady=True)
        for x in ratios
    )
    monkeypatch.setattr(pairs, "measured_pair", lambda *args, **kwargs: {"train": next(made)})


def _runs(pid: int) -> bool:
    """Is it there, and no zombie that waits for somebody to ask?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children() -> list[psutil.Process]:
    """The arms that this process started and that still run; it may have other children, of tests before."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [
        child for child in alive if any(word.endswith(("blocks.py", "spinning_arm.py")) for word in child.cmdline())
    ]


def test_measured_speaks_of_no_pairs_too():
    nothing = judged([], TimeRule(), last=True)
    told = row(Measured(verdict=nothing, pairs=(), seconds=0.0, over=True), PLACE)
    assert (told.outcome, told.change) == ("inconclusive", None)
