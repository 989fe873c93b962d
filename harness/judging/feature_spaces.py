"""The feature spaces that an evaluation can ask for by name."""

from __future__ import annotations

from pathlib import Path

from harness.judging.extractor import Extractor
from harness.judging.in_domain import in_domain_extractor
from harness.judging.subject import Subject


def extractor_named(name: str, subject: Subject) -> Extractor:
    """`in-domain` or `inception`, for the subject's target. Raises NotApplicable where it cannot be had."""
    if name == "inception":
        from harness.judging.inception import inception_extractor  # torchvision's models, which nobody else needs

        return inception_extractor(subject.device)
    return in_domain_extractor(subject)


def files_of(name: str) -> list[Path]:
    """The files that it reads, for EvaluationSpec.files: weights that come or change make what was judged stale.

    Weights that are missing are left out: the rows are skipped then, with where to put them.
    """
    if name == "inception":
        from harness.judging.inception import weights_path

        return [weights_path()] if weights_path().is_file() else []
    return []
