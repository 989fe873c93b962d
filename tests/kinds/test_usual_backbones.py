"""Where no backbone is named, each source gets the usual one of what it holds: one request may hold all kinds."""

from harness.expansion import expand
from harness.records import USUAL
from harness.registry import Registry
from harness.suite import make_request


def test_each_kind_of_data_gets_its_usual_backbone_and_what_does_not_fit_says_why() -> None:
    words = {"plugins": "simclr,next-frame,next-word", "datasets": "digits,moving-digits,docstrings", "seeds": 1}
    cells = expand(make_request({**words, "references": "random-init"}), Registry())
    found = {(str(cell.source), str(cell.backbone)) for cell in cells}
    assert found == {("digits", "convnet"), ("moving-digits", "frames"), ("docstrings", "gru")}
    named = expand(make_request({**words, "backbone": "mlp"}), Registry())
    assert {str(cell.backbone) for cell in named if cell.backbone} == {"mlp"}


def test_the_usual_backbones_take_what_they_are_usual_for() -> None:
    registry = Registry()
    for kind, name in USUAL.items():
        assert kind in registry.load(name, ("backbone",)).spec.takes
