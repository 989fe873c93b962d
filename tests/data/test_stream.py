"""Columns that are decoded by worker processes: the same values in the same order, and no worker that stays behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from harness.data.columns import Files
from harness.data.stream import streamed
from harness.errors import RequestError, TrainingFailed

PARENT = os.getpid()
WORKERS = [0, 1, 3]


def numbers(paths: Sequence[Path]) -> Tensor:
    """A file is the number that its name says: uint8 (n,2)."""
    return torch.tensor([[int(path.stem), 7] for path in paths], dtype=torch.uint8)


def damaged(paths: Sequence[Path]) -> Tensor:
    if any(path.stem == "13" for path in paths):
        raise RequestError("13.png (not an image)")
    return numbers(paths)


def broken(paths: Sequence[Path]) -> Tensor:
    if any(path.stem == "13" for path in paths):
        raise ZeroDivisionError("by 13")
    return numbers(paths)


def deadly(paths: Sequence[Path]) -> Tensor:
    """Kills the process that decodes number 13, unless that is the one that trains."""
    if os.getpid() != PARENT and any(path.stem == "13" for path in paths):
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers(paths)


def column(n: int = 40, decode=numbers) -> Files:
    return Files(tuple(Path(f"{number}.png") for number in range(n)), decode)


def batches(n: int = 40, size: int = 4) -> list[Tensor]:
    return list(torch.randperm(n, generator=torch.Generator().manual_seed(0)).split(size))


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("workers", WORKERS)
def test_values_come_in_the_order_of_the_index(workers: int) -> None:
    found = list(streamed([column(), column()], batches(), workers))
    assert [index.tolist() for index, _ in found] == [index.tolist() for index in batches()]
    for index, (one, two) in found:
        assert torch.equal(one, numbers([Path(f"{row}.png") for row in index.tolist()]))
        assert torch.equal(one, two)
        one.add_(1)  # the values are the caller's own


@pytest.mark.parametrize("workers", WORKERS)
def test_no_global_generator_is_touched(workers: int) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    list(streamed([column()], batches(), workers))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


@pytest.mark.parametrize("workers", WORKERS)
def test_an_endless_stream_decodes_no_more_than_a_little_ahead_and_ends_when_it_is_closed(workers: int) -> None:
    drawn = count()
    endless = (torch.tensor([next(drawn) % 40]) for _ in count())
    before = {child.pid for child in children()}
    stream = streamed([column()], endless, workers)
    assert [index.item() for index, _ in islice(stream, 50)] == [number % 40 for number in range(50)]
    mine = [child for child in children() if child.pid not in before]
    assert len(mine) == workers
    stream.close()
    assert next(drawn) <= 50 + 2 * workers + 1
    assert not [child for child in mine if child.is_running()]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("decode", "reason"), [(damaged, "13.png (not an image)"), (broken, "ZeroDivisionError: by 13")]
)
def test_what_cannot_be_decoded_is_one_clear_reason(workers: int, decode, reason: str) -> None:
    before = len(children())
    with pytest.raises(RequestError) as error:
        list(streamed([column(decode=decode)], batches(), workers))
    assert str(error.value) == reason
    del error
    assert len(children()) == before


def test_a_worker_that_is_killed_is_one_clear_reason() -> None:
    with pytest.raises(TrainingFailed, match=r"^a process that decodes died: .*(Killed|unexpectedly)") as error:
        list(streamed([column(decode=deadly)], batches(), 2))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers notice it after seconds")
def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Until it holds; the second worker may still be starting when the first one has answered."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


def test_workers_die_with_the_process_that_they_decode_for() -> None:
    code = (
        "import psutil, time, torch\n"
        "from itertools import repeat\n"
        "from pathlib import Path\n"
        "from harness.data.columns import Files\n"
        "from harness.data.stream import streamed\n"
        "column = Files((Path('a'),), lambda paths: torch.zeros(1))\n"
        "stream = streamed([column], repeat(torch.tensor([0])), 2)\n"
        "next(stream)\n"
        "print(*(child.pid for child in psutil.Process().children()), flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        wait_for(lambda: all(worker.nice() > psutil.Process(process.pid).nice() for worker in workers))  # others first
        process.kill()
    wait_for(lambda: not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers))
