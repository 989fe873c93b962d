"""How often does the time tier say the right thing on this machine? Real processes of one version, slowed on purpose.

    python benchmarks/gate/times.py measure pairs.jsonl --pairs 400      # goes on where it was interrupted
    python benchmarks/gate/times.py gates pairs.jsonl                    # the table of docs/gate.md

Each pair is two fresh processes of the same code, timed at training and at encoding as `harness gate` times them, in
rounds of ABBA or BAAB. They are timed three times: with the candidate as it is, and slowed by 5 % and by 10 % of its
own time by a busy wait. Each has rounds of its own, since an arm that works three times as often as the other keeps its
caches warm and gains 1.5 %. So one pair serves three gates, which share their processes; gates of one kind share none:
each takes the pairs that follow those of the gate before it, until the rule decides.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path
from statistics import mean

from harness.gate.pairs import Plan, Work, one_round, ready, robust, started, this_version
from harness.gate.sequential import Timed, TimeRule, judged, log_ratio

SLOWED = (0.0, 0.05, 0.10)
KINDS = ("train", "encode")


def measured_pair(work: Work, plan: Plan, chance: random.Random) -> dict:
    """Seconds of a step in each block: {"train": {"0.0": [base, candidate], "0.05": ...}, ..., "seconds"}."""
    begun, here = time.monotonic(), this_version()
    found: dict = {}
    with started(here, here, work, plan, chance) as arms:
        for kind in work.kinds:
            steps = ready(arms, kind, plan)
            blocks: dict[str, list[list[float]]] = {str(slowed): [[], []] for slowed in SLOWED}
            for _ in range(plan.rounds):
                for slowed in chance.sample(SLOWED, len(SLOWED)):
                    arms["candidate"].inject = slowed
                    one_round(arms, steps, chance)
                    for kept, arm in zip(blocks[str(slowed)], (arms["base"], arms["candidate"]), strict=True):
                        kept += arm.times
                        arm.times.clear()
            found[kind] = blocks
    return {**found, "seconds": time.monotonic() - begun}


def gates(ratios: list[float], rule: TimeRule) -> list[Timed]:
    """Gate after gate, each of pairs of its own; what is left at the end decides nothing and is not counted."""
    found, first = [], 0
    for after in range(1, len(ratios) + 1):
        verdict = judged(ratios[first:after], rule)
        if verdict is not None:
            found.append(verdict)
            first = after
    return found


def table(file: Path, margin: float) -> str:
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    rule = TimeRule(margin=margin, family=len(KINDS))
    lines = [
        "| work | slowed by | gates | fail | pass | inconclusive | pairs | noise of a pair |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        for slowed in SLOWED:
            ratios = [log_ratio(*map(robust, pair[kind][str(slowed)])) for pair in pairs]
            found = gates(ratios, rule)
            words = Counter(each.word for each in found)
            counts = " | ".join(str(words[word]) for word in ("fail", "pass", "inconclusive"))
            used, noise = mean(each.pairs for each in found), mean(each.noise for each in found)
            lines.append(
                f"| {kind} | {100 * slowed:g} % | {len(found)} | {counts} | {used:.1f} | {100 * noise:.1f} % |"
            )
    seconds = mean(pair["seconds"] for pair in pairs)
    return "\n".join([*lines, f"\n{len(pairs)} pairs, {seconds:.1f} s each for both kinds of work and all three"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("measure", "gates"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=Plan().rounds, help="of each pair and each slow-down")
    parser.add_argument("--plugins", default="vae")
    parser.add_argument("--margin", type=float, default=0.05)
    asked = parser.parse_args()
    if asked.what == "gates":
        print(table(asked.file, asked.margin))
        return
    done = len(asked.file.read_text().splitlines()) if asked.file.exists() else 0
    work = Work(request={"plugins": asked.plugins, "datasets": "digits"}, kinds=KINDS)
    for at in range(done, asked.pairs):
        pair = measured_pair(work, Plan(rounds=asked.rounds), random.Random(at))
        with asked.file.open("a") as file:
            file.write(json.dumps(pair) + "\n")
        print(at, f"{pair['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
