"""Throughput: what training and encoding cost in time, memory and arithmetic, on the device of the cell.

Images are on the device already, as a batch of the cell's size; a training step is the trainer's own, on a copy of the
method. Rates are medians over five blocks of steps that follow each other without waiting; a latency is that of one
image whose representation is waited for. Work is warmed up until it gets no faster. Nothing else may run meanwhile.

B images, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.metrics import measure
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, Subject, hookimpl
from harness.precision import autocast

STILL = 1e-6  # factor on the learning rate: steps cost the same, and the weights stay where they are


@dataclass(frozen=True, kw_only=True)
class Config:
    seconds: float = 0.25  # of each measurement: two of encoding, one of training, one of the device's peak

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError("seconds must be positive")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    inputs = subject.inputs("train")
    rows = torch.arange(min(subject.cell.train.batch_size, len(inputs)))
    images = to_float(inputs.take(rows).to(subject.device))  # (B,C,H,W)
    scores = encoding_scores(subject, images, config.seconds)
    if subject.has("loss") or subject.has("turns"):
        scores |= training_scores(subject, images, config.seconds)
    weights = sum(weight.numel() for weight in subject.method.parameters())
    return scores | {"parameters": ScoreValue(value=weights, n=1)}


def encoding_scores(subject: Subject, images: Tensor, seconds: float) -> dict[str, ScoreValue]:
    """Images per second in batches, the latency of one image, and its floating-point operations."""
    single = encoder(subject, images[:1])
    rate = measure.throughput(encoder(subject, images), subject.device, seconds=seconds)
    wait = measure.latency(single, subject.device, seconds=seconds)
    return {
        "encode_images_per_second": _rate(rate, len(images)),
        "latency_p50": ScoreValue(value=1000 * wait.percentile(50), n=wait.calls),
        "latency_p95": ScoreValue(value=1000 * wait.percentile(95), n=wait.calls),
        "flops_per_image": ScoreValue(value=measure.flops(single), n=1, note="of encoding; 2 per multiply-add"),
    }


def encoder(subject: Subject, images: Tensor) -> Callable[[], Tensor]:
    """The work of encoding these images (B,C,H,W), as features are extracted: eval mode, precision of the cell."""

    def encode() -> Tensor:
        with torch.no_grad(), autocast(subject.device, subject.cell.precision):
            return subject.encode(images)  # (B,D)

    return encode


def training_scores(subject: Subject, images: Tensor, seconds: float) -> dict[str, ScoreValue]:
    """Images per second, peak memory, and the share of the device's peak, of the trainer's step on a copy."""
    device = subject.device
    forked = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(forked):
        work = trainer_step(subject)
        timing = measure.throughput(work, device, seconds=seconds)
        operations = measure.flops(work)
        memory = measure.peak_memory(work, device)
    dtype = torch.bfloat16 if subject.cell.precision == "bf16" else torch.float32
    peak = measure.gemm_peak(device, dtype, seconds=seconds)
    share = operations / timing.median / peak
    note = f"of {peak / 1e9:.3g} GFLOP/s, by {subject.cell.precision} matrix products here"
    return {
        "train_images_per_second": _rate(timing, len(images)),
        "peak_memory": ScoreValue(value=memory.mebibytes, n=1, note=memory.kind),
        "share_of_peak": ScoreValue(value=share, n=timing.calls, note=note),
    }


def trainer_step(subject: Subject) -> Callable[[], Tensor]:
    """One training step on a batch of the cell's own."""
    batch = replace(subject.training_batch(), progress=0.5)
    step = subject.training_step(STILL)
    return lambda: step(batch)


def _rate(timing: measure.Timing, images: int) -> ScoreValue:
    note = f"batches of {images}; slowest and fastest block {images / max(timing.samples):.4g} and "
    note += f"{images / min(timing.samples):.4g}"
    return ScoreValue(value=images / timing.median, n=timing.calls, note=note)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="throughput",
        run=run,
        needs=("encode",),
        config=Config,
        exclusive=True,
        source="medians of warmed-up blocks; FLOPs by torch.utils.flop_counter",
        scores=(
            ScoreSpec(
                name="encode_images_per_second",
                unit="images/s",
                better="higher",
                low=0.0,
                primary=True,
                role="told",
                help="Images encoded per second, in batches of the training's size.",
            ),
            ScoreSpec(
                name="train_images_per_second",
                unit="images/s",
                better="higher",
                low=0.0,
                help="Images per second through forward, backward and optimiser step, without data loading.",
            ),
            ScoreSpec(
                name="latency_p50",
                unit="ms",
                better="lower",
                low=0.0,
                help="Median time until the representation of a single image is there.",
            ),
            ScoreSpec(
                name="latency_p95",
                unit="ms",
                better="lower",
                low=0.0,
                help="95th percentile of the time until the representation of a single image is there.",
            ),
            ScoreSpec(
                name="peak_memory",
                unit="MiB",
                better="lower",
                low=0.0,
                help="Most memory during a training step: tensors on a CUDA GPU, else the whole process.",
            ),
            ScoreSpec(name="parameters", unit="weights", better="lower", low=0.0, help="Weights of the whole method."),
            ScoreSpec(
                name="flops_per_image",
                unit="FLOPs",
                better="lower",
                low=0.0,
                help="Floating-point operations of encoding one image, in products, convolutions and attention.",
            ),
            ScoreSpec(
                name="share_of_peak",
                unit="fraction",
                better="higher",
                low=0.0,
                help="FLOP/s of training over the most that matrix products reach on the same device and threads.",
            ),
        ),
    )
