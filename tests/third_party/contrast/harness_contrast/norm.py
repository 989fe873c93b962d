"""The mean length of a representation."""

from __future__ import annotations

from collections.abc import Mapping

from harness.judging.subject import Subject
from harness.plugin.hookspecs import hookimpl
from harness.plugin.specs import EvaluationSpec, NoConfig
from harness.records import ScoreSpec


def run(subject: Subject, config: NoConfig) -> Mapping[str, float]:
    return {"norm": float(subject.features("test").norm(dim=1).mean())}


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    norm = ScoreSpec(name="norm", unit="feature units", better="none", low=0.0, help="mean of |z|")
    return EvaluationSpec(name="feature-norm", run=run, scores=(norm,), source="own work")
