"""Fine-tuning: copy the weights of the first k stages, freeze them or not, and train the rest on the target.

Yosinski et al. 2014, arXiv:1411.1792, section 3: how general are the features of each layer? For every k from 0 (none:
from scratch) to all n stages of the backbone (`Backbone.stages()`), a backbone that is initialised anew gets the
trained weights of the first k stages and a new linear classifier, and is trained on some of the target's training
labels: with the copied stages *frozen* (their BatchNorm statistics too, as they were), or *tuned* like the rest.

Every k and mode, training from scratch among them, has the same labels, initialisation, order of batches and steps, and
as many trials: each learning rate of a grid, each looked at at several points of its schedule; the checkpoint with the
best validation accuracy is the one that test is used for, once. Inputs reach the trunk as the method's own `encode`
gives them (jigsaw: each image less its own mean), from scratch too, so that weights alone differ along a curve. There
is no augmentation: what frozen stages give is computed once. A request's `--labels` says which labels there are, of
training and of validation; of these, at most `labels` of the config are used.

Cost: 2n + 1 models times the rates times the steps. With the defaults, on one core and convnet (n = 3): 27 s on digits
of 16 pixels, 40 s on Fashion-MNIST.
Differs from the paper: the target may be the source (its "selffer" networks) or another dataset; AdamW; the last layer
is always new.

N examples, n stages, K classes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from harness.data.fields import PLURALS
from harness.judging.finetuning import (
    Chosen,
    Descent,
    Examples,
    Transferred,
    best_checkpoint,
    examples_of,
    probabilities,
)
from harness.metrics.classification import majority_share, most_accurate
from harness.metrics.features import drawn_rows
from harness.nn.stages import MOST, copy_stages
from harness.plugin import (
    ANY,
    Backbone,
    EvaluationSpec,
    NotApplicable,
    Rows,
    ScoreSpec,
    ScoreValue,
    Subject,
    hookimpl,
)
from harness.seeding import seed_everything

Mode = Literal["frozen", "tuned"]
MODES: tuple[Mode, ...] = ("frozen", "tuned")


@dataclass(frozen=True, kw_only=True)
class Config:
    labels: float = 500.0  # training rows used: a number, or a fraction in (0,1]; 1: all of them
    steps: int = 150  # of every trial
    batch_size: int = 64
    slowest: float = 1e-3  # smallest learning rate of the grid, at the end of the warm-up
    fastest: float = 3e-2  # largest
    rates: int = 3  # learning rates between them, evenly in the logarithm
    checkpoints: int = 4  # of each rate, evenly over its steps, looked at on validation
    modes: Literal["both", "frozen", "tuned"] = "both"
    validation_limit: int = 1_000  # validation examples used at most, drawn with every class's share kept

    def __post_init__(self) -> None:
        if self.labels <= 0:
            raise ValueError("labels is a number of training rows, or a fraction of them in (0,1]")
        if not 0 < self.slowest <= self.fastest:
            raise ValueError("slowest and fastest are learning rates: 0 < slowest <= fastest")
        if min(self.steps, self.rates, self.checkpoints) < 1 or min(self.batch_size, self.validation_limit) < 2:
            raise ValueError("steps, rates and checkpoints must be at least 1, batch_size and validation_limit 2")

    @property
    def grid(self) -> list[float]:
        """The learning rates, smallest first."""
        ratio = math.log(self.fastest / self.slowest)
        return [self.slowest * math.exp(ratio * i / max(1, self.rates - 1)) for i in range(self.rates)]

    def rows(self, available: int) -> int:
        """How many training rows are used."""
        return min(available, max(1, round(self.labels * available if self.labels <= 1 else self.labels)))


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """One model: what was copied, what validation chose, and which test examples it gets right."""

    copied: int  # k
    mode: Mode
    chosen: Chosen
    right: Tensor  # float32 (N,): 1 or 0

    @property
    def accuracy(self) -> float:
        return float(self.right.double().mean())


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the test split, and the curves of accuracy against k."""
    labels = subject.labels("train")
    rows = drawn_rows(len(labels), config.rows(len(labels)), subject.generator("finetune rows"), labels)
    if len(labels[rows].unique()) < 2 or len(rows) < 2:
        raise NotApplicable(f"{len(rows)} training labels show fewer than two classes")
    stages = subject.backbone.stages()
    models = list(_models(subject, config, rows))
    scratch, transferred = models[0], models[1:]
    best = _chosen(transferred)
    things = PLURALS[subject.target.spec.kind]
    shared = f"{len(rows)} labelled {things}, {config.steps} steps"
    chance = majority_share(subject.labels("test"))

    def score(model: Tuned) -> ScoreValue:
        chosen = model.chosen
        note = f"rate {chosen.rate:.2g}, step {chosen.step} of {config.steps}"
        return ScoreValue(value=model.accuracy, chance=chance, note=note, outcomes=model.right)

    what = f"{best.copied} of {len(stages)} stages ({stages[best.copied - 1].name}) {best.mode}, {shared}"
    scores: dict[str, float | ScoreValue] = {
        "accuracy": ScoreValue(value=best.accuracy, chance=chance, note=what, outcomes=best.right),
        "scratch": score(scratch),
        "over_scratch": _better_by(best, scratch),
        "best_k": float(best.copied),
    }
    for mode in MODES:
        of_mode = [model for model in transferred if model.mode == mode]
        if not of_mode:
            continue
        whole, chosen = of_mode[-1], _chosen(of_mode)
        scores |= {f"{mode}_{model.copied}": score(model) for model in of_mode}
        scores |= {f"{mode}_all": score(whole), mode: score(chosen), f"{mode}_k": float(chosen.copied)}
        if mode == "frozen":
            scores["over_all_frozen"] = _better_by(chosen, whole)
    _show(subject, scratch, transferred, [stage.name for stage in stages], shared)
    return scores


def _chosen(models: Sequence[Tuned]) -> Tuned:
    """The one that validation prefers; of equal ones the first, which copies least."""
    return models[most_accurate([model.chosen.result for model in models])]


def _better_by(one: Tuned, other: Tuned) -> ScoreValue:
    """By how much one is more accurate, example by example; 0 if neither is."""
    gain = one.right - other.right
    return ScoreValue(value=float(gain.double().mean()), outcomes=gain)


def _models(subject: Subject, config: Config, rows: Tensor) -> Iterator[Tuned]:
    """From scratch first, then for each k what is frozen and what is tuned."""
    held, test = subject.target.validation, subject.target.test
    chooser = drawn_rows(len(held), config.validation_limit, subject.generator("finetune validation"), held.labels)
    train, validation = subject.target.train.rows(rows), held.rows(chooser)
    classes = 1 + max(int(subject.labels(split).max()) for split in ("train", "validation", "test"))
    how = Descent(
        rates=config.grid, steps=config.steps, looks=config.checkpoints, batch_size=config.batch_size,
        precision=subject.cell.precision, seed=subject.cell.seed,
    )  # fmt: skip
    fresh, depth = subject.fresh_backbone("finetune"), len(subject.backbone.stages())
    whole = _given(subject, train, 0), _given(subject, validation, 0)  # what all but frozen stages start from
    modes = MODES if config.modes == "both" else (config.modes,)
    for copied, mode in [(0, modes[0]), *((copied, mode) for copied in range(1, depth + 1) for mode in modes)]:
        start = _initialised(subject, fresh, classes, copied, mode)
        given = whole
        if start.start:
            given = _given(subject, train, start.start), _given(subject, validation, start.start)
        chosen = best_checkpoint(start, *given, how)
        judged = probabilities(chosen.model, _given(subject, test, start.start, keep=False), how.precision)
        right = (judged.argmax(1) == subject.labels("test")).float()
        yield Tuned(copied=copied, mode=mode, chosen=chosen, right=right)


def _given(subject: Subject, rows: Rows, depth: int, *, keep: bool = True) -> Examples:
    assert rows.labels is not None  # the spec's needs say so
    return examples_of(subject, rows.inputs, rows.labels, depth, keep=keep)


def _initialised(subject: Subject, fresh: Backbone, classes: int, copied: int, mode: Mode) -> Transferred:
    """A new backbone with the first stages of the trained one, and the same new classifier for every k and mode."""
    backbone = copy.deepcopy(fresh)
    copy_stages(backbone.stages()[:copied], subject.backbone.trunk, backbone.trunk)
    seed_everything(subject.cell.seed, "initialisation", "finetune classifier")
    return Transferred(backbone, classes, copied if mode == "frozen" else 0).to(subject.device)


def _show(subject: Subject, scratch: Tuned, transferred: list[Tuned], names: list[str], shared: str) -> None:
    """Accuracy against k, a curve for each mode, and the level of training from scratch."""
    series: dict[str, list[float]] = {
        mode: [scratch.accuracy, *(model.accuracy for model in transferred if model.mode == mode)]
        for mode in MODES
        if any(model.mode == mode for model in transferred)
    }
    subject.show_curves(
        "finetune",
        list(range(len(names) + 1)),
        series,
        x_label="stages copied, from the first",
        y_label="test accuracy",
        bounds=(0.0, 1.0),
        levels={"from scratch": scratch.accuracy},
        caption=f"Accuracy after fine-tuning, by how many stages are copied from the trained backbone; {shared}; "
        f"stages: {', '.join(names)}",
        heading="Fine-tuning: how many stages to copy, frozen or tuned",
        place=170,
    )


def _accuracy(name: str, text: str, **more: Any) -> ScoreSpec:
    return ScoreSpec(name=name, unit="fraction", better="higher", low=0.0, high=1.0, proportion=True, help=text, **more)


def _gain(name: str, text: str, asks: str) -> ScoreSpec:
    """A difference of two accuracies, of the method's own: 0 means that neither is better."""
    return ScoreSpec(
        name=name, unit="fraction", better="higher", low=-1.0, high=1.0, primary=True, role="told", asks=asks, help=text
    )


def _stages(name: str, text: str, **more: Any) -> ScoreSpec:
    return ScoreSpec(name=name, unit="stages", better="none", low=1.0, high=float(MOST), help=text, **more)


SCORES = (
    _accuracy(
        "accuracy",
        "test accuracy of the k (of 1 to n) and the mode that validation chose; chance: share of the commonest class",
        primary=True,
        asks="Transfers by fine-tuning",
    ),
    _accuracy("scratch", "k = 0: the same network, labels and steps from scratch", beside="accuracy", word="scratch"),
    _gain(
        "over_scratch",
        "accuracy less that from scratch: below 0 the copied weights did harm",
        asks="Copied weights are better than training from scratch by",
    ),
    _stages("best_k", "the k that was chosen for accuracy"),
    _stages(
        "frozen_k",
        "the k that validation chose of those frozen",
        primary=True,
        role="told",
        asks="How many stages to freeze",
    ),
    _stages("tuned_k", "the k that validation chose of those trained on"),
    _accuracy("frozen", "frozen_k stages copied and frozen"),
    _accuracy("tuned", "tuned_k stages copied, and trained on"),
    _gain(
        "over_all_frozen",
        "frozen less frozen_all: above 0 the last stages are special to the source",
        asks="Freezing that many is better than freezing all by",
    ),
    _accuracy("frozen_all", "all stages copied and frozen: a new linear classifier alone is trained"),
    _accuracy("tuned_all", "all stages copied, and trained on"),
    *(_accuracy(f"{mode}_{k}", f"{k} stages copied, {mode}") for mode in MODES for k in range(1, MOST + 1)),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="finetune",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        fits_labels=True,
        config=Config,
        on_request=True,
        source="arXiv:1411.1792, section 3",
    )
