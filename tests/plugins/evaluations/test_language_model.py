from __future__ import annotations

import json
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toys import dataset, registry, subject

from harness.data.columns import all_values
from harness.data.rows import read_as
from harness.errors import TrainingFailed
from harness.registry import METHOD_KINDS
from harness.registry.config import resolve
from harness_plugins.evaluations.language_model import Config, predicted, run

DATA = read_as(dataset("text"), dataset("text").spec)
SIZE = len(DATA.spec.inputs.vocabulary)


def n_gram(order: int) -> nn.Module:
    spec = registry().load("n-gram", METHOD_KINDS).spec
    method = spec.build(None, DATA.spec, resolve(spec.config, {"order": order}, "n-gram"))
    method.fit(DATA.train.inputs)
    return method.eval()


class Uniform(nn.Module):
    def next_words(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*tokens.shape, SIZE)


class Broken(Uniform):
    def next_words(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().next_words(tokens) / 0


def test_who_knows_nothing_is_as_unsure_as_there_are_words(tmp_path: Path) -> None:
    found = run(subject(Uniform(), DATA, tmp_path, "text", "rotation"), Config())
    texts = [DATA.spec.inputs.text(text) for text in all_values(DATA.test.inputs)]
    words, characters = sum(len(text.split()) for text in texts), sum(map(len, texts))
    assert found["word_perplexity"].value == pytest.approx(SIZE - 1)  # a word is one token here, the end is none
    assert log(found["character_perplexity"].value) == pytest.approx(log(SIZE - 1) * words / characters)


def test_the_references_score_as_chance_and_as_one(tmp_path: Path) -> None:
    two = run(subject(n_gram(2), DATA, tmp_path / "2", "text", "rotation"), Config())
    one = run(subject(n_gram(1), DATA, tmp_path / "1", "text", "rotation"), Config())
    assert two["over_bigram"].value == pytest.approx(1, abs=1e-5)
    assert two["word_perplexity"].value < one["word_perplexity"].value
    for name, score in one.items():
        assert score.value == pytest.approx(score.chance, abs=1e-5), name
        assert two[name].chance == pytest.approx(score.chance)


def test_words_are_counted_by_how_many_are_likelier() -> None:
    logits = torch.tensor([9.0, 0, 7, 6, 5, 4, 3, 2]).expand(1, 4, 8)  # PADDING's is not counted
    found = predicted(torch.tensor([[2, 3, 6, 7]]), lambda texts: logits)
    assert (found.first.tolist(), found.five.tolist(), found.count) == ([1], [3], 4)
    below = logits[0, 0, 1:].double().logsumexp(0)
    assert found.perplexity == pytest.approx(exp(float(below) - (7 + 6 + 3 + 2) / 4))


def test_completions_are_kept_as_texts(tmp_path: Path) -> None:
    judged: Any = subject(n_gram(2), DATA, tmp_path, "text", "rotation")
    run(judged, Config(shown=3, beginning=2, length=5))
    (picture,) = judged.pictures
    columns = json.loads(Path(picture.file).read_text())["columns"]
    assert (picture.kind, list(columns)) == ("texts", ["beginning", "completed", "as it was"])
    for beginning, completed in zip(columns["beginning"], columns["completed"], strict=True):
        assert completed.startswith(beginning)
        assert len(completed.split()) == 7


def test_logits_that_are_not_finite_are_a_failed_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="are not finite"):
        run(subject(Broken(), DATA, tmp_path, "text", "rotation"), Config())


def test_what_each_text_adds_is_its_outcome(tmp_path: Path) -> None:
    found = run(subject(n_gram(2), DATA, tmp_path, "text", "rotation"), Config(limit=7))
    for name in ("bits_per_character", "top1", "top5"):
        score = found[name]
        assert float(score.outcomes.mean()) == pytest.approx(score.value)
        assert len(score.outcomes) == len(score.rows) == score.n == 7
    assert 2 ** found["bits_per_character"].value == pytest.approx(found["character_perplexity"].value)
    own, other = torch.tensor([[2, 3, 4, 0]]), torch.tensor([[3, 0, 0, 0]])
    words = n_gram(2).next_words
    both = predicted(torch.cat([own, other]), words)
    assert both.nats.tolist() == pytest.approx([float(predicted(text, words).nats) for text in (own, other)])
    assert both.counts.tolist() == [3, 1]
