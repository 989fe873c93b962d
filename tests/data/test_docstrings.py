from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.docstrings import docstrings_of, documents, prose, sources_below

NUMPY_STYLE = """
add(x1, x2, /) -> ndarray

Add the :func:`~numpy.lib.arguments` of `x1` in place and with **care** [1]_.

    x = code(1)

.. versionadded:: 1.0

Parameters
----------
x1 : float
    The number that is added to the other.

It is a parameter still, and so it is left out.

Notes
-----
The sum of the numbers is what you expect.
It is not defined for $x < 0$ in the reals.

>>> add(1, 2)
The result is shown in this line.

A heading of the end:

| the | table | is | of |

Examples
--------
This is the text of an example.
"""


def test_prose_is_what_is_said_in_sentences() -> None:
    assert prose(NUMPY_STYLE) == (
        "Add the arguments of x1 in place and with care. The sum of the numbers is what you expect."
    )


@pytest.mark.parametrize(
    ("docstring", "said"),
    [
        ("Do it for the user.\\n\\nArgs:\\n    x: the thing to do.", "Do it for the user."),
        (
            "Do it for the user.\n\nArgs:\n    x: the thing to do.\n\nIt is of args.",
            "Do it for the user.",
        ),
        ("See `the guide <https://a.b/c>`_ for what is in it.", "See the guide for what is in it."),
        ("Schreibe das Ergebnis unter dem Namen auf.", ""),
        ("x y z q r s t", ""),
        ("", ""),
    ],
)
def test_prose_leaves_out_what_is_no_english_sentence(docstring: str, said: str) -> None:
    assert prose(docstring.replace("\\n", "\n")) == said


def test_sources_are_read_and_never_run(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        'raise SystemExit\nclass A:\n    "The class of all that is in a file."\n'
        '    async def f():\n        """It is said of the function\n        in two lines."""\n'
        'add_newdoc("numpy", "x", """The thing that is added to the docs.""")\nx = "The string is of no use to us."\n'
    )
    assert list(documents(file, fewest=3)) == [
        "The class of all that is in a file.",
        "It is said of the function in two lines.",
        "The thing that is added to the docs.",
    ]
    assert not list(documents(file, fewest=10))


@pytest.mark.parametrize("source", ["def f(:", "\0", "(" * 5000])
def test_what_is_no_python_has_no_docstrings(source: str) -> None:
    assert list(docstrings_of(source)) == []


def test_tests_and_what_is_carried_of_others_are_no_sources(tmp_path: Path) -> None:
    for name in ("a.py", "tests/b.py", "deep/er/c.py", "_vendor/d.py", "test_e.py", "f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in sources_below(tmp_path)] == ["a.py", "deep/er/c.py"]
