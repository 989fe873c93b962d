"""Blocks of attention over tokens, as vision transformers have them: normalised first, without dropout.

B examples, L tokens, D features, N heads.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Tokens look at each other, then each is thought over: (B,L,D) -> (B,L,D). Order plays no part.

    Dosovitskiy et al. 2021, arXiv:2010.11929, equations 2 and 3, with the initialisation of He et al. 2022 (uniform
    after Glorot). Raises ValueError where the features cannot be shared out evenly among the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} is no multiple of heads={heads}")
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm_perceptron = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(self, tokens: Tensor, seen: Tensor | None = None) -> Tensor:
        """`seen`: bool (B or 1,L,L), which tokens (last) each token looks at, at least one; None: all of them."""
        tokens = tokens + self._attended(self.norm_attention(tokens), seen)
        return tokens + self.perceptron(self.norm_perceptron(tokens))

    def _attended(self, tokens: Tensor, seen: Tensor | None) -> Tensor:
        batch, length, width = tokens.shape
        parts = self.queries_keys_values(tokens).reshape(batch, length, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # (B,N,L,D/N) each
        return self.merge(attention(queries, keys, values, seen).transpose(1, 2).reshape(batch, length, width))


def attention(queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
    """softmax(q k' / sqrt(d)) v: (B,N,L,d) three times -> (B,N,L,d). Vaswani et al. 2017, arXiv:1706.03762, eq. 1.

    seen: bool (B or 1,L,L), which keys (last) each query sees, at least one; None: all of them.
    """
    if queries.device.type != "cpu":
        mask = None if seen is None else seen.unsqueeze(1)
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    # For the short sequences that a CPU can train, torch's fused kernel is no faster in fp32, and half as fast in bf16.
    logits = queries @ keys.transpose(-2, -1) * queries.shape[-1] ** -0.5  # (B,N,L,L)
    if seen is not None:
        logits = logits.masked_fill(~seen.unsqueeze(1), float("-inf"))
    weights = logits.softmax(-1)
    return weights.to(values.dtype) @ values
