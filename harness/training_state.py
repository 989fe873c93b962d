"""A training's state on the disk while it is under way, so that an interrupted one goes on to the same numbers.

Written first after a minute of training, then at most every half a minute, and at its end; removed when the cell's
result is stored. In it is all that the next steps depend on: weights and buffers, the method's other attributes
(harness.snapshot), optimisers, the clock, the curve, what watched it, and every generator. The order of batches follows
from the seed and the number of steps alone.

Not kept: what a method holds where no snapshot can see it, such as a file, an iterator or a variable of its module: its
note says so, and an interrupted training starts anew. Neither are methods that fit in closed form, nor judging.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from harness import elsewhere, state_file
from harness.clock import Clock
from harness.costs import StepCosts
from harness.curve import Curve
from harness.errors import HarnessError
from harness.metrics.measure import synchronize
from harness.optimisation import Optimisation
from harness.optimisers import new_optimiser
from harness.reasons import reason_of
from harness.records import CurvePoint, StatePlace
from harness.refilled import Kept, Refiller
from harness.snapshot import Taker, Unfit, Unkept


class Stateful(Protocol):
    """What watches a training, and remembers something of it."""

    def state(self) -> Any:
        """What it remembers: numbers, texts and their containers."""
        ...

    def restore(self, state: Any) -> None: ...


@dataclass(kw_only=True)
class Course:
    """A training under way."""

    method: nn.Module
    optimisation: Optimisation
    clock: Clock
    curve: Curve
    costs: StepCosts
    device: torch.device


@dataclass(frozen=True)
class Found:
    """A state that an interrupted training left."""

    head: Mapping[str, Any]
    tensors: list[Kept]

    @property
    def done(self) -> float:
        """How far it came, in [0,1]."""
        return float(self.head["done"])

    @property
    def told(self) -> dict[str, Any]:
        """What `TrainingState` was given to tell the process that goes on."""
        return dict(self.head["told"])


def found_state(place: StatePlace | None, key: str) -> tuple[Found | None, str]:
    """What was left of the cell with that key; None with a reason where it is damaged, and then it is removed."""
    if place is None or not state_file.is_kept(place.file):
        return None, ""
    try:
        head, tensors = state_file.read_state(place.file, key)
        found = Found(head, tensors)
        print(f"training goes on from {100 * found.done:.0f} %, step {head['steps']}")  # into the cell's log
        return found, ""
    except (OSError, HarnessError, KeyError, TypeError, ValueError) as error:
        state_file.discard(place.file)
        return None, f"the state of its interrupted training is damaged ({reason_of(error)}): it was trained anew"


class Keepable:
    """A method that is about to be trained, as it is now; later, what has become of it."""

    def __init__(self, method: nn.Module) -> None:
        self.method = method
        self.cause = ""  # why it cannot be kept
        try:
            self.taker = Taker({"method": method})
            self.elsewhere = elsewhere.fingerprints(method)
        except Exception as error:  # whatever an object of a plugin does when it is looked at: it costs the state alone
            self.cause = _words(error)

    def taken(self, parts: Mapping[str, Any]) -> tuple[Any, list[Tensor]]:
        """A snapshot of the parts, the method among them. Raises Unkept for what a file cannot hold."""
        if self.cause:
            raise Unkept(self.cause)
        changed = elsewhere.changed(self.elsewhere, elsewhere.fingerprints(self.method))
        if changed:
            raise Unkept(f"{changed} changed, and is no part of the method")
        return self.taker.taken(parts)

    def reason_against(self) -> str:
        """Why it cannot be kept as it is now; "" where it can."""
        try:
            self.taken({"method": self.method})
        except Exception as error:
            return _words(error)
        return ""


class TrainingState:
    """Writes the state of one training when it is time, and puts a found one back.

    asked: what the cell is, in the words of its identity. told: plain values for the process that goes on, which needs
    them before training.
    """

    def __init__(
        self,
        place: StatePlace,
        key: str,
        watchers: Mapping[str, Stateful],
        found: Found | None = None,
        *,
        asked: str = "",
        told: Mapping[str, Any],
    ) -> None:
        self.place = place
        self.key = key
        self.asked = asked
        self.told = dict(told)
        self.watchers = watchers
        self.found = found
        self.note = ""  # why there is no state, where it was time for one
        self._stopped = False  # for good
        self.cost = 0.0  # seconds of the last writing
        self.spent = 0.0  # seconds of all
        self.written = 0  # times
        self._last: tuple[float, int] = (float("-inf"), -1)  # the clock's seconds and steps at the last writing
        self._keepable: Keepable | None = None

    def begin(self, course: Course) -> bool:
        """Before the first step. True where the training goes on: then `course` is what it was. Raises Unfit."""
        self._keepable = Keepable(course.method)
        if self.found is None:
            return False
        found, self.found = self.found, None
        try:
            _put_back(found, course, self.watchers)
        except Exception as error:
            raise Unfit(f"{type(error).__name__}: {error}") from error
        self._last = course.clock.seconds, course.clock.steps
        return True

    def stepped(self, course: Course) -> None:
        """After a step: write, if it is time. Takes no time of the budget."""
        seconds = course.clock.seconds
        if seconds < self.place.pace.first or self._stopped:
            return
        if seconds - self._last[0] >= max(self.place.pace.between, self.cost / self.place.pace.share):
            self._write(course)

    def ended(self, course: Course) -> None:
        """After the last step: judging may be interrupted, too."""
        if course.clock.seconds >= self.place.pace.first and course.clock.steps != self._last[1] and not self._stopped:
            self._write(course)

    def _write(self, course: Course) -> None:
        started = time.perf_counter()
        synchronize(course.device)  # what the steps so far take is their own time
        with course.clock.paused():
            try:
                head, tensors = self._taken(course)
                state_file.write_state(self.place.file, head, tensors)
                self.written += 1
                self.note = ""
            except OSError as error:
                self.note = f"the state of its training could not be written ({error.strerror or error})"
            except Exception as error:  # as in Keepable
                self.note = f"the state of its training was not kept under way: {_words(error)}"
                self._stopped = True
            if self.note:
                print(self.note)  # into the cell's log
        self.cost = time.perf_counter() - started
        self.spent += self.cost
        self._last = course.clock.seconds, course.clock.steps

    def _taken(self, course: Course) -> tuple[dict[str, Any], list[Tensor]]:
        assert self._keepable is not None
        tree, tensors = self._keepable.taken(_parts(course, self.watchers))
        clock = course.clock
        about = {
            "key": self.key,
            "asked": self.asked,
            "done": clock.done,
            "steps": clock.steps,
            "seconds": clock.seconds,
        }
        return {**about, "told": self.told, "tree": tree}, tensors


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Unkept) else reason_of(error)


class _Places(dict[Tensor, int]):
    """Where a method's weights stand among all of them."""

    def __missing__(self, weight: Tensor) -> int:
        raise Unkept("a weight that was trained is none of the method's any more")


def _parts(course: Course, watchers: Mapping[str, Stateful]) -> dict[str, Any]:
    clock, curve, optimisation = course.clock, course.curve, course.optimisation
    places = _Places({weight: place for place, weight in enumerate(course.method.parameters())})
    return {
        "method": course.method,
        "optimisers": {name: _optimiser(each, places) for name, each in optimisation.optimisers.items()},
        "moved": sorted(places[weight] for weight in optimisation.moved),
        "stepped": optimisation.steps,
        "curve": {"points": [asdict(p) for p in curve.points], "sums": dict(curve.sums), "steps": curve.steps},
        "clock": {"steps": clock.steps, "limit": clock.steps_limit, "seconds": clock.seconds},
        "costs": asdict(course.costs),
        "watchers": {name: watcher.state() for name, watcher in watchers.items()},
        "generators": _generators(course.device),
    }


def _put_back(found: Found, course: Course, watchers: Mapping[str, Stateful]) -> None:
    """Everything as it was; the generators last, since what comes before may draw."""
    parts = Refiller(found.tensors, course.device).put_back(found.head["tree"], {"method": course.method})
    optimisation, curve, clock = course.optimisation, course.curve, course.clock
    weights = list(course.method.parameters())
    for name, kept in parts["optimisers"].items():
        optimisation.optimisers[name] = _optimiser_of(kept, weights, optimisation)
    optimisation.moved = {weights[place] for place in parts["moved"]}
    optimisation.steps = parts["stepped"]
    curve.points[:] = [CurvePoint(**point) for point in parts["curve"]["points"]]
    curve.sums, curve.steps = parts["curve"]["sums"], parts["curve"]["steps"]
    course.costs = StepCosts(**parts["costs"])
    for name, watcher in watchers.items():
        if name in parts["watchers"]:
            watcher.restore(parts["watchers"][name])
    clock.go_on(**parts["clock"])
    _set_generators(parts["generators"], course.device)


def _optimiser(optimiser: torch.optim.Optimizer, places: Mapping[Tensor, int]) -> dict[str, Any]:
    groups = [{**group, "params": [places[weight] for weight in group["params"]]} for group in optimiser.param_groups]
    return {"groups": groups, "state": {places[weight]: dict(state) for weight, state in optimiser.state.items()}}


def _optimiser_of(kept: Mapping[str, Any], weights: list[nn.Parameter], like: Optimisation) -> torch.optim.Optimizer:
    groups = [{**group, "params": [weights[place] for place in group["params"]]} for group in kept["groups"]]
    optimiser = new_optimiser([weight for group in groups for weight in group["params"]], like.config)
    optimiser.param_groups[:] = groups
    optimiser.state.update({weights[place]: state for place, state in kept["state"].items()})
    return optimiser


def _generators(device: torch.device) -> dict[str, Any]:
    known = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}
    if device.type != "cpu":
        known["device"] = torch.get_device_module(device).get_rng_state(*_which(device))
    return known


def _set_generators(known: Mapping[str, Any], device: torch.device) -> None:
    torch.set_rng_state(known["torch"])
    np.random.set_state(known["numpy"])
    random.setstate(known["python"])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(known["device"], *_which(device))


def _which(device: torch.device) -> tuple[torch.device, ...]:
    """What says whose generator is meant, where there may be more than one: else it is the current device's."""
    return () if device.type == "mps" else (device,)
