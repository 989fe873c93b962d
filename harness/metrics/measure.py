"""Time, memory and arithmetic of a piece of work on any device. Nothing here knows methods or images.

A GPU works behind the caller's back: every time here ends with a synchronisation, or is taken by events on the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.allocation import hand_back

Work = Callable[[], object]
Result = TypeVar("Result")
BLOCKS = 5  # a rate is the median of so many blocks of calls
STABLE = 0.1  # warm-up goes on while each call is faster than all before by more than this fraction
MIB = 2**20
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds per call, one value for each block of calls (or for each call, where calls are timed one by one)."""

    samples: tuple[float, ...]
    calls: int  # timed calls in all

    @property
    def median(self) -> float:
        """In seconds: half of the samples took less."""
        return median(self.samples)

    def percentile(self, percent: int) -> float:
        """In seconds, interpolated between samples, for a whole percent from 1 to 99."""
        return quantiles(self.samples, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """The most memory in use during a piece of work."""

    mebibytes: float
    kind: str  # what was measured


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    elif device.type == "xpu":
        torch.xpu.synchronize(device)


def unusable(device: torch.device) -> str:
    """Why nothing more can be computed on it in this process, by the first line of its error; "" where it works.

    What fails on a GPU, an index out of range say, shows once it is waited for, and every later call there fails too.
    """
    try:
        synchronize(device)
        torch.zeros(1, device=device).item()
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    return ""


def elapsed(work: Work, device: torch.device, calls: int = 1) -> float:
    """Seconds for `calls` calls queued one after another: by CUDA events on such a GPU, else by the monotonic clock."""
    synchronize(device)
    if device.type == "cuda":
        return _elapsed_by_events(work, device, calls)
    started = time.perf_counter()
    for _ in range(calls):
        work()
    synchronize(device)
    return time.perf_counter() - started


def _elapsed_by_events(work: Work, device: torch.device, calls: int) -> float:
    with torch.cuda.device(device):
        new_event: Callable[..., torch.cuda.Event] = torch.cuda.Event  # torch gives its constructor no types
        before, after = new_event(enable_timing=True), new_event(enable_timing=True)
        before.record()
        for _ in range(calls):
            work()
        after.record()
        after.synchronize()
    return float(before.elapsed_time(after)) / 1000  # milliseconds


def warm_up(work: Work, device: torch.device, *, seconds: float) -> float:
    """Call until calls no longer get faster, at most for `seconds`; returns the seconds of the fastest call.

    The first calls pay for lazy initialisation, the choice of kernels and the growth of memory pools.
    """
    deadline = time.perf_counter() + seconds
    elapsed(work, device)
    fastest = elapsed(work, device)
    while time.perf_counter() < deadline:
        latest = elapsed(work, device)
        if latest > (1 - STABLE) * fastest:
            return min(latest, fastest)
        fastest = latest
    return fastest


def throughput(work: Work, device: torch.device, *, seconds: float) -> Timing:
    """Seconds per call when calls follow each other without waiting, in five blocks that take `seconds` together."""
    once = warm_up(work, device, seconds=seconds)
    calls = max(1, ceil(seconds / BLOCKS / once))
    samples = tuple(elapsed(work, device, calls) / calls for _ in range(BLOCKS))
    return Timing(samples=samples, calls=calls * BLOCKS)


def latency(work: Work, device: torch.device, *, seconds: float, fewest: int = 20, most: int = 2000) -> Timing:
    """Seconds of each call when the caller waits for its end: `fewest` to `most` calls, for `seconds` or a bit more."""
    once = warm_up(work, device, seconds=seconds)
    calls = min(max(fewest, ceil(seconds / once)), most)
    samples = []
    for _ in range(calls):
        started = time.perf_counter()
        work()
        synchronize(device)
        samples.append(time.perf_counter() - started)
    return Timing(samples=tuple(samples), calls=calls)


def flops(work: Work) -> int:
    """Floating-point operations of one call: matrix products, convolutions and attention at 2 per multiply-add.

    >>> flops(lambda: torch.ones(2, 3) @ torch.ones(3, 4))
    48
    """
    operations = counted_flops(work)[1]
    if operations is None:
        raise ValueError("there is no formula for the floating-point operations of this work")
    return operations


def counted_flops(work: Callable[[], Result]) -> tuple[Result, int | None]:
    """What the work returns, and its floating-point operations; None where a formula fails, which leaves it as it is.

    >>> counted_flops(lambda: (torch.ones(2, 3) @ torch.ones(3, 4)).sum().item())
    (24.0, 48)
    """
    counter = _Counter()
    with counter:
        result = work()
    return result, None if counter.failed else int(counter.get_total_flops())


class _Counter(FlopCounterMode):
    """Torch's counter, which never stands in the way of what it counts."""

    def __init__(self) -> None:
        super().__init__(display=False)
        self.mod_tracker = _NoModules()  # type: ignore[assignment]
        self.failed = False

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        """Called after each operation, with what it gave."""
        try:
            return super()._count_flops(func_packet, out, args, kwargs)
        except Exception:  # formulas are written for the shapes that torch's authors met
            self.failed = True
            return out


class _NoModules:
    """In the place of torch's tracker of modules, whose hooks fail where a loss holds the gradient of a gradient."""

    parents = ("Global",)  # what everything is counted for

    def __enter__(self) -> _NoModules:
        return self

    def __exit__(self, *_: object) -> None:
        return


def gemm_peak(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.2) -> float:
    """The most FLOP/s that square matrix products reach here: what "share of the peak" divides by.

    Measured once per process, device, type and number of threads. On a GPU whose convolutions may use TF32 (torch's
    default), float32 products may use it as well.
    """
    return _gemm_peak(device, dtype, torch.get_num_threads(), seconds)


@lru_cache
def _gemm_peak(device: torch.device, dtype: torch.dtype, threads: int, seconds: float) -> float:
    sizes = (512, 1024) if device.type == "cpu" else (2048, 4096, 8192)
    tf32 = device.type == "cuda" and dtype == torch.float32 and torch.backends.cudnn.allow_tf32
    with tf32_products() if tf32 else nullcontext():
        return max(_gemm_rate(size, device, dtype, seconds / len(sizes)) for size in sizes)


@contextmanager
def tf32_products() -> Iterator[None]:
    """Float32 products of a GPU may use TF32 here; after that, all that torch says of precision is as before."""
    backends: Any = torch.backends
    owners = (backends.cuda.matmul, backends.mkldnn.matmul)
    older, newer = torch.get_float32_matmul_precision(), [owner.fp32_precision for owner in owners]
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(older)
        for owner, precision in zip(owners, newer, strict=True):
            owner.fp32_precision = precision


def _gemm_rate(size: int, device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    """FLOP/s of (size,size) @ (size,size) in the fastest block: interruptions only ever slow a block down."""
    generator = torch.Generator().manual_seed(size)  # random values: a GPU multiplies constants at a higher clock
    one = torch.rand(size, size, generator=generator).to(device, dtype)
    two, product = one.T.contiguous(), torch.empty_like(one)
    timing = throughput(lambda: torch.mm(one, two, out=product), device, seconds=seconds)
    return 2 * size**3 / min(timing.samples)


def peak_memory(work: Work, device: torch.device) -> PeakMemory:
    """The most memory during one call. On a CUDA GPU, of tensors; else of the whole process, with Python and the data.

    A process's peak is its VmHWM, reset before the call, where the kernel offers that, once what earlier work freed is
    handed back. Elsewhere it is the peak since the process started.
    """
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        synchronize(device)
        return PeakMemory(mebibytes=torch.cuda.max_memory_allocated(device) / MIB, kind="tensors on the GPU")
    hand_back()
    was_reset = _reset_peak_resident()
    work()
    synchronize(device)
    since = "during the step" if was_reset else "since the process started"
    return PeakMemory(mebibytes=peak_resident() / MIB, kind=f"resident set of the process {since}")


def _reset_peak_resident() -> bool:
    """Let VmHWM start from the present size (Linux: proc(5), clear_refs); whether that was possible."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def peak_resident() -> int:
    """The largest resident set of this process so far, in bytes."""
    if STATUS.is_file():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import sys

    import psutil

    windows = getattr(psutil.Process().memory_info(), "peak_wset", None)
    if windows is not None:
        return int(windows)
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
