"""What two runs were made with that differs, said once for all methods that it concerns."""

from __future__ import annotations

from collections.abc import Iterable

from harness.gate.findings import Differing
from harness.gate.pairing import Pair, Unit

_UNSAID = ("uses", "settings", "train.")  # said by the rows themselves
_KEYED = "keyed."


def differing(pairs: Iterable[Pair]) -> tuple[Differing, ...]:
    """What differs between the two sides of each method's cells."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    methods: dict[str, None] = {}
    for base, candidate in _both(pairs):
        methods[base.place.method] = None
        for what in dict.fromkeys([*base.provenance, *candidate.provenance]):
            one, other = base.provenance.get(what, ""), candidate.provenance.get(what, "")
            if what.endswith("libraries"):
                one, other = _only_what_differs(one, other)
            if one != other and not what.startswith(_UNSAID):
                found.setdefault((what.removeprefix(_KEYED), one, other), {})[base.place.method] = None
    return tuple(
        Differing(what=what, base=one, candidate=other, methods=() if len(of) == len(methods) else tuple(of))
        for (what, one, other), of in found.items()
    )


def _both(pairs: Iterable[Pair]) -> Iterable[tuple[Unit, Unit]]:
    return ((pair.base, pair.candidate) for pair in pairs if pair.base is not None and pair.candidate is not None)


def _only_what_differs(one: str, other: str) -> tuple[str, str]:
    """Of two lists of versions, what only one of them has.

    >>> _only_what_differs("numpy 2.4, scipy 1.17", "numpy 2.5, scipy 1.17")
    ('numpy 2.4', 'numpy 2.5')
    """
    first, second = one.split(", "), other.split(", ")
    return ", ".join(v for v in first if v not in second), ", ".join(v for v in second if v not in first)
