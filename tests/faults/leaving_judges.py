"""Evaluations that leave something behind for the next one, in every way that one can. An unpackaged plugin file."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

import harness.judging.subject
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    way: str = "none"


def zero_features(subject):
    subject.features("test").zero_()


def zero_features_by_numpy(subject):
    subject.features("test").numpy()[0] = 0


def scale_features(subject):
    subject.features("train").data.mul_(2)


def shuffle_labels(subject):
    np.random.shuffle(subject.labels("train").numpy())


def write_images(subject):
    subject.images("test").numpy()[:10] = 255


def write_source(subject):
    subject.learned_from.inputs.values[:10] = 255


def zero_weights(subject):
    for weight in subject.method.parameters():
        weight.data.zero_()


def step_weights(subject):
    with torch.no_grad():
        next(subject.method.parameters()).add_(1)


def replace_weight(subject):
    layer = next(module for module in subject.method.modules() if isinstance(module, torch.nn.Linear))
    layer.weight = torch.nn.Parameter(torch.zeros_like(layer.weight), requires_grad=False)


def train_mode(subject):
    subject.method.train()


def trainable(subject):
    subject.method.requires_grad_(True)


def hook(subject):
    subject.method.register_forward_hook(lambda module, inputs, output: output)
    subject.method.encode = lambda images: images.flatten(1).float()


def replace_method(subject):
    subject.method = torch.nn.Flatten()


def replace_target(subject):
    subject.target = dataclasses.replace(subject.target)


def threads(subject):
    torch.set_num_threads(2)


def dtype(subject):
    torch.set_default_dtype(torch.float64)


def device(subject):
    torch.set_default_device("meta")


def gradients(subject):
    torch.set_grad_enabled(False)


def deterministic(subject):
    torch.use_deterministic_algorithms(False)


def generator(subject):
    np.random.set_bit_generator(np.random.PCG64(7))


def torch_generator(subject):
    torch.random.default_generator = torch.Generator()


def global_hook(subject):
    torch.nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output * 2)


def patch_torch(subject):
    F.normalize = lambda values, *_, **__: values


def lose_device(subject):
    """From now on nothing can be computed in this process, as after a failed assertion on a GPU."""

    def lost(*_, **__):
        raise RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA")

    torch.zeros = lost


def patch_class(subject):
    torch.nn.Linear.forward = lambda self, values: values


def patch_harness(subject):
    harness.judging.subject.ENCODING_BATCH = 1
    harness.judging.subject.Subject.features = lambda self, split: torch.zeros(10, 2)


def patch_random(subject):
    random.seed = lambda *_: None


def environment(subject):
    os.environ["OMP_NUM_THREADS"] = "2"
    os.chdir("/")
    sys.path.insert(0, "/tmp")


def seeds(subject):
    torch.manual_seed(1), np.random.seed(1), random.seed(1)


def thread(subject):
    features = subject.features("test")

    def later() -> None:
        time.sleep(0.5)
        features.zero_()

    threading.Thread(target=later, daemon=True).start()


WAYS = {
    name: value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__
}
VALUES = {
    "1.7": 1.7, "-0.1": -0.1, "nan": float("nan"), "inf": float("inf"), "text": "0.5", "true": True, "complex": 1j,
    "numpy true": np.True_, "vector": torch.ones(2), "no value": None, "dict": {}, "list": [0.5], "1e308": 1e308,
    "n many": ScoreValue(value=0.5, n="many"), "n 3.5": ScoreValue(value=0.5, n=3.5),
    "n true": ScoreValue(value=0.5, n=True),
    "n -1": ScoreValue(value=0.5, n=-1), "n 2**70": ScoreValue(value=0.5, n=2**70),
    "n text": ScoreValue(value=0.5, n="7"),
    "chance text": ScoreValue(value=0.5, chance="0.1"), "chance nan": ScoreValue(value=0.5, chance=float("nan")),
    "note 5": ScoreValue(value=0.5, note=5), "note none": ScoreValue(value=0.5, note=None),
    "note surrogate": ScoreValue(value=0.5, note="\ud800"), "value text": ScoreValue(value="0.5"),
    "outcomes short": ScoreValue(value=0.5, outcomes=[0, 1]),
    "outcomes text": ScoreValue(value=0.5, outcomes=["0", "1"]),
    "outcomes complex": ScoreValue(value=0.5, outcomes=np.full(359, 0.5 + 1j)),
    "outcomes ragged": ScoreValue(value=0.5, outcomes=[[1], [1, 2]]), "outcomes 5": ScoreValue(value=0.5, outcomes=5),
    "rows float": ScoreValue(value=0.5, outcomes=[0.0, 1.0], rows=[0.5, 1.5]),
    "rows empty": ScoreValue(value=0.5, outcomes=[], rows=[]),
    "rows far": ScoreValue(value=0.5, outcomes=[0, 1], rows=[0, 10**6]),
}  # fmt: skip
WHOLE = {"nothing": None, "a list": [("mean", 0.5)], "a number": 0.5, "undeclared": {"other": 0.5}, "a key": {5: 0.5}}
PICTURES = {
    "caption": {"caption": 5}, "texts": {"caption": "", "texts": [1]}, "heading": {"caption": "", "heading": None},
    "place": {"caption": "", "place": "first"}, "name": {"caption": "", "name": 5},
}  # fmt: skip


def run(subject, config: Config):
    way = config.way
    if way in WAYS:
        WAYS[way](subject)
    if way in WHOLE:
        return WHOLE[way]
    if way in PICTURES:
        said = {"name": "noise", **PICTURES[way]}
        subject.show_images(said.pop("name"), torch.rand(1, 1, 8, 8), columns=1, **said)
    value = VALUES.get(way, ScoreValue(value=float(subject.features("test").float().norm(dim=1).mean() / 1000), n=7))
    return {"mean": value}


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    scores = (ScoreSpec(name="mean", unit="1", better="higher", primary=True, low=0.0, high=1.0),)
    return EvaluationSpec(name="leaving", run=run, config=Config, scores=scores, source="a test")
