"""What a process stands in: environment, current folder, import path, warnings, language; and what it computes with.

Code of others is imported where a whole bench is planned. What it changes there is undone, so that it reaches no other
plugin, no report and no cell: cells get their surroundings from this process.
"""

from __future__ import annotations

import builtins
import faulthandler
import gc
import locale
import logging
import os
import signal
import sys
import sysconfig
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from typing import Any

from harness import process_state
from harness.errors import RequestError
from harness.standard_streams import kept_open

ADDED: set[str] = set()  # by plugins, to the import path: each cell has what its own plugins add

logger = logging.getLogger(__name__)


def current_folder() -> str:
    """Where the user stands. Raises RequestError where that is gone."""
    try:
        return os.getcwd()
    except OSError as error:
        raise RequestError(f"the current folder is gone ({error.strerror}): cd to one that is there") from None


def path_of_cells() -> list[str]:
    """The import path as it was without plugins, Python's own modules first: a `queue.py` that lies around is not one
    of these.
    """
    own = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    own |= {os.path.join(folder, "lib-dynload") for folder in own} | {f for f in sys.path if f.endswith(".zip")}
    path = [folder for folder in sys.path if folder not in ADDED]
    return [*(folder for folder in path if folder in own), *(folder for folder in path if folder not in own)]


@contextmanager
def undone(title: str) -> Iterator[None]:
    """What is imported here leaves the process as it was, but for what it adds to the import path.

    What others would have computed with is told: "plugin file mine.py set the default dtype to float64: undone".
    """
    before = kept()
    path = list(sys.path)
    names, settings = _computed_with()
    try:
        with kept_open():
            yield
    finally:
        modules = [*replaced_modules(before), *_shadows(before)]
        restore(before)
        ADDED.update(folder for folder in sys.path if folder not in path)
        sys.path[:] = [*(folder for folder in sys.path if folder not in path), *path]
        told = [*settings(), *(f"replaced {name}" for name in (*names(), *(f"module {name}" for name in modules)))]
        if told:
            logger.warning("%s %s: undone", title, " and ".join(told))


def _computed_with() -> tuple[Callable[[], list[str]], Callable[[], list[str]]]:
    """What tells, and undoes, what will have changed of what is computed with; of torch, if it is there already."""
    from harness.patches import Names

    names = Names.now()
    if "torch" not in sys.modules:
        return names.changed, list
    from harness import settings

    before = settings.kept()
    return names.changed, lambda: settings.changed(before)


def kept() -> dict[str, Any]:
    """What `restore` makes so again."""
    folder = None
    with suppress(OSError):
        folder = os.getcwd()
    return {
        "environment": dict(os.environ),
        "folder": folder,
        "filters": list(warnings.filters),
        "language": locale.setlocale(locale.LC_ALL),
        "streams": (sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook, sys.unraisablehook),
        "modules": dict(sys.modules),
        "built-ins": dict(vars(builtins)),
        "finders": (list(sys.meta_path), list(sys.path_hooks)),
        "limit": sys.getrecursionlimit(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "temporary files": tempfile.tempdir,
        "garbage": gc.isenabled(),
        "tracing": (sys.gettrace(), sys.getprofile()),
        **process_state.kept(),
    }


def restore(before: dict[str, Any]) -> None:
    sys.settrace(before["tracing"][0])  # first: it may raise wherever it is called
    sys.setprofile(before["tracing"][1])
    faulthandler.cancel_dump_traceback_later()  # which may be to end the process, and cannot be seen
    if before != (now := kept()):
        _restore_environment(os.environ, before["environment"])
        if before["folder"] not in (None, now["folder"]):
            os.chdir(before["folder"])
        warnings.filters[:] = before["filters"]  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]
        locale.setlocale(locale.LC_ALL, before["language"])
        sys.stdout, sys.stderr = before["streams"]
        sys.excepthook, sys.displayhook, threading.excepthook, sys.unraisablehook = before["hooks"]
        sys.modules.update({name: before["modules"][name] for name in replaced_modules(before)})
        vars(builtins).update(before["built-ins"])
        finders, hooks = before["finders"]
        sys.meta_path[:] = _first(finders, sys.meta_path)
        sys.path_hooks[:] = _first(hooks, sys.path_hooks)
        sys.setrecursionlimit(before["limit"])
        for number, handler in before["signals"].items():
            if handler is not None and handler != now["signals"][number]:
                with suppress(ValueError):  # of another thread than the main one
                    signal.signal(number, handler)
        tempfile.tempdir = before["temporary files"]
        (gc.enable if before["garbage"] else gc.disable)()
        process_state.restore(before, now)


def _first(earlier: list[Any], now: list[Any]) -> list[Any]:
    """Those that were there, and after them what libraries have added."""
    return [*earlier, *(one for one in now if one not in earlier)]


def replaced_modules(before: dict[str, Any]) -> list[str]:
    """Modules that are gone, or are others."""
    return [name for name, module in before["modules"].items() if sys.modules.get(name) is not module]


def _shadows(before: dict[str, Any]) -> list[str]:
    """New entries that are no modules, and would be taken for ones that are not imported yet; they are taken away."""
    new = [name for name in sys.modules if name not in before["modules"]]
    found = [name for name in new if sys.modules[name] is None or _is_shadow(name, sys.modules[name])]
    for name in found:
        del sys.modules[name]
    return found


def _is_shadow(name: str, module: Any) -> bool:
    """Was it made by hand, under the name of what would be found if it were not there?"""
    if "." in name or getattr(module, "__spec__", None) is not None:
        return False
    return PathFinder.find_spec(name) is not None


def _restore_environment(environment: MutableMapping[str, str], before: dict[str, str]) -> None:
    for name in set(environment) - set(before):
        del environment[name]
    environment.update(before)
