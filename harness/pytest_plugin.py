"""A method gated in a project's own pytest suite: `pytest --harness-gate` measures it against the merge base.

    def test_my_method_is_as_good_as_before(harness_gate):
        harness_gate("./my_method.py", datasets="digits", seeds=3, budget="2 epochs", tiers=("exact", "quality"))

A gate trains two versions of the code, so tests that use the fixture are skipped until the option asks for them. pytest
imports this module whenever Harness is installed: all that is heavy is imported when a gate runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.gate.findings import Comparison, Policy
    from harness.gate.margins import Margins

OPTION = "--harness-gate"
MERGE_BASE = ""  # what the option is without a value
WIDTH = 100  # columns of a failure's text where there is no terminal
SKIPPED = f"a gate trains two versions of the code: `pytest {OPTION}` runs it, `{OPTION}=BASE` against another base"


@dataclass
class Session:
    """How the gates of this session go, and what they found so far."""

    root: Path
    base: str  # a revision or a folder; empty: where the branch left the default one
    margins: Margins
    policy: Policy | None
    minutes: float | None  # None: as many as the gate takes by itself
    out: Path | None = None
    found: list[tuple[str, Comparison]] = field(default_factory=list)  # with the test that asked
    files: set[str] = field(default_factory=set)  # names that are taken in `out`


SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "Harness: is a method as good as at its base?")
    group.addoption(
        OPTION,
        nargs="?",
        const=MERGE_BASE,
        default=None,
        metavar="BASE",
        help="run the tests that use the fixture `harness_gate`, against this git revision or folder "
        "(default: the merge base with the default branch); write it with `=`, or after the files of tests",
    )
    more = {
        "minutes": {
            "type": float,
            "default": None,
            "metavar": "M",
            "help": "that each gate may take to time (default: 10)",
        },
        "margins": {"default": None, "metavar": "FILE", "help": "what counts as worse, in TOML"},
        "undecided": {
            "choices": ("warn", "fail"),
            "default": None,
            "help": "what undecided gated rows do (default: fail)",
        },
        "out": {"default": None, "metavar": "FOLDER", "help": "write each comparison there, as JSON and JUnit XML"},
    }
    for name, how in more.items():
        group.addoption(f"{OPTION}-{name}", **how)  # type: ignore[arg-type]


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(OPTION) is not None and not config.option.help:
        config.stash[SESSION] = _session(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    session = config.stash.get(SESSION, None)
    if session is None:
        return None
    return f"harness gate: against {session.base or 'the merge base'}"


@pytest.fixture
def harness_gate(request: pytest.FixtureRequest) -> Gate:
    """Is a method as good as at its base? Called with the words of a bench, it fails the test where it is not."""
    session = request.config.stash.get(SESSION, None)
    if session is None:
        pytest.skip(SKIPPED)
    return Gate(session, request.node.nodeid)


class Gate:
    """What the fixture gives to a test."""

    def __init__(self, session: Session, test: str) -> None:
        self._session = session
        self._test = test

    def __call__(self, plugins: str | Sequence[str], *, tiers: str | Sequence[str] = (), **words: Any) -> Comparison:
        """Gate these methods and fail the test unless they pass; the comparison, for more questions.

        words: of a request, as `harness.bench` takes them (datasets, seeds, budget, evaluations, set, ...); without
        references. tiers: of exact (counts), time (speed) and quality (scores); none: all three.
        """
        return self.check(self.compare(plugins, tiers=tiers, **words))

    def compare(self, plugins: str | Sequence[str], *, tiers: str | Sequence[str] = (), **words: Any) -> Comparison:
        """The comparison alone: nothing fails before `check`."""
        with _told_in_one_line():
            found = _gated(self._session, {"plugins": plugins, **words}, tiers)
            self._session.found.append((self._test, found))
            _write(self._session, self._test, found)
        return found

    def check(self, comparison: Comparison) -> Comparison:
        """Fail the test, with the table, for a regression, for what cannot be compared, and for what is undecided if
        `--harness-gate-undecided fail` says so.
        """
        if comparison.exit_code:
            pytest.fail(_text(comparison), pytrace=False)
        return comparison


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    session = config.stash.get(SESSION, None)
    if session is None or not session.found:
        return
    colours = {"pass": {"green": True}, "regression": {"red": True}, "cannot compare": {"purple": True}}
    terminalreporter.write_sep("=", "harness gate")
    for test, found in session.found:
        terminalreporter.write_line(f"{test}: {found.sentence}", **colours.get(found.outcome, {"yellow": True}))
        for line in _left_open(found):
            terminalreporter.write_line(f"    {line}")


def _left_open(found: Comparison) -> Iterable[str]:
    """The rows that were not decided, where no failure shows them."""
    from harness.gate import wording

    shown = () if found.exit_code else found.gated("inconclusive")
    return (wording.sentence(row, found.rule.level) for row in shown)


# One gate. ------------------------------------------------------------------------------------------------------------


def _gated(session: Session, words: Mapping[str, Any], tiers: str | Sequence[str]) -> Comparison:
    from harness.gate.gating import GateRequest, gate
    from harness.suite import make_request

    make_request(words, "harness_gate()")  # a mistake in words is told before anything is checked out
    named = tiers.split(",") if isinstance(tiers, str) else tiers
    given: dict[str, Any] = {
        "base": session.base or None,
        "tiers": tuple(name.strip() for name in named),
        "seconds": None if session.minutes is None else 60 * session.minutes,
    }
    request = GateRequest(
        root=session.root,
        words=words,
        margins=session.margins,
        policy=session.policy,
        **{name: value for name, value in given.items() if value},
    )
    return gate(request)


def _text(found: Comparison) -> str:
    """The sentence, which pytest repeats in its short summary, and the table as `harness gate` prints it."""
    import shutil
    from io import StringIO

    from rich.console import Console

    from harness.gate.terminal import TerminalComparison

    page = StringIO()
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    Console(file=page, width=width, color_system=None).print(TerminalComparison(found))
    return f"{found.sentence}\n\n{page.getvalue().rstrip()}"


def _write(session: Session, test: str, found: Comparison) -> None:
    if session.out is None:
        return
    import json

    from harness.errors import RequestError
    from harness.gate.ci import junit

    stem = re.sub(r"[^A-Za-z0-9.=_-]+", "-", test.replace(".py::", "-")).strip("-.")[:150]
    names = (stem, *(f"{stem}-{number}" for number in range(2, len(session.files) + 3)))
    name = next(name for name in names if name not in session.files)
    session.files.add(name)
    texts = {
        "json": json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n",
        "xml": junit(found, test),
    }
    try:
        for ending, text in texts.items():
            (session.out / f"{name}.{ending}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write into {session.out} ({error.strerror}): choose another {OPTION}-out") from None


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    """What Harness itself has to say is no traceback of a test."""
    from harness.errors import HarnessError

    try:
        yield
    except HarnessError as error:
        pytest.fail(f"harness gate: {error}", pytrace=False)


# The options. ---------------------------------------------------------------------------------------------------------


def _session(config: pytest.Config) -> Session:
    """All that the options say. Raises UsageError, in one line, for what makes no sense."""
    from harness.errors import HarnessError
    from harness.gate.margins import Margins, read_margins

    here, minutes = config.invocation_params.dir, config.getoption(f"{OPTION}-minutes")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise pytest.UsageError(f"{OPTION}-minutes is a time above 0, not {minutes:g}")
    if config.getoption("numprocesses", None):
        raise pytest.UsageError(f"{OPTION} measures speed, and takes the machine for itself: add `-n 0`")
    file, folder = config.getoption(f"{OPTION}-margins"), config.getoption(f"{OPTION}-out")
    try:
        margins = read_margins(here / file) if file else Margins()
    except HarnessError as error:
        raise pytest.UsageError(f"{OPTION}-margins: {error}") from None
    return Session(
        root=config.rootpath,
        base=_base(config, here),
        margins=margins,
        policy=config.getoption(f"{OPTION}-undecided"),
        minutes=minutes,
        out=_folder(here / folder) if folder else None,
    )


def _base(config: pytest.Config, here: Path) -> str:
    """The base, unless it is what somebody wanted to test: `pytest --harness-gate tests` takes `tests` for its base."""
    base: str = config.getoption(OPTION)
    path = (here / base).resolve()
    inside = base and path != config.rootpath and path.is_relative_to(config.rootpath)
    holds_tests = inside and path.is_dir() and any(any(path.glob(name)) for name in ("test_*.py", "*_test.py"))
    if holds_tests or "::" in base or base.endswith(".py"):
        raise pytest.UsageError(f"{OPTION} took '{base}' for its base: write `pytest {base} {OPTION}`")
    return base


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"{OPTION}-out: cannot make {path} ({error.strerror}): choose another") from None
    return path
