"""Skip-gram with negative sampling: which words stand near this one? Mikolov et al. 2013, arXiv:1310.4546, equation 4.

    loss = -log s(u_c v_w) - sum_(i=1..Q) log s(-u_i v_w),    s(x) = 1 / (1 + exp(-x))

B texts, L tokens, D features, V words, N pairs of a word w and one c near it, Q words i drawn as noise.
v_w is what the backbone makes of the word alone, as a text of one word, u a vector of each word's own, which is left
behind. Each word has one word near it in a batch, at a distance that is drawn from 1 to `window`, as near ones count
more in word2vec. Noise is drawn from the words of the batch, by their counts to the power 3/4.
Differs from the paper: frequent words are not thinned out; a text is read as its words' mean, or otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.words import are_words, read_words, trimmed, word_readouts
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    window: int = 4  # words to each side, at most
    noise: int = 8  # Q

    def __post_init__(self) -> None:
        if self.window < 1 or self.noise < 1:
            raise ValueError("window and noise must be at least 1")


class SkipGram(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[TextField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,L) -> (B,D)
        self.near = nn.Embedding(len(data.inputs.vocabulary), backbone.dim)  # u
        nn.init.normal_(self.near.weight, std=0.1)  # word2vec: 0; then the backbone would learn nothing at first

    def candidates(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,1+Q) of the word near each word, which is the first, and of noise; and these words (N,1+Q)."""
        words, near = pairs(trimmed(tokens), self.config.window)  # (N,) each
        noise = torch.multinomial(noise_weights(words), len(words) * self.config.noise, replacement=True)
        others = torch.cat([near.unsqueeze(1), noise.view(len(words), -1)], 1)  # (N,1+Q)
        distinct, place = words.unique(return_inverse=True)
        vectors = self.backbone(distinct.unsqueeze(1))[place]  # (N,D)
        return (self.near(others) @ vectors.unsqueeze(2)).squeeze(2), others

    def loss(self, batch: Batch) -> Tensor:
        logits, _ = self.candidates(batch.inputs)
        truth = torch.zeros_like(logits)
        truth[:, 0] = 1
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / max(1, len(logits))  # nats per pair

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The word near among the noise, at a place that is drawn."""
        logits, _ = self.candidates(batch.inputs)
        answers = torch.randint(logits.shape[1], (len(logits),), device=logits.device)  # (N,)
        places = (torch.arange(logits.shape[1], device=logits.device) - answers.unsqueeze(1)) % logits.shape[1]
        return logits.gather(1, places), answers

    def encode(self, tokens: Tensor) -> Tensor:
        return self.read(tokens, self.readouts()[0])  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return word_readouts(self.backbone)

    def read(self, tokens: Tensor, readout: str) -> Tensor:
        return read_words(self.backbone, tokens, readout)


def pairs(tokens: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Each word of texts (B,L) and one near it, before or after, where there is one: (N,), (N,)."""
    distance = torch.randint(1, window + 1, tokens.shape, device=tokens.device)
    side = torch.where(torch.rand(tokens.shape, device=tokens.device) < 0.5, -1, 1)
    place = torch.arange(tokens.shape[1], device=tokens.device) + distance * side  # (B,L)
    inside = (place >= 0) & (place < are_words(tokens).sum(1, keepdim=True)) & are_words(tokens)
    near = tokens.gather(1, place.clamp(0, tokens.shape[1] - 1))
    return tokens[inside], near[inside]


def noise_weights(words: Tensor) -> Tensor:
    """How often each word is drawn as noise, by how often it is among `words` (N,): (V',) up to the last word."""
    return words.bincount().float().pow(0.75)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="skip-gram",
        kind="pretext",
        build=SkipGram,
        config=Config,
        takes=("text",),
        source="arXiv:1310.4546",
        recipe={"batch_size": 64, "learning_rate": 3e-3},
    )
