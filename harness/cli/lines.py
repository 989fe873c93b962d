"""What the lines of a running bench say at a width: what counts most is kept, whatever room there is.

Texts are plain: brackets in them are those of parameters, never markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BAR, SHORTEST_BAR = 20, 6  # cells of a terminal
NARROW = 60  # columns below which there is no bar
TITLE = 16  # columns that a title is not cut below
PERCENT, GAP = 5, 2  # "100 %", between columns
UNKNOWN = "-:--"  # time
ELLIPSIS = "…"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the live display."""

    title: str
    done: float  # fraction in [0,1]
    left: str = ""  # time, "1:23"; empty: nobody knows
    news: tuple[str, ...] = ()  # what counts most first


def laid_out(lines: Sequence[Line], width: int) -> list[tuple[str, str, str, str]]:
    """Title, bar, percent and time, news: texts of each line, which together take at most `width` columns.

    Percent and time are always there. The news lose their last parts first, then the bar gets shorter, then titles
    are cut in their middle, so that no two of them become alike.
    """
    clock = max([len(UNKNOWN), *(len(line.left) for line in lines)])
    room = width - PERCENT - clock - 2 * GAP
    bar = 0 if width < NARROW else SHORTEST_BAR
    told = max((len(line.news[0]) + GAP for line in lines if line.news), default=0)
    longest = max((len(line.title) for line in lines), default=0)
    title = min(longest, max(min(TITLE, room), room - told - (bar + GAP if bar else 0)))
    room -= title
    if bar:
        wanted = max((len(", ".join(line.news)) + GAP for line in lines if line.news), default=0)
        bar = max(SHORTEST_BAR, min(BAR, room - GAP - wanted))
        room -= bar + GAP
    titles = elided([line.title for line in lines], title)
    return [
        (
            name.ljust(title),
            drawn_bar(line.done, bar),
            f"{line.done * 100:3.0f} %{'':{GAP}}{line.left or UNKNOWN:>{clock}}",
            fitting(line.news, room - GAP),
        )
        for name, line in zip(titles, lines, strict=True)
    ]


def drawn_bar(done: float, cells: int) -> str:
    """
    >>> drawn_bar(0.5, 6)
    '━━━───'
    """
    full = round(min(1.0, max(0.0, done)) * cells)
    return "━" * full + "─" * (cells - full)


def fitting(parts: Sequence[str], width: int) -> str:
    """As many parts as fit, from the first on; of the first what fits.

    >>> fitting(["training", "loss 0.412", "3 images/s"], 22)
    'training, loss 0.412'
    """
    for count in range(len(parts), 0, -1):
        text = ", ".join(parts[:count])
        if len(text) <= width:
            return text
    return cut(parts[0], width) if parts else ""


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + ELLIPSIS[: max(0, width)]


def elided(titles: Sequence[str], width: int) -> list[str]:
    """Titles of at most `width` columns, those that are longer cut in their middle; where two would become alike, cut
    where all begin the same.

    >>> elided(["vae[latent_dim=8] on digits, seed 0", "vae on digits, seed 0"], 24)
    ['vae[latent_d…its, seed 0', 'vae on digits, seed 0']
    >>> elided(["vae[latent_dim=8] on digits, seed 0", "vae[latent_dim=64] on digits, seed 0"], 16)
    ['…8] on d… seed 0', '…64] on … seed 0']
    """
    short = {title: _middle(title, width) for title in titles}
    groups: dict[str, list[str]] = {}
    for title, name in short.items():
        groups.setdefault(name, []).append(title)
    for alike in groups.values():
        same = _alike(alike)
        if len(alike) > 1:
            short |= {title: ELLIPSIS + _middle(title[same:], width - 1) for title in alike}
    return [short[title] for title in titles]


def _middle(title: str, width: int) -> str:
    if len(title) <= width:
        return title
    end = max(0, (width - 1) // 2)
    return title[: max(0, width - 1 - end)] + ELLIPSIS + title[len(title) - end :]


def _alike(titles: Sequence[str]) -> int:
    """How many characters all of them begin with."""
    same = 0
    for letters in zip(*titles, strict=False):
        if len(set(letters)) > 1:
            break
        same += 1
    return same


def news_of(stage: str, scalars: Mapping[str, float]) -> tuple[str, ...]:
    """`training`, `epoch 3.2`, `kNN accuracy 0.812`, `loss 0.412`, `5,120 examples/s`: what counts most first."""
    parts = [stage]
    if "epoch" in scalars:
        parts.append(f"epoch {scalars['epoch']:.1f}")
    if "kNN accuracy" in scalars:
        parts.append(f"kNN accuracy {scalars['kNN accuracy']:.3f}")
    if "loss" in scalars:
        parts.append(f"loss {scalars['loss']:.4g}")
    if "examples_per_second" in scalars:
        parts.append(f"{scalars['examples_per_second']:,.0f} examples/s")
    return tuple(parts)


def folded(parts: Iterable[str], width: int, indent: str = "    ") -> list[str]:
    """Parts joined by commas, in lines of at most `width` columns; a part is not broken unless it is longer than that.

    >>> folded(["[1/2] vae: ok", "knn 0.986", "clustering 0.745"], 30)
    ['[1/2] vae: ok, knn 0.986,', '    clustering 0.745']
    """
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f", {part}"
        else:
            lines[-1:] = [*(f"{line}," for line in lines[-1:]), f"{indent}{part}" if lines else part]
    return lines
