"""What a drawn PNG says of itself, in two text chunks: "lightning_diff" holds all that repeats it, as JSON; "parameters" says it
for people, as AUTOMATIC1111's web UI writes it. A chunk that is read comes from outside, so only plain values of known types
are taken from it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ..config.errors import ConfigError

CHUNK, FOR_PEOPLE = "lightning_diff", "parameters"
MOST = 2**16  # letters of a chunk that is read
ROWS = 16  # pictures in a call, at most: as fast as larger calls, and a picture that is drawn again needs as many
SIDE = 8192  # pixels of a picture that is read


@dataclass(frozen=True)
class Origin:
    """What repeats a picture. `run` is the folder of the run, empty for the model that comes with the package. `weights` are the
    hashes of its weights files. `words` are the overrides of the command; `sampler` and `guidance` are what they meant. The
    picture was at `row` in a call of `rows`: a matrix product may round differently in a call of another size."""

    prompt: str
    seed: int
    scale: float
    sampler: dict[str, Any]
    guidance: dict[str, Any]
    words: list[str]
    run: str
    weights: dict[str, str]
    size: int
    version: str
    row: int = 0
    rows: int = 1
    negative: str = ""

    @property
    def mark(self) -> str:
        """Tells pictures apart, wherever in a call they were drawn."""
        said = asdict(self) | {"row": 0, "rows": 1}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:6]

    @property
    def run_name(self) -> str:
        return Path(self.run).name or "shipped"

    @property
    def parameters(self) -> str:
        """All of it in the words of AUTOMATIC1111's web UI."""
        lines = [self.prompt, *([f"Negative prompt: {self.negative}"] if self.negative else [])]
        said = {
            "Steps": self.sampler.get("steps"),
            "Sampler": self.sampler.get("kind"),
            "CFG scale": f"{self.scale:g}",
            "Seed": self.seed,
            "Size": f"{self.size}x{self.size}",
            "Model hash": self.weights.get("net", ""),
            "Model": self.run_name,
            "Version": f"lightning-diff {self.version}",
        }
        return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in said.items())])


def save_picture(pixels: np.ndarray, path: Path, origin: Origin) -> None:
    """Write a picture, uint8 [3, H, W], as PNG with its origin."""
    info = PngImagePlugin.PngInfo()
    info.add_text(CHUNK, json.dumps(asdict(origin)))
    info.add_text(FOR_PEOPLE, origin.parameters)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(path, "png", pnginfo=info)


def read_picture(path: Path) -> tuple[Origin, np.ndarray]:
    """The origin of a PNG and its pixels, uint8 [3, H, W]. Raises ConfigError if the file is no such picture."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if max(picture.size) > SIDE:
                raise ValueError(f"more than {SIDE} pixels wide or high")
            picture.load()
            text = getattr(picture, "text", {}).get(CHUNK)
            pixels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    except Exception as e:  # a damaged file makes Pillow raise errors of many kinds
        raise ConfigError(f"{path}: not a PNG that can be read ({' '.join(str(e).split())[:120]})") from e
    if text is None:
        raise ConfigError(f"{path}: does not say how it was made; only pictures of sample.py do")
    try:
        return _origin(text), pixels
    except (ValueError, TypeError, RecursionError) as e:
        raise ConfigError(f"{path}: what it says of itself is damaged ({' '.join(str(e).split())[:120]})") from e


def same_origin(path: Path, origin: Origin) -> bool:
    """Whether a file is a picture that was drawn in this very way."""
    try:
        return read_picture(path)[0].mark == origin.mark
    except ConfigError:
        return False


def _origin(text: str) -> Origin:
    """Raises ValueError for anything but plain values of the right types."""
    found = json.loads(text) if len(text) <= MOST else None
    names = [f.name for f in fields(Origin)]
    if not isinstance(found, dict) or sorted(found) != sorted(names):
        raise ValueError(f"must be a table of {', '.join(names)}")
    for name in ("prompt", "run", "version", "negative"):
        _need(isinstance(found[name], str) and "\0" not in found["run"], name)
    for name, most in (("seed", 2**63), ("size", SIDE), ("rows", ROWS + 1), ("row", found["rows"])):
        _need(type(found[name]) is int and 0 <= found[name] < most, name)
    _need(type(found["scale"]) in (int, float) and math.isfinite(found["scale"]), "scale")
    _need(isinstance(found["words"], list) and all(isinstance(word, str) for word in found["words"]), "words")
    hashes = found["weights"]
    _need(isinstance(hashes, dict) and all(_is_hash(value) for value in hashes.values()), "weights")
    for name in ("sampler", "guidance"):
        _need(isinstance(found[name], Mapping), name)
    return Origin(**found)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{12}", value) is not None


def _need(right: bool, name: str) -> None:
    if not right:
        raise ValueError(f"{name} has another type")
