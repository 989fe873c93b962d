"""Sources against targets: gains, their correction, verdicts by pair, and where there is no table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from example_run import compare
from grid_run import grid_results

from harness.examples import Outcomes
from harness.metrics.crossed import crossed_difference
from harness.metrics.statistics import holm, paired_difference
from harness.records import EvaluationResult, Score
from harness.report import build
from harness.report.numbers import plain
from harness.report.reading import answers
from harness.report.series import BASELINE
from harness.report.transfer import transfers
from harness.report.transfer_answers import transfer_answers

PAIRS = [("digits", "digits"), ("digits", "shapes"), ("shapes", "digits"), ("shapes", "shapes")]
AWAY = [("digits", "shapes"), ("shapes", "digits")]
WOBBLE = (0.0, 0.01, -0.02, 0.004)
AT_HOME = {"rotation": (0.30, 0.31, 0.30, 0.33), "vae": (0.20, 0.21, 0.20, 0.23)}
GAINS = {  # of each method over the baseline, by pair and seed
    "rotation": {
        ("digits", "shapes"): (0.20, 0.21, 0.23, 0.20),
        ("shapes", "digits"): (-0.10, -0.11, -0.10, -0.12),
    },
    "vae": {
        ("digits", "shapes"): (0.05, -0.05, 0.02, -0.019),
        ("shapes", "digits"): (0.02, 0.05, -0.01, 0.03),
    },
}


def grid(seeds: int = 4):
    found = {}
    for pair in PAIRS:
        base = [0.5 + wobble for wobble in WOBBLE][:seeds]
        found[BASELINE, *pair] = base
        for method, gains in GAINS.items():
            found[method, *pair] = [b + g for b, g in zip(base, gains.get(pair, AT_HOME[method]), strict=False)]
        labelled = (0.41, 0.42, 0.44, 0.40) if pair in AWAY else (0.45, 0.44, 0.46, 0.45)
        found["supervised", *pair] = [b + g for b, g in zip(base, labelled, strict=False)]
    return found


def table_of(values):
    (table,) = transfers(compare(grid_results(values)))
    return table


@pytest.fixture(scope="module")
def table():
    return table_of(grid())


def cell(table, method, source, target):
    (row,) = [row for row in table.rows if (row.series.method, row.source) == (method, source)]
    return row.cells[table.targets.index(target)]


def by_over(cell):
    return {gain.over: gain for gain in cell.gains}


def paired(first, second):
    return paired_difference(dict(enumerate(first)), dict(enumerate(second)))


def test_every_method_has_a_row_for_each_source_and_a_cell_for_each_target(table):
    assert (table.sources, table.targets) == (("digits", "shapes"), ("digits", "shapes"))
    assert len(table.rows) == 4 * 2
    for (method, *pair), values in grid().items():
        assert cell(table, method, *pair).entry.estimate.mean == pytest.approx(sum(values) / 4)


def test_gains_are_over_the_baseline_of_the_pair_and_over_labels_on_the_target_and_on_the_source(table):
    values = grid()
    gains = by_over(cell(table, "rotation", "digits", "shapes"))
    mine = values["rotation", "digits", "shapes"]
    others = {
        BASELINE: values[BASELINE, "digits", "shapes"],
        "supervised on shapes": values["supervised", "shapes", "shapes"],
        "supervised on digits": values["supervised", "digits", "shapes"],
    }
    assert list(gains) == list(others)
    for over, theirs in others.items():
        direct = paired(mine, theirs)
        assert gains[over].difference.effect == pytest.approx(direct.effect)
        assert gains[over].difference.p == pytest.approx(direct.p)


def test_at_home_there_is_one_gain_over_labels_and_none_of_a_method_over_itself(table):
    assert list(by_over(cell(table, "rotation", "digits", "digits"))) == [BASELINE, "supervised on digits"]
    assert list(by_over(cell(table, "supervised", "digits", "digits"))) == [BASELINE]
    assert list(by_over(cell(table, "supervised", "digits", "shapes"))) == [BASELINE, "supervised on shapes"]
    assert BASELINE not in by_over(cell(table, BASELINE, "digits", "shapes"))


@pytest.mark.parametrize("home", ["", "target", "source"])
def test_each_kind_of_gain_is_corrected_over_all_methods_and_pairs_with_another_target(table, home):
    values = grid()
    tests = [(method, pair) for method in GAINS for pair in AWAY]

    def other(source, target):
        at = {"target": target, "source": source}.get(home)
        return ("supervised", at, target) if at else (BASELINE, source, target)

    ps = holm([paired(values[method, *pair], values[other(*pair)]).p for method, pair in tests])
    for (method, pair), p in zip(tests, ps, strict=True):
        over = f"supervised on {other(*pair)[1]}" if home else BASELINE
        assert by_over(cell(table, method, *pair))[over].p == pytest.approx(p)


def test_at_home_the_p_is_that_of_the_comparison(table):
    comparison = next(c for c in compare(grid_results(grid())) if c.title == "shapes")
    for row in comparison.rows:
        if row.series.competes:
            gain = cell(table, row.series.method, "shapes", "shapes").over_baseline
            assert gain.p == pytest.approx(comparison.leading_entry(row).p)


def test_references_are_shown_and_not_tested(table):
    assert all(gain.p is None for row in table.rows if not row.series.competes for c in row.cells for gain in c.gains)
    assert [series.method for pair in PAIRS for _, said in table.helped(*pair) for series, _ in said].count(
        "supervised"
    ) == 0


def test_each_pair_has_its_verdicts_and_the_sentence_says_them(table):
    said = {pair: {word: [one.method for one, _ in gains] for word, gains in table.helped(*pair)} for pair in AWAY}
    assert said["digits", "shapes"] == {"helps": ["rotation"], "no difference found": ["vae"]}
    assert said["shapes", "digits"] == {"harms": ["rotation"], "cannot tell": ["vae"]}
    assert table.sentence == (
        "Training on another dataset, against random-init of the same source and target by linear-probe accuracy: it "
        "helps on digits → shapes (rotation); it harms on shapes → digits (rotation); no difference found on digits → "
        "shapes (vae); one cannot tell on shapes → digits (vae)."
    )


def test_above_all_methods_stand_by_their_mean_gain_over_the_pairs(table):
    """Its interval and p are those of the paired test over seeds of the means over pairs, p corrected over methods."""
    gains = {method: np.mean([GAINS[method][pair] for pair in AWAY], axis=0) for method in GAINS}
    expected = {method: paired(gain, [0.0] * 4) for method, gain in gains.items()}
    (rotation, vae) = table._overall()
    assert [one.series.method for one in (rotation, vae)] == ["rotation", "vae"]
    for one in (rotation, vae):
        direct = expected[one.series.method]
        assert one.difference.effect == pytest.approx(direct.effect)
        assert (one.difference.low, one.difference.high) == pytest.approx((direct.low, direct.high))
    assert [rotation.p, vae.p] == pytest.approx(holm([expected["rotation"].p, expected["vae"].p]))
    assert plain(table.by_method) == (
        "By linear-probe accuracy: rotation +0.051 [0.035, 0.068] (p = 0.004), helps on 1 of 2 pairs, harms on 1; vae "
        "+0.011 [−0.014, 0.037] (cannot tell: about 18 seeds would settle it), helps on none of 2 pairs."
    )


def test_methods_of_one_verdict_stand_by_the_size_of_their_gain():
    values = grid()
    values["jigsaw", "digits", "shapes"] = [value + 0.1 for value in values["rotation", "digits", "shapes"]]
    assert dict(table_of(values).helped("digits", "shapes"))["helps"][0][0].method == "jigsaw"
    assert "helps on digits → shapes (jigsaw and rotation)" in table_of(values).sentence


def test_where_outcomes_were_kept_gains_over_another_source_are_of_seeds_and_examples():
    """The same 50 test examples of a target, whatever was trained on."""
    outcomes = {}

    def kept(comparison):
        def entry_of(row):
            entry = comparison.leading_entry(row)
            generator = np.random.default_rng([len(comparison.title), row.series.index])
            own = {seed: Outcomes((generator.random(50) < value) * 1.0) for seed, value in entry.by_seed.items()}
            outcomes[row.series.method, comparison.source, comparison.target] = own
            return replace(row, entries=(replace(entry, kept=own),))

        return replace(comparison, rows=tuple(map(entry_of, comparison.rows)))

    (table,) = transfers([kept(comparison) for comparison in compare(grid_results(grid()))])
    found = by_over(cell(table, "rotation", "digits", "shapes"))["supervised on shapes"].difference
    mine, theirs = outcomes["rotation", "digits", "shapes"], outcomes["supervised", "shapes", "shapes"]
    direct = crossed_difference({s: o.values for s, o in mine.items()}, {s: o.values for s, o in theirs.items()})
    assert found.examples == 50
    assert (found.effect, found.low, found.p) == (direct.effect, direct.low, direct.p)


def test_one_seed_tells_nothing():
    table = table_of(grid(seeds=1))
    assert [word for pair in AWAY for word, _ in table.helped(*pair)] == ["cannot tell"] * 2
    assert cell(table, "rotation", "digits", "shapes").over_baseline.p is None
    assert "helps" not in table.sentence
    assert "one cannot tell on digits → shapes (rotation and vae)" in table.sentence


def test_lower_scores_that_are_better_gain_by_falling():
    (table,) = transfers(compare(grid_results(grid(), better="lower")))
    assert dict(table.helped("digits", "shapes"))["harms"][0][0].method == "rotation"
    assert cell(table, "rotation", "digits", "shapes").over_baseline.difference.effect == pytest.approx(-0.21)


def test_what_is_missing_leaves_its_cell_and_its_gains_empty():
    values = {key: of for key, of in grid().items() if key[0] != "supervised" or key[1] == "digits"}
    values["vae", "digits", "shapes"] = [None] * 4
    values["rotation", "shapes", "digits"] = [*values["rotation", "shapes", "digits"][:2], None, None]
    del values["vae", "shapes", "digits"]
    table = table_of(values)
    assert list(by_over(cell(table, "rotation", "digits", "shapes"))) == [BASELINE, "supervised on digits"]
    failed = cell(table, "vae", "digits", "shapes")
    assert (failed.entry.status, failed.gains) == ("failed", ())
    asked = cell(table, "vae", "shapes", "digits")
    assert asked is None or asked.entry.estimate is None
    assert by_over(cell(table, "rotation", "shapes", "digits"))[BASELINE].difference.n == 2


def test_without_a_baseline_nothing_is_said_of_sources():
    table = table_of({key: of for key, of in grid().items() if key[0] != BASELINE})
    assert table.helped("digits", "shapes") == []
    assert table.by_method == table.sentence
    assert table.sentence.endswith("no gain of training on another dataset could be tested against random-init.")


@pytest.mark.parametrize(
    "pairs",
    [
        [("digits", "digits")],
        [("digits", "digits"), ("shapes", "shapes")],
        [("digits", "digits"), ("digits", "shapes")],
    ],
)
def test_no_table_where_fewer_than_two_pairs_are_of_another_target(pairs):
    values = {key: of for key, of in grid().items() if key[1:] in pairs}
    assert transfers(compare(grid_results(values))) == []


def test_the_page_and_the_markdown_have_table_matrix_and_sentence(tmp_path):
    build([(grid_results(grid()), tmp_path)], tmp_path / "out")
    page, markdown = ((tmp_path / "out" / name).read_text() for name in ("index.html", "report.md"))
    sentence = table_of(grid()).sentence
    above = table_of(grid()).by_method
    about, _, said = above.partition(": ")
    assert f"<li><strong>{about}:</strong> {said}</li>" in page
    assert "Over 2 pairs of a source and another target, the mean gain over random-init of the same pair" in page
    assert "<summary>Each source and target by itself</summary>" in page
    for text, first in ((page, said), (markdown.replace("\\", ""), plain(said))):
        assert (text.count(first), text.count(sentence)) == (1, 1)
        assert text.index(first) < text.index(sentence)
        assert "Transfer: source × target" in text
        assert "+0.210 over random-init (p &lt; 0.001)" in plain(text)
        assert "over supervised on shapes" in text
    section = page.split('<section id="transfers">')[1].split("</section>")[0]
    assert section.count("<tbody>") == 2
    assert '<span class="said marked">helps:</span> <span class="one" data-series="1">rotation +0.210</span>' in section
    assert "| digits | **helps**: rotation +0.310, vae +0.210 | **helps**: rotation +0.210<br>" in markdown
    assert "| **rotation** | digits | 0.809 " in markdown


def fine_tuned(result, per_target):
    """With what a method says of itself on each target: (stages, gain over scratch)."""
    added = []
    for target, (stages, gain) in per_target.items():
        told = {"primary": True, "chance": None, "n": 100, "better": "higher", "unit": "fraction", "high": 1.0}
        scores = (
            Score(score="accuracy", value=0.7, low=0.0, asks="Transfers by fine-tuning", **told),
            Score(score="over_scratch", value=gain, low=-1.0, role="told", asks="Better than scratch by", **told),
            Score(score="frozen_k", value=stages, low=1.0, role="told", asks="How many stages to freeze",
                  **told | {"better": "none", "unit": "stages", "high": 8.0}),
        )  # fmt: skip
        evaluation = "finetune[labels=100]"
        about = {"target": target, "evaluation": evaluation, "key": f"{evaluation}-{target}"}
        added.append(EvaluationResult(**about, status="ok", scores=scores))
    return replace(result, evaluations=(*result.evaluations, *added))


def test_what_methods_tell_of_themselves_is_a_mean_over_pairs_beside_the_source_itself():
    """Vae: 2 and 3 stages elsewhere, 4 at home; above scratch on one pair, below on the other."""
    gains = {("digits", "shapes"): 0.04, ("shapes", "digits"): -0.02}
    results = [
        fine_tuned(
            one,
            {
                target: (
                    4.0 if target == source else 2.0 + (source == "shapes"),
                    gains.get((source, target), 0.1) + 0.002 * one.cell.seed,
                )
                for target in ("digits", "shapes")
            },
        )
        if one.cell.method.name == "vae"
        else one
        for one in grid_results(grid())
        for source in [one.cell.source.name]
    ]
    compared = compare(results)
    lines = transfer_answers(compared, transfers(compared))
    assert lines[-2:] == [
        "Better than scratch by (finetune over_scratch, mean): vae +0.013 (above 0 on 1 of 2, below 0 on 1).",
        "How many stages to freeze (finetune frozen_k, mean): vae 2.5 (4.0 on the source itself).",
    ]
    assert [table.leads for table in transfers(compared)] == [True, False]
    home = next(one for one in compared if one.title == "digits")
    assert "How many stages to freeze (finetune frozen_k): vae 4." in answers(home)
    assert home.settings == ["finetune[labels=100]"]
    assert transfer_answers(compared, []) == []


def test_of_references_nothing_is_said_with_one_seed_either(tmp_path):
    """A reference is shown for scale, and with one seed there is no test to speak of."""
    found = table_of(grid(seeds=1))
    for row in found.rows:
        for gain in (gain for cell in row.cells if cell for gain in cell.gains):
            assert (gain.says("fraction") is not None) == row.series.competes, (row.series.label, gain.over)
    results = grid_results(grid(seeds=1))
    build([(results, tmp_path)], tmp_path)
    for name in ("index.html", "report.md"):
        lines = (tmp_path / name).read_text().splitlines()
        rows = [line for line in lines if "over supervised on" in line or f"over {BASELINE}" in line]
        assert any("cannot tell: one seed" in line for line in rows)
    of_references = [line for line in (tmp_path / "report.md").read_text().splitlines() if "(reference" in line]
    assert of_references
    assert not any("cannot tell" in line for line in of_references)
