"""What floating-point results depend on beside data and weights: the settings of torch, numpy and BLAS in this process.

They are Harness's. A plugin that changes one for the rest of the process is told by name, and the change is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import threadpoolctl
import torch

HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
    "_global_buffer_registration_hooks",
    "_global_module_registration_hooks",
    "_global_parameter_registration_hooks",
)
SDP = ("flash", "mem_efficient", "math", "cudnn")


@dataclass(frozen=True)
class Setting:
    """One of them: `write(read())` changes nothing."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


def kept() -> dict[str, Any]:
    """The settings as they are, by what a message calls them. It takes 0.1 ms."""
    return {name: setting.read() for name, setting in _settings().items()}


def changed(before: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was, and is made so again: "set the number of threads to 2"."""
    told = []
    for name, setting in _settings().items():
        now = setting.read()
        if now != before[name]:
            told.append(
                f"set {name} to {_word(now)}" if isinstance(now, str | int | torch.dtype) else f"changed {name}"
            )
            with suppress(RuntimeError):  # not everything can be undone
                setting.write(before[name])
    return told


@contextmanager
def undone(title: str, tell: Callable[[str], object] = print) -> Iterator[None]:
    """What is carried out here leaves all settings as they were. `tell` is told what it had changed."""
    before = kept()
    try:
        yield
    finally:
        told = changed(before)
        if told:
            tell(f"{title} {' and '.join(told)}: undone")


def _word(value: Any) -> str:
    return str(value).removeprefix("torch.").lower()


@cache
def _settings() -> dict[str, Setting]:
    backends, deterministic = torch.backends, torch.utils.deterministic
    found = {
        "the number of threads": Setting(torch.get_num_threads, torch.set_num_threads),
        "the number of BLAS threads": Setting(_blas_threads, _set_blas_threads),
        "the default dtype": Setting(torch.get_default_dtype, torch.set_default_dtype),
        "the default device": Setting(lambda: str(torch.get_default_device()), _set_default_device),
        "gradients": Setting(lambda: _on(torch.is_grad_enabled()), lambda on: torch.set_grad_enabled(on == "on")),
        "inference mode": Setting(lambda: _on(torch.is_inference_mode_enabled()), _nothing),
        "deterministic kernels": Setting(_determinism, _set_determinism),
        "the filling of new memory": _attribute(deterministic, "fill_uninitialized_memory"),
        "denormals": Setting(_denormals, lambda value: torch.set_flush_denormal(value == "flushed")),
        "anomaly detection": Setting(
            lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
            lambda value: torch.set_anomaly_enabled(*value),
        ),
        "the precision of float32 products": Setting(_precisions, _set_precisions),
        "oneDNN": _attribute(backends.mkldnn, "enabled"),
        "the fast path of attention": Setting(
            backends.mha.get_fastpath_enabled, backends.mha.set_fastpath_enabled
        ),
        "the kernels of attention": Setting(_attention, _set_attention),
        "autocast": Setting(_autocast, _set_autocast),
        "torch's modes": Setting(torch._C._len_torch_function_stack, _leave_modes),
        "hooks of all modules": Setting(_global_hooks, _set_global_hooks),
        "torch's generator": Setting(_generators, _set_generators),
        "numpy's generator": _numpys_generator(),
        "numpy's handling of errors": Setting(np.geterr, lambda value: np.seterr(**value)),
    }  # fmt: skip
    for name in ("enabled", "benchmark", "deterministic"):
        found[f"cuDNN's '{name}'"] = _attribute(backends.cudnn, name)
    return found


def _attribute(owner: Any, name: str) -> Setting:
    return Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _nothing(value: Any) -> None:
    """It cannot be written."""


def _on(value: bool) -> str:
    return "on" if value else "off"


@cache
def _pools() -> Any:
    return threadpoolctl.ThreadpoolController()


def _blas_threads() -> int:
    return max((pool.num_threads for pool in _pools().lib_controllers if pool.user_api == "blas"), default=1)


def _set_blas_threads(threads: int) -> None:
    _pools().limit(limits=threads, user_api="blas")


def _set_default_device(device: str) -> None:
    torch.set_default_device(None if device == "cpu" else device)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_determinism(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _denormals() -> str:
    return "kept" if float(torch.full((), 1e-40, dtype=torch.float32, device="cpu").mul(0.5)) else "flushed"


def _precisions() -> tuple[Any, ...]:
    """In torch's older words, which cannot be read where a plugin has used newer ones; and by backend and operation."""
    older: list[Any] = [None, None, None]
    with suppress(RuntimeError):
        older[0] = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        older[1] = torch.backends.cuda.matmul.allow_tf32
    with suppress(RuntimeError):
        older[2] = torch.backends.cudnn.allow_tf32
    return (*older, *(owner.fp32_precision for owner in _of_precision()))


def _set_precisions(value: tuple[Any, ...]) -> None:
    """The older words first: they write the newer ones, too."""
    torch.set_float32_matmul_precision(value[0] or "highest")
    torch.backends.cuda.matmul.allow_tf32 = bool(value[1])
    torch.backends.cudnn.allow_tf32 = value[2] is not False
    for owner, precision in zip(_of_precision(), value[3:], strict=True):
        owner.fp32_precision = precision


def _of_precision() -> tuple[Any, ...]:
    backends: Any = torch.backends
    cudnn, onednn = backends.cudnn, backends.mkldnn
    parts = (backends.cuda.matmul, cudnn.conv, cudnn.rnn, onednn.matmul, onednn.conv, onednn.rnn)
    return (backends, cudnn, onednn, *parts)


def _attention() -> tuple[bool, ...]:
    return tuple(getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in SDP)


def _set_attention(value: tuple[bool, ...]) -> None:
    for name, on in zip(SDP, value, strict=True):
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(on)


def _autocast() -> tuple[Any, ...]:
    kinds = ("cpu", "cuda")
    return (*map(torch.is_autocast_enabled, kinds), *map(torch.get_autocast_dtype, kinds))


def _set_autocast(value: tuple[Any, ...]) -> None:
    for kind, on, dtype in zip(("cpu", "cuda"), value[:2], value[2:], strict=True):
        torch.set_autocast_enabled(kind, on)
        torch.set_autocast_dtype(kind, dtype)


def _generators() -> tuple[torch.Generator, torch.Generator]:
    return torch.default_generator, torch.random.default_generator


def _set_generators(value: tuple[torch.Generator, torch.Generator]) -> None:
    torch.default_generator, torch.random.default_generator = value


def _numpys_generator() -> Setting:
    random: Any = np.random
    return Setting(random.get_bit_generator, random.set_bit_generator)


def _leave_modes(count: int) -> None:
    while torch._C._len_torch_function_stack() > count:
        torch._C._pop_torch_function_stack()


def _global_hooks() -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(getattr(torch.nn.modules.module, name).items()) for name in HOOKS)


def _set_global_hooks(value: tuple[tuple[Any, ...], ...]) -> None:
    for name, hooks in zip(HOOKS, value, strict=True):
        present = getattr(torch.nn.modules.module, name)
        present.clear()
        present.update(hooks)
