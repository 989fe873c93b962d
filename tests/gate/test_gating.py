"""The gate on a repository of its own: a method of one file, a branch that changes it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from harness.errors import HarnessError, RequestError
from harness.gate.checkouts import base_of, two_versions
from harness.gate.gating import GateRequest, gate
from harness.gate.quality import sorted_methods
from harness.gate.words import as_toml
from harness.suite import make_request, read_suite

METHOD = Path(__file__).parents[2] / "plugins" / "models" / "autoencoder.py"
WORDS = {
    "plugins": ["./mine.py"], "datasets": ["digits"], "evaluations": ["knn"], "budget": "5 steps", "seeds": [0],
    "backbone": ["mlp"],
}  # fmt: skip


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Of one method, committed on main, with a branch `change` checked out."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "mine.py").write_text(METHOD.read_text().replace('name="autoencoder"', 'name="mine"'))
    _git(folder, "add", "-A")
    _git(folder, "commit", "--quiet", "-m", "a method")
    _git(folder, "checkout", "--quiet", "-b", "change")
    return folder


def test_a_needless_copy_is_a_regression_and_is_named(repository):
    _change(repository, "code = self.code(batch.inputs)", "code = self.code(batch.inputs.clone())")
    found = gate(GateRequest(root=repository, words=WORDS, tiers=("exact",)))
    (worse,) = found.gated("regression")
    assert (worse.place.method, worse.judged, worse.change) == ("mine", "step operators", 1)
    assert "aten.clone.default +1" in worse.why
    assert (found.exit_code, found.candidate) == (1, f"repository ({_head(repository)}-dirty)")
    assert found.base.startswith("merge base with main (")
    assert _git(repository, "worktree", "list").count("\n") == 0  # nothing is left


def test_a_change_that_keeps_the_bits_passes_at_one_seed_of_quality(repository):
    _change(
        repository,
        "        code = self.code(batch.inputs)",
        "        other = 0\n        code = self.code(batch.inputs)",
    )
    words = {**WORDS, "seeds": [0, 1]}
    found = gate(GateRequest(root=repository, base="main", words=words, tiers=("exact", "quality")))
    assert found.exit_code == 0, found.sentence
    assert any("identical to the last bit at seed 0" in note for note in found.notes)
    knn = [row for row in found.gated() if row.place.evaluation == "knn"]
    assert [(row.verdict, row.seeds) for row in knn] == [("equivalent", 1)]


def test_what_did_not_change_is_not_benched_and_a_collapse_of_the_candidate_is_a_regression(repository):
    found = gate(GateRequest(root=repository, words=WORDS, tiers=("exact", "quality")))
    assert found.exit_code == 0
    assert any("not benched" in note for note in found.notes)
    _change(repository, "code = self.code(batch.inputs)", "raise RuntimeError('broken on purpose')")
    found = gate(GateRequest(root=repository, words=WORDS, tiers=("exact",)))
    assert found.exit_code == 1
    assert "broken on purpose" in found.gated("regression")[0].why


@pytest.mark.slow
def test_what_the_base_does_not_know_appears_and_the_rest_is_judged(repository):
    (repository / "new.py").write_text((repository / "mine.py").read_text().replace('"mine"', '"new"'))
    _change(repository, "code = self.code(batch.inputs)", "code = self.code(batch.inputs.clone())")
    words = {**WORDS, "plugins": ["./mine.py,./new.py"]}
    found = gate(GateRequest(root=repository, words=words, tiers=("exact", "quality")))
    assert any("does not know ./new.py (plugins)" in note for note in found.notes)
    rows = {(row.place.method, row.place.evaluation): row for row in found.findings}
    assert {row.state for (method, _), row in rows.items() if method == "new"} == {"appeared"}
    assert rows["mine", "knn"].state == "compared"
    assert [row.judged for row in found.gated("regression")] == ["step operators"]
    other = gate(GateRequest(root=repository, words={**words, "plugins": ["./new.py"]}, tiers=("exact", "quality")))
    assert (other.exit_code, {row.state for row in other.findings}) == (0, {"appeared"})
    assert re.fullmatch(r"Pass: of (\d+) gated rows \1 new.", other.sentence)
    with pytest.raises(RequestError, match="neither"):
        gate(GateRequest(root=repository, words={**words, "plugins": ["./mine.py,./neither.py"]}, tiers=("exact",)))


def test_what_the_candidate_does_not_know_any_more_vanished(repository):
    _git(repository, "mv", "mine.py", "other.py")
    (repository / "mine.py").write_text("")
    _change(repository, "", METHOD.read_text().replace('name="autoencoder"', 'name="other"'))
    found = gate(GateRequest(root=repository, words={**WORDS, "evaluations": []}, tiers=("exact",)))
    assert {(row.place.method, row.state) for row in found.findings} == {("mine", "vanished"), ("other", "appeared")}


def test_a_stored_baseline_refuses_times_and_moves_on_a_pass_or_with_a_reason(repository, tmp_path):
    stored = tmp_path / "baseline"
    asked = {"root": repository, "words": WORDS, "baseline": stored}
    with pytest.raises(RequestError, match="holds no baseline"):
        gate(GateRequest(**asked, tiers=("exact",)))
    gate(GateRequest(**asked, tiers=("exact", "quality"), move=True))
    found = gate(GateRequest(**asked, tiers=("exact", "time", "quality")))
    refused = found.gated("cannot compare")
    assert {row.judged for row in refused} == {"step time", "encoding time"}
    assert found.exit_code == 3
    _change(repository, "code = self.code(batch.inputs)", "code = self.code(batch.inputs.clone())")
    both = ("exact", "quality")
    found = gate(GateRequest(**asked, tiers=both, move=True))
    assert found.exit_code == 1
    assert len(_moves(stored)) == 1
    gate(GateRequest(**asked, tiers=both, accept="the copy is needed"))
    assert [(move["outcome"], move["reason"]) for move in _moves(stored)][1:] == [("regression", "the copy is needed")]


def test_the_base_is_the_merge_base_or_the_commit_before(repository):
    main = _head(repository, "main", whole=True)
    assert base_of(repository, None) == (main, "merge base with main")  # as nothing was committed before
    _change(repository, "def loss", "# more\n    def loss")
    _git(repository, "commit", "--quiet", "-am", "more")
    assert base_of(repository, None) == (main, "merge base with main")
    _git(repository, "checkout", "--quiet", "-B", "main")
    assert base_of(repository, None) == (main, "commit before")
    with pytest.raises(RequestError, match="--base nowhere is neither a revision"):
        base_of(repository, "nowhere")


def test_outside_of_a_repository_folders_can_be_compared(repository, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.py").write_text("other = 1\n")
    with two_versions(repository, str(other)) as (base, candidate):
        assert (base.folder, base.commit) == (other, "")
        assert (candidate.folder / "mine.py").read_text() == (repository / "mine.py").read_text()
    with pytest.raises(RequestError, match="in no git repository"), two_versions(tmp_path, None):
        pass


def test_what_is_ignored_or_deleted_is_not_the_candidate(repository):
    (repository / ".gitignore").write_text("secret\n")
    (repository / "secret").write_text("")
    (repository / "new.py").write_text("")
    (repository / "mine.py").unlink()
    with two_versions(repository, "main") as (base, candidate):
        assert sorted(file.name for file in candidate.folder.iterdir()) == [".gitignore", "new.py"]
        assert (base.folder / "mine.py").exists()


def test_bad_requests_are_one_line():
    for changes, words in (
        ({"tiers": ("exakt",)}, "no tier 'exakt'"),
        ({"seconds": 0.0}, "above 0"),
        ({"inject": 0.1, "tiers": ("exact",)}, "--inject slows the time tier"),
        ({"move": True}, "say where, with --baseline"),
        ({"baseline": Path("x"), "base": "main"}, "--baseline is the base"),
        ({"baseline": Path("x"), "move": True, "tiers": ("exact",)}, "need --tiers exact,quality"),
        ({"history": Path("x"), "inject": 0.05}, "leave it out with --aa"),
        ({"timeout": 0.0}, "--timeout is a number of seconds above 0, not 0"),
    ):
        with pytest.raises(RequestError, match=words):
            GateRequest(**changes)
    for words, said in (({"seeds": "auto"}, "the same seeds"), ({"tune": ["vae[beta=1|2]"]}, "leave out 'tune'")):
        with pytest.raises(RequestError, match=said):
            gate(GateRequest(words=words))


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("ctypes.string_at(0)", "ended without an answer, SIGSEGV: Segmentation fault in __init__ (mine.py, line "),
        pytest.param("os._exit(0)", "ended without an answer, exit code 0: nothing in", marks=pytest.mark.slow),
        pytest.param("subprocess.Popen(['sleep', '600']); os._exit(3)", "ended without an", marks=pytest.mark.slow),
        pytest.param("time.sleep(600)", "gave no answer in 40 s", marks=pytest.mark.slow),
    ],
)
def test_a_candidate_that_ends_or_holds_up_its_process_is_a_regression(repository, way, why):
    """It is a row like any other that fails, and is not benched: it would do the same there, for longer."""
    imports = "".join(f"import {name}\n" for name in ("ctypes", "os", "subprocess", "time"))
    _change(repository, "\nimport torch\n", f"\n{imports}\nimport torch\n")
    _change(repository, "        super().__init__()\n", f"        super().__init__()\n        {way}\n")
    timeout = 40 if "time.sleep" in way else None
    found = gate(GateRequest(root=repository, words=WORDS, tiers=("exact", "quality"), timeout=timeout))
    (row,) = found.findings
    assert (row.state, row.place.method, row.score, found.exit_code) == ("failed", "mine", "costs", 1)
    assert f"failed in the candidate at seed 0: its process {why}" in row.why
    assert any("not benched, since the candidate failed in its first steps: mine" in note for note in found.notes)


def test_a_crash_at_import_is_one_line(repository):
    _change(repository, "\nimport torch\n", "\nimport os\n\nimport torch\n\nos._exit(0)\n")
    with pytest.raises(HarnessError, match=r"cannot carry the request out: its process ended without an answer, exit"):
        gate(GateRequest(root=repository, words=WORDS, tiers=("exact",)))


@pytest.mark.slow
def test_tiers_run_without_the_one_that_counts(repository):
    _change(repository, "\nimport torch\n", "\nimport torch  # as before\n")
    found = gate(GateRequest(root=repository, words=WORDS, tiers=("time", "quality"), seconds=5))
    assert {row.state for row in found.findings} == {"compared"}
    assert {row.kind for row in found.gated()} > {"paired-time", "exact"}


def test_methods_are_benched_by_what_is_known_of_them():
    def cell(method, sources, digest):
        conditions = {"torch": "2", "device": "cpu", "steps": 5}
        return {
            "place": {"method": method}, "seed": 0, "sources": sources, "judging": {"knn": "1"}, "status": "ok",
            "ruler": 1, "conditions": conditions, "digest": {"losses": digest},
        }  # fmt: skip

    base = [cell("a", "1", "x"), cell("b", "1", "x"), cell("c", "1", "x"), cell("gone", "1", "x")]
    candidate = [cell("a", "1", "x"), cell("b", "2", "x"), cell("c", "2", "y"), cell("new", "1", "x")]
    died = {"place": {"method": "died"}, "seed": 0, "status": "failed", "reason": "its process ended"}
    twice = {**died, "place": {"method": "twice"}}
    found = sorted_methods([*base, cell("died", "1", "x"), twice], [*candidate, died, twice])
    assert (found.same, found.alike, found.broken) == (("a",), ("b",), ("died",))
    assert found.other == ("gone", "c", "new", "twice")  # of what both fail in, counting may be the fault


def test_words_are_a_suite_that_says_the_same(tmp_path):
    words = {
        **WORDS,
        "set": {"train": {"batch_size": 8}},
        "compile": False,
        "part": [{"seeds": 2}, {"budget": "1 steps"}],
    }
    file = tmp_path / "suite.toml"
    file.write_text(as_toml(words))
    assert make_request(read_suite(file)) == make_request(words)
    with pytest.raises(RequestError, match="not None"):
        as_toml({"seeds": None})


def _change(repository, old, new):
    file = repository / "mine.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def _git(folder, *arguments):
    run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _head(folder, revision="HEAD", *, whole=False):
    commit = _git(folder, "rev-parse", revision)
    return commit if whole else commit[:9]


def _moves(folder):
    return json.loads((folder / "baseline.json").read_text())["moves"]
