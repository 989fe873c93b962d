"""`harness plugins check` of an evaluation judges with it: what ends, leaves or returns the wrong thing is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_left_behind import FAULTS, HARMLESS
from test_values import REASONS

from harness.contract.beside import Asked, checked_beside
from harness.contract.checks import Check
from harness.records import PluginRef

HERE = Path(__file__).parent
QUICK = ("zero_features", "hook", "patch_torch", "1.7", "n many", "nothing", "caption")
WAYS = [
    pytest.param(way, reason, marks=() if way in QUICK else pytest.mark.slow)
    for way, reason in {**FAULTS, **REASONS}.items()
]


def checks_of(file: Path, **params: str) -> list[Check]:
    return checked_beside(Asked(ref=PluginRef(name=str(file), params=params), root=None, shape=None, backbone=None))


def faults(checks: list[Check]) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in checks if check.status == "failed"]


@pytest.mark.parametrize(("way", "reason"), WAYS)
def test_what_an_evaluation_leaves_or_returns(way: str, reason: str) -> None:
    first, *_ = faults(checks_of(HERE / "leaving_judges.py", way=way))
    assert first.startswith(f"judges [vae on 8x8x1]: {reason}")


@pytest.mark.parametrize("way", ["none", *(pytest.param(way, marks=pytest.mark.slow) for way in HARMLESS)])
def test_one_that_leaves_nothing_has_no_fault(way: str) -> None:
    checks = checks_of(HERE / "leaving_judges.py", way=way)
    assert faults(checks) == []
    judged = [check for check in checks if check.name.startswith("judges")]
    assert [check.name for check in judged] == [
        f"{name} [{method} on {shape}]"
        for shape in ("8x8x1", "16x16x3")
        for method in ("vae", "pixels")
        for name in ("judges", "judges_the_same_again")
    ]
    assert all(check.status == "ok" for check in judged)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("exit", "SystemExit: 0"),
        ("leave", "it ended the process, exit code 0 in run (bad_judges.py, line 27); nothing more was checked"),
        ("crash", "it ended the process, SIGSEGV in read_null (bad_judges.py, line 45); nothing more was checked"),
        ("count", "n of mean is a str"),
    ],
)
def test_one_that_ends(way: str, reason: str) -> None:
    first, *_ = faults(checks_of(HERE / "bad_judges.py", way=way))
    assert first.startswith(f"judges [vae on 8x8x1]: {reason}")


def written(folder: Path, body: str, spec: str = "") -> Path:
    file = folder / "judge.py"
    file.write_text(
        '"""Mean: that of the features."""\n'
        "import torch\n"
        "from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, hookimpl\n\n\n"
        f"def run(subject, config):\n    {body}\n\n\n"
        "@hookimpl\n"
        "def harness_evaluation():\n"
        '    scores = (ScoreSpec(name="mean", unit="1", better="none", primary=False),)\n'
        f'    return EvaluationSpec(name="mean", run=run, scores=scores, source="own work", {spec})\n'
    )
    return file


@pytest.mark.parametrize(
    ("body", "spec", "expected"),
    [
        (
            "return {'mean': float(torch.rand(1, generator=torch.Generator().manual_seed(torch.seed())))}",
            "",
            "judges_the_same_again [vae on 8x8x1]: judged twice, mean is ",
        ),
        (
            "return {'mean': float(subject.method.backbone(torch.zeros(1, 1, 8, 8)).mean())}",
            "",
            "judges [pixels on 8x8x1]: AttributeError: 'Pixels' object has no attribute 'backbone' (judge.py:7)",
        ),
        (
            "return {'mean': float(subject.labels('test').float().mean())}",
            "takes=('text', 'video'), exclusive=True",
            "",
        ),
        ("return {'mean': float(subject.method.decode(torch.zeros(1, 32)).mean())}", "needs=('decode',)", ""),
        ("raise NotApplicable('it is Sunday')", "", ""),
    ],
)
def test_what_comes_out_twice_and_without_a_backbone(body: str, spec: str, expected: str, tmp_path: Path) -> None:
    checks = checks_of(written(tmp_path, body, spec))
    found = faults(checks)
    assert found == [] if not expected else found[0].startswith(expected)
    if "Sunday" in body:
        assert {check.detail for check in checks if check.status == "skipped" and not check.absent} == {"it is Sunday"}
    if "video" in spec:
        shown = [check.name for check in checks if check.name.startswith("judges [") and check.status == "ok"]
        assert shown == [
            "judges [next-frame on 5 frames of 8x8x1]",
            "judges [pixels on 5 frames of 8x8x1]",
            "judges [next-word on texts of 9 tokens]",
            "judges [bag-of-words on texts of 9 tokens]",
        ]
