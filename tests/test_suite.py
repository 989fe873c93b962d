"""Requests from suites and from Python: the same words, lists or text."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.expansion import canonical, expand
from harness.records import Budget, TrainConfig
from harness.registry import Registry
from harness.run import slug
from harness.suite import make_request, overridden, read_suite

SUITES = sorted((Path(__file__).parents[1] / "benchmarks" / "suites").glob("*.toml"))


def cells(**words: object) -> list[str]:
    expanded = expand(make_request({"evaluations": "none", "seeds": 1, **words}), Registry())
    return [f"{cell.method} | {cell.backbone or ''} | {cell.source} | {cell.seed}" for cell in expanded]


def test_a_method_may_name_its_own_backbone(tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    own = f"checkpoint[file={tmp_path / 'a.pt'},backbone='convnet[width=8]']"
    found = cells(plugins=f"{own},vae", references="none", backbone="convnet,mlp")
    assert [line.split(" | ")[1] for line in found] == ["convnet[width=8]", "convnet", "mlp"]


def test_two_backbones_of_its_own_are_none(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="names 2 backbones: name one"):
        cells(plugins="checkpoint[file=a.pt,backbone='convnet,mlp']")


def test_references_come_first_and_are_not_repeated_for_each_backbone() -> None:
    assert cells(plugins="vae", references="pixels,random-init", backbone="convnet[width=8|16]") == [
        "pixels |  | digits | 0",
        "random-init | convnet[width=8] | digits | 0",
        "vae | convnet[width=8] | digits | 0",
        "random-init | convnet[width=16] | digits | 0",
        "vae | convnet[width=16] | digits | 0",
    ]


def test_a_sweep_is_written_in_a_plugin_or_set_from_outside() -> None:
    inside = cells(plugins="vae[beta=2|4]", references="none")
    assert inside == cells(plugins="vae", references="none", set=["vae.beta=2|4"])
    assert inside == cells(plugins=["vae"], references=[], set={"vae": {"beta": [2, 4]}})
    assert inside == ["vae[beta=2.0] | convnet | digits | 0", "vae[beta=4.0] | convnet | digits | 0"]


def test_two_spellings_are_one_cell() -> None:
    spellings = "vae,vae[],vae[beta=1],vae[beta=1.0,latent_dim=32]"
    assert cells(plugins=spellings, references="none") == ["vae | convnet | digits | 0"]


def test_train_settings_reach_every_cell_and_can_be_swept() -> None:
    request = make_request({"plugins": "vae", "references": "none", "seeds": 1, "set": ["train.batch_size=8|16"]})
    assert [cell.train.batch_size for cell in expand(request, Registry())] == [8, 16]


def test_each_source_is_its_own_target_unless_targets_are_named() -> None:
    request = make_request({"datasets": "digits", "seeds": 1})
    assert all(cell.targets == (cell.source,) for cell in expand(request, Registry()))
    request = make_request({"datasets": "digits", "targets": "digits,digits", "seeds": 1})
    assert all(len(cell.targets) == 1 for cell in expand(request, Registry()))


def test_seeds_are_a_number_a_list_or_a_range() -> None:
    assert make_request({"seeds": 2}).seeds == (0, 1)
    assert make_request({"seeds": [3, 5, 3]}).seeds == (3, 5)
    assert make_request({"seeds": "4-6"}).seeds == (4, 5, 6)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("40 epochs", 40, "epochs"),
        ("1epoch", 1, "epochs"),
        ("1e6 examples", 1e6, "examples"),
        ("1e6 images", 1e6, "examples"),
        ("1 image", 1, "examples"),
        ("5 clips", 5, "examples"),
        ("20texts", 20, "examples"),
        ("5000 steps", 5000, "steps"),
        ("90s", 90, "seconds"),
        ("1.5 minutes", 90, "seconds"),
        ("2 h", 7200, "seconds"),
        ("2e14 flops", 2e14, "flops"),
        ("1 flop", 1, "flops"),
        ("1234567 FLOPs", 1234567, "flops"),
        ("200 TFLOP", 2e14, "flops"),
        ("0.3TFLOPs", 0.3 * 1e12, "flops"),
        ("1.5 PFLOP", 1.5e15, "flops"),
        ("7 GFLOP", 7e9, "flops"),
    ],
)
def test_budgets_are_read_as_people_write_them(text: str, amount: float, unit: str) -> None:
    assert Budget.parse(text) == Budget(amount=amount, unit=unit)
    assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


def test_a_budget_in_flops_is_written_in_tera() -> None:
    assert str(Budget.parse("2e14 flops")) == str(Budget.parse("0.2 PFLOP")) == "200 TFLOP"


@pytest.mark.parametrize(
    "text", ["", "epochs", "ten epochs", "-3 epochs", "nan epochs", "inf s", "3 parsecs", "1 2 s", "1 tflop"]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="budget"):
        Budget.parse(text)


def test_canonical_names_leave_defaults_out_and_sort() -> None:
    assert str(canonical("train", TrainConfig, {"warmup": "0.05", "learning_rate": "0.5", "batch_size": "7"})) == (
        "train[batch_size=7,learning_rate=0.5]"
    )


def test_a_run_folder_is_named_for_what_it_is_about() -> None:
    assert slug(make_request({})) == "vae-jigsaw-on-digits"
    assert slug(make_request({"plugins": "vae[beta=1|4],./mine.py"})) == "vae-beta=1-4-mine.py-on-digits"
    assert len(slug(make_request({"plugins": ",".join(["vae[beta=3]"] * 30)}))) <= 80


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_every_committed_suite_makes_sense(file: Path) -> None:
    words = read_suite(file)
    assert expand(make_request(words, str(file)), Registry())


PARTED = """
seeds = 2
references = ["random-init"]
[[part]]
plugins = ["vae", "rotation"]
[[part]]
plugins = ["vae", "jigsaw"]
seeds = 1
evaluations = "knn"
"""


def test_parts_share_the_words_above_them_and_what_they_have_in_common_is_run_once(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(PARTED)
    expanded = expand(make_request({"evaluations": "linear-probe", **read_suite(tmp_path / "suite.toml")}), Registry())
    found = [(cell.method.name, cell.seed, [ref.name for ref in cell.evaluations]) for cell in expanded]
    both = ["linear-probe", "knn"]
    assert found == [
        ("random-init", 0, both), ("vae", 0, both), ("rotation", 0, both[:1]),
        ("random-init", 1, both[:1]), ("vae", 1, both[:1]), ("rotation", 1, both[:1]),
        ("jigsaw", 0, both[1:]),
    ]  # fmt: skip


def test_what_is_given_on_the_command_line_wins_in_every_part(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(PARTED)
    words = overridden(read_suite(tmp_path / "suite.toml"), {"seeds": "5-5", "evaluations": "none"})
    assert {(cell.seed, cell.evaluations) for cell in expand(make_request(words), Registry())} == {(5, ())}


def test_a_suite_may_have_a_title_and_a_question() -> None:
    words = {"title": "Order", "question": "Does it help?", "part": [{"plugins": "vae"}, {"plugins": "jigsaw"}]}
    request = make_request(words)
    assert (request.title, request.question) == ("Order", "Does it help?")
    assert [(part.title, part.question) for part in request.parts] == [("", "")] * 2
    with pytest.raises(RequestError, match="'title' cannot be 3"):
        make_request({"title": 3})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"part": {"plugins": "vae"}}, r"write each part as a table, \[\[part\]\]"),
        ({"part": []}, r"write each part as a table, \[\[part\]\]"),
        ({"part": [{"plugin": "vae"}]}, "the request, part 1 has no key 'plugin': did you mean 'plugins'"),
        ({"part": [{"title": "x"}]}, "part 1: 'title' is told of a whole suite: write it above its parts"),
        ({"part": [{"part": [3]}]}, "the request, part 1: write each part as a table"),
    ],
)
def test_bad_parts_are_one_clear_line(words: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make_request(words)


def test_settings_of_the_optimisation_are_checked() -> None:
    for setting, message in (("train.beta1=1", "decay rates"), ("train.schedule=linear", "schedule")):
        with pytest.raises(RequestError, match=message):
            expand(make_request({"set": [setting], "seeds": 1}), Registry())
