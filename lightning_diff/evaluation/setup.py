"""The evaluation setup: the captions, the reference pictures, the judges, the metrics, and the passport of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..config.errors import ConfigError
from ..config.schema import Evaluation
from ..data.dataset import PictureBatch
from ..data.shards import digest
from ..diffusion.guiders.base import Guider
from ..diffusion.path import Path as DiffusionPath
from ..diffusion.samplers.base import Sampler
from ..files import file_hash
from ..models.align_draw import AlignDrawModel, Glimpses
from ..models.build import load_part
from ..models.latent_diffusion import LatentDiffusion
from ..nets.weights import has_arrays, read_arrays, save_arrays
from ..syntax import code_hash
from .extractors.base import FeatureExtractor
from .features import Extractor, features_of, judge_features
from .lost.pictures import drawn_by
from .metrics.base import CLUSTERS, MetricChoice
from .provenance import drawing_code, environment, tensor_hash, text_hash
from .statistics.clusters import contents_of
from .sweep import ROWS, Case, Generate, Judges, see

MOST = 4096  # captions and reference pictures; more if evaluation.samples is larger

Passport = dict[str, Any]


@dataclass
class EvaluationSetup:
    """What every evaluation of a run uses. `asked` holds the split's captions, labels and reference pictures. `judged_by` is the
    judges' passport. `seed` is the seed of the pictures' noise. `fit` says how the reference's pictures became squares. Labels
    in `unsaid` are no part of what a caption asks for."""

    split: str
    asked: PictureBatch
    judges: Judges
    judged_by: dict[str, Any]
    seed: int
    fit: str = "crop"
    unsaid: Sequence[str] = ()

    @property
    def captions(self) -> list[str]:
        return self.asked.captions

    @cached_property
    def reference(self) -> dict[str, Any]:
        images = self.asked.images
        padded = {"fit": self.fit} if self.fit == "pad" else {}
        return {"split": self.split, "n": len(images), "sha256": tensor_hash(images), **padded}

    @property
    def size(self) -> int:
        """The side of the reference's pictures, in pixels."""
        return int(self.asked.images.shape[-1])

    def resize(self, drawn_at: int = 0) -> str:
        """How pictures of another size become as large as the reference's."""
        return f"centre square, Lanczos, {f'{drawn_at} to ' if drawn_at else ''}{self.size} px"

    def labels(self, count: int) -> dict[str, Tensor]:
        """The labels of the first `count` captions, and their contents as clusters."""
        return {name: column[:count] for name, column in {**self.asked.labels, CLUSTERS: self.contents}.items()}

    @cached_property
    def contents(self) -> Tensor:
        """The number of each caption's content, int64 [N]."""
        return contents_of(self.captions, self.asked.labels, self.unsaid)

    def seeds(self, prompts: Sequence[int]) -> list[int]:
        """The noise seeds of the prompts with these numbers."""
        return [self.seed * 2**32 + i for i in prompts]

    def passport(self, count: int) -> Passport:
        """The passport's entries that do not depend on the model, for the first `count` captions."""
        return {
            "judge": self.judged_by,
            "metrics": {m.kind: m.passport for m in self.judges.metrics},
            "resize": f"none, {self.size} px",
            "rounding": "nearest",
            "reference": self.reference,
            "prompts": {
                "split": self.split,
                "n": count,
                "sha256": text_hash(self.captions[:count]),
                "of": text_hash(self.captions),
            },
            "seeds": {"first": self.seeds([0])[0], "n": count},
            "environment": environment(),
        }

    @property
    def rows(self) -> int | None:
        """The number of rows in each call of a net: ROWS on a CPU. On a GPU it is None: as many rows as the block has."""
        return ROWS if self.judges.tower.device.type == "cpu" else None


class Measured(Protocol):
    """What a sweep measures: a model at several guidance scales, with the settings and the setup of its evaluation."""

    @property
    def settings(self) -> Evaluation: ...

    @property
    def setup(self) -> EvaluationSetup: ...

    @property
    def scales(self) -> Sequence[float]: ...

    def case(self, ema: float, scale: float) -> Case: ...

    def evaluations(self, scale: float) -> int:
        """The number of network evaluations for one picture; 0 if it is not known."""
        ...

    def drawer(self, ema: float) -> Generate:
        """Load the model with this length of EMA. Returns the function that draws cases."""
        ...

    def passport(self, count: int, scale: float, ema: float) -> Passport:
        """The passport of a case's first `count` pictures."""
        ...


@dataclass(frozen=True)
class Combination:
    """A guider and a sampler on the weights of one run, with the settings and the setup of their evaluation.

    `sampler` has its final steps and precision. Pictures that are `drawn_at` another size than the reference's are resized.
    `load` gives the model with a length of post-hoc EMA (0: the training's own EMA, whose decay is `decay`). `plugins` is the
    passport's entry for choices that come from plugins. `nets` are the classes of the nets that draw."""

    guider: Guider
    sampler: Sampler | Glimpses
    path: DiffusionPath
    load: Callable[[float], LatentDiffusion | AlignDrawModel]
    weights: str
    decay: float
    plugins: Mapping[str, Any]
    settings: Evaluation
    setup: EvaluationSetup
    drawn_at: int = 0
    nets: Sequence[type] = ()

    @property
    def scales(self) -> Sequence[float]:
        return self.guider.scales

    def case(self, ema: float, scale: float) -> Case:
        return Case(self.guider.name, f"{self.sampler.kind}{self.sampler.steps}", ema, scale)

    def evaluations(self, scale: float) -> int:
        return self.sampler.evaluations(self.guider, self.path, scale)

    def drawer(self, ema: float) -> Generate:
        return drawer(self.load(ema), self.setup)

    def passport(self, count: int, scale: float, ema: float) -> Passport:
        guidance = {k: v for k, v in asdict(self.guider).items() if k not in ("scale", "scales")}
        guide = guidance.get("guide")
        if guide and Path(guide).is_file():
            guidance["guide"] = file_hash(Path(guide))
        return {
            "weights": self.weights,
            "drawing": drawing_code(self.sampler, self.guider, self.nets),
            "sampler": {k: v for k, v in asdict(self.sampler).items() if k != "nfe"},
            "guidance": {"scale": scale, **guidance, "convention": "uncond + w (cond - uncond)"},
            "ema": {"post_hoc": ema} if ema else {"decay": self.decay},
            **self.setup.passport(count),
            **({"resize": self.setup.resize(self.drawn_at)} if self.drawn_at not in (0, self.setup.size) else {}),
            **self.plugins,
        }


def drawer(model: LatentDiffusion | AlignDrawModel, setup: EvaluationSetup) -> Generate:
    """The function that draws the pictures of cases, uint8 [cases, B, 3, H, W], of the B prompts with these numbers. It raises
    Lost if some pictures have NaN or inf."""

    def generate(cases: Sequence[Case], prompts: Sequence[int]) -> Tensor:
        captions, scales = [setup.captions[i] for i in prompts], [case.scale for case in cases]
        return drawn_by(model, captions, setup.seeds(prompts), scales, setup.rows is not None, setup.size)

    return generate


def picture_key(passport: Passport) -> str:
    """A digest of everything that determines a case's pictures and their features. It does not depend on the number of pictures,
    on the reference, or on the metrics."""
    rest = {k: v for k, v in passport.items() if k not in ("reference", "drawn", "until", "metrics", "plugins")}
    drawing = {k: v for k, v in passport.get("plugins", {}).items() if not k.startswith("metric=")}
    return digest(
        {
            **rest,
            "prompts": passport["prompts"]["of"],
            "seeds": passport["seeds"]["first"],
            **({"plugins": drawing} if drawing else {}),
        }
    )


def make_judges(
    tower: Path,
    player: Path | None,
    attributes: Path | None,
    extractor: FeatureExtractor,
    metrics: Sequence[MetricChoice],
    reference: Tensor,
    device: str,
    cache: Path,
) -> tuple[Judges, dict[str, Any]]:
    """The judges with the weights in these files, and their passport. `player` is the file of the text encoder that conditions,
    if it is known. Raises ConfigError, for example if that file is also the judging tower's."""
    if player is not None and file_hash(tower) == file_hash(player):
        raise ConfigError(f"{tower}: the tower that conditions cannot be its own judge; give another tower")
    judge = load_part(tower).to(device)
    own, code = f"judge {file_hash(tower)}", code_hash(see, type(extractor), without=("conflicts", "name"))
    embedding = _reference(reference, judge_features(judge), f"{own} {code}", cache)
    extract, features, seen = extractor.build(judge.device), own, embedding
    if extract is not None:
        features = extractor.made_by
        seen = _reference(reference, extract, f"{features} {code}", cache)
    judged_by = {
        "tower": file_hash(tower),
        "fid_features": features,
        "clip_score": "100 cos",
        "code": code,
        "precision": "float32",
    }
    classifier = None
    if attributes is not None:
        classifier = load_part(attributes).to(device)
        judged_by["attributes"] = file_hash(attributes)
    return Judges(judge, extract, classifier, seen, embedding, metrics), judged_by


def _reference(images: Tensor, extract: Extractor, name: str, cache: Path) -> Tensor:
    """Features of the reference pictures. They are cached by the hash of the pictures and the name of the extractor."""
    path = cache / "reference" / f"{digest({'images': tensor_hash(images), 'extractor': name})}.safetensors"
    if not has_arrays(path, remove=True):
        save_arrays(path, {"features": features_of(images, extract, title="features of the reference")})
    return read_arrays(path)["features"]
