"""Films in the report: they move, they hold still where asked, and nothing lies outside the page."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import NEEDED, all_of, of_visible, one_of
from example_run import example_results, write_run
from PIL import Image

from harness.judging.films import animated
from harness.records import Picture
from harness.report import build
from harness.report.stills import still
from harness.store import RunFolder

ROWS, COLUMNS, T, SIDE = 3, 2, 6, 10


def film() -> bytes:
    values = torch.randint(256, (ROWS, COLUMNS, T, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    return animated(values.byte(), 2, 4.0)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory) -> Path:
    """The report of a run whose methods each have a film."""
    folder, results = tmp_path_factory.mktemp("filmed"), []
    for cell in example_results(folder, seeds=(0,), targets=("digits",)):
        if cell.evaluations:
            file = Path("artifacts") / cell.key / "prediction_film.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(film())
            picture = Picture(
                name="prediction_film", kind="film", file=str(file), caption="Test clips", columns=COLUMNS,
                row_names=("truth", "told", "copy"), heading="Films: frames that follow",
            )  # fmt: skip
            cell = replace(cell, evaluations=(replace(cell.evaluations[0], pictures=(picture,)), *cell.evaluations[1:]))
        results.append(cell)
    write_run(folder, results)
    build([RunFolder(folder)], folder)
    return folder


def embedded(page: str, kind: str) -> list[bytes]:
    found = re.findall(rf'<img class="pixels {kind}" src="data:image/png;base64,([^"]+)"', page)
    return [base64.b64decode(each) for each in found]


def test_the_page_holds_the_film_and_its_still(filmed: Path) -> None:
    page = (filmed / "index.html").read_text()
    assert page.count("<h2>Films: frames that follow</h2>") == 1
    moving, held = embedded(page, "moves"), embedded(page, "holds")
    assert len(moving) == len(held) > 1
    assert set(moving) == {film()}
    section = page.split("<h2>Films: frames that follow</h2>")[1].split("</section>")[0]
    assert re.findall(r"<span>(\w+)</span>", section)[:3] == ["truth", "told", "copy"]


def test_the_still_is_the_last_frame_and_does_not_move() -> None:
    with Image.open(io.BytesIO(film())) as moving, Image.open(io.BytesIO(still(film()))) as held:
        assert moving.n_frames == T + 1  # and the still one
        assert not getattr(held, "is_animated", False)
        alone = np.asarray(held)
        moving.seek(T)
        np.testing.assert_array_equal(alone, np.asarray(moving.convert("L")))
    assert still(still(film())) == still(film())
    assert still(b"no PNG") == b"no PNG"


def test_the_markdown_links_to_the_film(filmed: Path) -> None:
    markdown = (filmed / "report.md").read_text()
    (first, *_) = re.findall(r"!\[[^]]+\]\((artifacts/[^)]+prediction_film\.png)\)", markdown)
    assert (filmed / first).read_bytes() == film()
    assert "Rows from above: truth, told, copy." in markdown


def test_a_film_that_is_gone_is_named(filmed: Path, tmp_path: Path) -> None:
    results = RunFolder(filmed).load_cells()
    build([(results, tmp_path)], tmp_path)
    assert "prediction_film.png is missing" in (tmp_path / "index.html").read_text()


@NEEDED
class TestInABrowser:
    @pytest.fixture
    def page(self, browser, filmed: Path):
        browser.get((filmed / "index.html").as_uri())
        yield browser
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    @staticmethod
    def shown(page) -> set[str]:
        return set(of_visible(page, "img.moves, img.holds", "e.className.replace('pixels ', '')"))

    def test_films_move_until_they_are_held(self, page) -> None:
        assert self.shown(page) == {"moves"}
        size = of_visible(page, "img.moves", "[e.naturalWidth, e.naturalHeight, e.width / e.naturalWidth]")[0]
        assert size == [COLUMNS * (SIDE + 1) - 1, ROWS * (SIDE + 1) - 1, 6]
        one_of(page, ".hold-label").click()
        assert self.shown(page) == {"holds"}
        assert page.get_log("browser") == []

    def test_who_wants_no_motion_gets_stills_and_may_play_them(self, page) -> None:
        wish = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
        assert self.shown(page) == {"holds"}
        one_of(page, ".hold-label").click()
        assert self.shown(page) == {"moves"}

    def test_frames_follow_one_another(self, page) -> None:
        """What the browser draws of the film changes by itself."""
        image = all_of(page, "img.moves")[0]
        page.execute_script("arguments[0].scrollIntoView()", image)
        seen = {image.screenshot_as_base64 for _ in range(12)}
        assert len(seen) > 1

    def test_paper_has_stills(self, page) -> None:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
        assert self.shown(page) == {"holds"}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
