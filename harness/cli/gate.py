"""`harness gate`: measures two versions of the code here and now, and refuses the one that is worse or slower."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.writing import Everything, Github, Printed, Written, checked_formats, checked_policy, write
from harness.errors import RequestError
from harness.records import Request

_DEFAULTS = {word: ",".join(getattr(Request(), word)) for word in ("plugins", "datasets")}
EPILOG = """
\b
Examples:
  harness gate                                            working folder against where it left the default branch
  harness gate gate.toml --base main --minutes 5          what is measured is a suite, as `harness bench` takes it
  harness gate --plugins mine --datasets digits --seeds 5 --budget '5 epochs' --margins margins.toml
  harness gate gate.toml --aa                             the base against itself: how large is the noise here?
  harness gate gate.toml --inject 5%                      the candidate is slowed on purpose: this must fail
  harness gate gate.toml --tiers exact                    only what can be counted: seconds
  harness gate gate.toml --baseline gate/main --tiers exact,quality --move
  harness gate gate.toml --github --out gate.html --out gate.xml

\b
Tiers, the cheap ones first:
  exact    FLOPs, weights, calls of operators, bytes, bits of the first steps: no noise, margin 0 (peaks 1 %)
  time     training steps and encoding: pairs of fresh processes, blocks interleaved, margin 5 %
  quality  both versions bench the request; scores paired by seed and by test example

\b
Exit codes: 0 pass, 1 regression (a gated row is worse, or failed in the candidate alone), 2 bad request,
3 cannot compare (a gated row vanished or was refused, or there is none), 4 inconclusive (not with --undecided warn).
"""


def gate(
    suite: Annotated[
        Path | None, typer.Argument(help="What is measured, in TOML; options win. [default: as of bench]")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REV|FOLDER", help="A git revision, or a folder with the code. [default: merge base with main]"
        ),
    ] = None,
    plugins: Annotated[str | None, typer.Option(help=f"Methods to measure. [default: {_DEFAULTS['plugins']}]")] = None,
    datasets: Annotated[
        str | None, typer.Option(help=f"What they learn from. [default: {_DEFAULTS['datasets']}]")
    ] = None,
    evaluations: Annotated[str | None, typer.Option(help="Judges. [default: the built-in ones]")] = None,
    budget: Annotated[str | None, typer.Option(help="Training of each method. [default: 30 epochs]")] = None,
    seeds: Annotated[str | None, typer.Option(help="How many, or which; not auto. [default: 3]")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME.KEY=VALUE", help="A parameter; repeatable.")
    ] = None,
    tiers: Annotated[str, typer.Option(help="What is measured.")] = "exact,time,quality",
    margins: Annotated[
        Path | None, typer.Option(help="What counts as worse, in TOML: see `harness compare --help`.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="That the time tier may take.")] = 10.0,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="That a cell may take. [default: 600 to count it, no limit to bench it]"),
    ] = None,
    undecided: Annotated[
        str | None, typer.Option(help="What undecided gated rows do: warn or fail. [default: fail]")
    ] = None,
    aa: Annotated[bool, typer.Option("--aa", help="The base against itself: what is found is noise.")] = False,
    inject: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Slow the candidate on purpose, by 5% or so.")
    ] = None,
    base_python: Annotated[
        Path | None, typer.Option(help="Python of an environment with the base. [default: one is made]")
    ] = None,
    candidate_python: Annotated[Path | None, typer.Option(help="The same of the candidate.")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A stored base instead of one that runs here; has no times."),
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="Store the candidate in --baseline if it passes.")] = False,
    accept: Annotated[
        str | None, typer.Option(metavar="REASON", help="Store it there whatever the outcome; the reason is kept.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add a line about what was found: see `harness history`.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Root of the datasets. [default: $HARNESS_DATA, else a cache folder]")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what was measured (runs, counts, times, logs) in this folder.")
    ] = None,
    show_all: Everything = False,
    format: Printed = "terminal",
    out: Written = None,
    github: Github = False,
) -> None:
    """Is the working folder as good and as fast as its base?

    Both versions are measured on this machine, in this job: costs that can be counted, times interleaved, scores paired
    by seed and example. A change fails only where it is shown to be worse, and passes only where it is shown not to be.
    """
    formats, policy = checked_formats(format, out or ()), checked_policy(undecided)
    asked: dict[str, Any] = {
        "plugins": plugins, "datasets": datasets, "evaluations": evaluations, "budget": budget, "seeds": seeds,
        "set": settings,
    }  # fmt: skip
    words = {word: value for word, value in asked.items() if value is not None and value != []}

    from harness.gate.baseline import FILE
    from harness.gate.gating import GateRequest
    from harness.gate.gating import gate as measured
    from harness.gate.margins import Margins, read_margins

    request = GateRequest(
        base=base,
        suite=suite,
        words=words,
        tiers=tuple(word.strip() for word in tiers.split(",") if word.strip()),
        margins=read_margins(margins) if margins else Margins(),
        seconds=60 * minutes,
        timeout=timeout,
        policy=policy,
        same=aa,
        inject=_part(inject),
        base_python=base_python,
        candidate_python=candidate_python,
        baseline=baseline,
        move=move,
        accept=accept or "",
        history=history,
        keep=keep,
        data_dir=data_dir,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is checked out is removed then too
    first = baseline is not None and not (baseline / FILE).exists()
    try:
        with _News() as news:
            found = measured(request, news)
    except KeyboardInterrupt:
        print("harness: interrupted before anything was judged", file=sys.stderr)
        raise typer.Exit(130) from None
    write(found, formats, out or (), show_all=show_all, github=github)
    if found.exit_code and not first:  # the first baseline has nothing to be compared with
        raise typer.Exit(found.exit_code)


def _part(text: str | None) -> float:
    """
    >>> _part("5%"), _part("0.05"), _part(None)
    (0.05, 0.05, 0.0)
    """
    if text is None:
        return 0.0
    try:
        return float(text.strip()[:-1]) / 100 if text.strip().endswith("%") else float(text)
    except ValueError:
        raise RequestError(f"--inject is a part of the time, such as 5%, not '{text}'") from None


class _News:
    """What is being done: a line that changes in a terminal, a line each time a stage begins elsewhere."""

    def __enter__(self) -> Any:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.status = self.console.status("") if self.console.is_terminal else None
        self.last = ""
        if self.status:
            self.status.start()
        return self.say

    def say(self, text: str) -> None:
        from rich.markup import escape

        if self.status:
            self.status.update(escape(text))
        elif (stage := text.partition(":")[0].partition(", cell")[0]) != self.last:
            self.last = stage
            print(stage, file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.status:
            self.status.stop()
