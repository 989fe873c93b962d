"""The command line: verbs, exit codes and one-line errors. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import os
import sys

import typer

from harness.cli import bench, compare, datasets, doctor, export, gate, history, plugins, report
from harness.surroundings import current_folder

# Typer converts the value of every flag that nobody set with pydantic, whose import takes 0.1 s; a default here spares
# `--help` and `plugins` that.
UNSET_FLAGS = {"help": False, "install_completion": False, "show_completion": False, "plugins": {"help": False}}

app = typer.Typer(
    name="harness",
    help="How good is a representation? Trains self-supervised and generative methods under one budget on one "
    "backbone, freezes what they learned, and measures how well it transfers.",
    epilog="Start with: harness bench --plugins vae,jigsaw      Exit codes: 0 all cells ok, 1 some cell failed, "
    "2 bad request.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
        "default_map": UNSET_FLAGS,
    },
)
app.command("bench", epilog=bench.EPILOG, short_help="Train, freeze, judge and compare methods.")(bench.bench)
app.add_typer(plugins.app, name="plugins")
app.add_typer(datasets.app, name="datasets")
app.command("report", short_help="Make a run's report again, or merge several runs.")(report.report)
app.command("compare", epilog=compare.EPILOG, short_help="Judge a run by another one: better, equivalent, worse.")(
    compare.compare
)
app.command("gate", epilog=gate.EPILOG, short_help="Is this working folder as good and as fast as its base?")(gate.gate)
app.command("history", epilog=history.EPILOG, short_help="Follow gates over many commits: slow creep.")(history.history)
app.command("export", epilog=export.EPILOG, short_help="Write a run for pytest-benchmark and other tools.")(
    export.export
)
app.command("doctor", short_help="Show what this machine offers to a bench.")(doctor.doctor)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from harness import __version__

        print(f"harness {__version__}")
        raise typer.Exit
    current_folder()  # before torch, whose libraries end the process where it is gone


def _interrupted(end: SystemExit) -> bool:
    """Was it Ctrl-C, and nobody has said what that leaves?"""
    return end.code == 130 and isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt)


def main() -> None:
    """The `harness` command. A HarnessError becomes one line on stderr and exit code 2."""
    from harness.cli.streams import guard
    from harness.errors import HarnessError

    guard()
    try:
        app()
    except SystemExit as end:  # Typer makes an exit of Ctrl-C, without a word
        if _interrupted(end):
            print("harness: interrupted", file=sys.stderr)
        raise
    except HarnessError as error:
        print(f"harness: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `harness plugins | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
