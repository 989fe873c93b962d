"""Equal shares: soft assignments of a batch to prototypes, such that every prototype gets as much as any other.

Cuturi 2013, arXiv:1306.0895; Caron et al. 2020, arXiv:2006.09882, section 3.1 and appendix A. B examples, K prototypes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.nn.gathering import gathered_apart, summed
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
        logits = scores.float() / epsilon
        plan = (logits - gathered_apart(logits.amax()[None]).amax()).exp()  # one factor for all, which scaling undoes
        for _ in range(iterations):
            plan = plan / summed(plan.sum(0)).clamp_min(torch.finfo(plan.dtype).tiny)  # (K,)
            plan = plan / plan.sum(1, keepdim=True)  # (B,1)
    return plan
