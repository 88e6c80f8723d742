"""Real pictures in the place of drawn ones: a sweep's sample of a sorted folder scores what a random subset scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lightning_diff.config.compose import compose_config
from lightning_diff.data.dataset import Pictures, pictures
from lightning_diff.data.order import sampled
from lightning_diff.evaluation.metrics.fid import Gaussian

KINDS, EACH, ASKED = 6, 40, 60


def sorted_folder(root: Path, order: int) -> Path:
    """Pictures of KINDS colours. Their names begin with the kind, so the first ones in the order of names are alike."""
    root.mkdir()
    draw = np.random.default_rng(0)
    for kind in range(KINDS):
        for i in range(EACH):
            colour = np.array([40 * kind, 200 - 30 * kind, 90]) + draw.normal(0, 12, (6, 6, 3))
            name = f"{(kind, KINDS - kind, 'x')[order]}-{(i, EACH - i, draw.integers(10**9))[order]}"
            Image.fromarray(colour.clip(0, 255).astype(np.uint8)).resize((16, 16)).save(root / f"{name}.png")
            (root / f"{name}.txt").write_text(f"kind {kind}, number {i}")
    return root


def features(some: Pictures, rows: np.ndarray) -> torch.Tensor:
    """The mean colour and the spread of each picture: enough to tell the kinds apart."""
    images = torch.stack([some.read(int(i))[0] for i in rows]).float().flatten(2) / 255
    return torch.cat([images.mean(2), images.std(2)], 1).double()


def test_real_pictures_score_what_a_random_subset_scores(tmp_path: Path) -> None:
    scores = []
    for order in range(3):
        root = sorted_folder(tmp_path / str(order), order)
        words = [
            "data=folder",
            "data.image_size=16",
            f"data.source={root}",
            f"cache={tmp_path}/cache",
            "data.test=none",
        ]
        config = compose_config(words)
        some = pictures(config.data, Path(config.cache), "train")
        assert some is not None and len(some) == KINDS * EACH
        every = features(some, np.arange(len(some)))
        asked = sampled(some.index.facts.pictures, 0)[:ASKED]
        draw = np.random.default_rng(1)
        subsets = [features(some, draw.permutation(len(some))[:ASKED]) for _ in range(20)]
        random = [float(Gaussian(every).distance(s)) for s in subsets]
        score, first = (float(Gaussian(every).distance(features(some, rows))) for rows in (asked, np.arange(ASKED)))
        assert score <= 1.5 * max(random)
        assert order == 2 or first > 5 * max(random)  # what the first by name score
        scores.append(score)
    assert max(scores) - min(scores) < 1e-9
