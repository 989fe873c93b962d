"""What a shell completes: names of plugins, without importing them."""

from __future__ import annotations

import os
import subprocess
import sys

from harness.cli.completing import names_of


def test_the_last_name_of_a_list_is_completed() -> None:
    assert names_of("model")("va") == ["vae"]
    assert names_of("pretext")("vae,jig") == ["vae,jigsaw"]
    assert names_of("evaluation", besides=("none",))("no") == ["none"]
    assert names_of("model")("vae[la") == []


def test_a_shell_gets_values_and_torch_is_not_imported() -> None:
    words = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": "harness bench --plugins va", "COMP_CWORD": "3"}
    code = "import sys; sys.argv = ['harness']; from harness.cli import app\ntry:\n    app(prog_name='harness')\n"
    code += "finally:\n    assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | words, timeout=60
    )
    assert done.stdout.split() == ["vae"], done.stderr
