"""Networks that judge: trained once per dataset, the same whoever asks for them, and kept on the disk.

Every cell gets the same network since its images are put into an order of their own, its seed is fixed, and training
runs on one CPU thread. It is found again by the content of what it learned from.

N images.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from harness.data.cache import write_atomically
from harness.data.columns import Column, blocks, example_shape
from harness.data.rows import Rows
from harness.sealed import Damaged, check_binary, seal_binary

logger = logging.getLogger(__name__)

FACTORS = 1  # seed of the factors that images are hashed with


def kept_weights(folder: Path, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `folder/<key>.safetensors` holds, or what is made now and written there. Who asks meanwhile waits for it.

    A file that is damaged is said so, and made anew.
    """
    from filelock import FileLock
    from safetensors.torch import save

    file = folder / f"{key}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        kept = read_weights(file)
        if kept is not None:
            return kept
        made = {name: value.detach().contiguous() for name, value in make().items()}
        write_atomically(file, lambda out: seal_binary(out, lambda inner: inner.write(save(made))))
        return made


def read_weights(file: Path) -> dict[str, Tensor] | None:
    """The tensors of a file; None where there is none, or where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        with file.open("rb") as opened:
            length = check_binary(opened)
            return load(opened.read(length))
    except FileNotFoundError:
        return None
    except (OSError, Damaged, SafetensorError) as error:
        logger.warning("%s is damaged or of an older version, and made anew: %s", file, error)
        return None


def weights_hash(weights: dict[str, Tensor]) -> str:
    """Six hexadecimal digits: BLAKE2b of names and values."""
    digest = hashlib.blake2b(digest_size=3)
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def in_own_order(split: Rows) -> Rows:
    """The same images, in an order that depends on their content alone: seeds cut train and validation differently.

    With labels come those, and nothing else; equal images stand in the order of their labels.
    """
    return ordered_with_keys(split)[0]


def ordered_with_keys(split: Rows) -> tuple[Rows, Tensor]:
    """`in_own_order`, and the key of each image in that order: int64 (N,)."""
    keys = image_keys(split.inputs)
    if split.labels is None:
        index = torch.argsort(keys, stable=True)
        return Rows(inputs=split.inputs.rows(index)), keys[index]
    by_label = torch.argsort(split.labels, stable=True)  # settles the order of equal images with different labels
    index = by_label[torch.argsort(keys[by_label], stable=True)]
    return Rows(inputs=split.inputs.rows(index), labels=split.labels[index]), keys[index]


def image_keys(images: Column) -> Tensor:
    """A 64-bit hash of each of N images: (N,) int64, the sum of its bytes times random odd numbers."""
    pixels = prod(example_shape(images))
    generator = torch.Generator().manual_seed(FACTORS)
    factors = torch.randint(-(2**62), 2**62, (pixels,), generator=generator) * 2 + 1
    return torch.cat([(part.flatten(1).long() * factors).sum(1) for part in blocks(images, 4096)])


@contextmanager
def one_thread() -> Iterator[None]:
    """The number of threads orders floating-point sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
