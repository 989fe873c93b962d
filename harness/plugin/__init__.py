"""What a plugin imports of Harness, and how one is written: the authors' page.

    from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl

A plugin is one module whose hook returns a spec. `harness plugins check ./mine.py` says whether it keeps the contract,
`harness bench --plugins ./mine.py` runs it, an entry point (groups in `harness.plugin.hookspecs`) installs it. One of
each kind, whole, is in `examples/`. B examples in a batch, N in a dataset; C channels, H=W pixels, D features.

**A method** is an `nn.Module` that is built of the run's backbone, the source's DataSpec and its own config, a frozen
dataclass whose fields (bool, int, float, str, Literal, with defaults) are the parameters of `mine[scale=0.5]`:

    class Mine(nn.Module):
        def __init__(self, backbone: Backbone, data: DataSpec, config: Config) -> None: ...
        def loss(self, batch: Batch) -> Tensor: ...        # a scalar; or turns(batch); or fit(images); or none of them
        def encode(self, images: Tensor) -> Tensor: ...    # (B,C,H,W) in [0,1] -> (B,D), what is judged

    @hookimpl
    def harness_method() -> MethodSpec:
        return MethodSpec(name="mine", kind="pretext", build=Mine, config=Config, source="arXiv:...")

- What else it can do it shows by having the method of that name (`reconstruct`, `sample`, `solve`, `predict` ...):
  `harness.plugin.capabilities` has each with its shapes. `after_step(progress)` is called without gradients after
  every step; `rates(progress)` gives parts a learning rate off the schedule, {"predictor": 1.0}; `diagnose` tells a
  training that gave nothing; `readouts` and `read` offer several representations, of which one is chosen on the
  validation split and then stands for `encode` in every evaluation of features; `trunk_inputs` says what `encode`
  gives to the backbone's trunk, where that is not `backbone.standardise(images)`.
- Batch: `inputs` (not `images`), and `labels`, `captions`, `paired`, which are None unless the spec's `uses`
  names them; `lengths` of texts; `progress`, the fraction of the budget spent; `log(name, scalar)` for the curves.
- Images are float in [0,1], (B,C,H,W), channels last in memory, on the method's device: `.reshape`, not `.view`. The
  backbone standardises them itself. Views and noise are made in `loss`, on whole batches: `harness.nn.views` (whose
  ViewConfig a Config may inherit) and `harness.nn.augment`; heads, contrastive losses, queues are there too.
- `loss` runs under bf16 autocast if a request says so, even `z.float() @ z.float().T`: `with full_precision(z.device)`
  is for what must not be rounded. `encode`, `read` and `predict` answer for each example alone, without noise.
- Draws from torch's, numpy's and Python's global generators are seeded, in `build` and in training. `sample` draws from
  the generator that it is given. State is kept in parameters and buffers: only these are saved and moved.
- Spec: `takes` (kinds of data, ("image",) by default), `uses` ("labels", "captions", "paired", "unpaired"),
  `applies(data, config)` (why it makes no sense on such data, or ""), `files(config)` (what it reads, such as a
  checkpoint), `recipe` (its own defaults of harness.records.TrainConfig: {"learning_rate": 1e-3}),
  `own_backbone(config)` (one in the place of the run's, or "") and `uses_backbone=False` where it needs none. One of
  kind "pretrained" was trained elsewhere: it has no `loss`, is ranked apart, and may say in `note` where its weights
  are from. What only building can tell, `__init__` tells by raising NotApplicable: the cell is skipped, with that
  reason.

**A backbone** is built of the DataSpec and its config, and gives (B,D) for standardised inputs:

    def build(data: DataSpec[ImageField], config: Config) -> Backbone:
        trunk = nn.Sequential(nn.Flatten(), nn.Linear(data.inputs.channels * data.inputs.size**2, 64), nn.ReLU())
        return Backbone(trunk, 64, data, any_size=False)   # any_size: does it take tiles of other sizes?

    @hookimpl
    def harness_backbone() -> BackboneSpec:
        return BackboneSpec(name="mine", build=build, config=Config, source="own work")

- `words=` of a Backbone of texts (a WordStates of harness.nn.backbone) gives what its layers make of each word, and
  lets a task ask it to look back alone: `backbone.words`, `.look_back`; `harness.nn.words` reads texts from it.
- `maps=` of a Backbone gives the features at each position before their mean, `patches=` (a PatchTokens of
  harness.nn.backbone) a token for each patch, of all or of some of them: methods ask `backbone.maps` and `.tokens`.
- `stages=` are its layers in groups, earliest first, by the names of their weights, for what copies or freezes the
  first of them: `[Stage("stem", ("conv1", "bn1")), Stage("layer 1", ("layer1",))]` (harness.nn.stages). Together they
  hold all weights, each once. With an `apply` in each, and `pooled=` for what follows the last, it can be run stage by
  stage, which is faster. None declared: the trunk is one stage.

**A dataset** says what it holds (`describe`, without reading pixels if it can), which files hold it (their content is
its fingerprint), and loads them. Without a test set Harness holds one out; it makes the splits itself:

    def describe(config: Config, root: Path) -> DataSpec[ImageField]:
        return DataSpec(inputs=ImageField(channels=1, size=28), classes=("cat", "dog"))

    def files(config: Config, root: Path) -> list[Path]: ...

    def load(config: Config, root: Path) -> RawData:
        return RawData(inputs=pixels, labels=labels)       # uint8 (N,C,H,W), int64 (N,)

    @hookimpl
    def harness_dataset() -> DatasetSpec:
        return DatasetSpec(name="mine", describe=describe, files=files, load=load, config=Config, source="...")

- `field(metadata={"changes_images": False})` in its config marks a parameter that only says where the files are.
- `regions=` of the DataSpec, and `read_masks=` of the spec, tell what each pixel shows: for `dense-probe`.
- `test=RawData(...)` is an official test set; captions, paired images, factors and targets are further columns, which
  the DataSpec names too. Clips and texts have a VideoField and a TextField in place of the ImageField; a column of
  Files is decoded on demand. DatasetMissing says which file is not there, and where to get it.

**An evaluation** judges a frozen Subject: cached features, labels, images, the method itself, a seeded generator:

    def run(subject: Subject, config: NoConfig) -> dict[str, ScoreValue]:
        train, test = subject.features("train"), subject.features("test")  # float32 (N,D), on the CPU
        labels = subject.labels("test")                                    # int64 (N,)
        return {"accuracy": ScoreValue(value=..., chance=0.1)}

    @hookimpl
    def harness_evaluation() -> EvaluationSpec:
        scores = (ScoreSpec(name="accuracy", unit="fraction", better="higher", low=0.0, high=1.0, primary=True),)
        return EvaluationSpec(name="mine", run=run, scores=scores, needs=("encode", "labels"), source="own work")

- Whatever is chosen is chosen on "validation"; "test" is for the number. `subject.generator(purpose)` is for draws.
  Of a method that learned from the validation rows (`train.validation`), reading them raises NotApplicable.
- `needs` names capabilities, and "labels", "masks", "targets" of the target; without them it is skipped. With
  `fits_labels=True` a request's `--labels` gives it fewer rows of training and validation.
- NotApplicable skips, TrainingFailed fails,
  both with their one line. `subject.batched(function, inputs)` maps over many images; `subject.show_images`,
  `show_film`, `show_points`, `show_curves`, `show_matrix`, `show_texts` keep pictures for the report
  (harness.judging.gallery). `subject.backbone` is the trained one, `fresh_backbone` one like it before training;
  `subject.untrained()` is the method as it was built.
- `on_request=True` in the spec leaves it out of the `default` evaluations; `others(config, target)` names datasets that
  it reads beside the target, as `subject.others`.

What a plugin may import beside this face is the public list: `harness.nn` (views, projectors, contrastive losses,
decoders, discriminators, likelihoods, moving averages, quantisers, U-Net ...), `harness.metrics` (pure functions of
tensors), `harness.judging`, the readers of `harness.data`, `harness.seeding` and `harness.precision`; each module says
in its first lines what it has. Everything else may change from one version to the next.

Importing this package is cheap: a name is loaded from its home when it is first used, and torch with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, and for digests, which follow a name to its home
    from harness.data.batches import Batch
    from harness.data.columns import Files, InMemory, Texts
    from harness.data.fields import ANY, DataSpec, Factor, ImageField, TextField, VideoField
    from harness.data.rows import RawData, Rows
    from harness.errors import DatasetMissing, NotApplicable, RequestError, TrainingFailed
    from harness.judging.subject import Subject
    from harness.nn.backbone import Backbone
    from harness.nn.stages import Stage
    from harness.plugin.hookspecs import hookimpl
    from harness.plugin.launching import Assignment, Conditions, Launcher
    from harness.plugin.specs import (
        BackboneSpec,
        DatasetSpec,
        EvaluationSpec,
        LauncherSpec,
        MethodSpec,
        NoConfig,
        TrackerSpec,
    )
    from harness.precision import full_precision
    from harness.records import Cell, CellResult, Information, Request, ScoreSpec, ScoreValue, SplitName, Workplace

_HOMES = {
    "ANY": "harness.data.fields",
    "Assignment": "harness.plugin.launching",
    "Backbone": "harness.nn.backbone",
    "BackboneSpec": "harness.plugin.specs",
    "Batch": "harness.data.batches",
    "Cell": "harness.records",
    "CellResult": "harness.records",
    "Conditions": "harness.plugin.launching",
    "DataSpec": "harness.data.fields",
    "DatasetMissing": "harness.errors",
    "DatasetSpec": "harness.plugin.specs",
    "EvaluationSpec": "harness.plugin.specs",
    "Factor": "harness.data.fields",
    "Files": "harness.data.columns",
    "ImageField": "harness.data.fields",
    "InMemory": "harness.data.columns",
    "Information": "harness.records",
    "Launcher": "harness.plugin.launching",
    "LauncherSpec": "harness.plugin.specs",
    "MethodSpec": "harness.plugin.specs",
    "NoConfig": "harness.plugin.specs",
    "NotApplicable": "harness.errors",
    "RawData": "harness.data.rows",
    "Request": "harness.records",
    "RequestError": "harness.errors",
    "Rows": "harness.data.rows",
    "ScoreSpec": "harness.records",
    "ScoreValue": "harness.records",
    "SplitName": "harness.records",
    "Stage": "harness.nn.stages",
    "Subject": "harness.judging.subject",
    "TextField": "harness.data.fields",
    "Texts": "harness.data.columns",
    "TrackerSpec": "harness.plugin.specs",
    "TrainingFailed": "harness.errors",
    "VideoField": "harness.data.fields",
    "Workplace": "harness.records",
    "full_precision": "harness.precision",
    "hookimpl": "harness.plugin.hookspecs",
}
__all__ = [
    "ANY",
    "Assignment",
    "Backbone",
    "BackboneSpec",
    "Batch",
    "Cell",
    "CellResult",
    "Conditions",
    "DataSpec",
    "DatasetMissing",
    "DatasetSpec",
    "EvaluationSpec",
    "Factor",
    "Files",
    "ImageField",
    "InMemory",
    "Information",
    "Launcher",
    "LauncherSpec",
    "MethodSpec",
    "NoConfig",
    "NotApplicable",
    "RawData",
    "Request",
    "RequestError",
    "Rows",
    "ScoreSpec",
    "ScoreValue",
    "SplitName",
    "Stage",
    "Subject",
    "TextField",
    "Texts",
    "TrackerSpec",
    "TrainingFailed",
    "VideoField",
    "Workplace",
    "full_precision",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness.plugin' has no attribute '{name}': it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(_HOMES[name]), name)
