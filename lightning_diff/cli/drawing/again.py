"""sample.py again=PICTURE.png: draw a picture again by what its file says of itself, and compare the pixels.

The file comes from outside. Of its overrides only those that draw are taken, and they are checked like typed ones; plugins are
loaded only if the command line names them. The weights must have the hashes that the picture names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...config.compose import load_config
from ...config.errors import ConfigError
from ...config.paths import WEIGHTS
from ...config.schema import Config
from ...pipeline.many.named import one_folder
from ...pipeline.objects import generator_of
from ...ranks import say
from ...tracking.made_picture import Origin, read_picture, save_picture
from ..arguments import Arguments, read_arguments
from ..show import shows
from .prompts import finished, shipped_run
from .sample import DRAWING, DRAWING_KEYS, draw, origin_of, place_of, weights_of

ALLOWED = re.compile(rf"\+?({'|'.join(DRAWING)})[=./][^$]*|({'|'.join(map(re.escape, DRAWING_KEYS))})=[^$]*")


def again_asked(found: Arguments) -> None:
    """sample.py again=: draw the picture that the command names. Raises ConfigError for words that would be ignored."""
    words = found.words
    plugins = [word for word in found.overrides if word.startswith("plugins=")]
    others = [word for word in found.overrides if word not in plugins]
    given = [f"{name}=" for name in ("prompt", "prompts", "negative") if words[name]]
    if others or given or shows(found):
        what = (others or given or ["--cfg"])[0]
        raise ConfigError(f"{what}: would be ignored: again= repeats the picture as it is; leave it out")
    run = finished(one_folder(words["run"])) if words["run"] else None
    again(Path(words["again"]), run, plugins, Path(words["out"]))


def again(picture: Path, run: Path | None, plugins: Sequence[str], out: Path) -> None:
    """Draw the picture of a file again, with its run or with `run`, into `out`. Raises ConfigError if that cannot be."""
    if not picture.is_file():
        raise ConfigError(f"again={picture}: no such file")
    origin, before = read_picture(picture)
    folder = run or (Path(origin.run) if origin.run else shipped_run())
    config = config_of(picture, origin, folder, plugins)
    model = generator_of(config, folder)
    now = origin_of(config, folder, model, origin.words)
    for name in ("sampler", "guidance", "size"):
        if getattr(now, name) != getattr(origin, name):
            raise ConfigError(
                f"again={picture}: {name} was {_first(getattr(origin, name), getattr(now, name))} here; it cannot be the same"
            )
    pixels = draw(model, [(origin.prompt, origin.seed)] * origin.rows, origin.scale, origin.negative)[origin.row]
    out.mkdir(parents=True, exist_ok=True)
    place = place_of(out, origin, again="-again")
    save_picture(pixels, place, origin)
    if np.array_equal(pixels, before):
        return say(f"{place}: the same picture, bit for bit")
    if pixels.shape != before.shape:
        return say(f"{place}: {picture} has another size; it was changed after it was drawn")
    apart = np.abs(pixels.astype(int) - before)
    say(
        f"{place}: {np.count_nonzero(apart)} of {apart.size} values differ, by at most {apart.max()}: another machine or other "
        "packages drew it, or it was changed"
    )


def config_of(picture: Path, origin: Origin, folder: Path, plugins: Sequence[str]) -> Config:
    """The config that draws a picture. Raises ConfigError if the run is gone, its weights differ, or a word is not allowed."""
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"again={picture}: its run {folder} is gone; if it lies elsewhere, add run=FOLDER")
    for word in origin.words:
        if not ALLOWED.fullmatch(word):
            raise ConfigError(f"again={picture}: {word!r}: no override that a picture may hold")
    words = read_arguments(origin.words, command="sample.py").overrides
    config = load_config(folder / "config.yaml", [*plugins, *words])
    if (found := weights_of(config, folder)) != origin.weights:
        raise ConfigError(f"again={picture}: the weights in {folder} are others ({_first(origin.weights, found)} now)")
    return config


def _first(old: object, new: object) -> str:
    """The first value that differs, in words."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return f"{old}, and is {new}"
    name = next(key for key in [*old, *new] if old.get(key) != new.get(key))
    return f"{name} {old.get(name)}, and is {new.get(name)}"
