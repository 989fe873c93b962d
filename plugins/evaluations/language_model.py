"""Language model: how well are the words of test texts predicted, each from those before it?

word_perplexity       exp(nats / words), words as blanks part them; comparable between vocabularies
character_perplexity  exp(nats / characters); comparable between vocabularies
over_bigram           perplexity of a token, over that of a bigram with Kneser-Ney smoothing; below 1 it beats it
top1, top5            how often the word, a token, is the likeliest, or among the five likeliest

Nats are of all tokens of the texts, cut as the method sees them; that a text goes on is given: the end is no word, and
its probability is shared out among the words. Bigram and unigram are counted on what the method learned from; chance
is the unigram's. Texts whose beginning is from the test split are completed, to be read.

N texts, L tokens, V words.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor

from harness.data.columns import all_values
from harness.data.tokens import PADDING, UNKNOWN
from harness.metrics import kneser_ney
from harness.metrics.features import drawn_rows
from harness.nn.words import are_words
from harness.plugin import (
    EvaluationSpec,
    NotApplicable,
    ScoreSpec,
    ScoreValue,
    Subject,
    TextField,
    TrainingFailed,
    hookimpl,
)
from harness.seeding import derived_generator

BATCH = 32  # texts at once


@dataclass(frozen=True, kw_only=True)
class Config:
    limit: int = 1000  # test texts used at most, the same for every seed
    shown: int = 8  # texts that are completed
    beginning: int = 8  # tokens that a completion goes on from
    length: int = 40  # tokens that are added
    temperature: float = 0.7  # of the draws; 0: the likeliest word
    top_p: float = 0.9  # mass of the likeliest words that are drawn from, in (0,1]

    def __post_init__(self) -> None:
        if min(self.limit, self.beginning, self.length) < 1 or self.shown < 0:
            raise ValueError("limit, beginning and length must be at least 1, shown at least 0")
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError("temperature must be at least 0, top_p in (0,1]")


@dataclass(frozen=True)
class Predicted:
    """What all words of some texts together got."""

    nats: float
    first: int  # words that were the likeliest
    five: int  # words among the five likeliest
    count: int

    @property
    def perplexity(self) -> float:
        return exp(self.nats / self.count)


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    rows = drawn_rows(
        len(subject.inputs("test")), config.limit, derived_generator(0, "language model rows", subject.target.name)
    )
    tokens = subject.inputs("test").take(rows)  # (N,L)
    if not bool(are_words(tokens).any()):
        raise NotApplicable(f"the test texts of {subject.target.name} have no words")
    found = predicted(tokens, lambda texts: subject.method.next_words(texts.to(subject.device)).float().cpu())
    unigram, bigram = references(subject, tokens)
    field = subject.spec.inputs
    assert isinstance(field, TextField)
    said = [field.text(text) for text in tokens]
    words, characters = sum(len(text.split()) for text in said), sum(map(len, said))
    unknown = int((tokens == UNKNOWN).sum())
    about = f"{found.count} tokens, {words} words" + (f", {unknown} of them unknown" if unknown else "")
    show_completions(subject, tokens, config)

    def score(name: str, of: Predicted) -> float:
        values = {
            "word_perplexity": exp(of.nats / max(1, words)),
            "character_perplexity": exp(of.nats / max(1, characters)),
            "over_bigram": of.perplexity / bigram.perplexity,
            "top1": of.first / of.count,
            "top5": of.five / of.count,
        }
        return values[name]

    return {
        each.name: ScoreValue(
            value=score(each.name, found),
            chance=score(each.name, unigram),
            n=len(tokens),
            note=f"{about}; bigram {score(each.name, bigram):.4g}, unigram {score(each.name, unigram):.4g}",
        )
        for each in SCORES
    }


def references(subject: Subject, tokens: Tensor) -> tuple[Predicted, Predicted]:
    """What a unigram and a bigram say of texts (N,L), counted on the texts that the method learned from."""
    size = len(subject.spec.inputs.vocabulary)
    if size > kneser_ney.MOST:
        raise NotApplicable(f"a bigram of {size} words is too large a table, {kneser_ney.MOST} are the most")
    counts = kneser_ney.pair_counts(all_values(subject.learned_from.inputs).cpu(), size)
    once, twice = kneser_ney.smoothed(counts.sum(0)).log(), kneser_ney.bigram(counts).log()
    before = torch.nn.functional.pad
    return (
        predicted(tokens, lambda texts: once.expand(*texts.shape, -1)),
        predicted(tokens, lambda texts: twice[before(texts, (1, 0), value=PADDING)[:, :-1]]),
    )


def predicted(tokens: Tensor, next_words) -> Predicted:  # type: ignore[no-untyped-def]
    """How the words of texts (N,L) are predicted; next_words: texts (n,L) -> logits (n,L,V), PADDING's not counted."""
    nats, first, five, count = 0.0, 0, 0, 0
    with torch.no_grad():
        for texts in tokens.split(BATCH):
            words = are_words(texts)
            logits = next_words(texts)[words].clone()  # (M,V)
            logits[:, PADDING] = float("-inf")
            own = logits.gather(1, texts[words].unsqueeze(1))  # (M,1)
            if not torch.isfinite(own).all():
                raise TrainingFailed("next_words() gave logits of words that are not finite")
            above = (logits > own).sum(1)  # (M,): how many words are likelier
            nats += float((logits.double().logsumexp(1, keepdim=True) - own).sum())
            first, five, count = first + int((above < 1).sum()), five + int((above < 5).sum()), count + len(own)
    return Predicted(nats, first, five, count)


def show_completions(subject: Subject, tokens: Tensor, config: Config) -> None:
    """Keep texts that the method goes on with, beside how they really go on."""
    long = tokens[are_words(tokens).sum(1) > config.beginning][: config.shown]
    if not subject.has("complete") or not len(long):
        return
    prompts = long[:, : config.beginning].to(subject.device)
    with torch.no_grad():
        texts = subject.method.complete(
            prompts, config.length, subject.generator("completions"),
            temperature=config.temperature, top_p=config.top_p,
        ).cpu()  # fmt: skip
    read = subject.spec.inputs.text  # type: ignore[union-attr]
    subject.show_texts(
        "completions",
        {
            "beginning": [read(text) for text in long[:, : config.beginning]],
            "completed": [read(text) for text in texts],
            "as it was": [read(text) for text in long],
        },
        f"Beginnings of test texts, completed with temperature {config.temperature:g} and the likeliest words of "
        f"{config.top_p:g} together",
        heading="Completions",
    )


SCORES = (
    ScoreSpec(
        name="character_perplexity",
        unit="perplexity",
        better="lower",
        low=1.0,
        primary=True,
        asks="Texts are likely",
        help="exp of the nats for each character of test texts; comparable between vocabularies. Chance: the unigram.",
    ),
    ScoreSpec(
        name="word_perplexity",
        unit="perplexity",
        better="lower",
        low=1.0,
        help="exp of the nats for each word of test texts, as blanks part them; comparable between vocabularies.",
    ),
    ScoreSpec(
        name="over_bigram",
        unit="ratio",
        better="lower",
        low=0.0,
        help="Perplexity of a token over that of a bigram with Kneser-Ney smoothing: below 1 it beats the bigram.",
    ),
    ScoreSpec(
        name="top1",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        help="Fraction of the tokens that were held for the likeliest, given those before.",
    ),
    ScoreSpec(
        name="top5",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        help="Fraction of the tokens that were among the five likeliest, given those before.",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="language-model",
        run=run,
        takes=("text",),
        needs=("next_words",),
        config=Config,
        source="Bengio et al. 2003, JMLR 3:1137, section 4",
        scores=SCORES,
    )
