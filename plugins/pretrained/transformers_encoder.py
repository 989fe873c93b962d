"""An image encoder of Hugging Face transformers from a local folder: `transformers-encoder[folder=...]`. It is never
trained. Wolf et al. 2020, arXiv:1910.03771.

B images, C channels, H=W pixels, S pixels of the network's input, L tokens, D features.
A folder is what `save_pretrained` writes, for the model and for its image processor, whose size, mean and deviation are
taken. A name of the hub, such as facebook/dinov2-small, stands for its folder in the hub's cache. Nothing is fetched
while a cell runs, and code that comes with a model is never run. Needs: pip install 'harness[transformers]'.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from harness.nn.pretrained import PretrainedEncoder, numbers_of, require_installed, require_takes
from harness.nn.stored_weights import listed
from harness.plugin import DataSpec, ImageField, MethodSpec, RequestError, TrainingFailed, hookimpl

READ = (".json", ".safetensors", ".bin")  # the files of a folder whose content counts
USUAL_SIZE = 224  # S, where nothing says it
POOLER = "pooler."  # the beginning of the names of a layer that many checkpoints lack


@dataclass(frozen=True, kw_only=True)
class Config:
    folder: str  # of a saved model, or its name on the hub, if it is in the hub's cache
    pool: Literal["mean", "first", "pooler"] = "mean"  # mean of tokens or maps, the class token, or the model's pooler
    size: int = 0  # S, in pixels; 0: that of the image processor, or of the model
    mean: str = ""  # of each channel in training, in [0,1], such as '0.5,0.5,0.5'; empty: of the image processor
    std: str = ""  # likewise

    def __post_init__(self) -> None:
        require_installed("transformers")
        numbers_of(self.mean, "mean")
        numbers_of(self.std, "std")
        if self.size < 0:
            raise ValueError("size is in pixels, or 0 for that of the model")


def folder_of(config: Config) -> Path:
    """Where the model is. Raises RequestError, with the command that fetches it, where it is not on the disk."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folder = Path(config.folder).expanduser()
    if (folder / "config.json").is_file():
        return folder
    try:
        cached = try_to_load_from_cache(config.folder, "config.json")
    except HFValidationError:  # a path, and no name
        cached = None
    if isinstance(cached, str):
        return Path(cached).parent
    raise RequestError(
        f"there is no model in {config.folder}: give a folder that save_pretrained() wrote, or fetch a model of the "
        f"hub by its name with: hf download {config.folder}"
    )


def files(config: Config) -> list[Path]:
    return sorted(file for file in folder_of(config).iterdir() if file.suffix in READ)


class Read(nn.Module):
    """A model of transformers, from images to one vector each: (B,3,S,S) -> (B,D)."""

    def __init__(self, model: nn.Module, pool: str) -> None:
        super().__init__()
        self.model = model
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        seen = self.model(pixel_values=images)
        if self.pool == "pooler":
            return seen.pooler_output.flatten(1)
        last = seen.last_hidden_state  # tokens (B,L,D), or maps (B,D,h,w)
        if last.ndim == 4:
            return last.mean((2, 3))
        return last.mean(1) if self.pool == "mean" else last[:, 0]


def build(backbone: None, data: DataSpec[ImageField], config: Config) -> PretrainedEncoder:
    folder = folder_of(config)
    model, note = loaded(folder, config.pool)
    seen = processing(folder)
    size = config.size or seen.get("side", getattr(model.config, "image_size", USUAL_SIZE))
    network = Read(model, config.pool)
    require_takes(network, 3, size, f"the model of {config.folder}")
    return PretrainedEncoder(
        network,
        size=size,
        mean=numbers_of(config.mean, "mean") or seen.get("image_mean") or (0.5, 0.5, 0.5),
        std=numbers_of(config.std, "std") or seen.get("image_std") or (0.5, 0.5, 0.5),
        note=note,
    )


def loaded(folder: Path, pool: str) -> tuple[Any, str]:
    """The model, and what to know of it. Raises TrainingFailed where some of its weights are not in the folder."""
    import transformers

    model, found = transformers.AutoModel.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    missing = sorted(name for name in found["missing_keys"] if pool == "pooler" or not name.startswith(POOLER))
    faults = {"missing": missing, "of another shape": [str(key[0]) for key in found["mismatched_keys"]]}
    said = [f"{len(names)} {kind}: {listed(names)}" for kind, names in faults.items() if names]
    if said:
        advice = "; take pool=mean or pool=first" if pool == "pooler" else ""
        raise TrainingFailed(f"not all weights of the model are in {folder}: {'; '.join(said)}{advice}")
    if any(name.startswith(POOLER) for name in found["missing_keys"]):
        model.pooler = None  # nobody trained it, and nobody reads it
    return model, f"all weights from {folder.name}, read by pool={pool}"


def processing(folder: Path) -> dict[str, Any]:
    """What the image processor says, if there is one, with `side`, S."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return {}
    says = json.loads(file.read_text(encoding="utf-8"))
    size = says.get("crop_size") if says.get("do_center_crop") else says.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return {**says, "side": size} if size else says


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="transformers-encoder",
        kind="pretrained",
        build=build,
        config=Config,
        uses_backbone=False,
        files=files,
        source="arXiv:1910.03771",
    )
