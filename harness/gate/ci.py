"""A comparison for continuous integration: JUnit XML, GitHub's annotations and its step summary. None needs a token."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.gate.markdown import markdown

MOST_ANNOTATIONS = 10  # of each kind: GitHub shows no more of one step
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
    """Workflow commands for standard output: `::error title=vae on digits: knn accuracy::0.961 → 0.902 ...`."""
    fails = comparison.policy == "fail"
    kinds = {"regression": "error", "cannot compare": "error", "inconclusive": "error" if fails else "warning"}
    for outcome, command in kinds.items():
        found = comparison.gated(outcome)  # type: ignore[arg-type]
        for finding in found[:MOST_ANNOTATIONS]:
            text = wording.sentence(finding, comparison.rule.level)
            yield f"::{command} title={_property(finding.name)}::{_message(text)}"
        if len(found) > MOST_ANNOTATIONS:
            yield f"::{command}::{len(found) - MOST_ANNOTATIONS} more rows: see the summary"
    yield f"::notice title=harness::{_message(comparison.sentence)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def write_step_summary(comparison: Comparison, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Add the Markdown to the job's summary; None where there is no such job."""
    if not environment.get(SUMMARY):
        return None
    file = Path(environment[SUMMARY])
    with file.open("a", encoding="utf-8") as handle:
        handle.write(markdown(comparison))
    return file
