"""Drawing a word from logits: temperature, and the nucleus of the likeliest words.

B texts, V words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.data.tokens import UNKNOWN


def drawn_words(logits: Tensor, generator: torch.Generator, *, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
    """One word for each of (B,V) logits: int64 (B,), on their device, never UNKNOWN.

    generator: on the CPU, from which alone is drawn.
    temperature: what logits are divided by; 0: the likeliest word.
    top_p: the fewest likeliest words that have this mass together are drawn from, in (0,1]. Holtzman et al. 2020,
    arXiv:1904.09751, section 3.1.
    Raises ValueError where they are out of their range.
    """
    if temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(f"temperature={temperature} and top_p={top_p}: expected at least 0, and in (0,1]")
    logits = logits.detach().float().cpu().clone()
    logits[:, UNKNOWN] = float("-inf")
    if temperature == 0:
        return logits.argmax(1)
    probabilities, words = (logits / temperature).softmax(1).sort(dim=1, descending=True)  # (B,V)
    before = probabilities.cumsum(1) - probabilities
    nucleus = probabilities.masked_fill(before >= top_p, 0.0)
    return words.gather(1, torch.multinomial(nucleus, 1, generator=generator)).squeeze(1)
