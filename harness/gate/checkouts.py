"""Two versions of a repository: folders with their code, and Pythons in whose environments it is installed.

The base is checked out into a git worktree; the candidate is a copy of the working folder as it is (tracked files, and
new ones that git does not ignore), so that one may go on editing. Each gets an environment of its own, which sees the
packages that are installed here: dependencies are the same for both, what differs is the code. A folder without
pyproject.toml or setup.py needs no environment: its plugin files are found by their paths.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import HarnessError, RequestError
from harness.gate.pairs import Version
from harness.gate.processes import last_line

BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")  # where a change usually goes
PACKAGED = ("pyproject.toml", "setup.py")


class CannotPrepare(HarnessError):
    """A version cannot be checked out or installed."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One version, ready to run."""

    name: str  # "main (1a2b3c4)"
    commit: str  # with -dirty where the working folder has changes; "" outside of git
    folder: Path
    python: Path = Path(sys.executable)

    @property
    def version(self) -> Version:
        return Version(python=self.python, folder=self.folder)


@contextmanager
def two_versions(
    here: Path,
    base: str | None,
    *,
    same: bool = False,
    alone: bool = False,
    base_python: Path | None = None,
    candidate_python: Path | None = None,
) -> Iterator[tuple[Side, Side]]:
    """Base and candidate, for as long as the block lasts; what was made for them is removed then.

    here: in the candidate's working folder. base: a git revision, or a folder with the code; None: where the branch
    left the default branch. same: the candidate is the base too. alone: no base is wanted, and the candidate stands
    for it. Given Pythons have their version installed already.
    Raises RequestError for what is no base, CannotPrepare for what cannot be installed.
    """
    with tempfile.TemporaryDirectory(prefix="harness-gate-") as temporary:
        work = Path(temporary)
        folder = Path(base) if base is not None else None
        given = folder is not None and folder.is_dir() and not _is_revision(here, str(base))
        root = None if (given or alone) and not _in_git(here) else toplevel(here)
        made: list[Path] = []
        try:
            if alone:
                new = _candidate(root or here.resolve(), work, candidate_python, in_git=root is not None)
                yield new, new
                return
            if given:
                assert folder is not None
                old = Side(name=str(folder), commit=_commit(folder), folder=folder.resolve())
            else:
                assert root is not None
                revision, called = base_of(root, base)
                git(root, "worktree", "prune")  # of gates that were killed
                git(root, "worktree", "add", "--detach", "--force", str(work / "base"), revision)
                made.append(work / "base")
                name = revision[:9] if revision.startswith(called) else f"{called} ({revision[:9]})"
                old = Side(name=name, commit=revision, folder=work / "base")
            old = installed(old, base_python, work / "base-environment")
            if same:
                yield old, replace(old, name=f"{old.name} again")
                return
            yield old, _candidate(root or here.resolve(), work, candidate_python, in_git=root is not None)
        finally:
            for worktree in made:
                git(root or here, "worktree", "remove", "--force", str(worktree), check=False)


def _candidate(origin: Path, work: Path, python: Path | None, *, in_git: bool) -> Side:
    copied(origin, work / "candidate", in_git=in_git)
    commit = _commit(origin)
    name = f"{origin.name} ({commit or 'as it is'})"
    side = Side(name=name, commit=commit, folder=work / "candidate")
    return installed(side, python, work / "candidate-environment")


def base_of(root: Path, base: str | None) -> tuple[str, str]:
    """The commit of a base, and what it is called. Raises RequestError."""
    if base is not None:
        found = git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}", check=False)
        if not found:
            raise RequestError(f"--base {base} is neither a revision of {root} nor a folder (fetched? `git fetch`)")
        return found, base
    for branch in BRANCHES:
        if git(root, "rev-parse", "--verify", "--quiet", f"{branch}^{{commit}}", check=False):
            found = git(root, "merge-base", "HEAD", branch, check=False)
            if found and found == git(root, "rev-parse", "HEAD") and not git(root, "status", "--porcelain"):
                parent = git(root, "rev-parse", "--verify", "--quiet", "HEAD^", check=False)
                return (parent, "commit before") if parent else (found, f"merge base with {branch}")
            if found:
                return found, f"merge base with {branch}"
    raise RequestError(
        f"no base: {root} has none of {', '.join(BRANCHES)}, or its history is cut (git fetch --unshallow): --base REV"
    )


def toplevel(here: Path) -> Path:
    """The root of the repository. Raises RequestError outside of one."""
    found = git(here, "rev-parse", "--show-toplevel", check=False)
    if not found:
        raise RequestError(f"{here.resolve()} is in no git repository: run the gate in one, or give --base FOLDER")
    return Path(found)


def copied(root: Path, target: Path, *, in_git: bool) -> None:
    """The working folder as it is: what git tracks or would track."""
    if not in_git:
        shutil.copytree(root, target, symlinks=True, ignore=shutil.ignore_patterns(".venv", "runs", "__pycache__"))
        return
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        file, copy = root / name, target / name
        if file.is_file() or file.is_symlink():  # neither deleted nor a submodule
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy, follow_symlinks=False)
    target.mkdir(exist_ok=True)


def installed(side: Side, given: Path | None, environment: Path) -> Side:
    """The side with the Python of an environment in which its code is installed."""
    if given is not None:
        if not given.exists():
            raise RequestError(f"there is no Python {given}")
        return replace(side, python=given.absolute())
    if not any((side.folder / name).exists() for name in PACKAGED):
        return side
    venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    packages = next(environment.glob("**/site-packages"))
    shared = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({path!r})" for path in shared]
    (packages / "zz_shared_with_the_gate.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    install += ["--disable-pip-version-check", "--editable", str(side.folder)]
    first = subprocess.run([*install, "--no-build-isolation"], capture_output=True, text=True, check=False)
    if first.returncode:  # what builds it is not installed here: pip fetches it
        second = subprocess.run(install, capture_output=True, text=True, check=False)
        if second.returncode:
            raise CannotPrepare(f"cannot install {side.name}: {last_line(second.stderr)}")
    return replace(side, python=python)


def dependencies_of(folder: Path) -> Sequence[str]:
    """What a project says that it needs; nothing where it says none, or says it in another way."""
    try:
        content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return sorted(str(each) for each in content.get("project", {}).get("dependencies", ()))


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """What git prints; "" where it fails and need not succeed. Raises CannotPrepare."""
    try:
        run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotPrepare("the gate needs git to check the base out: install it, or give --base FOLDER") from None
    if run.returncode and check:
        raise CannotPrepare(f"git {arguments[0]}: {last_line(run.stderr)}")
    return run.stdout.strip("\n") if run.returncode == 0 else ""


def _in_git(folder: Path) -> bool:
    return bool(git(folder, "rev-parse", "--show-toplevel", check=False))


def _is_revision(here: Path, text: str) -> bool:
    """A branch that is called like a folder is meant as the branch, unless a slash or a dot says otherwise."""
    if text.startswith((".", "/")) or text.endswith("/"):
        return False
    return bool(git(here, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}", check=False))


def _commit(folder: Path) -> str:
    return git(folder, "describe", "--always", "--dirty", "--abbrev=9", "--exclude", "*", check=False)
