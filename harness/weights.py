"""The weights of a method in a file, and back: safetensors alone, so that reading one never runs anybody's code.

A module may hold a tensor under several names: `nn.Sequential(self.backbone, self.head)` beside both parts is a common
idiom. Each is written once, contiguous whatever its layout in memory, and the file's header says which names share it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import TrainingFailed
from harness.sealed import Damaged, file_checksum

ALIASES = "aliases"  # in the header: JSON, a name to the name that its tensor is written under


def save_weights(method: nn.Module, file: Path) -> None:
    """Write all parameters and buffers to `file`. Raises TrainingFailed, with the reason, if that cannot be done."""
    try:
        _save(method, file)
    except Exception as error:
        raise TrainingFailed(f"the trained weights could not be saved: {' '.join(str(error).split())}") from error


def load_weights(method: nn.Module, file: Path, checksum: str = "") -> None:
    """Copy the weights of `file` into a method of the same architecture.

    Raises TrainingFailed if they do not fit, or are not those of the checksum, where one is known.
    """
    from safetensors import safe_open

    try:
        if checksum and file_checksum(file) != checksum:
            raise Damaged(f"{file} is damaged, its checksum is another; the same command trains again")
        with safe_open(file, framework="pt") as opened:
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no dict)
            aliases = json.loads((opened.metadata() or {}).get(ALIASES, "{}"))
        method.load_state_dict(stored | {name: stored[kept] for name, kept in aliases.items()})
    except Exception as error:
        raise TrainingFailed(f"the trained weights could not be loaded: {' '.join(str(error).split())}") from error


def _save(method: nn.Module, file: Path) -> None:
    from safetensors.torch import save_file

    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    names: dict[tuple[Any, ...], str] = {}  # of the tensor at this place in memory
    for name, value in method.state_dict().items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}: keep all state in parameters or buffers")
        first = names.setdefault(_place(value), name) if value.numel() else name
        if first == name:
            kept[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        else:
            aliases[name] = first
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(kept, str(file), metadata={ALIASES: json.dumps(aliases)} if aliases else None)


def _place(value: Tensor) -> tuple[Any, ...]:
    """Equal for two names of one tensor; a view of a part of another one is a tensor of its own."""
    return value.device, value.data_ptr(), value.dtype, tuple(value.shape), value.stride()
