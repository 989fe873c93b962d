"""References of texts, against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from harness.contract.examples import generated_texts
from harness.data.columns import InMemory, Texts, all_values
from harness.data.fields import DataSpec, TextField
from harness.data.texts import WORD
from harness.metrics.kneser_ney import bigram, pair_counts
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve

TRAIN = ("The cat sat on the mat.", "A dog sat; the dog ran!", "Cats and dogs", "the the the")
TEST = ("the cat and a zebra", "dogs sat", "zebra")


def built(name: str, spec: DataSpec, **params: Any) -> Any:
    plugin = Registry().load(name, METHOD_KINDS).spec
    return plugin.build(None, spec, resolve(plugin.config, params, name))


def read(field: TextField, strings: tuple[str, ...]) -> torch.Tensor:
    return all_values(field.read(Texts(strings), field)[0])


def test_tf_idf_and_bag_of_words_are_those_of_scikit_learn() -> None:
    field = TextField().measured(Texts(TRAIN))
    spec = DataSpec(inputs=field)
    method = built("tf-idf", spec)
    method.fit(InMemory(read(field, TRAIN)))
    for peer, found in ((TfidfVectorizer, method), (CountVectorizer, built("bag-of-words", spec))):
        reference = peer(token_pattern=WORD).fit(TRAIN)
        assert tuple(reference.get_feature_names_out()) == field.vocabulary[2:]
        for strings in (TRAIN, TEST):
            expected = torch.from_numpy(reference.transform(strings).toarray().astype(np.float32))
            torch.testing.assert_close(found.encode(read(field, strings)), expected)


def test_n_grams_predict_by_their_tables() -> None:
    data = generated_texts(classes=4)
    size = len(data.spec.inputs.vocabulary)
    two, one = built("n-gram", data.spec), built("n-gram", data.spec, order=1)
    two.fit(InMemory(data.values))
    one.fit(InMemory(data.values))
    table = bigram(pair_counts(data.values, size))
    logits = two.next_words(data.values[:1])[0].exp()
    torch.testing.assert_close(logits[0], table[0])
    torch.testing.assert_close(logits[1], table[data.values[0, 0]])
    assert torch.equal(one.next_words(data.values)[0, 0], one.next_words(data.values)[3, 2])


def test_a_bigram_goes_on_with_the_likeliest_word() -> None:
    data = generated_texts(classes=4)
    method = built("n-gram", data.spec)
    method.fit(InMemory(torch.tensor([[2, 3, 4, 2, 3, 4, 2, 3, 4]] * 3)))
    assert method.complete(torch.tensor([[2]]), 5, torch.Generator(), temperature=0).tolist() == [[2, 3, 4, 2, 3, 4]]
