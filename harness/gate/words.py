"""The words of a request as a suite, for a version of the code that reads them in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.errors import RequestError


def as_toml(words: Mapping[str, Any]) -> str:
    """A suite file. Raises RequestError for a value that TOML has no word for.

    >>> print(as_toml({"plugins": ["vae"], "seeds": 2, "set": {"train": {"batch_size": 8}}}), end="")
    plugins = ["vae"]
    seeds = 2
    set = { train = { batch_size = 8 } }
    """
    tables = words.get("part", ())
    top = "".join(f"{key} = {_value(value)}\n" for key, value in words.items() if key != "part")
    return top + "".join(f"\n[[part]]\n{as_toml(table)}" for table in tables)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True)  # a basic string of TOML is one of JSON
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{json.dumps(key) if not key.isidentifier() else key} = {_value(v)}" for key, v in value.items()
        )
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    raise RequestError(f"a request holds text, numbers, lists and tables, not {value!r}")
