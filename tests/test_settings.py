"""Every setting that numbers depend on is seen when it changes, and is again what it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness import settings

CHANGES = {
    "set the number of threads to 3": lambda: torch.set_num_threads(3),
    "set the default dtype to float64": lambda: torch.set_default_dtype(torch.float64),
    "set the default device to meta": lambda: torch.set_default_device("meta"),
    "set gradients to off": lambda: torch.set_grad_enabled(False),
    "changed deterministic kernels": lambda: torch.use_deterministic_algorithms(
        not torch.are_deterministic_algorithms_enabled(), warn_only=True
    ),
    "set denormals to ": lambda: torch.set_flush_denormal(settings.kept()["denormals"] == "kept"),
    "changed anomaly detection": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "changed the precision of float32 products": lambda: torch.set_float32_matmul_precision("medium"),
    "set oneDNN to false": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "set the fast path of attention to false": lambda: torch.backends.mha.set_fastpath_enabled(False),
    "changed the kernels of attention": lambda: torch.backends.cuda.enable_math_sdp(False),
    "changed autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "changed hooks of all modules": lambda: torch.nn.modules.module.register_module_forward_hook(lambda *_: None),
    "changed torch's generator": lambda: setattr(torch.random, "default_generator", torch.Generator()),
    "changed numpy's generator": lambda: np.random.set_bit_generator(np.random.PCG64(1)),  # type: ignore[attr-defined]
    "changed numpy's handling of errors": lambda: np.seterr(divide="raise"),
    "set cuDNN's 'deterministic' to true": lambda: setattr(torch.backends.cudnn, "deterministic", True),
}


@pytest.mark.parametrize(("told", "change"), CHANGES.items(), ids=CHANGES)
def test_a_change_is_told_and_undone(told: str, change: object) -> None:
    before = settings.kept()
    change()  # type: ignore[operator]
    (found,) = settings.changed(before)
    assert found.startswith(told)
    assert settings.kept() == before
    assert settings.changed(before) == []


def test_torchs_newer_words_for_the_precision_do_not_make_the_older_ones_unreadable() -> None:
    before = settings.kept()
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    with pytest.raises(RuntimeError, match="mix of the legacy and new APIs"):
        torch.get_float32_matmul_precision()
    assert settings.changed(before) == ["changed the precision of float32 products"]
    assert torch.get_float32_matmul_precision() == "highest"


def test_drawing_and_seeding_change_no_setting() -> None:
    before = settings.kept()
    torch.manual_seed(1)
    np.random.seed(1)
    torch.rand(3), np.random.rand(3)
    assert settings.changed(before) == []


def test_what_is_undone_is_told_with_its_title_even_where_it_raises() -> None:
    told: list[str] = []

    def change() -> None:
        with settings.undone("it", told.append):
            torch.set_default_dtype(torch.float64)
            raise KeyError

    with pytest.raises(KeyError):
        change()
    assert told == ["it set the default dtype to float64: undone"]
    assert torch.get_default_dtype() == torch.float32
