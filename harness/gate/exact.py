"""What a few training steps and the encoding of a batch cost, counted and never timed: one cell, in this process.

    python -P harness/gate/exact.py REQUEST.json -o COSTS.json        or  python -m harness.gate.exact ...

REQUEST.json holds the words of a request, as a suite has them: {"plugins": "vae", "datasets": "digits", ...}. To
compare two versions by one ruler, run this very file with the Python of each: it imports nothing of harness.gate.

    weights     of the method: those that an optimiser moves or may move, and those that are frozen
    FLOPs       of a step (the first, as harness.costs counts it) and of encoding a batch, at 2 per multiply-add
    operators   calls that compute, forward, backward, optimiser and trainer: by a TorchDispatchMode, below autograd
    views       calls that only look at memory in another way
    peak_bytes  the most that tensors hold at one time, without the dataset: weights, moments, gradients, activations
    held_bytes  what tensors hold when the step is over
    kept_bytes  what each step adds to that
    digest      hashes of the bits of each step's loss, of the weights after the last one, and of the encoded batch

On a CPU, whose allocator keeps no statistics, bytes are those of the storages that operators made or met and that are
alive: they depend on the program alone, so not on kernels' scratch memory, threads or luck, as a resident set does. On
a CUDA GPU they are the allocator's. The steps are those of harness.trainer under a budget of so many: schedules run
from their start to their end, and what the trainer does counts. With --compile they are taken without.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import platform
import sys
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness import loading
from harness.applicability import reason_against
from harness.building import build_method, information, load_dataset
from harness.clock import Clock
from harness.data.rows import Dataset, read_as
from harness.errors import NotApplicable, RequestError
from harness.expansion import expand
from harness.keys import Keys, changed_settings
from harness.machine import cpu_name
from harness.metrics.measure import counted_flops
from harness.plugin.capabilities import capabilities_of
from harness.precision import autocast
from harness.pretraining import prepare_process
from harness.reasons import reason_of
from harness.records import Budget, Cell, TrainingResult
from harness.registry import Registry
from harness.seeding import seed_everything
from harness.suite import make_request
from harness.trainer import train, trained_weights

RULER = 1  # of what is counted and how: numbers of two rulers are not compared
STEPS = 5  # of a measured training: in the first ones moments, queues and slow copies come into being
COUNTED = 2  # the last of them
ENCODED = 256  # examples of the encoded batch, where validation has so many
Costs = dict[str, int | float]
Calls = dict[str, Costs]  # of operators and of views, by name


class Ledger(TorchDispatchMode):
    """Counts calls of operators, and the bytes of the storages that they made or met and that are alive."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.calls: Counter[str] = Counter()
        self.views: Counter[str] = Counter()
        self.sizes: dict[int, int] = {}  # bytes of each storage that is alive
        self.live = self.peak = 0
        # what is there before, the dataset above all; by type, since some objects warn when asked for their class
        self.outside = storages([each for each in gc.get_objects() if issubclass(type(each), Tensor)])
        self.before = self._allocated()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = storages((args, kwargs))
        result = func(*args, **(kwargs or {}))
        made = storages(result)
        for key, storage in (given | made).items():
            self._note(key, storage)
        self.peak = max(self.peak, self.live)
        if func.namespace != "profiler":  # marks of torch's own
            looks = bool(made) and made.keys() <= given.keys() and not func._schema.is_mutable
            (self.views if looks else self.calls)[str(func)] += 1
        return result

    def _note(self, key: int, storage: torch.UntypedStorage) -> None:
        if key in self.outside:
            return
        if key not in self.sizes:
            weakref.finalize(storage, self._freed, key).atexit = False
        self.live += storage.nbytes() - self.sizes.get(key, 0)
        self.sizes[key] = storage.nbytes()

    def _freed(self, key: int) -> None:
        self.live -= self.sizes.pop(key)

    @contextmanager
    def counting(self, into: Costs, calls: Calls, times: int) -> Iterator[None]:
        """Put the costs of what is done inside, `times` times the same, into a dict."""
        gc.collect()  # what is kept by a cycle alone is kept until somebody collects it: here, before and after
        self.calls.clear()
        self.views.clear()
        self.peak, kept = self.live, self._allocated()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        yield
        on_gpu = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if on_gpu else self.peak
        gc.collect()
        into["operators"], into["views"] = (_each(kind.total(), times) for kind in (self.calls, self.views))
        into["peak_bytes"] = peak - self.before
        into["held_bytes"] = self._allocated() - self.before
        into["kept_bytes"] = _each(self._allocated() - kept, times)
        for kind, counts in (("operators", self.calls), ("views", self.views)):
            calls[kind] = {name: _each(count, times) for name, count in sorted(counts.items())}

    def _allocated(self) -> int:
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else self.live


def storages(values: Any) -> dict[int, torch.UntypedStorage]:
    """The memory of all tensors in `values`, once each."""
    found = {}
    for value in tree_leaves(values):
        if isinstance(value, Tensor) and value.layout == torch.strided and value.device.type != "meta":
            storage = value.untyped_storage()
            found[storage._cdata] = storage
    return found


def _each(total: int, times: int) -> int | float:
    return total // times if total % times == 0 else total / times


@dataclass
class Window:
    """Told by the trainer between steps: counts the last ones."""

    ledger: Ledger
    first: int  # step that is counted
    last: int
    costs: Costs
    calls: Calls

    def __call__(self, clock: Clock) -> None:
        if clock.steps == self.first - 1:
            self.open = self.ledger.counting(self.costs, self.calls, self.last - self.first + 1)
            self.open.__enter__()
        elif clock.steps == self.last and self.open is not None:
            self.open.__exit__(None, None, None)
            self.open = None  # type: ignore[assignment]


def measured(cell: Cell, registry: Registry, root: Path, steps: int = STEPS) -> dict[str, Any]:
    """All that is counted of a cell, as plain data; a method that fails or does not apply gives its reason.

    root: where datasets are. steps: to train for; the last COUNTED of them are counted.
    """
    keys = Keys(registry, root)
    precision = _precision(cell)
    known = {"ruler": RULER, "seed": cell.seed, "place": place_of(cell, keys, precision)}
    known |= {"conditions": conditions(cell, steps), "judging": judging(cell, keys), "sources": sources(cell, keys)}
    try:
        reason = reason_against(
            keys.method(cell), keys.backbone(cell), keys.dataset(cell.source), keys.data(cell.source)
        )
        if reason:
            raise NotApplicable(reason)
        source = load_dataset(registry, cell.source, root, cell.seed)
        return {**known, "status": "ok", "reason": "", **_counted(cell, registry, source, precision, steps)}
    except NotApplicable as reason:
        return {**known, "status": "skipped", "reason": str(reason)}
    except RequestError:
        raise
    except (Exception, SystemExit) as error:
        return {**known, "status": "failed", "reason": reason_of(error)}


def _precision(cell: Cell) -> str:
    return "fp32" if cell.precision == "auto" else cell.precision  # a trial would time


def place_of(cell: Cell, keys: Keys, precision: str) -> dict[str, str]:
    """What a cell is, but for its seed, in the words of the tidy frame."""
    return {
        "method": str(cell.method),
        "backbone": str(cell.backbone or ""),
        "source": str(cell.source),
        "device": cell.device,
        "precision": precision,
        "budget": _budget(cell, keys),
        "train": changed_settings(cell.train, keys.method(cell).spec.recipe),
    }


def _budget(cell: Cell, keys: Keys) -> str:
    """The budget, "" where the method trains by none: told by its class, since an older base gives it one."""
    build = keys.method(cell).spec.build
    for_scale = cell.kind in ("reference", "pretrained")
    idle = for_scale and isinstance(build, type) and not any(hasattr(build, name) for name in ("loss", "turns"))
    return "" if idle else str(cell.budget)


def conditions(cell: Cell, steps: int) -> dict[str, Any]:
    """What counts and bits depend on beside the code."""
    on_gpu = cell.device.startswith("cuda")
    return {
        "torch": str(torch.__version__),
        "device": cell.device.partition(":")[0],
        "steps": steps,
        "device name": torch.cuda.get_device_name(cell.device) if on_gpu else cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": cell.threads,
        "python": platform.python_version(),
    }


def _counted(cell: Cell, registry: Registry, source: Dataset, precision: str, steps: int) -> dict[str, Any]:
    source = read_as(source, source.spec)
    rows = source.pretraining(information(registry, cell)).to(cell.device)
    examples = source.validation.inputs.take(torch.arange(min(ENCODED, len(source.validation)))).to(cell.device)
    costs: dict[str, Costs] = {"method": {}}
    calls: dict[str, Calls] = {}
    digest: dict[str, str] = {}
    gc.collect()
    ledger = Ledger(torch.device(cell.device))
    gc.freeze()  # later collections look at what is new alone: 50 times faster
    gc.disable()
    try:
        with ledger:
            method: Any = build_method(registry, cell, source.spec).to(cell.device)
            window = Window(ledger, steps - COUNTED + 1, steps, {}, {})
            budget, config = Budget(amount=steps, unit="steps"), replace(cell.train, compile=False)
            training = train(
                method, rows, source.spec, config, budget,
                seed=cell.seed, precision=precision, progress=lambda done, news: None, observe=window,
            )  # fmt: skip
            costs["method"] = _weights(method, training)
            digest["losses"] = digest_of([point.scalars["loss"].hex() for point in training.curve])
            digest["weights"] = digest_of(sorted(map(bits, _tensors(method))))
            if training.steps:
                costs["step"], calls["step"] = window.costs, window.calls
                if training.flops is not None:
                    costs["step"]["flops"] = _each(int(training.flops), training.steps)
            if "encode" in capabilities_of(method):
                seed_everything(cell.seed, "encoding")
                costs["encoding"], calls["encoding"] = {}, {}
                encode = _Encoding(method, source, examples, precision)
                encode()
                with ledger.counting(costs["encoding"], calls["encoding"], 1):
                    encode()
                encoded, flops = counted_flops(encode)
                costs["encoding"] |= {} if flops is None else {"flops": flops}
                digest["encoding"] = digest_of([bits(encoded)])
    finally:
        gc.enable()
        gc.unfreeze()
    sizes = {"batch": min(cell.train.batch_size, len(rows)), "encoded": len(examples)}
    return {"sizes": sizes, "costs": costs, "calls": calls, "digest": digest}


@dataclass(frozen=True)
class _Encoding:
    """A frozen method encodes one batch, as evaluations make it."""

    method: Any
    source: Dataset
    examples: Tensor  # as they are kept
    precision: str

    def __call__(self) -> Tensor:
        self.method.eval().requires_grad_(False)
        with torch.no_grad(), autocast(self.examples.device, self.precision):
            return self.method.encode(self.source.spec.inputs.ready(self.examples))


def _weights(method: nn.Module, training: TrainingResult) -> Costs:
    moved = training.parameters if training.steps else trained_weights(method)
    everything = sum(weight.numel() for weight in method.parameters())
    return {"trained_weights": moved, "frozen_weights": everything - moved}


def _tensors(method: nn.Module) -> list[Tensor]:
    return [value for value in method.state_dict().values() if isinstance(value, Tensor)]


def bits(values: Tensor) -> str:
    """A hash of type, shape and every bit; names and order of weights are left out: to rename a layer is no change."""
    whole = values.detach().cpu().contiguous()
    content = whole.reshape(-1).view(torch.uint8).numpy().tobytes()
    return digest_of([f"{whole.dtype} {tuple(whole.shape)}", hashlib.blake2b(content, digest_size=16).hexdigest()])


def digest_of(texts: list[str]) -> str:
    """32 hex digits."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


def sources(cell: Cell, keys: Keys) -> str:
    """A digest of all that training depends on but the machine: parameters, code, data, libraries."""
    return digest_of([json.dumps([keys.identity(cell), keys.provenance(cell)["keyed"]], sort_keys=True, default=str)])


def judging(cell: Cell, keys: Keys) -> dict[str, str]:
    """A key for each evaluation of the cell on each of its targets: of all that it says, but for what was trained."""
    pairs = [(target, ref) for target in cell.targets for ref in cell.evaluations]
    return {f"{ref} on {target}": keys.evaluation_key("", target, ref) for target, ref in pairs}


def main(arguments: list[str] | None = None) -> int:
    """0: written, whatever became of the method; 2: a request that cannot be carried out, in one line."""
    asked = _asked(arguments)
    try:
        asked.out.write_text(json.dumps(_answer(asked), indent=1), encoding="utf-8")
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="exact", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("request", type=Path, help="the words of a request, as JSON")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file that is written, JSON")
    parser.add_argument("--cell", type=int, help="its place in the list of the request's cells, from 0")
    parser.add_argument("--list", action="store_true", help="write the cells alone, and measure none")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"to train for, {COUNTED + 1} or more [{STEPS}]")
    parser.add_argument("--data-dir", type=Path, help="where datasets are")
    return parser.parse_args(arguments)


def _answer(asked: argparse.Namespace) -> Any:
    registry, root = Registry(), loading.data_root(asked.data_dir)
    try:
        words: Mapping[str, Any] = json.loads(asked.request.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read the request {asked.request}: {error}") from None
    cells = expand(make_request(words), registry)
    if asked.list:
        keys = Keys(registry, root)
        return [{"seed": cell.seed, "place": place_of(cell, keys, _precision(cell))} for cell in cells]
    if asked.cell is None and len(cells) > 1:
        raise RequestError(f"the request has {len(cells)} cells: choose one with --cell, from 0")
    if not 0 <= (asked.cell or 0) < len(cells):
        raise RequestError(f"no cell {asked.cell}: the request has {len(cells)}, from 0")
    if asked.steps <= COUNTED:
        raise RequestError(f"--steps must be at least {COUNTED + 1}, so that some are not counted")
    cell = cells[asked.cell or 0]
    prepare_process(cell)
    return measured(cell, registry, root, asked.steps)


if __name__ == "__main__":
    sys.exit(main())
