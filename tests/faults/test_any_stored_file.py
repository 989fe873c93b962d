"""Whatever a run's files say, with checksums that fit: the report is made without it, or one line says what is wrong.

The reports are made without drawing, which takes most of the time: what a figure cannot draw is in test_integrity.py.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from any_input import counts, one_line, tried
from finished_run import WORDS
from hypothesis import strategies as st
from matplotlib.figure import Figure

from harness.cleaned import cleaned
from harness.errors import HarnessError
from harness.looks import Look, Looks
from harness.plan import make_plan
from harness.registry import Registry
from harness.report import build
from harness.sealed import checksum, sealed_json, unsealed_json
from harness.store import RunFolder
from harness.suite import make_request
from harness.tuning import Trial, Tuned, Tuning

ODD_TEXTS = ["", " ", "../../x", "/etc/passwd", "a\nb", "\x1b]0;x\x07", "\u202e", "\ud800", "=1+1", "|", "[a=1]",
             "x" * 500, "none", "ok", "failed", "skipped", "training", "accuracy", "image", "1e999"]  # fmt: skip
ODD_NUMBERS = [0, -1, 1, 2, 2**31, 2**62, 2**63, 2**70, -(2**63), 10**30, 0.5, -0.0, 1e-320, 1e300, 1e308, 1.7,
               float("inf"), float("-inf"), float("nan")]  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.sampled_from(ODD_NUMBERS), st.sampled_from(ODD_TEXTS), st.text(max_size=8),
    st.integers(), st.floats(),
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
GONE = object()
ONE_OF_EACH = (None, True, -1, 1.7, "", "x", [], ["x"], {}, {"x": 1}, GONE)
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.one_of(JSON, st.just(GONE))), min_size=1, max_size=3)
BYTES = st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]",:0 a\\', max_size=40).map(str.encode))
FILES = ("plan.json", "environment.json", "request.toml", "looks.json", "tuning.json", "report.md")
LOOKS = Looks(limit=11, taken=(Look(seeds=3, alpha=0.01, open=("vae against random-init",)), Look(seeds=5, alpha=0.04)))
TRIALS = (Trial(setting="vae", value=0.9, seconds=1.0), Trial(setting="vae[beta=4]", reason="it failed"))
TUNED = Tuned(
    method="vae", backbone="convnet", source="digits", budget="2 steps", train="", score="accuracy", unit="fraction",
    better="higher", trials=TRIALS, chosen="vae",
)  # fmt: skip


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a tree of JSON, the tree itself first."""
    yield above
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*above, key))


def changed(tree: Any, changes: list[tuple[int, Any]]) -> Any:
    """A copy of the tree in which something else, or nothing, stands at some places."""
    tree = json.loads(json.dumps(tree))
    for number, value in changes:
        found = list(places(tree))
        way = found[number % len(found)]
        if not way:
            tree = {} if value is GONE else value
            continue
        parent = tree
        for key in way[:-1]:
            parent = parent[key]
        if value is GONE:
            del parent[way[-1]]
        else:
            parent[way[-1]] = value
    return tree


def written(tree: Any) -> bytes:
    """As JSON, with a checksum where it is an object."""
    content = json.dumps(tree, indent=1).encode("utf-8", "surrogatepass")
    return sealed_json(content) if content.startswith(b"{") else content


def written_toml(tree: Any) -> bytes:
    """What of the tree TOML can say, with a checksum; and bytes that are no UTF-8, which it cannot."""
    try:
        text = tomli_w.dumps(tree)
    except (TypeError, ValueError, AttributeError):
        text = tomli_w.dumps({"parts": str(tree)})
    content = text.encode("utf-8", "surrogatepass")
    return f"# checksum: {checksum(content)}\n".encode() + content


def reported(run: Path, out: Path) -> None:
    """The report is made, or one line says why not; what it says beside is in lines too."""
    said = io.StringIO()
    with redirect_stderr(said):
        try:
            build([RunFolder(run)], out)
        except HarnessError as error:
            one_line(error)
    for line in said.getvalue().splitlines():
        assert line.startswith("harness: ")
        assert line == cleaned(line)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, and not drawn."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, buffer, **_: buffer.write("<svg></svg>"))


@counts(12)
@pytest.mark.usefixtures("undrawn")
def test_any_cell(run: Path, tmp_path: Path, count: int) -> None:
    (file,) = (run / "cells").iterdir()
    whole = json.loads(unsealed_json(file.read_bytes()))

    @tried(count, st.one_of(CHANGES, CHANGES, CHANGES, BYTES))
    def _(changes: Any) -> None:
        file.write_bytes(changes if isinstance(changes, bytes) else written(changed(whole, changes)))
        reported(run, tmp_path / "out")


@pytest.mark.parametrize("stride", [701, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("undrawn")
def test_every_place_of_a_cell(run: Path, tmp_path: Path, stride: int) -> None:
    """One thing of each kind at every place, in turn."""
    (file,) = (run / "cells").iterdir()
    whole = json.loads(unsealed_json(file.read_bytes()))
    cases = [(place, value) for place in range(len(list(places(whole)))) for value in ONE_OF_EACH]
    for case in cases[::stride]:
        file.write_bytes(written(changed(whole, [case])))
        try:
            reported(run, tmp_path / "out")
        except Exception as error:
            error.add_note(f"with {case[1]!r} at {list(places(whole))[case[0]]}")
            raise


@counts(12)
def test_any_cell_is_planned_with(run: Path, count: int) -> None:
    """A bench that meets it says whether it runs the cell again."""
    (file,) = (run / "cells").iterdir()
    whole = json.loads(unsealed_json(file.read_bytes()))
    request, registry = make_request(dict(WORDS)), Registry()

    @tried(count, CHANGES)
    def _(changes: Any) -> None:
        file.write_bytes(written(changed(whole, changes)))
        try:
            (planned,) = make_plan(request, registry, RunFolder(run)).cells
        except HarnessError as error:
            one_line(error)
        else:
            assert planned.why == cleaned(planned.why)


@counts(12)
@pytest.mark.usefixtures("undrawn")
def test_any_file_beside_the_cells(run: Path, tmp_path: Path, count: int) -> None:
    originals = {
        "plan.json": {"keys": [file.stem for file in (run / "cells").iterdir()]},
        "environment.json": json.loads(unsealed_json((run / "environment.json").read_bytes())),
        "looks.json": asdict(LOOKS),
        "tuning.json": asdict(Tuning(seed=0, tuned=(TUNED,), fixed=(("vae", "convnet"),))),
    }
    kept = {name: (run / name).read_bytes() for name in FILES if (run / name).is_file()}
    request = {"plugins": ["vae"], "seeds": [0, 1], "most_seeds": 0, "budget": "2 steps", "parts": [{"seeds": [0]}]}

    @tried(count, st.sampled_from(FILES), CHANGES, st.one_of(BYTES, st.none()))
    def _(name: str, changes: Any, content: bytes | None) -> None:
        if content is not None:
            (run / name).write_bytes(content)
        elif name in originals:
            (run / name).write_bytes(written(changed(originals[name], changes)))
        elif name == "request.toml":
            (run / name).write_bytes(written_toml(changed(request, changes)))
        try:
            reported(run, tmp_path / "out")
        finally:
            (run / name).unlink(missing_ok=True)
            if name in kept:
                (run / name).write_bytes(kept[name])


@counts(12)
@pytest.mark.usefixtures("undrawn")
def test_any_drawing(run: Path, tmp_path: Path, count: int) -> None:
    """A map, a matrix, a picture or outcomes whose checksum is in the cell."""
    (file,) = (run / "cells").iterdir()
    cell = json.loads(unsealed_json(file.read_bytes()))
    names = sorted(name for name in cell["files"] if not name.endswith("safetensors"))
    kept = {name: (run / name).read_bytes() for name in names}

    @tried(count, st.sampled_from(names), CHANGES, st.one_of(BYTES, st.none()), st.integers(0, 2**20))
    def _(name: str, changes: Any, content: bytes | None, bit: int) -> None:
        new = kept[name]
        if content is None and name.endswith(".json"):
            new = json.dumps(changed(json.loads(new), changes)).encode("utf-8", "surrogatepass")
        elif content is None:
            flipped = bytearray(new)
            flipped[bit // 8 % len(new)] ^= 1 << bit % 8
            new = bytes(flipped)
        else:
            new = content
        (run / name).write_bytes(new)
        file.write_bytes(written({**cell, "files": {**cell["files"], name: checksum(new)}}))
        try:
            reported(run, tmp_path / "out")
        finally:
            (run / name).write_bytes(kept[name])
