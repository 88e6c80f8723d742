"""What a model is measured with: captions to draw, pictures to compare with, judges, and the passport of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ..config import Config, ConfigError
from ..data.dataset import PictureBatch
from ..data.shards import digest
from ..data.worlds import WORLDS, get_world
from ..devices import device_of
from ..evaluation.features import Extractor, dinov2_features, features_of, inception_features, judge_features
from ..evaluation.passport import environment, tensor_hash, text_hash
from ..evaluation.sweep import Judges
from ..files import file_hash
from ..nets.weights import read_arrays, save_arrays
from .nets import load_part
from .parts import PARTS, place_part
from .train import pictures

MOST = 4096  # captions and reference pictures

Passport = dict[str, Any]


@dataclass
class Exam:
    """`asked` holds the split's captions and labels and the reference pictures; `judged_by` is the judges' passport."""

    split: str
    asked: PictureBatch
    judges: Judges
    judged_by: dict[str, Any]
    seed: int

    @property
    def captions(self) -> list[str]:
        return self.asked.captions

    @cached_property
    def reference(self) -> dict[str, Any]:
        images = self.asked.images
        return {"split": self.split, "n": len(images), "sha256": tensor_hash(images)}

    def labels(self, count: int) -> dict[str, Tensor]:
        """Of the first `count` captions."""
        return {name: column[:count] for name, column in self.asked.labels.items()}

    def seeds(self, prompts: Sequence[int]) -> list[int]:
        """The seeds of the noise of prompts, by their numbers."""
        return [self.seed * 2**32 + i for i in prompts]

    def passport(self, config: Config, weights: str, count: int, scale: float, ema: float) -> Passport:
        """Of the first `count` pictures of a case."""
        guidance = {k: v for k, v in asdict(config.guidance).items() if k not in ("scale", "scales")}
        guide = guidance["guide"]
        if guide and Path(guide).is_file():
            guidance["guide"] = file_hash(Path(guide))
        asked = text_hash(self.captions[:count])
        return {
            "weights": weights,
            "judge": self.judged_by,
            "resize": f"none, {config.data.image_size} px",
            "rounding": "nearest",
            "reference": self.reference,
            "prompts": {"split": self.split, "n": count, "sha256": asked, "of": text_hash(self.captions)},
            "seeds": {"first": self.seeds([0])[0], "n": count},
            "sampler": {k: v for k, v in asdict(config.sampler).items() if k != "nfe"},
            "guidance": {"scale": scale, **guidance, "convention": "uncond + w (cond - uncond)"},
            "ema": {"post_hoc": ema} if ema else {"decay": config.training.ema},
            "environment": environment(),
        }


def picture_key(passport: Passport) -> str:
    """Of all that makes a case's pictures and what is seen of each: not how many there are, nor the reference."""
    rest = {k: v for k, v in passport.items() if k not in ("reference", "drawn")}
    return digest({**rest, "prompts": passport["prompts"]["of"], "seeds": passport["seeds"]["first"]})


def examine(config: Config, folder: Path) -> Exam:
    """Test captions and pictures, or those of the training set where nothing is kept for testing, and the judges, which
    are trained first where there are none. Raises ConfigError."""
    world = config.data.kind in WORLDS
    heads = tuple(get_world(config.data.kind).attributes) if world else ()
    for split in ("test", "train"):
        found = pictures(config, split, heads)
        if found is not None:
            asked = found.range(0, min(len(found), MOST))
            judges, judged_by = _judges(config, folder, asked.images)
            return Exam(split, asked, judges, judged_by, config.evaluation.seed)
    raise ConfigError("no pictures to compare with")


def _judges(config: Config, folder: Path, reference: Tensor) -> tuple[Judges, dict[str, Any]]:
    path = place_part("judge", config, folder)
    if file_hash(path) == file_hash(folder / PARTS / "text.safetensors"):
        raise ConfigError(f"{path}: the tower that conditions cannot be its own judge; give another tower")
    device = device_of(config.training)
    tower = load_part(path).to(device)
    own = f"judge {file_hash(path)}"
    embedding = _reference(reference, judge_features(tower), own, Path(config.cache))
    extract, features, seen = None, own, embedding
    if config.evaluation.features != "judge":
        weights, name = Path(str(config.evaluation.features_weights)), config.evaluation.features_model
        inception = config.evaluation.features == "inception"
        where = tower.device
        extract = inception_features(weights, where) if inception else dinov2_features(name, weights, where)
        features = f"{'inception' if inception else name} {file_hash(weights)}"
        seen = _reference(reference, extract, features, Path(config.cache))
    classifier, papers = None, {"tower": file_hash(path), "fid_features": features, "clip_score": "100 cos"}
    if config.data.kind in WORLDS:
        attributes = place_part("attributes", config, folder)
        classifier = load_part(attributes).to(device)
        papers["attributes"] = file_hash(attributes)
    return Judges(tower, extract, classifier, seen, embedding), papers


def _reference(images: Tensor, extract: Extractor, name: str, cache: Path) -> Tensor:
    """Features of the reference pictures, kept by what they are of and what saw them."""
    path = cache / "reference" / f"{digest({'images': tensor_hash(images), 'extractor': name})}.safetensors"
    if not path.is_file():
        save_arrays(path, {"features": features_of(images, extract)})
    return read_arrays(path)["features"]
