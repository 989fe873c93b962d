"""Language model: how well are the words of test texts predicted, each from those before it?

bits_per_character    nats / characters / ln 2; comparable between vocabularies, and between methods text by text
word_perplexity       exp(nats / words), words as blanks part them; comparable between vocabularies
character_perplexity  exp(nats / characters); comparable between vocabularies
over_bigram           perplexity of a token, over that of a bigram with Kneser-Ney smoothing; below 1 it beats it
top1, top5            how often the word, a token, is the likeliest, or among the five likeliest

Nats are of all tokens of the texts, cut as the method sees them; that a text goes on is given: the end is no word, and
its probability is shared out among the words. What each text adds to a mean over tokens or characters is kept as its
outcome, by how many of them a text has on average. Bigram and unigram are counted on what the method learned from;
chance is the unigram's. Texts whose beginning is from the test split are completed, to be read.

N texts, L tokens, V words.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

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
BY_TEXT = ("bits_per_character", "top1", "top5")  # means, of which each text has its part


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
    """What the words of each of N texts got."""

    nats: Tensor  # float64 (N,)
    first: Tensor  # (N,), words that were the likeliest
    five: Tensor  # (N,), words among the five likeliest
    counts: Tensor  # (N,), words

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def perplexity(self) -> float:
        return exp(float(self.nats.sum()) / self.count)


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

    def each(name: str, of: Predicted) -> Tensor:
        """What each text adds to the mean over all of them: (N,)."""
        parts = {
            "bits_per_character": of.nats / log(2) / max(1, characters),
            "top1": of.first / of.count,
            "top5": of.five / of.count,
        }
        return parts[name].double() * len(tokens)

    def score(name: str, of: Predicted) -> float:
        nats = float(of.nats.sum())
        values = {
            "word_perplexity": exp(nats / max(1, words)),
            "character_perplexity": exp(nats / max(1, characters)),
            "over_bigram": of.perplexity / bigram.perplexity,
        }
        return values[name] if name in values else float(each(name, of).mean())

    return {
        spec.name: ScoreValue(
            value=score(spec.name, found),
            chance=score(spec.name, unigram),
            n=len(tokens),
            note=f"{about}; bigram {score(spec.name, bigram):.4g}, unigram {score(spec.name, unigram):.4g}",
            outcomes=each(spec.name, found) if spec.name in BY_TEXT else None,
            rows=rows if spec.name in BY_TEXT else None,
        )
        for spec in SCORES
    }


def references(subject: Subject, tokens: Tensor) -> tuple[Predicted, Predicted]:
    """What a unigram and a bigram say of texts (N,L), counted on the texts that the method learned from."""
    size = len(subject.spec.inputs.vocabulary)
    learned = all_values(subject.learned_from.inputs).cpu()
    once = kneser_ney.smoothed(learned[are_words(learned)].bincount(minlength=size).float()).log()
    twice = kneser_ney.bigram_of(learned, size)

    def following(texts: Tensor) -> Tensor:
        before = torch.nn.functional.pad(texts, (1, 0), value=PADDING)[:, :-1]
        return twice.rows(before.flatten()).log().unflatten(0, texts.shape)

    return predicted(tokens, lambda texts: once.expand(*texts.shape, -1)), predicted(tokens, following)


def predicted(tokens: Tensor, next_words) -> Predicted:  # type: ignore[no-untyped-def]
    """How the words of texts (N,L) are predicted; next_words: texts (n,L) -> logits (n,L,V), PADDING's not counted."""
    parts = []
    with torch.no_grad():
        for texts in tokens.split(BATCH):
            words = are_words(texts)
            logits = next_words(texts)[words].clone()  # (M,V)
            logits[:, PADDING] = float("-inf")
            own = logits.gather(1, texts[words].unsqueeze(1))  # (M,1)
            if not torch.isfinite(own).all():
                raise TrainingFailed("next_words() gave logits of words that are not finite")
            above = (logits > own).sum(1)  # (M,): how many words are likelier
            nats = (logits.double().logsumexp(1, keepdim=True) - own).squeeze(1)
            found = torch.stack([nats, above < 1, above < 5, torch.ones_like(above)])  # (4,M)
            owner = words.nonzero()[:, 0].expand(4, -1)
            parts.append(found.new_zeros(4, len(texts)).scatter_add_(1, owner, found))
    return Predicted(*torch.cat(parts, 1))


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
        name="bits_per_character",
        unit="bits",
        better="lower",
        low=0.0,
        primary=True,
        asks="Texts are likely",
        help="Bits for each character of test texts; comparable between vocabularies. Chance: the unigram.",
    ),
    ScoreSpec(
        name="character_perplexity",
        unit="perplexity",
        better="lower",
        low=1.0,
        help="exp of the nats for each character of test texts; comparable between vocabularies.",
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
