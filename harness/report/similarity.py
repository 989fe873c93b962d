"""How alike the representations of all methods are: CKA of the features that cells have kept, as heat maps.

M methods with a row of their own, of one source on one target. What two cells kept is compared where it is of the same
test examples, so within one seed where the split depends on it; the heat map has the mean over seeds.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.cleaned import one_line
from harness.confined import placed
from harness.records import CellResult, Picture
from harness.report.figures import Drawing
from harness.report.pictures import slug
from harness.report.plots import matrix_chart
from harness.report.series import Series

FEWEST = 2  # methods
Place = tuple[str, str, str]  # source, target, name of the pictures


def similarity_charts(
    results: Iterable[tuple[Path, Series, CellResult]], labels: Mapping[str, str]
) -> Iterator[Drawing]:
    """A heat map for each source and target with at least two methods that kept features."""
    found: dict[Place, list[tuple[Series, Path, Picture]]] = defaultdict(list)
    for folder, series, result in results:
        source = labels.get(str(result.cell.source), str(result.cell.source))
        for evaluation in result.evaluations:
            target = labels.get(evaluation.target, evaluation.target)
            for picture in evaluation.pictures:
                if picture.kind == "features":
                    found[source, target, picture.name].append((series, placed(folder, picture.file), picture))
    for (source, target, name), kept in found.items():
        names = {series.index: series.label for series, _, _ in kept}
        values, seeds = mean_similarity(((series.index, file) for series, file, _ in kept), list(names))
        if len(names) < FEWEST or not seeds:
            continue
        order = by_likeness(values)
        content = {
            "values": [[values[i][j] for j in order] for i in order],
            "rows": [list(names.values())[i] for i in order],
            "columns": [list(names.values())[i] for i in order],
            "low": 0.0,
            "high": 1.0,
        }
        where = target if source == target else f"{source} → {target}"
        caption = (
            f"{kept[0][2].caption}, {f'mean over {seeds} seeds' if seeds > 1 else 'one seed'}; alike stand together."
        )
        title = f"{name.capitalize()} of representations on {where}"
        yield matrix_chart(content, slug(f"{name}-{source}-{target}"), title=title, caption=caption)


def mean_similarity(kept: Iterable[tuple[int, Path]], series: list[int]) -> tuple[list[list[float | None]], int]:
    """CKA of every two series (M,M), the mean over the sets of examples that both have; None where there is none.

    And how many such sets there are. Files that are gone or damaged are left out.
    """
    import torch

    from harness.judging import compared
    from harness.metrics.centred_alignment import gram, linear_cka

    examples: dict[str, dict[int, Any]] = defaultdict(dict)
    for index, file in kept:
        try:
            one = compared.read(file)
            examples[one.examples][index] = gram(one.features)
        except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
            print(f"harness: {one_line(str(error))}; it is left out of what is compared", file=sys.stderr)
            continue
    place = {index: i for i, index in enumerate(series)}
    total, count = torch.zeros(2, len(series), len(series), dtype=torch.float64)
    for grams in examples.values():
        at = torch.tensor([place[index] for index in grams])
        alike = linear_cka(list(grams.values()))
        total[at[:, None], at] += alike.nan_to_num(0.0)
        count[at[:, None], at] += alike.isfinite()
    means = (total / count).tolist()
    return [[None if value != value else value for value in row] for row in means], len(examples)


def by_likeness(values: list[list[float | None]]) -> list[int]:
    """An order of M things in which those that are alike stand together: of the leaves of average linkage, turned so
    that neighbours are as near as can be (Bar-Joseph et al. 2001, doi:10.1093/bioinformatics/17.suppl_1.S22).
    """
    import numpy as np
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(values) < 3:
        return list(range(len(values)))
    alike = np.array([[0.0 if value is None else value for value in row] for row in values])
    distance = 1 - (alike + alike.T) / 2
    np.fill_diagonal(distance, 0.0)
    apart = squareform(distance.clip(0), checks=False)
    return [int(i) for i in leaves_list(optimal_leaf_ordering(linkage(apart, "average"), apart))]
