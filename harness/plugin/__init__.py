"""What a plugin imports of Harness: `from harness.plugin import MethodSpec, hookimpl`.

A plugin is one module with a hook that returns a spec. What it may import beside this face is the public list:
`harness.nn`, `harness.metrics`, `harness.judging`, the readers of `harness.data`, `harness.seeding` and
`harness.precision`. Everything else may change from one version to the next.

Importing this package is cheap: a name is loaded from its home when it is first used, and torch with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, and for digests, which follow a name to its home
    from harness.data.batches import Batch
    from harness.data.fields import ANY, DataSpec, Factor, ImageField, TextField, VideoField
    from harness.data.rows import RawData, Rows
    from harness.errors import DatasetMissing, NotApplicable, RequestError, TrainingFailed
    from harness.judging.subject import Subject
    from harness.nn.backbone import Backbone
    from harness.plugin.hookspecs import hookimpl
    from harness.plugin.specs import BackboneSpec, DatasetSpec, EvaluationSpec, MethodSpec, NoConfig
    from harness.precision import full_precision
    from harness.records import Information, ScoreSpec, ScoreValue, SplitName

_HOMES = {
    "ANY": "harness.data.fields",
    "Backbone": "harness.nn.backbone",
    "BackboneSpec": "harness.plugin.specs",
    "Batch": "harness.data.batches",
    "DataSpec": "harness.data.fields",
    "DatasetMissing": "harness.errors",
    "DatasetSpec": "harness.plugin.specs",
    "EvaluationSpec": "harness.plugin.specs",
    "Factor": "harness.data.fields",
    "ImageField": "harness.data.fields",
    "Information": "harness.records",
    "MethodSpec": "harness.plugin.specs",
    "NoConfig": "harness.plugin.specs",
    "NotApplicable": "harness.errors",
    "RawData": "harness.data.rows",
    "RequestError": "harness.errors",
    "Rows": "harness.data.rows",
    "ScoreSpec": "harness.records",
    "ScoreValue": "harness.records",
    "SplitName": "harness.records",
    "Subject": "harness.judging.subject",
    "TextField": "harness.data.fields",
    "TrainingFailed": "harness.errors",
    "VideoField": "harness.data.fields",
    "full_precision": "harness.precision",
    "hookimpl": "harness.plugin.hookspecs",
}
__all__ = [
    "ANY",
    "Backbone",
    "BackboneSpec",
    "Batch",
    "DataSpec",
    "DatasetMissing",
    "DatasetSpec",
    "EvaluationSpec",
    "Factor",
    "ImageField",
    "Information",
    "MethodSpec",
    "NoConfig",
    "NotApplicable",
    "RawData",
    "RequestError",
    "Rows",
    "ScoreSpec",
    "ScoreValue",
    "SplitName",
    "Subject",
    "TextField",
    "TrainingFailed",
    "VideoField",
    "full_precision",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness.plugin' has no attribute '{name}': it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(_HOMES[name]), name)
