"""Texts as inputs of a dataset: read by the source's tokenizer, cut and padded, never under a foreign vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from harness import loading
from harness.data.batches import Batches, batch_of
from harness.data.columns import Texts
from harness.data.fields import DataSpec, ImageField, TextField, VideoField
from harness.data.rows import Dataset, RawData, read_as
from harness.data.splits import split_dataset
from harness.data.texts import words_of
from harness.data.tokens import PADDING, UNKNOWN
from harness.errors import NotApplicable, RequestError
from harness.plugin.specs import DatasetSpec
from harness.seeding import derived_generator

SPEC = DataSpec(inputs=TextField(), classes=("short", "long"))
OWN = [text for n in range(30) for text in ("a cat sleeps", f"the old dog number {n % 5} runs far away")]
LABELS = torch.arange(len(OWN)) % 2
LONG = "the cat, the dog: a cat runs far away from the old number of dogs"
TEST = ["", "zebra xylophone", LONG, "A CAT sleeps!", "dog"]


def source(spec: DataSpec = SPEC, **more: object) -> Dataset:
    test = RawData(inputs=TEST, labels=torch.tensor([0, 0, 1, 0, 0]))
    return split_dataset("mine", RawData(inputs=OWN, labels=LABELS, test=test, **more), spec, 0)  # type: ignore[arg-type]


def read(dataset: Dataset) -> Dataset:
    return read_as(dataset, dataset.spec)


def words(dataset: Dataset, tokens: torch.Tensor) -> list[str]:
    return [dataset.spec.inputs.text(row) for row in tokens]


def test_tokens_say_what_the_texts_say() -> None:
    own = read(source())
    strings = source().train.inputs
    assert isinstance(strings, Texts)
    assert words(own, own.train.values) == [" ".join(words_of(text)) for text in strings.strings]
    assert (own.spec.inputs.length, own.train.values.dtype) == (8, torch.int64)


def test_the_tokenizer_and_the_length_are_those_of_the_training_split() -> None:
    own = source()
    assert {"zebra", "from", "dogs"} & set(own.spec.inputs.vocabulary) == set()
    trained = {word for text in own.train.inputs.strings for word in words_of(text)}
    assert set(own.spec.inputs.vocabulary) == {"", "?"} | trained


def test_empty_unknown_and_long_texts() -> None:
    own = read(source())
    batch = batch_of(own.test, own.spec)
    assert words(own, batch.inputs) == [
        "",
        "? ?",
        "the cat the dog a cat runs far",
        "a cat sleeps",
        "dog",
    ]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [0, 2, 8, 3, 1]
    assert batch.inputs[1].tolist() == [UNKNOWN, UNKNOWN] + [PADDING] * 6
    assert batch.inputs[0].tolist() == [PADDING] * 8


def test_a_length_that_is_described_cuts_all_texts() -> None:
    own = read(source(replace(SPEC, inputs=TextField(length=4))))
    assert own.train.values.shape[1] == 4
    assert words(own, own.test.values)[2] == "the cat the dog"


def test_batches_carry_the_lengths_of_their_texts() -> None:
    own = read(source())
    lengths = set()
    for batch in islice(Batches(own.train, own.spec, 8, derived_generator(0, "order")), 6):
        assert batch.lengths is not None
        assert (batch.inputs.shape, batch.inputs.dtype) == ((8, 8), torch.int64)
        assert batch.lengths.tolist() == [len(words_of(text)) for text in words(own, batch.inputs)]
        lengths |= set(batch.lengths.tolist())
    assert lengths == {3, 8}


def test_splits_are_of_rows_and_each_text_keeps_its_label() -> None:
    own = source()
    parts = [own.train, own.validation]
    assert sum(len(part) for part in parts) == len(OWN)
    assert sorted(text for part in parts for text in part.inputs.strings) == sorted(OWN)
    for part in parts:
        assert part.labels is not None
        assert [len(words_of(text)) > 3 for text in part.inputs.strings] == part.labels.bool().tolist()


def test_unlabelled_texts_are_learned_from_in_the_words_of_training() -> None:
    own = read(source(unlabelled=["a dog sleeps", "unheard words"]))
    everything = own.pretraining(())
    assert len(everything) == len(own.train) + 2
    assert words(own, everything.values)[-2:] == ["a dog sleeps", "? ?"]
    assert len(own.pretraining(("labels",))) == len(own.train)


# Another dataset's texts. ---------------------------------------------------------------------------------------------


def other() -> Dataset:
    """Longer texts, in words of which the source knows some: the same word has another token in each vocabulary."""
    texts = [f"aardvark cat zebra {'far ' * (n % 9)}away" for n in range(40)]
    spec = DataSpec(inputs=TextField(), classes=("one", "two"), captions=TextField())
    raw = RawData(inputs=texts, labels=torch.arange(40) % 2, captions=["zebra text of the old cat"] * 40)
    return split_dataset("other", raw, spec, 0)


def test_a_target_is_read_by_the_tokenizer_of_the_source() -> None:
    own, target = read(source()), read_as(other(), source().spec)
    vocabulary = own.spec.inputs.vocabulary
    assert target.spec.inputs == own.spec.inputs
    assert target.spec.classes == ("one", "two")
    assert target.note == other().note  # of texts that train and test have alike
    for string, tokens in zip(other().test.inputs.strings, target.test.values.tolist(), strict=True):
        known = [vocabulary.index(word) if word in vocabulary else UNKNOWN for word in words_of(string)][:8]
        assert tokens == known + [PADDING] * (8 - len(known))


def test_the_words_of_a_target_never_come_under_its_own_vocabulary() -> None:
    own, foreign = read_as(other(), source().spec), read(other())
    cat = source().spec.inputs.vocabulary.index("cat")
    assert other().spec.inputs.vocabulary.index("cat") != cat
    assert (own.test.values[:, 1] == cat).all()
    assert (foreign.test.values[:, 1] != cat).all()


def test_captions_of_a_target_are_read_by_the_caption_tokenizer_of_the_source() -> None:
    captions = TextField().measured(Texts(("a cat of the house",)))
    target = read_as(other(), replace(source().spec, captions=captions))
    assert target.spec.captions == captions
    assert target.test.captions is not None
    tokens = target.test.captions.take(torch.arange(1))[0]
    assert captions.text(tokens) == "? ? of the ?"


def test_what_a_target_has_beside_its_splits_is_read_too() -> None:
    unseen = RawData(inputs=["a dog sleeps"] * 3, labels=torch.tensor([0, 1, 0]))
    target = replace(
        other(), unseen=source(unseen=unseen).unseen, unlabelled=source(unlabelled=["zebra cat"]).unlabelled
    )
    found = read_as(target, source().spec)
    assert found.unseen is not None
    assert words(read(source()), found.unseen.values) == ["a dog sleeps"] * 3
    assert found.unlabelled is not None
    assert words(read(source()), found.unlabelled.values) == ["? cat"]


@pytest.mark.parametrize(
    ("field", "things"),
    [(ImageField(channels=1, size=8), "images"), (VideoField(frames=2, channels=1, size=8), "clips")],
)
def test_no_other_kind_is_read_as_texts(field: ImageField | VideoField, things: str) -> None:
    values = torch.zeros(20, *field.shape, dtype=torch.uint8)
    images = split_dataset("images", RawData(inputs=values), DataSpec(inputs=field), 0)
    with pytest.raises(NotApplicable, match=f"trained on texts, these are {things}"):
        read_as(images, source().spec)
    with pytest.raises(NotApplicable, match=f"trained on {things}, these are texts"):
        read_as(source(), images.spec)


# As a plugin. ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Config:
    lines: int = 60


def of_file(**loads: object) -> DatasetSpec:
    """A dataset of the lines of a file."""

    def load(config: Config, root: Path) -> RawData:
        lines = (root / "lines.txt").read_text().splitlines()[: config.lines]
        return RawData(**{"inputs": lines, "labels": torch.arange(len(lines)) % 2} | loads)  # type: ignore[arg-type]

    return DatasetSpec(
        name="lines", describe=lambda config, root: SPEC, files=lambda config, root: [root / "lines.txt"], load=load,
        config=Config,
    )  # fmt: skip


def test_texts_of_a_file_are_loaded_and_their_fingerprint_is_that_of_their_content(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(OWN))
    first = loading.fingerprint(of_file(), Config(), tmp_path)
    loaded = read(loading.load(of_file(), Config(), tmp_path, 0))
    assert len(loaded.train) + len(loaded.validation) + len(loaded.test) == len(OWN)
    assert loading.fingerprint(of_file(), Config(), tmp_path) == first
    assert loading.fingerprint(of_file(), Config(lines=50), tmp_path) != first
    (tmp_path / "lines.txt").write_text("\n".join([*OWN[:-1], "another last line"]))
    assert loading.fingerprint(of_file(), Config(), tmp_path) != first


@pytest.mark.parametrize(
    ("loads", "message"),
    [
        ({"inputs": ["a text", 7]}, "its training texts are strings but for 1, such as 7"),
        ({"inputs": torch.zeros(3, 4)}, "its training texts are no list of strings"),
        ({"inputs": []}, "it has no texts"),
        ({"labels": torch.zeros(2, dtype=torch.int64)}, "it has 2 labels for 60 training texts"),
        ({"labels": None}, "it has labels for some texts only"),
        ({"unlabelled": []}, "it has no unlabelled texts"),
    ],
)
def test_a_dataset_that_holds_no_such_texts_says_so(loads: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(OWN))
    with pytest.raises(RequestError, match=message):
        loading.load(of_file(**loads), Config(), tmp_path, 0)


def test_too_few_texts_are_counted_as_texts(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(OWN))
    with pytest.raises(RequestError, match="has 5 texts, too few"):
        loading.load(of_file(), Config(lines=5), tmp_path, 0)
