"""What a cell is, and the key of all that its answer depends on.

The identity is what was asked, in words: equal for a stale cell and its successor. What is keyed besides is what it was
answered with: sources, data, files, libraries, the kind of device. What many cells share is worked out once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from harness import loading
from harness.data.content import content_fingerprint
from harness.data.fields import DataSpec
from harness.expansion import datasets_beside
from harness.machine import device_class, machine, torch_version
from harness.records import ALL_LABELS, Cell, PluginRef, TrainConfig, budget_text
from harness.registry import FILE, METHOD_KINDS, Chosen, Registry
from harness.registry.fingerprint import digest_of_modules, judging_modules, library_versions, training_modules
from harness.registry.installed import is_own
from harness.registry.sources import find_source


@dataclass(frozen=True)
class Core:
    """The part of Harness itself that an answer depends on."""

    source: str  # its digest
    libraries: Mapping[str, str]  # the packages behind it, with their versions

    @classmethod
    def of(cls, modules: Iterable[str]) -> Core:
        named = sorted(modules)
        files = [file for name in named if (file := find_source(name)) is not None]
        return cls(digest_of_modules(named), library_versions(files))


class Keys:
    """The keys of cells and evaluations on this machine, with the data below `root`."""

    def __init__(self, registry: Registry, root: Path) -> None:
        self.registry = registry
        self.root = root
        self.fingerprints: dict[str, str] = {}  # of the datasets that were asked for, by label
        self._data: dict[str, DataSpec] = {}
        self._shared: dict[tuple[str, ...], dict[str, Any]] = {}
        self._judged: dict[tuple[str, str], str] = {}
        self._others: dict[tuple[str, str], tuple[PluginRef, ...]] = {}
        self._strangers: dict[tuple[str, str], tuple[str, ...]] = {}
        self._train = cache(asdict)

    def method(self, cell: Cell) -> Chosen:
        return self.registry.chosen(cell.method, METHOD_KINDS)

    def backbone(self, cell: Cell) -> Chosen | None:
        return None if cell.backbone is None else self.registry.chosen(cell.backbone, ("backbone",))

    def dataset(self, ref: PluginRef) -> Chosen:
        return self.registry.chosen(ref, ("dataset",))

    def evaluation(self, ref: PluginRef) -> Chosen:
        return self.registry.chosen(ref, ("evaluation",))

    def plugin_files(self, cell: Cell) -> tuple[Path, ...]:
        """The unpackaged files that its plugins are in. A cell loads no others: they could change its numbers."""
        backbone = self.backbone(cell)
        used = [self.method(cell), self.dataset(cell.source), *([backbone] if backbone else [])]
        used += [*map(self.dataset, cell.targets), *map(self.evaluation, cell.evaluations)]
        used += [
            self.dataset(o) for target in cell.targets for ref in cell.evaluations for o in self.others(target, ref)
        ]
        return tuple(dict.fromkeys(chosen.loaded.file for chosen in used if chosen.info.distribution == FILE))

    def strangers(self, cell: Cell) -> tuple[str, ...]:
        """Whose code of others a cell trains with: distributions, and names of unpackaged files."""
        backbone = self.backbone(cell)
        return _owners([self.method(cell), self.dataset(cell.source), *([backbone] if backbone else [])])

    def judging_strangers(self, target: PluginRef, ref: PluginRef) -> tuple[str, ...]:
        """Whose code of others an evaluation of a target is judged with."""
        pair = (str(target), str(ref))
        if pair not in self._strangers:
            used = [self.evaluation(ref), self.dataset(target), *map(self.dataset, self.others(target, ref))]
            self._strangers[pair] = _owners(used)
        return self._strangers[pair]

    def others(self, target: PluginRef, ref: PluginRef) -> tuple[PluginRef, ...]:
        """The datasets that an evaluation reads beside a target."""
        pair = (str(target), str(ref))
        if pair not in self._others:
            self._others[pair] = datasets_beside(self.evaluation(ref), target, self.registry)
        return self._others[pair]

    def data(self, ref: PluginRef) -> DataSpec:
        """What a dataset says that it looks like. Raises BrokenPlugin where its plugin cannot say so."""
        label = str(ref)
        if label not in self._data:
            chosen = self.dataset(ref)
            self._data[label] = loading.described(chosen.spec, chosen.config, self.root)
        return self._data[label]

    def fingerprint(self, ref: PluginRef) -> str:
        """The content of a dataset's files. Raises DatasetMissing."""
        label = str(ref)
        if label not in self.fingerprints:
            chosen = self.dataset(ref)
            self.fingerprints[label] = loading.fingerprint(chosen.spec, chosen.config, self.root)
        return self.fingerprints[label]

    def _description(self, ref: PluginRef) -> str:
        """What a dataset says of its files: the same ones in other folders may be of other classes."""
        return hashed(repr(self.data(ref)))

    def identity(self, cell: Cell) -> dict[str, Any]:
        """What was asked, with every parameter."""
        backbone = self.backbone(cell)
        return {
            "method": self.method(cell).full,
            "backbone": backbone.full if backbone else "",
            "source": self.dataset(cell.source).full,
            "device": cell.device,
            "precision": cell.precision,
            "seed": cell.seed,
            "budget": budget_text(cell),
            "train": self._train(cell.train),
            "threads": cell.threads,
        }

    def provenance(self, cell: Cell) -> dict[str, Any]:
        """What it runs with. Cells that differ in their seeds share one."""
        plugins = (str(cell.method), str(cell.backbone or ""), str(cell.source), cell.device)
        settings = changed_settings(cell.train, self.method(cell).spec.recipe)
        key = (*plugins, settings)
        if key not in self._shared:
            method = self.method(cell)
            self._shared[key] = {
                "keyed": self._keyed(cell),
                "plugin": method.info.origin,
                "uses": ", ".join(method.uses),
                "settings": settings,
                **machine(cell.device),
            }
        return self._shared[key]

    def _keyed(self, cell: Cell) -> dict[str, str]:
        method, backbone, dataset = self.method(cell), self.backbone(cell), self.dataset(cell.source)
        versions = dict(self._training.libraries)
        for chosen in (method, dataset, *([backbone] if backbone else [])):
            versions |= chosen.loaded.libraries
        return {
            "method source": method.digest,
            "method files": files_fingerprint(method),
            "backbone source": backbone.digest if backbone else "",
            "backbone files": files_fingerprint(backbone) if backbone else "",
            "core source": self._training.source,
            "dataset": self.fingerprint(cell.source),
            "dataset description": self._description(cell.source),
            "dataset source": dataset.digest,
            "libraries": written_versions(versions),
            "torch": torch_version(),
            "device class": device_class(cell.device),
        }

    @cached_property
    def _training(self) -> Core:
        return Core.of(training_modules())

    @cached_property
    def _judging(self) -> Core:
        return Core.of(judging_modules())

    def evaluation_key(self, cell_key: str, target: PluginRef, ref: PluginRef, labels: str = "") -> str:
        """Of one evaluation of a cell: all that changes what it says."""
        pair = (str(target), str(ref))
        if pair not in self._judged:
            self._judged[pair] = self._judgement(target, ref)
        fewer = f" {labels}" if labels not in ("", ALL_LABELS) else ""
        return hashed(f"{cell_key} {self._judged[pair]}{fewer}")

    def _judgement(self, target: PluginRef, ref: PluginRef) -> str:
        judge, beside = self.evaluation(ref), self.others(target, ref)
        parts = self._content(target) | {
            "core source": self._judging.source,
            "evaluation": judge.full,
            "evaluation source": judge.digest,
            "evaluation files": files_fingerprint(judge),
            "libraries": written_versions(
                {**self._judging.libraries, **self.dataset(target).loaded.libraries, **judge.loaded.libraries}
            ),
            "timed on": machine("cpu")["device name"] if judge.spec.exclusive else "",
        }
        known = [parts, *(self._content(other) for other in beside)] if beside else parts
        return hashed(json.dumps(known, sort_keys=True))

    def _content(self, ref: PluginRef) -> dict[str, str]:
        """All of a dataset that a judgement on it depends on."""
        data = self.dataset(ref)
        return {
            "target": data.full,
            "dataset": self.fingerprint(ref),
            "dataset description": self._description(ref),
            "dataset source": data.digest,
        }


def files_fingerprint(chosen: Chosen) -> str:
    """The content of the files that a plugin declares; "" if there are none. Raises RequestError for a missing one."""
    return content_fingerprint(chosen.files) if chosen.files else ""


def written_versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def changed_settings(train: TrainConfig, recipe: Mapping[str, Any]) -> str:
    """What the request set of the optimisation, where it differs from the method's own recipe."""
    own = asdict(TrainConfig()) | dict(recipe)
    return ", ".join(f"{name}={value}" for name, value in asdict(train).items() if value != own[name])


def hashed(text: str) -> str:
    """16 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def as_text(value: Any) -> str:
    """JSON that is equal for equal values, whatever their order."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _owners(plugins: Iterable[Chosen]) -> tuple[str, ...]:
    infos = [(chosen.info, chosen.loaded.file) for chosen in plugins if not is_own(chosen.info)]
    return tuple(sorted({file.name if info.distribution == FILE else info.distribution for info, file in infos}))
