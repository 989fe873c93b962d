"""What the tasks of texts ask, and that they ask nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.contract.encoders import text_encoder
from harness.contract.examples import generated_texts
from harness.data.columns import Texts
from harness.data.fields import TextField
from harness.data.tokens import UNKNOWN
from harness.nn.word_draws import drawn_words
from harness.nn.words import are_words
from harness.plugin import Backbone, Batch, NoConfig
from harness.registry import Registry
from harness.registry.config import resolve
from harness_plugins.pretext.masked_word import hidden
from harness_plugins.pretext.next_word import Config, NextWord
from harness_plugins.pretext.sentence_order import Config as OrderConfig
from harness_plugins.pretext.sentence_order import SentenceOrder, parted
from harness_plugins.pretext.skip_gram import noise_weights, pairs

DATA = generated_texts(classes=4)


def encoder(name: str, data: object = DATA.spec) -> Backbone:
    spec = Registry().load(name, ("backbone",)).spec
    torch.manual_seed(0)
    return spec.build(data, resolve(spec.config, {"dropout": 0.0, "width": 16}, name))


@pytest.mark.parametrize("context", [1, 3])
def test_with_a_context_a_word_is_predicted_from_the_last_words_alone(context: int) -> None:
    method = NextWord(encoder("transformer"), DATA.spec, Config(context=context)).eval()
    tokens = 2 + torch.randint(5, (3, 8))
    others = tokens.clone()
    others[:, 0] = 2 + (others[:, 0] + 1) % 5
    gaps = (method.next_words(tokens) - method.next_words(others)).abs().amax((0, 2))  # by place
    assert gaps[0] == 0
    assert gaps[1 : context + 1].min() > 1e-4
    assert gaps[context + 1 :].max() < 1e-6


def test_a_context_that_is_longer_than_any_text_changes_nothing() -> None:
    methods = [NextWord(encoder("gru"), DATA.spec, Config(context=context)).eval() for context in (0, 50)]
    methods[1].load_state_dict(methods[0].state_dict())
    words = are_words(DATA.values)
    whole, windows = (method.next_words(DATA.values)[words] for method in methods)
    torch.testing.assert_close(whole, windows)


def test_all_words_and_the_end_of_each_text_are_asked_for() -> None:
    method = NextWord(encoder("gru"), DATA.spec, Config())
    tokens = torch.tensor([[3, 4, 0, 0], [5, 0, 0, 0], [6, 7, 8, 9]])
    _, words = method.solve(replace(DATA.batch(()), inputs=tokens))
    assert words.tolist() == [3, 4, 0, 5, 0, 6, 7, 8, 9]  # the last text was cut: nobody knows its end


def test_completions_follow_the_likeliest_words_and_end_where_a_text_ends() -> None:
    method = NextWord(encoder("gru"), DATA.spec, Config()).eval()
    with torch.no_grad():
        method.head.bias[:] = torch.arange(len(method.head.bias)) * 100.0
    prompts, source = torch.tensor([[2, 3], [4, 5]]), torch.Generator()
    last = len(method.head.bias) - 1
    assert method.complete(prompts, 2, source, temperature=0).tolist() == [[2, 3, last, last], [4, 5, last, last]]
    with torch.no_grad():
        method.head.bias[0] = 1e6
    assert method.complete(prompts, 2, source).tolist() == [[2, 3, 0, 0], [4, 5, 0, 0]]


def test_words_are_drawn_from_the_nucleus_by_their_probability() -> None:
    probabilities = torch.tensor([0.5, 0.1, 0.3, 0.1])  # the second is UNKNOWN
    logits = probabilities.log().expand(20_000, 4)
    source = torch.Generator().manual_seed(0)
    shares = drawn_words(logits, source).bincount(minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([5, 0, 3, 1]) / 9, atol=0.02, rtol=0)
    shares = drawn_words(logits, source, top_p=0.8).bincount(minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([5, 0, 3, 0]) / 8, atol=0.02, rtol=0)
    assert drawn_words(logits, source, temperature=0).unique().tolist() == [0]
    hot = drawn_words(logits, source, temperature=1e3).bincount(minlength=4) / 20_000
    torch.testing.assert_close(hot, torch.tensor([1, 0, 1, 1]) / 3, atol=0.02, rtol=0)


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_draws_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"expected at least 0, and in \(0,1\]"):
        drawn_words(torch.zeros(1, 4), torch.Generator(), **wrong)


def test_most_words_that_are_asked_for_are_hidden_and_no_others() -> None:
    tokens = torch.randint(2, 1000, (100, 100))
    asked = torch.rand(100, 100) < 0.5
    changed = hidden(tokens, asked)
    assert torch.equal(changed[~asked], tokens[~asked])
    shares = [(changed == UNKNOWN)[asked].float().mean(), (changed == tokens)[asked].float().mean()]
    assert shares == pytest.approx([0.8, 0.1], abs=0.03)


def test_each_text_with_words_has_one_that_is_asked_for() -> None:
    spec = Registry().load("masked-word", ("pretext",)).spec
    method = spec.build(encoder("gru"), DATA.spec, resolve(spec.config, {"masked": 0.001}, "masked-word"))
    tokens = torch.tensor([[3, 4, 0, 0], [0, 0, 0, 0], [6, 7, 8, 9]])
    asked = method.asked(tokens)
    assert asked.sum(1).tolist() == [1, 0, 1]
    assert not asked[~are_words(tokens)].any()


def test_pairs_are_words_of_one_text_within_the_window() -> None:
    tokens = torch.arange(2, 42).view(2, 20).clone()
    tokens[1, 15:] = 0
    for _ in range(5):
        words, near = pairs(tokens, 3)
        assert (near - words).abs().max() <= 3
        assert (near != words).all()
        assert near.min() >= 2
        assert (words < 22).eq(near < 22).all()  # of one text
    torch.testing.assert_close(noise_weights(torch.tensor([1, 1, 3])), torch.tensor([0.0, 2**0.75, 0.0, 1.0]))


def test_parts_are_whole_sentences_that_are_neighbours() -> None:
    strings = ("One is it. Two are not. Three", "Only one sentence here.", "no end", "A b. C d! E f?")
    field = TextField(pieces=260, length=40).measured(Texts(strings))
    data = replace(DATA.spec, inputs=field)
    method = SentenceOrder(encoder("gru", data), data, OrderConfig())
    tokens = field.read(Texts(strings), field)[0].take(torch.arange(4))  # type: ignore[union-attr]
    for _ in range(10):
        texts, cuts = method.cut(tokens)
        said = [tuple(map(field.text, pair)) for pair in zip(*parted(texts, cuts), strict=True)]
        assert said[0] == ("One is it.", "Two are not.")
        assert said[1] in (("A b.", "C d! E f?"), ("A b. C d!", "E f?"))


def test_which_part_comes_first_is_told_from_codes_of_the_parts_alone() -> None:
    method = SentenceOrder(encoder("gru"), DATA.spec, OrderConfig()).eval()
    batch = Batch(inputs=DATA.values)
    torch.manual_seed(0)
    logits, swapped = method.solve(batch)
    first, second = (method.backbone(part) for part in parted(*method.cut(batch.inputs)))
    pairs = torch.stack([torch.cat([first, second], 1), torch.cat([second, first], 1)])
    assert set(swapped.tolist()) == {0, 1}
    torch.testing.assert_close(logits, method.head(pairs[swapped, torch.arange(len(swapped))]))


def test_a_vocabulary_without_ends_of_sentences_is_cut_in_the_middle() -> None:
    method = SentenceOrder(text_encoder(DATA.spec, NoConfig()), DATA.spec, OrderConfig())
    texts, cuts = method.cut(torch.tensor([[3, 4, 5, 0], [6, 0, 0, 0]]))
    assert (texts.tolist(), cuts.tolist()) == ([[3, 4, 5, 0]], [1])
