"""`--tune`: trials are fair and look at validation alone, the best is chosen, and that is what is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.errors import RequestError
from harness.expansion import expand
from harness.plan import make_plan
from harness.records import (
    Budget,
    Cell,
    CellResult,
    EvaluationResult,
    PluginRef,
    Request,
    Score,
    TrainConfig,
    TrainingResult,
)
from harness.registry import Registry
from harness.store import RunFolder
from harness.suite import make_request
from harness.trials import fixed_settings, reported, trials_of
from harness.tuning import SEED, chosen, place_of

SMALL = {"references": "random-init", "budget": "2 steps", "evaluations": "knn", "seeds": 2}


def trial(setting: dict[str, object], value: float | None, *, source: str = "digits", better: str = "higher"):
    """The cell of one trial, as it ended."""
    cell = Cell(
        method=PluginRef(name="vae", params=setting),
        kind="model",
        backbone=PluginRef(name="convnet"),
        source=PluginRef(name=source),
        targets=(PluginRef(name=source),),
        evaluations=(PluginRef(name="selection"),),
        device="cpu",
        precision="fp32",
        seed=SEED,
        budget=Budget.parse("2 steps"),
        train=TrainConfig(),
    )
    ok = value is not None
    scores = (Score(score="accuracy", value=value, unit="fraction", better=better, primary=True, chance=None, n=9),)
    judged = EvaluationResult(
        target=source, evaluation="selection", key="k", status="ok" if ok else "failed",
        reason="" if ok else "it broke", scores=scores if ok else (),
    )  # fmt: skip
    return CellResult(
        key=f"{setting}{source}", cell=cell, identity={}, provenance={},
        training=TrainingResult(status="ok", seconds=1.0, steps=2, examples=10), evaluations=(judged,),
    )  # fmt: skip


BETAS = ({"beta": 0.5}, {}, {"beta": 4.0})


@pytest.mark.parametrize(
    ("values", "better", "best"),
    [
        ((0.7, 0.9, 0.8), "higher", "vae"),
        ((0.7, 0.9, 0.8), "lower", "vae[beta=0.5]"),
        ((0.9, 0.8, 0.9), "higher", "vae[beta=0.5]"),  # of equal ones the first
        ((None, 0.1, 0.2), "higher", "vae[beta=4.0]"),  # what failed is not chosen
        ((None, None, None), "higher", "vae[beta=0.5]"),  # its row says why
    ],
)
def test_the_best_on_validation_is_chosen(values, better: str, best: str) -> None:
    tuning = chosen([trial(beta, value, better=better) for beta, value in zip(BETAS, values, strict=True)])
    (one,) = tuning.tuned
    assert (one.chosen, tuning.trials, tuning.seed) == (best, 3, SEED)
    assert [t.value for t in one.trials] == list(values)
    assert [t.reason for t in one.trials] == ["it broke" if value is None else "" for value in values]


def test_settings_with_other_budgets_are_no_trials_of_each_other_and_what_is_asked_for_stays() -> None:
    tuning = chosen([trial(beta, value) for beta, value in zip(BETAS, (0.1, 0.2, 0.3), strict=True)])
    other = trial({"beta": 0.5}, 0.1).cell
    assert not tuning.keeps(other)
    assert tuning.keeps(replace(other, budget=Budget.parse("30 steps")))
    assert tuning.keeps(replace(other, train=replace(other.train, learning_rate=0.1)))
    kept = replace(tuning, fixed=((*place_of(other), "vae[beta=0.5]"),))
    assert kept.keeps(other)
    assert not kept.keeps(trial({}, 0.1).cell)


def test_each_source_has_its_own_choice_and_cells_follow_it() -> None:
    results = [trial(beta, value) for beta, value in zip(BETAS, (0.1, 0.2, 0.3), strict=True)]
    results += [trial(beta, value, source="shapes") for beta, value in zip(BETAS, (0.3, 0.2, 0.1), strict=True)]
    tuning = chosen(results)
    assert {one.source: one.chosen for one in tuning.tuned} == {"digits": "vae[beta=4.0]", "shapes": "vae[beta=0.5]"}
    kept = [result.cell for result in results if tuning.keeps(result.cell)]
    assert [(str(cell.method), cell.source.name) for cell in kept] == [
        ("vae[beta=4.0]", "digits"),
        ("vae[beta=0.5]", "shapes"),
    ]


def tuned(*texts: str, **words: object) -> Request:
    settings = words.pop("settings", None)
    return make_request({"tune": list(texts), **words, **({"set": settings} if settings else {})})


def test_trials_have_one_seed_of_their_own_and_validation_for_a_judge() -> None:
    trials = trials_of(tuned("vae[beta=1|4],rotation[hidden=32|64]", seeds=4, evaluations="knn,fid"), Registry())
    assert trials is not None
    cells = expand(trials, Registry())
    assert [str(cell.method) for cell in cells] == [
        "vae",
        "vae[beta=4.0]",
        "rotation[hidden=32]",
        "rotation[hidden=64]",
    ]
    assert {(cell.seed, *map(str, cell.evaluations)) for cell in cells} == {(SEED, "selection")}
    told = expand(reported(tuned("vae[beta=1|4]", references="none")), Registry())
    assert {cell.budget for cell in cells} == {cell.budget for cell in told}


def test_what_is_tuned_needs_no_other_method_and_stands_beside_what_is_not() -> None:
    assert reported(tuned("vae[beta=1|4]")).plugins == ("vae[beta=1|4]",)
    both = reported(tuned("vae[beta=1|4]", plugins="vae,jigsaw,vae[beta=2]"))
    assert both.plugins == ("jigsaw", "vae[beta=2]", "vae[beta=1|4]")
    assert trials_of(Request(), Registry()) is None


def test_settings_of_what_is_not_tuned_are_for_what_is_reported() -> None:
    request = tuned("vae[beta=1|4]", plugins="jigsaw,vae[beta=4]", settings=["jigsaw.grid=3", "vae.latent_dim=8"])
    request = replace(request, evaluations=("knn",))
    request = replace(request, settings=(*request.settings, "knn.k=5"))
    trials = trials_of(request, Registry())
    assert trials is not None
    assert [str(cell.method) for cell in expand(trials, Registry())] == [
        "vae[latent_dim=8]",
        "vae[beta=4.0,latent_dim=8]",
    ]
    assert [key[-1] for key in fixed_settings(request, Registry())] == ["jigsaw[grid=3]", "vae[beta=4.0,latent_dim=8]"]


@pytest.mark.parametrize(
    ("texts", "words", "message"),
    [
        (["vae[beta=1|2|4]", "rotation[hidden=32|64]"], {}, r"unequal numbers of trials \(vae 3, rotation 2\)"),
        (["vae[beta=4]"], {}, "tries one setting: give several"),
        (["vae[beta=1|2]"], {"seeds": "999-1001"}, "seed 1000 is that of the trials"),
        (["vae[beta=1|2]"], {"tune_by": "luck"}, "luck"),
        (["va[beta=1|2]"], {}, "did you mean 'vae'"),
    ],
)
def test_what_is_not_fair_is_refused_in_one_line(texts: list[str], words: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        trials_of(tuned(*texts, **words), Registry())
    assert "\n" not in str(caught.value)


def test_a_run_reports_the_chosen_setting_with_its_own_seeds_and_does_nothing_twice(tmp_path: Path) -> None:
    words = {**SMALL, "tune": "vae[latent_dim=2|16]", "out": tmp_path, "progress": False}
    results = harness.bench(("jigsaw",), **words)
    trials = results.tuning
    assert len(trials) == 2
    best = trials.loc[trials["value"].idxmax(), "setting"]
    assert trials.loc[trials["chosen"], "setting"].tolist() == [best]
    assert set(trials["seed"]) == {SEED}
    shown = results.frame
    assert SEED not in set(shown["seed"])
    assert set(shown["seed"]) == {0, 1}
    assert {str(cell.cell.method) for cell in results.cells} == {"random-init", "jigsaw", best}
    page, text = ((tmp_path / name).read_text() for name in ("index.html", "report.md"))
    for said in (page, text.replace("\\", "")):
        assert f"Chosen on validation among 2 trials of 2 steps each: {best}." in said
        assert "jigsaw had no trials" in said
        assert "the expected best of so many trials" in said
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()}
    assert len(before) == 2 + 3 * 2
    again = harness.bench(("jigsaw",), **words)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()} == before
    assert again.tuning.equals(trials)
    plain = harness.bench(("jigsaw",), **SMALL, out=tmp_path, progress=False)  # and without it, nothing is said of it
    assert len(plain.tuning) == 0
    assert "Chosen on validation" not in (tmp_path / "report.md").read_text()


def test_where_no_trial_has_a_score_that_is_said_and_fails(tmp_path: Path) -> None:
    words = {**SMALL, "tune": "jigsaw[hidden=32|64]", "tune_by": "likelihood", "out": tmp_path, "progress": False}
    results = harness.bench((), **words)
    assert not results.ok
    assert "no trial has a score" in results.failures[0]
    text = (tmp_path / "report.md").read_text().replace("\\", "")
    assert "Nothing could be chosen for jigsaw on digits (convnet): no trial has a score: jigsaw cannot" in text
    assert "Chosen on validation" not in text


def test_an_interrupted_choice_leaves_nothing_that_looks_like_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.run

    def interrupted(results: object, fixed: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(harness.run, "chosen", interrupted)
    words = {**SMALL, "tune": "vae[beta=1|4]", "out": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        harness.bench((), **words)
    assert harness.load(tmp_path).cells == ()
    assert RunFolder(tmp_path).request()["seeds"] == [0, 1]
    monkeypatch.undo()
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()}
    assert len(before) == 2
    results = harness.bench((), **words)
    assert len(results.tuning) == 2
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_damaged_tuning_is_left_out_and_said_in_one_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path).create()
    folder.write_tuning(chosen([trial(beta, 0.5) for beta in BETAS]))
    assert folder.tuning() == chosen([trial(beta, 0.5) for beta in BETAS])
    (tmp_path / "tuning.json").write_text('{"seed": 1')
    assert folder.tuning() is None
    (notice,) = folder.notices
    assert notice.startswith(f"{tmp_path}: damaged and left out: tuning.json (")
    assert notice.endswith("the same `harness bench` makes them again")


def test_the_plan_of_what_is_reported_has_one_setting(tmp_path: Path) -> None:
    request = tuned("vae[beta=1|4]", **SMALL)
    tuning = chosen([trial({}, 0.1), trial({"beta": 4.0}, 0.2)])
    plan = make_plan(reported(request), Registry(), RunFolder(tmp_path), tuning=tuning)
    assert {str(cell.cell.method) for cell in plan.cells} == {"random-init", "vae[beta=4.0]"}
