"""Every letter that the font has is drawn, what it lacks is said, and a loss chart's axis can be read."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from lightning_diff.tracking import figures
from lightning_diff.tracking.figures import plot_loss, plot_sweep, save_grid, save_table
from lightning_diff.tracking.letters import SAID, drawable, lacks


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë — 5 €, кот, γάτα, حصان, חתול", "Zoë — 5 €, кот, γάτα, حصان, חתול"),
        ("\uff21\uff22 ﬁ", "AB ﬁ"),
        ("赤い mug", "… mug"),
        ("a 🥑 and a 猫", "a … and a …"),
        ("a\u2028b\0c\u200d", "a b c"),
        ("$x_1$ [b]", "$x_1$ [b]"),
        ("wait…", "wait…"),
    ],
)
def test_letters_that_the_font_lacks_become_dots(text: str, shown: str) -> None:
    assert drawable(text) == shown
    assert lacks(text) == (shown.count("…") > text.count("…"))
    lines = figures._wrapped(text * 9, 30, 3)
    assert len(lines) <= 3 and (lines[-1] == SAID) == lacks(text)


def test_figures_of_all_scripts_warn_of_nothing(tmp_path: Path) -> None:
    prompts = ["赤いマグカップ", "кот на столе", "🥑" * 90, "$x_", "", "a long caption, " * 40]
    images = np.zeros((len(prompts), 3, 16, 16), np.uint8)
    rows = [
        {"guider": "猫$_", "sampler": "e", "ema": 0.0, "scale": w, "clip_score": w, "fid": w, "n": 4}
        for w in (1.0, 2.0)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_grid(images, prompts, tmp_path / "grid.png")
        save_table({"w = 1": images, "猫": images}, prompts, tmp_path / "table.png")
        plot_sweep(rows, tmp_path / "sweep.png", "赤-$x_$-Zoë")


@pytest.mark.parametrize(
    ("losses", "numbers"),
    [((0.03, 4.0), {0.05, 0.1, 0.2, 0.5, 1, 2}), ((0.31, 0.38), {0.32, 0.34, 0.36}), ((7, 1200), {10, 100})],
)
def test_a_loss_axis_is_numbered_at_one_two_and_five(
    losses: tuple[float, float], numbers: set[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()

    def save(figure: figures.Any, path: Path) -> Path:
        figure.canvas.draw()
        seen.update(float(t.get_text()) for t in figure.axes[0].get_yticklabels() if t.get_text())
        return path

    monkeypatch.setattr(figures, "_save", save)
    plot_loss([{"step": i, "loss": loss} for i, loss in enumerate(losses)], tmp_path / "loss.png")
    assert numbers <= seen


def test_a_record_without_losses_is_drawn_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plot_loss([], tmp_path / "loss.png").is_file()


def test_a_figure_takes_nothing_from_the_users_settings_and_leaves_them(tmp_path: Path) -> None:
    rows = [{"step": i, "loss": 1 / i} for i in (1, 2)]
    before = plot_loss(rows, tmp_path / "loss.png").read_bytes()
    with matplotlib.rc_context({"text.usetex": True, "figure.dpi": 30, "lines.linewidth": 9}):
        assert plot_loss(rows, tmp_path / "again.png").read_bytes() == before
        assert matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["text.parse_math"]
