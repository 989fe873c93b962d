"""The contract of methods that predict words, complete texts and draw futures of clips.

B texts or clips, L tokens, V words, P of a beginning. A case is one of `harness.contract.methods`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.contract.generating import require_seeded_images
from harness.contract.requirements import TOLERANCE, require, require_finite, require_same_alone, require_shape
from harness.nn.words import are_words
from harness.seeding import derived_generator

if TYPE_CHECKING:
    from harness.contract.methods import MethodCase

ADDED = 4  # words


def predicts_words_from_those_before(case: MethodCase) -> str:
    """No logit knows the word that it is for, nor a later one."""
    method = case.able("next_words")
    tokens, size = case.data.values, len(case.data.spec.inputs.vocabulary)
    logits = method.next_words(tokens)
    require_shape("next_words()", logits, (*tokens.shape, size))
    words = are_words(tokens)
    require_finite("next_words()", logits[words][:, 1:])  # it may know no end of texts
    place = tokens.shape[1] // 2
    others = tokens.clone()
    others[:, place:] = torch.where(words, 2 + (tokens - 1) % (size - 2), tokens)[:, place:]
    seen = words[:, : place + 1]
    gap = (method.next_words(others) - logits)[:, : place + 1][seen][:, 1:].abs().max()
    require(float(gap) < TOLERANCE, f"next_words() looks ahead: other words later on change it by {float(gap):.2g}")
    require_same_alone("next_words()", lambda some: method.next_words(some)[:, 0, 1:], tokens)
    return f"{size} words"


def completes_texts_from_its_generator_alone(case: MethodCase) -> str:
    method = case.able("complete")
    tokens = case.data.values
    prompts = tokens[are_words(tokens)[:, :2].all(1)][:5, :2]  # (B,2)
    drawn = []
    for seed, unrelated in ((0, 0), (0, 1), (1, 1)):
        torch.manual_seed(unrelated)
        drawn.append(method.complete(prompts, ADDED, derived_generator(seed, "contract completions")))
    require_shape("complete()", drawn[0], (len(prompts), 2 + ADDED))
    require(drawn[0].dtype == torch.int64, f"complete() returned {drawn[0].dtype}, expected torch.int64")
    require(torch.equal(drawn[0][:, :2], prompts), "complete() changed the beginning that it was given")
    require(torch.equal(drawn[0], drawn[1]), "complete() depends on more than the generator that it is given")
    require(not torch.equal(drawn[1], drawn[2]), "complete() gives the same texts whatever its generator")
    return ""


def draws_futures_from_its_generator_alone(case: MethodCase) -> str:
    method = case.able("sample_future")
    clips = case.data.inputs
    seen = clips[:5, : clips.shape[1] // 2]
    require_seeded_images(
        "sample_future()", lambda generator: method.sample_future(seen, ADDED, generator), (5, ADDED, *clips.shape[2:])
    )
    return ""


CHECKS = (
    predicts_words_from_those_before,
    completes_texts_from_its_generator_alone,
    draws_futures_from_its_generator_alone,
)
