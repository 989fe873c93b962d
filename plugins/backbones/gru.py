"""A recurrent network that reads a text word by word: gated recurrent units, Cho et al. 2014, arXiv:1406.1078.

B texts, L tokens, D features, M layers.
What it makes of a word depends on that word and those before it; a text is the mean over its words, other readouts are
in harness.nn.words. Dropout is between the layers and on the vectors alone (Zaremba et al. 2014, arXiv:1409.2329).
Differs from the paper: what a layer is given is added to what it gives (Wu et al. 2016, arXiv:1609.08144, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from harness.nn.backbone import WordStates
from harness.nn.stages import Stage
from harness.nn.words import mean_of_words, trimmed
from harness.plugin import Backbone, BackboneSpec, DataSpec, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 192  # D, of the words' vectors too
    layers: int = 1  # M
    dropout: float = 0.1  # probability in [0,1) of zeroing a value of what a layer is given, in training

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 1:
            raise ValueError("width and layers must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is a probability in [0,1)")


class Recurrent(nn.Module):
    def __init__(self, words: int, config: Config) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, config.width)
        nn.init.normal_(self.vectors.weight, std=config.width**-0.5)  # small: what is learned soon outweighs it
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(nn.GRU(config.width, config.width, batch_first=True) for _ in range(config.layers))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = trimmed(tokens)
        return mean_of_words(self.states(tokens)[-1], tokens)  # (B,L) -> (B,D)

    def states(self, tokens: Tensor) -> list[Tensor]:
        """What each layer makes of each word: (B,L) -> 1 + M times (B,L,D), the words' vectors first."""
        found = [self.vectors(tokens)]
        for layer in self.layers:
            found.append(found[-1] + layer(self.dropout(found[-1]))[0])
        return found


def build(data: DataSpec[TextField], config: Config) -> Backbone:
    names = ("vectors", *(f"layer {place + 1}" for place in range(config.layers)))
    stages = [Stage(name, ("vectors",) if place == 0 else (f"layers.{place - 1}",)) for place, name in enumerate(names)]
    words = WordStates(
        lambda trunk, tokens: trunk.states(tokens),  # type: ignore[operator]
        names,
        look_back=lambda trunk: None,
        vectors=lambda trunk: trunk.get_parameter("vectors.weight"),
    )
    trunk = Recurrent(len(data.inputs.vocabulary), config)
    return Backbone(trunk, config.width, data, any_size=True, words=words, stages=stages)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="gru", build=build, config=Config, takes=("text",), source="arXiv:1406.1078")
