"""From a request with `tune` to that of its trials, and to that of what is reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.errors import RequestError
from harness.expansion import expand
from harness.records import ALL_LABELS, Cell, Request
from harness.registry import Registry
from harness.registry.grammar import parse_plugins, parse_setting
from harness.tuning import EVALUATION, SEED, Trial, Tuned, Tuning, place_of


def reported(request: Request) -> Request:
    """With every setting that is tried among its methods, of which `Tuning.keeps` says which one stays."""
    parts = tuple(map(reported, request.parts))
    return replace(request, parts=parts, plugins=(*_fixed(request), *request.tune))


def _fixed(request: Request) -> tuple[str, ...]:
    """The methods that were asked for as they are: not those that are tuned, by their bare names."""
    named = _names(request.tune)
    return tuple(text for text in _apart(request.plugins) if text not in named)


def fixed_settings(request: Request, registry: Registry) -> list[tuple[str, ...]]:
    """What is reported as it was asked for, though it may be one of the trials too."""
    parts = request.parts or (request,)
    if not any(part.tune for part in parts):
        return []
    asked = [
        replace(part, plugins=fixed, references=(), evaluations=("none",), targets=(), most_seeds=0)
        for part in parts
        if (fixed := _fixed(part))
    ]
    cells = [cell for part in asked for cell in expand(_used(part), registry)]
    return list(dict.fromkeys((*place_of(cell), str(cell.method)) for cell in cells))


def _used(part: Request) -> Request:
    """Without the settings of what it does not have: the whole request is checked by itself."""
    names = {"train", *_names((*part.plugins, *part.datasets, *part.backbone))}
    return replace(part, settings=tuple(text for text in part.settings if parse_setting(text)[0] in names))


def _names(texts: Iterable[str]) -> set[str]:
    return {ref.name for text in texts for ref in parse_plugins(text)}


def _apart(texts: Iterable[str]) -> list[str]:
    """Each plugin as a text of its own."""
    return [str(ref) for text in texts for ref in parse_plugins(text)]


def trials_of(request: Request, registry: Registry) -> Request | None:
    """The request of all trials; None where nothing is tuned. Raises RequestError for trials that are not fair."""
    tuned = [part for part in (request.parts or (request,)) if part.tune]
    if not tuned:
        return None
    trials = replace(request, parts=tuple(map(_trials, tuned)))
    _checked(expand(trials, registry), request)
    return trials


def _trials(part: Request) -> Request:
    """One seed of its own, judged by what looks at validation alone, on the source."""
    by = "" if part.tune_by == "auto" else f"[by={part.tune_by}]"
    trials = replace(
        part, plugins=part.tune, references=(), targets=(), seeds=(SEED,), most_seeds=0, labels=(ALL_LABELS,),
        evaluations=(f"{EVALUATION}{by}",),
    )  # fmt: skip
    return _used(trials)


def _checked(cells: list[Cell], request: Request) -> None:
    """Every method has several settings, each as many, and their seed is none that is reported."""
    settings: dict[str, dict[str, None]] = {}
    for cell in cells:
        settings.setdefault(cell.method.name, {})[str(cell.method)] = None
    counts = {name: len(found) for name, found in settings.items()}
    for name, count in counts.items():
        if count < 2:
            raise RequestError(f"--tune {name} tries one setting: give several, as in '{name}[KEY=A|B|C]'")
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise RequestError(f"--tune gives unequal numbers of trials ({said}): give every method as many settings")
    if any(SEED in part.seeds for part in (request.parts or (request,))):
        raise RequestError(f"seed {SEED} is that of the trials of --tune: report other seeds")


def undecided(cells: Iterable[Cell], fixed: Iterable[tuple[str, ...]]) -> Tuning:
    """What stands for the choice before there is one: the first setting of each method."""
    places: dict[tuple[str, ...], dict[str, None]] = {}
    for cell in cells:
        places.setdefault(place_of(cell), {})[str(cell.method)] = None
    tuned = tuple(_first_of(place, list(settings)) for place, settings in places.items())
    return Tuning(seed=SEED, tuned=tuned, fixed=tuple(fixed))


def _first_of(place: tuple[str, ...], settings: list[str]) -> Tuned:
    method, backbone, source, budget, train = place
    trials = tuple(Trial(setting=setting) for setting in settings)
    about = {"method": method, "backbone": backbone, "source": source, "budget": budget, "train": train}
    return Tuned(**about, score="", unit="", better="higher", trials=trials, chosen=settings[0])
