"""A spec with values of other types, and functions of a spec that answer with other types: one line before any cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import bench, loading
from harness.errors import BrokenPlugin, HarnessError, RequestError
from harness.plan import Plan, make_plan
from harness.registry import Registry
from harness.registry.config import resolve
from harness.store import RunFolder
from harness.suite import make_request

HEADS = {
    "method": (
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self, backbone, data, config):\n"
        "        super().__init__()\n"
        "        self.backbone = backbone\n"
        "    def loss(self, batch):\n        return self.backbone(batch.inputs).square().mean()\n"
        "    def encode(self, images):\n        return self.backbone(images)\n",
        "MethodSpec",
        "kind='pretext', build=Mine",
    ),
    "evaluation": (
        "def run(subject, config):\n    return {'mean': 0.5}\n",
        "EvaluationSpec",
        "run=run, scores=(ScoreSpec(name='mean', unit='1', better='none'),)",
    ),
    "backbone": ("", "BackboneSpec", "build=lambda data, config: None"),
    "dataset": (
        "looks = DataSpec(inputs=ImageField(channels=1, size=8), classes=('a', 'b'))\n"
        "images, labels = torch.zeros(60, 1, 8, 8, dtype=torch.uint8), torch.arange(60) % 2\n"
        "def load(config, root):\n    return RawData(inputs=images, labels=labels)\n",
        "DatasetSpec",
        "describe=lambda c, r: looks, files=lambda c, r: [Path(__file__)], load=load",
    ),
    "launcher": ("", "LauncherSpec", "build=lambda config, conditions: None"),
    "tracker": ("", "TrackerSpec", "build=lambda config, folder: None"),
}


def written(folder: Path, kind: str, said: str) -> Path:
    head, spec, given = HEADS[kind]
    file = folder / "odd.py"
    file.write_text(
        '"""Odd."""\n'
        "import torch\n"
        "from pathlib import Path\n"
        f"from harness.plugin import DataSpec, ImageField, RawData, ScoreSpec, {spec}, hookimpl\n\n"
        f"{head}\n\n@hookimpl\ndef harness_{kind}():\n"
        f"    return {spec}(**{{**dict(name='odd', source='a test', {given}), **dict({said})}})\n"
    )
    return file


WORDS = {"plugins": "rotation", "references": "none", "evaluations": "knn", "seeds": 1, "budget": "1 steps"}
PLACES = {"method": "plugins", "evaluation": "evaluations", "backbone": "backbone", "dataset": "datasets"}


def planned(file: Path, kind: str, out: Path) -> Plan:
    words = {**WORDS, PLACES[kind]: str(file)}
    return make_plan(make_request(words), Registry(), RunFolder(out))


ODD = [
    ("method", "build=None", "in its MethodSpec, build is None, expected a function"),
    ("method", "takes='image'", "takes is 'image', expected a tuple of 'image', 'video' or 'text'"),
    ("method", "takes=(['image'],)", "takes[0] is ['image'], expected 'image', 'video' or 'text'"),
    ("method", "uses='labels'", "uses is 'labels', expected a tuple of 'labels', 'captions', 'paired' or "),
    ("method", "uses=('label',)", "uses[0] is 'label', expected 'labels', 'captions', 'paired' or 'unpaired'"),
    ("method", "uses_backbone=5", "uses_backbone is 5, expected True or False"),
    ("method", "recipe=5", "recipe is 5, expected a mapping from text"),
    ("method", "recipe={5: 5}", "recipe is {5: 5}, expected a mapping from text"),
    ("method", "source=None", "source is None, expected text"),
    ("method", "applies='no'", "applies is 'no', expected a function or None"),
    ("evaluation", "takes=5", "in its EvaluationSpec, takes is 5"),
    ("evaluation", "needs='encode'", "needs is 'encode', expected a tuple of text"),
    ("evaluation", "scores=5", "scores is 5, expected a tuple of ScoreSpec"),
    ("evaluation", "scores=(5,)", "scores[0] is 5, expected ScoreSpec"),
    ("evaluation", "scores=(ScoreSpec(name='m', unit='1', better='up'),)", "scores[0].better is 'up', expected "),
    ("evaluation", "scores=(ScoreSpec(name='m', unit=5, better='none'),)", "scores[0].unit is 5, expected text"),
    ("evaluation", "scores=(ScoreSpec(name='m', unit='1', better='none', low='0'),)", "scores[0].low is '0', expected"),
    ("evaluation", "run=5", "run is 5, expected a function"),
    ("evaluation", "on_request='x'", "on_request is 'x', expected True or False"),
    ("backbone", "build=5", "in its BackboneSpec, build is 5, expected a function"),
    ("backbone", "takes=[]", "takes is [], expected a tuple"),
    ("dataset", "kind='pictures'", "in its DatasetSpec, kind is 'pictures', expected 'image', 'video' or 'text'"),
    ("dataset", "load=None", "load is None, expected a function"),
    ("launcher", "build=None", "in its LauncherSpec, build is None, expected a function"),
    ("tracker", "build='x'", "in its TrackerSpec, build is 'x', expected a function"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said", "fault"), ODD)
def test_a_spec_is_of_its_types_when_it_is_loaded(kind: str, said: str, fault: str, tmp_path: Path) -> None:
    file = written(tmp_path, kind, said)
    with pytest.raises(BrokenPlugin) as told:
        Registry().load_file(file)
    assert str(told.value).startswith(f"plugin file {file} cannot be used: in its ")
    assert fault in str(told.value)
    assert "\n" not in str(told.value)


ANSWERS = [
    ("method", "uses=lambda c: 'labels'", "uses_with() of 'odd' is 'labels', expected a list of 'labels', "),
    ("method", "uses=lambda c: None", "uses_with() of 'odd' is None"),
    ("method", "uses=lambda c: 1 / 0", "uses_with() of 'odd' failed: ZeroDivisionError: division by zero (odd.py:"),
    ("method", "own_backbone=lambda c: 5", "own_backbone() of 'odd' is 5, expected text or None"),
    ("method", "files=lambda c: 'weights.pt'", "files() of 'odd' is 'weights.pt', expected a list of text or a path"),
    ("method", "files=lambda c: [5]", "files() of 'odd'[0] is 5, expected text or a path"),
    ("evaluation", "files=lambda c: 5", "files() of 'odd' is 5"),
    ("evaluation", "others=lambda c, t: 'shapes'", "others() of 'odd' is 'shapes', expected a list of text"),
    ("evaluation", "others=lambda c, t: [5]", "others() of 'odd'[0] is 5, expected text"),
    ("backbone", "files=lambda c: 5", "files() of 'odd' is 5"),
    ("dataset", "files=lambda c, r: 5", "files() of dataset 'odd' (odd.py) gave a int, expected a list of paths"),
    ("dataset", "describe=lambda c, r: 5", "describe() of dataset 'odd' (odd.py) gave a int, expected a DataSpec"),
    ("dataset", "describe=lambda c, r: DataSpec(inputs=5)", "inputs is 5, expected ImageField or "),
    ("dataset", "describe=lambda c, r: DataSpec(inputs=looks.inputs, classes=5)", "classes is 5, expected a tuple"),
    ("dataset", "describe=lambda c, r: DataSpec(inputs=ImageField(channels=1, size='8'))", "inputs.size is '8'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said", "fault"), ANSWERS)
def test_what_a_plan_asks_is_of_its_type(kind: str, said: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as told:
        planned(written(tmp_path, kind, said), kind, tmp_path / "run")
    assert fault in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["method", "evaluation", "dataset"])
def test_one_that_is_whole_is_planned_with(kind: str, tmp_path: Path) -> None:
    said = {
        "method": "applies=lambda d, c: None, own_backbone=lambda c: None, files=lambda c: (), uses=lambda c: []",
        "evaluation": "others=lambda c, t: ('shapes[size=16]',), files=lambda c: [__file__]",
        "dataset": "",
    }
    assert planned(written(tmp_path, kind, said[kind]), kind, tmp_path / "run").cells


CONFIGS = [
    ("x: Nowhere = 1", "its annotations cannot be read, NameError: name 'Nowhere' is not defined"),
    ("x: int = field(default_factory=lambda: 1 / 0)", "the default of x failed: ZeroDivisionError: division by"),
    ("x: Any = field(default_factory=object)", "x is <object object at 0x"),
    ("x: Colour = Colour.RED", "x is <Colour.RED: 1>, which a plan cannot keep"),
    ("x: set[int] = frozenset({1})", "x is frozenset({1}), which a plan cannot keep"),
    ("x: Any = lambda: 5", "x is <function Config.<lambda> at 0x"),
    ("x: str = '\\ud800'", "x is '\\ud800', which a plan cannot keep"),
]  # fmt: skip
AFTER = [
    ("raise TypeError('no')", "the config of 'odd' failed: TypeError: no (odd.py:"),
    ("raise KeyError('no')", "the config of 'odd' failed: KeyError: 'no' (odd.py:"),
    ("raise SystemExit(0)", "the config of 'odd' failed: SystemExit: 0 (odd.py:"),
    ("raise ValueError('x must be odd')", "odd: x must be odd"),
]


def configured(folder: Path, config: str) -> Path:
    file = written(folder, "method", "config=Config")
    head = (
        "import enum\n"
        "from dataclasses import dataclass, field\n"
        "from typing import Any\n\n"
        "class Colour(enum.Enum):\n    RED = 1\n\n"
        f"@dataclass(frozen=True)\nclass Config:\n    {config}\n"
    )
    file.write_text(f"from __future__ import annotations\n{head}{file.read_text()}")
    return file


@pytest.mark.parametrize(("config", "fault"), CONFIGS)
def test_a_config_can_be_read_and_kept(config: str, fault: str, tmp_path: Path) -> None:
    file = configured(tmp_path, config)
    with pytest.raises(BrokenPlugin) as told:
        Registry().load_file(file)
    assert str(told.value).startswith(f"plugin file {file} cannot be used: of its config, {fault}")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("after", "fault"), AFTER)
def test_a_config_that_cannot_be_made_is_one_line(after: str, fault: str, tmp_path: Path) -> None:
    file = configured(tmp_path, f"x: int = 1\n    def __post_init__(self):\n        {after}")
    with pytest.raises(HarnessError) as told:
        planned(file, "method", tmp_path / "run")
    assert str(told.value).startswith(fault)
    assert "\n" not in str(told.value)


def test_whatever_else_a_plugin_raises_in_a_plan_is_one_line(tmp_path: Path) -> None:
    """In none of the places where it is looked for: a description with a class of its own."""
    file = written(tmp_path, "dataset", "describe=lambda c, r: Odd(inputs=looks.inputs, classes=looks.classes)")
    odd = "class Odd(DataSpec):\n    @property\n    def kind(self):\n        raise RuntimeError('no kind')\n"
    file.write_text(file.read_text().replace("looks = ", f"{odd}\nlooks = ", 1))
    with pytest.raises(BrokenPlugin) as told:
        bench(plugins="rotation", datasets=str(file), references="none", seeds=1, out=tmp_path / "run", progress=False)
    assert str(told.value).startswith(f"planning with plugin file {file} failed: RuntimeError: no kind (odd.py:")


LOADED = [
    ("None", "load() gave nothing, expected RawData"),
    ("5", "load() gave a int, expected RawData"),
    ("RawData(inputs=5)", "in which inputs is 5, expected Tensor or "),
    ("RawData(inputs=images, labels=[0, 1] * 30)", "in which labels is [0, 1"),
    ("RawData(inputs=images, labels=labels.float())", "labels are torch.float32 (60,), expected torch.int64 (N,)"),
    ("RawData(inputs=images, labels=labels[:, None])", "labels are torch.int64 (60, 1), expected torch.int64 (N,)"),
    ("RawData(inputs=images, labels=labels, groups=labels.float())", "its groups are torch.float32 (60,), expected "),
    ("RawData(inputs=images, labels=labels, note=5)", "in which note is 5, expected text"),
    ("RawData(inputs=images, labels=labels, test=5)", "in which test is 5, expected RawData or None"),
    ("RawData(inputs=images, labels=labels, test=RawData(inputs=5))", "in which test.inputs is 5"),
    ("RawData(inputs=images, labels=labels, captions=5)", "in which captions is 5"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "fault"), LOADED)
def test_what_a_dataset_loads_is_of_its_types(said: str, fault: str, tmp_path: Path) -> None:
    (found,) = Registry().load_file(written(tmp_path, "dataset", f"load=lambda c, r: {said}"))
    with pytest.raises(RequestError, match="does not keep its contract") as told:
        loading.load(found.spec, resolve(found.spec.config, {}, "odd"), tmp_path, 0)
    assert fault in str(told.value)


@pytest.mark.parametrize(
    ("targets", "fault"),
    [
        ("labels[:, None]", "its training targets are torch.int64 (60, 1), expected torch.float32 (N,R)"),
        ("torch.zeros(60)", "its training targets are torch.float32 (60,), expected torch.float32 (N,R)"),
        ("torch.zeros(60, 2)", "it has 2 training targets, of x"),
    ],
)
def test_targets_are_as_described(targets: str, fault: str, tmp_path: Path) -> None:
    said = "describe=lambda c, r: DataSpec(inputs=looks.inputs, targets=('x',)), "
    said += f"load=lambda c, r: RawData(inputs=images, targets={targets})"
    (found,) = Registry().load_file(written(tmp_path, "dataset", said))
    with pytest.raises(RequestError) as told:
        loading.load(found.spec, resolve(found.spec.config, {}, "odd"), tmp_path, 0)
    assert fault in str(told.value)
