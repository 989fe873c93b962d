"""The registry: what it lists, what it loads, what it says of plugins that are wrong, and that these harm no other."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from harness.errors import BrokenPlugin, DuplicatePlugin, RequestError, UnknownName
from harness.registry import GROUPS, KINDS, METHOD_KINDS, PluginInfo, Registry
from harness.registry.fingerprint import source_digest

METHOD = '''
"""A method that does nothing but encode."""
from torch import nn
from harness.plugin.hookspecs import hookimpl
from harness.plugin.specs import MethodSpec

class Flat(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()

    def encode(self, images):
        return images.flatten(1)

@hookimpl
def harness_method():
    return MethodSpec(name="{name}", kind="{kind}", build=Flat, uses_backbone=False, source="own work")
'''

GOOD = METHOD.format(name="flat", kind="model")


class Site:
    """A folder on sys.path in which distributions with plugins are installed by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points: list[EntryPoint] = []

    def install(self, distribution: str, module: str, source: str, name: str, group: str = "harness.models") -> None:
        (self.folder / f"{module}.py").write_text(source)
        info = self.folder / f"{distribution}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[{group}]\n{name} = {module}\n")
        self.points = [
            point for path in self.folder.glob("*.dist-info") for point in PathDistribution(path).entry_points
        ]

    @property
    def registry(self) -> Registry:
        return Registry(self.points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


# Listing. -------------------------------------------------------------------------------------------------------------


def test_built_ins_are_listed_by_kind_and_name() -> None:
    infos = Registry().infos()
    assert [info.kind for info in infos] == sorted([info.kind for info in infos], key=KINDS.index)
    assert {"vae", "jigsaw", "pixels", "convnet", "digits", "knn"} <= {info.name for info in infos}
    assert [info.name for info in Registry().infos("pretext")] == sorted(i.name for i in infos if i.kind == "pretext")
    vae = next(info for info in infos if info.name == "vae")
    assert (vae.kind, vae.module, vae.distribution) == ("model", "harness_plugins.models.vae", "harness")
    assert vae.summary.startswith("Variational autoencoder")


def test_listing_imports_no_plugin_and_nothing_heavy() -> None:
    code = (
        "import sys; from harness.registry.registry import Registry\n"
        "assert all(isinstance(info.summary, str) for info in Registry().infos())\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'pydantic', 'rich', 'harness_plugins'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_summary_never_raises(tmp_path: Path, site: Site) -> None:
    for number, source in enumerate(
        ["def (", "x = 1", "", "'''\n\n  Spaced.  \nmore'''", "b'bytes'", "# c\n'''Yes.'''"]
    ):
        site.install(f"dist{number}", f"summary_{number}", source, f"plugin{number}")
    site.install("dist6", "summary_6", "", "plugin6")
    (site.folder / "summary_6.py").write_bytes(b"\xff\xfe'''x'''")
    site.install("dist7", "summary_7", "", "plugin7")
    (site.folder / "summary_7.py").unlink()
    assert [info.summary for info in site.registry.infos()] == ["", "", "", "Spaced.", "", "Yes.", "", ""]


def test_an_invalid_entry_point_is_listed_and_broken() -> None:
    point = EntryPoint(name="odd", value="not a module!", group="harness.models")
    registry = Registry([point, EntryPoint(name="other", value="x", group="someone.else")])
    assert [info.name for info in registry.infos()] == ["odd"]
    assert registry.infos()[0].summary == ""
    with pytest.raises(BrokenPlugin, match="plugin 'odd' of unknown cannot be loaded"):
        registry.load("odd", METHOD_KINDS)


# Loading. -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"), [("vae", "model"), ("rotation", "pretext"), ("pixels", "reference"), ("digits", "dataset")]
)
def test_built_ins_load(name: str, kind: str) -> None:
    registry = Registry()
    loaded = registry.load(name, (kind,))
    assert (loaded.spec.name, loaded.info.kind) == (name, kind)
    assert loaded.file.name == f"{name}.py"
    assert registry.load(name, (kind,)) is loaded
    assert registry.manager.is_registered(loaded.module)
    assert registry.load(f"harness:{name}", (kind,)) is loaded


def test_loading_imports_that_module_alone() -> None:
    code = (
        "import sys; from harness.registry.registry import Registry\n"
        "Registry().load('digits', ('dataset',))\n"
        "loaded = [name for name in sys.modules if name.startswith('harness_plugins.') and name.count('.') == 2]\n"
        "assert loaded == ['harness_plugins.datasets.digits'], loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "kinds", "message"),
    [
        ("jigsw", METHOD_KINDS, "no method 'jigsw': did you mean 'jigsaw'? `harness plugins` lists all "),
        ("knn", METHOD_KINDS, "no method 'knn': 'knn' of harness "),
        ("vae", ("backbone",), "is a plugin of another kind: model"),
        ("zzzz", ("backbone",), "no backbone 'zzzz': choose from bag-of-embeddings, conv3d, convnet, frames, gru"),
        ("other:vae", METHOD_KINDS, "it is not in distribution 'other', but in harness"),
    ],
)
def test_unknown_names(name: str, kinds: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        Registry().load(name, kinds)
    assert message in str(caught.value)


def test_duplicates_name_both_distributions_and_a_qualifier_picks_one(site: Site) -> None:
    site.install("one", "flat_one", GOOD, "flat")
    site.install("Other_Two", "flat_two", METHOD.format(name="flat", kind="pretext"), "flat", "harness.pretext_tasks")
    registry = site.registry
    with pytest.raises(DuplicatePlugin) as caught:
        registry.load("flat", METHOD_KINDS)
    for part in ("one 1.0 (model)", "Other_Two 1.0 (pretext)", "'one:flat'", "'Other_Two:flat'"):
        assert part in str(caught.value)
    assert registry.load("one:flat", METHOD_KINDS).module.__name__ == "flat_one"
    assert registry.load("other-two:flat", METHOD_KINDS).module.__name__ == "flat_two"
    assert [[info.distribution for info in group] for group in registry.duplicates()] == [["one", "Other_Two"]]


def test_one_name_for_a_method_and_an_evaluation_is_no_duplicate() -> None:
    points = [EntryPoint(name="x", value=f"m{n}", group=group) for n, group in enumerate(GROUPS) if n in (0, 5)]
    assert Registry(points).duplicates() == []


WRONG = {
    "import error": ("import no_such_package_of_mine", "cannot be loaded: ModuleNotFoundError: No module named"),
    "syntax error": ("def (", "cannot be loaded: SyntaxError: "),
    "exit": ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
    "many lines": ("raise ValueError('a\\n\\nb')", "cannot be loaded: ValueError: a b"),
    "no hook": ("x = 1", "needs the hook harness_method; it has no hook that is decorated with @hookimpl"),
    "misspelt hook": (
        GOOD.replace("harness_method", "harness_metod"),
        "implements 'harness_metod', which is no hook: did you mean 'harness_method'?",
    ),
    "undecorated hook": (GOOD.replace("@hookimpl", ""), "defines harness_method without its decorator: add @hookimpl"),
    "wrong hook": (GOOD.replace("harness_method", "harness_dataset"), "it has harness_dataset"),
    "hook raises": (GOOD.replace('name="flat"', "name=1/0"), "its hook harness_method raised ZeroDivisionError"),
    "no spec": (
        GOOD.replace("return MethodSpec", "return dict"),
        "returns a dict from harness_method, expected a MethodSpec",
    ),
    "other name": (
        GOOD.replace('"flat"', '"flatt"'),
        "calls itself 'flatt' in its spec: use the name of its entry point",
    ),
    "other kind": (
        GOOD.replace('"model"', '"pretext"'),
        "kind 'pretext': move its entry point to harness.pretext_tasks",
    ),
    "no kind": (GOOD.replace('"model"', '"modle"'), "kind 'modle': did you mean 'model'?"),
    "no config": (GOOD.replace("build=Flat,", "build=Flat, config=dict,"), "has a config that is no dataclass"),
    "hook arguments": (
        GOOD + "\n@hookimpl\ndef harness_cell_started(cel):\n    pass\n",
        "has an invalid hook: PluginValidationError",
    ),
}


@pytest.mark.parametrize(("source", "message"), WRONG.values(), ids=WRONG)
def test_a_broken_plugin_is_named_and_harms_no_other(site: Site, source: str, message: str) -> None:
    site.install("broken-dist", "broken_module", source, "flat")
    site.install("good-dist", "good_module", METHOD.format(name="good", kind="model"), "good")
    registry = site.registry
    with pytest.raises(BrokenPlugin) as caught:
        registry.load("flat", METHOD_KINDS)
    assert str(caught.value).startswith("plugin 'flat' of broken-dist 1.0 ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert registry.load("good", METHOD_KINDS).spec.name == "good"
    assert [module.__name__ for module in registry.manager.get_plugins()] == ["good_module"]
    assert len(registry.infos()) == 2


def test_the_cause_keeps_its_traceback(site: Site) -> None:
    site.install("broken-dist", "broken_cause", "def f():\n    raise ImportError('deep')\nf()\n", "flat")
    with pytest.raises(BrokenPlugin) as caught:
        site.registry.load("flat", METHOD_KINDS)
    cause = caught.value.__cause__
    assert isinstance(cause, ImportError)
    trace = cause.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    assert trace.tb_frame.f_code.co_name == "f"


# Files. ---------------------------------------------------------------------------------------------------------------


def test_a_file_is_a_plugin(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.replace('"flat"', '"mine"'))
    registry = Registry()
    (loaded,) = registry.load_file(file)
    assert loaded.info == PluginInfo("mine", "model", loaded.module.__name__, "file", "")
    assert loaded.info.summary == "A method that does nothing but encode."
    assert (loaded.file, loaded.spec.name) == (file, "mine")
    for name in (str(file), "mine", "file:mine"):
        assert registry.load(name, METHOD_KINDS) is loaded
    assert registry.load_file(tmp_path / "x" / ".." / "mine.py") == [loaded]
    assert Registry().load_file(file)[0].module is loaded.module
    with pytest.raises(UnknownName, match=r"mine\.py has no backbone: it has model 'mine'"):
        registry.load(str(file), ("backbone",))


def test_an_edited_file_is_run_anew(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.replace('"flat"', '"mine"'))
    first = Registry().load_file(file)[0]
    before = source_digest(first)
    file.write_text(GOOD.replace('"flat"', '"mine"').replace("flatten(1)", "flatten(1) * 2"))
    second = Registry().load_file(file)[0]
    assert first.module is not second.module
    after = source_digest(second)
    assert after != before
    file.write_text("# a comment\n" + file.read_text())
    assert source_digest(second) == after


def test_two_files_of_one_name_are_two_modules(site: Site, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(GOOD.replace('"flat"', f'"mine-{folder}"'))
    registry = Registry()
    names = [registry.load_file(tmp_path / folder / "mine.py")[0].info.name for folder in ("a", "b")]
    assert names == ["mine-a", "mine-b"]


def test_a_file_may_offer_several_plugins(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "both.py"
    backbone = """
from harness.plugin.specs import BackboneSpec

@hookimpl
def harness_backbone():
    return BackboneSpec(name="tiny", build=lambda data, config: None)
"""
    file.write_text(GOOD + backbone)
    registry = Registry()
    assert [loaded.info.kind for loaded in registry.load_file(file)] == ["model", "backbone"]
    assert registry.load(str(file), ("backbone",)).spec.name == "tiny"
    assert registry.load("tiny", ("backbone",)).file == file


def test_a_file_shadows_nothing(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.replace('"flat"', '"vae"'))
    registry = Registry()
    with pytest.raises(DuplicatePlugin, match=r"mine\.py and harness \S+ both offer method 'vae': rename the file's"):
        registry.load_file(file)
    assert registry.load("vae", METHOD_KINDS).info.distribution == "harness"
    other = tmp_path / "other.py"
    for path in (file, other):
        path.write_text(GOOD)
    registry.load_file(file)
    with pytest.raises(DuplicatePlugin, match=r"other\.py and file \S+mine\.py both offer method 'flat'"):
        registry.load_file(other)


def test_the_file_of_an_installed_plugin_is_that_plugin() -> None:
    registry = Registry()
    installed = registry.load("pixels", METHOD_KINDS)
    assert registry.load_file(installed.file) == [installed]


FILE_MISTAKES = {
    "missing": (None, RequestError, "there is no plugin file "),
    "syntax": ("def (", BrokenPlugin, "cannot be loaded: SyntaxError: "),
    "nothing": ("x = 1", BrokenPlugin, "offers nothing: give it a hook of harness_method, harness_backbone"),
    "misspelt": (GOOD.replace("harness_method", "harness_methods"), BrokenPlugin, "did you mean 'harness_method'?"),
    "kind": (GOOD.replace('"model"', '"modle"'), BrokenPlugin, "is of kind 'modle': did you mean 'model'?"),
}


@pytest.mark.parametrize(("source", "error", "message"), FILE_MISTAKES.values(), ids=FILE_MISTAKES)
def test_mistakes_in_files(
    site: Site, tmp_path: Path, source: str | None, error: type[Exception], message: str
) -> None:
    file = tmp_path / "mine.py"
    if source is not None:
        file.write_text(source)
    registry = Registry()
    before = registry.infos()
    with pytest.raises(error) as caught:
        registry.load(str(file), METHOD_KINDS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert registry.infos() == before
    assert not registry.manager.get_plugins()


def test_a_file_that_does_not_end_in_py(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(GOOD)
    with pytest.raises(RequestError, match=r"must end in \.py"):
        Registry().load_file(tmp_path / "mine.txt")


# Events. --------------------------------------------------------------------------------------------------------------

LISTENER = """
heard = []

@hookimpl
def harness_run_finished(results):
    heard.append(len(results))
    {then}
"""


def test_events_reach_every_plugin_even_past_one_that_fails(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry()
    for name, then in (("first", "pass"), ("bad", "raise RuntimeError('no disk')"), ("last", "pass")):
        file = tmp_path / f"{name}.py"
        file.write_text(GOOD.replace('"flat"', f'"{name}"') + LISTENER.format(then=then))
        registry.load_file(file)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            registry.tell("harness_run_finished", results=[])
            registry.tell("harness_run_started", request=None, cells=3)
    heard = {name: registry.load(name, METHOD_KINDS).module.heard for name in ("first", "bad", "last")}
    assert heard == {"first": [0, 0], "bad": [0, 0], "last": [0, 0]}
    assert len(caplog.records) == 1
    assert "harness_run_finished of plugin 'bad' failed, the run goes on: RuntimeError: no disk" in caplog.text


def test_advice_that_lists_names_ends_before_the_next_one() -> None:
    with pytest.raises(UnknownName, match="no launcher 'nope': choose from local; `harness plugins` lists all"):
        Registry().load("nope", ("launcher",))
