"""Requests from text: a suite file in TOML, command-line options or Python arguments, all with the same words."""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from harness.cleaned import cleaned
from harness.errors import RequestError, UnknownName, did_you_mean
from harness.looks import limited
from harness.records import Request, written
from harness.registry.grammar import LARGEST_SEED, parse_limit, parse_seeds

PLUGIN_LISTS = ("plugins", "tune", "references", "datasets", "targets", "backbone", "evaluations")
WORD_LISTS = ("devices", "precision", "labels")
WORDS = {"set": "settings"}  # words of the user that are called otherwise inside
WAYS = ("launcher", "trackers", "monitor")  # how the whole of a suite is carried out: no part of a request
DERIVED = ("parts", "most_seeds")  # of a Request, and no words of the user
NONE = {  # words that may name nothing, and how
    "plugins": "name methods, or write 'none' for the references alone",
    "references": "name some, or write 'none'",
    "evaluations": "name some, or write 'none' to judge nothing",
}
_EXPECTED = {  # what a word should be, where its value was something else
    "seeds": f": seeds are whole numbers from 0 to {LARGEST_SEED:,}, or text such as '3', '0,5,7', '2-4' or 'auto'",
    "threads": ": a whole number such as 2",
    "compile": ": true or false",
    "set": ": tables such as [set.train] with learning_rate = 0.001, or a list of 'NAME.KEY=VALUE'",
}
SAID = ("title", "question")  # of a whole suite, for its report
PARTS = "part"  # [[part]]: a request that takes its other words from the top of the suite


def read_suite(file: Path) -> dict[str, Any]:
    """The content of a suite file. Raises RequestError for a file that is missing or no TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        raise RequestError(f"no suite {file}: `harness bench --plugins vae,jigsaw` needs none") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read suite {file}: {error}") from None
    except (ValueError, RecursionError) as error:  # also a number of too many digits, or lists that are too deep
        raise RequestError(f"suite {file} is no valid TOML: {error}") from None


def make_request(values: Mapping[str, Any], where: str = "the request") -> Request:
    """A Request from the words of a suite, with lists or comma-separated text for what can be several.

    >>> make_request({"plugins": "vae,jigsaw[grid=2]", "seeds": 2}).plugins
    ('vae,jigsaw[grid=2]',)
    """
    known = {field.name for field in fields(Request)} - {*DERIVED, *WORDS.values()} | set(WORDS)
    if PARTS in values:
        whole = {word: value for word, value in values.items() if word != PARTS}
        shared = {word: value for word, value in whole.items() if word not in SAID}
        tables = _tables(values[PARTS], where)
        _all_are_taken(shared, tables, where)
        for n, word in ((n, word) for n, table in enumerate(tables, 1) for word in SAID if word in table):
            raise RequestError(f"{where}, part {n}: '{word}' is told of a whole suite: write it above its parts")
        parts = tuple(make_request({**shared, **table}, f"{where}, part {n}") for n, table in enumerate(tables, 1))
        return replace(make_request(whole, where), parts=parts)
    arguments: dict[str, Any] = {"plugins": ()} if "tune" in values else {}  # what is tuned needs no other method
    for word, value in values.items():
        if word in WAYS:
            raise RequestError(f"{where}: '{word}' says how a whole suite is carried out: write it above its parts")
        if word not in known:
            raise UnknownName(f"{where} has no key '{word}': {did_you_mean(word, known)}")
        _not_empty(word, value, where)
        _is_text(word, value, where)
        try:
            limit = parse_limit(value) if word == "seeds" and isinstance(value, str) else 0
            arguments |= limited(limit) if limit else {WORDS.get(word, word): _converted(word, value)}
        except (TypeError, ValueError, OverflowError):
            raise RequestError(f"{where}: '{word}' cannot be {shown(value)}{_EXPECTED.get(word, '')}") from None
    return Request(**arguments)


def shown(value: Any) -> str:
    """A value as a message has it, in one line and cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _is_text(word: str, value: Any, where: str) -> None:
    """Raise RequestError for a name of bytes that are no UTF-8, as a path may have: no file of a run could hold it."""
    for text in [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []:
        if isinstance(text, str) and not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise RequestError(f"{where}: '{word}' has a name that is no UTF-8, {cleaned(text)}: rename what it names")


def _not_empty(word: str, value: Any, where: str) -> None:
    """Raise RequestError for a text of nothing, such as a variable of CI that was not set. A list may be empty."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    if not any(isinstance(text, str) and not text.replace(",", "").strip() for text in texts):
        return
    if word in NONE:
        raise RequestError(f"{where}: '{word}' is empty, so there is nothing to run for it: {NONE[word]}")
    raise RequestError(f"{where}: '{word}' is empty: leave it out for the default")


def _all_are_taken(shared: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise RequestError for a word above the parts that each part has its own of: it would vanish."""
    for word in shared:
        if all(word in table for table in tables):
            raise RequestError(
                f"{where}: '{word}' above the parts is a default that no part takes, since each has its own: "
                f"write a [[{PARTS}]] for it, or leave it out"
            )


def apart(words: Mapping[str, Any], where: str = "the request") -> tuple[dict[str, Any], dict[str, Any]]:
    """The words of a request, and those of how it is carried out, as arguments of Options.

    >>> apart({"seeds": 2, "trackers": "json-lines"})
    ({'seeds': 2}, {'trackers': ('json-lines',)})
    """
    ways = {word: words[word] for word in WAYS if word in words}
    converted = {word: _way(word, value, where) for word, value in ways.items()}
    return {word: value for word, value in words.items() if word not in WAYS}, converted


def _way(word: str, value: Any, where: str) -> Any:
    if word == "monitor":
        if isinstance(value, bool) or not isinstance(value, int):
            raise RequestError(f"{where}: monitor is a number of moments of training, such as 10, not {value!r}")
        return value
    try:
        return tuple(_texts(value)) if word == "trackers" else _text(value)
    except TypeError:
        kind = "a launcher" if word == "launcher" else "trackers"
        raise RequestError(f"{where}: {word} names {kind}, as text: not {value!r}") from None


def overridden(suite: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a suite, where what is given wins, in its parts too."""
    words = {**suite, **given}
    if PARTS in suite:
        kept = [{k: v for k, v in table.items() if k not in given} for table in _tables(suite[PARTS], "the suite")]
        words[PARTS] = kept
    return words


def _tables(value: Any, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(part, Mapping) for part in value):
        raise RequestError(f"{where}: write each part as a table, [[{PARTS}]] and below it what it changes")
    return value


def _converted(word: str, value: Any) -> Any:
    if word in PLUGIN_LISTS:
        return tuple(text for text in _texts(value) if not (word == "plugins" and text.strip() == "none"))
    if word in WORD_LISTS:
        return tuple(part.strip() for text in _texts(value) for part in text.split(",") if part.strip())
    if word == "seeds":
        return _seeds(value)
    if word == "set":
        return _settings(value)
    if word == "compile":
        return _yes_or_no(value)
    return _whole(value) if word == "threads" else _text(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        raise TypeError
    return [value] if isinstance(value, str) else [_text(part) for part in value]


def _whole(value: Any) -> int:
    """A whole number, or text of one. Nothing else becomes one: neither 1.9 nor true."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value.strip()):
        return int(value)
    if isinstance(value, (bool, str)):
        raise TypeError
    return operator.index(value)


def _seeds(value: Any) -> tuple[int, ...]:
    """A list holds the seeds themselves; a number or text is read as on the command line."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(seed, str) for seed in value):
            raise TypeError
        seeds = [_whole(seed) for seed in value]
        if not all(0 <= seed <= LARGEST_SEED for seed in seeds):
            raise ValueError
        return tuple(dict.fromkeys(seeds))
    return parse_seeds(value if isinstance(value, str) else str(_whole(value)))


def _settings(value: Any) -> tuple[str, ...]:
    """A list of `NAME.KEY=VALUE`, or TOML tables: [set.train] learning_rate = 0.001."""
    if not isinstance(value, Mapping):
        return tuple(_texts(value))
    if not all(isinstance(table, Mapping) for table in value.values()):
        raise TypeError
    return tuple(f"{name}.{key}={_written(inner)}" for name, table in value.items() for key, inner in table.items())


def _written(value: Any) -> str:
    """A TOML value in the request grammar; a list is a sweep, a list in it a list."""
    if isinstance(value, (list, tuple)):
        return "|".join(_one(part) for part in value)
    return _one(value)


def _one(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, (bool, int, float, list, tuple)):
        raise TypeError
    return written(value)
