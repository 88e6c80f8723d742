"""Figures: grids of pictures, the curve of FID against CLIP score, the Pareto front, the loss."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image, ImageDraw

from .letters import SAID, drawable, font, lacks
from .table import ends

Pixels = np.ndarray  # uint8 [N, 3, H, W]
Row = Mapping[str, Any]


@contextmanager
def _alike() -> Iterator[None]:
    """Figures look alike everywhere: the user's matplotlibrc, which may ask for LaTeX, counts for other figures only."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False  # a $ in the name of a run is a $
        yield


def save_grid(images: Pixels, captions: Sequence[str], path: Path, columns: int = 4, zoom: int = 2) -> Path:
    """Save a grid of pictures with their captions below."""
    n, _, h, w = images.shape
    zoom = max(1, zoom * 64 // w)
    text = 30
    rows = -(-n // columns)
    sheet = Image.new("RGB", (columns * (w * zoom + 8), rows * (h * zoom + text + 8)), "white")
    draw, small = ImageDraw.Draw(sheet), font(9)
    for i, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = (i % columns) * (w * zoom + 8) + 4, (i // columns) * (h * zoom + text + 8) + 4
        sheet.paste(_picture(pixels, zoom), (x, y))
        lines = _wrapped(caption, max(10, w * zoom // 5), 3)
        draw.multiline_text((x, y + h * zoom + 1), "\n".join(lines), fill="black", font=small, spacing=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def save_table(images: Mapping[str, Pixels], captions: Sequence[str], path: Path, zoom: int = 2) -> Path:
    """Save a table of pictures: a row for each caption, a column for each case (with its label). A row has the same noise."""
    labels = list(images)
    h, w = next(iter(images.values())).shape[-2:]
    zoom = max(1, zoom * 64 // w)
    left, top, cell = 150, 18, w * zoom + 4
    sheet = Image.new("RGB", (left + cell * len(labels), top + (h * zoom + 4) * len(captions)), "white")
    draw, small = ImageDraw.Draw(sheet), font(11)
    for c, label in enumerate(labels):
        draw.text((left + c * cell + 4, 2), drawable(label), fill="black", font=small)
        for r in range(len(captions)):
            sheet.paste(_picture(images[label][r], zoom), (left + c * cell, top + r * (h * zoom + 4)))
    for r, caption in enumerate(captions):
        text = "\n".join(_wrapped(caption, 24, 7))
        draw.multiline_text((4, top + r * (h * zoom + 4) + 4), text, fill="black", font=small)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _wrapped(caption: str, width: int, most: int) -> list[str]:
    """The first `most` lines of a caption; if there are more, the last one ends in "…". Missing letters are said below."""
    lines, note = textwrap.wrap(drawable(caption), width), textwrap.wrap(SAID, width) if lacks(caption) else []
    most -= len(note)
    cut = [*lines[: most - 1], f"{lines[most - 1][: width - 1]}…"] if len(lines) > most else lines
    return cut + note


def _picture(pixels: np.ndarray, zoom: int) -> Image.Image:
    picture = Image.fromarray(pixels.transpose(1, 2, 0))
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)


def _lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each line, in order of the guidance scale. A line has all rows that differ only in the scale. Its name leaves
    out what all rows share."""
    parts = [c for c in ("guider", "sampler", "ema") if len({r[c] for r in rows}) > 1] or ["guider"]
    found: dict[str, list[Row]] = {}
    for r in sorted(rows, key=lambda r: float(r["scale"])):
        words = [f"EMA {r[c]:g}" if c == "ema" else str(r[c]) for c in parts if c != "ema" or r[c]]
        found.setdefault(", ".join(words) or "no EMA", []).append(r)
    return found


@_alike()
def plot_sweep(rows: Sequence[Row], path: Path, title: str) -> Path:
    """Plot FID against CLIP score: a point for each scale, and a line for each guider, sampler and EMA length. If there are
    attributes, a second plot shows their accuracy over the scale. With several lines, only the ends are labelled."""
    lines = _lines(rows)
    several = len(lines) > 1
    accuracies = [k for k in ("accuracy", "single_object_accuracy")[: 1 if several else 2] if k in rows[0]]
    figure = Figure(figsize=(10 if accuracies else 5.5, 4.2))
    axes = figure.subplots(1, 2 if accuracies else 1, squeeze=False)
    ax = axes[0][0]
    for name, line in lines.items():
        ax.plot([r["clip_score"] for r in line], [r["fid"] for r in line], "o-", label=name)
        _bars(ax, line, "clip_score", "fid")
        turn = max(line, key=lambda r: float(r["clip_score"]))["scale"]  # where the line turns back
        for r in (line[0], line[-1]) if several else line:
            beside = (6, 5 if r["scale"] >= turn else -13)  # above the upper arm, below the lower one
            ax.annotate(f"w = {r['scale']:g}", (r["clip_score"], r["fid"]), textcoords="offset points", xytext=beside)
    if several:
        ax.legend(fontsize=8)
    ax.set(
        xlabel="CLIP score (100 cos, higher is better)",
        ylabel=f"FID (n = {rows[0]['n']}, lower is better)",
        title=title,
    )
    ax.margins(0.15)
    if accuracies:
        for name, line in lines.items():
            for key in accuracies:
                label = key.replace("_", " ") + (f", {name}" if several else "")
                axes[0][1].plot([r["scale"] for r in line], [r[key] for r in line], "o-", label=label)
                _bars(axes[0][1], line, "scale", key)
        axes[0][1].set(xlabel="guidance scale w", ylabel="share of captions obeyed", title="Attributes all right")
        if not several:
            axes[0][1].set(ylim=(0, 1))
        axes[0][1].legend(fontsize=8)
    note = "Bars: 95 %. All scales share captions and noise, so their differences are known better than the bars show."
    figure.text(0.01, 0.005, note, fontsize=7)
    return _save(figure, path)


def _bars(ax: Any, line: Sequence[Row], x: str, y: str) -> None:
    """The intervals of 95 % of both columns, as far as the rows have them, in the colour of the last line."""

    def reach(r: Row, name: str) -> tuple[float, float]:
        low, high = ends(r, name) or (r[name], r[name])
        return r[name] - low, high - r[name]

    wide, high = (np.array([reach(r, name) for r in line]).T.clip(min=0) for name in (x, y))
    xs, ys, colour = [r[x] for r in line], [r[y] for r in line], ax.get_lines()[-1].get_color()
    ax.errorbar(xs, ys, high, wide, fmt="none", ecolor=colour, alpha=0.35, elinewidth=1)


@_alike()
def plot_front(rows: Sequence[Row], quality: str, path: Path, title: str) -> Path:
    """Plot quality against cost. Left: FID against `quality`, with a colour for each guider; a point is large for many network
    evaluations per picture, and filled on the Pareto front of the three. Right: the best `quality` for each number of network
    evaluations."""
    figure = Figure(figsize=(11, 4.6))
    ax, cost = figure.subplots(1, 2)
    most = max(1.0, *(float(r["nfe"]) for r in rows))  # 0: the model does not say it
    for n, guider in enumerate(dict.fromkeys(r["guider"] for r in rows)):
        some = [r for r in rows if r["guider"] == guider]
        for on in (False, True):
            shown = [r for r in some if r["front"] == on]
            sizes = [12 + 90 * r["nfe"] / most for r in shown]
            style = {"facecolors": f"C{n}" if on else "none", "edgecolors": f"C{n}", "alpha": 0.8}
            ax.scatter([r[quality] for r in shown], [r["fid"] for r in shown], sizes, **style)
        ax.scatter([], [], 40, f"C{n}", label=guider)
        cost.scatter([r["nfe"] for r in some], [r[quality] for r in some], 14, f"C{n}", alpha=0.6)
    word = quality.replace("_", " ")
    ax.set(xlabel=word, ylabel=f"FID (n = {rows[0]['n']}, lower is better)", title=title)
    ax.legend(title=f"filled: on the front; large: {most:.0f} evaluations", fontsize=8, title_fontsize=8)
    best: list[Row] = []
    for r in sorted(rows, key=lambda r: (r["nfe"], -r[quality])):
        if not best or r[quality] > best[-1][quality]:
            best.append(r)
    cost.step([r["nfe"] for r in best], [r[quality] for r in best], where="post", color="gray", linewidth=1)
    for r in best:
        words = f"{r['guider']}, {r['sampler']}, w = {r['scale']:g}" + (f", EMA {r['ema']:g}" if r["ema"] else "")
        place = {"ha": "right" if r["nfe"] > most / 2 else "left", "textcoords": "offset points", "xytext": (0, 5)}
        cost.annotate(words, (r["nfe"], r[quality]), fontsize=7, **place)
    cost.set(xlabel="network evaluations a picture", ylabel=word, title="the best that so many evaluations give")
    cost.margins(0.12)
    return _save(figure, path)


@_alike()
def plot_loss(rows: Sequence[Row], path: Path, held_out: Sequence[Row] = ()) -> Path:
    """Plot every loss of the record over the steps, and that of held-out samples with the averaged weights."""
    figure = Figure(figsize=(6, 4))
    ax = figure.subplots()
    for key in sorted({k for r in rows for k in r if k.startswith("loss")}):
        points = [(r["step"], r[key]) for r in rows if key in r]
        ax.plot(*zip(*points, strict=True), label=key.replace("_", " "), linewidth=1)
    if held_out:
        ax.plot(
            [r["step"] for r in held_out], [r["loss_ema"] for r in held_out], "o-", label="held-out, averaged weights"
        )
    ax.set(xlabel="step", ylabel="loss", yscale="log")
    _number(ax.yaxis, *ax.get_ylim())
    if ax.get_lines():
        ax.legend()
    return _save(figure, path)


def _number(axis: Any, low: float, high: float) -> None:
    """Number a logarithmic axis at 1, 2, 5, 10, ...; a short one, which has fewer than three of these, in equal steps."""
    steps = (1, 2, 5)
    decades = range(-12, 13)
    few = sum(low <= m * 10.0**p <= high for p in decades for m in steps) < 3
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]) if few else LogLocator(10, steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for axis in figure.axes:
        axis.grid(alpha=0.3)
    for text in figure.findobj(lambda part: isinstance(part, Text)):
        text.set_text(drawable(text.get_text()))
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path
