"""Similarity: how alike are representations, of several methods, of layers, before and after training? Linear CKA.

CKA of features X and Y of the same test images is 1 where they differ by a rotation and a scale alone, and about 0
where they have nothing in common. Kornblith et al. 2019, arXiv:1905.00414, section 3, with the unbiased estimate of
Nguyen et al. 2021, arXiv:2010.15327, eq. 3 (harness.metrics.centred_alignment): the plain one is near 1 for any
features of more dimensions than images.

cka_to_untrained  of the features with those of the same method before training, from the same seed: 1 where training
                  moved nothing but axes and scale
cka_to_inputs     of the features with the inputs as they are, their pixels: not for texts

Both tell and rank nothing. Kept for the report: the features of `examples` test images, the same for all methods on a
target with one seed, of which it draws the CKA of every two methods; and the CKA of every two layers of the backbone
(each child of the trunk, maps flattened), with the inputs first and the representation last.

N images, D features, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from harness.data.fields import PLURALS
from harness.judging.layers import layers_of, watched
from harness.judging.subject import ENCODING_BATCH
from harness.metrics.centred_alignment import FEWEST, gram, linear_cka
from harness.metrics.features import drawn_rows
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl

INPUTS, REPRESENTATION = "inputs", "representation"


@dataclass(frozen=True, kw_only=True)
class Config:
    examples: int = 512  # test images compared

    def __post_init__(self) -> None:
        if not FEWEST <= self.examples <= ENCODING_BATCH:
            raise ValueError(f"examples must be {FEWEST} to {ENCODING_BATCH}")


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the features as they are; pictures of the layers, and what the report compares."""
    rows = drawn_rows(len(subject.inputs("test")), config.examples, subject.generator("similarity rows"))
    if len(rows) < FEWEST:
        raise NotApplicable(f"{subject.target.name} has {len(rows)} test examples: CKA needs {FEWEST}")
    features = subject.features("test")[rows]
    things = PLURALS[subject.target.spec.kind]
    subject.keep_features("similarity", features, rows, f"Linear CKA of the features of {len(rows)} test {things}",
                          heading="Similarity of methods")  # fmt: skip
    inputs = subject.inputs("test").take(rows)
    grams = {REPRESENTATION: gram(features)}
    if subject.spec.kind != "text":
        grams[INPUTS] = gram(inputs.float())
    if moved_by_training(subject):
        grams["untrained"] = gram(subject.batched(_untrained_encoder(subject), inputs))
    _show_layers(subject, inputs, grams)
    alike = dict(zip(grams, linear_cka(list(grams.values()))[0].tolist(), strict=True))
    return {
        f"cka_to_{name}": ScoreValue(value=value, n=len(rows))
        for name, value in alike.items()
        if name != REPRESENTATION and value == value
    }


def moved_by_training(subject: Subject) -> bool:
    """Is there a before? Not of what is fitted in closed form, nor of what was trained elsewhere."""
    return not subject.has("fit") and subject.cell.kind != "pretrained"


def _untrained_encoder(subject: Subject) -> Callable[[Tensor], Tensor]:
    method: Any = subject.untrained()
    where = subject.readout.name
    return (lambda inputs: method.read(inputs, where)) if where else method.encode


def _show_layers(subject: Subject, inputs: Tensor, grams: Mapping[str, Tensor]) -> None:
    """CKA of every two of the inputs, the layers and the representation: (L+2,L+2)."""
    with watched(layers_of(subject.method), len(inputs)) as layers:
        subject.batched(subject.encode, inputs)  # one batch
    if not layers:
        return
    first = {INPUTS: grams[INPUTS]} if INPUTS in grams else {}
    shown = {**first, **layers, REPRESENTATION: grams[REPRESENTATION]}
    things = PLURALS[subject.target.spec.kind]
    subject.show_matrix(
        "layers",
        linear_cka(list(shown.values())),
        list(shown),
        list(shown),
        f"Linear CKA of every two layers of the backbone, on {len(inputs)} test {things}; maps are flattened",
        heading="Similarity of layers",
        place=180,
    )


SCORES = tuple(
    ScoreSpec(name=f"cka_to_{name}", unit="CKA", better="none", low=-1.0, high=1.0, help=text)
    for name, text in (
        ("untrained", "linear CKA of the features with those of the method before training, from the same seed"),
        ("inputs", "linear CKA of the features with the inputs as they are"),
    )
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="similarity",
        run=run,
        takes=ANY,
        scores=SCORES,
        config=Config,
        on_request=True,
        source="arXiv:1905.00414, section 3, with the estimator of arXiv:2010.15327, eq. 3",
    )
