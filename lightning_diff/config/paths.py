"""Checks of the paths in a config: an input must exist and have the right format, an output folder must be possible."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..files import is_safetensors, not_safetensors, sha256, unwritable
from .errors import ConfigError
from .input.typed import WEIGHTS as WEIGHTS
from .schema import Config

PACKAGE = Path(__file__).resolve().parents[1]
PACKAGE_FOLDER = PACKAGE.parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE_FOLDER / "conf"  # a wheel holds it inside
SHIPPED = PACKAGE / "weights"
PARTS = "parts"  # the folder of a run's frozen components, in its folder

FOLDERS = ("autoencoder.weights", "text.weights", "text.more", "init_from")  # keys that also take a diffusers folder


def check_writable(word: str, place: Path, what: str = "a folder") -> None:
    """Raises ConfigError if nothing can be written to this path. `word` gave it, and should name `what`."""
    if why := unwritable(place):
        raise ConfigError(f"{word}: {why}; name {what} that can be written")


def given_weights(c: Config) -> list[tuple[str, str]]:
    """(key, path) of all weights that the config names."""
    said = [
        ("autoencoder.weights", c.autoencoder.weights),
        ("text.weights", c.text.weights),
        *(("text.more", more.weights) for more in c.text.more),
        ("autoencoder.lpips_weights", c.autoencoder.lpips_weights),
        ("evaluation.features.weights", getattr(c.evaluation.features, "weights", None)),
        ("init_from", c.init_from),
        *(("init_lora", lora) for lora in c.init_lora),
    ]
    return [(name, path) for name, path in said if path not in (None, "auto")]


@cache
def _sum(file: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file, cached as long as its size and time stay the same: a multirun checks the same files again
    for each of its runs."""
    return sha256(file)


def pinned(c: Config) -> Iterator[tuple[bool, str]]:
    """Yield (whether it is wrong, its message): all weights that the config names must have a SHA-256 that it pins. In a
    folder, every safetensors file is checked."""
    guide = getattr(c.guidance, "guide", None)
    named = [*given_weights(c), *([("guidance.guide", guide)] if guide and os.path.isfile(guide) else [])]
    for pin in c.pins:
        yield (
            not re.fullmatch("[0-9a-f]{12,64}", pin),
            f"pins: {pin} is not the beginning of a SHA-256 (12 to 64 digits, in quotes)",
        )
    unused = set(c.pins)
    for name, path in named if c.pins else ():
        for file in sorted(Path(path).rglob("*.safetensors")) if os.path.isdir(path) else [Path(path)]:
            now = file.stat()
            digest = _sum(file, now.st_size, now.st_mtime_ns)
            fits = {pin for pin in c.pins if digest.startswith(pin)}
            unused -= fits
            yield not fits, f"{name}={path}: {file.name} has the SHA-256 {digest}, which is none of pins"
    yield bool(unused), f"pins: no weights that this config names have the SHA-256 {', '.join(sorted(unused))}"


def path_mistakes(c: Config) -> Iterator[tuple[bool, str]]:
    """Yield (whether it is wrong, its message) for each path. os.path accepts any text; Path raises an error for some."""
    for name, path in given_weights(c):
        if name in FOLDERS and os.path.isdir(path):
            found = [*Path(path).glob("config.json"), *Path(path).glob("*/config.json")]
            yield not found, f"{name}={path}: not a diffusers folder (no config.json in it)"
            continue
        yield not os.path.isfile(path), f"{name}={path}: no such file"
        if name != "evaluation.features.weights" or c.evaluation.features.safetensors:
            wrong = not is_safetensors(Path(path))
            yield wrong, f"{name}={path}: {not_safetensors(Path(path)) if wrong else ''}"
    yield from pinned(c)
    for name, path in (("outputs", c.outputs), ("cache", c.cache)):
        above = next((p for p in (Path(path), *Path(path).parents) if os.path.exists(p)), None)
        yield (
            not path or not _names(path) or (above is not None and not os.path.isdir(above)),
            f"{name}={path}: no folder can be there",
        )
    yield (
        c.name is not None and (not _names(c.name) or bool({"..", "."} & set(c.name.split("/"))) or c.name[:1] == "/"),
        f"name={c.name}: a name of a folder in outputs={c.outputs}, no path out of it, and no line break or the like",
    )


def _names(path: str) -> bool:
    """Whether a file system accepts all names in this path. Names with control characters are refused."""
    controlled = any(unicodedata.category(letter) == "Cc" for letter in path)
    return not controlled and all(len(os.fsencode(part)) <= 200 for part in path.split("/"))
