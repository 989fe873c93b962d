"""A network of timm with weights from the disk: `timm-encoder[model=resnet18]`. It is never trained. Wightman 2019.

B images, C channels, H=W pixels, S pixels of the network's input, D features.
The representation is what the classifier sees. Images are resized to the size that the weights were trained at, in
three channels, and standardised as then. Nothing is fetched while a cell runs: weights that are not given as a file
must lie in the cache of the Hugging Face hub already. Needs the library: pip install 'harness[timm]'.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.nn.pretrained import PretrainedEncoder, numbers_of, require_installed, require_known, require_takes
from harness.nn.stored_weights import load_whole, stored_weights
from harness.plugin import DataSpec, ImageField, MethodSpec, RequestError, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    model: str  # a name of timm.list_models(), with or without the tag of its weights: resnet18, resnet18.a1_in1k
    weights: str = ""  # the path of a file; empty: the model's own, from the cache of the hub
    size: int = 0  # S, in pixels; 0: that of the model's weights, mostly 224
    mean: str = ""  # of each channel in training, in [0,1], such as '0.5,0.5,0.5'; empty: of the model's weights
    std: str = ""  # likewise

    def __post_init__(self) -> None:
        require_installed("timm")
        import timm

        require_known(self.model, [*timm.list_models(), *timm.list_pretrained()], "timm")
        numbers_of(self.mean, "mean")
        numbers_of(self.std, "std")
        if self.size < 0:
            raise ValueError("size is in pixels, or 0 for that of the model's weights")


def weights_file(config: Config) -> Path:
    """The file. Raises RequestError, with the command that fetches it, where the hub's cache does not have it."""
    if config.weights:
        return Path(config.weights).expanduser()
    import timm
    from huggingface_hub import try_to_load_from_cache

    about = timm.get_pretrained_cfg(config.model)
    where = (about.hf_hub_id, about.hf_hub_filename or "model.safetensors") if about and about.hf_hub_id else None
    found = try_to_load_from_cache(*where) if where else None
    if not isinstance(found, str):
        command = f"import timm; timm.create_model('{config.model}', pretrained=True)"
        raise RequestError(
            f"the weights of timm's {config.model} are not in the cache of the Hugging Face hub: "
            f'fetch them with python -c "{command}", or give a file: weights=...'
        )
    return Path(found)


def build(backbone: None, data: DataSpec[ImageField], config: Config) -> PretrainedEncoder:
    import timm

    network: Any = timm.create_model(config.model, pretrained=False, num_classes=0, **fixed_size(config))
    file = weights_file(config)
    heads = network.pretrained_cfg.get("classifier") or ()
    unused = [f"{head}." for head in ([heads] if isinstance(heads, str) else heads)]
    prefix = load_whole(network, stored_weights(file), unused=unused)
    seen = timm.data.resolve_model_data_config(network)
    size = config.size or seen["input_size"][1]
    require_takes(network, 3, size, f"timm's {config.model}")
    return PretrainedEncoder(
        network,
        size=size,
        mean=numbers_of(config.mean, "mean") or seen["mean"],
        std=numbers_of(config.std, "std") or seen["std"],
        note=f"all weights from {file.name}" + (f", where they are called {prefix}*" if prefix else ""),
    )


def fixed_size(config: Config) -> dict[str, Any]:
    """What lets a transformer take images of another size than its own: it stretches its positions as it runs."""
    return {"dynamic_img_size": True} if config.size and config.model.startswith(("vit_", "deit", "beit")) else {}


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="timm-encoder",
        kind="pretrained",
        build=build,
        config=Config,
        uses_backbone=False,
        files=lambda config: [weights_file(config)],
        source="Wightman 2019, timm (Apache 2.0)",
    )
