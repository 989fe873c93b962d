"""What planning decides: applicability from declarations, keys of all that an answer depends on, once each."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import BrokenPlugin, RequestError
from harness.plan import Plan, make_plan
from harness.registry import Registry
from harness.registry.fingerprint import source_digest
from harness.store import RunFolder
from harness.suite import make_request

EXAMPLES = Path(__file__).with_name("example_plugins.py")

LEARNER = {"plugins": "supervised"}  # has a budget


@pytest.fixture
def notes(tmp_path: Path) -> str:
    """A text dataset: the table holds its classes."""
    (tmp_path / "notes.txt").write_text("short long")
    return f"notes[path={tmp_path / 'notes.txt'}]"


def planned(folder: Path, **words: Any) -> Plan:
    registry = Registry()
    registry.load_file(EXAMPLES)
    request = make_request({"references": "none", "seeds": 1, "evaluations": "count", "budget": "2 steps"} | words)
    return make_plan(request, registry, RunFolder(folder / "run"))


def reason(folder: Path, **words: Any) -> str:
    """Why the only cell is skipped; "" if it is to run."""
    (cell,) = planned(folder, **words).cells
    assert (cell.state == "skipped") == (cell.why != "new")
    return cell.why if cell.state == "skipped" else ""


# What makes no sense. -------------------------------------------------------------------------------------------------


def test_a_method_and_a_backbone_take_kinds_of_data(tmp_path: Path, notes: str) -> None:
    assert reason(tmp_path, plugins="rotation", datasets=notes) == "rotation takes images, notes holds texts"
    assert reason(tmp_path, plugins="reader", datasets=notes) == "convnet takes images, notes holds texts"
    assert reason(tmp_path, plugins="reader", datasets="digits", backbone="words") == (
        "words takes texts, digits holds images"
    )
    assert reason(tmp_path, plugins="reader", datasets=notes, backbone="words") == ""


def test_a_method_uses_what_its_source_has(tmp_path: Path) -> None:
    assert reason(tmp_path, plugins="pix2pix", datasets="digits") == "digits has no paired images to learn from"
    assert reason(tmp_path, plugins="cyclegan", datasets="digits") == "digits has no paired images to learn from"
    assert reason(tmp_path, plugins="supervised", datasets="digits") == ""


def test_a_method_declares_where_it_applies(tmp_path: Path) -> None:
    tiles = "3x3 tiles of 8-pixel images have fewer than 3 pixels"
    assert reason(tmp_path, plugins="jigsaw[grid=3]", datasets="digits") == tiles
    assert reason(tmp_path, plugins="jigsaw[grid=3]", datasets="digits[size=28]") == ""
    small = "perception=vgg16 needs images of 16 pixels and more: take autoencoder"
    assert reason(tmp_path, plugins="style-transfer[perception=vgg16]", datasets="digits") == small
    assert reason(tmp_path, plugins="reader[shortest=11]", datasets="digits") == "too few classes"


def unfit(plan: Plan) -> dict[tuple[str, str], str]:
    (cell,) = plan.cells
    return {(todo.target.name, todo.evaluation.name): todo.unfit for todo in cell.task.todo}


def test_an_evaluation_judges_kinds_of_data_and_what_was_learned_from_the_same(tmp_path: Path, notes: str) -> None:
    across = planned(
        tmp_path, plugins="rotation", datasets="digits", targets=f"digits,{notes}", evaluations="fid,count"
    )
    other = "notes holds texts, the method has learned from images"
    assert unfit(across) == {
        ("digits", "fid"): "",
        ("digits", "count"): "",
        ("notes", "fid"): other,
        ("notes", "count"): other,
    }
    texts = planned(tmp_path, plugins="reader", datasets=notes, backbone="words", evaluations="fid,count")
    assert unfit(texts) == {("notes", "fid"): "fid judges images, notes holds texts", ("notes", "count"): ""}


def test_a_timing_that_makes_no_sense_does_not_wait_for_the_machine(tmp_path: Path, notes: str) -> None:
    plan = planned(tmp_path, plugins="reader", targets=notes, evaluations="throughput,count")
    assert plan.exclusive == {"throughput"}
    assert [len(task.todo) for task in plan.tasks(exclusive=False)] == [2]
    assert plan.tasks(exclusive=True) == []


def test_what_cannot_be_judged_is_a_skipped_row_and_the_rest_is_judged(tmp_path: Path, notes: str) -> None:
    pictures = notes.replace("]", ",kind=image]")
    words = {"references": "none", "seeds": 1, "budget": "2 steps", "evaluations": "knn,fid"}
    results = harness.bench(
        f"rotation,{EXAMPLES}", **words, targets=f"digits,{notes},{pictures}", out=tmp_path / "run", progress=False
    )
    assert results.ok
    rows = {
        (e.target.partition("[")[0], "kind=image" in e.target, e.evaluation): e for e in results.cells[0].evaluations
    }
    assert rows["digits", False, "knn"].status == "ok"
    assert rows["notes", False, "fid"].reason == "notes holds texts, the method has learned from images"
    assert rows["notes", True, "knn"].reason == "these images are for reading only"
    skipped = [row for (target, *_), row in rows.items() if target == "notes"]
    assert [row.status for row in skipped] == ["skipped"] * 4


def test_a_dry_run_shows_what_is_skipped(tmp_path: Path, notes: str, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli.bench import _print_plan

    plan = planned(tmp_path, plugins="rotation,reader[shortest=11]", targets=f"digits,{notes}", evaluations="fid,count")
    _print_plan(plan, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("skipped   reader[shortest=11] on digits") and "too few classes" in line for line in lines
    )
    assert "skipped   4 evaluations: notes holds texts, the method has learned from images" in lines


def test_a_dataset_that_cannot_be_described_is_named(tmp_path: Path, notes: str) -> None:
    broken = notes.replace("]", ",kind=broken]")
    with pytest.raises(BrokenPlugin, match=r"describe\(\) of 'notes\[kind=broken,.*\]' failed: KeyError: 'no table'"):
        planned(tmp_path, plugins="reader", datasets=broken)


# What is keyed. -------------------------------------------------------------------------------------------------------


def keys(plan: Plan) -> list[str]:
    return [cell.task.key for cell in plan.cells]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"budget": "1234562 examples", **LEARNER}, {"budget": "1234564 examples", **LEARNER}),
        ({"set": ["train.learning_rate=0.1"]}, {"set": ["train.learning_rate=0.10000000000000002"]}),
        ({"plugins": "reader[beta=0.3]"}, {"plugins": "reader[beta=0.30000000000000004]"}),
        ({"plugins": "reader[beta=123456789.0]"}, {"plugins": "reader[beta=123456789.00000001]"}),
    ],
)
def test_numbers_are_keyed_to_the_last_digit(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = (keys(planned(tmp_path, **{"plugins": "reader"} | words)) for words in (one, other))
    assert first != second


def test_the_same_number_written_otherwise_is_the_same_cell(tmp_path: Path) -> None:
    words = {"plugins": "reader[beta=1000000.0]", "budget": "1e6 images"}
    assert keys(planned(tmp_path, **words)) == keys(
        planned(tmp_path, plugins="reader[beta=1e6]", budget="1000000 example")
    )


def changed_by(folder: Path, change: Any, **words: Any) -> str:
    """Why the only cell of a bench is stale after a change."""
    plugins = [str(EXAMPLES), *([words.pop("plugins")] if "plugins" in words else [])]
    base = {"plugins": plugins, "references": "none", "seeds": 1, "evaluations": "count", "budget": "0 steps"} | words
    harness.bench(**base, out=folder / "run", progress=False)
    change()
    cell = make_plan(make_request(base), Registry(), RunFolder(folder / "run")).cells[-1]
    return f"{cell.state}: {cell.why}"


def test_a_swapped_checkpoint_makes_cells_stale(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.bin"
    checkpoint.write_bytes(b"old")
    why = changed_by(tmp_path, lambda: checkpoint.write_bytes(b"new"), plugins=f"reader[checkpoint={checkpoint}]")
    assert why == "stale: changed: method files"


def test_a_missing_checkpoint_is_an_error_of_the_request(tmp_path: Path) -> None:
    gone = tmp_path / "gone.bin"
    with pytest.raises(RequestError) as error:
        planned(tmp_path, plugins=f"reader[checkpoint={gone}]")
    assert str(error.value) == (
        f"reader[checkpoint={gone}] reads {gone}, which is not there: put the file there or name another"
    )
    command = [sys.executable, "-m", "harness", "bench", "--dry-run", "--out", str(tmp_path / "run")]
    command += ["--plugins", f"{EXAMPLES},reader[checkpoint={gone}]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(gone) in done.stderr


def test_an_edited_neighbour_makes_cells_stale(tmp_path: Path) -> None:
    (tmp_path / "plan_helper.py").write_text("FACTOR = 1.0\n")
    source = (Path(__file__).parent / "faults" / "bad_methods.py").read_text()
    plugin = tmp_path / "mine.py"
    near = f"import os, sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom plan_helper import FACTOR\n"
    source = source.replace("import os\n", near).replace(".square().mean()", ".square().mean() * FACTOR")
    plugin.write_text(source)
    why = changed_by(tmp_path, lambda: (tmp_path / "plan_helper.py").write_text("FACTOR = 22.0\n"), plugins=str(plugin))
    assert why == "stale: changed: method source"


def test_the_same_files_under_other_classes_are_another_dataset(tmp_path: Path) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (8, 8), 20 * number).save(photos / name / f"{number}.png")

    def nest() -> None:
        (photos / "both").mkdir()
        for name in ("a", "b"):
            (photos / name).rename(photos / "both" / name)

    why = changed_by(tmp_path, nest, datasets=f"image-folder[path={photos},size=8,channels=1]", backbone="convnet")
    assert why == "stale: changed: dataset description"


def test_a_newer_library_makes_cells_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade() -> None:
        from harness.registry import fingerprint

        before = fingerprint._version
        monkeypatch.setattr(fingerprint, "_version", lambda name: "999" if name == "numpy" else before(name))

    assert changed_by(tmp_path, upgrade) == "stale: changed: libraries"


def test_a_change_of_how_harness_judges_judges_the_kept_weights_anew_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.keys

    before = harness.keys.digest_of_modules

    def changed(module: str) -> None:
        monkeypatch.setattr(
            harness.keys,
            "digest_of_modules",
            lambda modules: "another" if module in modules else before(modules),
        )

    why = changed_by(tmp_path, lambda: changed("harness.judge"), plugins="vae")
    assert why == "to run: 1 of 1 evaluations: count"
    monkeypatch.undo()
    assert changed_by(tmp_path, lambda: changed("harness.trainer"), plugins="vae") == "stale: changed: core source"


def test_weights_that_came_since_make_a_judgement_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from harness.judging.inception import weights_path

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def task_keys() -> tuple[str, list[str]]:
        plan = planned(tmp_path, plugins="vae", evaluations="fid[extractor=inception],fid")
        return plan.cells[0].task.key, [todo.key for todo in plan.cells[0].task.todo]

    cell, before = task_keys()
    weights_path().parent.mkdir()
    weights_path().write_bytes(b"weights")
    same, after = task_keys()
    assert same == cell
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_cell_loads_the_files_of_its_own_plugins(tmp_path: Path, notes: str) -> None:
    """Another file may change how torch computes when it is imported, and no key would know."""
    bad = Path(__file__).parent / "faults" / "bad_methods.py"
    words = {"plugins": f"{bad},vae,reader", "evaluations": "knn"}
    assert [cell.plugin_files for cell in planned(tmp_path, **words).cells] == [(bad,), (), (EXAMPLES,)]
    judged = planned(tmp_path, plugins="vae", targets=notes, evaluations="knn")
    assert [cell.plugin_files for cell in judged.cells] == [(EXAMPLES,)]


@pytest.mark.parametrize("function", ["files", "uses"])
def test_a_declaration_that_fails_is_an_error_in_one_line(tmp_path: Path, function: str) -> None:
    line = "files=lambda config: [config.checkpoint] if config.checkpoint else [],"
    source = "@hookimpl".join(EXAMPLES.read_text().split("@hookimpl")[:2])  # the method alone
    assert line in source
    plugin = tmp_path / "mine.py"
    plugin.write_text(source.replace(line, f"{function}=lambda config: config.nothing,").replace("reader", "mine"))
    called = "uses_with" if function == "uses" else "files"
    with pytest.raises(
        BrokenPlugin, match=rf"^{called}\(\) of 'mine' failed: AttributeError: .*nothing' \(mine.py:\d+\)$"
    ):
        planned(tmp_path, plugins=str(plugin))


def test_predictions_are_not_judged_where_the_classes_are_others(tmp_path: Path) -> None:
    """A method knows the classes of its source, by their names; what is fitted to the target does not care."""
    words = {"plugins": "vae", "datasets": "shapes", "targets": "shapes,digits,digits[size=16]"}
    for cell in planned(tmp_path, **words, evaluations="generalisation,linear-probe").cells:
        unfit = {(todo.target.name, todo.evaluation.name): todo.unfit for todo in cell.task.todo}
        assert unfit == {
            ("shapes", "generalisation"): "",
            ("digits", "generalisation"): "digits has other classes than the source: a method's own predictions are of "
            "those it has learned",
            ("shapes", "linear-probe"): "",
            ("digits", "linear-probe"): "",
        }


def test_predictions_are_judged_on_another_dataset_of_the_same_classes(tmp_path: Path) -> None:
    words = {"plugins": "vae", "datasets": "digits", "targets": "digits[size=16]", "evaluations": "generalisation"}
    assert {todo.unfit for cell in planned(tmp_path, **words).cells for todo in cell.task.todo} == {""}


# How often. -----------------------------------------------------------------------------------------------------------


def test_a_source_is_digested_and_data_described_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digested: Counter[str] = Counter()

    def counting(loaded: Any) -> str:
        digested[loaded.info.name] += 1
        return source_digest(loaded)

    monkeypatch.setattr("harness.registry.chosen.source_digest", counting)
    plan = planned(tmp_path, plugins="vae,rotation", seeds=5, evaluations="knn,fid", datasets="digits,digits[size=16]")
    assert len(plan.cells) == 20
    assert digested == dict.fromkeys(("vae", "rotation", "convnet", "digits", "knn", "fid"), 1)


def test_a_reference_is_chosen_once() -> None:
    from harness.records import PluginRef

    registry = Registry()
    first = registry.chosen(PluginRef(name="knn", params={"bank_limit": "300"}), ("evaluation",))
    assert registry.chosen(PluginRef(name="knn", params={"bank_limit": "300"}), ("evaluation",)) is first
    assert registry.chosen(PluginRef(name="knn"), ("evaluation",)) is not first
    with pytest.raises(RequestError, match="no parameter"):
        registry.chosen(PluginRef(name="knn", params={"no": 1}), ("evaluation",))


def test_parts_are_united_in_one_pass(tmp_path: Path) -> None:
    parts = [{"evaluations": "knn"}, {"evaluations": "fid,knn", "seeds": 2}, {"targets": "digits[size=16]"}]
    plan = planned(tmp_path, plugins="vae", part=parts)
    assert [cell.cell.seed for cell in plan.cells] == [0, 1]
    first = plan.cells[0].cell
    assert [str(ref) for ref in first.evaluations] == ["knn", "fid", "count"]
    assert [str(ref) for ref in first.targets] == ["digits", "digits[size=16]"]


def test_a_dry_run_imports_no_library_that_only_cells_and_reports_need(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['harness', 'bench', '--dry-run', '--out', {str(tmp_path / 'run')!r}]\n"
        "from harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'pandas', 'sklearn', 'scipy', 'torchvision', 'torchmetrics', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Datasets beside the target. ------------------------------------------------------------------------------------------


def judged_beside(folder: Path, other: str, **words: Any) -> Any:
    request = {"plugins": "rotation", "datasets": "digits"} | words
    (cell,) = planned(folder, evaluations=f"out-of-distribution[other='{other}'],count", **request).cells
    return next(todo for todo in cell.task.todo if todo.evaluation.name == "out-of-distribution")


def test_another_dataset_is_named_in_the_task_and_is_a_part_of_the_key(tmp_path: Path) -> None:
    todo = judged_beside(tmp_path, "shapes[size=16]")
    assert [str(ref) for ref in todo.others] == ["shapes[size=16]"]
    assert todo.unfit == ""
    assert judged_beside(tmp_path, "shapes[size=16]").key == todo.key
    assert judged_beside(tmp_path, "digits[size=16]").key != todo.key


def test_another_dataset_that_is_changed_makes_its_judgements_stale_and_no_others(tmp_path: Path, notes: str) -> None:
    pictures = notes.replace("]", ",kind=image]")

    def keys() -> dict[str, str]:
        (cell,) = planned(
            tmp_path, plugins="rotation", evaluations=f'out-of-distribution[other="{pictures}"],count'
        ).cells
        return {todo.evaluation.name: todo.key for todo in cell.task.todo}

    before = keys()
    (tmp_path / "notes.txt").write_text("short long longer")
    after = keys()
    assert before["count"] == after["count"]
    assert before["out-of-distribution"] != after["out-of-distribution"]


def test_another_dataset_of_another_kind_or_the_target_itself_is_skipped_with_the_reason(
    tmp_path: Path, notes: str
) -> None:
    (cell,) = planned(tmp_path, plugins="rotation", evaluations=f'out-of-distribution[other="{notes}"]').cells
    (todo,) = cell.task.todo
    assert todo.unfit.endswith("holds texts, digits images")
    assert "beside the target: notes" in todo.unfit
    same = judged_beside(tmp_path, "digits").unfit
    assert same.endswith("compares the target with digits, which is the target: name another dataset")
    assert judged_beside(tmp_path, "digits", targets="shapes").unfit == ""  # the source it may be


def test_another_dataset_that_is_not_there_is_an_error_of_the_request(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="dataset 'cifar10' is not in"):
        judged_beside(tmp_path, "cifar10")
    with pytest.raises(RequestError, match="no dataset 'digts': did you mean 'digits'"):
        judged_beside(tmp_path, "digts")


def test_evaluations_on_request_are_not_among_the_default_ones(tmp_path: Path) -> None:
    (cell,) = planned(tmp_path, plugins="rotation", evaluations="default").cells
    names = {ref.name for ref in cell.cell.evaluations}
    assert {"knn", "linear-probe"} <= names
    on_request = {"robustness", "retrieval", "out-of-distribution", "similarity", "calibration"}
    assert not names & on_request
    (cell,) = planned(tmp_path, plugins="rotation", evaluations="default,similarity").cells
    assert {ref.name for ref in cell.cell.evaluations} == names | {"similarity"}
