"""How a check of the contract went, as plain data: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one check of one plugin went."""

    plugin: str
    name: str
    status: Literal["ok", "failed", "skipped", "note"]  # note: allowed, but its author should know
    detail: str = ""
    absent: bool = False  # skipped, since the plugin has no such capability
