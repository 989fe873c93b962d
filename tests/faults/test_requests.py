"""Requests that are not what they seem: one line each, before any work. Nothing vanishes, nothing is guessed at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.data.caption_files import read_captions
from harness.errors import BrokenPlugin, RequestError
from harness.expansion import expand
from harness.options import Options
from harness.records import PluginRef, Request
from harness.registry import Registry
from harness.registry.config import describe, full_ref, resolve
from harness.registry.grammar import parse_plugins, parse_setting
from harness.suite import make_request, read_suite

HARNESS = [sys.executable, "-m", "harness"]


def refused(message: str, **words: object) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        expand(make_request(words), Registry())
    assert "\n" not in str(caught.value)


# Empty words. ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", ["", " ", ",", "\n", ", ,", [""], ["vae", ""]])
def test_an_empty_variable_is_no_request_for_references_alone(empty: object) -> None:
    refused("'plugins' is empty, so there is nothing to run for it: .*'none' for the references alone", plugins=empty)


def test_none_is_references_alone() -> None:
    cells = expand(make_request({"plugins": "none", "evaluations": "none", "seeds": 1}), Registry())
    assert [cell.method.name for cell in cells] == ["pixels", "pca", "random-init", "supervised"]


@pytest.mark.parametrize(
    "word", ["references", "evaluations", "datasets", "targets", "labels", "devices", "precision", "backbone", "budget"]
)
def test_every_other_word_that_is_empty_is_an_error_too(word: str) -> None:
    refused(f"'{word}' is empty", **{word: ""})


# Suites. --------------------------------------------------------------------------------------------------------------


def suite(tmp_path: Path, text: str, encoding: str = "utf-8") -> Request:
    file = tmp_path / "suite.toml"
    file.write_text(text, encoding=encoding)
    return make_request(read_suite(file), "suite")


def test_plugins_above_parts_that_all_have_their_own_would_vanish(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'plugins' above the parts is a default that no part takes"):
        suite(tmp_path, 'plugins = "rotation"\n[[part]]\nplugins = "vae"\n')
    taken = suite(tmp_path, 'plugins = "rotation"\n[[part]]\nplugins = "vae"\n[[part]]\nbudget = "1 epochs"\n')
    assert [part.plugins for part in taken.parts] == [("vae",), ("rotation",)]


def test_any_word_above_the_parts_is_taken_by_one_of_them(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'budget' above the parts"):
        suite(tmp_path, 'budget = "1 epochs"\n[[part]]\nbudget = "2 epochs"\n')


@pytest.mark.parametrize(
    "seeds",
    ["[1.9]", "[-1]", "[true]", f"[{2**70}]", '["0"]', "1.9", "true", "-1", str(2**70), "[0, inf]", "{ a = 1 }"],
)
def test_seeds_are_whole_numbers_of_a_size_that_generators_take(tmp_path: Path, seeds: str) -> None:
    with pytest.raises(RequestError, match="seeds"):
        suite(tmp_path, f"seeds = {seeds}\n")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("threads = 1.9", "threads"),
        ("threads = true", "threads"),
        ("compile = 1", "compile"),
        ("set = { vae = 3 }", "set"),
        ("[set.vae]\nbeta = { a = 1 }", "set"),
        ("[set.vae]\nbeta = 1979-05-27", "set"),
        ("plugins = { vae = 1 }", "plugins"),
        ("plugins = [1]", "plugins"),
        ("budget = 20", "budget"),
        ("labels = 10", "labels"),
    ],
)
def test_what_is_of_another_type_is_refused_and_not_converted(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(RequestError, match=f"'{word}' cannot be") as caught:
        suite(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_suite(tmp_path: Path) -> None:
    assert suite(tmp_path, "seeds = 2\n", encoding="utf-8-sig").seeds == (0, 1)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, f"seeds = {'9' * 5000}", "seeds = [", "\x00"])
def test_what_no_reader_takes_is_no_valid_suite(tmp_path: Path, text: str) -> None:
    with pytest.raises(RequestError, match="is no valid TOML"):
        suite(tmp_path, text)


def test_a_time_limit_that_is_no_number_is_none() -> None:
    with pytest.raises(RequestError, match="--timeout is a number of seconds above 0"):
        Options(timeout=float("nan"))


# Parameters that are lists. -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sizes:
    sizes: tuple[int, ...] = (3, 5)
    names: list[str] | None = None
    beta: float = 1.0


def given(text: str) -> Sizes:
    (ref,) = parse_plugins(text)
    return resolve(Sizes, ref.params, "it")


def test_a_list_is_given_as_it_is_shown() -> None:
    shown = {parameter.name: parameter.default for parameter in describe(Sizes)}
    assert shown["sizes"] == "[3, 5]"
    assert given(f"it[sizes={shown['sizes']}]") == Sizes()
    assert given("it[sizes=[7],names=['a,b',c|d]]".replace("c|d", "'c|d'")).names == ["a,b", "c|d"]
    assert given("it[sizes=[]]").sizes == ()


def test_a_bar_makes_a_sweep_of_lists() -> None:
    assert [given(str(ref)).sizes for ref in parse_plugins("it[sizes=[1,2]|[3]]")] == [(1, 2), (3,)]
    assert parse_setting("it.sizes=[1,2]|[3]")[2] == [("1", "2"), ("3",)]
    assert make_request({"set": {"it": {"sizes": [[1, 2], [3]]}}}).settings == ("it.sizes=[1, 2]|[3]",)


def test_a_list_comes_back_from_its_name() -> None:
    config = Sizes(sizes=(1, 2), names=["it's", 'so "far"', "both ' and \"", " x ", "[", ""])
    assert given(str(full_ref("it", config))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("it[beta=[1,2]]", r"it\[beta=\[1, 2\]\]: expected a number"),
        ("it[sizes=3]", r"it\[sizes=3\]: expected a list such as \[1,2\]"),
        ("it[sizes=[a]]", "expected an integer"),
        ("it[sizes=" + "[" * 50 + "]" * 50 + "]", "lists are too deep"),
    ],
)
def test_a_list_where_none_belongs_is_one_line(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        given(text)


@pytest.mark.parametrize("value", ['["a", "b"]', "3", "true", '{"a": 1}'])
def test_a_caption_is_text(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "captions.jsonl").write_text(f'{{"file": "a.png", "caption": {value}}}\n')
    with pytest.raises(RequestError, match=r"line 1 \(caption is a .*, expected text: an image has one caption\)"):
        read_captions(tmp_path / "captions.jsonl")


# Plugin files. --------------------------------------------------------------------------------------------------------

DATASET = """
from pathlib import Path
import torch
from harness.plugin import DataSpec, DatasetSpec, ImageField, RawData, hookimpl

def describe(config, root):
    {describe}
    return DataSpec(inputs=ImageField(channels=1, size=8), classes=("a", "b"))

def files(config, root):
    {files}

def load(config, root):
    return RawData(inputs=torch.rand(40, 1, 8, 8), labels=torch.arange(40) % 2)

@hookimpl
def harness_dataset():
    return DatasetSpec(name="stripes", describe=describe, files=files, load=load, prepare={prepare})
"""


def dataset(tmp_path: Path, describe: str = "", files: str = "return [Path(__file__)]", prepare: str = "None") -> Path:
    file = tmp_path / f"stripes_{abs(hash((describe, files, prepare)))}.py"
    file.write_text(DATASET.format(describe=describe, files=files, prepare=prepare))
    return file


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"describe": "raise KeyError('x')"}, r"describe\(\) of 'stripes' failed: KeyError: 'x' \(stripes_"),
        ({"describe": "return None"}, r"describe\(\) of dataset 'stripes' .* gave nothing, expected a DataSpec"),
        ({"describe": "exit(0)"}, "SystemExit: 0"),
        ({"files": "return []"}, r"files\(\) of dataset 'stripes' .* names none: .*\[Path\(__file__\)\]"),
        ({"files": "return None"}, "gave nothing, expected a list of paths"),
        ({"files": "return 1 / 0"}, r"ZeroDivisionError: division by zero \(stripes_\d+.py:11\)"),
    ],
)  # fmt: skip
def test_a_dataset_plugin_that_fails_is_named_with_its_line(tmp_path: Path, how: dict[str, str], message: str) -> None:
    from harness.plan import make_plan
    from harness.store import RunFolder

    file = dataset(tmp_path, **how)
    request = make_request({"plugins": "none", "references": "pixels", "datasets": str(file), "seeds": 1})
    with pytest.raises(BrokenPlugin, match=message) as caught:
        make_plan(request, Registry(), RunFolder(tmp_path / "run"))
    assert "\n" not in str(caught.value)
    done = subprocess.run([*HARNESS, "datasets", "show", str(file)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("prepare", ["None", "lambda config, root: None"])
def test_images_that_a_plugin_makes_are_its_own_fault(tmp_path: Path, prepare: str) -> None:
    from harness.loading import load

    (plugin,) = Registry().load_file(dataset(tmp_path, prepare=prepare))
    with pytest.raises(
        RequestError, match=r"dataset 'stripes' \(stripes_\d+.py\) does not keep its contract"
    ) as caught:
        load(plugin.spec, plugin.spec.config(), tmp_path / "data", seed=0)
    assert str(tmp_path / "data") not in str(caught.value)


METHOD = """
from dataclasses import dataclass
from torch import nn
from harness.plugin import MethodSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Config:
    a: int = 0

class Mine(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()
    def encode(self, images):
        return images.flatten(1)

@hookimpl
def harness_method():
    return MethodSpec(name="mine", kind="model", build=Mine, config=Config, uses_backbone=False)
"""


@pytest.mark.parametrize("order", ["mine[a=1],{file}", "{file},mine[a=1]"])
def test_what_is_in_a_file_has_a_name_wherever_the_file_stands(tmp_path: Path, order: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    words = {"plugins": order.format(file=file), "references": "none", "seeds": 1, "evaluations": "none"}
    assert {str(cell.method) for cell in expand(make_request(words), Registry())} == {"mine", "mine[a=1]"}


def test_the_parameters_of_a_dataset_are_told_before_any_is_given() -> None:
    done = subprocess.run([*HARNESS, "datasets", "show", "image-folder"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "image-folder[path=...]" in done.stdout
    assert "path (" in done.stdout


# Ctrl-C. --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a group of processes")
def test_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    words = ["--plugins", "rotation", "--references", "pixels", "--evaluations", "none", "--seeds", "1"]
    command = [*HARNESS, "bench", *words, "--budget", "600 s", "--jobs", "1", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs tests in the background ignores it
    )
    for _ in range(600):
        if len(list((tmp_path / "run" / "cells").glob("*.json"))) == 1:
            break
        time.sleep(0.2)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == (
        f"harness: interrupted; 1 of 2 cells are finished and kept in {tmp_path / 'run'}, "
        "and the same command goes on from there"
    )
    assert "Traceback" not in told


def test_a_name_with_every_sign_of_the_grammar_comes_back() -> None:
    for value in ("a|b", "a,b", "[x]", "'", '"', "'\"", "\"'\"'", " ", ""):
        ref = PluginRef(name="it", params={"x": value})
        assert parse_plugins(str(ref)) == (ref,), value
