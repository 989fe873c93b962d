"""What processes of either version share: an environment without the paths of this one, and what they last said."""

from __future__ import annotations

import os

OF_THIS_PROCESS = ("PYTHONPATH", "PYTHONHOME")  # would show the code of this version to another


def clean_environment() -> dict[str, str]:
    """That of this process, but for what says where Python finds code."""
    return {key: value for key, value in os.environ.items() if key not in OF_THIS_PROCESS}


def last_line(text: str) -> str:
    """The last words of what was printed.

    >>> last_line("Traceback\\n  ...\\nValueError: no\\n\\n")
    'ValueError: no'
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
