"""`harness bench`: the options of a request, and what is printed about it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completing import names_of
from harness.cli.table import Shown, checked_table
from harness.looks import FIRST, STEP, limit_of
from harness.records import USUAL, Request, budget_text
from harness.registry import METHOD_KINDS

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.run import Options, Results
    from harness.store import RunFolder

_LISTED = ("plugins", "references", "datasets")
_USUAL = f"{USUAL['image']}; of clips {USUAL['video']}, of texts {USUAL['text']}"
_DEFAULTS = {word: ",".join(getattr(Request(), word)) for word in _LISTED}
EPILOG = """
\b
Examples:
  harness bench                                          vae and jigsaw on the bundled digits, about two minutes
  harness bench --plugins rotation --datasets fashion-mnist --data-dir ~/data --budget '2 epochs'
  harness bench --plugins 'vae[latent_dim=8|32],jigsaw[grid=2]' --seeds 5
  harness bench --plugins ./mine.py --evaluations linear-probe,knn
  harness bench --plugins rotation --backbone 'convnet[norm=batch|layer],resnet18' --dry-run
  harness bench --tune 'vae[beta=0.5|1|4]' --tune 'rotation[width=16|32|64]'
  harness bench suite.toml --jobs 4

A plugin is NAME[KEY=VALUE,...]; a bar between values makes a sweep. `harness plugins` lists what there is.
The same request again does only what is left to do. Exit codes: 0 all cells ok, 1 some cell failed, 2 bad request.
"""


def bench(
    suite: Annotated[Path | None, typer.Argument(help="A TOML file with the words below as keys; options win.")] = None,
    plugins: Annotated[
        str | None,
        typer.Option(
            autocompletion=names_of(*METHOD_KINDS, besides=("none",)),
            help=f"Methods to compare; `none`: references alone. [default: {_DEFAULTS['plugins']}]",
        ),
    ] = None,
    tune: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD[KEY=A|B]",
            help="Try each setting under one seed, choose on validation, and report the chosen one with the seeds of "
            "the run: 'vae[beta=0.5|1|4]'. Repeatable; every method gets as many trials, each with the whole budget.",
        ),
    ] = None,
    tune_by: Annotated[
        str | None,
        typer.Option(
            help="What is chosen by on validation: probe, fid, reconstruction, likelihood, or auto: the first of these "
            "that the method and the data allow. [default: auto]"
        ),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            autocompletion=names_of("reference", besides=("none",)),
            help=f"Rows to compare with, or `none`. [default: {_DEFAULTS['references']}]",
        ),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(
            autocompletion=names_of("dataset"),
            help=f"Sources: what methods learn from. [default: {_DEFAULTS['datasets']}]",
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(autocompletion=names_of("dataset"), help="What they are judged on. [default: each source itself]"),
    ] = None,
    evaluations: Annotated[
        str | None,
        typer.Option(
            autocompletion=names_of("evaluation", besides=("default", "all", "none")),
            help="Judges; `default`: the built-in ones, but for those on request; `all`: all. [default: default]",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="What probes fit to, each in turn: '1%,10%,100%' or '5/class' of the target's training labels, and as "
            "large a share of validation, drawn by class from the seed. Training keeps all. [default: 100%]"
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(autocompletion=names_of("backbone"), help=f"Encoders that methods share. [default: {_USUAL}]"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Training of each method: '30 epochs', '5000 steps', '1e6 images', '90 s', '2e14 flops'; '0 steps' "
            "trains nothing. [default: 30 epochs]"
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="How many, as in 3; which, as in 0,5,7 or 2-4; `auto`: 3, then 2 more at a time until the differences "
            "by the leading score are decided, 11 at most, or as many as `auto:9` says. [default: 5]"
        ),
    ] = None,
    devices: Annotated[str | None, typer.Option(help="cpu, cuda:0, mps, auto. [default: auto]")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32, bf16, both as in fp32,bf16; or auto: whichever a trial of each method finds faster here. "
            "[default: fp32]"
        ),
    ] = None,
    compile: Annotated[
        bool,
        typer.Option(
            "--compile", help="Train backbones through torch.compile; the first step takes 10 to 200 s, and counts."
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME.KEY=VALUE",
            help="A parameter, e.g. vae.beta=4 or train.learning_rate=0.001|0.003; repeatable.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of one cell, part of its identity. [default: 1]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. [default: runs/METHODS-on-DATASETS]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Root of the datasets. [default: $HARNESS_DATA, else a cache folder]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Cells at once. [default: as many as the cores allow]")] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds that a cell may take; what is left after an evaluation that took too long has as many again. "
            "[default: no limit]"
        ),
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory that a cell may hold, with all that it starts: '4GB', '1.5GiB'; not that of a GPU; on Linux. "
            "[default: no limit]",
        ),
    ] = None,
    launcher: Annotated[
        str | None, typer.Option(autocompletion=names_of("launcher"), help="What runs the cells. [default: local]")
    ] = None,
    trackers: Annotated[
        str | None,
        typer.Option(autocompletion=names_of("tracker"), help="What follows the run, e.g. json-lines. [default: none]"),
    ] = None,
    monitor: Annotated[
        int | None,
        typer.Option(
            help="Moments of each training at which a kNN accuracy on validation is measured and shown; it changes no "
            "number and chooses nothing. What is cached without stays so, until --fresh. [default: 0]"
        ),
    ] = None,
    table: Shown = "main",
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failed cell.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print each cell: cached, stale (why), to run, skipped (why); run nothing."),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run everything again, whatever the folder holds.")] = False,
) -> None:
    """Train methods under one budget, freeze them, judge them, and write a report.

    Without arguments: a VAE and jigsaw puzzles against four references, on 1,797 handwritten digits, with 5 seeds.
    """
    shown = checked_table(table)

    from harness.cli.progress import progress_listener
    from harness.options import bytes_of
    from harness.registry import Registry
    from harness.run import Options, carry_out
    from harness.suite import apart, make_request, overridden, read_suite

    given = {
        "plugins": plugins,
        "tune": tune,
        "tune_by": tune_by,
        "references": references,
        "datasets": datasets,
        "targets": targets,
        "evaluations": evaluations,
        "labels": labels,
        "backbone": backbone,
        "budget": budget,
        "seeds": seeds,
        "devices": devices,
        "precision": precision,
        "set": settings,
        "threads": threads,
        "compile": compile or None,
        "launcher": launcher,
        "trackers": trackers,
        "monitor": monitor,
    }
    options_given = {word: value for word, value in given.items() if value is not None and value != []}
    where = f"suite {suite}" if suite else "the request"
    words, ways = apart(overridden(read_suite(suite) if suite else {}, options_given), where)
    request = make_request(words, where)
    default_out = Path("runs") / suite.stem if suite else None
    options = Options(
        out=out or default_out,
        data_dir=str(data_dir) if data_dir else None,
        jobs=jobs,
        timeout=timeout,
        memory=None if memory_limit is None else bytes_of(memory_limit),
        fail_fast=fail_fast,
        fresh=fresh,
        command=shlex.join(["harness", *sys.argv[1:]]),
        **ways,
    )
    registry = Registry()
    if dry_run:
        _dry_run(request, options, registry)
        return
    try:
        results = carry_out(request, options, registry, progress_listener())
    except KeyboardInterrupt:
        from harness.run import folder_of

        print(f"harness: interrupted; {_kept(folder_of(request, options))}", file=sys.stderr)
        raise typer.Exit(130) from None
    _print_results(results, shown)
    if not results.ok:
        raise typer.Exit(1)


def _kept(folder: RunFolder) -> str:
    """What an interrupted run leaves, in words."""
    keys = folder.keys()
    finished = sum((folder.cells / f"{key}.json").is_file() for key in keys)
    if not keys:
        return "nothing was finished"
    kept = f"{finished} of {len(keys)} cells are finished and kept in {folder.path}"
    return f"{kept}, and the same command goes on from there"


def _dry_run(request: Any, options: Options, registry: Any) -> None:
    from harness.options import launcher_of, trackers_of
    from harness.plan import make_plan
    from harness.rehearsal import rehearse_request
    from harness.run import folder_of
    from harness.trials import fixed_settings, reported, trials_of, undecided

    rehearse_request(request, options, registry)
    launcher_of(options, registry), trackers_of(options, registry)  # a wrong name is said now
    folder = folder_of(request, options)
    planned = partial(make_plan, registry=registry, folder=folder, data_dir=options.data_dir, fresh=options.fresh)
    trials = trials_of(request, registry)
    first = planned(trials) if trials else None
    tuning = undecided((one.cell for one in first.cells), fixed_settings(request, registry)) if first else None
    plan = planned(reported(request), tuning=tuning)
    if first and tuning:
        print(f"{tuning.trials} trials of each tuned method, chosen on validation:")
        _print_plan(first, folder.path)
        print("\nthen, with the chosen settings in the place of the first ones:")
    _print_plan(plan, folder.path)


def _print_plan(plan: Plan, path: Path) -> None:
    budgets = ", ".join(dict.fromkeys(filter(None, (budget_text(planned.cell) for planned in plan.cells))))
    titles = [_title(planned.cell, with_budget="," in budgets) for planned in plan.cells]
    width = max(map(len, titles))
    for planned, title in zip(plan.cells, titles, strict=True):
        print(f"{planned.state:8}  {title:{width}}  {planned.why}".rstrip())
    counts: dict[str, int] = {}
    for planned in plan.cells:
        counts[planned.state] = counts.get(planned.state, 0) + 1
    unfit = Counter(todo.unfit for planned in plan.cells for todo in planned.task.todo if todo.unfit)
    for reason, n in unfit.items():
        print(f"{'skipped':8}  {n} evaluations: {reason}")
    judged = sum(cell.judged for cell in plan.cells)
    print(
        f"\n{len(plan.cells)} cells, {judged} evaluations: {', '.join(f'{n} {state}' for state, n in counts.items())}"
    )
    if limit_of(plan.request):
        print(
            f"seeds auto: {FIRST} first, then {STEP} at a time while a difference is open; listed are all that may be"
        )
    trained = f"budget {budgets} for each trained method" if budgets else "nothing trains"
    print(f"{trained}; results would go to {path}")


def _title(cell: Any, *, with_budget: bool) -> str:
    extras = [str(cell.backbone)] if cell.backbone else []
    extras += [cell.device, cell.precision, *([budget_text(cell)] if with_budget and cell.budget else [])]
    return f"{cell.title} ({', '.join(extras)})"


def _print_results(results: Results, shown: str) -> None:
    """The table that `--table` asks for, what went wrong, and where the report is."""
    from rich.console import Console

    from harness.report import terminal_table
    from harness.report.tuning import sentence

    console = Console()
    if shown != "none":
        console.print(terminal_table(list(results.cells), results.folder.path, everything=shown == "all"))
    tuning = results.folder.tuning()
    if tuning:
        methods = [str(cell.cell.method) for cell in results.cells if cell.cell.kind != "reference"]
        console.print(sentence(tuning, list(dict.fromkeys(methods))), highlight=False, markup=False)
    for failure in results.failures:
        console.print(f"FAILED  {failure}", style="bold", highlight=False, markup=False, soft_wrap=True)
    for log in results.logs:
        console.print(f"        log: {log}", highlight=False, markup=False, soft_wrap=True)
    for reason, count in Counter(results.skipped).items():
        what = f"{count} cells" if count > 1 else "1 cell"
        console.print(f"skipped  {what}: {reason}", highlight=False, markup=False, soft_wrap=True)
    if results.missing:
        console.print(f"{results.missing} cells were not run", highlight=False)
    page = results.folder.path / "index.html"
    console.print(f"Report: {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
