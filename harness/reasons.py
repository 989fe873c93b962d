"""Why something failed, in one line, with the place in the plugin's own code: the same in a bench and in a check."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path

from harness.errors import HarnessError, TrainingFailed

OWN = str(Path(__file__).parent)
INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
LIBRARY = sysconfig.get_path("stdlib")


def reason_of(error: BaseException) -> str:
    """One line: the message of our own errors; the type, and where it was raised, as well for all others.

    A plugin that ends the process says so: `SystemExit: 0 (mine.py:12)`.
    """
    message = " ".join(str(error).split()) or "no message"
    if isinstance(error, TrainingFailed):
        return message
    place = "" if isinstance(error, HarnessError) else place_of(error)
    return f"{type(error).__name__}: {message}{f' ({place})' if place else ''}"


def place_of(error: BaseException) -> str:
    """`mine.py:12`, the innermost line that is neither Harness's nor a library's; "" if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_a_plugins(frame.filename):
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return ""


def _is_a_plugins(file: str) -> bool:
    """Code of a plugin: what an installed package has a hook in, and every file outside Harness and the libraries."""
    if file.startswith((OWN, "<")):
        return False
    if file.startswith((*INSTALLED, LIBRARY)):
        modules = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == file]
        return any(name.startswith("harness_") for module in modules for name in vars(module))
    return True
