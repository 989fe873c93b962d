"""How plugins, settings and seeds are written, the same on the command line, in TOML, in Python and in columns.

    plugins  = plugin { "," plugin }            vae[latent_dim=8|32,beta=1],jigsaw[grid=2],./mine.py
    plugin   = name [ "[" [ param { "," param } ] "]" ]
    param    = key "=" value { "|" value }      a bar makes a sweep: one plugin for each combination
    value    = bare text | quoted { quoted } | "[" [ value { "," value } ] "]"      a list, where a parameter takes one
    quoted   = "'" text "'" | '"' text '"'
    setting  = name "." key "=" value { "|" value }
    seeds    = count | part { "," part }        3 means 0,1,2; a part is a number or a range 2-4
             | "auto" [ ":" count ]             as many as decide the differences, at most so many

A name is that of a plugin, `distribution:name`, or the path of a .py file. Text in quotes may hold any character but
that quote; quoted pieces side by side are one text. Values stay text here, and lists tuples of text:
`harness.registry.config` gives them their types.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from harness.errors import RequestError
from harness.looks import FIRST, LIMIT
from harness.records import PluginRef

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(:[A-Za-z0-9][A-Za-z0-9_.-]*)?")
Value = str | tuple[Any, ...]  # a tuple holds values again

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
QUOTES = "'\""
MOST_SEEDS = 10_000
LARGEST_SEED = 10**15 - 1
DEEPEST = 8  # lists within lists


def is_path(name: str) -> bool:
    """Is this the path of a plugin file rather than a name?

    >>> [is_path(name) for name in ("vae", "./mine.py", "mine.py", "plugins/mine", "some-dist:vae")]
    [False, True, True, True, False]
    """
    return name.endswith(".py") or "/" in name or "\\" in name


def parse_plugins(text: str) -> tuple[PluginRef, ...]:
    """All plugins that `text` names, in order, sweeps expanded (the first key varies slowest), equal ones once.

    >>> [str(ref) for ref in parse_plugins("vae[beta=1|4], jigsaw")]
    ['vae[beta=1]', 'vae[beta=4]', 'jigsaw']
    """
    reader = _Reader(text)
    plugins: dict[str, PluginRef] = {}
    if reader.at_end():
        return ()
    while True:
        for ref in _plugin(reader):
            plugins.setdefault(str(ref), ref)
        if reader.at_end():
            return tuple(plugins.values())
        reader.expect(",", "expected ',' between plugins")


def parse_setting(text: str) -> tuple[str, str, list[Value]]:
    """`NAME.KEY=VALUE`, where a bar makes a sweep.

    >>> parse_setting("vae.beta=4|8")
    ('vae', 'beta', ['4', '8'])
    """
    left, equals, _ = text.partition("=")
    name, dot, key = (part.strip() for part in left.rpartition("."))
    if not (equals and dot and name and KEY.fullmatch(key)):
        raise RequestError(f"setting '{text}' is not NAME.KEY=VALUE: write 'vae.beta=4' or 'train.batch_size=64'")
    reader = _Reader(text, position=len(left) + 1)
    values = _values(reader, stops="|")
    if not reader.at_end():
        raise reader.error("expected '|' or the end")
    return name, key, values


def parse_seeds(text: str) -> tuple[int, ...]:
    """A number of seeds, or the seeds themselves; each is taken once, in the order given.

    >>> parse_seeds("3"), parse_seeds("0,5,7"), parse_seeds("2-4,9")
    ((0, 1, 2), (0, 5, 7), (2, 3, 4, 9))
    """
    parts = [part.strip() for part in text.split(",")]
    matches = [re.fullmatch(r"([0-9]{1,15})(?:\s*-\s*([0-9]{1,15}))?", part) for part in parts]
    spans = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    if len(spans) < len(parts) or any(first > last for first, last in spans):
        raise RequestError(
            f"seeds '{text}' make no sense: write a number of seeds '3', a list '0,5,7', a range '2-4' or 'auto'"
        )
    if len(parts) == 1 and matches[0] and matches[0][2] is None:
        if spans[0][1] == 0:
            raise RequestError("seeds '0' asks for no seed at all: write '1', or '0-0' for seed 0 alone")
        spans = [(0, spans[0][1] - 1)]
    if sum(last - first + 1 for first, last in spans) > MOST_SEEDS:
        raise RequestError(f"seeds '{text}' are more than {MOST_SEEDS:,}: ask for fewer")
    return tuple(dict.fromkeys(seed for first, last in spans for seed in range(first, last + 1)))


def parse_limit(text: str) -> int:
    """The most seeds that `auto` may take, as in `auto:9`; 0 for seeds that are said.

    >>> parse_limit("auto"), parse_limit("auto:9"), parse_limit("3")
    (11, 9, 0)
    """
    word, colon, limit = (part.strip() for part in text.partition(":"))
    if word != "auto":
        return 0
    if not colon:
        return LIMIT
    if not re.fullmatch(r"[0-9]{1,5}", limit) or not FIRST < int(limit) <= MOST_SEEDS:
        raise RequestError(f"seeds '{text}' make no sense: write 'auto', or with a limit above {FIRST}, 'auto:{LIMIT}'")
    return int(limit)


class _Reader:
    """A position in a text; whitespace before a token is skipped."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.position = position

    def peek(self) -> str:
        """The next character that is not a space, or "" at the end."""
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1
        return self.text[self.position : self.position + 1]

    def at_end(self) -> bool:
        return self.peek() == ""

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.position += 1
        return True

    def expect(self, character: str, message: str) -> None:
        if not self.take(character):
            raise self.error(message)

    def token(self, stops: str) -> str:
        """Quoted text without its quotes, or bare text up to one of `stops`."""
        quote = self.peek()
        if quote and quote in QUOTES:
            return self._quoted(quote)
        start = self.position
        while self.position < len(self.text) and self.text[self.position] not in stops:
            self.position += 1
        return self.text[start : self.position].strip()

    def _quoted(self, quote: str) -> str:
        end = self.text.find(quote, self.position + 1)
        if end < 0:
            raise self.error(f"unbalanced {quote}")
        inside = self.text[self.position + 1 : end]
        self.position = end + 1
        beside = self.text[self.position : self.position + 1]
        return inside + self._quoted(beside) if beside and beside in QUOTES else inside

    def value(self, stops: str, depth: int = 0) -> Value:
        """A text, or a list of values. Raises RequestError for nothing."""
        opening, character = self.position, self.peek()
        if character != "[":
            text = self.token(stops)
            if not text and character not in tuple(QUOTES):
                raise self.error("expected a value")
            return text
        if depth == DEEPEST:
            raise self.error("lists are too deep")
        self.take("[")
        values: list[Value] = []
        while not self.take("]"):
            if values:
                self.expect(",", "expected ',' or ']'")
            if self.at_end():
                raise self.error("unbalanced '['", opening)
            values.append(self.value(",|[]", depth + 1))
        return tuple(values)

    def error(self, message: str, position: int | None = None) -> RequestError:
        place = self.position if position is None else position
        return RequestError(f"{message} in '{self.text}' at character {place + 1}")


def _plugin(reader: _Reader) -> list[PluginRef]:
    reader.peek()
    start = reader.position
    name = reader.token(stops=",[]=|")
    if not name:
        raise reader.error("expected the name of a plugin", start)
    if not is_path(name) and not NAME.fullmatch(name):
        raise reader.error(f"'{name}' is no name of a plugin", start)
    sweeps = _params(reader) if reader.peek() == "[" else {}
    return [PluginRef(name=name, params=dict(zip(sweeps, values, strict=True))) for values in product(*sweeps.values())]


def _params(reader: _Reader) -> dict[str, list[Value]]:
    opening = reader.position
    reader.expect("[", "expected '['")
    sweeps: dict[str, list[Value]] = {}
    if reader.take("]"):
        return sweeps
    while True:
        reader.peek()
        start = reader.position
        key = reader.token(stops="=,|[]")
        if not KEY.fullmatch(key) or not reader.take("="):
            cut_off = reader.at_end()
            raise reader.error("unbalanced '['", opening) if cut_off else reader.error("expected KEY=VALUE", start)
        if key in sweeps:
            raise reader.error(f"'{key}' is given twice (a sweep is {key}=1|2)", start)
        sweeps[key] = _values(reader, stops=",|[]")
        if reader.take("]"):
            return sweeps
        if reader.at_end():
            raise reader.error("unbalanced '['", opening)
        reader.expect(",", "expected ',', '|' or ']'")


def _values(reader: _Reader, stops: str) -> list[Value]:
    values: dict[Value, None] = {}
    while True:
        values[reader.value(stops)] = None
        if not reader.take("|"):
            return list(values)
