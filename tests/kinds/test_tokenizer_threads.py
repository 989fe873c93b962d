"""A cell keeps to its threads when it reads texts, and the tokens do not depend on how many those are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CODE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from toys import cell, dataset
from harness.data.rows import read_as
if sys.argv[2] == "cell":
    from harness.cell import prepare_process
    prepare_process(cell("text", "random-init"))
data = dataset("text")
data = read_as(data, data.spec)
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
print(json.dumps([data.train.values.tolist(), data.spec.inputs.tokenizer, threads]))
"""


def tokens(way: str) -> tuple[object, str, int]:
    """Tokens and tokenizer, and the threads that the process has then."""
    words = [sys.executable, "-W", "ignore", "-c", CODE, str(Path(__file__).parent), way]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True, timeout=120)
    values, tokenizer, threads = json.loads(done.stdout)
    return values, tokenizer, threads


def test_tokens_do_not_depend_on_threads_and_a_cell_starts_none() -> None:
    """Whatever the user's environment says."""
    values, tokenizer, many = tokens("alone")
    in_cell, of_cell, few = tokens("cell")
    assert (in_cell, of_cell) == (values, tokenizer)
    assert few < many or many == 1


def test_a_cell_says_so_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    from toys import cell

    from harness.cell import prepare_process

    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    try:
        prepare_process(cell("text", "random-init"))
        assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])
        torch.set_flush_denormal(False)
