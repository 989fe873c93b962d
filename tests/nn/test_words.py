"""A text's representation does not depend on how much padding its batch has."""

from __future__ import annotations

import torch

from harness.data.tokens import PADDING
from harness.nn.words import are_words, mean_of_words

TOKENS = torch.tensor([[4, 2, 7, PADDING], [3, PADDING, PADDING, PADDING], [PADDING] * 4])


def test_words_are_what_stands_before_the_padding() -> None:
    assert are_words(TOKENS).sum(1).tolist() == [3, 1, 0]


def test_the_mean_is_that_of_each_text_alone() -> None:
    values = torch.randn(3, 4, 5)
    found = mean_of_words(values, TOKENS)
    torch.testing.assert_close(found[0], values[0, :3].mean(0))
    torch.testing.assert_close(found[1], values[1, 0])
    assert found[2].tolist() == [0.0] * 5


def test_padding_changes_nothing_even_where_its_values_are_not_finite() -> None:
    values = torch.randn(3, 4, 5)
    longer = torch.cat([values, torch.full((3, 2, 5), float("nan"))], 1)
    padded = torch.nn.functional.pad(TOKENS, (0, 2), value=PADDING)
    assert torch.equal(mean_of_words(longer, padded), mean_of_words(values, TOKENS))


def test_no_gradient_reaches_the_padding() -> None:
    values = torch.randn(3, 4, 5, requires_grad=True)
    mean_of_words(values, TOKENS).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad.abs().sum(-1) > 0, are_words(TOKENS))
