"""Gates in a file, and what they add up to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import log

import pytest

from harness.errors import HarnessError, RequestError
from harness.gate.creep import rows
from harness.gate.findings import Comparison, Finding, Place
from harness.gate.history import Machine, append, read, record_of

HERE = Machine(processor="A processor", cores=2, threads=1, instructions="AVX2", torch="2.9.0")
START = datetime(2026, 5, 1, tzinfo=UTC)
STEP = Finding(
    place=Place(method="vae", evaluation="step", source="digits"), score="time", unit="s", direction="lower",
    kind="paired-time", gated=True, verdict="undecided", non_inferior=True, base=0.010, candidate=0.0101, change=0.01,
    low=0.006, high=0.014, margin=0.05, seeds=10,
)  # fmt: skip
KNN = replace(
    STEP, place=Place(method="vae", evaluation="knn", source="digits"), score="accuracy", unit="fraction",
    direction="higher", kind="paired-seed", base=0.9, candidate=0.899, change=-0.001, low=-0.003, high=0.001,
    margin=0.01,
)  # fmt: skip
PEAK = replace(
    STEP, score="peak_bytes", unit="bytes", kind="exact", base=1000.0, candidate=1004.0, change=4.0, low=4.0, high=4.0,
    margin=10.0,
)  # fmt: skip


def found(*findings: Finding, base: str = "main (0000000)") -> Comparison:
    return Comparison(base=base, candidate="mine", findings=findings, policy="fail")


def commit(at: int) -> str:
    return f"{at:07x}abc"


def record(at: int, *findings: Finding, machine: Machine = HERE, base: int | None = None, days: float = 0):
    before = commit(at - 1 if base is None else base)
    when = START + timedelta(days=at + days)
    return record_of(found(*findings).as_json(), commit=commit(at), base=before, when=when, machine=machine)


def test_what_is_added_is_read(tmp_path):
    file = tmp_path / "new" / "gates.jsonl"
    told = replace(KNN, gated=False)  # neither gated nor timed
    append(file, found(STEP, told), commit="1111111", when=START, machine=HERE)
    append(file, found(KNN), commit="2222222", when=START, machine=HERE, base="1111111")
    first, second = read(file).records
    assert (first.base, first.commit, first.machine, first.when) == ("0000000", "1111111", HERE, START)
    assert (second.base, second.outcome, second.level) == ("1111111", "pass", 0.9)
    (row,) = first.rows
    assert (row["place"]["method"], row["score"], row["change"], row["low"]) == ("vae", "time", 0.01, 0.006)
    assert file.read_text().count("\n") == 2


def test_a_cut_line_is_named_and_not_glued(tmp_path):
    file = tmp_path / "gates.jsonl"
    append(file, found(STEP), commit="1111111", when=START, machine=HERE)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    assert [str(one) for one in read(file).damaged] == ["line 2 is left out: cut off before its end"]
    append(file, found(STEP), commit="2222222", when=START, machine=HERE)
    again = read(file)
    assert [each.commit for each in again.records] == ["1111111", "2222222"]
    assert [each.line for each in again.damaged] == [2]
    assert file.read_bytes().startswith(whole)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "no record of a gate"),
        ("nothing", "no JSON"),
        ("{}", "it has no 'schema'"),
        ('{"schema": 2}', "schema 2"),
    ],
)
def test_lines_that_are_no_records(tmp_path, line, why):
    file = tmp_path / "gates.jsonl"
    file.write_text(line + "\n")
    (damaged,) = read(file).damaged
    assert why in damaged.why


def test_errors_of_files(tmp_path):
    with pytest.raises(RequestError, match="cannot read the history"):
        read(tmp_path / "nothing")
    with pytest.raises(HarnessError, match="cannot add to the history"):
        append(tmp_path, found(STEP), commit="1", when=START, machine=HERE)
    with pytest.raises(RequestError, match="no comparison"):
        record_of({}, commit="1", when=START, machine=HERE)
    with pytest.raises(ValueError, match="zone"):
        append(tmp_path / "x", found(STEP), commit="1", when=datetime(2026, 1, 1), machine=HERE)


def test_what_is_not_finite_is_nothing(tmp_path):
    made = record_of(found(replace(STEP, high=float("inf"))).as_json(), commit="1111111", when=START, machine=HERE)
    assert json.loads(made.as_line())["rows"][0]["high"] is None


def test_small_changes_add_up_to_a_drift():
    """1.01^6 is 6.2 % more; each alone is far below the margin of 5 %."""
    (row,) = rows([record(at, STEP) for at in range(1, 7)])
    assert row.change == pytest.approx(1.01**6 - 1)
    assert row.drift is not None
    assert (row.drift.since, row.drift.last, row.drift.gates) == (commit(0), commit(6), 6)
    assert row.drift.low > 0
    assert (row.gaps, row.left_out) == (0, 0)
    (short,) = rows([record(at, STEP) for at in range(1, 5)])
    assert short.drift is None
    assert short.moved  # it is no noise, though within the margin
    better = replace(STEP, change=-0.01, low=-0.014, high=-0.006)
    assert rows([record(at, better) for at in range(1, 9)])[0].drift is None


def test_scores_add_up_in_their_unit_and_counts_without_noise():
    three = replace(KNN, change=-0.004, low=-0.005, high=-0.003)
    knn, peak = rows([record(at, three, replace(PEAK, base=996.0 + 4 * at)) for at in range(1, 4)])
    assert knn.change == pytest.approx(-0.012)
    assert knn.drift is not None
    assert knn.drift.worse
    assert (peak.change, peak.low, peak.high) == (12.0, 12.0, 12.0)
    assert peak.drift is not None
    assert [one.gates for one in peak.moved] == [1, 1, 1]


def test_a_jump_is_found_at_its_commit():
    still = replace(STEP, change=0.0, low=-0.004, high=0.004)
    jump = replace(STEP, change=0.03, low=0.026, high=0.034)
    (row,) = rows([record(at, jump if at == 4 else still) for at in range(1, 8)])
    (moved,) = row.moved
    assert (moved.first, moved.last, moved.worse) == (commit(4), commit(4), True)


def test_machines_are_never_mixed():
    other = replace(HERE, threads=2)
    made = rows([record(at, STEP, machine=HERE if at % 2 else other) for at in range(1, 9)])
    assert [(row.machine, len(row.links)) for row in made] == [(HERE, 4), (other, 4)]
    assert all(row.gaps == 3 and row.drift is None for row in made)


def test_refused_changes_and_drafts_do_not_count():
    worse = replace(STEP, change=0.2, low=0.19, high=0.21, verdict="worse", non_inferior=False)
    (row,) = rows([record(1, STEP), record(2, worse, base=1), record(3, STEP, base=1)])
    assert (len(row.links), row.left_out, row.gaps) == (2, 1, 0)
    (row,) = rows([record(2, STEP, base=1), record(3, STEP, base=1), record(4, STEP, base=1)])
    assert [link.commit for link in row.links] == [commit(4)]
    (row,) = rows([record(1, worse), record(2, STEP)])  # it was merged all the same
    assert row.change == pytest.approx(1.2 * 1.01 - 1)


def test_two_commits_measured_again_are_one_link():
    again = replace(STEP, change=0.03, low=0.026, high=0.034)
    (row,) = rows([record(1, STEP), record(1, again, days=0.1), record(1, again, days=0.2)])
    (link,) = row.links
    assert link.change == pytest.approx((log(1.01) + log(1.03)) / 2)
    assert link.error == pytest.approx(rows([record(1, STEP)])[0].links[0].error / 2**0.5, rel=0.02)


def test_since_a_commit_what_came_before_is_accepted():
    records = [record(at, STEP) for at in range(1, 9)]
    assert rows(records)[0].drift
    (row,) = rows(records, since=commit(5))
    assert (len(row.links), row.drift) == (3, None)


def test_without_intervals_nothing_is_claimed():
    (row,) = rows([record(at, replace(STEP, low=None, high=None)) for at in range(1, 4)])
    assert (row.low, row.moved, row.drift) == (None, (), None)


def test_rows_of_one_name_are_told_apart_by_their_settings():
    cuda = replace(STEP, place=replace(STEP.place, device="cuda"))
    names = [row.name for row in rows([record(1, replace(STEP, place=replace(STEP.place, device="cpu")), cuda)])]
    assert len(set(names)) == 2
    assert names[1].endswith("(cuda)")
