"""`harness compare`: is a candidate as good as its base? Two runs, a verdict for each score, an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.writing import Everything, Github, Printed, Written, checked_formats, checked_policy, write
from harness.errors import RequestError, did_you_mean

EPILOG = """
\b
Examples:
  harness compare runs/main runs/mine                        the same request, benched on two versions of the code
  harness compare main.parquet runs/mine --margins gate.toml
  harness compare runs/main runs/mine --out compare.html --out junit.xml
  harness compare runs/fp32 runs/bf16 --across precision     settings that differ are refused until they are named
  harness compare runs/main runs/mine --format json | jq .outcome

\b
Verdicts, by a margin in the score's own unit:
  worse       shown to be worse, by more than half the margin, and a loss of the margin is not excluded
  equivalent  the interval of the change lies within the margin, or both runs are identical
  better      shown to be better
  undecided   none of these was shown; non-inferior where at least a loss of the margin is excluded

\b
Margins, in TOML (later tables win; without a file: 0.01 of a fraction, 0.2 dB, else 5 % of the base):
  [[margin]]
  score = "accuracy"             # any of score, evaluation, method, source, target
  evaluation = "knn"
  margin = 0.02                  # in the score's unit, or "3%" of the base
  gate = true                    # does it count? By default: the primary score of each evaluation, and counts
Also: kind (exact, paired-seed, paired-time), direction (higher, lower, same), reason.

\b
Exit codes: 0 pass, 1 regression (a gated row is worse, or failed in the candidate alone), 2 bad request,
3 cannot compare (a gated row vanished or was refused, or there is none), 4 inconclusive (with --undecided fail).
"""


def compare(
    base: Annotated[
        Path, typer.Argument(metavar="BASE", help="The run to be as good as: its folder, or its results.parquet.")
    ],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The run that is judged.")],
    margins: Annotated[Path | None, typer.Option(help="What counts as worse, in TOML. [default: see below]")] = None,
    across: Annotated[
        str | None,
        typer.Option(help="Settings that may differ: device, precision, budget, train. [default: none]"),
    ] = None,
    undecided: Annotated[
        str | None, typer.Option(help="What undecided gated rows do: warn or fail. [default: warn]")
    ] = None,
    accept_vanished: Annotated[
        bool, typer.Option("--accept-vanished", help="Rows that only the base has are told, and do not count.")
    ] = False,
    show_all: Everything = False,
    format: Printed = "terminal",
    out: Written = None,
    github: Github = False,
) -> None:
    """Judge a candidate by its base: better, equivalent, worse or undecided, for each score that both have.

    The same request (methods, data, budget, seeds) on two versions of the code. Scores are paired by seed and by test
    example, so that much less noise is left than between two means.
    """
    formats = checked_formats(format, out or ())
    policy = checked_policy(undecided)
    allowed = _across(across)

    from harness.gate.comparing import compare as compared
    from harness.gate.margins import Margins, read_margins
    from harness.gate.sides import load_sides

    declared = read_margins(margins) if margins else Margins()
    sides = load_sides(base, candidate)
    found = compared(*sides, declared, across=allowed, policy=policy, accept_vanished=accept_vanished)
    write(found, formats, out or (), show_all=show_all, github=github)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _across(text: str | None) -> tuple[str, ...]:
    settings = ("device", "precision", "budget", "train")
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for word in words:
        if word not in settings:
            raise RequestError(f"--across {word}: no setting '{word}': {did_you_mean(word, settings)}")
    return words
