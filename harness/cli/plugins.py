"""`harness plugins`: what is installed, what each plugin takes, and whether it keeps the contract.

Nothing here imports torch or pandas before `check`, or the first `show`, loads the one plugin that it is about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.data.fields import PLURALS
from harness.errors import RequestError, did_you_mean
from harness.registry import KINDS, METHOD_KINDS, LoadedPlugin, PluginInfo, Registry

if TYPE_CHECKING:
    from harness.contract.checks import Check
    from harness.records import PluginRef

app = typer.Typer(
    help="List, show and check plugins.",
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"default_map": {"help": False}},  # unset, typer would import pydantic to find that it is false
)

HEADINGS = {
    "model": "models",
    "pretext": "pretext tasks",
    "pretrained": "pretrained encoders",
    "reference": "references",
    "backbone": "backbones",
    "dataset": "datasets",
    "evaluation": "evaluations",
    "launcher": "launchers",
    "tracker": "trackers",
}
LONGEST_DESCRIPTION = 120.0  # seconds that a plugin of others may take to be imported
WIDEST_WITHOUT_TERMINAL = 160  # characters


@app.callback()
def plugins(context: typer.Context) -> None:
    """Without a verb: list all plugins."""
    if context.invoked_subcommand is None:
        print_list(Registry(), None)


@app.command("list")
def list_plugins(
    kind: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(KINDS)}.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list, for programs.")] = False,
) -> None:
    """List the installed plugins, by kind. Imports none of them."""
    if kind is not None and kind not in KINDS:
        raise RequestError(f"no kind of plugin '{kind}': {did_you_mean(kind, KINDS)}")
    registry = Registry()
    if as_json:
        rows = [asdict(info) | {"summary": info.summary} for info in registry.infos(kind)]
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_list(registry, kind)


def _train_settings() -> Iterable[str]:
    """The settings of the optimisation, which are no plugin's."""
    from harness.records import TrainConfig
    from harness.registry.config import describe

    yield "train (settings of every method that is trained by gradients: --set train.KEY=VALUE)"
    yield "  A method's own recipe may change these defaults; a request changes them for all."
    for one in describe(TrainConfig):
        yield f"  {one.name} ({one.type}) = {one.default}{f'  {one.comment}' if one.comment else ''}"


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, `distribution:name`, the path of a .py file, or `train`.")],
) -> None:
    """Show what a plugin is, where it comes from, and its parameters; of `train`, the settings of the optimisation."""
    from harness.aside import rehearse
    from harness.registry.finding import families_of, is_strange
    from harness.registry.grammar import is_path

    registry = Registry()
    if name != "train" and is_strange(registry, name):
        rehearse(f"plugin '{name}'", lambda: _described(Registry(), name), seconds=LONGEST_DESCRIPTION)
    if name == "train":
        shown = [list(_train_settings())]
    elif is_path(name):
        shown = _described(registry, name)
    else:
        shown = [_lines(registry, name, kinds) for kinds in families_of(registry, name)]
    typer.echo("\n\n".join("\n".join(lines) for lines in shown))


def _described(registry: Registry, name: str) -> list[list[str]]:
    from harness.registry.finding import plugins_named

    return [list(description(loaded)) for loaded in plugins_named(registry, name)]


def _lines(registry: Registry, name: str, kinds: Sequence[str]) -> list[str]:
    """What describes an installed plugin, which is imported unless it is remembered."""
    from harness.cli.shown import remembered

    return remembered(registry.find(name, kinds), lambda: description(registry.load(name, kinds)))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="As in a request: vae, 'vae[beta=4]', `distribution:name` or ./mine.py.")],
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of all datasets [default: $HARNESS_DATA, or ~/.cache/harness/data]")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=4, help="Check on images of so many pixels [default: 8 grey and 16 in colour]")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Of these images [default: 3, with a size]")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Build methods on it: mlp, 'resnet18[width=8]' [default: as the data needs]")
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show what does not apply too, line by line.")] = False,
) -> None:
    """Check a plugin against the contract, by trying it on small data. Exit code 1 if it breaks it."""
    from harness.contract.beside import Asked, checked_beside

    asked = Asked(
        ref=_one_plugin(name),
        root=data_dir,
        shape=None if size is None and channels is None else (channels or 3, size or 16),
        backbone=None if backbone is None else _one_plugin(backbone),
    )
    checks = checked_beside(asked)
    print_checks(checks, show_all=show_all)
    if any(check.status == "failed" for check in checks):
        raise typer.Exit(1)


def _one_plugin(text: str) -> PluginRef:
    from harness.registry.grammar import parse_plugins

    refs = parse_plugins(text)
    if len(refs) != 1:
        raise RequestError(f"'{text}' names {len(refs)} plugins: check one at a time")
    return refs[0]


def print_list(registry: Registry, kind: str | None) -> None:
    """Aligned columns under a heading for each kind; rich would take a third of the time that a list may take."""
    ambiguous = {info for group in registry.duplicates() for info in group}
    infos = registry.infos(kind)
    width = get_terminal_size((WIDEST_WITHOUT_TERMINAL, 24)).columns
    name_width = max((len(info.name) for info in infos), default=0)
    origin_width = max((len(info.origin) for info in infos), default=0)
    for heading in dict.fromkeys(info.kind for info in infos):
        typer.echo(typer.style(HEADINGS[heading], bold=True))
        for info in infos:
            if info.kind == heading:
                mark = f"DUPLICATE, write {info.distribution}:{info.name}. " if info in ambiguous else ""
                line = f"  {info.name:<{name_width}}  {info.origin:<{origin_width}}  {mark}{info.summary}"
                typer.echo(_shortened(line.rstrip(), width))
    typer.echo(f"{len(infos)} plugins. `harness plugins show NAME` describes one.")


def description(loaded: LoadedPlugin) -> Iterable[str]:
    """Everything that a spec says, line by line."""
    info, spec = loaded.info, loaded.spec
    yield f"{info.name} ({info.kind}, {info.origin})"
    yield f"  {info.summary}"
    yield f"  file       {loaded.file}"
    if spec.source:
        yield f"  source     {spec.source}"
    yield from _facts(info, spec)
    yield from _parameters(spec.config)


def _facts(info: PluginInfo, spec: Any) -> Iterable[str]:
    if info.kind in METHOD_KINDS:
        yield f"  can        {_capabilities(spec.build)}"
        yield f"  sees       {'nothing: it was trained elsewhere' if info.kind == 'pretrained' else _seen(spec)}"
        yield f"  backbone   {'that of the run' if spec.uses_backbone else 'none'}"
        if spec.recipe:
            yield f"  recipe     {', '.join(f'train.{key}={value}' for key, value in sorted(spec.recipe.items()))}"
    if info.kind == "backbone":
        yield f"  takes      {_taken(spec)}"
    if info.kind == "dataset":
        yield f"  fetch      {f'harness datasets prepare {info.name}' if spec.prepare else 'nothing to fetch'}"
    if info.kind == "evaluation":
        yield f"  judges     {_taken(spec)}"
        yield f"  needs      {', '.join(spec.needs) or 'nothing'}"
        yield f"  runs       {'alone on the machine' if spec.exclusive else 'beside other cells'}"
        yield "  scores"
        yield from _columns([_score_row(score) for score in spec.scores])


def _seen(spec: Any) -> str:
    """What a method learns from; where that depends on its parameters, with their defaults."""
    inputs = _taken(spec)
    if callable(spec.uses):
        return f"{', '.join([inputs, *spec.uses_with(spec.config())])}; more or less with other parameters"
    return ", ".join([f"{inputs} alone"] if not spec.uses else [inputs, *spec.uses])


def _taken(spec: Any) -> str:
    """`images`, or `images or clips or texts`."""
    return " or ".join(PLURALS[kind] for kind in spec.takes)


def _score_row(score: Any) -> tuple[str, ...]:
    bounds = ["" if bound is None else f"{bound:g}" for bound in (score.low, score.high)]
    span = f"[{bounds[0]}, {bounds[1]}]" if any(bounds) else ""
    better = {"higher": "higher is better", "lower": "lower is better", "none": "no direction"}[score.better]
    return (score.name + ("*" if score.primary else ""), score.unit, span, better, score.help)


def _capabilities(build: Any) -> str:
    """Known without building only where `build` is the class of the method."""
    from harness.plugin.capabilities import CAPABILITIES, capabilities_of

    shown = capabilities_of(build)
    return ", ".join(text for name, text in CAPABILITIES.items() if name in shown) or "is seen once it is built"


def _parameters(config: type) -> Iterable[str]:
    from harness.registry.config import describe

    parameters = describe(config)
    yield "  parameters" if parameters else "  parameters none"
    rows = [(p.name, "required" if p.required else f"= {p.default}", p.type, p.comment) for p in parameters]
    yield from _columns(rows)


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        yield "    " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def print_checks(checks: Sequence[Check], *, show_all: bool) -> None:
    """One line for each check that asks for something of the plugin, or for all; and how many of each there were."""
    colours = {"ok": "green", "failed": "red", "note": "magenta", "skipped": "yellow"}
    shown = [check for check in checks if show_all or not check.absent]
    width = max(len(check.name) for check in shown)
    for check in shown:
        word = typer.style(f"{'FAILED' if check.status == 'failed' else check.status:<7}", fg=colours[check.status])
        typer.echo(f"{word}  {check.plugin}  {check.name:<{width}}  {check.detail}".rstrip())
    counts = [(sum(check.status == status for check in shown), status) for status in colours]
    counts.append((len(checks) - len(shown), "do not apply (--all shows them)"))
    typer.echo(", ".join(f"{count} {status}" for count, status in counts if count))


def _shortened(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
