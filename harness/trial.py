"""`--precision auto`: fp32 or bf16, whichever takes the cell's own training steps faster on this machine.

Steps are the trainer's, on copies of the method with a batch of its own, in turns, after some that are not counted; the
fastest of each counts, since interruptions only ever slow a step down. bf16 is taken where it is at least 1.1 times as
fast and its losses are finite. Training itself is what it would be without the trial: it seeds every generator after
it, and its weights are not those of the copies.

One decision holds for all seeds and budgets of a method on a source, and for later runs on the same machine: it is
kept in the cache folder, since the noise of a clock should not give one seed another precision than the next.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.data.batches import Batch, batch_of
from harness.data.cache import read_kept, write_kept
from harness.data.fields import DataSpec
from harness.data.rows import Rows
from harness.metrics.measure import elapsed
from harness.optimisation import Optimisation
from harness.plugin.capabilities import capabilities_of
from harness.reasons import reason_of
from harness.records import TrainConfig
from harness.seeding import seed_everything

LEAST_GAIN = 1.1  # times as fast as fp32: what a clock's noise does not reach
WARM_UP, ROUNDS = 2, 5  # steps of each precision
MOST_SECONDS = 20.0  # after which no further round begins
UNTIMED = {"seed", "budget"}  # of a cell's identity: what a step's time does not depend on


@dataclass(frozen=True)
class Choice:
    """The precision that a trial chose, and why, as a row says it."""

    precision: str
    why: str


def chosen_precision(method: Any, split: Rows, data: DataSpec, config: TrainConfig, *, seed: int) -> Choice:
    """Time some steps of copies of `method` on rows of `split` (on its device). What has no steps computes in fp32.

    Raises what the method's own step raises in fp32.
    """
    if not capabilities_of(method) & {"loss", "turns"}:
        return Choice("fp32", "")
    device = split.inputs.device
    rows = split.rows(torch.arange(min(config.batch_size, len(split)), device=device))
    batch = replace(batch_of(rows, data), progress=0.5)
    seed_everything(seed, "trial")
    steps = {name: _Steps(method, config, name, batch) for name in ("fp32", "bf16")}
    for _ in range(WARM_UP):
        steps["fp32"]()
    try:
        for _ in range(WARM_UP):
            steps["bf16"]()
    except Exception as error:
        return Choice("fp32", f"auto: fp32, since a step in bf16 fails: {reason_of(error)}")
    seconds = _fastest(steps, device)
    if not steps["bf16"].finite:
        return Choice("fp32", "auto: fp32, since losses in bf16 are not finite")
    return choice_of(seconds["fp32"] / seconds["bf16"])


def choice_of(gain: float) -> Choice:
    """What follows from how many times as fast bf16 is.

    >>> choice_of(1.57)
    Choice(precision='bf16', why='auto: bf16 at 1.57 times the speed of fp32')
    >>> choice_of(0.8).why
    'auto: fp32, since bf16 has 0.80 times its speed'
    """
    if gain >= LEAST_GAIN:
        return Choice("bf16", f"auto: bf16 at {gain:.2f} times the speed of fp32")
    return Choice("fp32", f"auto: fp32, since bf16 has {gain:.2f} times its speed")


class _Steps:
    """Training steps of a copy of a method in one precision."""

    def __init__(self, method: Any, config: TrainConfig, precision: str, batch: Batch) -> None:
        self.optimisation = Optimisation(copy.deepcopy(method).train(), config, precision)
        self.batch = batch
        self.losses: list[torch.Tensor] = []

    def __call__(self) -> None:
        self.losses.append(self.optimisation.step(replace(self.batch, scalars={})))

    @property
    def finite(self) -> bool:
        return bool(torch.stack(self.losses).isfinite().all())


def _fastest(works: Mapping[str, Callable[[], None]], device: torch.device) -> dict[str, float]:
    """Seconds of the fastest call of each, called in turns."""
    deadline = time.perf_counter() + MOST_SECONDS
    rounds: list[dict[str, float]] = []
    while not rounds or (len(rounds) < ROUNDS and time.perf_counter() < deadline):
        rounds.append({name: elapsed(work, device) for name, work in works.items()})
    return {name: min(each[name] for each in rounds) for name in works}


def kept_choice(
    cache: Path, identity: Mapping[str, Any], provenance: Mapping[str, Any], choose: Callable[[], Choice]
) -> Choice:
    """The choice that was made before for such a cell on this machine, or what `choose` gives, which is then kept.

    Cells that start together wait for the one of them that makes the choice.
    """
    from filelock import FileLock

    asked = {key: value for key, value in identity.items() if key not in UNTIMED}
    text = json.dumps([asked, provenance["keyed"], provenance["device name"]], sort_keys=True, default=str)
    file = cache / "precision" / f"{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        kept = read_kept(file)
        if kept is not None:
            return Choice(**kept)
        choice = choose()
        write_kept(file, asdict(choice))
        return choice
