"""The attentive probe: what its query finds that a mean has lost, memory or none, and backbones without positions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone
from harness_plugins.backbones import convnet, mlp
from harness_plugins.evaluations import linear_probe
from harness_plugins.evaluations.attentive_probe import Config, logits_of, run, summed

QUICK = Config(steps=150, heads=2)


class Method(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


def marked() -> Dataset:
    """8x8 noise in three classes: one of 64 pixels is marked, and the one to the right of it tells the class."""
    data = digits_dataset()
    generator = torch.Generator().manual_seed(0)
    changed = {}
    for split in ("train", "validation", "test"):
        rows = data.split(split)
        n = len(rows)
        images = torch.randint(0, 200, (n, 64), generator=generator)
        labels = torch.arange(n) % 3
        place = 8 * torch.randint(0, 8, (n,), generator=generator) + torch.randint(0, 7, (n,), generator=generator)
        images[torch.arange(n), place] = 255
        images[torch.arange(n), place + 1] = 20 + 80 * labels
        changed[split] = replace(rows, inputs=InMemory(images.to(torch.uint8).view(n, 1, 8, 8)), labels=labels)
    inputs = replace(data.spec.inputs, mean=(0.0,), std=(1.0,))
    return replace(data, spec=replace(data.spec, classes=("dark", "grey", "light"), inputs=inputs), **changed)


def marks(trunk: nn.Module, images: Tensor) -> Tensor:
    """At each pixel: is it marked, its right neighbour's light, and the square of that: (B,3,8,8)."""
    right = F.pad(images, (0, 1))[..., 1:]
    return torch.cat([(images == 1).float(), right, right.square()], 1)


class Mean(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return marks(self, images).mean((2, 3))


def test_a_query_finds_what_the_mean_has_lost(tmp_path: Path) -> None:
    data = marked()
    subject = example_subject(Method(Backbone(Mean(), 3, data.spec, any_size=True, maps=marks)), data, tmp_path)
    scores = run(subject, QUICK)
    assert scores["accuracy"].value > 0.95
    assert linear_probe.run(subject, linear_probe.Config())["accuracy"].value < 0.6
    for name in ("accuracy", "nll"):
        assert float(scores[name].outcomes.double().mean()) == pytest.approx(scores[name].value)


def test_tokens_in_memory_and_encoded_anew_give_nearly_the_same(tmp_path: Path) -> None:
    data = digits_dataset()
    torch.manual_seed(0)
    subject = example_subject(Method(convnet.build(data.spec, convnet.Config(width=8))), data, tmp_path)
    kept, again = run(subject, QUICK), run(subject, QUICK)
    assert kept["nll"].value == again["nll"].value
    fresh = run(subject, replace(QUICK, cache_mib=0))
    assert fresh["nll"].value == pytest.approx(kept["nll"].value, rel=0.02)  # but for half precision
    assert kept["accuracy"].value > 0.8


def test_it_is_cross_attention_with_one_query_a_head_and_a_linear_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(6, 9, 4, generator=generator)
    u, w, b = (torch.randn(*shape, generator=generator) for shape in ((2, 3, 4), (2, 12, 5), (2, 1, 5)))
    found = logits_of({"u": u, "w": w, "b": b}, tokens)
    for probe in range(2):
        heads = [F.scaled_dot_product_attention(q.expand(6, 1, 4), tokens, tokens)[:, 0] for q in u[probe]]
        torch.testing.assert_close(found[probe], torch.cat(heads, 1) @ w[probe] + b[probe], atol=1e-5, rtol=1e-4)
    labels = torch.arange(6) % 5
    expected = torch.stack([F.cross_entropy(each, labels, reduction="sum") for each in found])
    torch.testing.assert_close(summed(found, labels), expected)


def test_a_query_of_nothing_is_the_mean() -> None:
    tokens = torch.randn(6, 9, 4)
    parameters = {"u": torch.zeros(1, 1, 4), "w": torch.eye(4)[None], "b": torch.zeros(1, 1, 4)}
    torch.testing.assert_close(logits_of(parameters, tokens)[0], tokens.mean(1))


def test_without_positions_it_does_not_apply(tmp_path: Path) -> None:
    data = digits_dataset()
    with pytest.raises(NotApplicable, match="sees no positions"):
        run(example_subject(Method(mlp.build(data.spec, mlp.Config())), data, tmp_path), QUICK)
    with pytest.raises(NotApplicable, match="example has no backbone"):
        run(example_subject(nn.Flatten(), data, tmp_path), QUICK)


@pytest.mark.parametrize("wrong", [{"heads": 0}, {"train_limit": 1}, {"cache_mib": -1}])
def test_a_config_is_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be at least 1|number of mebibytes"):
        Config(**wrong)
