"""The ranked tables for a paper: whole LaTeX, the report's numbers, the best in bold, strangers' text as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pandas as pd
import pytest
from example_run import HOSTILE, compare, example_results, rows_of, write_run

import harness
from harness.errors import RequestError
from harness.gate.exports import latex as exported
from harness.gate.sides import load_side
from harness.report.latex import escaped, latex
from harness.report.numbers import plus_minus
from harness.report.summary import table

ODD = "_%&#$\\{}~^"  # what LaTeX does not take literally


def tabulars(text: str) -> list[tuple[list[str], list[list[str]]]]:
    """The heads of the columns and the rows of each tabular; fails where a row is not as wide as its columns."""
    found = []
    for layout, body in re.findall(r"\\begin\{tabular\}\{(l?r*)\}\n(.*?)\\end\{tabular\}", text, re.S):
        assert [body.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        parts = [cells_of(part, len(layout)) for part in body.split("\\midrule")]
        found.append(([" ".join(filter(None, lines)) for lines in zip(*parts[0], strict=True)], parts[1]))
    return found


def cells_of(part: str, width: int) -> list[list[str]]:
    rows = []
    for line in part.split("\n"):
        if line and not line.endswith("rule"):
            assert line.endswith(r" \\")
            cells = []
            for cell in re.split(r"(?<!\\) & ", f" {line}".removesuffix(r" \\")):
                span = re.fullmatch(r"\s*\\multicolumn\{(\d+)\}\{c\}\{(.*)\}\s*", cell)
                cells += [span[2]] * int(span[1]) if span else [cell.strip()]
            assert len(cells) == width, line
            rows.append(cells)
    return rows


def whole(text: str) -> str:
    """The text, whose environments, braces and dollars must be balanced, and nothing in it beyond ASCII."""
    open_ones: list[str] = []
    for word, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if word == "begin":
            open_ones.append(name)
        else:
            assert open_ones.pop() == name
    assert not open_ones
    plain = re.sub(r"\\[\\{}$%&#_]", "", "\n".join(text.splitlines()[1:]))
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert not re.search(r"[%#]", plain)
    assert text.isascii()
    return text


def test_one_table_for_each_dataset_in_the_order_and_with_the_numbers_of_the_report(results):
    text = whole(latex(compare(results)))
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.S)
    frame = table(results)
    assert [part.partition("caption{")[2].partition(":")[0] for part in tables] == [
        "digits",
        r"digits $\to$ noisy-digits",
    ]
    for part, comparison in zip(tables, compare(results), strict=True):
        (_, first), *others = tabulars(part)
        here = frame[frame["target"] == comparison.target]
        names = [re.sub(r"\\textit\{(.*?)\}.*", r"\1", row[0]) for row in first]
        assert names == list(here["method"])
        assert sum(len(head) - 1 for head, _ in tabulars(part)) == len(comparison.columns)
        shown = {cell for rows in (first, *(rows for _, rows in others)) for row in rows for cell in row[1:]}
        for row in comparison.rows:
            for entry, digits in zip(row.entries, comparison.digits, strict=True):
                if entry.estimate:
                    value = plus_minus(entry.estimate, digits).replace("\u00a0", "~").replace("±", r"$\pm$")
                    assert any(value.replace("−", "$-$") in cell for cell in shown)


def test_the_best_of_a_column_is_bold_by_its_direction(results):
    """Against the means of the frame: references that saw labels are not ranked, nor is what has no direction."""
    text = latex(compare(results))
    frame = table(results)
    here = frame[(frame["target"] == "digits") & (frame["method"] != "supervised")].set_index("method")
    bold = {}
    for heads, rows in tabulars(text.partition(r"\end{table}")[0]):
        for place, head in enumerate(heads[1:], 1):
            bold[head] = [row[0] for row in rows if r"\textbf" in row[place]]
    best = here["linear-probe accuracy"].idxmax()
    assert bold[r"linear-probe accuracy $\uparrow$ (fraction)"] == [best] == ["rotation"]
    assert bold[r"reconstruction psnr $\uparrow$ (dB)"] == [here["reconstruction psnr"].idxmax()] == ["vae"]
    assert bold[r"fid frechet distance $\downarrow$ (squared feature distance)"] == []  # the one row there is
    assert bold["representation rankme (dimensions, not ranked)"] == []
    assert bold[r"throughput encode images per second $\uparrow$ (images/s, not ranked)"] == []
    assert len(bold) == 8


def test_where_less_is_better_the_least_is_bold_and_what_prints_alike_is_alike(results):
    (comparison, *_) = compare(results)
    i = next(i for i, column in enumerate(comparison.columns) if column.name == "knn accuracy")
    turned = tuple(replace(c, better="lower") if n == i else c for n, c in enumerate(comparison.columns))
    text = latex([replace(comparison, columns=turned)])
    assert [row[0] for row in tabulars(text)[0][1] if r"\textbf" in row[2]] == [r"\textit{random-init} (ref)"]
    first = rows_of(comparison)["rotation"].entries[i]
    alike = [
        replace(row, entries=tuple(first if n == i else e for n, e in enumerate(row.entries)))
        if row.series.method == "vae" else row
        for row in comparison.rows
    ]  # fmt: skip
    text = latex([replace(comparison, rows=tuple(alike))])
    assert [row[0] for row in tabulars(text)[0][1] if r"\textbf" in row[2]] == ["rotation", "vae"]


def test_what_failed_and_what_was_measured_less_often_is_said(results):
    text = latex(compare(results))
    assert "(2/3)" in text
    assert "(k/n): of k of n seeds, the others failed." in text
    gone = [r for r in results if r.cell.method.name != "jigsaw" or r.training.status == "failed"]
    assert " & failed & failed & " in latex(compare(gone))


@pytest.mark.parametrize("character", ODD)
def test_a_character_is_escaped_as_pandas_does(character):
    """An independent writer, which ends a command by a space where this one has braces."""
    text = f"a{character}b"
    frame = pd.DataFrame({"x": [text]}).style.format(escape="latex").hide(axis="index").hide(axis="columns")
    theirs = frame.to_latex().splitlines()[1].removesuffix(r" \\")
    assert escaped(text).replace(r"textbackslash{}", "textbackslash ").replace("{}", " ") == theirs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x]", "{}[x]"),  # would be the space above the row
        ("*", "{}*"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
        ("a\n\\end{table}\x1b", r"a \textbackslash{}end\{table\}\textbackslash{}x1b"),
        ("vae · 5 epochs → x…", r"vae $\cdot$ 5 epochs $\to$ x\dots{}"),
    ],
)
def test_text_is_taken_literally(text, expected):
    assert escaped(text) == expected


def test_names_of_strangers_are_literal_wherever_they_stand(tmp_path):
    odd = f"[*]{ODD} {HOSTILE}"
    results = [
        replace(
            r,
            cell=replace(r.cell, method=replace(r.cell.method, name=odd), source=replace(r.cell.source, name=odd)),
            evaluations=tuple(
                replace(e, evaluation=f"{e.evaluation}{odd}", scores=tuple(
                    replace(s, score=f"{s.score}{ODD}", unit=f"{s.unit}{ODD}") for s in e.scores
                )) for e in r.evaluations
            ),
        )
        for r in example_results(tmp_path, seeds=(0,), targets=("digits",))
        if r.cell.method.name == "rotation"
    ]  # fmt: skip
    text = whole(exported(load_side(write_run(tmp_path / "run", results))))
    literal = r"\_\%\&\#\$\textbackslash{}\{\}\textasciitilde{}\textasciicircum{}"
    ((heads, rows), *_) = tabulars(text)
    assert rows[0][0].startswith(f"{{}}[*]{literal}")
    assert heads[1].count(literal) == 2  # of the evaluation and of the unit
    assert literal.replace(r"\_", " ", 1) in heads[1]  # as in the report, an underscore of a score is a space
    assert literal in text.partition(r"\caption{")[2].splitlines()[0]
    assert re.findall(r"\\label\{(.*)\}", text) == [
        "tab:" + "-".join(["_", "script-alert-x-script-quoted-piped", "digits"])
    ]


def test_letters_that_pdflatex_does_not_know_are_told_and_kept(results):
    (comparison, *_) = compare(results)
    named = [replace(row, series=replace(row.series, label="é日本")) for row in comparison.rows]
    text = latex([replace(comparison, rows=tuple(named))])
    assert text.splitlines()[1].startswith("% Names have letters that pdfLaTeX does not know")
    assert "é日本 & " in text
    assert "pdfLaTeX" not in latex([comparison])


PLUGIN = """
from dataclasses import dataclass
from torch import nn
from harness.plugin import MethodSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Config:
    word: str = ""

class Odd(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()

    def encode(self, images):
        return images.flatten(1)

@hookimpl
def harness_method():
    return MethodSpec(name="odd", kind="reference", build=Odd, config=Config, uses_backbone=False)
"""


def test_a_real_run_with_odd_words_in_its_names(tmp_path):
    (tmp_path / "odd.py").write_text(PLUGIN)
    words = {
        "plugins": f"{tmp_path}/odd.py[word='{ODD}']",
        "references": "random-init",
        "evaluations": "knn",
        "seeds": 2,
    }
    run = harness.bench(**words, out=tmp_path / "a_run", progress=False, jobs=1)
    assert run.ok
    text = whole(exported(load_side(run.folder.path)))
    ((_, rows),) = tabulars(text)
    shown = run.table()
    assert len(rows) == len(shown) == 2
    (label,) = (name for name in shown["method"] if name.startswith("odd["))
    assert [row[0] for row in rows] == [rf"\textit{{{escaped(name)}}} (ref)" for name in shown["method"]]
    assert r"\_\%\&\#\$" in escaped(label)
    best = shown["knn accuracy"].idxmax()
    assert label == shown["method"][best]
    assert [r"\textbf" in row[1] for row in rows] == [i == best for i in range(2)]
    assert f"{shown['knn accuracy'][best]:.3f}~$\\pm$~{shown['knn accuracy ±'][best]:.3f}" in rows[best][1]


def test_nothing_to_put_in_a_table_is_one_line(tmp_path):
    failed = [r for r in example_results(tmp_path) if r.training.status == "failed"]
    run = write_run(tmp_path / "run", failed)
    with pytest.raises(RequestError, match="holds no score to put in a table: its report says what failed, and why"):
        exported(load_side(run))


def test_what_does_not_fit_beside_each_other_stands_below(results):
    (comparison, *_) = compare(results)
    blocks = [len(heads) - 1 for heads, _ in tabulars(latex([comparison]))]
    first = [replace(row, series=replace(row.series, label=row.series.label * 9)) for row in comparison.rows]
    narrower = [len(heads) - 1 for heads, _ in tabulars(latex([replace(comparison, rows=tuple(first))]))]
    assert sum(blocks) == sum(narrower) == len(comparison.columns)
    assert 1 <= max(narrower) < max(blocks) < sum(blocks)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not here")
def test_latex_sets_it(results, tmp_path):
    body = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{latex(compare(results))}"
    (tmp_path / "paper.tex").write_text(body + f"{escaped(ODD + HOSTILE)}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
