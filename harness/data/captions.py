"""Captions as tokens: lower-case words by their place in the vocabulary of the training captions.

N captions, L words of the longest one in training. Token 0 is no word (after the end), 1 a word that training lacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

NOTHING, UNKNOWN = 0, 1
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words_of(caption: str) -> list[str]:
    """The words of a caption, without punctuation.

    >>> words_of("A small, dark-red circle at the top!")
    ['a', 'small', 'dark-red', 'circle', 'at', 'the', 'top']
    """
    return WORD.findall(caption.lower())


def vocabulary_of(captions: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """All words of the captions in alphabetical order, after the two special tokens; and L, at least 1.

    >>> vocabulary_of(["a red circle", "a circle"])
    (('', '?', 'a', 'circle', 'red'), 3)
    """
    texts = [words_of(caption) for caption in captions]
    return ("", "?", *sorted({word for text in texts for word in text})), max([1, *map(len, texts)])


def tokenised(captions: Sequence[str], vocabulary: Sequence[str], length: int) -> Tensor:
    """int64 (N,L): each caption's first L words as indices into the vocabulary.

    >>> tokenised(["a blue circle"], ("", "?", "a", "circle", "red"), 4).tolist()
    [[2, 1, 3, 0]]
    """
    place = {word: index for index, word in enumerate(vocabulary)}
    tokens = torch.zeros(len(captions), length, dtype=torch.int64)
    for row, caption in enumerate(captions):
        known = [place.get(word, UNKNOWN) for word in words_of(caption)[:length]]
        tokens[row, : len(known)] = torch.tensor(known, dtype=torch.int64)
    return tokens


def text_of(tokens: Tensor, vocabulary: Sequence[str]) -> str:
    """The words of one caption's tokens (L,).

    >>> text_of(torch.tensor([2, 4, 3, 0]), ("", "?", "a", "circle", "red"))
    'a red circle'
    """
    return " ".join(vocabulary[token] for token in tokens.tolist() if token != NOTHING)
