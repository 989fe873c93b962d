"""Texts and captions as tokens of one tokenizer, which is trained on the training split and part of its field.

A token is a lower-case word, by its place in the alphabetical vocabulary of training; 0 is no word (after the end), 1 a
word that training lacks. The tokenizer is one of the `tokenizers` library and is kept as its JSON.

N texts, L tokens of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.data.columns import Column, InMemory, Texts
from harness.data.tokens import PADDING, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORD = r"[^\W_]+(?:['’-][^\W_]+)*"
ALL_WORDS = 2**31  # no limit


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words_of("A small, dark-red circle at the top!")
    ['a', 'small', 'dark-red', 'circle', 'at', 'the', 'top']
    """
    return re.findall(WORD, text.lower())


def trained_tokenizer(strings: Sequence[str], words: int = 0) -> str:
    """A tokenizer by words, as JSON, that knows the `words` most frequent ones of these texts (0: all).

    >>> vocabulary_of(trained_tokenizer(["a red circle", "a circle"]))
    ('', '?', 'a', 'circle', 'red')
    """
    from tokenizers.trainers import WordLevelTrainer

    counting = _by_words({})
    counting.train_from_iterator(strings, WordLevelTrainer(vocab_size=words or ALL_WORDS, show_progress=False))
    known = sorted(counting.get_vocab())
    return _by_words({"": PADDING, "?": UNKNOWN, **{word: 2 + place for place, word in enumerate(known)}}).to_str()


def _by_words(vocabulary: dict[str, int]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    split: Any = pre_tokenizers.Split
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = split(Regex(WORD), behavior="removed", invert=True)
    return tokenizer


@lru_cache(maxsize=8)
def vocabulary_of(tokenizer: str) -> tuple[str, ...]:
    """The words of a tokenizer's JSON by token; none of "", which is not trained yet."""
    if not tokenizer:
        return ()
    words: dict[str, int] = json.loads(tokenizer)["model"]["vocab"]
    return tuple(sorted(words, key=words.__getitem__))


@lru_cache(maxsize=8)
def _loaded(tokenizer: str, length: int) -> Tokenizer:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_str(tokenizer)
    if length:
        loaded.enable_truncation(length)
        loaded.enable_padding(length=length, pad_id=PADDING, pad_token="")
    return loaded


def longest(tokenizer: str, strings: Sequence[str]) -> int:
    """The tokens of the longest text, at least 1."""
    encodings = _loaded(tokenizer, 0).encode_batch(list(strings))
    return max([1, *(len(encoding.ids) for encoding in encodings)])


def tokenised(column: Column, tokenizer: str, length: int) -> Column:
    """Texts as tokens (N,L): each text's first L words, PADDING after the end. Tokens stay as they are."""
    return InMemory(tokens_of(column.strings, tokenizer, length)) if isinstance(column, Texts) else column


def tokens_of(strings: Sequence[str], tokenizer: str, length: int) -> Tensor:
    """Strings as tokens: int64 (N,L)."""
    encodings = _loaded(tokenizer, length).encode_batch(list(strings))
    return torch.tensor([encoding.ids for encoding in encodings], dtype=torch.int64).view(len(strings), length)


def check(column: Column) -> None:
    """Raise ValueError unless the column holds strings."""
    if not isinstance(column, Texts):
        raise ValueError("no list of strings")
    wrong = [text for text in column.strings if not isinstance(text, str)]
    if wrong:
        raise ValueError(f"strings but for {len(wrong)}, such as {wrong[0]!r:.40}")


def strings_of(column: Column) -> tuple[str, ...]:
    """The strings of a column of texts."""
    assert isinstance(column, Texts), "tokens are no texts any more"
    return column.strings
