"""The pictures that a run is measured with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...config.errors import ConfigError
from ...config.schema import Config
from ...data.dataset import PictureBatch, pictures
from ...data.order import sampled
from ...evaluation.setup import MOST


def reference_pictures(config: Config) -> tuple[str, PictureBatch]:
    """The split (the test set, or the training set if there is no test set), and its pictures to compare with. They are a random
    sample that depends on evaluation.seed and the set alone. Raises ConfigError if there are none."""
    for split in ("test", "train"):
        found = pictures(config.data, Path(config.cache), split, tuple(config.data.attributes))
        if found is not None:
            facts = found.index.facts
            contents = np.column_stack([facts.pictures, facts.captions[facts.first_caption[:-1]]])
            # A drawn set is in a random order already. Files are in the order of their names, so the first ones are alike.
            order = np.arange(len(found)) if config.data.drawn else sampled(contents, config.evaluation.seed)
            some = order[: max(MOST, config.evaluation.samples)]
            return split, found.__getitems__([(int(i), int(i), 0) for i in some])
    raise ConfigError("no pictures to compare with")
