"""Who is ranked with whom: what saw inputs alone; where nothing did, methods that all saw the same beside them."""

from __future__ import annotations

from dataclasses import replace

from example_run import compare

from harness.records import CellResult
from harness.report.reading import reading


def seeing(results: list[CellResult], **uses: str) -> list[CellResult]:
    """The named methods, having seen that, and the references."""

    def changed(result: CellResult) -> CellResult:
        seen = uses.get(result.cell.method.name, result.provenance["uses"])
        return replace(result, provenance={**result.provenance, "uses": seen})

    return [changed(one) for one in results if one.cell.kind == "reference" or one.cell.method.name in uses]


def test_methods_that_all_saw_captions_are_ranked_and_that_is_said(results) -> None:
    comparison = compare(seeing(results, rotation="captions", jigsaw="captions"))[0]
    sentence = reading(comparison)
    assert "no method could be ranked" not in sentence
    assert "; both saw captions too;" in sentence
    assert "with labels, for scale: supervised (" in sentence
    assert "with captions, for scale" not in sentence
    assert comparison.seen == "images and captions"
    alone = compare(seeing(results, rotation="captions"))[0]
    assert "rotation has 0." in reading(alone)
    assert "; it saw captions too;" in reading(alone)


def test_what_saw_images_alone_is_ranked_without_what_saw_more(results) -> None:
    comparison = compare(seeing(results, rotation="captions", jigsaw=""))[0]
    sentence = reading(comparison)
    assert "jigsaw[grid=3] has 0." in sentence
    assert "saw captions too" not in sentence
    assert "with captions, for scale: rotation (" in sentence
    assert comparison.seen == "images alone"


def test_what_saw_different_things_is_not_ranked(results) -> None:
    comparison = compare(seeing(results, rotation="captions", jigsaw="labels"))[0]
    assert reading(comparison) == "On digits no method could be ranked: apart from references, none sees images alone."
    assert comparison.seen == "images alone"


def test_marks_follow_who_is_ranked(results) -> None:
    def marks(**uses: str) -> dict[str, str]:
        comparison = compare([one for one in seeing(results, **uses) if one.cell.kind != "reference"])[0]
        assert comparison.leading is not None
        return {row.series.method: row.entries[comparison.leading].mark for row in comparison.rows}

    captioned = marks(rotation="captions", vae="captions")
    assert captioned == marks(rotation="", vae="")
    assert set(captioned.values()) != {""}
    assert set(marks(rotation="captions", vae="labels").values()) == {""}
