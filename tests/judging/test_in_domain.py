"""The in-domain extractor: skilled, cached, the same whoever trains it, and trained once by many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.data.columns import Files, InMemory
from harness.data.rows import Rows
from harness.data.splits import split_dataset
from harness.judging import in_domain
from harness.judging.kept_networks import in_own_order, read_weights, weights_hash
from harness_plugins.datasets import digits

CPU = torch.device("cpu")


def labelled_and_test(seed: int) -> tuple[Rows, Rows]:
    """The digits: train and validation of a seed, and test."""
    raw = digits.load(digits.Config(), Path())
    data = split_dataset("digits", raw, digits.describe(digits.Config(), Path()), seed)
    images = torch.cat([data.train.values, data.validation.values])
    labels = [part.labels for part in (data.train, data.validation) if part.labels is not None]
    return Rows(inputs=InMemory(images), labels=torch.cat(labels)), data.test


def stripes(n: int, size: int, channels: int, seed: int) -> Rows:
    """Images with upright (0) or level (1) stripes and noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    wave = (torch.arange(size) % 2 * 150).expand(size, size)
    images = torch.where(labels.bool()[:, None, None], wave.T, wave)[:, None].expand(-1, channels, -1, -1)
    noise = torch.randint(100, images.shape, generator=generator)
    return Rows(inputs=InMemory((images + noise).to(torch.uint8)), labels=labels)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on few images only."""
    monkeypatch.setattr(in_domain, "FEWEST", 600)
    monkeypatch.setattr(in_domain, "MOST", 600)


def test_digits_extractor_is_skilled_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled, test = labelled_and_test(seed=0)
    first = in_domain.kept_extractor(labelled, test, 10, tmp_path, CPU)
    assert first.accuracy is not None
    assert first.accuracy >= 0.97
    features = first(labelled.values)
    assert features.shape == (len(labelled), 64)
    assert features.dtype == torch.float64
    assert float(features.var(0).sum()) == pytest.approx(64, rel=1e-3)
    assert str(first) == f"in-domain classifier {first.fingerprint}, test accuracy {first.accuracy:.3f}, 64 features"

    def not_again(*args: object) -> None:
        raise AssertionError("trained a second time")

    monkeypatch.setattr(in_domain, "train_classifier", not_again)
    labelled, test = labelled_and_test(seed=1)  # another validation split of the same images
    second = in_domain.kept_extractor(labelled, test, 10, tmp_path, CPU)
    assert (second.fingerprint, second.accuracy) == (first.fingerprint, first.accuracy)
    assert torch.equal(second(test.values), first(test.values))


@pytest.mark.usefixtures("short")
def test_training_depends_on_neither_threads_nor_random_state_nor_order() -> None:
    split = stripes(200, 12, 3, seed=0)
    before = torch.get_num_threads()
    hashes = set()
    for threads, seed in ((1, 0), (2, 1)):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
        assert split.labels is not None
        shuffled = Rows(inputs=InMemory(split.values[order]), labels=split.labels[order])
        trained = in_domain.train_classifier(in_own_order(shuffled), 2)
        hashes.add(weights_hash(dict(trained.state_dict())))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert len(hashes) == 1
    other = in_domain.train_classifier(in_own_order(split), 2, seed=1)
    assert weights_hash(dict(other.state_dict())) not in hashes


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (17, 2), (28, 1), (33, 3), (96, 3)])
def test_images_of_any_size_and_channels(size: int, channels: int, tmp_path: Path) -> None:
    test = stripes(100, size, channels, seed=1)
    made = in_domain.kept_extractor(stripes(200, size, channels, seed=0), test, 2, tmp_path, CPU)
    assert made(test.values).shape == (100, 64)
    assert made.accuracy is not None
    if size in (8, 17, 28):  # stripes of one pixel: larger images are seen through a stride
        assert made.accuracy > 0.9


@pytest.mark.usefixtures("short")
def test_images_in_files_give_the_classifier_of_those_in_memory(tmp_path: Path) -> None:
    def in_files(split: Rows) -> Rows:
        names = tuple(Path(str(row)) for row in range(len(split)))
        files = Files(names, lambda paths: split.values[[int(path.name) for path in paths]])
        return Rows(inputs=files, labels=split.labels)

    splits = stripes(700, 8, 1, seed=0), stripes(50, 8, 1, seed=1)
    kept = in_domain.kept_extractor(*splits, 2, tmp_path / "memory", CPU)
    read = in_domain.kept_extractor(*map(in_files, splits), 2, tmp_path / "files", CPU)
    assert (read.fingerprint, read.accuracy) == (kept.fingerprint, kept.accuracy)
    names = [[file.name for file in sorted((tmp_path / each).glob("*.safetensors"))] for each in ("memory", "files")]
    assert names[0] == names[1]  # so that the one finds what the other has trained


@pytest.mark.usefixtures("short")
def test_other_content_is_another_extractor(tmp_path: Path) -> None:
    one, test = stripes(200, 8, 1, seed=0), stripes(50, 8, 1, seed=1)
    first = in_domain.kept_extractor(one, test, 2, tmp_path, CPU)
    images = one.values.clone()
    images[0, 0, 0, 0] ^= 1
    second = in_domain.kept_extractor(Rows(inputs=InMemory(images), labels=one.labels), test, 2, tmp_path, CPU)
    assert first.fingerprint != second.fingerprint
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == 2
    assert all("test accuracy" in (read_weights(file) or {}) for file in files)


def test_equal_images_with_different_labels_have_one_order() -> None:
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    images[2:] = 7
    one = in_own_order(Rows(inputs=InMemory(images), labels=torch.tensor([1, 0, 0, 1])))
    two = in_own_order(Rows(inputs=InMemory(images.flip(0)), labels=torch.tensor([0, 1, 1, 0])))
    assert torch.equal(one.values, two.values)
    assert torch.equal(one.labels, two.labels)  # type: ignore[arg-type]


RACER = """
import sys
import time
from pathlib import Path
import torch
from harness.judging import in_domain
from harness.data.columns import Files, InMemory
from harness.data.rows import Rows
in_domain.FEWEST = in_domain.MOST = 3000
folder, train = Path(sys.argv[1]), in_domain.train_classifier
def counted(*args):
    (folder / f"trained-{sys.argv[2]}").touch()
    return train(*args)
in_domain.train_classifier = counted
torch.set_num_threads(int(sys.argv[2]))
(folder / f"ready-{sys.argv[2]}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.01)
labels = torch.arange(100) % 2
images = (labels[:, None, None, None] * 9 + torch.arange(64).view(8, 8)).to(torch.uint8)
split = Rows(inputs=InMemory(images), labels=labels)
print(in_domain.kept_extractor(split, split, 2, folder / "kept", torch.device("cpu")))
"""


def test_two_processes_train_it_once(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in ("1", "2")
    ]
    names = {racer.communicate(timeout=60)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0, 0]
    assert len(names) == 1
    assert len(list(tmp_path.glob("trained-*"))) == 1
