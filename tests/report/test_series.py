"""Series: what counts as one row over its seeds, and what its label says and leaves out."""

from __future__ import annotations

from dataclasses import replace

from example_run import METHODS, compare, example_results, rows_of

from harness.records import PluginRef
from harness.report.content import Run, gather
from harness.report.frame import dataset_labels, joined, tidy_frame
from harness.report.html import page
from harness.report.series import differing_provenance, with_series
from harness.report.summary import comparisons


def test_settings_show_in_the_label_only_where_there_are_several(results):
    other = [
        replace(r, key=r.key + "r", cell=replace(r.cell, backbone=PluginRef(name="resnet18")))
        for r in results
        if r.cell.backbone
    ]
    _, series = with_series(tidy_frame([*results, *other]))
    labels = {one.label for one in series}
    assert {"vae · convnet", "vae · resnet18", "pca"} <= labels
    rows = {row.series.label: row for row in compare([*results, *other])[0].rows}
    assert rows["vae · resnet18"].entries[0].gain is not None
    assert rows["pca"].entries[0].gain is None  # two baselines: which one would be a guess


def test_the_backbone_of_most_is_not_repeated_in_their_names(results, tmp_path):
    other = [
        replace(r, key=r.key + "r", cell=replace(r.cell, backbone=PluginRef(name="resnet18")))
        for r in results
        if r.cell.method.name == "random-init"
    ]
    run = Run(name="run", path=tmp_path, results=(*results, *other), environment={}, request={})
    content = gather([run])
    labels = {one.label for one in content.series}
    assert {"vae", "random-init", "random-init · resnet18"} <= labels
    assert content.unsaid == "a name that says no backbone is on convnet"
    assert content.unsaid in page(content)


def test_a_precision_is_named_only_where_one_thing_has_several(results):
    quick = [replace(r, cell=replace(r.cell, precision="bf16")) if r.cell.method.name == "vae" else r for r in results]
    _, series = with_series(tidy_frame(quick))
    assert not [one.label for one in series if "bf16" in one.label or "fp32" in one.label]
    both = [replace(r, key=r.key + "b", cell=replace(r.cell, precision="bf16")) for r in results]
    _, series = with_series(tidy_frame([*results, *both]))
    assert {"vae · fp32", "vae · bf16"} <= {one.label for one in series}


def test_a_baseline_with_parameters_is_another_row_and_no_baseline(results):
    other = [
        replace(
            r,
            key=r.key + "s",
            cell=replace(r.cell, method=PluginRef(name="random-init", params={"standardised": True})),
        )
        for r in results
        if r.cell.method.name == "random-init"
    ]
    rows = {row.series.label: row for row in compare([*results, *other])[0].rows}
    assert rows["vae"].entries[0].gain is not None


def test_equal_runs_pool_their_seeds_and_repeats_count_once(tmp_path):
    first = example_results(tmp_path, seeds=(0, 1))
    second = example_results(tmp_path, seeds=(1, 2))
    frame = joined([tidy_frame(first, "one"), tidy_frame(second, "two")])
    assert differing_provenance(frame) == []
    numbered, series = with_series(frame)
    assert len(series) == len(METHODS)
    assert len(frame) == len(tidy_frame(first)) + len(tidy_frame(second))
    assert set(rows_of(comparisons(numbered, series)[0])["vae"].entries[0].by_seed) == {0, 1, 2}


def test_runs_that_differ_are_labelled_and_kept_apart(tmp_path):
    first, second = example_results(tmp_path), example_results(tmp_path, torch="2.10.0")
    labels = dataset_labels([*first, *second])
    frame = joined([tidy_frame(first, "one", labels), tidy_frame(second, "two", labels)])
    assert differing_provenance(frame) == ["torch"]
    numbered, series = with_series(frame)
    assert {one.label for one in series} >= {"vae · one", "vae · two"}
    rows = {row.series.label: row for row in comparisons(numbered, series)[0].rows}
    assert len(rows) == 2 * len(METHODS)
    assert rows["vae · two"].entries[0].gain.n == 3


def test_runs_of_other_methods_differ_in_no_plugin(tmp_path):
    everything = example_results(tmp_path)
    one = [r for r in everything if r.cell.method.name in ("vae", "random-init")]
    two = [r for r in everything if r.cell.method.name in ("jigsaw", "pca")]
    assert differing_provenance(joined([tidy_frame(one, "one"), tidy_frame(two, "two")])) == []
