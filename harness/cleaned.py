"""A stranger's text as it may be shown: names, captions, reasons and paths that came with a plugin, a dataset or a run.

Characters that steer a terminal, turn the direction of writing, or are no characters at all are shown, not obeyed.
"""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL, C1, marks and overrides of direction, lone surrogates (bytes that are no UTF-8)
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet takes for a formula, and what `in_a_sheet` makes of it
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cleaned(text: str) -> str:
    r"""The text with what must not be obeyed written out, as Python writes it; line feeds and tabs stay.

    >>> cleaned("caf\u00e9 \x1b]0;title\x07, \udcff")
    'café \\x1b]0;title\\x07, \\xff'
    """
    return text if text.isascii() and text.isprintable() else UNSEEN.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a path that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def one_line(text: str) -> str:
    r"""`cleaned`, with every run of white space as one space.

    >>> one_line(" a\n\tb ")
    'a b'
    """
    return cleaned(" ".join(text.split()))


def is_plain(text: str) -> bool:
    """Is it one line of characters that may be shown as they are?"""
    return text == one_line(text)


def in_a_sheet(text: str) -> str:
    """Text as a spreadsheet shows it rather than computes it: an apostrophe before what would be a formula.

    >>> in_a_sheet("=1+1"), in_a_sheet("-0.5"), in_a_sheet("vae")
    ("'=1+1", '-0.5', 'vae')
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def from_a_sheet(text: str) -> str:
    """The inverse of `in_a_sheet`.

    >>> from_a_sheet("'=1+1"), from_a_sheet("'tis")
    ('=1+1', "'tis")
    """
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
