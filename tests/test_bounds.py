"""Words and pictures of a result are cut where they are beyond what a report holds, and say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import bounds
from harness.bounds import bounded_row, bounded_training, cut_inside
from harness.records import EvaluationResult, Picture, Score, TrainingResult

LONG = "x" * 100_000


def row(**words: object) -> EvaluationResult:
    return EvaluationResult(target="digits", evaluation="knn", status="ok", key="k", **words)


def test_what_is_short_stays_the_same(tmp_path: Path) -> None:
    score = Score(score="a", value=1.0, unit="", better="none", primary=True, chance=None, n=1, note="a note")
    (tmp_path / "a.png").write_bytes(b"small")
    picture = Picture(name="a", kind="image", file="a.png", caption="a", texts=("one", "two"), row_names=("r",))
    given = row(reason="why", note="note", scores=(score,), pictures=(picture,))
    assert bounded_row(given, tmp_path) == given
    training = TrainingResult(status="failed", reason="why", traceback="a\nb", note="note")
    assert bounded_training(training) == training


def test_long_words_are_cut(tmp_path: Path) -> None:
    training = bounded_training(TrainingResult(status="failed", reason=LONG, traceback=f"begin{LONG}end", note=LONG))
    assert (len(training.reason), len(training.note)) == (1000, 2000)
    assert training.traceback.startswith("begin")
    assert training.traceback.endswith("end")
    assert len(training.traceback) < 21_000
    score = Score(score="a", value=1.0, unit="", better="none", primary=True, chance=None, n=1, note=LONG)
    picture = Picture(name="a", kind="image", file="", caption=LONG, texts=(LONG,) * 5000, row_names=(LONG,))
    found = bounded_row(row(reason=LONG, note=LONG, scores=(score,), pictures=(picture,)), tmp_path)
    lengths = [len(found.reason), len(found.note), len(found.scores[0].note), len(found.pictures[0].caption)]
    assert lengths == [1000, 2000, 2000, 2000]
    assert len(found.pictures[0].texts) == 2000
    assert {len(text) for text in found.pictures[0].texts} == {2000}


def test_a_traceback_says_how_much_is_left_out() -> None:
    assert cut_inside("abcdefgh", 4) == "ab\n[... 4 characters are left out ...]\ngh"


def test_large_pictures_are_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_OF_A_PICTURE", 100)
    monkeypatch.setattr(bounds, "MOST_OF_PICTURES", 150)
    sizes = {"a": 100, "b": 101, "c": 60, "d": 50}  # b is too large, and with c it would be too much
    pictures = []
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
        pictures.append(Picture(name=name, kind="image", file=name, caption=""))
    found = bounded_row(row(pictures=tuple(pictures), note="before"), tmp_path)
    assert [picture.name for picture in found.pictures] == ["a", "d"]
    assert found.note.startswith("before; pictures left out: 'b' of 0.0 MiB, 'c' of 0.0 MiB")
    assert {file.name for file in tmp_path.iterdir()} == {"a", "d"}
