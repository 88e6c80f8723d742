"""At the end of prepare.py: the numbers of a user's set, and a sheet of some of its pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ...config.schema import Config
from ...data.account.statistics import lines_of, statistics
from ...data.dataset import Pictures
from ...data.sources.base import Prepared
from ...files import whole_file, write_text
from ...ranks import say
from ...tracking.figures import save_grid

ON_SHEET = 64  # pictures


def say_statistics(found: Prepared, config: Config) -> None:
    """Say the numbers of a set. They are kept in the cache with a sheet of its pictures, made once for each content."""
    place = Path(config.cache) / "sheets" / config.data.identity(Path(config.cache))
    numbers, sheet = place / "statistics.json", place / "sheet.png"
    if not numbers.is_file() or not sheet.is_file():
        write_sheet(found, config, sheet)
        write_text(numbers, json.dumps(statistics(list(found.splits.values())), indent=1))
    for line in lines_of(json.loads(numbers.read_bytes())):
        say(line)
    say(f"a sheet of its pictures: {sheet}")


def write_sheet(found: Prepared, config: Config, sheet: Path) -> None:
    """Write a sheet of pictures with their captions, taken at equal distances from the set."""
    some = [Pictures(index, config.data.image_size, fit=config.data.fit) for index in found.splits.values()]
    every = [(pictures, i) for pictures in some for i in range(len(pictures))]
    shown = [every[n] for n in np.linspace(0, len(every) - 1, min(ON_SHEET, len(every))).astype(int)]
    read = [pictures.read(i) for pictures, i in shown]
    with whole_file(sheet) as partial:
        drawn = partial.with_suffix(".png")
        save_grid(np.stack([one[0].numpy() for one in read]), [one[1] for one in read], drawn, columns=8)
        drawn.replace(partial)
