"""What a plugin declares is of the type that its dataclass annotates, or one line says what it is and should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from harness.data.fields import DataSpec, Factor, ImageField, TextField, VideoField
from harness.plugin import specs
from harness.records import ScoreSpec
from harness.typed import _hints, fault_of, type_fault

if TYPE_CHECKING:
    from nowhere import Thing


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "a"
    flag: bool = False
    share: float | None = None
    kinds: tuple[Literal["image", "text"], ...] = ()
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    build: Callable[[Thing], Thing] | None = None
    recipe: Mapping[str, Any] = Inner  # type: ignore[assignment]
    made: type = Inner


class Unreadable:
    def __repr__(self) -> str:
        raise ValueError("no")


FINE = {"recipe": {}}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, ""),
        ({"share": 1, "build": len, "several": (Inner(), Inner(size=2)), "inner": Inner(), "kinds": ("text",)}, ""),
        ({"share": np.float32(0.5), "inner": Inner(size=np.int64(3)), "recipe": {"a": object()}}, ""),
        ({"share": np.True_}, f"share is {np.True_!r}, expected a number or None"),
        ({"name": 5}, "name is 5, expected text"),
        ({"name": None}, "name is None, expected text"),
        ({"flag": 1}, "flag is 1, expected True or False"),
        ({"share": True}, "share is True, expected a number or None"),
        ({"share": "0.5"}, "share is '0.5', expected a number or None"),
        ({"kinds": "image"}, "kinds is 'image', expected a tuple of 'image' or 'text'"),
        ({"kinds": ["image"]}, "kinds is ['image'], expected a tuple of 'image' or 'text'"),
        ({"kinds": ("image", "sound")}, "kinds[1] is 'sound', expected 'image' or 'text'"),
        ({"kinds": (["image"],)}, "kinds[0] is ['image'], expected 'image' or 'text'"),
        ({"kinds": (np.zeros(2),)}, "kinds[0] is array([0., 0.]), expected 'image' or 'text'"),
        ({"inner": Inner(size="5")}, "inner.size is '5', expected a whole number"),  # type: ignore[arg-type]
        ({"inner": 5}, "inner is 5, expected Inner or None"),
        ({"several": (Inner(), Inner(size=True))}, "several[1].size is True, expected a whole number"),
        ({"build": "len"}, "build is 'len', expected a function or None"),
        ({"recipe": []}, "recipe is [], expected a mapping from text"),
        ({"recipe": {5: 5}}, "recipe is {5: 5}, expected a mapping from text"),
        ({"made": Inner()}, "made is Inner(size=1), expected a class"),
        ({"name": "x", "inner": Unreadable()}, "inner is a Unreadable, expected Inner or None"),
        ({"kinds": "x" * 1000}, f"kinds is '{'x' * 58}…, expected a tuple of 'image' or 'text'"),
    ],
)
def test_the_first_value_of_another_type_is_told(given: dict[str, Any], fault: str) -> None:
    assert type_fault(Outer(**{**FINE, **given})) == fault


def test_a_list_may_be_a_tuple_and_not_a_text() -> None:
    assert fault_of((Path("a"), "b"), list[str | Path], "files()") == ""
    assert fault_of("ab", list[str | Path], "files()") == "files() is 'ab', expected a list of text or a path"


def test_fields_that_are_looked_at_elsewhere_are_left_out() -> None:
    assert type_fault(Outer(name=5, recipe={}), besides=("name",)) == ""  # type: ignore[arg-type]


DECLARED = [getattr(specs, name) for name in dir(specs) if name.endswith("Spec")]


@pytest.mark.parametrize("declared", [*DECLARED, DataSpec, ScoreSpec, ImageField, VideoField, TextField, Factor])
def test_the_annotations_of_all_that_plugins_declare_can_be_read(declared: type) -> None:
    assert set(_hints(declared)) >= {field.name for field in fields(declared)}  # type: ignore[arg-type]


def test_the_inputs_of_a_dataset_are_of_a_known_kind() -> None:
    assert type_fault(DataSpec(inputs=ImageField(channels=1, size=8))) == ""
    assert type_fault(DataSpec(inputs=5)) == "inputs is 5, expected ImageField or VideoField or TextField"  # type: ignore[type-var]


def test_a_class_that_stands_on_one_of_another_module_is_read_with_the_names_of_both() -> None:
    @dataclass(frozen=True, kw_only=True)
    class More(ImageField):
        thing: Thing | None = None
        name: str = ""

    assert type_fault(DataSpec(inputs=More(channels=1, size=8, thing=5))) == ""  # type: ignore[arg-type]
    assert type_fault(More(channels=1, size=8, name=5)) == "name is 5, expected text"  # type: ignore[arg-type]
    assert type_fault(More(channels="1", size=8)) == "channels is '1', expected a whole number"  # type: ignore[arg-type]
