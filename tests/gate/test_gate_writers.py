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


def of_runner(line: str) -> tuple[str, dict[str, str], str]:
    """What actions/runner reads of a line: kind, properties, message (ActionCommand.TryParseV2)."""
    assert line.startswith("::")
    head, _, data = line[2:].partition("::")
    kind, _, rest = head.partition(" ")
    properties = dict(each.split("=", 1) for each in rest.strip().split(",") if each)

    def plain(text: str, *marks: tuple[str, str]) -> str:
        for mark, meant in (("%0D", "\r"), ("%0A", "\n"), *marks, ("%25", "%")):
            text = text.replace(mark, meant)
        return text

    return kind, {k: plain(v, ("%3A", ":"), ("%2C", ",")) for k, v in properties.items()}, plain(data)


@pytest.mark.parametrize("text", ["a: b, c", "100 %", "%0A", "::error::x", "title=y,file=z", "x\r\ny", ""])
def test_the_runner_reads_what_was_meant(text):
    place = Place(method=text, evaluation="knn", source="digits", target="digits")
    refused = Finding(place=place, score="accuracy", gated=True, state="refused", why=text)
    (line, _) = ci.github_annotations(Comparison(base="a", candidate="b", findings=(refused,)))
    assert len(line.splitlines()) == 1
    assert of_runner(line) == ("error", {"title": refused.name}, wording.sentence(refused, 0.9))


def test_what_is_too_long_is_cut_before_it_is_escaped():
    long = replace(row(0, 0, 0), state="refused", verdict="", why="%" * 9000)
    long = replace(long, place=replace(long.place, method="," * 400))
    (line, _) = ci.github_annotations(Comparison(base="a", candidate="b", findings=(long,)))
    _, properties, message = of_runner(line)
    assert (len(properties["title"]), len(message)) == (ci.MOST_TITLE, ci.MOST_MESSAGE)
    assert (set(properties["title"]), message[-2:]) == ({",", "…"}, "%…")


@pytest.mark.parametrize("policy", ["warn", "fail"])
def test_no_more_annotations_than_github_shows_and_the_last_counts_the_rest(policy):
    refused = replace(row(0, 0, 0), state="refused", verdict="")
    worse = replace(refused, state="compared", verdict="worse")
    open_ = row(0, -0.1, 0.1)
    findings = ((refused,) * 8, (open_,) * 13, (worse,) * 3)
    found = Comparison(base="a", candidate="b", findings=sum(findings, ()), policy=policy)
    read = [of_runner(line) for line in ci.github_annotations(found)]
    kinds = [kind for kind, _, _ in read]
    assert max(map(kinds.count, kinds)) == ci.MOST_ANNOTATIONS
    rest = 15 if policy == "fail" else 2  # 24 of which 9 are shown, or 11
    assert read[9] == ("error", {"title": "harness"}, f"{rest} more rows: see the summary")
    assert kinds.count("warning") == (0 if policy == "fail" else ci.MOST_ANNOTATIONS)
    assert ["worse" in message for _, _, message in read[:4]] == [True, True, True, False]


def test_ten_annotations_are_all_shown():
    refused = replace(row(0, 0, 0), state="refused", verdict="")
    lines = list(ci.github_annotations(Comparison(base="a", candidate="b", findings=(refused,) * 10)))
    assert len(lines) == 11
    assert "more rows" not in "".join(lines)


def test_a_summary_has_as_many_rows_as_fit():
    many = Comparison(base="a", candidate="b", findings=(replace(row(0, 0, 0), state="refused", verdict=""),) * 200)
    whole = markdown(many)
    assert ci.fitting(many, len(whole.encode())) == whole
    for room in (len(whole.encode()) - 1, 4000):
        text = ci.fitting(many, room)
        shown = text.count("| 🚫 |")
        assert f"{200 - shown} more rows" in text
        assert len(text.encode()) <= room < len(markdown(many, most=shown + 1).encode())
    assert ci.fitting(many, 100) == "### 🚫 Cannot compare: of 200 gated rows 200 not comparable."
    assert ci.fitting(many, 10) == ""


def test_a_summary_that_has_something_already_stays_within_what_github_takes(tmp_path):
    file = tmp_path / "summary.md"
    file.write_text("x" * (ci.MOST_SUMMARY - 3000))
    many = Comparison(base="a", candidate="b", findings=(replace(row(0, 0, 0), state="refused", verdict=""),) * 99)
    ci.write_step_summary(many, {"GITHUB_STEP_SUMMARY": str(file)})
    assert ci.MOST_SUMMARY - 3000 < file.stat().st_size <= ci.MOST_SUMMARY


def test_a_version_cannot_leave_its_code(found):
    assert "`a'<img>'b` against `main`" in markdown(replace(found, candidate="a`<img>`\nb".replace("\n", "")))


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
