"""What is freed stays with the process: steps that take the same memory again touch no new page."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from harness.allocation import hand_back, keep_freed_memory

STEPS = """
import resource, torch
from harness.allocation import hand_back, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    sizes = (12_000_000, 3_000_000, 12_000_000)  # floats: one in pieces of its own, whatever glibc's limit is
    return [torch.zeros(size) for size in sizes]

def of_steps():
    step(), step()
    before = faults()
    for _ in range(5):
        step()
    return (faults() - before) / 5

plain, kept = of_steps(), keep_freed_memory() and of_steps()
hand_back()
again = faults()
step()
print(plain, kept, faults() - again)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's")
def test_steps_take_the_memory_that_the_steps_before_them_freed() -> None:
    run = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    plain, kept, after_handing_back = map(float, run.stdout.split())
    pages = 4 * 27_000_000 / 4096
    assert plain > pages / 2
    assert kept < plain / 3  # next to none, but where the kernel takes back pages that lie idle
    assert after_handing_back > pages / 2


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.allocation._glibc", lambda: None)
    hand_back()
    assert not keep_freed_memory()
