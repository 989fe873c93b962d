"""From a request to cells: names found, parameters typed, sweeps multiplied. Mistakes are found here, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from itertools import product
from typing import Any

from harness.errors import RequestError, UnknownName, did_you_mean
from harness.labels import label_parts
from harness.records import USUAL, Budget, Cell, PluginRef, Request, TrainConfig, budget_text
from harness.registry import METHOD_KINDS, Chosen, Registry
from harness.registry.config import full_ref, resolve
from harness.registry.grammar import Value, is_path, parse_plugins, parse_setting

PRECISIONS = ("fp32", "bf16", "auto")


@dataclass(frozen=True)
class Settings:
    """What --set asks for: `{plugin or "train": {key: [values]}}`."""

    values: Mapping[str, Mapping[str, Sequence[Value]]]
    used: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Settings:
        values: dict[str, dict[str, Sequence[Value]]] = {}
        for text in texts:
            name, key, choices = parse_setting(text)
            values.setdefault(name, {})[key] = choices
        return cls(values)

    def variants(self, name: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`given` with every combination of what is set for `name`; what the request says itself wins."""
        self.used.add(name)
        sweeps = {key: choices for key, choices in self.values.get(name, {}).items() if key not in given}
        return [dict(given) | dict(zip(sweeps, combination, strict=True)) for combination in product(*sweeps.values())]

    def check_used(self) -> None:
        for name in self.values:
            if name not in self.used:
                advice = did_you_mean(name, self.used)
                raise UnknownName(f"--set {name}.…: nothing in this request is called '{name}': {advice}")


def expand(request: Request, registry: Registry) -> list[Cell]:
    """All cells of a request, sources outermost, then backbones, devices, precisions, seeds and methods."""
    if request.parts:
        return _united(cell for part in request.parts for cell in expand(part, registry))
    _load_files(request, registry)
    settings = Settings.parse(request.settings)
    methods = _methods(request, registry, settings)
    if not methods:
        raise RequestError("nothing to run: name methods with --plugins, or references with --references")
    sources = _refs(request.datasets, registry, ("dataset",), settings)
    targets = tuple(_refs(request.targets, registry, ("dataset",), settings))
    kinds = {str(source): registry.chosen(source, ("dataset",)).spec.kind for source in sources}
    places = [(s, backbone) for s in sources for backbone in _backbones(request, registry, kinds[str(s)], settings)]
    judges = {kind: tuple(_evaluations(request, registry, settings, kind)) for kind in {*kinds.values()}}
    budget = Budget.parse(request.budget)
    labels = label_parts(request.labels)
    trains = settings.variants("train", {"compile": True} if request.compile else {})
    for axis, values in (("dataset", sources), ("seed", request.seeds)):
        if not values:
            raise RequestError(f"nothing to run: the request names no {axis}")
    devices = list(dict.fromkeys(checked_device(device) for device in request.devices))
    precisions = [_precision(name) for name in request.precision]
    threads = _threads(request.threads)
    encoders = {str(method): _own_backbone(method, registry, settings) for method in methods}
    settings.check_used()
    recipes = {str(method): _recipes(registry.chosen(method, METHOD_KINDS), trains) for method in methods}
    cells: dict[tuple[object, ...], Cell] = {}
    for (source, backbone), device, precision, turn, seed, method in product(
        places, devices, precisions, range(len(trains)), request.seeds, methods
    ):
        spec = registry.chosen(method, METHOD_KINDS).spec
        cell = Cell(
            method=method,
            kind=spec.kind,
            backbone=(encoders[str(method)] or backbone) if spec.uses_backbone else None,
            source=source,
            targets=targets or (source,),
            evaluations=judges[kinds[str(source)]],
            device=device,
            precision=precision,
            seed=seed,
            budget=budget if spec.descends else None,
            train=recipes[str(method)][turn],
            threads=threads,
            labels=labels,
        )
        cells.setdefault(_trained_alike(cell), cell)  # a method without a backbone is not repeated for each one
    return list(cells.values())


def _load_files(request: Request, registry: Registry) -> None:
    """Load the plugin files that a request names, so that what is in them has a name wherever it stands."""
    words = (request.plugins, request.tune, request.references, request.datasets, request.targets, request.backbone)
    texts = [text for word in (*words, request.evaluations) for text in word]
    for path in dict.fromkeys(ref.name for text in texts for ref in parse_plugins(text) if is_path(ref.name)):
        registry.load_file(path)


def _backbones(request: Request, registry: Registry, kind: str, settings: Settings) -> list[PluginRef]:
    """Those that the request names, or the usual one for this kind of data."""
    return _refs(request.backbone or (USUAL[kind],), registry, ("backbone",), settings)


def _own_backbone(method: PluginRef, registry: Registry, settings: Settings) -> PluginRef | None:
    """The encoder that a method names in the place of the run's, if it does."""
    chosen = registry.chosen(method, METHOD_KINDS)
    text = chosen.declared("own_backbone", chosen.config) if chosen.spec.own_backbone else ""
    if not text:
        return None
    refs = _refs((text,), registry, ("backbone",), settings)
    if len(refs) != 1:
        raise RequestError(f"{method} names {len(refs)} backbones: name one, such as 'resnet18'")
    return refs[0]


def _recipes(method: Chosen, trains: Sequence[Mapping[str, Any]]) -> list[TrainConfig]:
    """The optimisation of a method for each variant of it that the request asks for."""
    own = asdict(TrainConfig()) | dict(method.spec.recipe)
    return [resolve(TrainConfig, own | dict(train), "train") for train in trains]


def _united(cells: Iterable[Cell]) -> list[Cell]:
    """Each cell once, with the evaluations, the targets and the labels of all parts that ask for it."""
    united: dict[tuple[object, ...], Cell] = {}
    for cell in cells:
        key = _trained_alike(cell)
        other = united.setdefault(key, cell)
        if other is not cell:
            targets = {str(ref): ref for ref in (*other.targets, *cell.targets)}
            judges = {str(ref): ref for ref in (*other.evaluations, *cell.evaluations)}
            parts = tuple(dict.fromkeys((*other.labels, *cell.labels)))
            united[key] = replace(
                other, targets=tuple(targets.values()), evaluations=tuple(judges.values()), labels=parts
            )
    return list(united.values())


def _trained_alike(cell: Cell) -> tuple[object, ...]:
    """What two cells share that differ in targets and evaluations at most."""
    plugins = (str(cell.method), str(cell.backbone or ""), str(cell.source))
    return (*plugins, cell.device, cell.precision, cell.seed, budget_text(cell), cell.train, cell.threads)


def _methods(request: Request, registry: Registry, settings: Settings) -> list[PluginRef]:
    references = [text for text in request.references if text != "none"]
    return _refs([*references, *request.plugins], registry, METHOD_KINDS, settings)


def _refs(texts: Sequence[str], registry: Registry, kinds: tuple[str, ...], settings: Settings) -> list[PluginRef]:
    """The plugins that `texts` name, each with its parameters typed and those left out that equal the default."""
    refs: dict[str, PluginRef] = {}
    for written in (ref for text in texts for ref in parse_plugins(text)):
        for name in _names(written, registry, kinds):
            config = registry.load(name, kinds).spec.config
            for params in settings.variants(name, written.params):
                ref = canonical(name, config, params)
                refs.setdefault(str(ref), ref)
    return list(refs.values())


def _names(written: PluginRef, registry: Registry, kinds: tuple[str, ...]) -> list[str]:
    """The plugin's own name; for a file, those of all plugins of these kinds in it."""
    if not is_path(written.name):
        return [written.name]
    names = [plugin.info.name for plugin in registry.load_file(written.name) if plugin.info.kind in kinds]
    if not names:
        raise UnknownName(f"{written.name} offers no {' or '.join(kinds)}")
    return names


def canonical(name: str, config_class: type, params: Mapping[str, Any]) -> PluginRef:
    """`params` typed and sorted, without those that equal the plugin's default: two spellings, one name."""
    typed = full_ref(name, resolve(config_class, params, name)).params
    required = {key: params[key] for key in params if _has_no_default(config_class, key)}
    defaults = full_ref(name, resolve(config_class, required, name)).params
    kept = {key: typed[key] for key in sorted(params) if key in required or typed[key] != defaults[key]}
    return PluginRef(name=name, params=kept)


def _has_no_default(config_class: type, key: str) -> bool:
    return any(f.name == key and f.default is MISSING and f.default_factory is MISSING for f in fields(config_class))


def _evaluations(request: Request, registry: Registry, settings: Settings, kind: str) -> list[PluginRef]:
    """`default` stands for the evaluations of this kind of data that come with Harness, but for those on request; `all`
    for all installed ones, `none` for none.
    """
    named = [ref for text in request.evaluations for ref in parse_plugins(text)]
    texts = [name for ref in named for name in _group(ref, registry, kind)]
    return _refs(texts, registry, ("evaluation",), settings)


def _group(ref: PluginRef, registry: Registry, kind: str) -> list[str]:
    """The evaluations that a group's name stands for; of any other name, itself."""
    installed = registry.infos("evaluation")
    if ref.name == "default":
        own = [info.name for info in installed if info.distribution == "harness"]
        specs = {name: registry.load(name, ("evaluation",)).spec for name in own}
        return [name for name, spec in specs.items() if kind in spec.takes and not spec.on_request]
    return {"all": [info.name for info in installed], "none": []}.get(ref.name, [str(ref)])


def datasets_beside(evaluation: Chosen, target: PluginRef, registry: Registry) -> tuple[PluginRef, ...]:
    """The datasets that an evaluation reads beside this target, as it declares them."""
    if evaluation.spec.others is None:
        return ()
    texts = evaluation.declared("others", evaluation.config, str(target))
    return tuple(_refs(texts, registry, ("dataset",), Settings({})))


def checked_device(name: str) -> str:
    """A device that is here, as torch writes it: `cpu`, `cuda:0`, `mps`; `auto`: an accelerator if any."""
    available = available_devices()
    if name == "auto":
        return available[-1] if len(available) == 1 else available[1]
    device = f"{name}:0" if name == "cuda" else name
    if device not in available:
        raise UnknownName(f"no device '{name}' on this machine: choose from {', '.join([*available, 'auto'])}")
    return device


def available_devices() -> list[str]:
    """`cpu` first, then every accelerator that torch sees."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def _precision(name: str) -> Any:
    if name not in PRECISIONS:
        raise UnknownName(f"no precision '{name}': choose from {', '.join(PRECISIONS)}")
    return name


def _threads(threads: int) -> int:
    if threads < 1:
        raise RequestError(f"threads must be at least 1, not {threads}")
    return threads
