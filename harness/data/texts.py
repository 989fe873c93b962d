"""Texts and captions as tokens of one tokenizer, which is trained on the training split and part of its field.

A token is a lower-case word, by its place in the alphabetical vocabulary of training; 0 is no word (after the end), 1 a
word that training lacks. Or it is a piece of a word, by byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909):
then case, punctuation and every character are kept, and nothing is unknown. The tokenizer is one of the `tokenizers`
library and is kept as its JSON.

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
BYTES = 256  # pieces that every vocabulary of pieces has
NO_PIECE = "\ufffd"  # what UNKNOWN is called among pieces: no piece has that character


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


def trained_pieces(strings: Sequence[str], size: int) -> str:
    """A tokenizer by pieces of words, as JSON: every byte, and as many merged pairs as make it `size` tokens.

    The pieces of a text say it exactly, but for blanks at its ends. Raises ValueError where `size` holds no bytes.

    >>> strings = ["the cat sat on the mat"] * 9
    >>> tokenizer = trained_pieces(strings, 300)
    >>> text_of(tokenizer, tokens_of(["The cat?"], tokenizer, 8)[0].tolist())
    'The cat?'
    """
    from tokenizers import Tokenizer, models
    from tokenizers.trainers import BpeTrainer

    if size < 2 + BYTES:
        raise ValueError(f"pieces={size}: expected at least {2 + BYTES}, which are all bytes")
    alphabet = _byte_alphabet()
    counting = _in_bytes(Tokenizer(models.BPE()))
    trainer = BpeTrainer(vocab_size=size - 2, initial_alphabet=alphabet, show_progress=False)
    counting.train_from_iterator(strings, trainer)
    merges = [(one, other) for one, other in json.loads(counting.to_str())["model"]["merges"]]
    pieces = ["", NO_PIECE, *alphabet, *dict.fromkeys(one + other for one, other in merges)]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    return _in_bytes(Tokenizer(models.BPE(vocabulary, merges))).to_str()


def _byte_alphabet() -> list[str]:
    """The character that stands for each byte, sorted."""
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _in_bytes(tokenizer: Tokenizer) -> Tokenizer:
    from tokenizers import decoders, pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def text_of(tokenizer: str, tokens: Sequence[int]) -> str:
    """What tokens say, padding left out: words with a blank between them, or pieces put together."""
    known = [token for token in tokens if token != PADDING]
    loaded = _loaded(tokenizer, 0)
    if loaded.decoder is None:
        words = vocabulary_of(tokenizer)
        return " ".join(words[token] for token in known)
    return loaded.decode(known, skip_special_tokens=False).strip()


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
