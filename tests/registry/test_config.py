"""Parameters: text -> typed config, config -> reference and documentation, and what is said of a mistake."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.errors import RequestError, UnknownName
from harness.plugin.specs import NoConfig
from harness.registry.config import describe, full_ref, resolve


@dataclass(frozen=True, kw_only=True)
class Example:
    latent_dim: int = 32  # L, the size of the code
    beta: float = 1.0
    flip: bool = False  # mirror half of the images
    norm: Literal["batch", "layer", "none"] = "batch"
    channels: Literal[1, 3] = 3
    steps: int | None = None  # none: all of them
    taper: Literal["cosine", "none"] | None = None
    title: str = ""
    sizes: tuple[int, ...] = field(
        default_factory=lambda: (1, 2),  # from small to large
    )

    def __post_init__(self) -> None:
        if self.latent_dim < 1:
            raise ValueError("latent_dim must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Needy:
    path: Path  # where the images are
    size: int = 32


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("latent_dim", "8", 8),
        ("latent_dim", 8.0, 8),
        ("beta", "1e-3", 0.001),
        ("beta", 4, 4.0),
        ("flip", "true", True),
        ("flip", "False", False),
        ("norm", "none", "none"),
        ("channels", "1", 1),
        ("channels", 1, 1),
        ("steps", "none", None),
        ("steps", "12", 12),
        ("steps", None, None),
        ("taper", "cosine", "cosine"),
        ("title", "none", "none"),
        ("title", "8", "8"),
        ("sizes", [3, 4], (3, 4)),
    ],
)
def test_values_get_the_type_of_their_field(key: str, given: Any, expected: Any) -> None:
    value = getattr(resolve(Example, {key: given}, "example"), key)
    assert value == expected
    assert type(value) is type(expected)


def test_defaults_and_required_parameters() -> None:
    assert resolve(Example, {}, "example") == Example()
    assert resolve(Needy, {"path": "~/x"}, "needy") == Needy(path=Path("~/x"))
    with pytest.raises(RequestError, match=r"^plugin 'needy' needs path: write needy\[path=\.\.\.\]$"):
        resolve(Needy, {}, "needy")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"latent_dimm": "8"}, "plugin 'vae' has no parameter 'latent_dimm': did you mean 'latent_dim'?"),
        ({"latent_dim": "x"}, "vae[latent_dim=x]: expected an integer"),
        ({"latent_dim": "1.5"}, "vae[latent_dim=1.5]: expected an integer"),
        ({"latent_dim": ""}, "vae[latent_dim=]: expected an integer"),
        ({"beta": "high"}, "vae[beta=high]: expected a number"),
        ({"beta": "nan"}, "vae[beta=nan]: expected a number"),
        ({"flip": "maybe"}, "vae[flip=maybe]: expected true or false"),
        ({"norm": "batsh"}, "vae[norm=batsh]: did you mean 'batch'?"),
        ({"norm": "xyz"}, "vae[norm=xyz]: choose from batch, layer, none"),
        ({"channels": "2"}, "vae[channels=2]: choose from 1, 3"),
        ({"steps": "few"}, "vae[steps=few]: expected an integer"),
        ({"latent_dim": "0"}, "vae: latent_dim must be at least 1"),
    ],
)
def test_mistakes_in_one_line(params: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve(Example, params, "vae")
    assert str(caught.value) == message


def test_parameter_of_a_plugin_without_any() -> None:
    with pytest.raises(UnknownName, match="plugin 'pixels' has no parameter 'dim': it has none"):
        resolve(NoConfig, {"dim": "3"}, "pixels")


def test_full_reference_holds_everything_and_comes_back_from_json() -> None:
    config = resolve(Example, {"beta": "4", "sizes": [3]}, "vae")
    ref = full_ref("vae", config)
    assert ref.params == {
        "latent_dim": 32, "beta": 4.0, "flip": False, "norm": "batch", "channels": 3,
        "steps": None, "taper": None, "title": "", "sizes": [3],
    }  # fmt: skip
    assert resolve(Example, json.loads(json.dumps(ref.params)), "vae") == config
    assert full_ref("needy", Needy(path=Path("a/b"))).params["path"] == "a/b"


def test_parameters_are_described_from_their_source() -> None:
    rows = {row.name: (row.type, row.default, row.comment) for row in describe(Example)}
    assert rows == {
        "latent_dim": ("int", "32", "L, the size of the code"),
        "beta": ("float", "1.0", ""),
        "flip": ("bool", "false", "mirror half of the images"),
        "norm": ("batch or layer or none", "batch", ""),
        "channels": ("1 or 3", "3", ""),
        "steps": ("int | none", "none", "none: all of them"),
        "taper": ("cosine or none", "none", ""),
        "title": ("text", "''", ""),
        "sizes": ("tuple[int, ...]", "[1, 2]", "from small to large"),
    }
    path, size = describe(Needy)
    assert path.required
    assert not size.required


def test_a_config_without_source_is_described_without_comments() -> None:
    made = dataclass(frozen=True)(type("Made", (), {"__annotations__": {"a": "int"}, "a": 3, "__module__": __name__}))
    assert [(row.name, row.default, row.comment) for row in describe(made)] == [("a", "3", "")]
