"""Evaluations tried out: what they say of methods of the house that have learned for a moment, on small data.

N examples, C channels, H=W pixels, T frames, L tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import cached_property, partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from harness import settings
from harness.building import load_dataset
from harness.contract.examples import SmallData
from harness.contract.methods import MethodCase
from harness.contract.requirements import Absent, require
from harness.data.columns import InMemory
from harness.data.fields import DataKind
from harness.data.rows import Dataset, Rows, read_as
from harness.errors import NotApplicable
from harness.expansion import datasets_beside
from harness.judge import evaluate
from harness.judging.subject import Subject
from harness.judging.watch import Watch
from harness.nn.backbone import Backbone
from harness.plugin.capabilities import CAPABILITIES, capabilities_of
from harness.plugin.specs import BackboneSpec, EvaluationSpec
from harness.pretraining import prepare_process
from harness.records import Budget, Cell, EvaluationTask, PluginRef, TrainConfig
from harness.registry import METHOD_KINDS, Registry
from harness.registry.chosen import Chosen
from harness.seeding import seed_everything

EXAMPLES = 240  # of which the last quarter is the test split, and the one before it validation
SMALL = PluginRef(name="small")  # what the data is called
# What can do most, then what can do what those before it cannot; the last has no backbone.
JUDGED: dict[DataKind, tuple[str, ...]] = {
    "image": ("vae", "supervised", "rotation", "text-to-image", "pix2pix", "style-transfer", "pixels"),
    "video": ("next-frame", "supervised", "arrow-of-time", "mean-frame", "pixels"),
    "text": ("next-word", "supervised", "bag-of-words"),
}


@dataclass(frozen=True)
class JudgingCase:
    """An evaluation, and a method that it judges on one small dataset."""

    judge: Chosen
    case: MethodCase
    registry: Registry
    root: Path  # of all datasets, for what the evaluation reads beside the target

    @cached_property
    def first(self) -> dict[str, float]:
        """Its scores. Raises NotApplicable where it makes no sense."""
        return self.scores()

    def scores(self) -> dict[str, float]:
        """The same from a subject of its own. Raises Broken where it leaves anything behind for the next evaluation."""
        with TemporaryDirectory(prefix="harness-judging-") as folder, settings.undone("", lambda told: None):
            prepare_process(self._cell)
            watch = Watch(settings.kept())
            subject = self._subject(Path(folder))
            watch.share(subject)
            watch.begin(subject, strange=True)
            others = datasets_beside(self.judge, SMALL, self.registry)
            todo = EvaluationTask(target=SMALL, evaluation=self.judge.ref, key="small", others=others)
            with redirect_stderr(StringIO()):  # the reason of its row says where it failed
                row = evaluate(subject, self.judge, todo, Path(folder))
            left = watch.found(subject)
        require(not left, f"it {left}")
        require(row.status != "failed", row.reason)
        if row.status == "skipped":
            raise NotApplicable(row.reason)
        return {score.score: score.value for score in row.scores}

    @property
    def _cell(self) -> Cell:
        method, backbone = self.case.spec, self.case.backbone
        return Cell(
            method=PluginRef(name=method.name),
            kind=method.kind,
            backbone=None if backbone is None else PluginRef(name=backbone.name),
            source=SMALL,
            targets=(SMALL,),
            evaluations=(self.judge.ref,),
            device="cpu",
            precision="fp32",
            seed=0,
            budget=Budget.parse("3 steps"),
            train=TrainConfig(**method.recipe),
        )

    def _subject(self, folder: Path) -> Subject:
        source, backbone = _dataset(self.case.data), self.case.backbone
        uses = self.case.spec.uses_with(self.case.config)
        return Subject(
            method=copy.deepcopy(self.case.trained),
            cell=self._cell,
            source=source,
            learned_from=source.pretraining(uses),
            uses=uses,
            target=source,
            artifacts=folder / "artifacts",
            cache=folder / "cache",
            fingerprint="small",
            read=lambda ref: read_as(load_dataset(self.registry, ref, self.root, 0), source.spec),
            untrained=self.case.build,
            new_backbone=None if backbone is None else partial(_backbone, backbone, self.case.data),
        )


def trials(
    judge: Chosen, data: SmallData, encoder: BackboneSpec, registry: Registry, root: Path
) -> Iterator[tuple[str, Callable[[], str]]]:
    """The checks by name, with the first method of the house that can do what it needs, and one without a backbone."""
    names = JUDGED[data.kind]
    first = next((case for case in _cases(names, data, encoder, registry) if _can(case, judge.spec)), None)
    if first is None:
        yield f"judges [{data.title}]", _nobody
        return
    plain = () if first.backbone is None else _cases(names[-1:], data, encoder, registry)
    for case in (first, *(case for case in plain if _can(case, judge.spec))):
        trial = JudgingCase(judge, case, registry, root)
        yield from ((f"{check.__name__} [{case.spec.name} on {data.title}]", partial(check, trial)) for check in CHECKS)


def _nobody() -> str:
    raise NotApplicable("no method that it could be tried with can do what it needs: try a bench")


def _cases(names: tuple[str, ...], data: SmallData, encoder: BackboneSpec, registry: Registry) -> Iterator[MethodCase]:
    for name in names:
        spec = registry.load(f"harness:{name}", METHOD_KINDS).spec
        yield MethodCase(spec, spec.config(), data, encoder if spec.uses_backbone else None)


def _can(case: MethodCase, spec: EvaluationSpec) -> bool:
    return set(spec.needs) & set(CAPABILITIES) <= capabilities_of(case.build())


def _dataset(data: SmallData) -> Dataset:
    """The splits; two regions and a number are known of each example: what is bright, and how bright it is."""
    known = {"inputs": InMemory(data.values), "labels": data.labels, "captions": InMemory(data.captions)}
    mean = data.values.flatten(1).float().mean(1, keepdim=True)
    rows = Rows(**known, paired=None if data.paired is None else InMemory(data.paired), targets=mean)  # type: ignore[arg-type]
    n, quarter = len(data.values), len(data.values) // 4
    train, validation, test = torch.arange(n).split([n - 2 * quarter, quarter, quarter])
    return Dataset(
        name=SMALL.name,
        spec=replace(data.spec, targets=("mean",), regions=("dark", "bright") if data.kind == "image" else ()),
        train=rows.rows(train),
        validation=rows.rows(validation),
        test=rows.rows(test),
        read_masks=_bright if data.kind == "image" else None,
    )


def _bright(rows: Rows) -> Tensor:
    return (rows.values.float().mean(1) > 127).to(torch.uint8)  # (n,C,H,W) -> (n,H,W)


def _backbone(spec: BackboneSpec, data: SmallData, purpose: str) -> Backbone:
    seed_everything(0, "initialisation", "backbone", purpose)
    return spec.build(data.spec, spec.config())


def judges(case: JudgingCase) -> str:
    """It gives every score that it declares, and leaves nothing behind for the next evaluation."""
    return ", ".join(f"{name} {value:.4g}" for name, value in case.first.items())


def judges_the_same_again(case: JudgingCase) -> str:
    """Its draws come from `subject.generator`, or torch's, and it keeps nothing from one subject to the next."""
    if case.judge.spec.exclusive:
        raise Absent("it measures time")
    try:
        first, again = case.first, case.scores()
    except NotApplicable as reason:
        raise Absent(str(reason)) from None  # it is said already
    changed = next((name for name in first if first[name] != again.get(name)), "")
    found = f"judged twice, {changed} is {first.get(changed)}, then {again.get(changed)}"
    require(not changed, f"{found}: all draws are from subject.generator(purpose), and nothing is kept for later")
    return ""


CHECKS: tuple[Callable[[JudgingCase], str], ...] = (judges, judges_the_same_again)
