"""A pull request that is slower by a needless copy, gated as GitHub would do it.

    python examples/gate/pull_request.py [--unchanged]

In a temporary folder: a repository with one method of its own and the workflow of docs/ci, a first commit on main, a
branch with slower.patch, and the two merged as actions/checkout leaves them. Then the gate's step of action.yml is run
as it stands there, with the inputs of the workflow. With `--unchanged` the branch adds a comment. Needs git, bash,
PyYAML, and an environment with Harness. Exit code: that of the gate.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FILES = ("pyproject.toml", "my_method.py", "gate.toml", "margins.toml")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / "docs" / "ci" / "harness-gate.yml"
WHO = ["-c", "user.name=you", "-c", "user.email=you@example.org", "-c", "init.defaultBranch=main"]


def inputs_of_workflow() -> dict[str, str]:
    """What the workflow of the docs says to the action."""
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]
    (said,) = (step["with"] for step in steps if "/harness@" in step["uses"])
    return {key: str(value) for key, value in said.items()}


def repository(folder: Path, *, slower: bool = True) -> Path:
    """A repository as a runner has it: HEAD is the pull request merged into main, which is known as origin/main."""
    git(folder.parent, "init", "--quiet", str(folder))
    for name in FILES:
        shutil.copy(HERE / name, folder / name)
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    shutil.copy(WORKFLOW, workflows)
    (folder / ".gitignore").write_text("*.egg-info/\n__pycache__/\n", encoding="utf-8")
    commit(folder, "My method, and the gate")
    git(folder, "switch", "--quiet", "--create", "safer-loss")
    if slower:
        git(folder, "apply", str(HERE / "slower.patch"))
    else:
        with (folder / "my_method.py").open("a", encoding="utf-8") as file:
            file.write("# The same as before.\n")
    commit(folder, "The loss keeps a copy of the images")
    git(folder, "switch", "--quiet", "--detach", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "Merge safer-loss into main", "safer-loss")
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    return folder


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(folder), *WHO, *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def step(name: str) -> dict[str, Any]:
    (found,) = (each for each in ACTION["runs"]["steps"] if each["name"] == name)
    return found


def environment(name: str, inputs: Mapping[str, str], github: Mapping[str, str]) -> dict[str, str]:
    """The `env` of a step of the action with its expressions filled in, the first that is not empty of `a || b`."""
    known = {f"inputs.{key}": str(about.get("default", "")) for key, about in ACTION["inputs"].items()}
    known |= {f"inputs.{key}": value for key, value in inputs.items()}
    known |= {f"github.{key}": value for key, value in github.items()}

    def filled(match: re.Match[str]) -> str:
        words = match[1].split("||")
        return next(filter(None, (known.get(word.strip(), "") for word in words)), "")

    return {key: re.sub(r"\$\{\{(.+?)\}\}", filled, text) for key, text in step(name).get("env", {}).items()}


def run_step(
    name: str,
    folder: Path,
    inputs: Mapping[str, str],
    github: Mapping[str, str],
    *,
    capture: bool = False,
    programs: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a step of the action in a repository, with bash as a runner starts it. RUNNER_TEMP is beside the repository.

    programs: a folder of programs that come before those of this Python's environment.
    """
    scratch = folder.parent / "runner"
    scratch.mkdir(exist_ok=True)
    script = scratch / "step.sh"
    script.write_text(step(name)["run"], encoding="utf-8")
    path = [*([str(programs)] if programs else []), str(Path(sys.executable).parent), os.environ["PATH"]]
    given = {
        "RUNNER_TEMP": str(scratch),
        "GITHUB_OUTPUT": str(scratch / "output"),
        "GITHUB_STEP_SUMMARY": str(scratch / "summary.md"),
        "GITHUB_ACTION_PATH": str(ROOT),
        "PATH": os.pathsep.join(path),
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=folder,
        env={**os.environ, **given, **environment(name, inputs, github)},
        capture_output=capture,
        text=True,
        check=False,
    )


def outputs(folder: Path) -> dict[str, str]:
    """What the steps said for later ones."""
    lines = (folder.parent / "runner" / "output").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def main(arguments: list[str]) -> int:
    unknown = set(arguments) - {"--unchanged"}
    if unknown:
        print(f"no option {' '.join(sorted(unknown))}: there is --unchanged", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = repository(Path(name) / "my-repository", slower="--unchanged" not in arguments)
        code = run_step("Gate", folder, inputs_of_workflow(), {"base_ref": "main"}).returncode
        print(f"\nexit code {code}; for later steps:")
        for key, value in outputs(folder).items():
            print(f"  {key} = {value.replace(name, '$TEMP')}")
        print("\nThe step summary:\n")
        print((folder.parent / "runner" / "summary.md").read_text(encoding="utf-8"))
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
