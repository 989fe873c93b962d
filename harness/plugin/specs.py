"""What a plugin's hook returns: frozen descriptions of methods, backbones, datasets, evaluations, launchers, trackers.

No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.fields import DataKind, DataSpec
from harness.records import Information, Kind, ScoreSpec, ScoreValue

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.data.rows import RawData, Rows
    from harness.judging.subject import Subject
    from harness.nn.backbone import Backbone
    from harness.plugin.launching import Conditions, Launcher


@dataclass(frozen=True, kw_only=True)
class NoConfig:
    """The config of a plugin without parameters."""


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A method: `build(backbone, data, config)` gives an `nn.Module` with `loss(batch)`, `turns(batch)`,
    `fit(images)` or none of them (it is not trained), and with the capabilities of `harness.plugin.capabilities`.

    A plan builds nothing. What it knows of a method is declared here: `takes`, `uses`, and

    applies(data, config)  why this method makes no sense on a source that looks like `data` (a DataSpec), or "".
                           For what depends on these two alone, such as tiles that would be too small. What only
                           building can tell, `build` tells by raising NotApplicable: the cell is skipped with that.
    files(config)          the files that it reads, such as a checkpoint. Their content is part of the cell's key, so
                           that another checkpoint under the same name is trained on anew; a file that is not there is
                           an error of the request. Leave out a file that the method can do without.
    own_backbone(config)   a backbone as a request writes it, such as "timm[model=resnet50]", in the place of the
                           run's; "" for the run's.
    """

    name: str
    kind: Kind
    build: Callable[..., nn.Module]
    config: type = NoConfig
    source: str = ""  # paper, with its arXiv number, and section
    takes: tuple[DataKind, ...] = ("image",)  # the kinds of data that it can learn from; harness.plugin.ANY: all
    uses: tuple[Information, ...] | Callable[[Any], tuple[Information, ...]] = ()  # beside images, or that of a config
    uses_backbone: bool = True  # False: `backbone` is None, and the method is not repeated for each backbone
    own_backbone: Callable[[Any], str] | None = None  # config -> what stands in the place of the run's, or ""
    recipe: Mapping[str, Any] = field(default_factory=dict)  # its own defaults for harness.records.TrainConfig
    applies: Callable[[Any, Any], str] | None = None  # (DataSpec, config) -> a reason why not, or ""
    files: Callable[[Any], Sequence[Path]] | None = None  # config -> files whose content counts

    @property
    def descends(self) -> bool:
        """Has it a budget? A reference, or what was trained elsewhere, whose class has neither `loss` nor `turns`, has
        none; of what another callable builds nobody knows before, so it has.
        """
        if self.kind not in ("reference", "pretrained"):
            return True
        return not isinstance(self.build, type) or any(hasattr(self.build, name) for name in ("loss", "turns"))

    def uses_with(self, config: Any) -> tuple[Information, ...]:
        """What a method of this config sees in training beside images. Its batches carry this and nothing else."""
        return self.uses(config) if callable(self.uses) else self.uses


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """An encoder: `build(data, config)` gives a `harness.nn.Backbone`. `files(config)` is as in MethodSpec."""

    name: str
    build: Callable[[Any, Any], Backbone]
    config: type = NoConfig
    takes: tuple[DataKind, ...] = ("image",)  # the kinds of data that it encodes
    source: str = ""
    files: Callable[[Any], Sequence[Path]] | None = None  # config -> files whose content counts, such as weights


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset. Nothing but `prepare` may use the network.

    describe(config, root)  its DataSpec, of images, clips or texts, without reading them
    files(config, root)     the files that hold it: their content is its fingerprint, a missing one is an error
    load(config, root)      harness.data.rows.RawData: uint8 images and labels, and the official test set if any
    read_factors(config, images)  where the pixels tell them exactly: uint8 (N,C,H,W) -> int64 (N,F), -1 if unreadable
    read_masks(config, rows)  what each pixel shows, as the index of one of DataSpec.regions, told by what is known of
                            some rows: factors, targets -> uint8 (n,H,W); H = W of the dataset, whatever rows.inputs are
    prepare(config, root)   fetch the files into `root` (None: there is nothing to fetch)
    kind                    what it holds, as `describe` says: its usual backbone is taken where a request names none
    """

    name: str
    describe: Callable[[Any, Path], DataSpec[Any]]
    files: Callable[[Any, Path], list[Path]]
    load: Callable[[Any, Path], RawData]
    prepare: Callable[[Any, Path], None] | None = None
    read_factors: Callable[[Any, Tensor], Tensor] | None = None
    read_masks: Callable[[Any, Rows], Tensor] | None = None
    kind: DataKind = "image"
    config: type = NoConfig
    source: str = ""  # where it comes from, and its licence where known


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """A judge: `run(subject, config)` returns `{score name: value}`, with a float or a ScoreValue as the value.

    It raises NotApplicable where it makes no sense. Where a capability that it needs is missing, it is not called
    and its row is skipped with that reason. An exclusive evaluation measures time: nothing else runs beside it. One
    that is on request is run where it is named, and is not among the `default` ones.

    What it is handed is shared: it writes into no features, labels, inputs or weights (`subject.trainable_copy()` may
    be changed), and leaves modes, hooks and the settings of torch and numpy as they are. One that does otherwise fails,
    and those after it are judged in a fresh process. A value outside of `low` to `high` of its score fails it, too.

    files(config)           as in MethodSpec: for the weights of a judging network, say.
    others(config, target)  datasets that it reads beside the target, as a request writes them, such as
                            "shapes[size=16]"; `target` is what the request calls the target. `subject.others` has them
                            in the same order, read as the source's inputs are. Of another kind of data than the
                            source, or equal to the target, they skip the row in the plan.
    """

    name: str
    run: Callable[[Subject, Any], Mapping[str, float | ScoreValue]]
    scores: tuple[ScoreSpec, ...]
    # Capabilities; of the target "labels", "masks", "targets". "predict" makes sense where target and source have the
    # same classes: elsewhere the row is skipped in the plan.
    needs: tuple[str, ...] = ("encode",)
    config: type = NoConfig
    takes: tuple[DataKind, ...] = ("image",)  # the kinds of data that it can judge on; ANY where features are enough
    exclusive: bool = False
    fits_labels: bool = False  # does it fit to the known answers of training examples? `--labels` then gives it fewer
    on_request: bool = False
    source: str = ""
    files: Callable[[Any], Sequence[Path]] | None = None  # config -> files whose content counts, such as weights
    others: Callable[[Any, str], Sequence[str]] | None = None  # (config, target) -> datasets beside it


@dataclass(frozen=True, kw_only=True)
class LauncherSpec:
    """What runs cells: `build(config, conditions)` gives a `harness.plugin.launching.Launcher`."""

    name: str
    build: Callable[[Any, Conditions], Launcher]
    config: type = NoConfig
    source: str = ""  # what it stands on, e.g. "Ray 2"


@dataclass(frozen=True, kw_only=True)
class TrackerSpec:
    """What follows a run: `build(config, folder)` gives a listener for the run in `folder`.

    A listener is any object with methods that are event hooks of `harness.plugin.hookspecs`, decorated with `hookimpl`
    (each takes those of the hook's arguments that it names), and, if it holds something open, `close()`, which is
    called when the run ends, however it ends. One of another package lives in a process of its own beside the bench
    (on Linux); it may write to the folder. A hook that raises, exits, crashes or gives no answer for 30 s is reported
    once and stops nothing; what `build` raises is an error before the first cell.
    """

    name: str
    build: Callable[[Any, Path], object]
    config: type = NoConfig
    source: str = ""  # the service or the format that it writes
