"""Margins: the defaults, what a file changes, and one clear line for each mistake in it."""

from __future__ import annotations

import pytest
from gate_runs import accuracies, compared, of

from harness.errors import RequestError, UnknownName
from harness.gate.margins import default_margin, parse_margins, read_margins

ROW = {"score": "accuracy", "evaluation": "knn", "unit": "fraction", "better": "higher", "primary": True,
       "role": "leads", "method": "vae[latent_dim=8]", "source": "digits", "target": "digits",
       "budget": "10 epochs"}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "size", "relative", "kind", "gate", "direction"),
    [
        ({}, 0.01, False, "paired-seed", True, "higher"),
        ({"primary": False}, 0.01, False, "paired-seed", False, "higher"),
        ({"role": "told"}, 0.01, False, "paired-seed", False, "higher"),
        ({"role": "told", "evaluation": "pretext"}, 0.01, False, "paired-seed", True, "higher"),
        ({"better": "none"}, 0.01, False, "paired-seed", False, "none"),
        ({"unit": "dB"}, 0.2, False, "paired-seed", True, "higher"),
        ({"unit": "nats", "better": "lower"}, 0.05, True, "paired-seed", True, "lower"),
        ({"unit": "images/s", "role": "told"}, 0.05, True, "paired-time", False, "higher"),
        ({"unit": "ms", "better": "lower"}, 0.05, True, "paired-time", False, "lower"),
        ({"unit": "FLOPs", "better": "lower", "primary": False}, 0.0, False, "exact", True, "lower"),
        ({"evaluation": "training", "score": "steps", "unit": "steps", "better": "none"}, 0.0, False, "exact", True,
         "same"),
        ({"evaluation": "training", "score": "steps", "unit": "steps", "better": "none", "budget": "1e9 flops"}, 0.0,
         False, "exact", False, "same"),
        ({"evaluation": "training", "score": "loss", "unit": "loss", "better": "none", "primary": False}, 0.05, True,
         "paired-seed", False, "none"),
        ({"evaluation": "training", "score": "seconds", "unit": "s", "better": "none"}, 0.05, True, "paired-time",
         False, "lower"),
    ],
)  # fmt: skip
def test_the_defaults_come_from_the_score(row, size, relative, kind, gate, direction):
    found = default_margin(ROW | row)
    assert (found.size, found.relative, found.kind, found.gate, found.direction) == (
        size,
        relative,
        kind,
        gate,
        direction,
    )


def test_a_relative_margin_is_a_part_of_the_base():
    found = parse_margins({"margin": [{"score": "accuracy", "margin": "2%"}]}).of(ROW)
    assert found.of(-0.5) == pytest.approx(0.01)


def test_later_tables_win_word_by_word_and_a_name_means_all_its_parameters():
    tables = [
        {"method": "vae", "margin": 0.02, "reason": "small"},
        {"method": "vae[latent_dim=8]", "gate": False},
        {"method": "vae[latent_dim=9]", "margin": 9.0},
        {"method": "vae", "evaluation": "linear-probe", "margin": 8.0},
    ]
    found = parse_margins({"margin": tables}).of(ROW)
    assert (found.size, found.gate, found.reason) == (0.02, False, "small")


def test_a_direction_can_be_given_to_a_score_that_has_none():
    found = parse_margins({"margin": [{"score": "accuracy", "direction": "lower"}]}).of(ROW | {"better": "none"})
    assert found.direction == "lower"


def test_the_file_sets_rule_and_policy(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text('undecided = "fail"\nalarm = 0.01\n[[margin]]\nscore = "accuracy"\nmargin = 0.5\n')
    found = read_margins(file)
    assert (found.policy, found.rule.alarm, found.rule.wrong_pass) == ("fail", 0.01, 0.05)
    assert found.of(ROW).size == 0.5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"margins": []}, "the margins has no key 'margins': did you mean 'margin'?"),
        ({"margin": {"score": "accuracy"}}, "write each margin as a table, [[margin]]"),
        ({"margin": [{"scores": "accuracy"}]}, "margin 1 has no key 'scores': did you mean 'score'?"),
        ({"margin": [{"margin": 0.1}]}, "margin 1 names no row"),
        ({"margin": [{"score": 3}]}, "score is text, not 3"),
        (
            {"margin": [{"score": "a", "margin": "big"}]},
            "a number in the score's unit, or text such as '2%': not 'big'",
        ),
        ({"margin": [{"score": "a", "margin": True}]}, "not True"),
        ({"margin": [{"score": "a", "margin": -0.1}]}, "finite and not negative"),
        ({"margin": [{"score": "a", "kind": "exactly"}]}, "no kind 'exactly': did you mean 'exact'?"),
        ({"margin": [{"score": "a", "direction": "hihger"}]}, "did you mean 'higher'?"),
        ({"margin": [{"score": "a", "gate": "yes"}]}, "gate is true or false, not 'yes'"),
        ({"undecided": "warm"}, "no undecided 'warm': did you mean 'warn'?"),
        ({"alarm": 2}, "alarm must be chances above 0 and below 0.5"),
    ],
)
def test_a_mistake_is_one_clear_line(content, says):
    with pytest.raises(RequestError) as error:
        parse_margins(content)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"score": "acuracy"}, "margin 1: no score 'acuracy': did you mean 'accuracy'?"),
        ({"evaluation": "knnn"}, "no evaluation 'knnn': did you mean 'knn'?"),
        ({"method": "vea"}, "no method 'vea': did you mean 'vae'?"),
    ],
)
def test_a_name_that_nothing_has_is_an_error(tmp_path, table, says):
    with pytest.raises(UnknownName) as error:
        compared(tmp_path, accuracies(), accuracies(), {**table, "margin": 0.1})
    assert says in str(error.value)


def test_a_name_that_is_installed_but_not_in_these_runs_is_none(tmp_path):
    tables = [{"score": "frechet_distance", "margin": 1.0}, {"method": "jigsaw", "gate": False}]
    assert compared(tmp_path, accuracies(), accuracies(), *tables).exit_code == 0


def test_a_time_may_lose_a_part_and_no_number(tmp_path):
    with pytest.raises(RequestError, match="the margin of a time is a part of it, such as '5%'"):
        compared(tmp_path, accuracies(), accuracies(), {"score": "seconds", "margin": 2.0})


def test_a_wider_margin_makes_a_loss_acceptable(tmp_path):
    lower = [value - 0.02 + index / 1e4 for index, value in enumerate((0.90, 0.91, 0.905, 0.895, 0.90))]
    narrow = compared(tmp_path / "1", accuracies(), accuracies(lower))
    wide = compared(tmp_path / "2", accuracies(), accuracies(lower), {"score": "accuracy", "margin": 0.03})
    assert (of(narrow, "knn accuracy").verdict, of(wide, "knn accuracy").verdict) == ("worse", "equivalent")
