"""Contrastive losses: tell the other view of the same image among views of others. In nats per example, in fp32.

B examples of the batch (W*B on W processes, which see each other's), P units of an embedding, Q negatives of a queue.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.nn.gathering import gathered, gathered_apart
from harness.precision import full_precision


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """NT-Xent: for each of 2B views, the cross-entropy of its partner among the 2B - 1 other views.

    Chen et al. 2020, arXiv:2002.05709, equation 1, averaged over both directions:
    l(i,j) = -log exp(cos(z_i, z_j) / T) / sum_{k != i} exp(cos(z_i, z_k) / T).

    one, other: embeddings (B,P) of two views of the same images, in the same order; they need not be of length 1.
    temperature: T, above 0.
    """
    with full_precision(one.device):
        views = F.normalize(torch.cat([gathered(one.float()), gathered(other.float())]), dim=1)  # (2B,P)
        logits = (views @ views.T / temperature).fill_diagonal_(-torch.inf)  # (2B,2B)
    count = len(views)
    return F.cross_entropy(logits, torch.arange(count, device=one.device).roll(count // 2))


def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """InfoNCE with a queue: the cross-entropy of each query's own key among it and Q negatives.

    He et al. 2020, arXiv:1911.05722, equation 1. Gradients reach what has them: MoCo's keys and negatives have none.

    queries, keys: embeddings (B,P), a key for each query. negatives: (Q,P). None need be of length 1.
    temperature: T, above 0.
    """
    with full_precision(queries.device):
        asked = F.normalize(gathered(queries.float()), dim=1)  # (B,P)
        own = gathered(keys.float()) if keys.requires_grad else gathered_apart(keys.float())
        alike = (asked * F.normalize(own, dim=1)).sum(1, keepdim=True)  # (B,1)
        unlike = asked @ F.normalize(negatives.float(), dim=1).T  # (B,Q)
        logits = torch.cat([alike, unlike], 1) / temperature  # the own key first
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))


def matching_logits(one: Tensor, other: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Of which image of the batch is this another view? Cosines / T of each with each, and the answers 0 to B - 1.

    one, other: embeddings (B,P) of two views of the same images, of any length -> (B,B) in fp32, and int64 (B,).
    """
    with full_precision(one.device):
        cosines = F.normalize(one.float(), dim=1) @ F.normalize(other.float(), dim=1).T
    return cosines / temperature, torch.arange(len(one), device=one.device)
