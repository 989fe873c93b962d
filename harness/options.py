"""How a request is carried out, and by whom: nothing here changes a number, and no key knows of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.aside import POSSIBLE
from harness.errors import HarnessError, RequestError
from harness.listening import hearing_beside
from harness.plugin.launching import Conditions, Launcher
from harness.records import PACE, PluginRef, StatePace
from harness.registry import Registry
from harness.registry.grammar import parse_plugins
from harness.registry.installed import is_own
from harness.strange_launcher import strange_launcher

LEAST_MEMORY = 10**8  # bytes


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a request is carried out: nothing here changes a number."""

    out: Path | None = None  # the run's folder; None: runs/<what the request is about>
    data_dir: str | None = None
    launcher: str = "local"  # what runs the cells, with its parameters
    trackers: tuple[str, ...] = ()  # what follows the run, each text one or several with their parameters
    jobs: int | None = None  # cells at once; None: as many as the cores allow
    timeout: float | None = None  # seconds a cell may take
    memory: int | None = None  # bytes that a cell may hold in memory, with all that it starts
    fail_fast: bool = False  # stop at the first failed cell
    monitor: int = 0  # moments of each training at which a kNN accuracy on validation is measured
    fresh: bool = False  # take nothing from an earlier run
    state: StatePace = PACE  # how often the state of a training is kept
    command: str = ""  # what the user typed, for the report

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise RequestError(f"--jobs must be at least 1, not {self.jobs}")
        if self.monitor < 0:
            raise RequestError(f"--monitor is a number of moments of training, 0 for none, not {self.monitor}")
        if self.timeout is not None and not self.timeout > 0:
            raise RequestError(f"--timeout is a number of seconds above 0, not {self.timeout:g}")
        if self.memory is not None and sys.platform != "linux":
            raise RequestError("--memory-limit is kept on Linux alone: leave it out here")
        if self.memory is not None and self.memory < LEAST_MEMORY:
            raise RequestError(f"--memory-limit must leave a cell {LEAST_MEMORY / 1e9:g} GB at least: torch takes that")


def bytes_of(text: str) -> int:
    """Bytes of memory as a user writes them.

    >>> bytes_of("4GB"), bytes_of("1.5 GiB"), bytes_of("800MB")
    (4000000000, 1610612736, 800000000)
    """
    number, unit = text.strip().rstrip("BGMTKibgmtk "), text.strip().lstrip("0123456789.eE+- ")
    scale = {"b": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
    scale |= {f"{name}b": size for name, size in scale.items() if name != "b"}
    scale |= {f"{name}ib": 1024.0**n for n, name in enumerate("kmgt", 1)}
    try:
        size = float(number) * scale[unit.lower()]
        if not 0 < size < 2**63:
            raise ValueError
    except (ValueError, KeyError):
        raise RequestError(f"'{text}' is no size of memory: write '4GB', '1.5GiB' or '800MB'") from None
    return int(size)


def launcher_of(options: Options, registry: Registry) -> Callable[[Conditions], AbstractContextManager[Launcher]]:
    """What builds the launcher that was asked for, to be closed when the run is over: one of others has a process.

    Its name and parameters are checked now, before any work.
    """
    refs = parse_plugins(options.launcher)
    if len(refs) != 1:
        raise RequestError(f"--launcher '{options.launcher}' names {len(refs)} launchers: name one, such as 'local'")
    build = _builder(refs[0], "launcher", registry)
    if is_own(registry.chosen(refs[0], ("launcher",)).info):
        return lambda conditions: nullcontext(build(conditions))
    return lambda conditions: closing(strange_launcher(f"launcher '{refs[0]}'", build, conditions))


def trackers_of(options: Options, registry: Registry) -> dict[str, Callable[[Path], object]]:
    """What builds each tracker for a run's folder, by the name that messages call it. `none` stands for no tracker."""
    refs = [ref for text in options.trackers for ref in parse_plugins(text) if text.strip() != "none"]
    return {f"tracker '{ref}'": _tracker(ref, registry) for ref in refs}


def _tracker(ref: PluginRef, registry: Registry) -> Callable[[Path], object]:
    """What builds a tracker: one of others in a process of its own."""
    chosen = registry.chosen(ref, ("tracker",))
    if is_own(chosen.info) or not POSSIBLE:
        return _builder(ref, "tracker", registry)

    def build(folder: Path) -> object:
        hearer = hearing_beside(f"tracker '{ref}'", lambda: chosen.spec.build(chosen.config, folder))
        wrong = hearer.started()
        if wrong:
            hearer.close()
            raise RequestError(f"tracker '{ref}' cannot start: {wrong}")
        return hearer

    return build


def _builder(ref: PluginRef, kind: str, registry: Registry) -> Callable[[Any], Any]:
    chosen = registry.chosen(ref, (kind,))

    def build(given: Any) -> Any:
        try:
            return chosen.spec.build(chosen.config, given)
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split())
            raise RequestError(f"{kind} '{ref}' cannot start: {type(error).__name__}: {reason}") from error

    return build
