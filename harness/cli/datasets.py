"""`harness datasets list|show|prepare`: which datasets there are, what is in them, and how they get here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cleaned import cleaned, one_line
from harness.data.fields import PLURALS
from harness.errors import HarnessError, RequestError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from harness.data.fields import DataSpec
    from harness.data.rows import Dataset
    from harness.plugin.specs import DatasetSpec
    from harness.records import PluginRef
    from harness.registry import PluginInfo, Registry

app = typer.Typer(help="List, inspect and fetch datasets; without a verb, list them.", invoke_without_command=True)

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of all datasets [default: $HARNESS_DATA, or ~/.cache/harness/data]",
        show_default=False,
    ),
]


LONGEST_LOOK = 60.0  # seconds that a plugin of others may take to be loaded and to describe its data


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of `harness datasets list`."""

    name: str
    inputs: str  # "images of 28x28x1"
    classes: str  # how many
    state: str  # "present", where it is missing, or what is wrong


@app.callback()
def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_command()


@app.command("list")
def list_command(data_dir: DataDir = None) -> None:
    """List all datasets and say which of them are there."""
    from harness.loading import data_root
    from harness.registry import Registry

    registry, root = Registry(), data_root(data_dir)
    console = _console()
    console.print(_list_table(rows(registry, root)))
    console.print(f"data folder: {root}", soft_wrap=True, highlight=False)


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="A dataset, such as mnist or 'image-folder[path=./photos]'.")],
    data_dir: DataDir = None,
) -> None:
    """Show where a dataset comes from, its classes and, if it is there, its splits and its fingerprint."""
    from harness import loading
    from harness.errors import DatasetMissing
    from harness.registry import Registry

    root = loading.data_root(data_dir)
    _survived(name, root)
    registry, console = Registry(), _console()
    if _lacks_a_parameter(registry, name):  # then its parameters are all that can be told
        _say_parameters(registry, name, console)
        return
    spec, config = find(registry, name)
    described = loading.described(spec, config, root)
    for key, value in (
        ("dataset", spec.name),
        ("source", spec.source or "not stated"),
        ("inputs", inputs_title(described)),
        ("classes", f"{len(described.classes)}: {', '.join(described.classes)}" if described.classes else "no labels"),
    ):
        _say(console, f"{key:<12}{value}")
    try:
        loading.check_present(spec, config, root)
    except DatasetMissing as missing:
        _say(console, f"{'files':<12}{missing}")
        _say_parameters(registry, name, console)
        return
    _say(console, f"{'fingerprint':<12}{loading.fingerprint(spec, config, root)}")
    console.print(_splits_table(loading.load(spec, config, root, seed=0)))
    _say_parameters(registry, name, console)


@app.command("prepare")
def prepare_command(
    names: Annotated[list[str], typer.Argument(help="Datasets to fetch.")],
    data_dir: DataDir = None,
) -> None:
    """Download datasets. What is there already is left alone."""
    from harness.loading import data_root
    from harness.registry import Registry

    registry, root, console = Registry(), data_root(data_dir), _console()
    for name in names:
        _survived(name, root)
    chosen = [find(registry, name) for name in names]  # all names are checked before anything is fetched
    for spec, config in chosen:
        prepare(spec, config, root, console)


def rows(registry: Registry, root: Path) -> list[Row]:
    """What `list` shows, sorted by name; a broken plugin is a row with its cause."""
    from harness.registry.installed import is_own

    infos = registry.infos(kind="dataset")
    return [(_row if is_own(info) else _row_beside)(registry, info, root) for info in infos]


def _row_beside(registry: Registry, info: PluginInfo, root: Path) -> Row:
    """The row of a plugin of others, which may exit, crash or hang when it is loaded or asked."""
    from harness.aside import Gone, aside

    try:
        (told,) = aside(lambda tell: tell(asdict(_row(registry, info, root))), seconds=LONGEST_LOOK)
        return Row(**told)
    except (Gone, HarnessError) as how:
        said = f"it {how}" if isinstance(how, Gone) else str(how)
        return Row(name=info.name, inputs="", classes="", state=f"plugin '{info.name}' of {info.origin}: {said}")


def _row(registry: Registry, info: PluginInfo, root: Path) -> Row:
    from harness import loading

    name = info.name
    try:
        spec, config = find(registry, f"{info.distribution}:{name}")
        described = loading.described(spec, config, root)
    except HarnessError as error:
        return Row(name=name, inputs="", classes="", state=str(error))
    return Row(
        name=name,
        inputs=inputs_title(described),
        classes=str(len(described.classes)) if described.classes else "none",
        state=_state(spec, config, root),
    )


def inputs_title(described: DataSpec) -> str:
    """`images of 28x28x1`, `clips of 8 frames of 16x16x1`, `texts of 64 tokens`."""
    things = PLURALS[described.kind]
    return described.inputs.title if described.kind == "text" else f"{things} of {described.inputs.title}"


def _state(spec: DatasetSpec, config: Any, root: Path) -> str:
    from harness.errors import DatasetMissing
    from harness.loading import check_present, files_of

    try:
        check_present(spec, config, root)
    except DatasetMissing:
        missing = next((path for path in files_of(spec, config, root) if not path.is_file()), root)
        return f"missing: {missing.relative_to(root) if missing.is_relative_to(root) else missing}"
    return "present"


def _lacks_a_parameter(registry: Registry, text: str) -> bool:
    """Does a dataset need a parameter that is not given?"""
    from harness.registry.config import describe

    (ref,) = _one(text)
    spec = registry.load(ref.name, kinds=("dataset",)).spec
    return any(parameter.required and parameter.name not in ref.params for parameter in describe(spec.config))


def _say_parameters(registry: Registry, text: str, console: Console) -> None:
    """What a dataset can be asked for, a line for each parameter."""
    from harness.registry.config import describe

    (ref,) = _one(text)
    spec = registry.load(ref.name, kinds=("dataset",)).spec
    parameters = describe(spec.config)
    needed = ",".join(f"{parameter.name}=..." for parameter in parameters if parameter.required)
    if needed:
        _say(console, f"{'write':<12}{spec.name}[{needed}]")
    for n, one in enumerate(parameters):
        given = "needed" if one.required else f"= {one.default}"
        said = f"{one.name} ({one.type}) {given}{f'  {one.comment}' if one.comment else ''}"
        _say(console, f"{'' if n else 'parameters':<12}{said}")


def _survived(text: str, root: Path) -> None:
    """Raise BrokenPlugin where a dataset of others ends, or holds up, the process that loads and describes it."""
    from harness.aside import rehearse
    from harness.registry import Registry
    from harness.registry.finding import is_strange
    from harness.registry.grammar import parse_plugins

    def asked() -> None:
        spec, config = find(Registry(), text)
        spec.describe(config, root), spec.files(config, root)

    if any(is_strange(Registry(), ref.name) for ref in parse_plugins(text)):
        rehearse(f"dataset '{text}'", asked, seconds=LONGEST_LOOK)


def find(registry: Registry, text: str) -> tuple[DatasetSpec, Any]:
    """The spec and the config of one dataset as written in a request: `mnist`, `image-folder[path=./photos]`."""
    from harness.registry.config import resolve

    (ref,) = _one(text)
    spec = registry.load(ref.name, kinds=("dataset",)).spec
    return spec, resolve(spec.config, ref.params, spec.name)


def _one(text: str) -> tuple[PluginRef]:
    """The one dataset that a text names."""
    from harness.registry.grammar import parse_plugins

    refs = parse_plugins(text)
    if len(refs) != 1:
        raise RequestError(f"'{text}' names {len(refs)} datasets: name one at a time")
    return (refs[0],)


def prepare(spec: DatasetSpec, config: Any, root: Path, console: Console) -> None:
    """Fetch one dataset into `root` unless it is there. Raises RequestError, in one line, when that fails."""
    from harness.errors import DatasetMissing
    from harness.loading import check_present

    try:
        check_present(spec, config, root)
    except DatasetMissing:
        if spec.prepare is None:
            raise
    else:
        where = f"already in {root}" if spec.prepare else "nothing to fetch, it is there"
        _say(console, f"{spec.name}: {where}")
        return
    _say(console, f"{spec.name}: fetching into {root} ({spec.source})")
    try:
        spec.prepare(config, root)
        check_present(spec, config, root)
    except DatasetMissing:
        raise
    except Exception as error:  # networks, archives and strangers' plugins fail in their own ways
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise RequestError(f"dataset '{spec.name}' could not be fetched into {root}: {reason}") from error
    _say(console, f"{spec.name}: now in {root}")


def _list_table(lines: list[Row]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("dataset", box=None, pad_edge=False)
    table.add_column("inputs")
    table.add_column("classes", justify="right")
    table.add_column("state", overflow="fold")
    for row in lines:
        table.add_row(*(escape(one_line(text)) for text in (row.name, row.inputs, row.classes, row.state)))
    return table


def _splits_table(dataset: Dataset) -> Table:
    """Images in each split (columns), all together and by class (rows)."""
    from rich.markup import escape
    from rich.table import Table

    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    if dataset.unlabelled is not None:
        splits["unlabelled"] = dataset.unlabelled
    table = Table("seed 0", box=None, pad_edge=False)
    for heading in splits:
        table.add_column(heading, justify="right")
    table.add_row(f"all {PLURALS[dataset.spec.kind]}", *(f"{len(split):,}" for split in splits.values()))
    for label, name in enumerate(dataset.spec.classes):
        counts = ["" if part.labels is None else f"{int((part.labels == label).sum()):,}" for part in splits.values()]
        table.add_row(escape(one_line(name)), *counts)
    return table


def _console() -> Console:
    from rich.console import Console

    return Console()


def _say(console: Console, line: str) -> None:
    """One line as it is: not wrapped, not coloured, and brackets are no markup."""
    console.print(cleaned(line), soft_wrap=True, highlight=False, markup=False)
