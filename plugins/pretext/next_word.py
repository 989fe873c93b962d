"""The next word, from the words before it: Bengio et al. 2003, JMLR 3:1137, with the network of the run.

    loss = -1/N sum_l log p(w_l | w_1 ... w_(l-1)),  or with `context` k: log p(w_l | w_(l-k) ... w_(l-1))

B texts, L tokens, D features, V words, N words that are predicted, P places.
Every word of a text is asked for at once, from states that look back alone (`Backbone.look_back`), and the end of a
text is predicted too, as PADDING. Words are tokens: pieces of words where the dataset says so. With a context, each
word that is asked for is one window of its own, so that no layer sees further; of each text one in k places is asked
for in a batch, as much work as all of them without a context; the representation reads whole texts all the same.
`complete` goes on with a text, word by word, each drawn with a temperature and from the likeliest words alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.tokens import PADDING
from harness.nn.word_draws import drawn_words
from harness.nn.word_head import WordHead, told_apart
from harness.nn.words import are_words, last_of_words, read_words, trimmed, word_readouts
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    context: int = 0  # k, the words that a word is predicted from, at most; 0: all before it

    def __post_init__(self) -> None:
        if self.context < 0:
            raise ValueError("context must be at least 1, or 0 for all words before")


class NextWord(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[TextField], config: Config) -> None:
        super().__init__()
        self.context = config.context
        backbone.look_back()
        self.backbone = backbone  # (B,L) -> (B,D)
        self.start = nn.Parameter(torch.zeros(backbone.dim))  # (D,), the state before the first word
        self.head = WordHead(backbone, len(data.inputs.vocabulary))  # (...,D) -> (...,V)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens = F.pad(trimmed(batch.inputs), (0, 1), value=PADDING)[:, : batch.inputs.shape[1]]  # with an end each
        asked = F.pad(are_words(tokens)[:, :-1], (1, 0), value=True)  # (B,L): words, and the end after them
        if not self.context:
            return self.logits(self.states_before(tokens)[asked]), tokens[asked]
        asked &= torch.rand(asked.shape, device=asked.device) < 1 / self.context
        asked[:, 0] |= ~asked.any(1)
        rows, places = asked.nonzero(as_tuple=True)  # (N,) each
        return self.logits(self.states_at(tokens, rows, places)), tokens[asked]

    def loss(self, batch: Batch) -> Tensor:
        logits, words = self.solve(batch)
        batch.log("accuracy", told_apart(logits, words))
        return F.cross_entropy(logits, words)  # nats per word

    def logits(self, states: Tensor) -> Tensor:
        return self.head(states, self.backbone.word_vectors)  # (...,D) -> (...,V)

    def states_before(self, tokens: Tensor) -> Tensor:
        """What is known before each word: (B,L) -> (B,L,D)."""
        start = self.start.expand(len(tokens), 1, -1)
        return torch.cat([start, self.backbone.words(tokens)[:, :-1]], 1)

    def states_at(self, tokens: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        """What the last k words tell before some places (N,) of some texts (N,): (N,D)."""
        known = places.clamp_max(self.context).unsqueeze(1)  # (N,1)
        steps = torch.arange(self.context, device=tokens.device)  # (k,)
        index = (places.unsqueeze(1) - known + steps).clamp_max(tokens.shape[1] - 1)  # (N,k)
        windows = tokens[rows.unsqueeze(1), index].masked_fill(steps >= known, PADDING)
        states = last_of_words(self.backbone.words(windows), windows)
        return torch.where(known > 0, states, self.start)

    def next_words(self, tokens: Tensor) -> Tensor:
        if not self.context:
            return self.logits(self.states_before(tokens))  # (B,L,V)
        rows, places = torch.ones_like(tokens).nonzero(as_tuple=True)
        return self.logits(self.states_at(tokens, rows, places)).unflatten(0, tokens.shape)

    def complete(
        self, prompts: Tensor, words: int, generator: torch.Generator, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        texts = prompts
        for _ in range(words):
            longer = F.pad(texts, (0, 1), value=PADDING)
            drawn = drawn_words(self.next_words(longer)[:, -1], generator, temperature=temperature, top_p=top_p)
            ended = (texts == PADDING).any(1)
            longer[:, -1] = drawn.to(longer.device).masked_fill(ended, PADDING)
            texts = longer
        return texts  # (B,P+words)

    def encode(self, tokens: Tensor) -> Tensor:
        return self.read(tokens, self.readouts()[0])  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return word_readouts(self.backbone)

    def read(self, tokens: Tensor, readout: str) -> Tensor:
        return read_words(self.backbone, tokens, readout)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="next-word",
        kind="pretext",
        build=NextWord,
        config=Config,
        takes=("text",),
        source="Bengio et al. 2003, JMLR 3:1137",
        recipe={"batch_size": 64, "learning_rate": 3e-3},
    )
