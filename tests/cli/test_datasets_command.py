from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torchvision
from rich.console import Console
from typer.testing import CliRunner

from harness import loading
from harness.cli.datasets import app, find, prepare, rows
from harness.errors import DatasetMissing, RequestError
from harness.registry import Registry
from harness_plugins.datasets import digits, mnist

MNIST = mnist.harness_dataset()


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Requests are not printed."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server on this machine, with a tiny MNIST, from which torchvision downloads."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for part, n in (("train", 40), ("t10k", 10)):
        images = struct.pack(">iiii", 2051, n, 28, 28) + bytes(n * 28 * 28)
        labels = struct.pack(">ii", 2049, n) + bytes(number % 10 for number in range(n))
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            file = folder / f"{part}-{kind}-ubyte.gz"
            file.write_bytes(gzip.compress(content))
            resources.append((file.name, hashlib.md5(file.read_bytes()).hexdigest()))
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def prepared(root: Path) -> str:
    console = Console(file=io.StringIO(), width=300)
    prepare(MNIST, mnist.Config(), root, console)
    return console.file.getvalue()


def test_list_says_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    found = {row.name: row for row in rows(Registry(), tmp_path)}
    assert (found["digits"].inputs, found["digits"].classes) == ("images of 8x8x1", "10")
    assert found["digits"].state == "present"
    assert found["stl10"].state == "missing: stl10_binary/train_X.bin"
    assert found["cifar100"].classes == "100"
    assert "needs path" in found["image-folder"].state
    assert {"cifar10", "fashion-mnist", "mnist", "svhn"} <= set(found)


def test_list_prints_a_line_for_each_and_the_data_folder(tmp_path: Path) -> None:
    output = run("list", "--data-dir", tmp_path)
    assert "fashion-mnist" in output
    assert f"data folder: {tmp_path}" in output.replace("\n", "")


def test_list_imports_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys; from harness.cli.datasets import app; app(['list'], standalone_mode=False); "
        "heavy = {'torch', 'torchvision', 'pandas', 'sklearn', 'scipy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_show_gives_source_classes_splits_and_fingerprint(tmp_path: Path) -> None:
    output = run("show", "digits", "--data-dir", tmp_path)
    lines = [line.split() for line in output.splitlines()]
    assert "CC BY 4.0" in output
    assert ["fingerprint", loading.fingerprint(digits.harness_dataset(), digits.Config(), tmp_path)] in lines
    assert ["all", "images", "1,294", "144", "359"] in lines
    assert ["3", "131", "15", "37"] in lines


def test_show_of_a_missing_dataset_says_how_to_fetch_it(tmp_path: Path) -> None:
    output = run("show", "cifar10", "--data-dir", tmp_path)
    assert "airplane, automobile" in output
    assert f"harness datasets prepare cifar10 --data-dir {tmp_path}" in output


def test_prepare_leaves_what_is_there(tmp_path: Path) -> None:
    assert "digits: nothing to fetch, it is there" in run("prepare", "digits", "--data-dir", tmp_path)


def test_prepare_downloads_once_in_torchvisions_layout(mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert f"mnist: now in {root}" in prepared(root)
    assert len(loading.load(MNIST, mnist.Config(), root, seed=0).test) == 10
    assert len(torchvision.datasets.MNIST(root, train=True)) == 40
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == [
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
    ]
    for file in mirror.iterdir():
        file.unlink()
    assert prepared(root) == f"mnist: already in {root}\n"


@pytest.mark.parametrize(("server", "reason"), [("gone", "refused"), ("damaged", "corrupted")])
def test_download_that_fails_is_one_line_and_leaves_nothing(
    server: str, reason: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server == "gone":
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    else:
        (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"the last of the four files is another one")
    with pytest.raises(RequestError, match=f"dataset 'mnist' could not be fetched into .*{reason}") as error:
        prepared(tmp_path / "data")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_what_cannot_be_fetched_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match="nothing can fetch it"):
        prepare(replace(MNIST, prepare=None), mnist.Config(), tmp_path, Console(file=io.StringIO()))


def test_names_are_checked_before_anything_is_fetched(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no dataset 'mnits': did you mean 'mnist'\?"):
        run("prepare", "mnist", "mnits", "--data-dir", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_one_dataset_at_a_time_is_found_with_its_parameters() -> None:
    spec, config = find(Registry(), "image-folder[path=./photos,size=64]")
    assert (spec.name, config.path, config.size) == ("image-folder", Path("photos"), 64)
    with pytest.raises(RequestError, match="names 2 datasets"):
        find(Registry(), "image-folder[path=x,size=32|64]")
