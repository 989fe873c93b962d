"""The contract of plugins, as named checks: what `harness plugins check NAME` and the test suite run.

    checks = check_plugin(registry.load("vae", METHOD_KINDS), registry, data_root())
    assert not [check for check in checks if check.status == "failed"]

A check is a small function of one case. It returns (a word of detail), raises Broken with what is wrong and what was
expected, or raises NotApplicable where the contract asks for nothing. Methods are in `harness.contract.methods`,
datasets in `harness.contract.datasets`; what an evaluation says of itself is in `harness.contract.evaluations`, what it
does in `harness.contract.judging`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from harness.contract import backbones, datasets, evaluations, judging, launchers, trackers
from harness.contract.checks import Check
from harness.contract.encoders import backbone_for
from harness.contract.examples import EXAMPLES, SmallData, generated_images, small_datasets
from harness.contract.methods import method_checks
from harness.contract.requirements import Absent, Broken, Told, require
from harness.data.fields import ANY, DataKind
from harness.errors import DatasetMissing, HarnessError, NotApplicable
from harness.plugin.specs import (
    BackboneSpec,
    DatasetSpec,
    EvaluationSpec,
    LauncherSpec,
    MethodSpec,
    NoConfig,
    TrackerSpec,
)
from harness.reasons import reason_of
from harness.records import PluginRef, TrainConfig
from harness.registry import METHOD_KINDS, LoadedPlugin, Registry
from harness.registry.chosen import Chosen
from harness.registry.config import full_ref, resolve
from harness.registry.grammar import parse_plugins
from harness.registry.installed import first_docstring_line

CLASSES = 10  # of generated images of a size that was asked for


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What methods and backbones are checked on."""

    shape: tuple[int, int] | None = None  # channels and size in pixels; None: two small shapes
    backbone: PluginRef | None = None  # None: that which fits the data

    def datasets(self, kinds: tuple[DataKind, ...], n: int = EXAMPLES) -> list[SmallData]:
        """The data to check on what takes these kinds, with n examples."""
        if self.shape is None or "image" not in kinds:
            return small_datasets(kinds, n)
        return [generated_images(channels=self.shape[0], size=self.shape[1], classes=CLASSES, n=n)]

    def encoder(self, kind: DataKind, registry: Registry) -> BackboneSpec:
        """The backbone of methods on this kind of data; its parameters are those of its spec's config."""
        if self.backbone is None:
            return backbone_for(kind, registry)
        ref = self.backbone
        spec: BackboneSpec = registry.load(ref.name, ("backbone",)).spec
        config: Any = resolve(spec.config, ref.params, ref.name)
        return replace(spec, config=NoConfig, build=lambda data, _: spec.build(data, config))


def check_plugin(
    loaded: LoadedPlugin,
    registry: Registry,
    root: Path,
    params: Mapping[str, Any] | None = None,
    setting: Setting | None = None,
) -> list[Check]:
    """Run every check that fits the plugin's kind, with these parameters and defaults for all others.

    A method and a backbone are checked on each kind of data that they take. `registry` gives methods for images their
    backbone, the kit those for clips and texts; `root` is where datasets lie. A failure that says again, on other data
    or in another check, what one said before is left out: each root cause is named once.
    """
    return list(checks_of(loaded, registry, root, params or {}, setting or Setting(), lambda name: None))


def checks_of(
    loaded: LoadedPlugin,
    registry: Registry,
    root: Path,
    params: Mapping[str, Any],
    setting: Setting,
    begun: Callable[[str], None],
) -> Iterator[Check]:
    """The checks of `check_plugin`, as they end; `begun` is told the name of each before it begins."""
    with one_thread():
        yield from _roots(_checked(loaded, registry, root, params, setting, begun))


def _roots(checks: Iterable[Check]) -> Iterator[Check]:
    """Without the failures whose words, apart from numbers, were said before."""
    said: set[str] = set()
    for check in checks:
        words = re.sub(r"[-+\d.,e]*\d", "#", check.detail)
        if check.status not in ("failed", "note") or words not in said:
            yield check
        said.add(words)


def _checked(
    loaded: LoadedPlugin,
    registry: Registry,
    root: Path,
    params: Mapping[str, Any],
    setting: Setting,
    begun: Callable[[str], None],
) -> Iterator[Check]:
    name = loaded.info.name

    def run(title: str, check: Callable[[], str | None]) -> Check:
        begun(title)
        return run_check(name, title, check)

    yield run("documented", lambda: documented(loaded))
    if hasattr(loaded.spec, "takes"):
        yield run("takes_known_kinds", lambda: takes_known_kinds(loaded))
    needed = _required(loaded.spec.config, params)
    if needed:
        yield Check(plugin=name, name="config", status="skipped", detail=f"needs {', '.join(needed)}")
        return
    stored = run("config", lambda: config_survives_storage(loaded.spec.config, params, name))
    yield stored
    if stored.status == "ok":
        chosen = Chosen(PluginRef(name=name), loaded, resolve(loaded.spec.config, params, name))
        answered = run("answers_a_plan", lambda: answers_a_plan(chosen, setting))
        yield answered
        if answered.status == "failed":
            return
        cases = _checks(chosen, registry, root, setting)
        while True:
            begun("its cases")
            try:
                title, check = next(cases)
            except StopIteration:
                return
            except (Exception, SystemExit) as error:
                yield Check(plugin=name, name="its cases", status="failed", detail=reason_of(error))
                return
            yield run(title, check)


@contextmanager
def one_thread() -> Iterator[None]:
    """Cells run on one thread by default; and small layers on a busy machine are many times as fast so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_check(plugin: str, name: str, check: Callable[[], str | None]) -> Check:
    """Turn what a check returns or raises into a record."""
    try:
        return Check(plugin=plugin, name=name, status="ok", detail=check() or "")
    except Absent as reason:
        return Check(plugin=plugin, name=name, status="skipped", detail=str(reason), absent=True)
    except (NotApplicable, DatasetMissing) as reason:
        return Check(plugin=plugin, name=name, status="skipped", detail=str(reason))
    except Told as note:
        return Check(plugin=plugin, name=name, status="note", detail=str(note))
    except (Broken, HarnessError) as error:
        return Check(plugin=plugin, name=name, status="failed", detail=str(error))
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises is a finding, not an end of the kit
        return Check(plugin=plugin, name=name, status="failed", detail=reason_of(error))


def _checks(
    chosen: Chosen, registry: Registry, root: Path, setting: Setting
) -> Iterator[tuple[str, Callable[[], str | None]]]:
    spec, config = chosen.spec, chosen.config
    if chosen.info.kind in METHOD_KINDS:
        own = spec.own_backbone(config) if spec.own_backbone else ""
        setting = replace(setting, backbone=parse_plugins(own)[0]) if own else setting
        for data in setting.datasets(spec.takes):
            backbone = setting.encoder(data.kind, registry) if spec.uses_backbone else None
            yield from method_checks(spec, config, data, backbone)
    elif isinstance(spec, BackboneSpec):
        for data in setting.datasets(spec.takes):
            case = backbones.BackboneCase(spec, config, data)
            yield from ((f"{check.__name__} [{data.title}]", _bound(check, case)) for check in backbones.CHECKS)
    elif isinstance(spec, DatasetSpec):
        dataset = datasets.DatasetCase(spec, config, root)
        yield from ((check.__name__, _bound(check, dataset)) for check in datasets.CHECKS)
    elif isinstance(spec, EvaluationSpec):
        yield from ((check.__name__, _bound(check, spec)) for check in evaluations.CHECKS)
        for data in setting.datasets(spec.takes, judging.EXAMPLES):
            yield from judging.trials(chosen, data, setting.encoder(data.kind, registry), registry, root)
    elif isinstance(spec, LauncherSpec):
        launcher = launchers.LauncherCase(spec, config)
        yield from ((check.__name__, _bound(check, launcher)) for check in launchers.CHECKS)
    elif isinstance(spec, TrackerSpec):
        tracker = trackers.TrackerCase(spec, config)
        yield from ((check.__name__, _bound(check, tracker)) for check in trackers.CHECKS)


def _bound(check: Callable[[Any], str | None], case: Any) -> Callable[[], str | None]:
    return lambda: check(case)


def documented(loaded: LoadedPlugin) -> str:
    """A module docstring says what it is; the spec says where it comes from."""
    line = first_docstring_line(loaded.file)
    require(bool(line), f"{loaded.file.name} has no docstring: open it with one line that says what the plugin is")
    require(bool(loaded.spec.source), "the spec's source is empty: name the paper, or 'own work'")
    return ""


def takes_known_kinds(loaded: LoadedPlugin) -> str:
    """What a plugin takes decides in the plan which cells and evaluations there are."""
    takes = loaded.spec.takes
    known = isinstance(takes, tuple) and set(takes) <= set(ANY)
    require(known and bool(takes), f"its spec takes {takes!r}, expected some of {', '.join(ANY)} in a tuple")
    return ", ".join(takes)


def config_survives_storage(config_class: type, params: Mapping[str, Any], owner: str) -> str:
    """A plan stores every parameter as JSON; read back, it must be the same config."""
    require(config_class.__dataclass_params__.frozen, "the config can be changed: use @dataclass(frozen=True)")  # type: ignore[attr-defined]
    config: Any = resolve(config_class, params, owner)
    ref = full_ref(owner, config)
    again: Any = resolve(config_class, json.loads(json.dumps(ref.params)), owner)
    require(again == config, f"the config is {again} after it was stored as JSON, expected {config}")
    return str(ref)


def answers_a_plan(chosen: Chosen, setting: Setting) -> str:
    """What a plan asks the functions of a spec before there is a cell is of the right type."""
    spec, config = chosen.spec, chosen.config
    if isinstance(spec, DatasetSpec):
        raise Absent("its own checks ask it")
    asked: list[tuple[str, tuple[Any, ...]]] = [(name, (config,)) for name in ("uses_with", "own_backbone", "files")]
    asked.append(("others", (config, str(judging.SMALL))))
    asked += [("applies", (data.spec, config)) for data in setting.datasets(getattr(spec, "takes", ()))]
    known = [(name, arguments) for name, arguments in asked if getattr(spec, name, None) is not None]
    for name, arguments in known:
        chosen.declared(name, *arguments)
    if isinstance(spec, MethodSpec):
        resolve(TrainConfig, spec.recipe, "train")
    return ", ".join(dict.fromkeys(name for name, _ in known))


def _required(config_class: type, params: Mapping[str, Any]) -> list[str]:
    without = [f for f in fields(config_class) if f.default is MISSING and f.default_factory is MISSING and f.init]
    return [field.name for field in without if field.name not in params]
