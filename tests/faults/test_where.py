"""Where the user stands changes nothing: files that lie around, the language, the home, closed streams."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import RequestError
from harness.suite import make_request
from harness.surroundings import path_of_cells

ROOT = Path(__file__).parents[2]
BAD = Path(__file__).with_name("bad_methods.py")
WORDS = ["--references", "none", "--seeds", "1", "--budget", "2 steps", "--evaluations", "knn", "--out", "run"]
SHADOWS = ("queue", "torch", "numpy", "json", "typing", "sklearn")


def bench(plugins: str, folder: bytes | Path, **surroundings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "bench", "--plugins", plugins, *WORDS]
    env = {name: value for name, value in os.environ.items() if name not in ("HOME", "LANG", "LC_ALL")}
    return subprocess.run(
        command, cwd=folder, env=env | surroundings, capture_output=True, text=True, errors="replace", timeout=240
    )


def knn(folder: Path) -> float:
    (cell,) = harness.load(folder).cells
    assert cell.training.status == "ok", cell.training.reason
    return cell.evaluations[0].scores[0].value


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> float:
    folder = tmp_path_factory.mktemp("plain")
    assert bench(str(BAD), folder).returncode == 0
    return knn(folder / "run")


def test_files_that_lie_around_are_no_modules_of_python_or_others(tmp_path: Path, expected: float) -> None:
    """Not even where the plugin has the name of one."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("raise SystemError('a file that lies around')")
    shutil.copy(BAD, tmp_path / "random.py")
    done = bench("./random.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert knn(tmp_path / "run") == expected


def test_no_language_home_or_name_of_a_folder_matters(tmp_path: Path, expected: float) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9\xff")
    os.mkdir(folder)
    source = BAD.read_text().replace('print("hello from the plugin")', 'print("caf\\u00e9 \\u2192 \\ud800")')
    Path(os.fsdecode(folder), "mine.py").write_text(source)
    language = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = bench("./mine.py[way=print]", folder, HOME="/proc/nowhere", **language)
    assert done.returncode == 0, done.stderr
    assert knn(Path(os.fsdecode(folder)) / "run") == expected
    (log,) = (Path(os.fsdecode(folder)) / "run" / "logs").glob("*.log")
    assert log.read_text(encoding="utf-8") == "café → \\ud800\n" * 2


@pytest.mark.skipif(os.name != "posix", reason="removes the folder that it stands in")
def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    shell = (
        f'cd "{tmp_path}/gone" && rmdir "{tmp_path}/gone" && exec "{sys.executable}" -m harness bench --plugins pixels'
    )
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        "harness: error: the current folder is gone (No such file or directory): cd to one that is there\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors")
def test_streams_may_be_closed(tmp_path: Path) -> None:
    words = "bench --plugins pixels --references none --seeds 1 --evaluations none --out run"
    shell = f'exec "{sys.executable}" -m harness {words} <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell], cwd=tmp_path, timeout=240, check=False).returncode == 0
    assert harness.load(tmp_path / "run").ok


@pytest.mark.parametrize(
    "how",
    [
        "sys.stdout.close(); sys.stderr.close(); sys.stdin.close()",
        pytest.param("os.close(0); os.close(1); os.close(2)", marks=pytest.mark.slow),
        pytest.param("os.dup2(os.open(os.devnull, os.O_RDWR), 1)", marks=pytest.mark.slow),
        "os.closerange(0, 3); sys.stdout = sys.stderr = None",
    ],
)
def test_a_plugin_that_closes_streams_silences_nobody(tmp_path: Path, how: str) -> None:
    (tmp_path / "mine.py").write_text(f"{BAD.read_text(encoding='utf-8')}\n{how}\n", encoding="utf-8")
    done = bench("./mine.py,pixels", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pixels on digits, seed 0: ok, knn" in done.stdout + done.stderr
    assert "Report: file://" in done.stdout


@pytest.mark.parametrize(
    "words", [{"plugins": "/caf\udce9/x.py"}, {"plugins": ["a", "\udcff"]}, {"budget": "1 \udc80"}]
)
def test_a_name_that_is_no_utf_8_is_one_line(words: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=r"has a name that is no UTF-8, .*\\x") as caught:
        make_request(words)
    assert "\n" not in str(caught.value)


def test_cells_find_pythons_own_modules_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from harness import surroundings

    monkeypatch.setattr(sys, "path", [str(tmp_path), "/added", *sys.path])
    monkeypatch.setattr(surroundings, "ADDED", {"/added"})
    path = path_of_cells()
    assert "/added" not in path
    assert path.index(os.path.dirname(os.__file__)) < path.index(str(tmp_path)) < path.index(sys.path[-1])


def test_every_text_file_has_an_encoding_that_is_no_languages() -> None:
    """Else the same run folder reads otherwise under LC_ALL=C."""
    wrong = []
    for file in (*(ROOT / "harness").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                given = {keyword.arg for keyword in node.keywords}
                few = len(node.args) < {"read_text": 1, "write_text": 2}.get(node.func.attr, 0)
                if few and "encoding" not in given:
                    wrong.append(f"{file.name}:{node.lineno} {ast.unparse(node)[:60]}")
    assert [line for line in wrong if "CLEAR_REFS" not in line and "STATUS" not in line] == []  # of /proc
