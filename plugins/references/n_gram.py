"""Unigram and bigram: the next word by how often it follows the last one, with interpolated Kneser-Ney smoothing.

Chen and Goodman 1999, section 2.7. B texts, L tokens, V words, P words of a beginning.
`n-gram[order=1]` knows nothing but how often each word is there. Its representation is a text's own unigram: which part
of its words each word is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.columns import Column, blocks, column_of
from harness.data.tokens import PADDING
from harness.metrics import kneser_ney
from harness.nn.word_draws import drawn_words
from harness.plugin import DataSpec, MethodSpec, NotApplicable, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    order: int = 2  # 1: unigram, 2: bigram

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ValueError("order must be 1 or 2")


class NGram(nn.Module):
    table: Tensor

    def __init__(self, backbone: None, data: DataSpec[TextField], config: Config) -> None:
        super().__init__()
        size = len(data.inputs.vocabulary)
        if size > kneser_ney.MOST:
            raise NotApplicable(f"its table has {kneser_ney.MOST} words at most, here are {size}: take fewer pieces")
        self.order = config.order
        self.register_buffer("table", torch.zeros(size, size) if config.order == 2 else torch.zeros(1, size))

    def fit(self, tokens: Tensor | Column) -> None:
        size = self.table.shape[1]
        counts = torch.zeros(size, size)
        for block in blocks(column_of(tokens), 4096):
            counts += kneser_ney.pair_counts(block.cpu(), size)
        found = kneser_ney.bigram(counts) if self.order == 2 else kneser_ney.smoothed(counts.sum(0)).unsqueeze(0)
        self.table.copy_(found)

    def next_words(self, tokens: Tensor) -> Tensor:
        before = F.pad(tokens, (1, 0), value=PADDING)[:, :-1]
        return self.table[before if self.order == 2 else torch.zeros_like(before)].log()  # (B,L,V)

    def encode(self, tokens: Tensor) -> Tensor:
        counts = torch.zeros(len(tokens), self.table.shape[1], device=tokens.device)
        counts = counts.scatter_add_(1, tokens, torch.ones_like(tokens, dtype=counts.dtype))[:, 1:]
        return counts / counts.sum(1, keepdim=True).clamp_min(1)  # (B,V-1)

    def complete(
        self, prompts: Tensor, words: int, generator: torch.Generator, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        texts = prompts
        for _ in range(words):
            logits = self.table[texts[:, -1] if self.order == 2 else torch.zeros_like(texts[:, -1])].log()
            drawn = drawn_words(logits, generator, temperature=temperature, top_p=top_p).to(texts.device)
            texts = torch.cat([texts, drawn.unsqueeze(1)], 1)
        return texts  # (B,P+words)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="n-gram",
        kind="reference",
        build=NGram,
        config=Config,
        takes=("text",),
        uses_backbone=False,
        source="Chen and Goodman 1999, Computer Speech and Language 13:359",
    )
