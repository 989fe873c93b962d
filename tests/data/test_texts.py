from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data.columns import Texts
from harness.data.fields import TextField
from harness.data.texts import tokens_of, words_of
from harness.data.tokens import PADDING, UNKNOWN

WORDS = st.lists(st.sampled_from(["a", "red", "Red", "circle", "dark-red", "don't", "über", "42"]), max_size=9)


def trained(*texts: str) -> TextField:
    return TextField().measured(Texts(texts))


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
    field = trained("a red circle", "Circle, a big one")
    assert (field.vocabulary, field.length) == (("", "?", "a", "big", "circle", "one", "red"), 4)
    assert (trained("", "...").vocabulary, trained("", "...").length) == (("", "?"), 1)


def test_the_most_frequent_words_are_kept_and_a_length_that_is_given_stays() -> None:
    field = TextField(words=2, length=3).measured(Texts(("b b a", "b c", "c b")))
    assert (field.vocabulary, field.length) == (("", "?", "b", "c"), 3)
    assert tokens_of(["a b c a"], field.tokenizer, field.length).tolist() == [[UNKNOWN, 2, 3]]


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_training_captions_come_back_from_their_tokens(texts: list[list[str]]) -> None:
    captions = [" ".join(text) for text in texts]
    field = trained(*captions)
    tokens = tokens_of(captions, field.tokenizer, field.length)
    assert (tokens.shape, tokens.dtype) == ((len(captions), field.length), torch.int64)
    assert [field.text(row) for row in tokens] == [" ".join(words_of(caption)) for caption in captions]
    assert UNKNOWN not in tokens


def test_unknown_words_long_captions_and_empty_ones() -> None:
    field = trained("a red circle")
    tokens = tokens_of(["a green circle on a red square", ""], field.tokenizer, field.length)
    assert tokens.tolist() == [[2, UNKNOWN, 3], [PADDING] * 3]
    assert field.text(tokens[0]) == "a ? circle"
    assert field.text(tokens[1]) == ""


@given(st.lists(st.text(max_size=30), max_size=4))
def test_pieces_say_every_text_exactly_but_for_blanks_at_its_ends(texts: list[str]) -> None:
    field = TextField(pieces=300).measured(Texts(("the théâtre, the thing\n" * 20,)))
    assert 258 < len(field.vocabulary) <= 300
    for text in texts:
        tokens = tokens_of([text], field.tokenizer, 200)
        assert UNKNOWN not in tokens
        assert field.text(tokens[0]) == text.strip()


def test_pieces_of_frequent_words_are_whole_words_and_their_training_is_repeatable() -> None:
    texts = Texts(("the cat sat on the mat",) * 9)
    field = TextField(pieces=290).measured(texts)
    assert field == TextField(pieces=290).measured(texts)
    assert tokens_of(["the the cat"], field.tokenizer, 4).bool().tolist() == [[True, True, True, False]]


def test_a_vocabulary_of_pieces_holds_all_bytes() -> None:
    with pytest.raises(ValueError, match="pieces=100: expected at least 258"):
        TextField(pieces=100).measured(Texts(("a",)))
