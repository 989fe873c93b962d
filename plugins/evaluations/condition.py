"""Conditional sampling: does a sample show what was asked for, all of it?

Labels are judged by the in-domain classifier of the target, which sees as many samples of each class; its accuracy on
real test images stands beside the score, since it errs too. Captions are judged by reading the factors back from the
pixels, where the dataset can do that, for captions of test images and for combinations that nothing before showed;
captions without a reader are judged by the classes of the images that they belong to. Chance is a uniform guess.

N samples, K classes, F factors, A of them told by the captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod
from typing import Literal

import torch
from torch import Tensor

from harness.data.columns import Column, all_values, blocks, column_of
from harness.data.images import to_float
from harness.data.rows import Rows
from harness.judging.in_domain import in_domain_extractor
from harness.metrics.classification import accuracy
from harness.plugin import EvaluationSpec, Factor, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl

HEADINGS = {  # of pictures of captions, and their places in a report
    "captions": ("Asked for in words", 50),
    "captions_unseen": ("Asked for in words never seen together", 60),
}
CLASSES_SHOWN = 20  # rows of a picture
ROW_WIDTH = 200  # pixels of its own: 12 small images, or 6 of 32 pixels, which a report then shows twice as large


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 500  # samples: of classes in equal parts, of captions as many again for held-out combinations
    shown: int = 16  # samples in each picture of captions

    def __post_init__(self) -> None:
        if self.n < 1 or self.shown < 1:
            raise ValueError("n and shown must be at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    source, target = subject.source, subject.target
    asked_of, judged_on = ((data.name, data.spec.classes, data.spec.captions) for data in (source, target))
    if asked_of != judged_on:
        raise NotApplicable(f"{subject.cell.method.name} can be asked for what is in {source.name}, not {target.name}")
    if subject.method.condition == "captions" and target.read_factors is not None and target.test.factors is not None:
        return by_factors(subject, config)
    return by_class(subject, config)


# Judged by a classifier. ----------------------------------------------------------------------------------------------


def by_class(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    """Ask for every class equally often, by its label or by captions of its test images."""
    if subject.target.test.labels is None:
        elsewhere = ": caption-retrieval needs neither" if subject.method.condition == "captions" else ""
        raise NotApplicable(
            f"{subject.target.name} has neither labels nor readable factors to judge samples by{elsewhere}"
        )
    classifier = in_domain_extractor(subject)
    classes = subject.target.spec.classes
    index = balanced_rows(subject.labels("test"), max(1, config.n // len(classes)))
    rows = subject.target.test.rows(index)
    samples = subject.sampled_as(rows, subject.generator("condition"))
    assert rows.labels is not None
    seen = classifier.predicted(samples)
    show_classes(subject, samples, rows.labels)
    rates = class_rates(seen, rows.labels)
    worst = min(rates, key=lambda label: rates[label])
    shares = torch.bincount(seen, minlength=len(classes)).double() / len(seen)
    chance = 1 / len(classes)
    entropy = float(torch.special.entr(shares).sum())
    return {
        "satisfied": ScoreValue(
            value=accuracy(seen, rows.labels), n=len(rows), chance=chance, note=f"judged by the {classifier}"
        ),
        "worst_class": ScoreValue(value=rates[worst], n=len(rows) // len(rates), note=f"class {classes[worst]}"),
        "class_entropy": ScoreValue(value=entropy, n=len(rows), note=f"at most log K = {log(len(classes)):.3f}"),
        "ceiling": ScoreValue(value=float(classifier.accuracy or 0.0), chance=chance),
    }


def balanced_rows(labels: Tensor, each: int) -> Tensor:
    """Indices of `each` rows of every class that occurs in `labels` (N,), class after class; few rows come repeatedly.

    >>> balanced_rows(torch.tensor([1, 0, 1, 1]), 2).tolist()
    [1, 1, 0, 2]
    """
    members = [(labels == label).nonzero().flatten() for label in labels.unique()]
    return torch.cat([rows[torch.arange(each) % len(rows)] for rows in members])


def class_rates(seen: Tensor, asked: Tensor) -> dict[int, float]:
    """For each class that was asked for, the fraction of its samples in which it is seen."""
    return {int(label): accuracy(seen[asked == label], asked[asked == label]) for label in asked.unique()}


def show_classes(subject: Subject, samples: Tensor, asked: Tensor) -> None:
    """One row of samples for each class, of at most 20 classes."""
    labels = asked.unique()[:CLASSES_SHOWN]
    columns = min(max(6, min(12, ROW_WIDTH // (samples.shape[-1] + 1))), int((asked == labels[0]).sum()))
    chosen = torch.cat([(asked == label).nonzero().flatten()[:columns] for label in labels])
    subject.show_images(
        "samples_by_condition",
        to_float(samples[chosen]),
        columns,
        "Samples of each class, as drawn, none picked out",
        row_names=[subject.target.spec.classes[label] for label in labels.tolist()],
        heading="Samples by class",
        place=40,
    )


# Judged by reading factors back. --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Told:
    """The factors that captions tell, as asked for and as read from the samples: int64 (N,A), -1 where unreadable."""

    factors: tuple[Factor, ...]
    asked: Tensor
    read: Tensor

    @property
    def right(self) -> Tensor:
        return self.asked == self.read  # (N,A)

    @property
    def satisfied(self) -> float:
        return float(self.right.all(1).double().mean())

    @property
    def rates(self) -> dict[str, float]:
        """The fraction of samples in which each factor is right."""
        rates = self.right.double().mean(0).tolist()
        return {factor.name: rate for factor, rate in zip(self.factors, rates, strict=True)}

    @property
    def unreadable(self) -> float:
        return float((self.read < 0).any(1).double().mean())

    def verdict(self, row: int) -> str:
        """`✓`, or what a sample shows that was not asked for: `✗ blue, shape?`."""
        if bool((self.read[row] < 0).all()):
            return "✗ unreadable"
        pairs = zip(self.factors, self.asked[row].tolist(), self.read[row].tolist(), strict=True)
        wrong = [
            factor.values[read] if read >= 0 else f"{factor.name}?" for factor, asked, read in pairs if asked != read
        ]
        return f"✗ {', '.join(wrong)}" if wrong else "✓"


def by_factors(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    """Ask for captions of test images and of held-out combinations, and read from the pixels what came."""
    test, unseen = subject.target.test, subject.target.unseen
    told = _asked_and_read(subject, test, config, "captions", "Captions of test images")
    scores = _scores(told, "")
    scores["ceiling"] = ScoreValue(
        value=_told(subject, test, test.inputs).satisfied, note="real test images, read back"
    )
    if unseen is not None and unseen.captions is not None:
        caption = "Captions of combinations that training never showed"
        scores |= _scores(_asked_and_read(subject, unseen, config, "captions_unseen", caption), "unseen_")
    return scores


def _asked_and_read(subject: Subject, split: Rows, config: Config, picture: str, caption: str) -> Told:
    """Samples for the captions of up to n rows, as many captions shown; and what is read from them."""
    generator = subject.generator(f"condition {picture}")
    rows = split.rows(torch.randperm(len(split), generator=generator)[: config.n])
    samples = subject.sampled_as(rows, generator)
    told = _told(subject, rows, samples)
    captions, field = rows.captions, subject.target.spec.captions
    assert captions is not None
    assert field is not None
    words = [field.text(tokens) for tokens in all_values(captions)[: config.shown]]
    texts = [f"{text}\n{told.verdict(row)}" for row, text in enumerate(words)]
    columns = min(8, len(texts))
    caption = f"{caption}, samples as drawn: ✓ shows all that was asked for, ✗ what it shows instead"
    shown = to_float(samples[: len(texts)])
    heading, place = HEADINGS[picture]
    subject.show_images(picture, shown, columns, caption, texts=texts, heading=heading, place=place)
    return told


def _told(subject: Subject, rows: Rows, images: Tensor | Column) -> Told:
    """What the captions of the rows tell, against what is read from images (N,C,H,W), in a tensor or a column."""
    factors, read_factors = subject.target.spec.factors, subject.target.read_factors
    columns = [index for index, factor in enumerate(factors) if factor.in_caption]
    if not columns:
        raise NotApplicable(f"the captions of {subject.target.name} tell none of its factors")
    assert rows.factors is not None
    assert read_factors is not None
    read = torch.cat([read_factors(part) for part in blocks(column_of(images))])  # (N,F)
    kept = tuple(factors[index] for index in columns)
    return Told(factors=kept, asked=rows.factors[:, columns], read=read[:, columns])


def _scores(told: Told, prefix: str) -> dict[str, ScoreValue]:
    n, rates = len(told.asked), told.rates
    worst = min(rates, key=lambda name: rates[name])
    chances = [1 / len(factor.values) for factor in told.factors]
    each = ", ".join(f"{name} {rate:.3f}" for name, rate in rates.items())
    scores = {
        "satisfied": ScoreValue(value=told.satisfied, n=n, chance=prod(chances), note=each),
        "attributes": ScoreValue(value=sum(rates.values()) / len(rates), n=n, chance=sum(chances) / len(chances)),
        "worst_attribute": ScoreValue(value=rates[worst], n=n, note=worst),
        "unreadable": ScoreValue(value=told.unreadable, n=n),
    }
    return {prefix + name: score for name, score in scores.items()}


def _fraction(
    name: str,
    help: str,
    better: Literal["higher", "lower", "none"] = "higher",
    primary: bool = False,
    beside: str = "",
    word: str = "",
) -> ScoreSpec:
    return ScoreSpec(
        name=name, unit="fraction", better=better, low=0.0, high=1.0, primary=primary, beside=beside, word=word,
        asks="Obeys what it is asked for" if primary else "", help=help,
    )  # fmt: skip


def _unseen(name: str, better: Literal["higher", "lower"] = "higher") -> ScoreSpec:
    help = f"Like {name}, for combinations that training never showed."
    return _fraction(f"unseen_{name}", help, better, beside=name, word="unseen")


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="condition",
        run=run,
        needs=("sample_as",),
        config=Config,
        source="Classifiers as judges: Ravuri and Vinyals 2019, arXiv:1905.10887; held-out combinations: this project",
        scores=(
            _fraction(
                "satisfied", "Fraction of samples that show the class, or every attribute, asked for.", primary=True
            ),
            _fraction(
                "ceiling",
                "The same judge on real test images: about the most that can be reached.",
                "none",
                beside="satisfied",
                word="ceiling",
            ),
            _fraction("worst_class", "Fraction of samples of the class that fares worst that show it."),
            ScoreSpec(
                name="class_entropy",
                unit="nats",
                better="higher",
                low=0.0,
                help="Entropy of the classes that are seen where all were asked for equally often.",
            ),
            _fraction("attributes", "Fraction that is right of each attribute asked for, mean over attributes."),
            _fraction("worst_attribute", "The same of the attribute that fares worst."),
            _fraction("unreadable", "Fraction of samples from which some attribute cannot be read.", "lower"),
            _unseen("satisfied"),
            _unseen("attributes"),
            _unseen("worst_attribute"),
            _unseen("unreadable", "lower"),
        ),
    )
