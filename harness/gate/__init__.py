"""The gate: is a candidate as good as its base?

    findings        records: a row, what was found of it, and of all of them; exit codes
    margins         what counts as worse, by score: defaults, and a TOML file
    sides           a run from its folder or its results.parquet
    pairing         which rows of two runs are the same question, and what forbids to compare them
    provenance      what the runs were made with that differs
    rows            a pair -> a row for each score
    identity        is it the same to the last bit?
    questions       a score of both sides -> judged, or a question for the rule
    comparing       two sides -> a Comparison: all of it together
    exact           what a cell costs, counted in a process of its own: run by path with the Python of either version
    exact_findings  counts of two versions -> findings, and what is identical
    wording         a row in words, for every writer
    terminal, markdown, page, ci    writers of a Comparison: rich, GitHub Markdown, HTML, JUnit and annotations
    exports         a run for pytest-benchmark and others

    gating          two versions measured here and now, by all tiers -> a Comparison
    checkouts       base and candidate: folders with their code, and environments where it is installed
    counting        harness.gate.exact, in processes of either version
    timing          all cells of a request timed against each other
    quality         both versions benched and compared, and what may be left out
    processes       the environment and the last words of a process of either version
    words           the words of a request as a suite
    baseline        a base that is stored, and what moves it

    sequential      is it slower? the rule on log ratios of pairs of processes, looked at as they come
    blocks          one arm of a pair: a process that times blocks of steps when it is told to
    pairs           two versions against each other: pairs of arms, interleaved, until the rule decides
    timings         what was measured -> a row

The decision itself is in harness.metrics.non_inferiority. Imports are inside of functions where they are slow.
"""
