"""What the live display says at 80, 120 and fewer columns: percent and time always, no two titles alike."""

from __future__ import annotations

import pytest

from harness.cli.lines import Line, elided, folded, laid_out

SWEEP = [
    Line(title="all cells", done=0.43, left="1:40", news=("6 of 14 cells",)),
    *(
        Line(
            title=f"vae[latent_dim={dim}] on digits, seed 0",
            done=0.5,
            left="0:12",
            news=("training", "epoch 3.2", "loss 0.412", "5,120 images/s"),
        )
        for dim in (8, 64)
    ),
]


@pytest.mark.parametrize("width", [30, 40, 59, 60, 79, 80, 119, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_percent_and_time_are_in_each(width: int) -> None:
    lines = ["  ".join(filter(None, parts)) for parts in laid_out(SWEEP, width)]
    assert max(map(len, lines)) <= width
    assert all(" %" in line for line in lines)
    assert "1:40" in lines[0]
    assert all("0:12" in line for line in lines[1:])
    assert len(set(lines)) == 3, "two settings of a sweep are told apart"


def test_brackets_of_a_sweep_are_shown_as_they_are() -> None:
    titles = [title.strip() for title, *_ in laid_out(SWEEP, 120)]
    assert titles[1:] == ["vae[latent_dim=8] on digits, seed 0", "vae[latent_dim=64] on digits, seed 0"]


def test_at_80_columns_there_is_a_bar_and_speed_and_loss_are_left_out_first() -> None:
    _, bar, numbers, news = laid_out(SWEEP, 80)[1]
    assert len(bar) >= 6
    assert bar.startswith("━")
    assert numbers.split() == ["50", "%", "0:12"]
    assert news.startswith("training")
    assert "images/s" not in news
    assert "images/s" in laid_out(SWEEP, 120)[1][3]


def test_where_the_time_is_not_known_nothing_is_made_up() -> None:
    assert "-:--" in laid_out([Line(title="all cells", done=0.0)], 80)[0][2]


def test_titles_that_would_be_cut_alike_are_cut_elsewhere() -> None:
    long = [f"method[{'a' * 40}={n},{'b' * 40}] on digits, seed 0" for n in (1, 2)]
    assert len(set(elided(long, 20))) == 2
    assert all(len(title) <= 20 for title in elided(long, 20))
    assert elided(["same", "same"], 20) == ["same", "same"]


def test_a_line_about_a_cell_that_ended_loses_nothing_at_80_columns() -> None:
    parts = ["[12/14] vae[latent_dim=8] on digits, seed 1: trained in 1.6 s"]
    parts += [f"{name} 0.{n}86" for n, name in enumerate(("clustering", "coverage", "knn", "latent", "linear-probe"))]
    lines = folded(parts, 80)
    assert max(map(len, lines)) <= 80
    assert " ".join(line.strip() for line in lines) == ", ".join(parts)
    assert all(part in "\n".join(lines) for part in parts)
