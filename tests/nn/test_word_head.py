"""Logits of words by the vectors that words are read with."""

from __future__ import annotations

import torch
from torch import nn

from harness.contract.encoders import text_encoder
from harness.contract.examples import generated_texts
from harness.nn.word_head import WordHead, told_apart
from harness.plugin import NoConfig
from harness.registry import Registry
from harness.registry.config import resolve

SPEC = generated_texts(classes=4).spec
WORDS = len(SPEC.inputs.vocabulary)


def test_the_head_reads_with_the_vectors_of_the_backbone() -> None:
    gru = Registry().load("gru", ("backbone",)).spec
    backbone = gru.build(SPEC, resolve(gru.config, {"width": 6}, "gru"))
    head, states = WordHead(backbone, WORDS), torch.randn(3, 2, 6)
    assert head.own is None
    vectors = backbone.trunk.vectors.weight
    expected = torch.einsum("...d,ed,ve->...v", states, head.mix.weight, vectors) + vectors @ head.mix.bias + head.bias
    torch.testing.assert_close(head(states, backbone.word_vectors), expected)
    head(states, backbone.word_vectors).sum().backward()
    assert vectors.grad is not None


def test_a_backbone_without_vectors_gets_some_of_the_head_alone() -> None:
    backbone = text_encoder(SPEC, NoConfig())
    assert backbone.word_vectors is None
    head = WordHead(backbone, WORDS)
    assert isinstance(head.own, nn.Parameter)
    assert head(torch.randn(5, backbone.dim), None).shape == (5, WORDS)


def test_a_word_is_told_where_no_other_is_likelier() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 5.0]])
    assert float(told_apart(logits, torch.tensor([1, 1, 2]))) == torch.tensor(2 / 3)
    assert float(told_apart(logits, logits.argmax(1))) == 1
