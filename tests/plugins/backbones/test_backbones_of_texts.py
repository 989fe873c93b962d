from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from harness.contract.examples import generated_texts
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone
from harness.nn.words import ALL, read_words, word_readouts
from harness.registry import Registry
from harness.registry.config import resolve
from harness_plugins.backbones.bag_of_embeddings import Bag, Config
from harness_plugins.backbones.transformer import positions

NAMES = ("gru", "transformer", "bag-of-embeddings")
DATA = generated_texts(classes=4)


def built(name: str, **params: object) -> Backbone:
    spec = Registry().load(name, ("backbone",)).spec
    torch.manual_seed(0)
    return spec.build(DATA.spec, resolve(spec.config, params, name)).eval()


def changed_from(tokens: Tensor, place: int) -> Tensor:
    """The same words but for those from `place` on."""
    others = tokens.clone()
    others[:, place:] = 2 + (others[:, place:] + 1) % 5
    return others


@pytest.mark.parametrize("name", NAMES)
def test_who_looks_back_knows_nothing_of_later_words(name: str) -> None:
    backbone = built(name)
    backbone.look_back()
    tokens = 2 + torch.randint(5, (4, 8))
    for one, other in zip(backbone.word_layers(tokens), backbone.word_layers(changed_from(tokens, 5)), strict=True):
        torch.testing.assert_close(one[:, :5], other[:, :5], rtol=0, atol=1e-6)
        assert (one[:, 5:] - other[:, 5:]).abs().sum(2).min() > 1e-3


def test_words_of_a_transformer_look_at_later_ones_unless_asked_not_to() -> None:
    backbone, tokens = built("transformer"), 2 + torch.randint(5, (4, 8))
    gap = (backbone.words(tokens) - backbone.words(changed_from(tokens, 5)))[:, :5].abs().amax(2)
    assert gap.min() > 1e-4


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_order_counts(name: str) -> None:
    backbone = built(name)
    assert (backbone(torch.tensor([[2, 3, 4]])) - backbone(torch.tensor([[4, 3, 2]]))).abs().max() > 1e-3


def test_order_does_not_count_in_a_bag() -> None:
    backbone = built("bag-of-embeddings")
    torch.testing.assert_close(backbone(torch.tensor([[2, 3, 4]])), backbone(torch.tensor([[4, 3, 2]])))


@pytest.mark.parametrize("name", NAMES)
def test_readouts_say_each_layer_and_padding_changes_none(name: str) -> None:
    backbone = built(name)
    found = word_readouts(backbone)
    assert len(found) == 3 * len(backbone.word_layer_names) + 1 == len(set(found))
    torch.testing.assert_close(read_words(backbone, DATA.values, found[0]), backbone(DATA.values))
    for readout in found:
        times = 2 * len(backbone.word_layer_names) if readout == ALL else 1
        once, padded = (read_words(backbone, tokens, readout) for tokens in (DATA.values, DATA.padded(3)))
        assert once.shape == (len(DATA.values), times * backbone.dim)
        torch.testing.assert_close(once, padded, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_reads_with_weights_of_its_own(name: str) -> None:
    backbone = built(name)
    twin = copy.deepcopy(backbone)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    with torch.no_grad():
        own, zeroed = backbone.words(DATA.values), twin.words(DATA.values)
    assert float(own.abs().sum()) > 0
    assert float(zeroed.abs().sum()) == 0


def test_the_recurrent_network_is_that_of_torch_with_each_layer_added() -> None:
    backbone = built("gru", layers=2, width=6)
    trunk, tokens = backbone.trunk, torch.randint(2, 8, (3, 7))
    states = trunk.vectors(tokens)
    for layer in (0, 1):
        reference = nn.GRU(6, 6, batch_first=True)
        reference.load_state_dict(trunk.layers[layer].state_dict())
        states = states + reference(states)[0]
    torch.testing.assert_close(backbone.words(tokens), states)


@pytest.mark.parametrize("name", NAMES)
def test_the_vectors_of_words_are_what_words_are_read_with(name: str) -> None:
    backbone = built(name)
    vectors = backbone.word_vectors
    assert any(vectors is weight for weight in backbone.parameters())
    first = backbone.word_layers(torch.tensor([[3, 5]]))[0][0]
    torch.testing.assert_close(first / first.norm(), vectors[[3, 5]] / vectors[[3, 5]].norm())


def test_positions_are_those_of_the_paper() -> None:
    waves = positions(5, 8)
    for place in range(5):
        for pair in range(4):
            angle = torch.tensor(place / 10_000 ** (2 * pair / 8))
            torch.testing.assert_close(waves[place, [pair, 4 + pair]], torch.stack([angle.sin(), angle.cos()]))


def test_a_backbone_that_tells_nothing_of_words_is_read_as_it_is() -> None:
    backbone = Backbone(Bag(12, Config()), Config().width, DATA.spec, any_size=True)
    assert word_readouts(backbone) == ("as it is",)
    torch.testing.assert_close(read_words(backbone, DATA.values, "as it is"), backbone(DATA.values))
    with pytest.raises(NotApplicable, match="needs what a backbone makes of each word: choose --backbone transformer"):
        backbone.words(DATA.values)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("gru", {"dropout": 1.0}, "dropout is a probability"),
        ("gru", {"layers": 0}, "at least 1"),
        ("transformer", {"width": 30}, "width must be even and a multiple of heads=4"),
        ("bag-of-embeddings", {"width": 0}, "width must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(name: str, params: dict, said: str) -> None:
    with pytest.raises(Exception, match=said):
        built(name, **params)
