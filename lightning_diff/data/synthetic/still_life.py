"""Synthetic data "still life": one or two things from the article in a setting, with exact ground truth.

8 subjects x 6 colours x 2 sizes in 4 settings, as a single thing (left, middle or right) or as a pair. A scene is drawn at
four times its size and reduced. A tenth of all *contents* (setting, subjects, colours, sizes; in any place and phrasing)
never occurs in training: test captions ask for combinations that the model has not seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from ..sample import Sample
from .attributes import COLOURS, PLACES, SETTINGS, SIZES, SUBJECTS
from .things import PAINTERS, Brush, shades

SPLITS = {"train": 0, "test": 1, "all": 2}
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
    """The content of a picture. `place` is for a single thing; the first of a pair is on the left, the second on the right."""

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
    """The scene of a sample, and the generator that then draws its details. A content of the other split is redrawn."""
    rng = np.random.default_rng([seed, SPLITS[split], index])
    drawn = _draw_scene(rng)
    while split != "all" and drawn.held_out() != (split == "test"):
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


@dataclass(frozen=True)
class Phrasing:
    """How a caption is phrased: `where` and `form` choose among the phrases; `with_place`: it states a single thing's place."""

    where: int
    form: int
    with_place: bool

    def of(self, s: Scene) -> str:
        where = WHERE[SETTINGS[s.setting]][self.where]
        if len(s.things) == 1:
            thing = f"a {s.things[0].words()}"
            place = PLACED[PLACES[s.place]]
            return (
                f"{thing} {place} {where}" if self.with_place else f"{thing} {where}",
                f"{where}, {thing} {place}" if self.with_place else f"{where}, {thing}",
                f"a picture of {thing} {where}" + (f", {place}" if self.with_place else ""),
            )[self.form]
        first, second = (f"a {t.words()}" for t in s.things)
        return (
            f"{first} to the left of {second} {where}",
            f"{second} to the right of {first} {where}",
            f"{where}, {first} on the left and {second} on the right",
            f"a picture of {first} beside {second} on its right, {where}",
        )[self.form]


def phrasing(s: Scene, rng: np.random.Generator) -> Phrasing:
    where = int(rng.integers(2))
    with_place = len(s.things) == 1 and rng.random() < 0.5
    return Phrasing(where, int(rng.integers(3 if len(s.things) == 1 else 4)), with_place)


def altered(s: Scene, with_place: bool, rng: np.random.Generator) -> Scene:
    """The scene of a hard negative: half the time the positions change, else one attribute of one thing."""

    def other(value: int, values: tuple[str, ...]) -> int:
        return (value + 1 + int(rng.integers(len(values) - 1))) % len(values)

    if rng.random() < 0.5:
        if len(s.things) == 2 and s.things[0] != s.things[1]:
            return replace(s, things=s.things[::-1])
        if with_place:
            return replace(s, place=other(s.place, PLACES))
    which = int(rng.integers(len(s.things)))
    t = s.things[which]
    changed = (
        replace(t, subject=other(t.subject, SUBJECTS)),
        replace(t, colour=other(t.colour, COLOURS)),
        replace(t, size=other(t.size, SIZES)),
    )[int(rng.integers(3))]
    return replace(s, things=tuple(changed if n == which else u for n, u in enumerate(s.things)))


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
    """Draw a scene. Returns an RGB picture of `image_size` x `image_size` pixels."""
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
    """Sample `index` of a split. Pure: the same arguments give the same picture and captions."""
    drawn, rng = scene(split, seed, index)
    said = phrasing(drawn, rng)
    labels = truth_of(drawn)
    if not said.with_place:
        labels.pop("place", None)
    hard_negative = said.of(altered(drawn, said.with_place, np.random.default_rng([seed, SPLITS[split], index, 1])))
    return Sample(f"{split}-{seed}-{index:07d}", render(drawn, rng, image_size), said.of(drawn), labels, hard_negative)
