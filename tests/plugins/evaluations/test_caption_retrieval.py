"""Caption retrieval on scenes whose captions are few and true: right, wrong in one way, blank; and what has none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from example_scenes import Draughtsman, scenes
from example_subject import LinearCode, digits_dataset, example_subject

from harness.data.columns import InMemory, Texts
from harness.data.rows import Dataset, Rows, read_as
from harness.errors import NotApplicable
from harness.examples import checked
from harness.judging import caption_towers
from harness_plugins.evaluations import caption_retrieval

CONFIG = caption_retrieval.Config(n=240, shown=6)
CAPTIONS = 11  # 3 colours in 4 corners, but for one that is held out


@pytest.fixture(scope="module")
def data() -> Dataset:
    return scenes()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all, so that the judge is trained once, and briefly: scenes are easy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_towers, "FEWEST", 6000)
        patch.setattr(caption_towers, "MOST", 6000)
        yield tmp_path_factory.mktemp("captions")


def never_blue(factors: torch.Tensor) -> torch.Tensor:
    return factors.clamp(max=torch.tensor([1, 3, 1]))


def judged(data: Dataset, folder: Path, wrong: Any = lambda factors: factors, method: Any = Draughtsman) -> Any:
    subject = example_subject(method("captions", wrong, data.spec.captions), data, folder)
    return caption_retrieval.run(subject, CONFIG), subject


def test_what_is_drawn_as_told_finds_its_caption_and_shuffled_captions_are_found_by_chance(
    data: Dataset, kept: Path
) -> None:
    scores, subject = judged(data, kept)
    assert scores["r_precision"].value == scores["of_real"].value == 1.0
    assert scores["median_rank"].value == 1.0
    n = scores["r_precision"].n
    assert n == len(data.test)
    chance = 1 / CAPTIONS
    assert {scores[name].chance for name in ("r_precision", "of_real", "shuffled")} == {chance}
    assert scores["shuffled"].value == pytest.approx(chance, abs=4 * sqrt(chance * (1 - chance) / n))
    assert scores["r_precision"].note.startswith("caption judge ")
    assert scores["r_precision"].note.endswith("; among 11 captions, all that are different, for 100")
    for name in ("r_precision", "of_real", "shuffled"):
        found = checked(name, scores[name], len(data.test))
        assert found is not None
        assert found.values.mean() == pytest.approx(scores[name].value)
    (picture,) = subject.pictures
    assert len(picture.texts) == picture.columns == 6
    assert all(text.endswith("\n✓") for text in picture.texts)


def test_fewer_candidates_are_easier_and_said(data: Dataset, kept: Path) -> None:
    subject = example_subject(Draughtsman("captions", never_blue, data.spec.captions), data, kept)
    two = caption_retrieval.run(subject, caption_retrieval.Config(n=240, candidates=2))
    all_of_them, _ = judged(data, kept, never_blue)
    assert two["r_precision"].value > all_of_them["r_precision"].value
    assert two["r_precision"].note.endswith("; among 2 captions")
    assert two["r_precision"].chance == 0.5


def test_what_is_drawn_otherwise_counts_as_often_as_it_was_asked_for(data: Dataset, kept: Path) -> None:
    scores, subject = judged(data, kept, never_blue)
    assert data.test.factors is not None
    blue = data.test.factors[:, 0] == 2
    assert scores["r_precision"].value == pytest.approx(1 - float(blue.double().mean()))
    assert scores["of_real"].value == 1.0
    assert torch.equal(scores["r_precision"].outcomes == 0, blue[scores["r_precision"].rows])
    for text in subject.pictures[0].texts:
        asked, verdict = text.split("\n")
        assert (verdict == "✓") == ("blue" not in asked)
        assert verdict == "✓" or verdict == f"✗ {asked.replace('blue', 'green')}"


class Blank(Draughtsman):
    def sample_as(self, condition: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(condition), 3, 8, 8)


def test_one_image_for_all_captions_is_chance(data: Dataset, kept: Path) -> None:
    scores, _ = judged(data, kept, method=Blank)
    chance = 1 / CAPTIONS  # all rank the same caption first, which is the own one of its share of the images
    assert scores["r_precision"].value == pytest.approx(chance, abs=0.08)
    assert scores["median_rank"].value > 3


def test_it_is_deterministic_and_all_methods_of_a_seed_have_one_judge(data: Dataset, kept: Path) -> None:
    first, _ = judged(data, kept, never_blue)
    torch.rand(3)  # the global generator is no matter
    again, _ = judged(data, kept, never_blue)
    other, _ = judged(data, kept)
    assert first == again
    assert first["r_precision"].note == other["r_precision"].note
    assert first["of_real"] == other["of_real"]
    assert first["shuffled"] == other["shuffled"]


def test_another_dataset_has_another_judge(data: Dataset, kept: Path) -> None:
    first, _ = judged(data, kept)
    second, _ = judged(scenes(seed=1), kept)
    assert first["r_precision"].note != second["r_precision"].note


def test_labels_are_not_needed(data: Dataset, kept: Path) -> None:
    bare = replace(data, spec=replace(data.spec, classes=(), factors=()), read_factors=None)
    parts = {name: replace(data.split(name), labels=None, factors=None) for name in ("train", "validation", "test")}  # type: ignore[arg-type]
    scores, _ = judged(replace(bare, **parts), kept)
    assert scores["r_precision"].value == 1.0


def captioned(data: Dataset, texts: Any) -> Dataset:
    """The same images with other captions: `texts` of so many."""

    def changed(rows: Rows) -> Rows:
        return replace(rows, captions=Texts(tuple(texts(len(rows)))))

    parts = {name: changed(data.split(name)) for name in ("train", "validation", "test")}  # type: ignore[arg-type]
    captions = replace(data.spec.captions, tokenizer="", length=0).measured(parts["train"].captions)  # type: ignore[type-var]
    return replace(data, spec=replace(data.spec, captions=captions), **parts)


def test_what_does_not_apply_says_why(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_towers, "FEWEST", 600)
    monkeypatch.setattr(caption_towers, "MOST", 600)
    with pytest.raises(NotApplicable, match="example is asked for labels, not for captions"):
        caption_retrieval.run(example_subject(Draughtsman("labels"), data, tmp_path), CONFIG)
    digits = digits_dataset()
    with pytest.raises(NotApplicable, match="digits has no captions"):
        caption_retrieval.run(example_subject(LinearCode(digits.train.values, 2), digits, tmp_path), CONFIG)
    with pytest.raises(NotApplicable, match="images of scenes have one caption: there is none to tell it from"):
        judged(captioned(data, lambda n: ["an image"] * n), tmp_path)
    subject = example_subject(Draughtsman("captions", words=data.spec.captions), data, tmp_path)
    subject.target = replace(subject.target, name="others")
    with pytest.raises(NotApplicable, match="example can be asked for what is in scenes, not others"):
        caption_retrieval.run(subject, CONFIG)
    generator = torch.Generator().manual_seed(0)

    def meaningless(n: int) -> list[str]:
        return [f"word{number}" for number in torch.randint(20, (n,), generator=generator).tolist()]

    with pytest.raises(NotApplicable, match=r"learned nothing from scenes: of \d+ validation images 0\.\d+ find"):
        judged(captioned(data, meaningless), tmp_path)


def test_options_are_checked() -> None:
    for wrong in ({"n": 0}, {"shown": 0}):
        with pytest.raises(ValueError, match="n and shown must be at least 1"):
            caption_retrieval.Config(**wrong)
    with pytest.raises(ValueError, match="candidates must be at least 2: a caption is told from others"):
        caption_retrieval.Config(candidates=1)


def test_the_order_of_words_is_read_and_padding_is_not(data: Dataset) -> None:
    towers = caption_towers.Towers((3, 8, 8), 10).eval()
    one, other = (towers.of_captions(torch.tensor([words])) for words in ([2, 3, 4, 0], [4, 3, 2, 0]))
    assert not torch.allclose(one, other, atol=1e-4)
    longer = towers.of_captions(torch.tensor([[2, 3, 4, 0, 0, 0]]))
    assert torch.allclose(one, longer, atol=1e-6)
    images = InMemory(data.test.values)
    assert towers.of_images(images.values[:4].float() / 255).norm(dim=1).tolist() == pytest.approx([1.0] * 4)


def test_the_same_caption_is_no_wrong_answer(data: Dataset) -> None:
    """The loss of a batch against sums over its different captions."""
    torch.manual_seed(0)
    towers = caption_towers.Towers((3, 8, 8), 10).eval()
    images = read_as(data, data.spec).train.values[:4].float() / 255
    captions = torch.tensor([[2, 3], [4, 5], [2, 3], [6, 7]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_towers, "LOST", 0.0)
        loss = float(caption_towers.symmetric_info_nce(towers, images, captions).detach())
    with torch.no_grad():
        alike = (towers.of_images(images) @ towers.of_captions(captions).T / caption_towers.TEMPERATURE).double()
    rivals = {0: [1, 3], 1: [0, 2, 3], 2: [1, 3], 3: [0, 1, 2]}
    nats = 0.0
    for i, others in rivals.items():
        for line in (alike[i], alike[:, i]):
            nats += float(torch.logsumexp(line[[i, *others]], 0) - line[i])
    assert loss == pytest.approx(nats / 8, rel=1e-5)
