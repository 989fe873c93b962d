"""The exception tree. Every message is one line that says what was wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from harness.cleaned import cleaned


class HarnessError(Exception):
    """The base of every error that Harness raises on purpose. Its message has nothing that a terminal obeys."""

    def __init__(self, *said: object) -> None:
        super().__init__(*(cleaned(one) if isinstance(one, str) else one for one in said))

    def __str__(self) -> str:
        """One line, whatever text of a user is in it."""
        return " ".join(super().__str__().split())


class RequestError(HarnessError):
    """A request that cannot be carried out as written: the command line exits with 2, before any work."""


class UnknownName(RequestError):
    """A plugin, key, dataset, device or score that does not exist."""


class BrokenPlugin(RequestError):
    """A plugin that is installed but cannot be loaded; the message carries its cause."""


class DuplicatePlugin(RequestError):
    """Two distributions offer one name; `distribution:name` picks one."""


class DatasetMissing(RequestError):
    """The files of a dataset are not there; the message names the command that fetches them."""


class NotApplicable(HarnessError):
    """A method or an evaluation that makes no sense here: the row is `skipped`, with this reason."""


class NoProcess(HarnessError):
    """The machine starts no process: there are too many, or too little memory, or too many open files."""


class TrainingFailed(HarnessError):
    """A method that diverged, collapsed or returned something unusable: the row is `failed`, with this reason."""

    so_far: Mapping[str, Any] = {}  # where it ends a training: what is known of it, as fields of TrainingResult


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The end of an error message: the nearest choice if one is near, and else all of them.

    >>> did_you_mean("jigsw", ["jigsaw", "vae"])
    "did you mean 'jigsaw'?"
    >>> did_you_mean("zzz", ["vae", "jigsaw"])
    'choose from jigsaw, vae'
    """
    names = sorted(set(choices))
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"choose from {', '.join(names)}" if names else "there is none to choose from"
