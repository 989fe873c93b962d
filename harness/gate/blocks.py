"""One arm of a timed pair: a process that builds a method, warms it up, and times blocks of steps when it is told to.

    python -P blocks.py < commands > answers          # the Python of the version that is measured

It is given by its path to the Python of either version, so that both are timed by the same lines, and what they import
as `harness` is their own. Commands and answers are JSON, one a line:

    {"do": "build", "request": {"plugins": "vae", ...}, "data_root": "...", "plugin_files": [],
     "cell": null}                            "cell": its place among those of the request, where there are several
                                              -> {"title", "device", "threads", "batch"}
    {"do": "work", "kind": "train"}           -> {"kind"}: what follows is timed of this, until another work is named
    {"do": "warm", "seconds": 2.0}            -> {"step": seconds of one step, "steps": taken, "steady": true}
    {"do": "block", "steps": k, "inject": 0}  -> {"seconds", "cpu"}
    {"do": "stop"}, or the end of the input   -> the process ends

and {"error": text, "kind": name of the exception} where one fails. Between commands it waits for its input and takes no
processor. It ends with its parent, however that ends.

`train` is the trainer's own loop with all that belongs to a step (order, batch, loss, turns, optimiser, curve): it is
held between two steps, by the trainer's `observe`, while the other arm works. Weights hardly move (the learning rate is
a millionth of its own), so that every step costs the same; the budget stands at its half. `encode` is the method frozen
on one batch, as features are extracted. On a GPU each block ends when the device has done all of it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

STILL = 1e-6  # factor on the learning rate
MANY = 2_000_000_000  # steps of a budget that never ends
STEADY = 0.1  # warm when a tenth of the time gave blocks no faster than this part than the best before
Command = dict[str, Any]


class Stopped(Exception):
    """The parent wants no more."""


class AnotherWork(Exception):
    """The parent wants another kind of work."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Dialogue:
    """Commands in, answers out, one line of JSON each."""

    def __init__(self, commands: TextIO, answers: TextIO) -> None:
        self.commands = commands
        self.answers = answers

    def next(self) -> Command:
        """The next command. Raises Stopped where there will be none."""
        line = self.commands.readline()
        command: Command = json.loads(line) if line.strip() else {"do": "stop"}
        if command["do"] == "stop":
            raise Stopped
        return command

    def answer(self, **content: Any) -> None:
        self.answers.write(json.dumps(content) + "\n")
        self.answers.flush()


class Blocks:
    """Times blocks of steps, one step at a time from outside: `step_done` after each, before the next."""

    def __init__(self, dialogue: Dialogue, synchronise: Callable[[], None]) -> None:
        self.dialogue = dialogue
        self.synchronise = synchronise
        self.left = 0  # steps of the block that is running
        self.inject = 0.0
        self.warm_until: float | None = None
        self.started = self.cpu = 0.0
        self.taken: list[float] = []  # seconds of each step of the warm-up

    def wait(self) -> None:
        """Take the next command and begin what it says."""
        command = self.dialogue.next()
        if command["do"] == "work":
            raise AnotherWork(command["kind"])
        if command["do"] == "warm":
            self.taken = []
            self.warm_until = time.perf_counter() + command["seconds"]
            self.left = 1
        elif command["do"] == "block":
            self.left, self.inject, self.warm_until = (
                max(1, int(command["steps"])),
                float(command.get("inject", 0)),
                None,
            )
        else:
            raise ValueError(f"no command {command['do']!r} here")
        self._begin()

    def step_done(self) -> None:
        """Count a step; at the end of a block answer, and wait for the next."""
        self.left -= 1
        if self.left > 0:
            return
        self.synchronise()
        seconds = time.perf_counter() - self.started
        if self.warm_until is not None:
            self.taken.append(seconds)
            if time.perf_counter() < self.warm_until or len(self.taken) < 3:
                self.left = 1
                self._begin()
                return
            self.dialogue.answer(**warmth(self.taken))
        else:
            if self.inject:
                spin(seconds * self.inject)
                seconds = time.perf_counter() - self.started
            self.dialogue.answer(seconds=seconds, cpu=time.process_time() - self.cpu)
        self.wait()

    def _begin(self) -> None:
        self.synchronise()
        self.cpu = time.process_time()
        self.started = time.perf_counter()


def warmth(taken: list[float]) -> dict[str, Any]:
    """How long a step takes, by the second half of a warm-up, and whether that was steady: not slower in its first
    half than in its second.
    """
    half = sorted(taken[len(taken) // 2 :])
    first, second = taken[len(taken) // 2 : len(taken) * 3 // 4], taken[len(taken) * 3 // 4 :]
    steady = bool(first) and bool(second) and min(first) < (1 + STEADY) * min(second)
    return {"step": half[len(half) // 2], "steps": len(taken), "steady": steady}


def spin(seconds: float) -> None:
    """Keep the processor busy."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def serve(dialogue: Dialogue) -> None:
    """Build what the first command says, then work until nobody wants more."""
    command = dialogue.next()
    if command["do"] != "build":
        raise ValueError(f"the first command is build, not {command['do']!r}")
    cell, registry = _cell(command)

    from harness.pretraining import prepare_process

    prepare_process(cell)

    import torch

    from harness.building import build_method, information, load_dataset
    from harness.data.rows import read_as

    source = load_dataset(registry, cell.source, Path(command["data_root"]), cell.seed)
    source = read_as(source, source.spec)
    method = build_method(registry, cell, source.spec).to(cell.device)
    rows = source.pretraining(information(registry, cell)).to(cell.device)
    device = torch.device(cell.device)
    blocks = Blocks(dialogue, _synchroniser(device))
    batch = min(cell.train.batch_size, len(rows))
    dialogue.answer(title=cell.title, device=str(device), threads=torch.get_num_threads(), batch=batch)
    kind = dialogue.next()["kind"]

    def ready() -> None:
        gc.collect()
        gc.freeze()  # what is there stays: no collection walks over it
        dialogue.answer(kind=kind)

    while True:
        try:
            {"train": _train, "encode": _encode}[kind](cell, method, rows, source.spec, blocks, ready)
        except AnotherWork as wanted:
            kind = wanted.kind


def _cell(command: Command) -> tuple[Any, Any]:
    """The one cell that the request asks for, as this version reads it."""
    from harness.expansion import expand
    from harness.registry import Registry
    from harness.suite import make_request

    registry = Registry()
    for file in command.get("plugin_files", ()):
        registry.load_file(Path(file))
    cells = expand(make_request(command["request"]), registry)
    if command.get("cell") is not None:
        return cells[command["cell"]], registry
    if len(cells) != 1:
        raise ValueError(f"a timed request is of one cell, this one is of {len(cells)}")
    return cells[0], registry


def _train(cell: Any, method: Any, rows: Any, data: Any, blocks: Blocks, ready: Callable[[], None]) -> None:
    """The trainer's own loop, held between steps."""
    from harness.errors import NotApplicable
    from harness.plugin.capabilities import capabilities_of
    from harness.records import Budget
    from harness.trainer import train

    if not capabilities_of(method) & {"loss", "turns"}:
        raise NotApplicable(f"{cell.method} takes no training steps")
    still = replace(cell.train, learning_rate=cell.train.learning_rate * STILL)
    seen = 0

    def observe(clock: Any) -> None:
        nonlocal seen
        if seen == 0:  # before the first step, whose costs the trainer counts
            seen = 1
        elif seen == 1:
            seen = 2
            clock.steps += MANY // 2
            ready()
            blocks.wait()
        else:
            blocks.step_done()

    precision = "fp32" if cell.precision == "auto" else cell.precision
    train(
        method,
        rows,
        data,
        still,
        Budget(amount=MANY, unit="steps"),
        seed=cell.seed,
        precision=precision,
        progress=lambda *news: None,
        observe=observe,
    )


def _encode(cell: Any, method: Any, rows: Any, data: Any, blocks: Blocks, ready: Callable[[], None]) -> None:
    """The frozen method on one batch."""
    import torch

    from harness.errors import NotApplicable
    from harness.plugin.capabilities import capabilities_of
    from harness.precision import autocast

    able = capabilities_of(method)
    if "encode" not in able:
        raise NotApplicable(f"{cell.method} encodes nothing")
    if "fit" in able:
        method.fit(rows.values if rows.inputs.in_memory else rows.inputs)
    method.eval()
    device = torch.device(cell.device)
    count = min(cell.train.batch_size, len(rows))
    inputs = data.inputs.ready(rows.inputs.take(torch.arange(count)).to(device))  # (B,...)
    precision = "fp32" if cell.precision == "auto" else cell.precision
    with torch.no_grad(), autocast(device, precision):
        method.encode(inputs)
        ready()
        blocks.wait()
        while True:
            method.encode(inputs)
            blocks.step_done()


def _synchroniser(device: Any) -> Callable[[], None]:
    """Waits until the device has done all that it was given; nothing on a CPU, which works while one calls."""
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends (Linux). Elsewhere the end of the input does."""
    if sys.platform != "linux":
        return
    death_signal = 1  # PR_SET_PDEATHSIG of sys/prctl.h
    ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def main() -> None:
    if len(sys.argv) > 1:
        die_with(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed goes to the log
    dialogue = Dialogue(sys.stdin, answers)
    try:
        serve(dialogue)
    except Stopped:
        pass
    except Exception as error:
        import traceback

        traceback.print_exc()
        dialogue.answer(error=f"{error}" or type(error).__name__, kind=type(error).__name__)
        sys.exit(1)


if __name__ == "__main__":
    main()
