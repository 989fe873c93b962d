"""Exponential moving averages of weights: what diffusion models sample from, and the targets of BYOL, DINO and others.

Polyak and Juditsky 1992; Ho et al. 2020, arXiv:2006.11239, section 4; Tarvainen and Valpola 2017, arXiv:1703.01780.

w_avg <- d w_avg + (1 - d) w after every step. With a warm-up d = min(decay, (1 + n) / (10 + n)) at the n-th update, so
that a short training forgets its first weights too.
"""

from __future__ import annotations

import copy
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

WARM_UP = 10  # the smaller, the sooner the decay is reached


class ExponentialMovingAverage(nn.Module, Generic[Network]):
    """The exponential moving average of a network, held in buffers: saved, moved, copied with its owner, not trained.

    Call `update(network)` in the owner's `after_step(progress)`; `self.network` is a copy with the averaged weights.

    network: what is averaged; it is copied, and the original stays as it is.
    decay: d, in [0,1]; 0 follows the network, 1 stays at the first weights.
    statistics: what normalises in BatchNorm. "running": the copy is always in eval mode, so it takes its running
        statistics, which are averaged like weights (for samplers). "batch": while its owner trains, those of the batch
        that it is given, as the network itself does (for the targets of self-supervised methods: with running ones
        BYOL loses 5 points of kNN on digits and DINO does not learn); once its owner is in eval mode, the running ones.
        These move by `update` alone, never by a forward pass.
    warm_up: False takes `decay` from the first update on, as papers on self-supervised methods do.
    """

    network: Network
    updates: Tensor

    def __init__(
        self,
        network: Network,
        decay: float,
        *,
        statistics: Literal["running", "batch"] = "running",
        warm_up: bool = True,
    ) -> None:
        super().__init__()
        if statistics not in ("running", "batch"):
            raise ValueError(f"statistics is '{statistics}': choose 'running' or 'batch'")
        self.decay = _checked(decay)
        self.statistics = statistics
        self.warm_up = warm_up
        self.network = with_frozen_weights(network)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))  # n
        if statistics == "batch":
            for layer in _batch_norms(self.network):
                layer.track_running_stats = False  # a forward pass in train mode leaves the running ones alone
        self.train()

    @torch.no_grad()
    def update(self, network: Network, decay: float | None = None) -> None:
        """Take in the present weights and floating-point buffers of `network`; its other buffers are copied.

        decay: d of this update, where it changes in training, instead of that of the average.
        """
        self.updates += 1
        n = int(self.updates)
        wanted = self.decay if decay is None else _checked(decay)
        share = 1 - (min(wanted, (1 + n) / (WARM_UP + n)) if self.warm_up else wanted)
        latest = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        for name, average in self.network.named_buffers():
            if average.is_floating_point():
                average.lerp_(latest[name].to(average.dtype), share)
            else:
                average.copy_(latest[name])

    def train(self, mode: bool = True) -> ExponentialMovingAverage[Network]:
        """The copy stays in eval mode; with batch statistics its BatchNorm follows the mode of the owner."""
        super().train(False)
        if self.statistics == "batch":
            for layer in _batch_norms(self.network):
                layer.train(mode)
        return self


def _batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def _checked(decay: float) -> float:
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is {decay:g}, expected a fraction in [0,1]")
    return decay


def with_frozen_weights(network: Network) -> Network:
    """A deep copy whose parameters have become buffers: no optimiser finds them, and nothing can unfreeze them."""
    frozen = copy.deepcopy(network)
    for module in frozen.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach().clone(memory_format=torch.preserve_format))
    return frozen
