"""Blocks of attention: torch's own layer is the reference, in value and in gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.nn.transformer import Block, attention


def twin_of(block: Block, width: int, heads: int) -> nn.TransformerEncoderLayer:
    """torch's layer with the block's weights."""
    twin = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True)
    pairs = {
        "self_attn.in_proj_": block.queries_keys_values,
        "self_attn.out_proj.": block.merge,
        "norm1.": block.norm_attention,
        "norm2.": block.norm_perceptron,
        "linear1.": block.perceptron[0],
        "linear2.": block.perceptron[2],
    }
    twin.load_state_dict(
        {f"{to}{name}": value for to, part in pairs.items() for name, value in part.state_dict().items()}
    )
    return twin


def test_a_block_is_torchs_layer_that_normalises_first() -> None:
    torch.manual_seed(0)
    block = Block(12, 3)
    for weight in block.parameters():
        nn.init.normal_(weight, std=0.3)
    twin = twin_of(block, 12, 3)
    tokens = torch.randn(4, 5, 12, requires_grad=True)
    direction = torch.randn(4, 5, 12)
    torch.testing.assert_close(block(tokens), twin(tokens))
    mine = torch.autograd.grad((block(tokens) * direction).sum(), [tokens, *block.parameters()])
    theirs = torch.autograd.grad((twin(tokens) * direction).sum(), tokens)
    torch.testing.assert_close(mine[0], theirs[0], rtol=1e-4, atol=1e-5)
    assert all(bool(gradient.any()) for gradient in mine)


def test_attention_is_softmax_of_the_products_token_by_token() -> None:
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 1, 1, 4, 2).double()
    found = attention(queries, keys, values)[0, 0]
    for i in range(4):
        exponentials = [((queries[0, 0, i] @ keys[0, 0, j]) / 2**0.5).exp() for j in range(4)]
        expected = sum(e * values[0, 0, j] for j, e in enumerate(exponentials)) / sum(exponentials)
        torch.testing.assert_close(found[i], expected)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(queries, keys, values)[0, 0])


def test_equal_keys_give_the_mean_of_the_values() -> None:
    values = torch.randn(1, 1, 4, 2)
    found = attention(torch.randn(1, 1, 4, 2), torch.ones(1, 1, 4, 2), values)
    torch.testing.assert_close(found, values.mean(2, keepdim=True).expand_as(found))


def test_the_order_of_tokens_plays_no_part() -> None:
    torch.manual_seed(0)
    block, tokens, order = Block(8, 2), torch.randn(2, 6, 8), torch.randperm(6)
    torch.testing.assert_close(block(tokens[:, order]), block(tokens)[:, order])


def test_it_stays_near_itself_under_bf16() -> None:
    torch.manual_seed(0)
    block, tokens = Block(8, 2), torch.randn(2, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = block(tokens)
    torch.testing.assert_close(rounded.float(), block(tokens), rtol=0.05, atol=0.05)


def test_features_must_be_shared_out_evenly() -> None:
    with pytest.raises(ValueError, match="width=10 is no multiple of heads=3"):
        Block(10, 3)


def test_tokens_look_only_where_they_may() -> None:
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 2, 2, 5, 4)
    seen = torch.rand(2, 5, 5) < 0.5
    seen |= torch.eye(5, dtype=torch.bool)
    expected = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen.unsqueeze(1))
    torch.testing.assert_close(attention(queries, keys, values, seen), expected)
