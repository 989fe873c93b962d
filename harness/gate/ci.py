"""A comparison for continuous integration: JUnit XML, GitHub's annotations and its step summary. None needs a token."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.gate.markdown import headline, markdown

# What GitHub takes (its "Workflow commands" page, and actions/runner: ExecutionContext, CreateStepSummaryCommand).
MOST_ANNOTATIONS = 10  # of errors, of warnings and of notices each: a step shows no more
MOST_MESSAGE = 4096  # characters of a message: the runner cuts the rest away
MOST_TITLE = 255  # characters, of the Checks API
MOST_SUMMARY = 1024 * 1024  # bytes of a step's summary: of a larger one nothing is shown, and the step gets an error
SUMMARY = "GITHUB_STEP_SUMMARY"  # the file that GitHub shows below a job


def junit(comparison: Comparison, name: str = "harness compare") -> str:
    """A test case for each gated row: worse is a failure, what cannot be compared an error, undecided is skipped, or a
    failure where the policy says so.
    """
    cases = [_case(finding, comparison) for finding in comparison.gated()]
    suite = ElementTree.Element("testsuite", {"name": name, "tests": str(len(cases)), **_counts(cases)})
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in (("base", comparison.base), ("candidate", comparison.candidate), ("outcome", comparison.outcome)):
        ElementTree.SubElement(properties, "property", name=key, value=value)
    suite.extend(cases)
    root = ElementTree.Element("testsuites", name=name)
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(f: Finding, comparison: Comparison) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"{f.place.method} on {f.place.data}", name=f.judged)
    text = wording.sentence(f, comparison.rule.level)
    if f.outcome == "regression" or (f.outcome == "inconclusive" and comparison.policy == "fail"):
        ElementTree.SubElement(case, "failure", type=wording.says(f), message=text)
    elif f.outcome == "cannot compare":
        ElementTree.SubElement(case, "error", type=wording.says(f), message=text)
    elif f.outcome == "inconclusive":
        ElementTree.SubElement(case, "skipped", message=text)
    else:
        ElementTree.SubElement(case, "system-out").text = text
    return case


def _counts(cases: list[ElementTree.Element]) -> dict[str, str]:
    tags = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {key: str(sum(case.find(tag) is not None for case in cases)) for key, tag in tags.items()}


def github_annotations(comparison: Comparison) -> Iterator[str]:
    """Workflow commands for standard output: `::error title=vae on digits%3A knn accuracy::0.961 → 0.902 ...`.

    At most MOST_ANNOTATIONS of a kind, regressions first; the last says how many more there are.
    """
    fails = comparison.policy == "fail"
    errors = [*comparison.gated("regression"), *comparison.gated("cannot compare")]
    undecided = comparison.gated("inconclusive")
    yield from _annotations("error", [*errors, *(undecided if fails else ())], comparison)
    yield from _annotations("warning", () if fails else undecided, comparison)
    yield _command("notice", "harness", comparison.sentence)


def _annotations(kind: str, findings: Sequence[Finding], comparison: Comparison) -> Iterator[str]:
    shown = len(findings) if len(findings) <= MOST_ANNOTATIONS else MOST_ANNOTATIONS - 1
    for finding in findings[:shown]:
        yield _command(kind, finding.name, wording.sentence(finding, comparison.rule.level))
    if more := len(findings) - shown:
        yield _command(kind, "harness", f"{more} more rows: see the summary")


def _command(kind: str, title: str, text: str) -> str:
    """One line, whatever the text: cut before it is escaped, so that no escape is cut in two.

    >>> _command("error", "a: b, 5 %", "two\\nlines, 5 %")
    '::error title=a%3A b%2C 5 %25::two%0Alines, 5 %25'
    """
    return f"::{kind} title={_property(_cut(title, MOST_TITLE))}::{_message(_cut(text, MOST_MESSAGE))}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def write_step_summary(comparison: Comparison, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Add the Markdown to the step's summary, with as many rows as GitHub takes; None where there is no such file."""
    if not environment.get(SUMMARY):
        return None
    file = Path(environment[SUMMARY])
    taken = file.stat().st_size if file.exists() else 0
    with file.open("a", encoding="utf-8") as handle:
        handle.write(fitting(comparison, MOST_SUMMARY - taken))
    return file


def fitting(comparison: Comparison, room: int) -> str:
    """The Markdown in at most so many bytes: with fewer rows, or the sentence alone, or nothing."""

    def size(rows: int) -> int:
        return len(markdown(comparison, most=rows).encode())

    fits = bisect_right(range(len(comparison.findings) + 1), room, key=size)  # so many of 0, 1, 2 ... rows do
    text = markdown(comparison, most=fits - 1) if fits else headline(comparison)
    return text if len(text.encode()) <= room else ""
