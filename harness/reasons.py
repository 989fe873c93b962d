"""Why something failed, in one line, with the place in the plugin's own code: the same in a bench and in a check."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from harness.cleaned import one_line
from harness.errors import HarnessError, RequestError, TrainingFailed
from harness.last_words import INSTALLED, LIBRARY

OWN = str(Path(__file__).parent)
BESIDE_INPUTS = ("labels", "captions", "paired")  # of a batch


def reason_of(error: BaseException) -> str:
    """One line: the message of errors of training and of requests; the type as well for all others, and for those that
    are not our own where it was raised.

    A plugin that ends the process says so: `SystemExit: 0 (mine.py:12)`.
    """
    message = one_line(_text(error)) or "no message"
    if isinstance(error, (TrainingFailed, RequestError)):
        return message
    frame = None if isinstance(error, HarnessError) else place_of(error)
    name = one_line(type(error).__name__)
    if frame is None:
        return f"{name}: {message}"
    hint = _hint(message, frame.line or "")
    return f"{name}: {message} ({one_line(Path(frame.filename).name)}:{frame.lineno}){hint}"


def _text(error: BaseException) -> str:
    """The message of a stranger's error, whose `__str__` is a stranger's too."""
    try:
        return str(error)
    except Exception:
        return "its message cannot be read"


def place_of(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line of the traceback that is neither Harness's nor a library's."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((frame for frame in frames if _is_a_plugins(frame.filename)), None)


def _hint(message: str, line: str) -> str:
    """What is not in a batch is None: say so where a line that reads it failed for that."""
    read = [name for name in BESIDE_INPUTS if f".{name}" in line]
    if "NoneType" not in message or not read:
        return ""
    return f": the batch has no {read[0]} unless the spec names them in uses"


def _is_a_plugins(file: str) -> bool:
    """Code of a plugin: what an installed package has a hook in, and every file outside Harness and the libraries."""
    if file.startswith((OWN, "<")):
        return False
    if file.startswith(LIBRARY) or any(folder in Path(file).parts for folder in INSTALLED):
        modules = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == file]
        return any(name.startswith("harness_") for module in modules for name in vars(module))
    return True
