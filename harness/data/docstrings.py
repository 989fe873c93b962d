"""English prose in the documentation of Python sources, read with `ast`: nothing is imported or run.

What a docstring says about parameters, its signatures, examples, tables and code is left out, as are markup and links.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

LEFT_OUT = frozenset((
    "parameters", "returns", "return", "yields", "receives", "raises", "raise", "warns", "warnings", "attributes",
    "methods", "examples", "example", "references", "reference", "see-also", "other-parameters", "args", "arg",
    "arguments", "keyword-arguments", "keyword-args", "kwargs", "inputs", "outputs", "input", "output", "shape",
    "usage", "properties",
))  # sections  # fmt: skip
ADDED_BY = ("add_docstr", "add_newdoc", "_add_docstr", "add_newdoc_for_scalar_type")  # calls with documentation in them
HEADER = re.compile(r"([A-Za-z][A-Za-z ]{2,24}?)\s*:{0,2}")
UNDERLINE = re.compile(r"[-=~^*\"]{3,}")
SIGNATURE = re.compile(r"[\w.]+\(.*\)?(\s*->.*)?|.*\)\s*->.*")
MARKUP = (
    (re.compile(r":[\w:+-]+:`~?(?:[^`<]*\.)?([^`<.]+)\.?(?:\s*<[^`]*>)?`"), r"\1"),  # :func:`~torch.nn.relu` -> relu
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`_+"), r"\1"),  # `a link <https://...>`_
    (re.compile(r"``?([^`]+)``?_*"), r"\1"),
    (re.compile(r"\*\*([^*\s][^*]*)\*\*|(?<!\w)\*([^*\s][^*]*)\*(?!\w)"), r"\1\2"),
    (re.compile(r"\s*\[[\w#]+\]_"), ""),  # a footnote
    (re.compile(r"\|(\w[\w ]*)\|"), r"\1"),
)
UNREADABLE = re.compile(r"https?://|[\\{}<>=_^|~$%@#]|\.\.\.|::|\w\(|\w\.[a-z]|\w/\w")  # formulas, code, links
COMMON = frozenset(
    ("a", "an", "and", "are", "as", "be", "by", "for", "if", "in", "is", "it", "of", "on",
     "or", "that", "the", "this", "to", "when", "which", "with")
)  # fmt: skip
WORD = re.compile(r"[A-Za-z][a-z]*(?:['’-][a-z]+)*")
SENTENCE_END = (".", "!", "?")


def documents(file: Path, *, fewest: int, most: int = 400) -> Iterator[str]:
    """The prose of each documented thing in a source file, in its order, of `fewest` to `most` words."""
    for text in docstrings_of(file.read_text(encoding="utf-8", errors="replace")):
        said = prose(text)
        if fewest <= len(said.split()) <= most:
            yield said


def docstrings_of(source: str) -> Iterator[str]:
    """The docstrings of a source and its classes and functions, and strings that it adds as documentation.

    None of a source that is no Python.

    >>> list(docstrings_of('def f():\\n    "Says f."\\nadd_docstr(g, "Says g.")'))
    ['Says f.', 'Says g.']
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\d" in others' strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found = ast.get_docstring(node)
            if found:
                yield found
        elif isinstance(node, ast.Call) and _name(node.func) in ADDED_BY:
            yield from map(inspect.cleandoc, _longest_string(node))


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _longest_string(call: ast.Call) -> list[str]:
    inside = (part for argument in call.args for part in ast.walk(argument))
    strings = [part.value for part in inside if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [max(strings, key=len)] if strings else []


def prose(docstring: str) -> str:
    """The sentences of a docstring in plain English, on one line; "" where it has none.

    >>> prose("Add the two numbers.\\n\\nParameters\\n----------\\nx : float\\n    The first one.")
    'Add the two numbers.'
    """
    kept = [text for text in map(_plain, _paragraphs(docstring.splitlines())) if _is_english(text)]
    return " ".join(sentence for text in kept for sentence in sentences(text) if not UNREADABLE.search(sentence))


def sentences(text: str) -> list[str]:
    """A paragraph cut after what ends a sentence; what is no sentence at its end is left out."""
    parts = re.split(r"(?<=[a-z0-9)][.!?])\s+(?=[A-Z])", text)
    return [part for part in parts if part.endswith(SENTENCE_END) and len(part.split()) > 2 and part[0].isupper()]


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Lines at the margin, joined until an empty line; without sections that are left out, examples and blocks."""
    paragraph: list[str] = []
    skipped = in_example = False  # inside a section that is left out; in an example, which ends with an empty line
    for place, line in enumerate([*lines, ""]):
        text = line.strip()
        below = lines[place + 1].strip() if place + 1 < len(lines) else ""
        header = HEADER.fullmatch(text)
        if header and (UNDERLINE.fullmatch(below) or (text.endswith(":") and not line.startswith(" "))):
            skipped = header[1].strip().lower().replace(" ", "-") in LEFT_OUT
            text = ""
        in_example = bool(text) and (in_example or text.startswith((">>>", "..", "$ ", "In [")))
        if text and not UNDERLINE.fullmatch(text):
            usable = not (skipped or in_example or line.startswith((" ", "\t", "- ", "* ", "+", "|", ":")))
            paragraph.append(text if usable and not SIGNATURE.fullmatch(text) else "")
        else:
            if all(paragraph):
                yield " ".join(paragraph)
            paragraph = []


def _plain(text: str) -> str:
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _is_english(text: str) -> bool:
    """Mostly words of letters, some of which every English text has."""
    parts = text.split()
    words = [part for part in parts if WORD.fullmatch(part.strip(".,:;!?()\"'"))]
    known = sum(word.lower() in COMMON for word in words)
    return len(words) > 0.75 * len(parts) and known > 0.1 * len(parts)


def sources_below(folder: Path) -> Iterable[Path]:
    """The Python files of a package, without its tests and what it carries of others."""
    apart = {"tests", "test", "testing", "_vendor", "vendor", "externals", "extern", "benchmarks", "__pycache__"}
    return (
        file
        for file in sorted(folder.rglob("*.py"))
        if not apart & set(file.relative_to(folder).parts) and not file.name.startswith("test_")
    )
