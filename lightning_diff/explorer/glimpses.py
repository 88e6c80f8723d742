"""How alignDRAW draws, as pictures: each glimpse with its read and write windows and its attention to the words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..models.align_draw import Drawing
from ..tracking.letters import drawable, font

WRITE, READ, INK = (214, 50, 48), (36, 130, 76), (27, 29, 34)
SIDE = 240  # pixels of a canvas in the movie
SMALL = 120  # pixels of a canvas on the strip
LINE = 16


def canvas_with(pixels: Tensor, boxes: Sequence[tuple[np.ndarray, tuple[int, int, int]]], side: int) -> Image.Image:
    """A picture, uint8 [3, H, W], `side` pixels wide, with the outlines of these boxes."""
    picture = Image.fromarray(pixels.numpy().transpose(1, 2, 0)).resize((side, side), Image.Resampling.NEAREST)
    draw, zoom = ImageDraw.Draw(picture), side / pixels.shape[-1]
    for box, colour in boxes:
        left, top, right, bottom = ((float(v) + 0.5) * zoom for v in box)
        draw.rectangle(
            (min(left, right), min(top, bottom), max(left, right), max(top, bottom)), outline=colour, width=2
        )
    return picture


def _bars(sheet: Image.Image, words: Sequence[str], weights: np.ndarray, x: int, y: int, width: int) -> None:
    """The words below each other, each with a bar as long as its share of the attention."""
    draw = ImageDraw.Draw(sheet)
    for i, (word, weight) in enumerate(zip(words, weights, strict=True)):
        top = y + i * LINE
        draw.text((x, top), drawable(word)[:12], fill=INK, font=font(11))
        draw.rectangle((x + 76, top + 3, x + 76 + round(float(weight) * (width - 80)), top + LINE - 4), fill=WRITE)


def movie_frames(drawing: Drawing, picture: Tensor | None = None) -> list[Image.Image]:
    """A frame for each glimpse. With a picture, it is shown too, with the window that reads it."""
    columns = 2 if picture is not None else 1
    high = max(SIDE, LINE * len(drawing.words)) + 26
    frames = []
    for t, canvas in enumerate(drawing.canvas):
        sheet = Image.new("RGB", (columns * (SIDE + 8) + 200, high), "white")
        draw = ImageDraw.Draw(sheet)
        if picture is not None:
            sheet.paste(canvas_with(picture, [(drawing.looked[t], READ)], SIDE), (0, 22))
            draw.text((0, 4), "read (green)", fill=INK, font=font(12))
        x = (columns - 1) * (SIDE + 8)
        sheet.paste(canvas_with(canvas, [(drawing.written[t], WRITE)], SIDE), (x, 22))
        draw.text((x, 4), f"glimpse {t + 1} of {len(drawing.canvas)}, written (red)", fill=INK, font=font(12))
        _bars(sheet, drawing.words, drawing.attention[t], columns * (SIDE + 8), 22, 200)
        frames.append(sheet)
    return frames


def save_movie(drawing: Drawing, path: Path, picture: Tensor | None = None) -> Path:
    """Write the glimpses as an animated GIF, four a second; the last one stays for two seconds."""
    frames = movie_frames(drawing, picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    wait = [250] * (len(frames) - 1) + [2000]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=wait, loop=0)
    return path


def save_strip(drawing: Drawing, path: Path, picture: Tensor | None = None, columns: int = 8) -> Path:
    """Write all glimpses on one sheet: the canvases with their windows, and below them the attention, a row for each word and a
    column for each glimpse."""
    total = len(drawing.canvas)
    columns = min(columns, total)
    rows, cell = -(-total // columns), SMALL + 6
    high = rows * (cell + 14) * (2 if picture is not None else 1)
    wide = max(columns * cell, 90 + 12 * total)
    sheet = Image.new("RGB", (wide, high + 24 + LINE * len(drawing.words)), "white")
    draw = ImageDraw.Draw(sheet)
    for t in range(total):
        x, y = (t % columns) * cell, (t // columns) * (cell + 14) * (2 if picture is not None else 1)
        draw.text((x, y), str(t + 1), fill=INK, font=font(10))
        if picture is not None:
            sheet.paste(canvas_with(picture, [(drawing.looked[t], READ)], SMALL), (x, y + 13))
            y += cell
        sheet.paste(canvas_with(drawing.canvas[t], [(drawing.written[t], WRITE)], SMALL), (x, y + 13))
    draw.text(
        (0, high + 2), "attention to each word, from the first glimpse (left) to the last", fill=INK, font=font(11)
    )
    step = (wide - 90) // total
    for i, word in enumerate(drawing.words):
        y = high + 20 + i * LINE
        draw.text((0, y), drawable(word)[:13], fill=INK, font=font(11))
        for t in range(total):
            shade = 255 - round(255 * float(drawing.attention[t, i]))
            draw.rectangle((90 + t * step, y, 90 + (t + 1) * step - 2, y + LINE - 2), fill=(255, shade, shade))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path
