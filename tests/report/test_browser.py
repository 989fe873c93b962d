"""The page in a real browser, from the disk: it loads in silence, sorts, filters, hides and prints."""

from __future__ import annotations

import base64
import re

import pytest
from chromium import NEEDED, all_of, of_visible, one_of

pytestmark = NEEDED


@pytest.fixture
def page(browser, example):
    browser.get((example / "index.html").as_uri())
    return browser


def texts(page, selector):
    return of_visible(page, selector, "e.textContent.trim()")


def series_shown(page, selector):
    return of_visible(page, selector, "e.dataset.series")


def column(page, number):
    """The values of a column of the table of all scores, from the first row to the last."""
    rows = "[...document.querySelectorAll('#all-scores tbody tr')]"
    return page.execute_script(f"return {rows}.map(r => r.cells[arguments[0]].dataset.value)", number)


def choose(page, name, text):
    from selenium.webdriver.support.ui import Select

    Select(one_of(page, f"#filters [name={name}]")).select_by_visible_text(text)


def index_of(page, label):
    return next(
        box.get_attribute("data-toggle")
        for box in all_of(page, "[data-toggle]")
        if box.find_element("xpath", "..").text == label
    )


def test_it_loads_without_a_word_on_the_console(page):
    assert "rotation on digits" in page.title
    assert page.get_log("browser") == []
    fetched = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_a_click_on_a_header_sorts_and_a_second_click_turns_it_around(page):
    header = one_of(page, "#all-scores th:nth-child(5)")
    header.find_element("tag name", "button").click()
    assert header.get_attribute("aria-sort") == "descending"
    down = [float(mean) for mean in column(page, 4)]
    assert down == sorted(down, reverse=True)
    header.find_element("tag name", "button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert [float(mean) for mean in column(page, 4)] == sorted(down)


def test_sorting_works_from_the_keyboard_and_empty_cells_go_last(page):
    from selenium.webdriver.common.keys import Keys

    button = one_of(page, "#all-scores th:nth-child(6) button")
    button.send_keys(Keys.ENTER)
    button.send_keys(Keys.ENTER)
    lows = column(page, 5)
    filled = [float(low) for low in lows if low]
    assert lows[len(filled) :] == [None] * (len(lows) - len(filled))
    assert filled == sorted(filled)
    assert len(all_of(page, "#all-scores th[aria-sort]")) == 1


def test_the_ranked_table_sorts_too(page):
    page.execute_script("document.querySelector('table.ranked th:nth-child(1) button').click()")
    names = texts(page, "table.ranked:first-of-type tbody th .name")[:7]
    assert names == sorted(names, key=str.lower)


def test_filters_reduce_the_rows_and_count_them(page):
    everything = len(texts(page, "#all-scores tbody tr"))
    choose(page, "evaluation", "knn")
    by_evaluation = texts(page, "#all-scores tbody tr td:nth-child(3)")
    assert set(by_evaluation) == {"knn"}
    choose(page, "target", "digits")
    one_of(page, "#filters [name=text]").send_keys("BALANCED")
    rows = texts(page, "#all-scores tbody tr")
    assert 0 < len(rows) < len(by_evaluation) < everything
    assert one_of(page, "#count").text == f"{len(rows)} of {everything} rows"
    assert all("balanced_accuracy" in row for row in rows)


def test_filtering_by_method_hides_its_series_in_tables_and_figures(page):
    vae = index_of(page, "vae")
    figures = ("figure[data-series]", "#ranking .series", "#cost .series")
    places = ("#all-scores tbody tr", "table.ranked tbody tr", *figures)
    before = [series_shown(page, place) for place in places]
    assert all(len(set(series)) > 1 for series in before)
    choose(page, "method", "vae")
    assert [set(series_shown(page, place)) for place in places] == [{vae}] * len(places)
    choose(page, "method", "all")
    assert [series_shown(page, place) for place in places] == before


def test_a_method_can_be_taken_away(page):
    jigsaw = index_of(page, "jigsaw[grid=3]")
    one_of(page, f"[data-toggle='{jigsaw}']").click()
    assert jigsaw not in series_shown(page, "tr[data-series], figure[data-series], g.series")
    assert index_of(page, "vae") in series_shown(page, "tr[data-series]")
    one_of(page, "#all").click()
    assert jigsaw in series_shown(page, "tr[data-series]")


@pytest.mark.parametrize("width", [1280, 520])
def test_nothing_sticks_out_to_the_side(page, width):
    page.set_window_size(width, 900)
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    page.set_window_size(1280, 900)


def test_on_a_laptop_the_ranked_tables_need_no_scrolling(page):
    assert page.execute_script(
        "return [...document.querySelectorAll('#comparison .scroll')].every(e => e.scrollWidth <= e.clientWidth)"
    )


def test_small_pictures_are_scaled_by_whole_factors(page):
    factors = of_visible(page, "img.pixels", "e.width / e.naturalWidth")
    assert factors
    assert all(factor >= 2 and factor == int(factor) for factor in factors)


def test_words_stand_under_images_and_beside_rows(page):
    """Each image with a text is drawn from its place in the sheet: as large as the others, and above its text."""
    boxes = of_visible(page, ".cells li", "[...e.children].map(c => c.getBoundingClientRect().toJSON())")
    assert len(boxes) == 2 * 4 * 12
    for image, text in boxes:
        assert (image["width"], image["height"]) == (96, 96)
        assert image["bottom"] <= text["top"] < text["bottom"]
    drawn = of_visible(page, ".cells use", "e.getBBox().width")
    assert set(drawn) == {12 * 9 - 1}
    assert set(of_visible(page, ".cells svg", "getComputedStyle(e).overflow")) == {"hidden"}  # not the whole sheet
    tops = "[...e.parentElement.querySelectorAll('span')].map(s => s.getBoundingClientRect())"
    places = of_visible(
        page, ".rows img", f"[e.getBoundingClientRect().toJSON(), {tops}.map(b => (b.top + b.bottom) / 2)]"
    )
    assert places
    for image, middles in places:
        middle = [image["top"] + (row + 0.5) * image["height"] / 4 for row in range(4)]
        assert all(abs(one - two) < 6 for one, two in zip(middle, middles, strict=True))


def pages(page):
    """The number of pages of paper."""
    pdf = base64.b64decode(page.print_page())
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))


@pytest.fixture
def paper(page):
    """The page as a printer sees it, with what happens before it prints."""
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    yield page
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


LONG = "#scores, #provenance, #missing details"


def visible(page, selector):
    return len(of_visible(page, selector, "true"))


def test_long_tables_are_not_on_paper(paper):
    assert visible(paper, LONG) == 0
    assert visible(paper, ".bar, .contents, .filters, .what, .hold-label, #words a, #words .more") == 0
    for selector in ("h1", ".reading", "#comparison table.ranked", "#ranking svg", ".pictures img", "#words dt"):
        assert visible(paper, selector), selector
    assert visible(paper, "#how-to-read li") > 4
    assert visible(paper, "#missing") == 1  # something failed


def test_they_are_where_they_are_asked_for(page):
    before = pages(page)
    page.execute_script("document.getElementById('in-print').click()")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert visible(page, "#scores, #provenance") == 2
    assert visible(page, "#all-scores tbody tr") == len(all_of(page, "#all-scores tbody tr"))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert pages(page) > before + 3


def test_nothing_that_fits_on_a_page_is_cut(paper):
    def style(selector, name):
        return set(of_visible(paper, selector, f"getComputedStyle(e).{name}"))

    whole = "figure, tbody tr, table.ranked, main > section:not(#comparison):not(.pictures), section.pictures"
    assert style(whole, "breakInside") == {"avoid"}
    assert style("h2, h3, caption, .lead", "breakAfter") == {"avoid"}
    assert style("thead", "display") == {"table-header-group"}
    buttons = "[...document.querySelectorAll('#comparison thead button')].map(e => getComputedStyle(e).display)"
    assert set(paper.execute_script(f"return {buttons}")) == {"contents"}  # a button is not repeated on the next page
    height = 210 / 25.4 * 96 - 2 * 12 / 25.4 * 96  # of A4 across, in its margins, in pixels
    assert style(".cells li", "breakInside") == {"avoid"}  # of words under images there may be pages
    assert max(of_visible(paper, "figure:not(.worded)", "e.getBoundingClientRect().height")) < height


def test_links_are_no_noise_on_paper(paper):
    assert set(of_visible(paper, "a", "getComputedStyle(e).textDecorationLine")) <= {"none"}
    shown = of_visible(paper, "a", "getComputedStyle(e, '::after').content")
    assert set(shown) <= {"none", "normal"}
