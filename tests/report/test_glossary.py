"""Each score of a page leads to a line that its own plugin wrote, and back; what is not installed leads nowhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from chromium import NEEDED, all_of, one_of
from example_run import HOSTILE

from harness.registry.explained import Explained
from harness.report.content import Run, gather
from harness.report.glossary import glossary
from harness.report.html import page


def content_of(results):
    return gather([Run(name="run", path=Path(), results=tuple(results), environment={}, request={})])


def renamed(results, old, new):
    """The same results, one evaluation called otherwise."""
    return [
        replace(result, evaluations=tuple(replace(e, evaluation=new) if e.evaluation == old else e
                                          for e in result.evaluations)) for result in results
    ]  # fmt: skip


class Anchors(HTMLParser):
    """The ids of a page, and where its links within it lead to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        if (tag == "a" and attributes.get("href", "#")[:1] == "#") or attributes.get("href", "").startswith("#"):
            self.links.append(attributes["href"][1:])


@pytest.fixture(scope="module")
def html(example):
    return (example / "index.html").read_text(encoding="utf-8")


def heads(html):
    """The heads of columns of scores, in all tables that rank, and those on what training gave and on gains."""
    tables = re.findall(r'<table class="ranked sorts.*?</thead>', html.partition('id="ranking"')[0], re.DOTALL)
    return [
        head for table in tables for head in re.findall(r'<th scope="col"(?! class="left").*?</th>', table, re.DOTALL)
    ]


def test_each_column_leads_to_the_line_of_its_score(html):
    found = heads(html)
    assert len(found) > 20
    lines = dict(re.findall(r'<dt id="(word-[^"]+)">.*?<dd>(.*?)</dd>', html))
    for head in found:
        (target,) = re.findall(r'<a class="what" href="#([^"]+)"', head)
        assert lines[target]
    probe = next(head for head in found if ">linear-probe<" in head)
    assert 'aria-label="What linear-probe accuracy is"' in probe
    assert "word-linear-probe-accuracy" in probe


def test_a_line_says_what_the_specification_says(html):
    from harness.registry import Registry

    spec = Registry().load("fid", ("evaluation",)).spec
    (score,) = (score for score in spec.scores if score.name == "frechet_distance")
    (line,) = re.findall(r'<dt id="word-fid-frechet_distance">.*?<dd>(.*?)</dd>', html)
    assert unescape(line) == f"{score.help} (squared feature distance, lower is better)"
    assert '<p class="lead">Fréchet, kernel and sliced Wasserstein distances of generated' in html


def test_all_scores_have_a_line_and_those_with_a_column_lead_back(html, results):
    content = content_of(results)
    found = glossary(content)
    told = {(name, term.score) for name, _, terms in found.evaluations for term in terms}
    shown = {(row.evaluation, row.score) for row in content.scores if row.evaluation != "training"}
    assert told == shown
    backs = {term.back for _, _, terms in found.evaluations for term in terms if term.back}
    assert len(backs) == len(content.comparisons[0].columns)
    for back in backs:
        assert f'<th scope="col" id="{back}">' in html
        assert f'<a href="#{back}"' in html


@pytest.mark.parametrize("case", ["as it is", "two labels", "not installed", "hostile", "a file"])
def test_links_have_their_targets_and_ids_are_unique(results, case):
    new = {
        "as it is": "knn", "two labels": "knn[k=3]", "not installed": "norms[order=2]", "hostile": HOSTILE,
        "a file": "./norms.py",
    }[case]  # fmt: skip
    anchors = Anchors(page(content_of(renamed(results, "knn", new))))
    assert [name for name, count in Counter(anchors.ids).items() if count > 1] == []
    assert [link for link in anchors.links if link not in anchors.ids] == []
    assert len(anchors.links) > 40


@pytest.mark.parametrize(
    "name", ["norms", "norms[order=2]", "some-package:norms", "./norms.py", "/tmp/norms.py", HOSTILE, "knn'"]
)
def test_an_evaluation_that_is_not_installed_has_no_line_and_no_link(results, name):
    content = content_of(renamed(results, "knn", name))
    found, html = glossary(content), page(content)
    assert "knn" not in {name for name, _, _ in found.evaluations}
    column = next(column for column in content.comparisons[0].columns if column.evaluation == name)
    assert found.id(column) == ""
    assert len(re.findall('class="what" href="#word-', html)) == len(re.findall(r'class="what"', html)) - 1
    assert "norms" not in html.partition('<section id="words">')[2].partition("</section>")[0]
    assert "<script>alert" not in html


def test_parameters_and_parts_of_the_labels_are_one_evaluation(results):
    again = renamed(results, "clustering", "knn[k=3]")
    found = glossary(content_of(again))
    (scores,) = ([term.score for term in terms] for name, _, terms in found.evaluations if name == "knn")
    assert len(scores) == len(set(scores)) > 2


def test_what_a_plugin_says_is_shown_and_not_obeyed(results, monkeypatch):
    told = {"knn": Explained(f"kNN {HOSTILE}", {"accuracy": HOSTILE})}
    monkeypatch.setattr("harness.report.glossary.explained", lambda names: told)
    html = page(content_of(results))
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html.partition('<section id="words">')[2]
    assert "<script>alert" not in html
    assert 'href="#word-linear-probe' not in html


def test_scores_whose_ids_would_be_the_same_have_two(results):
    content = content_of(results)
    one = content.scores[0]
    alike = tuple(replace(one, evaluation="knn", score=score) for score in ("a b", "a-b", "a%b"))
    found = glossary(replace(content, scores=alike), {"knn": Explained("", {})})
    (terms,) = (terms for _, _, terms in found.evaluations)
    assert [term.id for term in terms] == ["word-knn-a-b", "word-knn-a-b-2", "word-knn-a-b-3"]


def test_the_reports_own_words_are_those_that_are_there(results):
    words = dict(glossary(content_of(results), {}).words)
    assert {"gain", "random-init", "reference", "floor"} <= set(words)
    assert "half" not in words  # nothing was tuned
    assert "readout" not in words
    alone = [result for result in results if result.cell.kind != "reference"]
    assert not {"gain", "random-init", "reference"} & set(dict(glossary(content_of(alone), {}).words))
    noted = [
        replace(result, evaluations=tuple(replace(e, note="read at backbone, the best of 2 readouts on validation")
                                          for e in result.evaluations)) for result in results
    ]  # fmt: skip
    assert "readout" in dict(glossary(content_of(noted), {}).words)


@NEEDED
def test_the_keyboard_leads_there_and_back(browser, example):
    from selenium.webdriver.common.keys import Keys

    browser.get((example / "index.html").as_uri())
    first = all_of(browser, "#comparison .what")[0]
    target = first.get_attribute("href").partition("#")[2]
    first.send_keys(Keys.ENTER)
    at = "return document.querySelector(':target')"
    box_of = f"{at}.getBoundingClientRect().toJSON()"
    assert browser.execute_script(f"{at}.id") == target
    box = browser.execute_script(box_of)
    assert 0 <= box["top"] < box["bottom"] <= browser.execute_script("return innerHeight")
    back = one_of(browser, f"[id='{target}'] a")
    home = back.get_attribute("href").partition("#")[2]
    back.send_keys(Keys.ENTER)
    assert browser.execute_script(f"{at}.id") == home
    assert browser.execute_script(f"{at}.contains(arguments[0])", first)
    box = browser.execute_script(box_of)
    bar = browser.execute_script("return document.querySelector('.bar').getBoundingClientRect().bottom")
    assert box["top"] >= bar - 1  # not behind what sticks to the top
