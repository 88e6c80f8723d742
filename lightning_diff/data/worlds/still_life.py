"""The still life: one or two things from the article, in a setting, with exact ground truth.

8 subjects x 6 colours x 2 sizes, in 4 settings, alone (left, middle or right) or as a pair. A scene is drawn at four
times its size and reduced. A tenth of all *contents* (setting, subjects, colours, sizes; whatever the place or the
phrasing) never occurs in training: test captions ask for combinations that the model has not seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from . import Sample, World
from .things import PAINTERS, Brush, shades

SUBJECTS = ("avocado", "banana", "leaf", "puppy", "trash can", "mug", "ball", "mushroom")
COLOURS = ("red", "yellow", "green", "blue", "purple", "gray")
SIZES = ("small", "large")
PLACES = ("left", "middle", "right")
SETTINGS = ("table", "grass", "city", "night")
ATTRIBUTES = {
    "count": ("one", "two"),
    "setting": SETTINGS,
    "place": PLACES,
    "first_subject": SUBJECTS,
    "first_colour": COLOURS,
    "first_size": SIZES,
    "second_subject": SUBJECTS,
    "second_colour": COLOURS,
    "second_size": SIZES,
}
SPLITS = {"train": 0, "test": 1}
SUPERSAMPLING = 4


@dataclass(frozen=True)
class Thing:
    subject: int
    colour: int
    size: int

    def words(self) -> str:
        return f"{SIZES[self.size]} {COLOURS[self.colour]} {SUBJECTS[self.subject]}"


@dataclass(frozen=True)
class Scene:
    """`place` is the place of a single thing; a pair stands first on the left, second on the right."""

    setting: int
    things: tuple[Thing, ...]
    place: int

    def content(self) -> str:
        return f"{self.setting}:{self.things}"

    def held_out(self) -> bool:
        """Whether this content is kept for testing: a pure function of the content (one in ten)."""
        return hashlib.sha256(self.content().encode()).digest()[0] % 10 == 0


def _draw_scene(rng: np.random.Generator) -> Scene:
    count = 1 if rng.random() < 0.6 else 2
    things = tuple(
        Thing(int(rng.integers(len(SUBJECTS))), int(rng.integers(len(COLOURS))), int(rng.integers(len(SIZES))))
        for _ in range(count)
    )
    return Scene(int(rng.integers(len(SETTINGS))), things, int(rng.integers(len(PLACES))))


def scene(split: str, seed: int, index: int) -> tuple[Scene, np.random.Generator]:
    """The scene and the generator that goes on to draw its details. Contents of the other split are drawn again."""
    rng = np.random.default_rng([seed, SPLITS[split], index])
    drawn = _draw_scene(rng)
    while drawn.held_out() != (split == "test"):
        drawn = _draw_scene(rng)
    return drawn, rng


# --- captions -----------------------------------------------------------------------------------------------------

WHERE = {
    "table": ("on a table", "on a wooden table"),
    "grass": ("on the grass", "in a meadow"),
    "city": ("in a city", "in front of a city skyline"),
    "night": ("at night", "under the night sky"),
}
PLACED = {"left": "on the left", "middle": "in the middle", "right": "on the right"}


def caption(s: Scene, rng: np.random.Generator) -> tuple[str, dict[str, int]]:
    """One of several phrasings, and the attributes that it states."""
    where = WHERE[SETTINGS[s.setting]]
    where_words = where[int(rng.integers(len(where)))]
    labels = truth_of(s)
    if len(s.things) == 1:
        thing = f"a {s.things[0].words()}"
        placed = PLACED[PLACES[s.place]]
        with_place = rng.random() < 0.5
        if not with_place:
            labels.pop("place")
        text = [
            f"{thing} {placed} {where_words}" if with_place else f"{thing} {where_words}",
            f"{where_words}, {thing} {placed}" if with_place else f"{where_words}, {thing}",
            f"a picture of {thing} {where_words}" + (f", {placed}" if with_place else ""),
        ][int(rng.integers(3))]
        return text, labels
    first, second = (f"a {t.words()}" for t in s.things)
    text = [
        f"{first} to the left of {second} {where_words}",
        f"{second} to the right of {first} {where_words}",
        f"{where_words}, {first} on the left and {second} on the right",
        f"a picture of {first} beside {second} on its right, {where_words}",
    ][int(rng.integers(4))]
    return text, labels


def truth_of(s: Scene) -> dict[str, int]:
    labels = {"count": len(s.things) - 1, "setting": s.setting}
    if len(s.things) == 1:
        labels["place"] = s.place
    for name, t in zip(("first", "second"), s.things, strict=False):
        labels |= {f"{name}_subject": t.subject, f"{name}_colour": t.colour, f"{name}_size": t.size}
    return labels


# --- pictures -----------------------------------------------------------------------------------------------------


def _jitter(rng: np.random.Generator, colour: tuple[int, int, int], by: float = 10) -> tuple[int, int, int]:
    r, g, b = np.clip(np.asarray(colour) + rng.normal(0, by, 3), 0, 255).astype(int)
    return int(r), int(g), int(b)


def _table(b: Brush, rng: np.random.Generator) -> None:
    b.box(0, 0, 1, 0.66, _jitter(rng, (236, 224, 206), 8))
    wood = _jitter(rng, (172, 112, 62), 8)
    b.box(0, 0.66, 1, 1, wood)
    b.box(0, 0.66, 1, 0.685, shades(wood)[2])
    for y in (0.76, 0.88):
        b.line([(0, y), (1, y)], shades(wood)[0], 0.008)


def _grass(b: Brush, rng: np.random.Generator) -> None:
    b.box(0, 0, 1, 0.64, _jitter(rng, (180, 222, 246), 8))
    green = _jitter(rng, (112, 184, 84), 7)
    b.box(0, 0.64, 1, 1, green)
    b.ellipse(-0.3, 0.57, 0.75, 0.85, green)
    b.ellipse(0.45, 0.6, 1.4, 0.9, green)
    for _ in range(9):
        x, y = rng.uniform(0.03, 0.97), rng.uniform(0.74, 0.97)
        b.line([(x, y), (x + 0.012, y - 0.04)], shades(green)[0], 0.01)


def _city(b: Brush, rng: np.random.Generator) -> None:
    b.box(0, 0, 1, 0.66, _jitter(rng, (160, 186, 222), 8))
    for _ in range(2):
        x, y = rng.uniform(0.1, 0.85), rng.uniform(0.08, 0.2)
        for dx, r in ((-0.09, 0.045), (0, 0.065), (0.09, 0.05)):
            b.ellipse(x + dx - 1.3 * r, y - r, x + dx + 1.3 * r, y + r, (246, 248, 252))
    grey = _jitter(rng, (104, 110, 134), 6)
    x = -0.02
    while x < 1:
        width, top = rng.uniform(0.09, 0.16), rng.uniform(0.3, 0.5)
        b.box(x, top, x + width, 0.66, grey)
        for wy in np.arange(top + 0.05, 0.6, 0.1):
            b.box(x + 0.3 * width, wy, x + 0.7 * width, wy + 0.035, shades(grey)[2])
        x += width + rng.uniform(0.0, 0.02)
    b.box(0, 0.66, 1, 1, _jitter(rng, (172, 172, 174), 6))


def _night(b: Brush, rng: np.random.Generator) -> None:
    b.box(0, 0, 1, 0.66, _jitter(rng, (24, 28, 66), 6))
    for _ in range(9):
        x, y = rng.uniform(0, 1), rng.uniform(0, 0.6)
        b.ellipse(x - 0.008, y - 0.008, x + 0.008, y + 0.008, (232, 232, 220))
    x, y = rng.uniform(0.15, 0.85), rng.uniform(0.12, 0.2)
    b.ellipse(x - 0.075, y - 0.075, x + 0.075, y + 0.075, (246, 238, 200))
    b.ellipse(x - 0.035, y - 0.03, x - 0.005, y, (226, 216, 176))
    b.box(0, 0.66, 1, 1, _jitter(rng, (52, 58, 78), 5))


BACKDROPS = {"table": _table, "grass": _grass, "city": _city, "night": _night}


def render(s: Scene, rng: np.random.Generator, image_size: int = 64) -> Image.Image:
    """RGB picture, `image_size` pixels square."""
    pixels = image_size * SUPERSAMPLING
    picture = Image.new("RGB", (pixels, pixels))
    canvas = Brush(ImageDraw.Draw(picture), pixels)
    BACKDROPS[SETTINGS[s.setting]](canvas, rng)
    centres = ((0.2, 0.5, 0.8)[s.place],) if len(s.things) == 1 else (0.27, 0.74)
    for thing, centre in zip(s.things, centres, strict=True):
        radius = (0.165, 0.255)[thing.size] * rng.uniform(0.95, 1.05)
        ground = rng.uniform(0.83, 0.88) + 0.06 * thing.size
        x = float(np.clip(centre + rng.normal(0, 0.012), radius, 1 - radius))
        thing_brush = canvas.at(x, ground - radius, radius)
        thing_brush.ellipse(-0.85, 0.82, 0.85, 1.08, (38, 36, 40))
        PAINTERS[SUBJECTS[thing.subject]](thing_brush, shades(_jitter(rng, RGB[COLOURS[thing.colour]], 7)))
    return picture.reduce(SUPERSAMPLING)


RGB = {
    "red": (214, 50, 48),
    "yellow": (240, 200, 44),
    "green": (60, 160, 66),
    "blue": (56, 100, 216),
    "purple": (146, 66, 178),
    "gray": (146, 146, 150),
}


def sample(split: str, seed: int, index: int, image_size: int = 64) -> Sample:
    """Sample `index` of a split. Pure: the same arguments give the same picture and caption."""
    drawn, rng = scene(split, seed, index)
    text, labels = caption(drawn, rng)
    return Sample(f"{split}-{seed}-{index:07d}", render(drawn, rng, image_size), text, labels)


STILL_LIFE = World("still_life", 1, ATTRIBUTES, sample, unsaid=("place",))
