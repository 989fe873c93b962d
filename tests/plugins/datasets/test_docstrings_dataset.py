from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import loading
from harness.data.near_duplicates import shingles
from harness.errors import DatasetMissing
from harness_plugins.datasets import docstrings

SPEC = docstrings.harness_dataset()
ROOT = Path("no data folder is needed")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> docstrings.Config:
    """Two small packages in the place of all, and a cache of one's own."""
    monkeypatch.setattr(docstrings, "PACKAGES", {"jinja2": "jinja2", "networkx": "networkx"})
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return docstrings.Config(each=60, pieces=300)


def test_documents_are_english_labelled_and_alike_in_no_two_rows(few: docstrings.Config) -> None:
    raw = SPEC.load(few, ROOT)
    assert raw.labels is not None
    assert raw.labels.bincount().tolist() == [60, 60]
    texts = list(raw.inputs)
    assert all(len(text.split()) >= few.fewest and ">>>" not in text and "---" not in text for text in texts)
    runs = [set(shingles(text)) for text in texts]
    alike = [len(a & b) / len(a | b) for place, a in enumerate(runs) for b in runs[:place]]
    assert max(alike) < 0.7


def test_texts_are_kept_and_read_anew_where_what_is_kept_is_damaged(
    few: docstrings.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SPEC.load(few, ROOT)
    (kept,) = (tmp_path / "cache" / "docstrings").iterdir()
    whole = kept.read_text()
    kept.write_text(whole[:100])
    assert SPEC.load(few, ROOT).inputs == first.inputs
    assert kept.read_text() == whole
    monkeypatch.setattr(docstrings, "read_packages", lambda config: pytest.fail("read again"))
    assert (
        SPEC.load(few, ROOT).inputs == first.inputs == [text for texts in json.loads(whole)["texts"] for text in texts]
    )


def test_the_fingerprint_follows_the_installed_versions(few: docstrings.Config) -> None:
    files = SPEC.files(few, ROOT)
    assert [file.name for file in files] == ["METADATA"] * 2
    assert all("Version: " in file.read_text() for file in files)
    dataset = loading.load(SPEC, few, ROOT, seed=0)
    assert (dataset.spec.inputs.length, len(dataset.spec.inputs.vocabulary)) == (64, 300)


def test_a_package_that_is_not_installed_is_named(few: docstrings.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docstrings, "PACKAGES", {"no-such-package": "x"})
    with pytest.raises(DatasetMissing, match="reads the sources of no-such-package, which is not installed"):
        SPEC.files(few, ROOT)
