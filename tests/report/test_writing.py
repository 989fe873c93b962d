"""The files of a report: complete, self-contained, escaped; for one run, for several, and for poor ones."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_run import HEADINGS, HOSTILE, METHODS, example_results, write_run
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from harness.cli.report import report
from harness.errors import RequestError
from harness.records import CurvePoint, Picture, Request
from harness.report import build, notebook_html, table, terminal_table
from harness.report.figures import _mean_points
from harness.report.frame import read_frame, tidy_frame
from harness.report.html import request_lines
from harness.report.series import labelled, with_series
from harness.report.tables import troubles
from harness.sealed import dump_sealed
from harness.store import RunFolder

VOID = {"meta", "link", "img", "input", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed or closed twice."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.links = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(folder):
    return (folder / "index.html").read_text()


def test_all_files_are_written_and_the_frame_is_the_results(example, results):
    frame = read_frame(example / "results.parquet")
    assert frame.equals(labelled(tidy_frame(results, "example")))
    assert frame.equals(read_frame(example / "results.csv"))


def test_the_page_is_one_file_that_asks_for_nothing(example):
    parsed = Balanced(page_of(example))
    assert all(link.startswith(("#", "data:")) for link in parsed.links)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", page_of(example))
    assert (example / "index.html").stat().st_size < 1_500_000


def test_ids_are_unique_and_every_reference_has_its_target(example):
    page = page_of(example)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)) >= {("missing", "")}
    assert {first or second for first, second in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)} <= set(ids)


def test_what_a_run_says_is_escaped(example):
    assert "<script>alert" not in page_of(example)
    assert "&lt;script&gt;alert" in page_of(example)
    markdown = (example / "report.md").read_text()
    assert "<script>" not in markdown
    assert "\\| piped" in markdown


def test_everything_promised_is_on_the_page(example):
    page = page_of(example)
    for heading in (
        "Comparison", "with intervals", "Leading score against training cost",
        "Training curves", "Reconstructions", "Samples", "Asked for in words", "Interpolation", "Map of the features",
        "All scores",
        "What gave no number", "Where the numbers come from",
    ):  # fmt: skip
        assert re.search(rf"<h2>[^<]*{heading}", page), heading
    assert "harness bench --plugins vae,jigsaw,rotation" in page
    assert "digest-of-vae" in page
    assert "target resized from 28x28x1 to 8x8x1" in page
    assert page.count("data:image/png;base64") == 8  # four pictures of the VAE on two targets, of the first seed
    assert "uses labels" in page
    assert "k-means met an empty cluster" in page


def test_pictures_come_in_their_order_each_with_its_words(example):
    page = page_of(example)
    headings = [HEADINGS[name][0] for name in ("reconstructions", "samples", "captions", "interpolation", "map")]
    assert [page.count(f"<h2>{text}</h2>") for text in headings] == [1] * 5
    assert sorted(headings, key=lambda text: page.index(f"<h2>{text}</h2>")) == headings
    section = page.split(f"<h2>{HEADINGS['captions'][0]}</h2>")[1].split("</section>")[0]
    cells = re.findall(r'<svg viewBox="(\d+) (\d+) 8 8"[^>]*><use href="#([^"]+)"/></svg><span>([^<]*)</span>', section)
    assert len(cells) == 2 * 4 * 12
    assert (*cells[13][:2], cells[13][3]) == ("9", "9", "the digit 3\n✓")  # second row, second column
    assert len({sheet for _, _, sheet, _ in cells}) == 2
    assert section.count("Asked for in words. First seed") == 1  # a caption that all share is said once
    rebuilt = page.split(f"<h2>{HEADINGS['reconstructions'][0]}</h2>")[1].split("</section>")[0]
    assert re.findall(r"<span>([a-z ]+)</span>", rebuilt)[:4] == ["test image", "came back", "another", "came back"]
    markdown = (example / "report.md").read_text()
    assert "Rows from above: test image, came back, another, came back." in markdown
    assert "14. the digit 3 ✓" in markdown


def test_a_picture_smaller_than_its_words_is_shown_whole(tmp_path):
    def crowded(evaluation):
        few = [replace(p, columns=4000) if p.texts else p for p in evaluation.pictures]
        return replace(evaluation, pictures=tuple(few))

    results = [replace(r, evaluations=tuple(map(crowded, r.evaluations))) for r in few(tmp_path, seeds=(0,))]
    build([(results, tmp_path)], tmp_path / "out")
    page = page_of(tmp_path / "out")
    Balanced(page)
    assert 'alt="captions of vae on digits"' in page


def test_figures_are_xml_and_carry_their_series(example):
    figures = sorted((example / "figures").glob("*.svg"))
    assert len(figures) == 2 + 1 + 4 + 2 * len(METHODS)
    for figure in figures:
        ElementTree.fromstring(figure.read_text())
    ranking = (example / "figures" / "ranking-digits-digits.svg").read_text()
    assert set(re.findall(r'data-series="(\d+)"', ranking)) == {str(i) for i in range(len(METHODS))}


def test_markdown_links_lead_to_files(example):
    markdown = (example / "report.md").read_text()
    links = re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", markdown)
    assert len(links) == 2 + 1 + 4 + 2 * len(METHODS) + 8
    assert all((example / link).is_file() for link in links)


def test_markdown_tables_are_regular(example):
    for block in re.findall(r"(?:^\|.*\n)+", (example / "report.md").read_text(), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_a_report_made_again_is_the_same(example, tmp_path):
    before = page_of(example), (example / "report.md").read_text()
    build([RunFolder(example)], example)
    assert (page_of(example), (example / "report.md").read_text()) == before


def test_a_report_of_less_leaves_nothing_of_the_earlier_one_but_what_is_not_its_own(example, tmp_path):
    """Made outside the run's folder, so that pictures are copied."""
    run = RunFolder(example)
    half = [result for result in run.load_cells() if result.cell.method.name in ("vae", "random-init")]
    again, fresh = tmp_path / "again", tmp_path / "fresh"
    build([run], again)
    more = {file.name for file in again.rglob("*.*")}
    for folder in ("figures", "pictures"):
        (again / folder / "mine.svg").write_text("kept")
    build([(half, example)], again)
    build([(half, example)], fresh)
    left = {file.relative_to(again) for file in again.rglob("*.*")}
    expected = {file.relative_to(fresh) for file in fresh.rglob("*.*")}
    assert len(expected) < len(more)
    assert left == expected | {Path("figures/mine.svg"), Path("pictures/mine.svg")}


def test_an_earlier_report_names_no_file_outside_the_folder(example, tmp_path):
    theirs = tmp_path / "theirs.svg"
    theirs.write_text("kept")
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "report.md").write_text("![](figures/..%2F..%2Ftheirs.svg) ![](figures/..%2Fmine.svg)")
    build([RunFolder(example)], tmp_path / "out")
    assert theirs.read_text() == "kept"


def few(folder, **which):
    """Two methods of the example: enough for what is about something else."""
    return [r for r in example_results(folder, **which) if r.cell.method.name in ("vae", "random-init")]


@pytest.mark.parametrize("targets", [("digits",), ("digits", "noisy-digits")])
def test_no_transfer_table_where_little_is_transferred(tmp_path, targets):
    build([(few(tmp_path, seeds=(0,), targets=targets), tmp_path)], tmp_path)
    assert "Transfer" not in page_of(tmp_path)
    Balanced(page_of(tmp_path))


def test_runs_that_differ_are_merged_with_a_notice(tmp_path):
    for name, torch in (("one", "2.9.0"), ("two", "2.10.0")):
        write_run(tmp_path / name, few(tmp_path / name, torch=torch, targets=("digits",)))
    build([RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")], tmp_path / "both")
    page = page_of(tmp_path / "both")
    assert re.search(r'id="notice">.*they differ in torch\.', page)
    assert "vae · two" in page
    frame = read_frame(tmp_path / "both" / "results.csv")
    assert len(frame) == sum(len(tidy_frame(RunFolder(tmp_path / name).load_cells())) for name in ("one", "two"))
    links = re.findall(r"\]\((pictures/[^)]+)\)", (tmp_path / "both" / "report.md").read_text())
    assert links
    assert all((tmp_path / "both" / link).is_file() for link in links)


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    for run in runs:
        write_run(run, few(run, seeds=(0,), targets=("digits",)))
    build([RunFolder(run) for run in runs], tmp_path / "out")
    assert set(read_frame(tmp_path / "out" / "results.parquet")["run"]) == {"a/run", "b/run"}


@pytest.mark.parametrize("keep", [("pixels",), ("vae",), ("random-init", "supervised")])
def test_a_run_with_little_in_it(tmp_path, keep):
    results = [r for r in example_results(tmp_path, seeds=(0,)) if r.cell.method.name in keep]
    build([(results, tmp_path)], tmp_path / "out")
    Balanced(page_of(tmp_path / "out"))


def test_a_run_in_which_everything_failed(tmp_path):
    results = [r for r in example_results(tmp_path) if r.training.status == "failed"]
    build([(results, tmp_path)], tmp_path / "out")
    assert "not finite" in page_of(tmp_path / "out")
    Console(width=80).print(terminal_table(results))


def test_a_missing_picture_is_named(tmp_path):
    def without(evaluation):
        gone = Picture(name="samples", kind="image", file="artifacts/gone.png", caption="gone")
        return replace(evaluation, pictures=(gone,) if evaluation.pictures else ())

    results = [replace(r, evaluations=tuple(map(without, r.evaluations))) for r in few(tmp_path, seeds=(0,))]
    build([(results, tmp_path)], tmp_path / "out")
    assert "artifacts/gone.png is missing" in page_of(tmp_path / "out")


def test_names_from_elsewhere_do_no_harm(tmp_path):
    results = [
        replace(r, cell=replace(r.cell, method=replace(r.cell.method, name=f"{r.cell.method.name}$_{{{HOSTILE}/..")))
        for r in few(tmp_path, seeds=(0,), targets=("digits",))
    ]
    build([(results, tmp_path)], tmp_path / "out")
    Balanced(page_of(tmp_path / "out"))
    assert "<script>alert" not in page_of(tmp_path / "out")
    assert all(figure.parent.name == "figures" for figure in (tmp_path / "out").rglob("*.svg"))


def test_nothing_to_report_is_one_line(tmp_path):
    (tmp_path / "cells").mkdir()
    with pytest.raises(RequestError, match="holds no finished cell: run `harness bench` first"):
        build([RunFolder(tmp_path)], tmp_path)


def test_notebook_fragment(results):
    fragment = notebook_html(results)
    Balanced(fragment)
    assert "<script" not in fragment
    assert re.search(r"<td>0\.\d{3} worse<br>", fragment)


@pytest.mark.parametrize("width", [40, 70, 100, 200])
def test_terminal_table_fits_its_width(results, width):
    console = Console(width=width, record=True, force_terminal=False, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(terminal_table(results))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= min(width, 160)
    text = " ".join(lines)
    assert "rotation" in text
    if width >= 70:
        assert "+0.078 (p < 0.001)" in text
        assert "also in the report" in text


def test_table_reaches_notebooks(results):
    assert set(table(results)["method"]) >= {"vae", "rotation"}


@pytest.fixture
def command():
    app = Typer()
    app.command()(report)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_command_makes_the_report_of_one_run_in_place(command, tmp_path):
    write_run(tmp_path / "run", few(tmp_path / "run", seeds=(0,), targets=("digits",)))
    found = command(tmp_path / "run")
    assert found.output.strip() == f"Report: {(tmp_path / 'run' / 'index.html').resolve().as_uri()}"
    assert (tmp_path / "run" / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist: give a folder that `harness bench` made"),
        (["empty"], "is no run: give a folder"),
        (["run", "other"], "2 runs need a folder for their report: add --out DIR"),
        (["run", "run", "--out", "out"], "the same run is given twice"),
        (["run"], "holds no finished cell"),
    ],
)
def test_command_errors_are_one_helpful_line(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "run/cells", "other/cells"):
        (tmp_path / folder).mkdir(parents=True)
    error = command(*arguments).exception
    assert isinstance(error, RequestError)
    assert message in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["clips", "texts"])
def test_a_report_of_clips_or_texts_never_says_images(kind, tmp_path):
    """In the sentences of the report itself; scores and captions are the words of evaluations."""
    results = [
        replace(
            result,
            training=replace(result.training, counted=kind),
            evaluations=tuple(
                replace(one, pictures=()) for one in result.evaluations if one.evaluation in ("linear-probe", "knn")
            ),
        )
        for result in example_results(tmp_path)
    ]
    run = RunFolder(write_run(tmp_path / "run", results))
    build([run], tmp_path / "report")
    page, markdown = page_of(tmp_path / "report"), (tmp_path / "report" / "report.md").read_text()
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table(results))
    assert f"all that learn from {kind} alone" in page
    assert f"held-out test {kind}; whatever had to be chosen was chosen on validation {kind}" in page
    assert f"sees labels in training, beside {kind}" in page
    assert f"{kind} seen" in page  # below the training curves
    assert f"marked among all that see {kind} alone" in markdown
    assert f"among all that see {kind} alone" in " ".join(console.export_text().split())
    for text in (re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL), markdown):
        assert "image" not in re.sub(r"<[^>]*>", "", text)


def test_pictures_that_are_the_same_for_all_methods_are_shown_once(tmp_path):
    """Where they say so, and only if they are; a heading that nobody said is the name."""
    results = [result for result in example_results(tmp_path) if result.cell.method.name in ("vae", "pca")]
    real, own = (replace(_picture(tmp_path, results), name=name, heading="") for name in ("some_real", "own"))

    def judged(result):
        first = replace(result.evaluations[0], pictures=(replace(real, shared=True), own))
        return replace(result, evaluations=(first,))

    run = RunFolder(write_run(tmp_path, [judged(result) for result in results]))
    build([run], tmp_path / "report")
    markdown = (tmp_path / "report" / "report.md").read_text()
    assert markdown.index("## Own") < markdown.index("## Some real")
    assert (markdown.count("![vae on digits"), markdown.count("![pca on digits")) == (2, 1)


def test_what_all_share_stands_beside_what_has_its_heading(tmp_path):
    results = [result for result in example_results(tmp_path) if result.cell.method.name in ("vae", "pca")]
    real, own = (replace(_picture(tmp_path, results), name=name, heading="Samples") for name in ("real", "own"))

    def judged(result):
        shown = (replace(real, shared=True, place=2, caption="Test images"), replace(own, place=1, caption="As drawn"))
        return replace(result, evaluations=(replace(result.evaluations[0], pictures=shown),))

    build([RunFolder(write_run(tmp_path, [judged(result) for result in results]))], tmp_path / "report")
    page = page_of(tmp_path / "report")
    section = page.split("<h2>Samples</h2>")[1].split("</section>")[0]
    figures = section.split("<figure")[1:]
    assert ["data-series" in figure.split(">")[0] for figure in figures] == [True, True, False]  # it cannot be hidden
    assert "Test images (digits, seed 0)" in figures[2]
    assert section.count("As drawn") == 1  # the caption of all the others


def test_a_suite_says_what_its_report_is_called_and_asks(tmp_path):
    results = example_results(tmp_path)
    run = RunFolder(write_run(tmp_path, results))
    request = Request(title="Does <b>order</b> help?", question="Jigsaw or nothing\x1b[31m: which transfers?")
    run.write_request(request, run.environment(), [result.key for result in results])
    build([run], tmp_path / "report")
    page, markdown = page_of(tmp_path / "report"), (tmp_path / "report" / "report.md").read_text()
    assert "<h1>Does &lt;b&gt;order&lt;/b&gt; help?</h1>" in page
    assert "Jigsaw or nothing" in page.split("</h1>")[1].split("</p>")[0]
    assert "\x1b" not in page + markdown
    assert markdown.startswith("# Does ")
    assert "*Jigsaw or nothing" in markdown


def test_a_picture_that_other_labels_do_not_change_is_shown_once(tmp_path):
    results = [result for result in example_results(tmp_path) if result.cell.method.name == "vae"]
    own = replace(_picture(tmp_path, results), name="own", heading="Own")

    def judged(result):
        first = replace(result.evaluations[0], pictures=(own,))
        targets = ("digits", "digits[label=parity]", "noisy-digits")
        return replace(result, evaluations=tuple(replace(first, target=target) for target in targets))

    build([RunFolder(write_run(tmp_path, [judged(result) for result in results]))], tmp_path / "report")
    section = page_of(tmp_path / "report").split("<h2>Own</h2>")[1].split("</section>")[0]
    assert section.count("<figure") == 2


def _picture(folder, results):
    pictures = [picture for result in results for one in result.evaluations for picture in one.pictures]
    return next(picture for picture in pictures if picture.kind == "image")


def test_what_the_monitor_saw_is_one_line_for_each_method_and_says_that_it_chose_nothing(tmp_path):
    def seen(result):
        if not result.training.curve or result.cell.method.name == "rotation":
            return result
        values = (0.5, 0.6 + result.cell.seed / 10)
        points = [CurvePoint(examples=n * 100, seconds=n, scalars={"kNN accuracy": v}) for n, v in enumerate(values)]
        return replace(result, training=replace(result.training, monitor=tuple(points)))

    results = [seen(result) for result in example_results(tmp_path / "run")]
    build([RunFolder(write_run(tmp_path / "run", results))], tmp_path / "report")
    (drawing,) = (tmp_path / "report" / "figures").glob("monitor-*.svg")
    labels = {name for name in METHODS if f">{name}" in drawing.read_text()}
    trained = {result.cell.method.name for result in results if result.training.curve}
    assert labels == trained - {"rotation"}
    parsed = page_of(tmp_path / "report")
    Balanced(parsed)
    for text in (parsed, (tmp_path / "report" / "report.md").read_text()):
        assert "nothing was chosen by it" in text
        assert "Along training" in text


def test_points_of_the_monitor_are_means_over_the_seeds_that_have_them():
    def points(*values):
        return [CurvePoint(examples=n * 10, seconds=n, scalars={"kNN accuracy": v}) for n, v in enumerate(values)]

    means = list(_mean_points([points(0.5, 0.75), points(0.25, 0.25, 1.0)]))
    assert means == [(0, 0.375), (10, 0.5), (20, 1.0)]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("harness bench --plugins vae --out /home/me/runs/a --seeds 2", "harness bench --plugins vae --seeds 2"),
        ("harness bench --data-dir='/my data' --out '/my runs/b'", "harness bench"),
        ("harness bench --plugins ./out.py", "harness bench --plugins ./out.py"),
    ],
)
def test_a_command_is_told_without_the_places_of_one_machine(results, tmp_path, command, told):
    folder = write_run(tmp_path / "run", results)
    (folder / "environment.json").write_bytes(dump_sealed({"command": command, "torch": "2"}))
    build([RunFolder(folder)], tmp_path / "out")
    assert f"    {told}\n" in (tmp_path / "out" / "report.md").read_text()
    assert "/my " not in page_of(tmp_path / "out")
    assert "/home/me" not in page_of(tmp_path / "out")


SMALLEST = {"plugins": ["vae"], "seeds": [0, 1], "targets": [], "most_seeds": 0, "threads": 1, "compile": False}


def test_of_a_request_stands_what_was_asked() -> None:
    assert dict(request_lines(SMALLEST)) == {"plugins": "vae", "seeds": "0, 1", "threads": "1"}
    assert dict(request_lines({**SMALLEST, "seeds": list(range(9)), "most_seeds": 9}))["seeds"] == "auto:9"


def test_parts_of_a_request_say_what_they_share_once_and_what_is_their_own() -> None:
    """What stands beside the parts is the default of a key that no part may have asked for."""
    parts = [SMALLEST, {**SMALLEST, "plugins": ["gan", "vae"], "targets": ["shapes"]}]
    assert list(request_lines({**SMALLEST, "plugins": ["jigsaw"], "parts": parts})) == [
        ("seeds", "0, 1"), ("threads", "1"), ("part 1: plugins", "vae"), ("part 2: plugins", "gan, vae"),
        ("part 2: targets", "shapes"),
    ]  # fmt: skip


def test_a_legend_speaks_of_what_is_shown(example, tmp_path):
    """With one seed nothing is said of marks or of seeds; words below scores are explained where they stand."""
    of_many = (example / "index.html").read_text().partition("How to read this")[2].partition("</details>")[0]
    for word in ("the mean over seeds", "<strong>worse</strong>", "<em>floor</em>", "<em>chance</em>", "never ranked"):
        assert word in of_many
    assert "<em>copy</em>" not in of_many
    out = tmp_path / "out"
    build([(few(tmp_path, seeds=(0,), targets=("digits",)), tmp_path)], out)
    legend = (out / "index.html").read_text().partition("How to read this")[2].partition("</details>")[0]
    assert "A score is of one seed: its 95 % interval speaks of new test images alone" in legend
    assert "mean over seeds" not in legend
    assert "<strong>worse</strong>" not in legend
    text = (out / "report.md").read_text()
    assert "One seed, 95 % interval over test images: it says nothing of other seeds, and nothing is marked." in text
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table([result for result in RunFolder(example).load_cells() if result.cell.seed == 0]))
    assert "* best" not in console.export_text()


def test_what_gave_no_number_on_several_sources_is_one_line(results):
    def on(source):
        return [
            replace(r, key=f"{r.key}-{source}", cell=replace(r.cell, source=replace(r.cell.source, name=source)))
            for r in results
        ]

    frame, series = with_series(tidy_frame([*on("digits"), *on("mnist")]))
    found = [t for t in troubles(frame, series) if t.series.method == "vae" and t.what == "pretext"]
    assert [(t.where, t.seeds) for t in found] == [
        ("digits → digits, noisy-digits; mnist → digits, noisy-digits", (0, 1, 2))
    ]


def test_the_meaning_of_costs_is_said_once(example):
    for name in ("index.html", "report.md"):
        assert (example / name).read_text().count("A crop or a tile of any size is one input.") == 1
