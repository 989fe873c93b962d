"""Whatever a suite, a plugin or a setting says: it is understood, or refused in one line. Nothing else is raised.

See any_input.py for how many inputs there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from any_input import inputs, one_line
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.expansion import expand
from harness.records import Budget, PluginRef, Request, written
from harness.registry import Registry
from harness.registry.config import resolve
from harness.registry.grammar import parse_limit, parse_plugins, parse_seeds, parse_setting
from harness.run import slug
from harness.suite import PLUGIN_LISTS, WAYS, apart, make_request, overridden, read_suite

# Text that looks like requests, and text that does not. -------------------------------------------------------------

SIGNS = st.text(alphabet="ab1[]|,='\" .:/-\\\n\t\x00é", max_size=24)
TEXTS = st.one_of(SIGNS, st.text(max_size=24))
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,6}", fullmatch=True)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,4}", fullmatch=True)
VALUES = st.recursive(st.text(max_size=8), lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
REFS = st.builds(
    lambda name, params: PluginRef(name=name, params=params), NAMES, st.dictionaries(KEYS, VALUES, max_size=3)
)


@inputs(TEXTS)
def test_any_text_of_plugins(text: str) -> None:
    try:
        refs = parse_plugins(text)
    except HarnessError as error:
        one_line(error)
        return
    assert len({str(ref) for ref in refs}) == len(refs)


@inputs(st.lists(REFS, min_size=1, max_size=3))
def test_what_is_written_is_read_again(refs: list[PluginRef]) -> None:
    unique = tuple({str(ref): ref for ref in refs}.values())
    assert parse_plugins(",".join(map(str, refs))) == unique


@inputs(KEYS, st.lists(VALUES, min_size=1, max_size=3, unique=True))
def test_a_sweep_is_one_plugin_for_each_value(key: str, values: list[Any]) -> None:
    text = f"it[{key}={'|'.join(map(written, values))}]"
    assert [ref.params[key] for ref in parse_plugins(text)] == values
    assert parse_setting(f"it.{key}={'|'.join(map(written, values))}") == ("it", key, values)


@inputs(TEXTS)
def test_any_setting_seed_limit_and_budget(text: str) -> None:
    for read in (parse_setting, parse_seeds, parse_limit, Budget.parse):
        try:
            read(text)
        except HarnessError as error:
            one_line(error)


BUILT_IN = Registry()
CONFIGS = {name: BUILT_IN.load(name, (kind,)).spec.config for name, kind in
           (("vae", "model"), ("jigsaw", "pretext"), ("knn", "evaluation"), ("convnet", "backbone"))}  # fmt: skip


@inputs(st.sampled_from(sorted(CONFIGS)), st.data())
def test_any_value_of_a_parameter(name: str, data: st.DataObject) -> None:
    keys = st.one_of(st.sampled_from(sorted(CONFIGS[name].__dataclass_fields__)), KEYS)
    numbers = st.one_of(st.integers().map(str), st.floats().map(str), st.sampled_from(["none", "true", "1e400", "-0"]))
    params = data.draw(st.dictionaries(keys, st.one_of(numbers, VALUES), max_size=3))
    try:
        resolve(CONFIGS[name], params, name)
    except HarnessError as error:
        one_line(error)


# Suites. --------------------------------------------------------------------------------------------------------------

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.dates(), st.just([]), st.just({}))
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)), max_leaves=6
)
WORDS = st.sampled_from(
    ["plugins", "tune", "tune_by", "references", "datasets", "targets", "evaluations", "labels", "backbone", "budget",
     "seeds", "devices", "precision", "set", "threads", "compile", "part", *WAYS]
)  # fmt: skip
SENSIBLE = {
    "plugins": ["vae", "vae[beta=1|4],jigsaw", "none", ["rotation"]],
    "references": ["none", "pixels", []],
    "datasets": ["digits", ["digits"]],
    "seeds": [1, "0,5", [3], "auto:5"],
    "budget": ["2 epochs", "5 s", "0 steps"],
    "labels": ["1%,100%", ["5/class"]],
    "set": [["vae.beta=2"], {"train": {"learning_rate": [0.1, 0.2]}}],
    "evaluations": ["none", "knn", "default"],
}
SUITES = st.dictionaries(
    WORDS, st.one_of(ANYTHING, st.sampled_from([v for vs in SENSIBLE.values() for v in vs])), max_size=4
)
GOOD = st.fixed_dictionaries({}, optional={word: st.sampled_from(values) for word, values in SENSIBLE.items()})


@inputs(st.one_of(SUITES, GOOD, st.builds(lambda good, bad: {**good, **bad}, GOOD, SUITES)), SUITES)
def test_any_words_of_a_suite(words: dict[str, Any], given: dict[str, Any]) -> None:
    try:
        request_words, _ = apart(overridden(words, given))
        request = make_request(request_words)
    except HarnessError as error:
        one_line(error)
        return
    _is_a_request(request)


def _is_a_request(request: Request) -> None:
    """Every word has its type, and what it names has a folder; what makes no sense of it is refused in one line."""
    for part in (request, *request.parts):
        assert all(isinstance(text, str) and text.strip() for word in PLUGIN_LISTS for text in getattr(part, word))
        assert all(type(number) is int and 0 <= number < 2**63 for number in part.seeds)
        assert type(part.threads) is int
        assert type(part.compile) is bool
    assert 0 < len(slug(request)) <= 80
    try:
        expand(request, BUILT_IN) if len(request.seeds) < 20 else None
    except HarnessError as error:
        one_line(error)


TOML = st.one_of(
    st.text(alphabet="seeds=[]{}\"'1,.#\n part", max_size=40), st.text(max_size=40), st.binary(max_size=40)
)


@inputs(TOML)
def test_any_file_is_a_suite_or_none(content: str | bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "suite.toml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        try:
            make_request(apart(read_suite(file))[0])
        except HarnessError as error:
            one_line(error)
