"""Features that never change: of the network, not of what it learned, so it is told and not ranked."""

from __future__ import annotations

from collections.abc import Mapping

from harness.plugin import EvaluationSpec, NoConfig, ScoreSpec, Subject, hookimpl


def run(subject: Subject, config: NoConfig) -> Mapping[str, float]:
    return {"dead": float((subject.features("test").std(0) == 0).double().mean())}


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    dead = ScoreSpec(
        name="dead", unit="fraction", better="lower", low=0.0, high=1.0, primary=True, role="told",
        help="share of features that are the same for all test images",
    )  # fmt: skip
    return EvaluationSpec(name="dead-units", run=run, scores=(dead,), source="own work")
