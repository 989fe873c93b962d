"""A method that waits at two fifths of its budget, as long as a file is there: what is killed then is killed at a step
that is known, however fast or busy the machine is. An unpackaged plugin file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from harness.plugin import MethodSpec, hookimpl
from harness_plugins.pretext.rotation import Config as RotationConfig
from harness_plugins.pretext.rotation import Rotation

AT = 0.4  # of the budget


@dataclass(frozen=True, kw_only=True)
class Config(RotationConfig):
    until: str = ""  # a file; none: it does not wait


class Held(Rotation):
    """Rotation prediction, but for that."""

    def loss(self, batch):
        while self.config.until and batch.progress >= AT and Path(self.config.until).exists():
            time.sleep(0.01)
        return super().loss(batch)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="held", kind="pretext", build=Held, config=Config, source="arXiv:1803.07728")
