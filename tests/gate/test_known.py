"""The part of a request that a version knows: word by word, with what it lacks told."""

from typing import Any

import pytest

from harness.errors import RequestError
from harness.expansion import expand
from harness.gate.known import known
from harness.records import Cell
from harness.registry import Registry
from harness.suite import make_request

REGISTRY = Registry()


def expanded(words: Any) -> list[Cell]:
    return expand(make_request(words), REGISTRY)


def lost(unknown: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(each["word"], each["text"]) for each in unknown]


def test_a_request_that_is_known_stays_as_it_is() -> None:
    words = {"plugins": "vae,jigsaw[grid=2|3]", "seeds": 2, "set": {"train": {"batch_size": 32}}}
    assert known(words, expanded) == (words, [])


def test_what_is_unknown_in_each_word_is_left_out_and_told_why() -> None:
    words = {
        "plugins": "vae,neverheard,vae[newer=1|2]",
        "datasets": ["digits", "nowhere"],
        "evaluations": ["knn", "mystery"],
        "set": ["vae.beta=4", "neverheard.depth=2"],
        "budget": "5 steps",
    }
    kept, unknown = known(words, expanded)
    assert kept == {**words, "plugins": ["vae"], "datasets": ["digits"], "evaluations": ["knn"], "set": ["vae.beta=4"]}
    assert lost(unknown) == [
        ("plugins", "neverheard"), ("plugins", "vae[newer=1]"), ("plugins", "vae[newer=2]"), ("datasets", "nowhere"),
        ("evaluations", "mystery"), ("set", "neverheard.depth=2"),
    ]  # fmt: skip
    assert "neverheard" in unknown[0]["why"]


def test_parts_keep_what_is_known_of_the_words_above_them() -> None:
    words = {"datasets": ["digits", "nowhere"], "part": [{"plugins": "vae"}, {"plugins": "neverheard"}]}
    kept, unknown = known(words, expanded)
    assert [part["plugins"] for part in kept["part"]] == [["vae"]]
    assert kept["part"][0]["datasets"] == ["digits"]
    assert set(lost(unknown)) == {("plugins", "neverheard"), ("datasets", "nowhere")}
    assert {str(cell.source) for cell in expanded(kept)} == {"digits"}


def test_where_nothing_is_left_there_are_no_words() -> None:
    kept, unknown = known({"plugins": "neverheard", "references": []}, expanded)
    assert (kept, lost(unknown)) == ({}, [("plugins", "neverheard")])


@pytest.mark.parametrize("word", [{"budget": "5 moons"}, {"seeds": "x"}, {"colour": "red"}, {"plugins": "vae["}])
def test_what_is_wrong_in_other_ways_is_an_error(word: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        known({"plugins": "vae", **word}, expanded)
