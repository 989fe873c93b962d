"""Equal shares: soft assignments of a batch to prototypes, such that every prototype gets as much as any other.

Cuturi 2013, arXiv:1306.0895; Caron et al. 2020, arXiv:2006.09882, section 3.1 and appendix A. B examples, K prototypes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.nn.gathering import gathered_apart, rank
from harness.precision import full_precision


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """The plan of optimal transport between examples and prototypes, smoothed: rows (B,K) that sum to 1.

    Alternately the columns of exp(scores / epsilon) are scaled to equal sums and its rows to equal sums, the rows last.
    On several processes the columns are those of the whole batch, so that each row is what one process would give it.
    It has no gradient: it is a target.

    scores: (B,K), such as cosines. epsilon: the smaller, the harder the assignment. iterations: of both scalings.
    """
    with full_precision(scores.device):
        logits = gathered_apart(scores.float()) / epsilon  # (W*B,K)
        for _ in range(iterations):
            logits = logits - logits.logsumexp(0)  # in logarithms, so that no score is too large
            logits = logits - logits.logsumexp(1, keepdim=True)
        own = rank() * len(scores)
        return logits[own : own + len(scores)].exp()
