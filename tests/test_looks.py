"""`--seeds auto`: which seeds are run, at which level each look tests, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.errors import HarnessError
from harness.looks import Look, Looks, at, limit_of, planned_looks, strictest
from harness.plan import make_plan
from harness.records import Request
from harness.registry import Registry
from harness.store import RunFolder
from harness.suite import make_request

SMALL = {"plugins": "rotation", "references": "random-init", "budget": "2 steps", "evaluations": "knn"}


def test_auto_is_a_word_for_seeds():
    assert make_request({"seeds": "auto"}).seeds == tuple(range(11))
    assert limit_of(make_request({"seeds": "auto:6"})) == 6
    assert limit_of(make_request({"seeds": "3"})) == limit_of(Request()) == 0


@pytest.mark.parametrize("text", ["auto:3", "auto:", "auto:x", "auto:-5", "auto:99999", "automatic"])
def test_what_is_no_limit_is_refused_in_one_line(text):
    with pytest.raises(HarnessError, match="make no sense") as caught:
        make_request({"seeds": text})
    assert "\n" not in str(caught.value)


def test_the_limit_is_no_word_of_its_own():
    with pytest.raises(HarnessError, match="no key 'most_seeds'"):
        make_request({"most_seeds": 5})


def test_looks_end_at_the_limit_and_spend_5_percent():
    looks = list(planned_looks(8))
    assert [look.seeds for look in looks] == [3, 5, 7, 8]
    assert sum(look.alpha for look in looks) == pytest.approx(0.05)


def test_parts_that_say_their_seeds_keep_them():
    request = make_request({"seeds": "auto:7", "part": [{"plugins": "vae"}, {"plugins": "rotation", "seeds": 2}]})
    assert limit_of(request) == 7
    assert [part.seeds for part in at(request, 5).parts] == [(0, 1, 2, 3, 4), (0, 1)]


def test_parts_have_one_limit():
    request = make_request({"part": [{"seeds": "auto:7"}, {"seeds": "auto:9"}]})
    with pytest.raises(HarnessError, match="7 and 9 seeds"):
        limit_of(request)


def test_of_several_runs_the_lowest_level_holds():
    few = Looks(limit=5, taken=(Look(seeds=3, alpha=0.018),))
    many = Looks(limit=9, taken=(Look(seeds=3, alpha=0.005),))
    assert strictest([None, few, many]) is many
    assert strictest([None]) is None


@pytest.fixture(scope="module")
def sequential(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    """After 2 steps rotation is nearly what it was before: nothing is settled by 3 seeds at such a level."""
    out = tmp_path_factory.mktemp("auto") / "run"
    return harness.bench(**SMALL, seeds="auto:5", out=out, jobs=1, progress=False)


def test_seeds_are_added_while_a_difference_is_open(sequential: harness.Results):
    looks = sequential.folder.looks()
    assert looks is not None
    seeds = sorted({result.cell.seed for result in sequential.cells})
    assert seeds == list(range(looks.taken[-1].seeds))
    assert all(look.open for look in looks.taken[:-1])
    assert not looks.taken[-1].open or looks.taken[-1].seeds == 5
    assert [look.alpha for look in looks.taken] == [look.alpha for look in list(planned_looks(5))[: len(looks.taken)]]


def test_the_run_starts_once_and_ends_once_and_later_looks_add_cells_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.report.open_differences", lambda results, folder: ["a against b"])
    words = {"plugins": "pixels", "references": "none", "evaluations": "none", "trackers": "json-lines[scalars=false]"}
    harness.bench(**words, seeds="auto:6", out=tmp_path / "run", jobs=1, progress=False)
    told = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    told = [event for event in told if not event["event"].startswith("cell_")]
    assert [(event["event"], event["cells"]) for event in told] == [
        ("run_started", 3), ("cells_added", 2), ("cells_added", 1), ("run_finished", 6),
    ]  # fmt: skip
    assert [len(event["request"]["seeds"]) for event in told[:-1]] == [3, 5, 6]


def test_the_report_says_how_many_looks_and_at_which_level(sequential: harness.Results):
    looks = sequential.folder.looks()
    said = f"tested at the level{'s' if len(looks.taken) > 1 else ''} {looks.taken[0].alpha:.2g}"
    for name in ("report.md", "index.html"):
        assert said in (sequential.folder.path / name).read_text()
    frame = sequential.table()
    assert set(frame["looks"]) == {len(looks.taken)}
    assert set(frame["level"]) == {looks.alpha}


def test_again_it_does_nothing_and_says_the_same(sequential: harness.Results):
    before = json.dumps([result.finished for result in sequential.cells])
    looks = sequential.folder.looks()
    again = harness.bench(**SMALL, seeds="auto:5", out=sequential.folder.path, jobs=1, progress=False)
    assert json.dumps([result.finished for result in again.cells]) == before
    assert again.folder.looks() == looks


def test_fresh_runs_everything_again_and_nothing_twice(sequential: harness.Results):
    request = make_request(SMALL | {"seeds": 3})
    keys = {result.key for result in sequential.cells if result.cell.seed == 0}
    plan = make_plan(request, Registry(), sequential.folder, fresh=True, ran=keys)
    assert {(planned.cell.seed, planned.state) for planned in plan.cells} == {
        (0, "cached"), (1, "to run"), (2, "to run"),
    }  # fmt: skip


def test_seeds_that_are_said_are_tested_as_always(sequential: harness.Results, tmp_path: Path):
    folder = RunFolder(tmp_path / "run").create()
    folder.write_looks(Looks(limit=5, taken=(Look(seeds=3, alpha=0.018),)))
    results = harness.bench(**SMALL, seeds=2, out=folder.path, jobs=1, progress=False)
    assert results.folder.looks() is None
    assert "level" not in results.table()


def test_the_words_say_what_is_still_open():
    taken = (Look(seeds=3, alpha=0.0125, open=("a against b",)), Look(seeds=5, alpha=0.0375, open=("a against b",)))
    looks = Looks(limit=5, taken=taken)
    assert "2 looks, with 3 and 5 seeds, tested at the levels 0.013, 0.037; still open at 5: a against b" in looks.text
    assert "Intervals of means are 95 % ones of this look" in looks.text
    decided = replace(looks, taken=(Look(seeds=3, alpha=0.0125),))
    assert "1 look, with 3 seeds, tested at the level 0.013; by then all that was asked was decided" in decided.text
