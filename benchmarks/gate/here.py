"""A bench in this one process and without reports: what `harness bench` makes of a request, for many small cells.

    PYTHONPATH=TREE python -P benchmarks/gate/here.py RUN '{"plugins": "vae", "seeds": [0, 1], ...}'

The plan, the cells and their keys, and what is stored are those of the `harness` that is imported, which may be that of
another tree than this file's. What is stored already is not trained again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.cell import run_cell
from harness.execution import Execution
from harness.options import Options
from harness.plan import make_plan
from harness.plugin.launching import Assignment
from harness.records import CellResult
from harness.registry import Registry
from harness.run import environment, workplace
from harness.store import RunFolder
from harness.suite import make_request


class Here:
    """A launcher that starts no process."""

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Iterator[CellResult]:
        for assignment in assignments:
            assignment.here.staging.mkdir(parents=True, exist_ok=True)
            yield run_cell(assignment.task, assignment.here, lambda *news: None, lambda training: None)

    def stop(self) -> None:
        """Nothing runs on its own."""


def main() -> None:
    run, words = Path(sys.argv[1]), json.loads(sys.argv[2])
    options, registry, folder = Options(out=run, command="benchmarks/gate/here.py"), Registry(), RunFolder(run).create()
    with folder.locked():
        plan = make_plan(make_request(words), registry, folder, data_dir=None, fresh=False)
        folder.write_request(plan.request, environment(options), [planned.task.key for planned in plan.cells])
        results = Execution(plan, folder, workplace(options, folder), Here(), registry).run()
    failed = [result for result in results if result.training.status == "failed"]
    print(f"{run.name}: {len(results)} cells, {len(failed)} failed")


if __name__ == "__main__":
    main()
