"""Evaluations that change files which the cell has made before, in every way. An unpackaged plugin file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.plugin import EvaluationSpec, ScoreSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    way: str = "none"


def remove_weights(staging):
    (staging / "method.safetensors").unlink()


def flip_weights(staging):
    flipped(staging / "method.safetensors")


def link_weights(staging):
    (staging / "method.safetensors").unlink()
    (staging / "method.safetensors").symlink_to("/etc/hostname")


def remove_pictures(staging):
    for file in staging.rglob("reconstructions.png"):
        file.unlink()


def forge_pictures(staging):
    for file in staging.rglob("reconstructions.png"):
        flipped(file)


def folders_for_pictures(staging):
    for file in staging.rglob("reconstructions.png"):
        file.unlink()
        (file / "folder").mkdir(parents=True)


def link_folders(staging):
    for file in staging.rglob("reconstructions.png"):
        aside = staging.parent / "aside"
        shutil.move(file.parent, aside)
        file.parent.symlink_to(aside)


def remove_all(staging):
    shutil.rmtree(staging)


def flipped(file):
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


WAYS = {
    way.__name__: way
    for way in (
        remove_weights, flip_weights, link_weights, remove_pictures, forge_pictures, folders_for_pictures,
        link_folders, remove_all,
    )
}  # fmt: skip


def run(subject, config):
    subject.show_images("mine", torch.rand(1, 1, 8, 8), columns=1, caption="mine")
    if config.way in WAYS:
        WAYS[config.way](Path(subject.pictures[0].file).parents[1])
    return {"mean": 0.5}


@hookimpl
def harness_evaluation():
    scores = (ScoreSpec(name="mean", unit="", better="none", low=0.0, high=1.0),)
    return EvaluationSpec(name="changing", run=run, scores=scores, config=Config, source="a test")
