"""Weights that somebody else trained: read from a file without running its code, and fitted to a network key by key.

A network is either loaded whole or not at all: what a file lacks would stay random without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import TrainingFailed

AUTO = "auto"  # the prefix that fits
SHOWN = 3  # names in a message
_UNTRACKED = "num_batches_tracked"  # a count of batch normalisation, which old files lack and no answer depends on


def stored_weights(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file or of a saved state dict, by name; what is nested has dots in its name.

    A state dict is read by torch with weights_only=True, which loads tensors and runs nothing. Raises TrainingFailed
    where that cannot be done, with the reason in one line.
    """
    try:
        if file.suffix == ".safetensors":
            return _safetensors(file)
        return dict(_tensors(torch.load(file, map_location="cpu", weights_only=True)))
    except Exception as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise TrainingFailed(
            f"{file} holds no weights that can be read safely ({reason}): save a state_dict()"
        ) from error


def _safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no dict)
        aliases = json.loads((opened.metadata() or {}).get("aliases", "{}"))  # as harness.weights writes them
    return found | {name: found[kept] for name, kept in aliases.items()}


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(inner, f"{name}.{key}" if name else str(key))


def load_whole(
    network: nn.Module, weights: Mapping[str, Tensor], *, prefix: str = AUTO, unused: Sequence[str] = ()
) -> str:
    """Copy stored weights into every parameter and buffer of a network; the prefix that their names had there.

    prefix: what stands before the network's own names, such as `module.` or `encoder_q.`; `auto` finds it, if there is
    just one. unused: beginnings of names, after the prefix, that may be left over, such as those of a classifier.
    Raises TrainingFailed that lists what is missing, left over or of another shape; then the network is unchanged.
    """
    expected = network.state_dict()
    if prefix == AUTO:
        prefix = _fitting_prefix(expected, weights, unused)
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    faults = _faults(expected, own, unused)
    if faults:
        found = sum(name in own and own[name].shape == value.shape for name, value in expected.items())
        where = f" after the prefix '{prefix}'" if prefix else ""
        raise TrainingFailed(f"{found} of {len(expected)} weights fit{where}: {'; '.join(faults)}")
    network.load_state_dict({name: own.get(name, value) for name, value in expected.items()})
    return prefix


def _fitting_prefix(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], unused: Sequence[str]) -> str:
    """The only prefix with which all fits; else, for a message to be made of, the one with which most does."""
    counts = {prefix: _fits(expected, weights, prefix) for prefix in _prefixes(expected, weights)}
    whole = [prefix for prefix, count in counts.items() if count == len(expected)]
    if len(whole) > 1:
        shown = " or ".join(f"prefix={prefix or repr('')}" for prefix in whole)
        raise TrainingFailed(f"several sets of weights in the file fit: write {shown}")
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")


def _prefixes(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """All that stands before a weight's own name somewhere, followed by a dot; the shortest first."""
    found = set()
    for own in expected:
        if not own.endswith(_UNTRACKED):
            ending = (name.removesuffix(own) for name in weights if name.endswith(own))
            found |= {prefix for prefix in ending if not prefix or prefix.endswith(".")}
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _fits(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], prefix: str) -> int:
    def fit(name: str, value: Tensor) -> bool:
        stored = weights.get(prefix + name)
        return name.endswith(_UNTRACKED) if stored is None else stored.shape == value.shape

    return sum(fit(name, value) for name, value in expected.items())


def _faults(expected: Mapping[str, Tensor], own: Mapping[str, Tensor], unused: Sequence[str]) -> list[str]:
    missing = [name for name in expected if name not in own and not name.endswith(_UNTRACKED)]
    left_over = [name for name in own if name not in expected and not name.startswith(tuple(unused))]
    shapes = [
        f"{name} {_shape(own[name])} for {_shape(value)}"
        for name, value in expected.items()
        if name in own and own[name].shape != value.shape
    ]
    kinds = {"missing": missing, "left over": left_over, "of another shape": shapes}
    return [f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names]


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"


def listed(names: Sequence[str]) -> str:
    """The first few, and how many there are besides.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
