"""Painters of the still life's subjects. Each uses its own coordinates: x and y from -1 to 1, y downward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import ImageDraw

Colour = tuple[int, int, int]
Shades = tuple[Colour, Colour, Colour]  # dark, plain, light
Points = Sequence[tuple[float, float]]

INK: Colour = (34, 30, 34)
CREAM: Colour = (246, 238, 220)


def shades(colour: Colour) -> Shades:
    """A darker tone of the colour, the colour, and a lighter tone."""

    def mix(toward: int, by: float) -> Colour:
        r, g, b = (round(c + (toward - c) * by) for c in colour)
        return r, g, b

    return mix(0, 0.38), colour, mix(255, 0.45)


class Brush:
    """Draws in relative coordinates: those of the picture (0 to 1), or those of a thing placed with `at`."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, x: float = 0.0, y: float = 0.0) -> None:
        self.draw, self.scale, self.x, self.y = draw, scale, x, y

    def at(self, x: float, y: float, radius: float) -> Brush:
        return Brush(self.draw, self.scale * radius, self.x + x * self.scale, self.y + y * self.scale)

    def _map(self, points: Points) -> list[tuple[float, float]]:
        return [(self.x + x * self.scale, self.y + y * self.scale) for x, y in points]

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        self.draw.ellipse(self._map([(x0, y0), (x1, y1)]), fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        self.draw.rectangle(self._map([(x0, y0), (x1, y1)]), fill=fill)

    def polygon(self, points: Points, fill: Colour) -> None:
        self.draw.polygon(self._map(points), fill=fill)

    def line(self, points: Points, fill: Colour, width: float) -> None:
        self.draw.line(self._map(points), fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def pie(self, x0: float, y0: float, x1: float, y1: float, start: float, end: float, fill: Colour) -> None:
        self.draw.pieslice(self._map([(x0, y0), (x1, y1)]), start, end, fill=fill)

    def ring(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, width: float) -> None:
        self.draw.ellipse(self._map([(x0, y0), (x1, y1)]), outline=fill, width=max(1, round(width * self.scale)))


def avocado(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    for grow, tone in ((0.0, dark), (-0.1, plain), (-0.22, light)):
        b.ellipse(-0.72 - grow, -0.2 - grow, 0.72 + grow, 1.0 + grow, tone)
        b.ellipse(-0.42 - grow, -1.0 - grow, 0.42 + grow, 0.3 + grow, tone)
        b.polygon([(-0.42 - grow, -0.5), (0.42 + grow, -0.5), (0.7 + grow, 0.3), (-0.7 - grow, 0.3)], tone)
    b.ellipse(-0.32, 0.12, 0.32, 0.74, (116, 66, 32))
    b.ellipse(-0.2, 0.2, 0.02, 0.4, (170, 112, 66))


def banana(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    outer = [
        (-1.0, -0.5),
        (-0.9, 0.1),
        (-0.6, 0.6),
        (-0.1, 0.86),
        (0.4, 0.74),
        (0.8, 0.36),
        (0.98, -0.2),
        (0.96, -0.62),
    ]
    inner = [(0.84, -0.58), (0.66, -0.1), (0.32, 0.16), (-0.1, 0.2), (-0.5, 0.0), (-0.8, -0.5)]
    b.polygon(outer + inner, plain)
    b.line([(-0.9, -0.3), (-0.66, 0.28), (-0.14, 0.52), (0.4, 0.44), (0.84, -0.1)], light, 0.14)
    b.line(outer, dark, 0.12)
    b.polygon([(-1.04, -0.5), (-1.0, -0.72), (-0.84, -0.72), (-0.76, -0.46)], INK)
    b.polygon([(0.82, -0.56), (0.88, -0.84), (1.02, -0.84), (1.0, -0.56)], INK)


def leaf(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    outline = [
        (0.9, -0.95),
        (0.98, -0.2),
        (0.7, 0.42),
        (0.2, 0.72),
        (-0.4, 0.66),
        (-0.66, 0.3),
        (-0.6, -0.2),
        (-0.1, -0.66),
    ]
    b.polygon(outline, plain)
    b.polygon([(0.9, -0.95), (-0.1, -0.66), (-0.6, -0.2), (-0.66, 0.3), (-0.5, 0.5)], light)
    b.line([(-0.95, 0.98), (-0.5, 0.5), (0.9, -0.95)], dark, 0.12)
    for t in (0.15, 0.4, 0.65):
        x, y = -0.5 + 1.4 * t, 0.5 - 1.45 * t
        b.line([(x, y), (x + 0.42, y + 0.1)], dark, 0.07)
        b.line([(x, y), (x - 0.1, y - 0.4)], dark, 0.07)


def puppy(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    b.ellipse(-0.78, -0.82, 0.78, 0.86, plain)
    b.ellipse(-1.02, -0.8, -0.52, 0.42, dark)
    b.ellipse(0.52, -0.8, 1.02, 0.42, dark)
    b.ellipse(-0.46, 0.04, 0.46, 0.8, CREAM)
    for x in (-0.32, 0.32):
        b.ellipse(x - 0.17, -0.36, x + 0.17, 0.02, (250, 250, 250))
        b.ellipse(x - 0.1, -0.28, x + 0.1, -0.04, INK)
    b.ellipse(-0.2, 0.08, 0.2, 0.34, INK)
    b.ellipse(-0.15, 0.44, 0.15, 0.84, (236, 112, 128))
    b.ellipse(-0.3, -0.74, 0.3, -0.5, light)


def trash_can(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    b.polygon([(-0.72, -0.58), (0.72, -0.58), (0.58, 1.0), (-0.58, 1.0)], plain)
    b.polygon([(-0.72, -0.58), (-0.4, -0.58), (-0.32, 1.0), (-0.58, 1.0)], light)
    for x in (-0.3, 0.0, 0.3):
        b.line([(x, -0.4), (0.85 * x, 0.84)], dark, 0.11)
    b.box(-0.88, -0.78, 0.88, -0.54, dark)
    b.box(-0.24, -0.98, 0.24, -0.78, dark)


def mug(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    b.ring(0.26, -0.42, 1.0, 0.5, dark, 0.2)
    b.box(-0.82, -0.62, 0.58, 0.8, plain)
    b.ellipse(-0.82, 0.58, 0.58, 1.0, plain)
    b.box(-0.68, -0.5, -0.44, 0.76, light)
    b.ellipse(-0.82, -0.9, 0.58, -0.36, dark)
    b.ellipse(-0.7, -0.82, 0.46, -0.46, (82, 50, 32))


def ball(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    b.ellipse(-0.96, -0.92, 0.96, 1.0, plain)
    for start in (20, 140, 260):
        b.pie(-0.96, -0.92, 0.96, 1.0, start, start + 48, CREAM)
    b.ellipse(-0.24, -0.2, 0.24, 0.28, dark)
    b.ellipse(-0.62, -0.66, -0.28, -0.36, light)


def mushroom(b: Brush, c: Shades) -> None:
    dark, plain, light = c
    b.polygon([(-0.3, 0.0), (0.3, 0.0), (0.42, 0.98), (-0.42, 0.98)], CREAM)
    b.ellipse(-0.98, -0.06, 0.98, 0.3, dark)
    b.pie(-0.98, -0.96, 0.98, 1.2, 180, 360, plain)
    b.ellipse(-0.16, -0.86, 0.2, -0.52, CREAM)
    for x in (-0.6, 0.56):
        b.ellipse(x - 0.17, -0.42, x + 0.17, -0.1, CREAM)
    b.ellipse(-0.08, -0.3, 0.16, -0.08, light)


PAINTERS: dict[str, Callable[[Brush, Shades], None]] = {
    "avocado": avocado,
    "banana": banana,
    "leaf": leaf,
    "puppy": puppy,
    "trash can": trash_can,
    "mug": mug,
    "ball": ball,
    "mushroom": mushroom,
}
