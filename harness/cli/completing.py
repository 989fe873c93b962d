"""What a shell may complete after an option: names of plugins, found without importing any of them."""

from __future__ import annotations

from collections.abc import Callable

from harness.registry import Registry


def names_of(*kinds: str, besides: tuple[str, ...] = ()) -> Callable[[str], list[str]]:
    """Completes the last name of a list with commas: `vae,ji` -> `vae,jigsaw`. besides: words that are no plugins."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        if "[" in last:  # its parameters are known to the plugin alone
            return []
        registry = Registry()
        names = [*besides, *(info.name for kind in kinds for info in registry.infos(kind))]
        return [f"{before}{comma}{name}" for name in dict.fromkeys(names) if name.startswith(last.strip())]

    return complete
