"""Caption retrieval: does an image that was asked for in words find those words again among the captions of others?

R-precision (Xu et al. 2018, arXiv:1711.10485, section 4): images are sampled for captions of test images; each ranks
its own caption and 99 others of the test split, drawn for it; the score is the share that put their own first. The
ranking is that of two towers which learned from the target's training images and captions, so no label is needed
(harness.judging.caption_towers). Beside it stand the ceiling, real test images with their own captions, and the floor,
the same real images with shuffled captions, which measures guessing.

Candidates are different captions. Images with one caption are queries of their own with the same answer, and it is no
distractor of any of them. Where the test split has fewer than 100 different captions, all of them are candidates, and
the note says how many. Captions that differ in words which training lacks are one.

N samples, L words, U different captions, R candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.columns import InMemory
from harness.data.images import to_float
from harness.judging.caption_towers import CaptionJudge, captions_of, kept_judge
from harness.metrics.features import drawn_rows
from harness.metrics.r_precision import Ranked, candidates
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 500  # samples, for captions of test images; fewer where there are fewer
    candidates: int = 100  # captions that each ranks: its own and others; fewer where fewer are different
    shown: int = 16  # samples in the picture

    def __post_init__(self) -> None:
        if self.n < 1 or self.shown < 1:
            raise ValueError("n and shown must be at least 1")
        if self.candidates < 2:
            raise ValueError("candidates must be at least 2: a caption is told from others")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    require_captions(subject)
    test = subject.target.test
    known, own_of_all = captions_of(test).unique(dim=0, return_inverse=True)  # (U,L), (test images,)
    if len(known) < 2:
        raise NotApplicable(f"the test images of {subject.target.name} have one caption: there is none to tell it from")
    judge = skilled_judge(subject)
    index = drawn_rows(len(test), config.n, subject.generator("caption retrieval rows"))
    rows, own = test.rows(index), own_of_all[index]
    among = candidates(own, len(known), config.candidates, subject.generator("caption retrieval candidates"))  # (N,R)
    samples = subject.sampled_as(rows, subject.generator("caption retrieval"))  # uint8 (N,C,H,W)
    found = judge.ranked(InMemory(samples), known, among)
    ceiling = judge.ranked(rows.inputs, known, among)
    mixed = own[torch.randperm(len(own), generator=subject.generator("caption retrieval floor"))]
    others = candidates(mixed, len(known), config.candidates, subject.generator("caption retrieval floor candidates"))
    floor = judge.ranked(rows.inputs, known, others)
    show(subject, samples[: config.shown], found, own, known)
    return _scores(judge, index, found, ceiling, floor, among.shape[1], config.candidates)


def require_captions(subject: Subject) -> None:
    """Raise NotApplicable unless the method can be asked for the captions of this target."""
    name, source, target = subject.cell.method.name, subject.source, subject.target
    if target.test.captions is None or target.spec.captions is None:
        raise NotApplicable(f"{target.name} has no captions")
    if subject.method.condition != "captions":
        raise NotApplicable(f"{name} is asked for {subject.method.condition}, not for captions")
    if (source.name, source.spec.captions) != (target.name, target.spec.captions):
        raise NotApplicable(f"{name} can be asked for what is in {source.name}, not {target.name}")


def skilled_judge(subject: Subject) -> CaptionJudge:
    """The judge of the target, for this seed. Raises NotApplicable where it learned nothing."""
    target = subject.target
    assert target.spec.captions is not None
    words = len(target.spec.captions.vocabulary)
    judge = kept_judge(target.train, target.validation, words, subject.cache / "extractors", subject.device)
    if not judge.is_skilled:
        raise NotApplicable(
            f"a caption judge learned nothing from {target.name}: of {judge.checked} validation images "
            f"{judge.precision:.3f} find their own caption, guessing finds {judge.chance:.3f}"
        )
    return judge


def _scores(
    judge: CaptionJudge, index: Tensor, found: Ranked, ceiling: Ranked, floor: Ranked, among: int, asked: int
) -> dict[str, ScoreValue]:
    n, few = len(index), "" if among == asked else f", all that are different, for {asked}"
    note = f"{judge}; among {among} captions{few}"
    reached = {
        "r_precision": (found, note),
        "of_real": (ceiling, "real test images with their captions"),
        "shuffled": (floor, "real test images with shuffled captions"),
    }
    values = {
        name: ScoreValue(
            value=float(ranks.right.mean()), n=n, chance=1 / among, note=says, outcomes=ranks.right, rows=index
        )
        for name, (ranks, says) in reached.items()
    }
    median = float(found.rank.double().median())
    values["median_rank"] = ScoreValue(value=median, n=n, chance=(among + 1) / 2, note=f"of {among}")
    return values


def show(subject: Subject, samples: Tensor, found: Ranked, own: Tensor, known: Tensor) -> None:
    """Samples below which stand the captions that they were made for, and those that they are nearest to."""
    field = subject.target.spec.captions
    assert field is not None
    texts = []
    for asked, nearest in zip(own.tolist(), found.first.tolist()[: len(samples)], strict=False):
        verdict = "✓" if asked == nearest else f"✗ {field.text(known[nearest])}"
        texts.append(f"{field.text(known[asked])}\n{verdict}")
    subject.show_images(
        "caption_retrieval",
        to_float(samples),
        min(8, len(samples)),
        "Captions of test images, samples as drawn: ✓ nearest to its own caption, ✗ to this other one",
        texts=texts[: len(samples)],
        heading="Asked for in words, and found again by them",
        place=55,
    )


def _share(name: str, help: str, *, word: str = "") -> ScoreSpec:
    """A share of images that find their caption; with a word it stands beside that of the samples."""
    return ScoreSpec(
        name=name,
        unit="fraction",
        better="none" if word else "higher",
        low=0.0,
        high=1.0,
        primary=not word,
        beside="r_precision" if word else "",
        word=word,
        asks="" if word else "Matches its caption",
        proportion=True,
        help=help,
    )


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="caption-retrieval",
        run=run,
        needs=("sample_as",),
        config=Config,
        source="R-precision: Xu et al. 2018, arXiv:1711.10485, section 4; two towers: Radford et al. 2021, "
        "arXiv:2103.00020",
        scores=(
            _share("r_precision", "Share of samples that are nearer to their own caption than to 99 others."),
            _share("of_real", "The same of real test images: about the most that can be reached.", word="ceiling"),
            _share(
                "shuffled", "The same of real test images with shuffled captions: guessing, measured.", word="floor"
            ),
            ScoreSpec(
                name="median_rank",
                unit="rank",
                better="lower",
                low=1.0,
                help="Median rank of a sample's own caption among its candidates; 1: the nearest.",
            ),
        ),
    )
