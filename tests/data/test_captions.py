from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data.captions import NOTHING, UNKNOWN, text_of, tokenised, vocabulary_of, words_of

WORDS = st.lists(st.sampled_from(["a", "red", "Red", "circle", "dark-red", "don't", "über", "42"]), max_size=9)


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A small, dark-red circle!", ["a", "small", "dark-red", "circle"]),
        ("the child's kite (no. 7)", ["the", "child's", "kite", "no", "7"]),
        ("Über-Straße — éclair", ["über-straße", "éclair"]),
        ("snake_case\tand\nlines", ["snake", "case", "and", "lines"]),
        (" ... ", []),
        ("", []),
    ],
)
def test_words_are_lower_case_and_without_punctuation(caption: str, words: list[str]) -> None:
    assert words_of(caption) == words


def test_vocabulary_is_sorted_after_the_two_special_tokens_and_length_is_that_of_the_longest() -> None:
    assert vocabulary_of(["a red circle", "Circle, a big one"]) == (("", "?", "a", "big", "circle", "one", "red"), 4)
    assert vocabulary_of(["", "..."]) == (("", "?"), 1)


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_training_captions_come_back_from_their_tokens(texts: list[list[str]]) -> None:
    captions = [" ".join(text) for text in texts]
    vocabulary, length = vocabulary_of(captions)
    tokens = tokenised(captions, vocabulary, length)
    assert (tokens.shape, tokens.dtype) == ((len(captions), length), torch.int64)
    assert [text_of(row, vocabulary) for row in tokens] == [" ".join(words_of(caption)) for caption in captions]
    assert UNKNOWN not in tokens


def test_unknown_words_long_captions_and_empty_ones() -> None:
    vocabulary, length = vocabulary_of(["a red circle"])
    tokens = tokenised(["a green circle on a red square", ""], vocabulary, length)
    assert tokens.tolist() == [[2, UNKNOWN, 3], [NOTHING] * 3]
    assert text_of(tokens[0], vocabulary) == "a ? circle"
    assert text_of(tokens[1], vocabulary) == ""
