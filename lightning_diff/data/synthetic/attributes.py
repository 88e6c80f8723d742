"""The attributes of the synthetic data sets, and the words for their values."""

from __future__ import annotations

COUNTS = ("one", "two")

SUBJECTS = ("avocado", "banana", "leaf", "puppy", "trash can", "mug", "ball", "mushroom")
COLOURS = ("red", "yellow", "green", "blue", "purple", "gray")
SIZES = ("small", "large")
PLACES = ("left", "middle", "right")
SETTINGS = ("table", "grass", "city", "night")
STILL_LIFE = {
    "count": COUNTS,
    "setting": SETTINGS,
    "place": PLACES,
    "first_subject": SUBJECTS,
    "first_colour": COLOURS,
    "first_size": SIZES,
    "second_subject": SUBJECTS,
    "second_colour": COLOURS,
    "second_size": SIZES,
}

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LAYOUTS = ("top left", "top right", "bottom left", "bottom right", "side by side", "stacked")
DIGITS = {"count": COUNTS, "layout": LAYOUTS, "first_digit": WORDS, "second_digit": WORDS}
