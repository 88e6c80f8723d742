"""A small judge with random weights, and the captions that it knows."""

from __future__ import annotations

import pytest
import torch

from lightning_diff.config.schema import Evaluation
from lightning_diff.evaluation.features import features_of, judge_features
from lightning_diff.evaluation.sweep import Judges
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import Tokenizer

N = 20
CAPTIONS = [f"a red apple number {i}" for i in range(N)]


@pytest.fixture(scope="module")
def judges() -> Judges:
    torch.manual_seed(0)
    vision = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 16}
    text = {"context_length": 16, "width": 32, "heads": 1, "layers": 1}
    words = Tokenizer.words_of(CAPTIONS)
    tower = Tower({"embedding": 8, "vision": vision, "text": text, "vocabulary": words}).eval()
    pictures = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)
    seen = features_of(pictures, judge_features(tower))
    return Judges(tower, judge_features(tower), None, seen, seen, Evaluation().metrics)
