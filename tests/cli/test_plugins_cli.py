"""`harness plugins`: what it prints, its exit codes, and what it must not import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.plugins import app
from harness.errors import BrokenPlugin, HarnessError, RequestError, UnknownName
from harness.registry import KINDS, Registry

RUNNER = CliRunner()


def output(*arguments: str, exit_code: int = 0) -> str:
    result = RUNNER.invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


def test_list_groups_all_plugins_by_kind() -> None:
    text = output()
    assert output("list") == text
    infos = Registry().infos()
    for info in infos:
        assert re.search(rf"^  {re.escape(info.name)} +harness \S+", text, re.MULTILINE), info
    headings = [line for line in text.splitlines()[:-1] if not line.startswith(" ")]
    assert headings == [
        "models",
        "pretext tasks",
        "pretrained encoders",
        "references",
        "backbones",
        "datasets",
        "evaluations",
        *["launchers", "trackers"],
    ]
    assert text.splitlines()[-1] == f"{len(infos)} plugins. `harness plugins show NAME` describes one."
    assert max(map(len, text.splitlines())) <= 160


def test_list_of_one_kind() -> None:
    text = output("list", "--kind", "backbone")
    assert "convnet" in text
    assert "vae" not in text.split()
    with pytest.raises(RequestError, match=r"no kind of plugin 'modle': did you mean 'model'?"):
        output("list", "--kind", "modle")


def test_list_as_json() -> None:
    rows = json.loads(output("list", "--json"))
    assert {row["kind"] for row in rows} == set(KINDS)
    vae = next(row for row in rows if row["name"] == "vae")
    assert vae["module"] == "harness_plugins.models.vae"
    assert vae["summary"].startswith("Variational autoencoder")


@pytest.mark.parametrize("arguments", [[], ["list"], ["list", "--json"], ["--help"]])
def test_list_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from harness.cli import main\n"
        f"sys.argv = ['harness', 'plugins', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'scipy', 'matplotlib', 'harness_plugins'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_show_a_method() -> None:
    text = output("show", "vae")
    assert text.startswith("vae (model, harness ")
    assert "learn by gradient descent, encode images" in text
    assert "sees       images alone" in text
    assert re.search(r"^    decoder +conv", text.replace("= ", ""), re.MULTILINE)
    assert "weight of the divergence" in text
    assert "sees       images or clips or texts, labels" in output("show", "supervised")
    assert "more or less with other parameters" in output("show", "diffusion")


def test_show_an_evaluation_and_a_dataset() -> None:
    text = output("show", "knn")
    assert re.search(r"^    accuracy\* +fraction +\[0, 1\] +higher is better", text, re.MULTILINE)
    assert "needs      encode, labels" in text
    assert "judges     images or clips or texts" in text
    assert re.search(r"^  judges     images$", output("show", "fid"), re.MULTILINE)
    assert re.search(r"^  takes      images$", output("show", "convnet"), re.MULTILINE)
    assert "alone on the machine" in output("show", "throughput")
    assert "harness datasets prepare mnist" in output("show", "mnist")
    assert re.search(r"^    path +required", output("show", "image-folder"), re.MULTILINE)


def test_show_a_file_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        '"""Mine."""\nfrom harness.plugin import BackboneSpec, MethodSpec, hookimpl\n'
        '@hookimpl\ndef harness_method():\n    return MethodSpec(name="mine", kind="model", build=print)\n'
        '@hookimpl\ndef harness_backbone():\n    return BackboneSpec(name="mine", build=print)\n'
    )
    text = output("show", str(file))
    assert "mine (model, file)\n  Mine." in text
    assert "mine (backbone, file)" in text
    assert "is seen once it is built" in text


def test_check_prints_each_check(tmp_path: Path) -> None:
    text = output("check", "pixels", "--all")
    assert re.search(r"^ok       pixels  encodes_images \[8x8x1\] +D=64$", text, re.MULTILINE)
    assert re.search(r"^skipped  pixels  predicts_classes \[8x8x1\] +it has no predict\(\)$", text, re.MULTILINE)
    assert re.search(r"^\d+ ok, \d+ skipped$", text.splitlines()[-1])
    text = output("check", "mnist", "--data-dir", str(tmp_path))
    assert f"harness datasets prepare mnist --data-dir {tmp_path}" in text


def test_check_fails_with_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        '"""Mine."""\nfrom torch import nn\nfrom harness.plugin.hookspecs import hookimpl\n'
        "from harness.plugin.specs import BackboneSpec\n@hookimpl\ndef harness_backbone():\n"
        '    return BackboneSpec(name="mine", build=lambda data, config: nn.Flatten(), source="own work")\n'
    )
    text = output("check", str(file), exit_code=1)
    assert re.search(r"^FAILED   mine  encodes_to_its_dim .*expected a harness\.nn Backbone$", text, re.MULTILINE)


MISTAKES = Path(__file__).parents[1] / "contract" / "mistakes"


def test_what_does_not_apply_is_folded_and_shown_on_request() -> None:
    folded, whole = (output("check", "rotation", *more) for more in ((), ("--all",)))
    assert "it has no reconstruct()" not in folded
    assert "it has no reconstruct()" in whole
    count = sum(line.startswith("skipped") for line in whole.splitlines())
    assert folded.splitlines()[-1].endswith(f"{count} do not apply (--all shows them)")
    assert len(folded.splitlines()) + count == len(whole.splitlines())


def test_check_on_a_size_channels_and_a_backbone_of_choice() -> None:
    text = output("check", "rotation", "--size", "12", "--channels", "1", "--backbone", "mlp[hidden=24]")
    assert "encodes_images [12x12x1]" in text
    assert "D=24" in text
    assert "16x16x3" not in text
    assert "[8x8x1]" not in text
    assert "[20x20x3]" in output("check", "mlp", "--size", "20")


def test_a_root_cause_is_named_once_and_nothing_after_it() -> None:
    text = output("check", str(MISTAKES / "dict_loss.py"), exit_code=1)
    assert text.count("FAILED") == 1
    assert "the loss returned a dict, expected a tensor" in text
    assert text.splitlines()[-1] == "6 ok, 1 failed"


def test_a_note_is_no_failure() -> None:
    text = output("check", str(MISTAKES / "plain_queue.py"))
    assert re.search("^note .*queue changed in training", text, re.MULTILINE)
    assert ", 1 note, " in text.splitlines()[-1]


@pytest.mark.parametrize("mistake", ["exit_in_build", "exit_in_loss", "exit_in_encode"])
def test_a_plugin_that_exits_fails_its_check(mistake: str) -> None:
    assert f"SystemExit: 0 ({mistake}.py:" in output("check", str(MISTAKES / f"{mistake}.py"), exit_code=1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["check", "vae", "--backbone", "convent"], UnknownName, "no backbone 'convent': did you mean 'convnet'?"),
        (["check", "vae", "--backbone", "mlp,convnet"], RequestError, "'mlp,convnet' names 2 plugins"),
        (["show", "vea"], UnknownName, "no plugin 'vea': did you mean 'vae'?"),
        (["check", "vae,jigsaw"], RequestError, "'vae,jigsaw' names 2 plugins: check one at a time"),
        (["check", "cifar10[bet=1]"], UnknownName, "plugin 'cifar10' has no parameter 'bet': it has none"),
        (["check", "vae[bet=1]"], UnknownName, "plugin 'vae' has no parameter 'bet': did you mean 'beta'?"),
        (["check", "./missing.py"], RequestError, "there is no plugin file ./missing.py"),
        (["check", "vae[beta=1"], RequestError, "unbalanced '['"),
        (["show", "{tmp}/bad.py"], BrokenPlugin, "cannot be loaded: SyntaxError"),
    ],
)
def test_bad_requests(tmp_path: Path, arguments: list[str], error: type[HarnessError], message: str) -> None:
    (tmp_path / "bad.py").write_text("def (")
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    with pytest.raises(error) as caught:
        output(*arguments)
    assert message in str(caught.value)
