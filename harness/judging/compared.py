"""Features of some test examples in a small file beside a cell: a report compares those of all methods.

An .npz of `features` (N,D') float16 in units of their root mean square, centred and turned, so that D' is at most N,
`rows` (N,) of the test split, and `data`: what must be equal for two files to speak of the same examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.arrays import read_arrays, write_arrays
from harness.metrics.centred_alignment import isometric


@dataclass(frozen=True)
class Kept:
    """What one file holds."""

    features: Tensor  # (N,D') float32
    examples: str  # equal for the same examples


def write(file: Path, features: Tensor, rows: Tensor, data: str) -> None:
    """Keep features (N,D), up to rotation and scale, which linear CKA does not see."""
    values = isometric(features)
    scale = float(values.square().mean().sqrt()) or 1.0
    arrays = {"features": (values / scale).half().numpy(), "rows": rows.to(torch.int32).numpy(), "data": np.array(data)}
    write_arrays(file, arrays)


def read(file: Path) -> Kept:
    """The inverse. Raises OSError, ValueError or KeyError where it is none."""
    content = read_arrays(file)
    features = torch.from_numpy(content["features"].astype(np.float32))
    return Kept(features, f"{content['data']} {content['rows'].tobytes().hex()}")
