"""The feature spaces that an evaluation can ask for by name."""

from __future__ import annotations

from harness.judging.extractor import Extractor
from harness.judging.in_domain import in_domain_extractor
from harness.judging.subject import Subject


def extractor_named(name: str, subject: Subject) -> Extractor:
    """`in-domain` or `inception`, for the subject's target. Raises NotApplicable where it cannot be had."""
    if name == "inception":
        from harness.judging.inception import inception_extractor  # torchvision's models, which nobody else needs

        return inception_extractor(subject.device)
    return in_domain_extractor(subject)
