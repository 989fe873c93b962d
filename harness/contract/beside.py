"""A plugin checked in a process beside this one: one that exits, crashes or hangs has broken the contract there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from harness.aside import Gone, Tell, aside
from harness.contract.checks import Check
from harness.records import PluginRef

SECONDS = 600.0  # that one check may take; those of video take the longest, about ten


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is checked, and on what."""

    ref: PluginRef
    root: Path | None  # folder of all datasets; None: where they usually are
    shape: tuple[int, int] | None  # channels and size in pixels
    backbone: PluginRef | None


def checked_beside(asked: Asked) -> list[Check]:
    """All checks; the last is failed where the plugin ended its process. Raises RequestError as loading does."""
    checks: list[Check] = []
    plugin, begun = asked.ref.name, "loads"
    try:
        for told in aside(lambda tell: _check(asked, tell), seconds=SECONDS, quiet=False):
            if "begun" in told:
                plugin, begun = told["begun"]
            else:
                checks.append(Check(**told))
    except Gone as how:
        checks.append(Check(plugin=plugin, name=begun, status="failed", detail=f"it {how}; nothing more was checked"))
    return checks


def _check(asked: Asked, tell: Tell) -> None:
    from harness.registry import Registry
    from harness.registry.config import resolve
    from harness.registry.finding import plugins_named

    registry, params = Registry(), asked.ref.params
    plugins = plugins_named(registry, asked.ref.name)
    for loaded in plugins if params else []:
        resolve(loaded.spec.config, params, loaded.info.name)  # what is mistyped here is no fault of the plugin

    from harness.contract.kit import Setting, checks_of  # torch, which a bad request need not wait for
    from harness.loading import data_root

    setting = Setting(shape=asked.shape, backbone=asked.backbone)
    if setting.backbone is not None:
        setting.encoder("image", registry)  # a misspelt one is a bad request
    for loaded in plugins:

        def say(title: str, name: str = loaded.info.name) -> None:
            tell({"begun": [name, title]})

        for check in checks_of(loaded, registry, data_root(asked.root), params, setting, say):
            tell(asdict(check))
