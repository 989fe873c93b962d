"""Parameters of plugins: text or values -> a validated config, and a config -> its documentation.

A config is a frozen dataclass. Types are checked by pydantic, one field at a time; what belongs together is checked
by the config's own `__post_init__`, whose ValueError becomes the message.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import math
import textwrap
import tokenize
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from harness.errors import BrokenPlugin, RequestError, UnknownName, did_you_mean
from harness.reasons import reason_of
from harness.records import PluginRef, written
from harness.typed import shown

Config = TypeVar("Config")

EXPECTED = {"valid integer": "an integer", "valid number": "a number", "valid boolean": "true or false"}
EXPECTED |= dict.fromkeys(("valid tuple", "valid list"), "a list such as [1,2]")
EXPECTED |= {"valid string": "text"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a plugin, as `harness plugins show` prints it."""

    name: str
    type: str
    default: str  # as one would write it in a request; "" if it must be given
    comment: str  # the comment at the end of its line in the source

    @property
    def required(self) -> bool:
        return self.default == ""


def resolve(config_class: type[Config], params: Mapping[str, Any], owner: str) -> Config:
    """An instance of `config_class` from `params`, whose values may be text as in a request ("8", "true", "none").

    `owner` is what messages call the plugin. Raises RequestError for an unknown or a missing key and a bad value.
    """
    known = {field.name: field for field in fields(config_class) if field.init}  # type: ignore[arg-type]
    for key in params:
        if key not in known:
            advice = did_you_mean(key, known) if known else "it has none"
            raise UnknownName(f"plugin '{owner}' has no parameter '{key}': {advice}")
    missing = [name for name, field in known.items() if _default(field) is MISSING and name not in params]
    if missing:
        raise RequestError(f"plugin '{owner}' needs {', '.join(missing)}: write {owner}[{missing[0]}=...]")
    hints = _hints(config_class)  # type: ignore[arg-type]
    values = {
        key: _validated(hints[key], value, f"{owner}[{key}={value if isinstance(value, str) else written(value)}]")
        for key, value in params.items()
    }
    try:
        return config_class(**values)
    except ValueError as error:
        raise RequestError(f"{owner}: {' '.join(str(error).split())}") from error
    except (Exception, SystemExit) as error:
        raise BrokenPlugin(f"the config of '{owner}' failed: {reason_of(error)}") from error


def config_fault(config_class: type) -> str:
    """What of a config class a plan could not read or keep, or ""."""
    try:
        _hints(config_class)
    except (Exception, SystemExit) as error:
        return f"its annotations cannot be read, {reason_of(error)}"
    for field in fields(config_class):
        try:
            default = _default(field)
        except (Exception, SystemExit) as error:
            return f"the default of {field.name} failed: {reason_of(error)}"
        if field.init and default is not MISSING and not _can_be_kept(default):
            return f"{field.name} is {shown(default)}, which a plan cannot keep: a flag, number, text or tuple it can"
    return ""


def _can_be_kept(value: Any) -> bool:
    try:
        return bool(json.dumps(_plain(value), ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError):
        return False


def full_ref(name: str, config: Any) -> PluginRef:
    """The plugin with every parameter of its config, given or default, as values that JSON can hold."""
    values = {field.name: getattr(config, field.name) for field in fields(config) if field.init}
    return PluginRef(name=name, params={key: _plain(value) for key, value in values.items()})


def describe(config_class: type) -> list[Parameter]:
    """Every parameter with its type, default and comment."""
    hints = _hints(config_class)
    comments = _comments(config_class)
    return [
        Parameter(field.name, _type_text(hints[field.name]), _default_text(field), comments.get(field.name, ""))
        for field in fields(config_class)
        if field.init
    ]


@cache
def _hints(config_class: Any) -> dict[str, Any]:
    return get_type_hints(config_class, include_extras=True)


def _adapter(hint: Any) -> Any:
    """Pydantic's validator of a type, kept where the type can be: making one takes as long as planning a cell."""
    try:
        return _kept_adapter(hint)
    except TypeError:  # a Literal or an annotation that holds a list
        return _new_adapter(hint)


def _new_adapter(hint: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(hint)


_kept_adapter = cache(_new_adapter)


def _validated(hint: Any, value: Any, written: str) -> Any:
    from pydantic import ValidationError

    if isinstance(value, str) and value.lower() in ("none", "null") and NoneType in get_args(hint):
        return None
    if isinstance(value, str):
        value = {_written(choice): choice for choice in _choices(hint)}.get(value, value)  # "3" for Literal[1, 3]
    try:
        result = _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise RequestError(f"{written}: {_expectation(hint, value, error.errors())}") from error
    if isinstance(result, float) and math.isnan(result):
        raise RequestError(f"{written}: expected a number")
    return result


def _expectation(hint: Any, value: Any, errors: list[Any]) -> str:
    choices = _choices(hint)
    if choices and isinstance(value, str):
        return did_you_mean(value, map(_written, choices))
    message = str(errors[0]["msg"])
    if errors[0]["type"] == "value_error":
        return message.removeprefix("Value error, ")
    rest = message.removeprefix("Input should be ").partition(",")[0].removeprefix("a ")
    return f"expected {EXPECTED.get(rest, rest)}"


def _choices(hint: Any) -> list[Any]:
    """The values of a Literal, also of one that may be None."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [choice for part in get_args(hint) if get_origin(part) is Literal for choice in _choices(part)]


def _type_text(hint: Any) -> str:
    choices = [_written(choice) for choice in _choices(hint)]
    if choices:
        return " or ".join(dict.fromkeys([*choices, *(["none"] if NoneType in get_args(hint) else [])]))
    return "text" if hint is str else inspect.formatannotation(hint).replace("None", "none").replace("pathlib.", "")


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _default_text(field: Field[Any]) -> str:
    default = _default(field)
    return "" if default is MISSING else _written(default)


def _written(value: Any) -> str:
    """A value as it would stand in a request."""
    return written(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(part) for part in value] if isinstance(value, (tuple, list)) else value


def _comments(config_class: type) -> dict[str, str]:
    """Field name -> the comment at the end of its line, from the sources of the class and of those it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(config_class.__mro__[:-1]):
        found |= _own_comments(each)
    return found


def _own_comments(config_class: type) -> dict[str, str]:
    """Those of the fields that the class itself defines; {} if there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(config_class))
    except (OSError, TypeError):
        return {}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {token.start[0]: token.string.lstrip("# ").rstrip() for token in tokens if token.type == tokenize.COMMENT}
    body = ast.parse(source).body[0]
    found = {}
    for node in getattr(body, "body", []):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            found[node.target.id] = " ".join(by_line[line] for line in lines if line in by_line)
    return found
