"""The frozen records that travel from a request to a report. Plain data: no torch, no IO.

Request -> Plan of Cells -> CellResult (one JSON file) -> rows of the tidy frame
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_letters
from typing import Any, Literal

from harness.errors import RequestError
from harness.rates import parse_schedule

Kind = Literal["model", "pretext", "pretrained", "reference"]  # pretrained: elsewhere, never here
Better = Literal["higher", "lower", "none"]
Status = Literal["ok", "failed", "skipped"]
SplitName = Literal["train", "validation", "test"]
USUAL = {"image": "convnet", "video": "frames", "text": "gru"}  # backbone by what a source holds, where none is named
Role = Literal["leads", "follows", "ranks", "told"]
Information = Literal["labels", "captions", "paired", "unpaired"]  # beside images; unpaired: shuffled paired images
ALL_LABELS = "100%"  # what an evaluation fits to, unless a request says otherwise: see harness.labels


@dataclass(frozen=True, kw_only=True)
class PluginRef:
    """A plugin with its parameters, as written in one grammar everywhere: `vae[beta=1,latent_dim=8]`.

    `params` holds what was asked; a plan replaces it by every parameter of the plugin's config.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ",".join(f"{key}={written(value)}" for key, value in sorted(self.params.items()))
        return f"{self.name}[{inside}]" if inside else self.name


def written(value: Any) -> str:
    """A parameter value in the request grammar: `true`, `none`, `0.5`, `batch`, `[3, 5]`, in quotes what needs them.

    >>> print(written("a|b"), written((3, 5)), written("it's"))
    'a|b' [3, 5] "it's"
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    text = repr(value) if isinstance(value, float) else str(value)
    plain = text and text == text.strip() and not set(text) & set(",|[]'\"")
    return text if plain or not isinstance(value, str) else _quoted(text)


def _quoted(text: str) -> str:
    """In quotes: pieces side by side, each in those that it does not hold."""
    if "'" not in text or '"' not in text:
        return f'"{text}"' if "'" in text else f"'{text}'"
    pieces = re.findall(r"[^']+|[^\"]+", text)
    return "".join(map(_quoted, pieces))


def written_number(value: float) -> str:
    """A number to its last digit, whole ones without a point: two different ones are never written alike.

    >>> written_number(1234562.0), written_number(0.5), written_number(1e20)
    ('1234562', '0.5', '1e+20')
    """
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long training lasts. Examples (images, clips, texts) are counted as drawn from the source, before a method
    makes views of them.

    `0 steps` trains nothing: the method as it was initialised, to compare with what it learned.

    `flops` is equal compute: floating-point operations, which are counted on the first step, at 2 per multiply-add; a
    method takes as many steps as they pay for, the last one whole.

    Only `seconds` depends on the machine: the other units give the same numbers every time.
    """

    amount: float
    unit: Literal["epochs", "steps", "examples", "seconds", "flops"]

    def __str__(self) -> str:
        tera = self.amount / 1e12
        if self.unit == "flops" and tera * 1e12 == self.amount:
            return f"{written_number(tera)} TFLOP"
        return f"{written_number(self.amount)} {self.unit}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `20 epochs`, `5000 steps`, `1e6 examples`, `90 seconds`, `5 minutes`, `2e14 flops`, `200 TFLOP`.

        Spaces and plural are optional; `images`, `clips` and `texts` are other words for examples.
        """
        number = text.strip().rstrip(f"{ascii_letters} ")
        unit = text.strip()[len(number) :].strip()
        units = {
            "epoch": "epochs",
            "step": "steps",
            "example": "examples",
            **dict.fromkeys(("image", "clip", "text"), "examples"),
            "second": "seconds",
            "s": "seconds",
            **dict.fromkeys(("minute", "min", "m", "hour", "h"), "seconds"),
            **dict.fromkeys(("flop", "FLOP", "GFLOP", "TFLOP", "PFLOP"), "flops"),
        }
        scale = {"minute": 60.0, "min": 60.0, "m": 60.0, "hour": 3600.0, "h": 3600.0}
        scale |= {"GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15}
        singular = unit if unit == "s" else unit.removesuffix("s")
        try:
            amount, unit = float(number) * scale.get(singular, 1.0), units[singular]
        except (ValueError, KeyError):
            raise RequestError(
                f"budget '{text}' is not a number and a unit: "
                "write '20 epochs', '5000 steps', '1e6 examples', '90 s' or '200 TFLOP'"
            ) from None
        if not 0 <= amount < float("inf"):
            raise RequestError(f"budget '{text}' must be finite and not negative ('0 steps' trains nothing)")
        return cls(amount=amount, unit=unit)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How every gradient-trained method of a run is optimised: AdamW (Adam, where weight_decay is 0) and a schedule.

    A method's own recipe may change these defaults, and `--set train.KEY=VALUE` changes them for all.
    """

    batch_size: int = 128  # examples of the source per step
    optimiser: Literal["adamw", "sgd", "lars"] = "adamw"  # lars: as SimCLR, BYOL and VICReg have it, for large batches
    learning_rate: float = 3e-3  # at the end of the warm-up; sgd and lars want one of their own, say 0.1
    weight_decay: float = 1e-4  # on weights of two and more dimensions only; adamw: decoupled, else in the gradient
    final_weight_decay: float | None = None  # at the end of the budget, by half a cosine as in DINO; none: the same
    warmup: float = 0.05  # fraction of the budget in [0,1)
    schedule: str = "cosine"  # of the rate after the warm-up: cosine (to 0), constant or steps[PLACES;FACTOR]
    beta1: float = 0.9  # adamw: decay of the mean gradient; adversarial methods take 0.5 or 0
    beta2: float = 0.999  # adamw: decay of the mean squared gradient
    momentum: float = 0.9  # sgd and lars: decay of the sum of gradients, without Nesterov's
    clip_norm: float = 5.0  # largest gradient norm per step; 0 turns clipping off
    compile: bool = False  # the backbone by torch.compile, as --compile asks for: faster after a slow first step
    validation: bool = False  # learn from the source's validation rows too: nothing may be chosen on them then

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ValueError("batch_size must be at least 2 (batch normalisation needs two examples)")
        if self.learning_rate <= 0 or min(self.weight_decay, self.final_weight_decay or 0.0, self.clip_norm) < 0:
            raise ValueError("learning_rate must be positive, weight decays and clip_norm not negative")
        if not 0 <= self.warmup < 1:
            raise ValueError("warmup is a fraction of the budget in [0,1)")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and 0 <= self.momentum < 1):
            raise ValueError("beta1, beta2 and momentum are decay rates in [0,1)")
        parse_schedule(self.schedule)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for, from the command line, a TOML file or Python: still text, nothing resolved.

    With parts, it is all of them together: what their matrices have in common is run once.
    """

    plugins: tuple[str, ...] = ("vae", "jigsaw")
    tune: tuple[str, ...] = ()  # methods with the settings that are tried: the best on validation is reported
    tune_by: str = "auto"  # what validation is asked for, see the evaluation `selection`
    references: tuple[str, ...] = ("pixels", "pca", "random-init", "supervised")
    datasets: tuple[str, ...] = ("digits",)
    targets: tuple[str, ...] = ()  # empty: each source is its own target
    backbone: tuple[str, ...] = ()  # none: the usual one for what the source holds, see USUAL
    devices: tuple[str, ...] = ("auto",)
    precision: tuple[str, ...] = ("fp32",)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    most_seeds: int = 0  # seeds are added until differences are decided, up to so many; 0: none are
    evaluations: tuple[str, ...] = ("default",)
    labels: tuple[str, ...] = (ALL_LABELS,)  # what evaluations that fit to labels get: `1%`, `10%`, `5/class`
    budget: str = "30 epochs"
    settings: tuple[str, ...] = ()  # `NAME.KEY=VALUE`, as given to --set
    threads: int = 1  # CPU threads of one cell; part of its identity, since it orders floating-point sums
    compile: bool = False  # train.compile for every method
    title: str = ""  # what the report is called; empty: its methods and datasets
    question: str = ""  # what it is to answer, in a sentence below the title
    parts: tuple[Request, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method trained on one source with one seed: the unit that a launcher runs in a process of its own."""

    method: PluginRef
    kind: Kind
    backbone: PluginRef | None  # None: the method uses none (pixels, PCA)
    source: PluginRef
    targets: tuple[PluginRef, ...]
    evaluations: tuple[PluginRef, ...]
    device: str
    precision: Literal["fp32", "bf16", "auto"]  # auto: what a timed trial finds faster; TrainingResult says which
    seed: int
    budget: Budget | None  # None: the method never trains by it, as pixels, PCA and the untrained backbone
    train: TrainConfig
    threads: int = 1
    labels: tuple[str, ...] = (ALL_LABELS,)  # parts of the labels that evaluations fit to, each in turn

    @property
    def title(self) -> str:
        """What a progress line calls this cell: `vae[latent_dim=8] on digits, seed 0`."""
        untrained = ", untrained" if self.budget is not None and not self.budget.amount else ""
        return f"{self.method} on {self.source}, seed {self.seed}{untrained}"


def budget_text(cell: Cell) -> str:
    """The budget that a cell trains by, "" where it trains by none."""
    return "" if cell.budget is None else str(cell.budget)


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """One number that an evaluation yields, and how a report shows it.

    The primary score of each evaluation is a column of the report, and `role` says what it does there:

    leads    orders the rows and comes first. Of several, the first in the order of the request does; the others
             stand next to it, and where there is none, the first column that ranks does
    follows  comes after those that lead, and does what they do where none was asked for
    ranks    has a best method, and gains over the baseline. Where guessing gets something else for one method
             than for another (`ScoreValue.chance`), their tasks differ: it is told. One that leads is ranked anyhow
    told     is of the machine, or of a task of the method's own: shown last, never compared

    A score with no better direction is told, whatever its role. One with `beside` is shown, by its `word`, in small
    letters below the score that it names: "floor", "real", "copy", "unseen", "gap", "ceiling" or a word of its own.
    """

    name: str  # "accuracy"
    unit: str  # "fraction", "dB", "images/s", "nats" ...
    better: Better
    low: float | None = None  # the smallest and the largest value that is possible, where there is one: there
    high: float | None = None  # intervals end
    primary: bool = False  # a column of the report; one of those ranks methods, the others are told
    role: Role = "ranks"  # of a primary score
    beside: str = ""  # the score of the same evaluation that this one helps to read
    word: str = ""  # what it is called there
    asks: str = ""  # of a primary score: the question that it answers in a report's first lines, "Reconstructs"
    proportion: bool = False  # a share of n independent examples: with one seed, its interval is Wilson's
    help: str = ""  # one sentence with the formula or the source


@dataclass(frozen=True, kw_only=True)
class ScoreValue:
    """A measured score. A plain float from an evaluation means: of the target's test split, without a chance level."""

    value: float
    n: int | None = None  # how many examples it was measured on; None: the whole test split
    chance: float | None = None  # what guessing would give
    note: str = ""  # what a reader must know to read the number: extractor, floor, chosen k ...
    # Tensors (N,), of N examples: what each got (right or wrong as 1 or 0, its error, ...), whose mean is the value,
    # and which rows of the test split they are, int64; None: all, in their order.
    outcomes: Any = field(default=None, compare=False)
    rows: Any = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score as it is stored: specification and value together, so that a report needs no plugin."""

    score: str
    value: float
    unit: str
    better: Better
    primary: bool
    chance: float | None
    n: int
    note: str = ""
    role: Role = "ranks"
    beside: str = ""
    word: str = ""
    asks: str = ""
    low: float | None = None
    high: float | None = None
    proportion: bool = False


LAST = 1000  # the place of pictures that say none


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Something to look at, made by an evaluation, as a file below the run's `artifacts/`.

    A report shows pictures of one name together, under one heading.

    `image` is a PNG: a grid of square images with gaps of one pixel, which may have words to it; `film` is a grid of
    clips as an animated PNG, which has a still picture for where nothing may move. `scatter` is JSON:
    {"x": [...], "y": [...], "label": [...], "classes": [...]}. `curve` and `matrix` are JSON too, see
    harness.judging.drawn. `texts` is {"columns": {name: [text of each row]}}.
    `features` is no picture of its own: of those of all methods a report draws how alike they
    are, see harness.judging.compared.
    """

    name: str  # "reconstructions", "samples", "interpolation", "map"
    kind: Literal["image", "film", "scatter", "curve", "matrix", "features", "texts"]
    file: str  # relative to the workplace of its cell, and once it is published, to the run folder
    caption: str
    columns: int = 0  # of the grid
    texts: tuple[str, ...] = ()  # under each image, row by row
    row_names: tuple[str, ...] = ()  # beside each row of images
    heading: str = ""  # empty: its name
    place: int = LAST  # of its heading among the others, from above; those of one place come by their name
    shared: bool = False  # the same for all methods: shown once for each target


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What one evaluation said of one cell on one target."""

    target: str
    evaluation: str
    status: Status
    key: str  # of everything that changes this answer
    reason: str = ""  # why it failed or was skipped
    seconds: float = 0.0
    scores: tuple[Score, ...] = ()
    pictures: tuple[Picture, ...] = ()
    note: str = ""  # e.g. "target resized from 28x28x1 to 8x8x1"
    labels: str = ""  # the part of the labels that it fitted to, "1%"; empty: it fits to none
    examples: str = ""  # the file of what each test example got, named as pictures are; empty: nothing is known of them

    @property
    def title(self) -> str:
        """What a line or a column calls it."""
        return judged_by(self.evaluation, self.labels)


def judged_by(evaluation: str, labels: str) -> str:
    """An evaluation by its name, and the part of the labels that it fitted to where that is not all of them.

    >>> judged_by("knn", "1%"), judged_by("knn", "5/class"), judged_by("knn", "100%")
    ('knn (1% labels)', 'knn (5/class)', 'knn')
    """
    if labels in ("", ALL_LABELS):
        return evaluation
    return f"{evaluation} ({labels}{' labels' if '%' in labels else ''})"


def short_names(evaluations: Iterable[str]) -> dict[str, str]:
    """What evaluations are called in tables and lines: without their parameters, where that leaves no two alike.

    >>> short_names(["finetune[labels=100]", "fid[samples=10]", "fid"])
    {'finetune[labels=100]': 'finetune', 'fid[samples=10]': 'fid[samples=10]', 'fid': 'fid'}
    """
    short = {full: re.sub(r"\[.*\]", "", full) for full in evaluations}
    alone = [name for name, count in Counter(short.values()).items() if count == 1]
    return {full: name if name in alone else full for full, name in short.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """One point of a training curve: means over the steps since the point before."""

    examples: int  # drawn from the source so far
    seconds: float
    scalars: Mapping[str, float]  # "loss" and what the method logged


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What training gave and cost."""

    status: Status
    reason: str = ""
    seconds: float = 0.0  # of training alone, without loading data
    steps: int = 0
    examples: int = 0  # drawn from the source; views made of one are not counted
    counted: str = "images"  # what an example is: "images", "clips" or "texts"
    parameters: int = 0  # weights that an optimiser moved
    views: float | None = None  # inputs that its trained backbone encoded, with gradients, per example; None: unknown
    passes: float | None = None  # inputs that any backbone of it encoded, per example
    flops: float | None = None  # of all of training: those of the first step for each step; None: unknown
    loss: float | None = None  # mean over the last point of the curve
    curve: tuple[CurvePoint, ...] = ()
    monitor: tuple[CurvePoint, ...] = ()  # what was seen of the representation; the first point before training
    traceback: str = ""
    note: str = ""  # what a reader must know of it: the precision that a trial chose, weights without a gradient
    precision: str = ""  # that it computed in, "fp32" or "bf16"; empty: it did not come so far
    weights: str = ""  # the checksum of their file (harness.sealed); empty: none are kept, or by an older version


def as_trained(cell: Cell, training: TrainingResult) -> Cell:
    """The cell in the precision that it was trained in: what evaluations see."""
    return replace(cell, precision=training.precision) if training.precision else cell  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """One finished cell: the content of `cells/<key>.json`."""

    key: str
    cell: Cell
    identity: Mapping[str, Any]  # what was asked, as text; equal for a stale cell and its successor
    provenance: Mapping[str, Any]  # what it ran with: source digests, fingerprints, versions, device name
    training: TrainingResult
    evaluations: tuple[EvaluationResult, ...] = ()
    finished: str = ""  # ISO 8601, UTC; empty: no process gave this result
    files: Mapping[str, str] | None = None  # artifacts by their place in the run, with checksums; None: none are known

    @classmethod
    def without_process(
        cls, task: CellTask, training: TrainingResult, evaluations: Iterable[EvaluationResult]
    ) -> CellResult:
        """What is known of a task that was skipped, or whose process sent nothing."""
        return cls(
            key=task.key,
            cell=task.cell,
            identity=task.identity,
            provenance=task.provenance,
            training=training,
            evaluations=tuple(evaluations),
        )


def never_trains(result: CellResult) -> bool:
    """Does its method have no budget? Of a cell of an older run, which has one all the same, its training tells."""
    training, budget = result.training, result.cell.budget
    return budget is None or (training.status == "ok" and not training.steps and budget.amount > 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationTask:
    """One evaluation of one target that a cell still has to do."""

    target: PluginRef
    evaluation: PluginRef
    key: str
    unfit: str = ""  # why the plan knows that it makes no sense: its row is skipped with that; empty: it is run
    labels: str = ""  # the part of the labels that it fits to, "1%"; empty: it fits to none
    others: tuple[PluginRef, ...] = ()  # datasets that it reads beside the target, see harness.plugin.specs
    strangers: tuple[str, ...] = ()  # whose code it is judged with that training has none of; as those of the task


@dataclass(frozen=True, kw_only=True)
class CellTask:
    """Everything that a cell needs to know, as plain data: it can travel to another machine as JSON.

    No path is in it but those that a user wrote as a parameter: where things lie is said by a Workplace.
    """

    key: str
    cell: Cell
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    todo: tuple[EvaluationTask, ...]
    training: TrainingResult | None = None  # of an earlier run, whose weights are the workplace's checkpoint
    fingerprints: Mapping[str, str] = field(default_factory=dict)  # of the source and the targets, by label
    monitor: int = 0  # moments of training at which the representation is looked at; it changes no number
    strangers: tuple[str, ...] = ()  # whose code it trains with: distributions, and names of unpackaged files


@dataclass(frozen=True, kw_only=True)
class StatePace:
    """How often the state of a training is kept while it is under way."""

    first: float = 60.0  # seconds of training until it is written first
    between: float = 30.0  # seconds of training, at least, until it is written again
    share: float = 0.02  # of training, at most, that goes into writing: a large state on a slow disk comes less often


PACE = StatePace()  # that of every bench; tests take another


@dataclass(frozen=True, kw_only=True)
class StatePlace:
    """Where that is kept, in a file of this cell alone."""

    file: Path
    pace: StatePace = PACE


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a task is carried out: folders and files of one machine, as absolute paths.

    The launcher makes it where the cell runs. What a cell writes for others it writes below `staging`.
    """

    data_root: Path
    cache: Path  # what may be kept between runs
    staging: Path  # a folder of this task's own for weights and pictures; it may not exist yet
    plugin_files: tuple[Path, ...] = ()  # unpackaged plugins that a task may name; each is loaded when it is needed
    checkpoint: Path | None = None  # the weights that the task's `training` gave, if it has one and the method has any
    checkpoint_sum: str = ""  # its checksum (harness.sealed); empty: not known
    state: StatePlace | None = None  # None: an interrupted training starts anew
