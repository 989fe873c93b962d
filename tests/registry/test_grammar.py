"""The request grammar: what is written, what it means, and what is said of a mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RequestError
from harness.records import PluginRef
from harness.registry.grammar import is_path, parse_plugins, parse_seeds, parse_setting


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vae", [("vae", {})]),
        ("", []),
        ("  ", []),
        ("vae,jigsaw", [("vae", {}), ("jigsaw", {})]),
        (" vae [ beta = 1 ] , jigsaw ", [("vae", {"beta": "1"}), ("jigsaw", {})]),
        ("vae[]", [("vae", {})]),
        ("vae[latent_dim=8,beta=1.5e-1]", [("vae", {"latent_dim": "8", "beta": "1.5e-1"})]),
        ("vae[beta=1|4],jigsaw", [("vae", {"beta": "1"}), ("vae", {"beta": "4"}), ("jigsaw", {})]),
        ("./mine.py,plugins/other.py[a=1]", [("./mine.py", {}), ("plugins/other.py", {"a": "1"})]),
        ("'./my, own.py'", [("./my, own.py", {})]),
        ("some-dist:vae[beta=1]", [("some-dist:vae", {"beta": "1"})]),
        ("image-folder[path='/a,b|c]']", [("image-folder", {"path": "/a,b|c]"})]),
        ("image-folder[path=\"/it's\"|'']", [("image-folder", {"path": "/it's"}), ("image-folder", {"path": ""})]),
        ("image-folder[path=/a b/c:d]", [("image-folder", {"path": "/a b/c:d"})]),
        ("vae,vae[beta=1|1],vae", [("vae", {}), ("vae", {"beta": "1"})]),
    ],
)
def test_plugins(text: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(ref.name, dict(ref.params)) for ref in parse_plugins(text)] == expected


def test_sweep_is_the_product_with_the_first_key_slowest() -> None:
    refs = parse_plugins("vae[latent_dim=8|32,beta=1|2|4]")
    assert [(ref.params["latent_dim"], ref.params["beta"]) for ref in refs] == [
        ("8", "1"), ("8", "2"), ("8", "4"), ("32", "1"), ("32", "2"), ("32", "4")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vae[beta=1", "unbalanced '[' in 'vae[beta=1' at character 4"),
        ("vae[beta", "unbalanced '[' in 'vae[beta' at character 4"),
        ("vae]", "expected ',' between plugins in 'vae]' at character 4"),
        ("vae[beta=1]]", "expected ',' between plugins in 'vae[beta=1]]' at character 12"),
        ("vae[beta]", "expected KEY=VALUE in 'vae[beta]' at character 5"),
        ("vae[beta=1,]", "expected KEY=VALUE in 'vae[beta=1,]' at character 12"),
        ("vae[=1]", "expected KEY=VALUE in 'vae[=1]' at character 5"),
        ("vae[beta=]", "expected a value in 'vae[beta=]' at character 10"),
        ("vae[beta=1|]", "expected a value in 'vae[beta=1|]' at character 12"),
        ("vae[beta=1,beta=2]", "'beta' is given twice (a sweep is beta=1|2)"),
        ("vae[beta=[1,2]", "unbalanced '[' in 'vae[beta=[1,2]' at character 4"),
        ("vae[beta=[1,,2]]", "expected a value"),
        ("vae[beta=[1|2]]", "expected ',' or ']'"),
        ("vae[path='a]", "unbalanced ' in"),
        ("vae[path='a'b]", "expected ',', '|' or ']'"),
        ("vae,,jigsaw", "expected the name of a plugin in 'vae,,jigsaw' at character 5"),
        ("vae,", "expected the name of a plugin"),
        ("[beta=1]", "expected the name of a plugin"),
        ("v ae", "'v ae' is no name of a plugin"),
        ("beta=4", "expected ',' between plugins"),
        ("vae|jigsaw", "expected ',' between plugins"),
    ],
)
def test_mistakes_are_shown_where_they_are(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_plugins(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


VALUES = st.text(st.characters(codec="ascii", exclude_characters="'\n\r\t\x0b\x0c", min_codepoint=32), max_size=12)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), VALUES, max_size=3))
def test_what_is_written_is_read_back(params: dict[str, str]) -> None:
    ref = PluginRef(name="vae", params=params)
    assert parse_plugins(str(ref)) == (ref,)


@given(st.text(alphabet="ab1[]|,='\" .:/-", max_size=20))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        refs = parse_plugins(text)
    except RequestError:
        return  # and nothing else may be raised
    assert all(parse_plugins(str(ref)) == (ref,) for ref in refs if ref.name.isalnum())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vae.beta=4", ("vae", "beta", ["4"])),
        ("vae.beta=4|8", ("vae", "beta", ["4", "8"])),
        (" train.batch_size = 64 ", ("train", "batch_size", ["64"])),
        ("./mine.py.size=3", ("./mine.py", "size", ["3"])),
        ("image-folder.path='a|b'", ("image-folder", "path", ["a|b"])),
        ("image-folder.path=a,b=c", ("image-folder", "path", ["a,b=c"])),
    ],
)
def test_setting(text: str, expected: tuple[str, str, list[str]]) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize(
    "text", ["vae", "vae.beta", "beta=4", ".beta=4", "vae.=4", "vae.beta=", "vae.be ta=1", "=", ""]
)
def test_setting_mistakes(text: str) -> None:
    with pytest.raises(RequestError, match=r"is not NAME\.KEY=VALUE|expected a value"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", (0,)),
        ("3", (0, 1, 2)),
        ("0,5,7", (0, 5, 7)),
        ("7,5", (7, 5)),
        ("2-4", (2, 3, 4)),
        ("2 - 4, 9", (2, 3, 4, 9)),
        ("0-0", (0,)),
        ("5,5,4-6", (5, 4, 6)),
    ],
)
def test_seeds(text: str, expected: tuple[int, ...]) -> None:
    assert parse_seeds(text) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "4-2", "1,,2", "1,", "0", "999999999", "0-999999999", "٣"])
def test_seed_mistakes(text: str) -> None:
    with pytest.raises(RequestError, match="seeds"):
        parse_seeds(text)


def test_windows_paths_are_paths() -> None:
    assert is_path("C:\\plugins\\mine.py")
    assert is_path("~/mine")
    assert not is_path("harness:vae")
