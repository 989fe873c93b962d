"""Constraints for pip: the oldest version of each dependency that pyproject.toml allows. `make oldest`.

torch and torchvision are left out: an old one is a download of gigabytes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NEWEST = ("torch", "torchvision")

for needed in tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]:
    name, _, oldest = needed.partition(">=")
    if name not in NEWEST:
        print(f"{name}=={oldest}.*")
