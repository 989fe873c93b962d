"""Does it make sense? Answers from declarations alone, each a reason why not or "": nothing is built or read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from harness.data.fields import PLURALS, DataKind, DataSpec
from harness.registry import Chosen

logger = logging.getLogger(__name__)


def reason_against(method: Chosen, backbone: Chosen | None, source: Chosen, data: DataSpec) -> str:
    """Why a method on this backbone cannot learn from a source that looks like `data`."""
    for chosen in (method, *([] if backbone is None else [backbone])):
        if data.kind not in chosen.spec.takes:
            return (
                f"{chosen.info.name} takes {_words(chosen.spec.takes)}, {source.info.name} holds {PLURALS[data.kind]}"
            )
    return _lacking(method, source, data) or _declared(method, data)


def reason_against_judging(
    evaluation: Chosen,
    source: DataSpec,
    target: Chosen,
    data: DataSpec,
    others: Sequence[tuple[Chosen, DataSpec]] = (),
) -> str:
    """Why an evaluation cannot judge, on a target that looks like `data`, what was learned from a source.

    others: the datasets that it reads beside the target, and what they look like.
    """
    name, holds = target.info.name, PLURALS[data.kind]
    if data.kind != source.kind:
        return f"{name} holds {holds}, the method has learned from {PLURALS[source.kind]}"
    if data.kind not in evaluation.spec.takes:
        return f"{evaluation.info.name} judges {_words(evaluation.spec.takes)}, {name} holds {holds}"
    if "masks" in evaluation.spec.needs and not data.regions:
        return f"{name} does not tell what each pixel shows"
    if "targets" in evaluation.spec.needs and not data.targets:
        return f"{name} has no regression targets"
    if "predict" in evaluation.spec.needs and data.classes and data.classes != source.classes:
        return f"{name} has other classes than the source: a method's own predictions are of those it has learned"
    for other, looks in others:
        if looks.kind != source.kind:
            holds = f"{other.ref} holds {PLURALS[looks.kind]}"
            return f"{evaluation.ref} reads {other.ref} beside the target: {holds}, {name} {PLURALS[data.kind]}"
        if other.full == target.full:
            return f"{evaluation.ref} compares the target with {other.ref}, which is the target: name another dataset"
    return ""


def declared_reason(method: Chosen, data: DataSpec) -> str:
    """What the method itself declares against data that looks like this."""
    return method.declared("applies", data, method.config) or "" if method.spec.applies else ""


def _declared(method: Chosen, data: DataSpec) -> str:
    """The same; a fault in it is left to the cell, which meets it again and has a row for it."""
    try:
        return declared_reason(method, data)
    except (Exception, SystemExit) as error:
        logger.debug("applies() of %s failed: %r", method.ref, error)
        return ""


def _lacking(method: Chosen, source: Chosen, data: DataSpec) -> str:
    """What the method uses beside the inputs and the source does not have."""
    there = {
        "labels": bool(data.classes),
        "captions": data.captions is not None,
        "paired": bool(data.paired_domain),
        "unpaired": bool(data.paired_domain),
    }
    lacking = next((name for name in method.uses if not there[name]), "")
    what = "paired images" if "paired" in lacking else lacking
    return f"{source.info.name} has no {what} to learn from" if lacking else ""


def _words(kinds: Sequence[DataKind]) -> str:
    return " or ".join(PLURALS[kind] for kind in kinds) or "nothing"
