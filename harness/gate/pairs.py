"""Two versions timed against each other: pairs of fresh processes, whose blocks alternate, until the rule decides.

One pair: both arms are started and built, warmed up, and then take turns in rounds of ABBA or BAAB, drawn at random,
while the other waits for its input. A drift of the machine that is even over a round so cancels out, and neither arm
comes first more often. The time of an arm is the lower quartile of its blocks: what disturbs a block makes it longer.

Both arms get one set of threads, passive waiting (an idle team that spins slows the other arm), one hash seed; and a
variable of a random length in the environment, since its size moves the stack and with it the speed (Mytkowicz et al.
2009, ASPLOS). All that is started is ended by its process id, on errors and Ctrl-C too.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from harness.errors import HarnessError
from harness.gate.processes import clean_environment
from harness.gate.sequential import Timed, TimeRule, judged, log_ratio
from harness.last_words import ending, last_words_of

WORKER = Path(__file__).with_name("blocks.py")
PADDING = "HARNESS_PADDING"  # the variable whose length is drawn
MOST_PADDING = 4096  # bytes
GRACE = 5.0  # seconds between asking an arm to end and ending it


Kind = Literal["train", "encode"]


class ArmFailed(HarnessError):
    """An arm cannot do what it was asked to: nothing can be compared."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of the code: the Python in whose environment it is installed."""

    python: Path
    folder: Path | None = None  # where it runs; None: here
    environment: Mapping[str, str] = field(default_factory=dict)  # beyond what both get
    cell: int | None = None  # which of the request's cells is meant, as this version expands it; None: it has one
    request: Mapping[str, Any] | None = None  # as this version can read it; None: that of the work


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is timed: one cell, by the words of a request, each version reading them for itself."""

    request: Mapping[str, Any]  # {"plugins": "vae", "datasets": "digits", ...}; of one method and one seed
    kinds: tuple[Kind, ...] = ("train",)  # each is timed in every pair, one after the other
    data_root: Path = Path(".")
    plugin_files: tuple[Path, ...] = ()
    threads: int = 1
    inject: float = 0.0  # the candidate is made slower by this part of its own time, as a test of the guard

    def words(self, cell: int | None = None) -> dict[str, Any]:
        """The request; where no cell of it was chosen, without what would else be several cells."""
        if cell is not None:
            return {**self.request, "threads": self.threads}
        alone = {"references": [], "seeds": [0], "evaluations": []} if "plugins" in self.request else {"seeds": [0]}
        return {**alone, **self.request, "threads": self.threads}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one pair is measured."""

    warm: float = 0.3  # seconds of warm-up of each arm; again, until it gets no faster
    warmings: int = 8  # at most
    block: float = 0.05  # seconds of a block, about
    rounds: int = 4  # of ABBA or BAAB: twice as many blocks of each arm
    patience: float = 300.0  # seconds that an arm may take for one answer


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What one pair of processes gave of one kind of work."""

    base: tuple[float, ...]  # seconds of a step in each block, in the order of time
    candidate: tuple[float, ...]
    steps: int  # of a block
    seconds: float  # that the pair took, with its starts, of all kinds of work together
    title: str  # of the cell
    device: str
    steady: bool  # both were as fast in the first as in the second half of the end of their warm-up

    @property
    def ratio(self) -> float:
        """log(candidate / base) of the robust times of a step."""
        return log_ratio(robust(self.base), robust(self.candidate))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All pairs, and what the rule says of them."""

    verdict: Timed
    pairs: tuple[Pair, ...]
    seconds: float
    over: bool  # the time ended it, not the rule

    @property
    def base(self) -> float:
        """Seconds of a step, by the median of the pairs; nan of none."""
        return float(np.median([robust(pair.base) for pair in self.pairs])) if self.pairs else float("nan")

    @property
    def candidate(self) -> float:
        """The base's, by the estimated ratio, so that the two agree with it."""
        return self.base * (1 + self.verdict.change)


def robust(blocks: Sequence[float]) -> float:
    """The lower quartile."""
    return float(np.quantile(blocks, 0.25))


def measure(
    base: Version,
    candidate: Version,
    work: Work,
    rules: Mapping[Kind, TimeRule],
    *,
    seconds: float,
    plan: Plan | None = None,
    seed: int | None = None,
    log: Path | None = None,
    news: Callable[[Mapping[Kind, Sequence[Pair]]], None] = lambda pairs: None,
) -> dict[Kind, Measured]:
    """Measure pairs until each kind of work is decided by its rule, or until another pair would go beyond `seconds`.

    `base` against itself is an A/A test. `seed`: of what is drawn (orders, sizes of the environment); `log`: what the
    arms print is added to this file. `news` is told after each pair. Raises ArmFailed where an arm cannot do it.
    """
    begun, plan, chance = time.monotonic(), plan or Plan(), random.Random(seed)
    pairs: dict[Kind, list[Pair]] = {kind: [] for kind in work.kinds}
    decided: dict[Kind, Measured] = {}
    took: list[float] = []
    while open_kinds := tuple(kind for kind in work.kinds if kind not in decided):
        steps = {kind: pairs[kind][0].steps for kind in open_kinds if pairs[kind]}
        found = measured_pair(base, candidate, replace(work, kinds=open_kinds), plan, chance, steps=steps, log=log)
        spent = time.monotonic() - begun
        took.append(next(iter(found.values())).seconds)
        over = spent + float(np.median(took)) > seconds
        for kind, pair in found.items():
            pairs[kind].append(pair)
            verdict = judged([each.ratio for each in pairs[kind]], rules[kind], last=over)
            if verdict is not None:
                cut = over and verdict.word == "inconclusive" and len(pairs[kind]) < rules[kind].most
                decided[kind] = Measured(verdict=verdict, pairs=tuple(pairs[kind]), seconds=spent, over=cut)
        news(pairs)
    return {kind: decided[kind] for kind in work.kinds}


def measured_pair(
    base: Version,
    candidate: Version,
    work: Work,
    plan: Plan,
    chance: random.Random,
    *,
    steps: Mapping[Kind, int] | None = None,
    log: Path | None = None,
) -> dict[Kind, Pair]:
    """One pair of fresh processes, timed at every kind of work. `steps` of a block: of what is not there, as many as
    fill one.
    """
    begun = time.monotonic()
    with started(base, candidate, work, plan, chance, log) as arms:
        found: dict[Kind, _Timed] = {}
        for kind in work.kinds:
            count = ready(arms, kind, plan, (steps or {}).get(kind, 0))
            for _ in range(plan.rounds):
                one_round(arms, count, chance)
            a, b = arms["base"], arms["candidate"]
            found[kind] = _Timed(tuple(a.times), tuple(b.times), count, a.steady and b.steady)
        built, seconds = arms["base"].built, time.monotonic() - begun
    return {
        kind: Pair(
            base=timed.base, candidate=timed.candidate, steps=timed.steps, steady=timed.steady,
            seconds=seconds, title=str(built["title"]), device=str(built["device"]),
        )
        for kind, timed in found.items()
    }  # fmt: skip


class _Timed(NamedTuple):
    """Blocks of both arms at one kind of work."""

    base: tuple[float, ...]
    candidate: tuple[float, ...]
    steps: int
    steady: bool


@contextlib.contextmanager
def started(
    base: Version, candidate: Version, work: Work, plan: Plan, chance: random.Random, log: Path | None = None
) -> Iterator[dict[str, Arm]]:
    """Both arms, built, by their roles; nothing is left of them when the block ends."""
    arms: dict[str, Arm] = {}
    order = [("base", base, 0.0), ("candidate", candidate, work.inject)]
    chance.shuffle(order)  # neither is always built and warmed up first
    try:
        for role, version, inject in order:
            arms[role] = Arm(role, version, work, plan, inject, chance, log)
        build(arms.values())
        yield arms
    finally:
        for arm in arms.values():
            arm.end()


def ready(arms: Mapping[str, Arm], kind: Kind, plan: Plan, steps: int = 0) -> int:
    """Turn both to a kind of work and warm them up; the steps of a block, as given or as many as fill one."""
    for arm in arms.values():
        arm.begin(kind)
    for arm in arms.values():
        arm.warm()
    steps = steps or max(1, round(plan.block / arms["base"].step))
    for arm in (arms["base"], arms["candidate"]):
        arm.block(steps)  # the first after waiting is not counted
    return steps


def one_round(arms: Mapping[str, Arm], steps: int, chance: random.Random) -> None:
    """ABBA or BAAB: two blocks of each arm, added to its times."""
    first, second = ("base", "candidate") if chance.random() < 0.5 else ("candidate", "base")
    for role in (first, second, second, first):
        arms[role].times.append(arms[role].block(steps) / steps)


class Arm:
    """A worker (harness.gate.blocks) of one version, from its start to its end."""

    def __init__(
        self,
        role: str,
        version: Version,
        work: Work,
        plan: Plan,
        inject: float,
        chance: random.Random,
        log: Path | None = None,
    ) -> None:
        self.role = role
        self.cell = version.cell
        self.work = work if version.request is None else replace(work, request=version.request)
        self.plan = plan
        self.inject = inject
        self.times: list[float] = []  # seconds of a step, of each block
        self.built: Mapping[str, Any] = {}
        self.step, self.steady = 0.0, False
        self._rest = b""
        self._log: IO[bytes] = tempfile.TemporaryFile() if log is None else log.open("a+b")  # noqa: SIM115 see end()
        self._begins = self._log.seek(0, os.SEEK_END)  # what is before is of others
        self.process = subprocess.Popen(
            [str(version.python), "-P", str(WORKER), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=version.folder,
            env=environment(version, work.threads, chance),
            bufsize=0,
        )

    def begin(self, kind: Kind) -> None:
        """Turn to another kind of work."""
        self.ask(do="work", kind=kind)
        self.times = []

    def warm(self) -> None:
        for _ in range(self.plan.warmings):
            answer = self.ask(do="warm", seconds=self.plan.warm)
            self.step, self.steady = float(answer["step"]), bool(answer["steady"])
            if self.steady:
                break

    def block(self, steps: int) -> float:
        """Seconds of a block."""
        return float(self.ask(do="block", steps=steps, inject=self.inject)["seconds"])

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises ArmFailed."""
        self.tell(**command)
        return self.answer(command["do"])

    def tell(self, **command: Any) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: its answer says why, or its end does
            self.process.stdin.write(json.dumps(command).encode() + b"\n")

    def answer(self, what: str) -> dict[str, Any]:
        """Wait for the answer to a command. Raises ArmFailed."""
        answer = self._answer(what)
        if "error" in answer:
            raise ArmFailed(f"the {self.role} cannot be timed: {answer['kind']}: {answer['error']}")
        return answer

    def _answer(self, what: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + self.plan.patience
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise ArmFailed(f"the {self.role} gave no answer to '{what}' in {self.plan.patience:g} s")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = self.process.wait(GRACE)
                    raise ArmFailed(f"the {self.role} ended, {ending(code)}: {self._last_words()}")
                raise ArmFailed(f"the {self.role} closed its output: {self._last_words()}")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        """Where it crashed, or the last line that it printed."""
        self._log.seek(self._begins)
        return last_words_of(self._log.read().decode(errors="replace"))

    def end(self) -> None:
        """End the process, by its id; nothing is left of it."""
        try:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(GRACE)
        finally:
            for stream in (self.process.stdin, self.process.stdout, self._log):
                if stream is not None:
                    stream.close()


def build(arms: Iterable[Arm]) -> None:
    """All at once: starting takes longest, and nothing is timed yet."""
    arms = list(arms)
    for arm in arms:
        arm.tell(
            do="build",
            request=arm.work.words(arm.cell),
            cell=arm.cell,
            data_root=str(arm.work.data_root),
            plugin_files=[str(file) for file in arm.work.plugin_files],
        )
    for arm in arms:
        arm.built = arm.answer("build")


def environment(version: Version, threads: int, chance: random.Random) -> dict[str, str]:
    """What an arm finds in its environment: the parent's, with all that its speed depends on fixed alike."""
    count = str(threads)
    kept = {key: value for key, value in clean_environment().items() if key != PADDING}
    fixed = {
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "KMP_BLOCKTIME": "0",
        "PYTHONHASHSEED": "0",
        "PYTHONFAULTHANDLER": "1",
        PADDING: "x" * chance.randrange(MOST_PADDING),
    }
    return {**kept, **fixed, **version.environment}


def this_version() -> Version:
    """The code that runs here."""
    return Version(python=Path(sys.executable))
