"""Two processes with half a batch each beside one with all of it: the gradients that distributed training would take.

`gradients_of_two(["module:function"])` calls `function(one, other)` on two batches of embeddings in two processes that
talk by gloo, each with its half, and takes the mean over both of the gradients, as DistributedDataParallel does.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import torch
from torch import Tensor

B, IN, OUT = 8, 6, 5


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Weights of a linear encoder (IN,OUT), and two views of the whole batch (B,IN)."""
    generator = torch.Generator().manual_seed(0)
    weights, one, other = (torch.randn(*shape, generator=generator) for shape in ((IN, OUT), (B, IN), (B, IN)))
    return weights, one, other


def gradient(loss_name: str, rank: int = 0, processes: int = 1) -> Tensor:
    """Of the named loss of two encoded views by the encoder's weights, for the rows of one process: (IN,OUT)."""
    weights, one, other = batch()
    weights.requires_grad_()
    rows = torch.arange(B).chunk(processes)[rank]
    module, name = loss_name.split(":")
    loss = getattr(importlib.import_module(module), name)(one[rows] @ weights, other[rows] @ weights)
    (found,) = torch.autograd.grad(loss, weights)
    return found


def gradients_of_two(names: Sequence[str]) -> list[Tensor]:
    """For each loss the mean over two gloo processes of their gradients (IN,OUT); one that fails raises its words."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, f"{folder}/meeting"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        children = [
            subprocess.Popen([*command, str(rank), *names], env=environment, stderr=subprocess.PIPE)
            for rank in range(2)
        ]
        errors = [child.communicate(timeout=240)[1].decode() for child in children]
        for child, error in zip(children, errors, strict=True):
            assert child.returncode == 0, error
        first, second = (torch.load(f"{folder}/meeting.{rank}", weights_only=True) for rank in range(2))
    assert all(map(torch.equal, first, second)), "the processes took different means"
    return first


def assert_two_processes_agree_with_one(*names: str, tolerance: float = 1e-5) -> None:
    """Two processes with half a batch each get the gradient of one with the whole batch.

    names: "module:function" of losses of two batches of embeddings (B,OUT), importable from where tests import.
    """
    for name, found in zip(names, gradients_of_two(names), strict=True):
        expected = gradient(name)
        assert float(expected.abs().max()) > 1e-4, f"{name} has no gradient to compare"
        torch.testing.assert_close(
            found, expected, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def main(meeting: str, rank: str, *names: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=2)
    means = [gradient(name, int(rank), 2) for name in names]
    for mean in means:
        torch.distributed.all_reduce(mean)
    torch.save([mean / 2 for mean in means], f"{meeting}.{rank}")
    torch.distributed.barrier()  # nobody leaves while another still listens
    torch.distributed.destroy_process_group()
    os._exit(0)  # gloo's threads sometimes abort while Python takes itself down


if __name__ == "__main__":
    main(*sys.argv[1:])
