"""A comparison as a reader meets it: terminal, Markdown, HTML, JSON, JUnit, GitHub."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from gate_runs import BASE, accuracies, cell, compared, judged, score
from rich.console import Console

from harness.gate import ci, wording
from harness.gate.findings import Comparison, Differing, Finding, Place
from harness.gate.markdown import markdown
from harness.gate.page import drawn, page
from harness.gate.terminal import TerminalComparison

WORSE = tuple(value - 0.05 + index / 1000 for index, value in enumerate(BASE))
HOSTILE = "<b>100 %</b> a|b, c::d"


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Comparison:
    """Worse by knn, undecided by clustering, unchanged in counts, with a vanished row that is not gated."""

    def run(values, nmi, *more):
        return [
            cell(judged(score(value=v)), judged(score("nmi", 0.5 + n, "fraction"), by="clustering"), *more, seed=s)
            for s, (v, n) in enumerate(zip(values, nmi, strict=True))
        ]  # fmt: skip

    gone = judged(score("ari", primary=False), by="other")
    base = run(BASE, (0, 0, 0, 0, 0), gone)
    candidate = run(WORSE, (0.02, -0.03, 0.01, 0.02, -0.025))
    result = compared(tmp_path_factory.mktemp("runs"), base, candidate)
    return replace(
        result, base="main", candidate="mine", differing=(Differing(what="torch", base="2.9", candidate=HOSTILE),)
    )


def text(comparison: Comparison, width: int = 160, **options) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(TerminalComparison(comparison, **options))
    return console.file.getvalue()


def test_the_terminal_says_the_outcome_last_and_the_worst_row_first(found):
    lines = [line for line in text(found).splitlines() if line.strip()]
    assert lines[0].strip() == "mine against main"
    assert lines[-1].strip() == "Regression: of 5 gated rows 1 worse, 1 undecided, 3 pass."
    rows = [line.split() for line in lines if " vae " in line]
    assert [row[:4] for row in rows] == [["✗", "worse", "vae", "knn"], ["?", "undecided", "vae", "clustering"]]
    assert "0.902 → 0.854" in text(found)
    assert "seeds would decide it" in text(found)


def test_what_did_not_change_is_folded_until_all_is_asked_for(found):
    assert "training steps" not in text(found)
    assert "identical or unchanged: 3 of the gated rows" in text(found)
    assert "not gated and left out (--all): 3, of them 1 vanished" in text(found)
    assert "training steps" in text(found, everything=True)
    assert "differs in torch: 2.9 → <b>100" in text(found)


@pytest.mark.parametrize("width", [40, 72, 80, 100, 120])
def test_a_narrow_terminal_loses_no_verdict_and_no_reason(found, width):
    drawn = text(found, width=width)
    assert {"worse", "undecided", "−0.048"} <= set(drawn.split())
    assert "about" in drawn
    assert max(map(len, drawn.splitlines())) <= width
    assert ("±0.01" in drawn) == (width >= 100)


def test_the_markdown_has_a_row_for_each_and_takes_text_literally(found):
    content = markdown(found)
    assert content.startswith("### ❌ Regression: of 5 gated rows")
    table = [line for line in content.splitlines() if line.startswith("| ❌") or line.startswith("| ❔")]
    assert len(table) == 2
    assert "knn accuracy" in table[0]
    assert "<b>" not in content
    assert "training steps" in markdown(found, everything=True)


class Tags(HTMLParser):
    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_has_every_row(found):
    content = page(found)
    tags = Tags(content)
    assert tags.open == []
    assert tags.count["tr"] == len(found.findings) + 3  # headings of changed, unchanged and ungated rows
    assert "<b>100" not in content
    assert "src=" not in content  # nothing is fetched from anywhere


def row(change: float, low: float, high: float, **more) -> Finding:
    place = Place(method="vae", evaluation="knn", source="digits", target="digits")
    about = {"direction": "higher", "gated": True, "verdict": "undecided", "margin": 0.01, **more}
    return Finding(place=place, score="accuracy", change=change, low=low, high=high, **about)


def test_a_drawing_shows_the_gain_whichever_direction_is_better():
    assert wording.in_margins(row(-0.01, -0.02, 0.01)) == pytest.approx((-2, -1, 1))
    assert wording.in_margins(row(-0.01, -0.02, 0.01, direction="lower")) == pytest.approx((-1, 1, 2))
    assert wording.in_margins(row(0.5, 0.4, 0.6)) == (3, 3, 3)
    assert ("›" in drawn(row(0.5, 0.4, 0.6)), "‹" in drawn(row(0.5, 0.4, 0.6))) == (True, False)
    assert drawn(row(0.5, 0.4, 0.6, margin=0.0)) == ""


def test_json_has_all_that_was_decided(found):
    content = json.loads(json.dumps(found.as_json()))
    assert (content["outcome"], content["exit_code"]) == ("regression", 1)
    worst = content["rows"][0]
    assert (worst["method"], worst["evaluation"], worst["score"]) == ("vae", "knn", "accuracy")
    assert (worst["verdict"], worst["outcome"], worst["gated"], worst["seeds"]) == ("worse", "regression", True, 5)
    assert worst["low"] < worst["change"] < worst["high"] < 0
    assert len(content["rows"]) == len(found.findings)


# Continuous integration. ----------------------------------------------------------------------------------------------


def test_junit_has_a_case_for_each_gated_row(found):
    suite = ElementTree.fromstring(ci.junit(found)).find("testsuite")
    cases = {case.get("name"): [child.tag for child in case] for case in suite.findall("testcase")}
    assert cases["knn accuracy"] == ["failure"]
    assert cases["clustering nmi"] == ["skipped"]
    assert cases["training steps"] == ["system-out"]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    strict = ElementTree.fromstring(ci.junit(replace(found, policy="fail"))).find("testsuite")
    assert (strict.get("failures"), strict.get("skipped")) == ("2", "0")


def test_what_cannot_be_compared_is_an_error_in_junit():
    refused = replace(row(0, 0, 0), state="refused", verdict="", why="another budget")
    suite = ElementTree.fromstring(ci.junit(Comparison(base="a", candidate="b", findings=(refused,)))).find("testsuite")
    assert suite.get("errors") == "1"
    assert "another budget" in suite.find("testcase/error").get("message")


def test_annotations_are_one_escaped_line_each(found):
    lines = list(ci.github_annotations(found))
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "::notice"]
    assert lines[0].startswith("::error title=vae on digits%3A knn accuracy::")
    assert "90 %25 interval" in lines[0]
    assert [line.split(" ")[0] for line in ci.github_annotations(replace(found, policy="fail"))][1] == "::error"
    hostile = replace(row(0, 0, 0), state="refused", verdict="", why="two\nlines")
    (line, _) = ci.github_annotations(Comparison(base="a", candidate="b", findings=(hostile,)))
    assert "\n" not in line
    assert "two%0Alines" in line


def test_more_annotations_than_github_shows_are_counted():
    refused = replace(row(0, 0, 0), state="refused", verdict="")
    lines = list(ci.github_annotations(Comparison(base="a", candidate="b", findings=(refused,) * 13)))
    assert len(lines) == ci.MOST_ANNOTATIONS + 2
    assert lines[-2] == "::error::3 more rows: see the summary"


def test_the_step_summary_is_added_to_where_there_is_one(found, tmp_path):
    assert ci.write_step_summary(found, {}) is None
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    assert ci.write_step_summary(found, {"GITHUB_STEP_SUMMARY": str(file)}) == file
    assert file.read_text().startswith("before\n### ❌ Regression")


def test_settings_that_vary_are_said_with_the_method(tmp_path):
    both = [*accuracies(BASE[:1]), *accuracies(BASE[:1], budget="20 epochs")]
    for cell_, key in zip(both, ("a", "b"), strict=True):
        object.__setattr__(cell_, "key", key)
    again = compared(tmp_path, both, both)
    assert {line.method for line in wording.lines(again.findings, again)} == {"vae · 10 epochs", "vae · 20 epochs"}
