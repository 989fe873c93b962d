"""How a request is carried out, and by whom: nothing here changes a number, and no key knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.plugin.launching import Conditions, Launcher
from harness.records import PluginRef
from harness.registry import Registry
from harness.registry.grammar import parse_plugins


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a request is carried out: nothing here changes a number."""

    out: Path | None = None  # the run's folder; None: runs/<what the request is about>
    data_dir: str | None = None
    launcher: str = "local"  # what runs the cells, with its parameters
    trackers: tuple[str, ...] = ()  # what follows the run, each text one or several with their parameters
    jobs: int | None = None  # cells at once; None: as many as the cores allow
    timeout: float | None = None  # seconds a cell may take
    fail_fast: bool = False  # stop at the first failed cell
    monitor: int = 0  # moments of each training at which a kNN accuracy on validation is measured
    fresh: bool = False  # take nothing from an earlier run
    command: str = ""  # what the user typed, for the report

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise RequestError(f"--jobs must be at least 1, not {self.jobs}")
        if self.monitor < 0:
            raise RequestError(f"--monitor is a number of moments of training, 0 for none, not {self.monitor}")
        if self.timeout is not None and not self.timeout > 0:
            raise RequestError(f"--timeout is a number of seconds above 0, not {self.timeout:g}")


def launcher_of(options: Options, registry: Registry) -> Callable[[Conditions], Launcher]:
    """What builds the launcher that was asked for. Its name and parameters are checked now, before any work."""
    refs = parse_plugins(options.launcher)
    if len(refs) != 1:
        raise RequestError(f"--launcher '{options.launcher}' names {len(refs)} launchers: name one, such as 'local'")
    return _builder(refs[0], "launcher", registry)


def trackers_of(options: Options, registry: Registry) -> dict[str, Callable[[Path], object]]:
    """What builds each tracker for a run's folder, by the name that messages call it. `none` stands for no tracker."""
    refs = [ref for text in options.trackers for ref in parse_plugins(text) if text.strip() != "none"]
    return {f"tracker '{ref}'": _builder(ref, "tracker", registry) for ref in refs}


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
