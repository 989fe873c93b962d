"""Moving averages of weights: what diffusion models sample from. Polyak and Juditsky 1992; Ho et al. 2020, section 4.

w_avg <- d w_avg + (1 - d) w after every step, with d = min(decay, (1 + n) / (10 + n)) at the n-th update, so that a
short training forgets its first weights too.
"""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

WARM_UP = 10  # the smaller, the sooner the decay is reached


class Averaged(nn.Module, Generic[Network]):
    """The moving average of a network, held in buffers: saved, moved and copied with its owner, never trained.

    Call `update(network)` in the owner's `after_step()`. `network` is a copy with the averaged weights, always in
    eval mode; floating-point buffers, such as the statistics of a BatchNorm, are averaged too, all others copied.
    """

    network: Network
    updates: Tensor

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__()
        self.decay = decay  # d
        self.network = with_frozen_weights(network).eval()
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))  # n

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.updates += 1
        n = int(self.updates)
        share = 1 - min(self.decay, (1 + n) / (WARM_UP + n))
        latest = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        for name, average in self.network.named_buffers():
            if average.is_floating_point():
                average.lerp_(latest[name].to(average.dtype), share)
            else:
                average.copy_(latest[name])

    def train(self, mode: bool = True) -> Averaged[Network]:
        return super().train(False)


def with_frozen_weights(network: Network) -> Network:
    """A deep copy whose parameters have become buffers: no optimiser finds them, and nothing can unfreeze them."""
    frozen = copy.deepcopy(network)
    for module in frozen.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach().clone(memory_format=torch.preserve_format))
    return frozen
