"""How much of a plugin's words and pictures a result keeps: what is longer is cut, and says so.

Each is far above what a reader reads, and low enough that thousands of cells stay one report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.records import EvaluationResult, Picture, Score, TrainingResult

LONGEST_REASON = 1_000  # characters
LONGEST_NOTE = 2_000  # characters of a note, a caption, a heading or a text beside a picture
LONGEST_TRACEBACK = 20_000  # characters
MOST_TEXTS = 2_000  # texts of one picture
MOST_OF_A_PICTURE = 4 << 20  # bytes of its file
MOST_OF_PICTURES = 16 << 20  # bytes of all files of one evaluation


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with an ellipsis.

    >>> cut("abcdef", 4), cut("abcd", 4)
    ('abc…', 'abcd')
    """
    return f"{text[: longest - 1]}…" if isinstance(text, str) and len(text) > longest else text


def cut_inside(text: str, longest: int) -> str:
    """The text, or its beginning and its end, which of a traceback are the call and the error."""
    if not isinstance(text, str) or len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters are left out ...]\n{text[-half:]}"


def bounded_training(training: TrainingResult) -> TrainingResult:
    return replace(
        training,
        reason=cut(training.reason, LONGEST_REASON),
        note=cut(training.note, LONGEST_NOTE),
        traceback=cut_inside(training.traceback, LONGEST_TRACEBACK),
    )


def bounded_row(row: EvaluationResult, staging: Path) -> EvaluationResult:
    """The row of an evaluation. Pictures whose files, below `staging`, are too large are left out; its note says so."""
    pictures, left_out = _pictures(row.pictures, staging)
    return replace(
        row,
        reason=cut(row.reason, LONGEST_REASON),
        note=cut("; ".join(filter(None, (row.note, left_out))) if left_out else row.note, LONGEST_NOTE),
        scores=tuple(_score(score) for score in row.scores),
        pictures=tuple(_picture(picture) for picture in pictures),
    )


def _score(score: Score) -> Score:
    return replace(score, note=cut(score.note, LONGEST_NOTE))


def _picture(picture: Picture) -> Picture:
    return replace(
        picture,
        caption=cut(picture.caption, LONGEST_NOTE),
        heading=cut(picture.heading, LONGEST_NOTE),
        texts=_texts(picture.texts),
        row_names=_texts(picture.row_names),
    )


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(cut(text, LONGEST_NOTE) for text in tuple(texts)[:MOST_TEXTS])


def _pictures(pictures: Iterable[Picture], staging: Path) -> tuple[list[Picture], str]:
    """Those that there is room for, and what is to be said of the others; the files of these are removed."""
    kept, names, room = [], [], MOST_OF_PICTURES
    for picture in pictures:
        file = staging / picture.file
        size = file.stat().st_size if file.is_file() else 0
        if size > min(MOST_OF_A_PICTURE, room):
            file.unlink()
            names.append(f"'{cut(picture.name, 80)}' of {size / 2**20:.1f} MiB")
        else:
            kept.append(picture)
            room -= size
    most = f"at most {MOST_OF_A_PICTURE >> 20} MiB each and {MOST_OF_PICTURES >> 20} MiB together"
    return kept, f"pictures left out: {', '.join(names)} ({most})" if names else ""
