"""Models that `evaluate.py model=` names: Stable Diffusion as a folder or a file, drawn with the nets of this project; another
pipeline of diffusers, which diffusers draws; or a user's own Python file."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...config.errors import ConfigError
from ...config.foreign.own_words import said_by
from ...config.foreign.pipeline import INDEX, class_in
from ...config.schema import Config
from ...config.texts.areas import key_of, within
from ...data.shards import digest
from ...devices import device_of
from ...files import file_hash
from ...models.foreign import latent_diffusion_in, load_foreign

USED = (
    "data",
    "cache",
    "outputs",
    "name",
    "evaluation",
    "tracking",
    "cluster",
    "sampler.steps",
    "guidance.scales",
    "plugins",
    "pins",
    "part_steps",
    "training.accelerator",
)
DRAWN_HERE = (*USED, "sampler", "guidance")
USUAL = {
    "sampler": "ddim",
    "objective.schedule": "scaled_linear",
    "objective.prediction": "eps",
    "objective.shift": "1",
    "objective.shift_end": "null",
}


@dataclass(frozen=True)
class Opened:
    """A model with generate(prompts, seeds, scale), its name, what identifies its weights, and further facts for passports."""

    model: Any
    name: str
    weights: str
    about: dict[str, Any] = field(default_factory=dict)


def name_of(model: str) -> str:
    """The name of a model's folder in outputs/."""
    path = Path(model.partition(".py:")[0])
    return (path.stem if path.suffix == ".safetensors" else path.name) or "model"


def check_words(model: str, words: Sequence[str]) -> None:
    """Raises ConfigError for a word that another project's model would ignore."""
    used = DRAWN_HERE if _drawn_here(model) else USED
    for word in words:
        if word.startswith("~") or not within(key_of(word), used):
            raise ConfigError(f"{word}: would be ignored: {model} draws in its own way; leave it out")


def own_words(model: str, words: Sequence[str]) -> list[str]:
    """The overrides that a model's own words add to a command: how it was trained, DDIM, and its scheduler's grid of times.
    Nothing for a model that is not drawn by this project's nets. Raises ConfigError."""
    if not _drawn_here(model):
        return []
    said = said_by(Path(model).expanduser())
    named = {key_of(word) for word in words}
    keys = {**USUAL, **(said.keys if said else {})}
    if "sampler" in named:  # another sampler than DDIM has the grid that it is given
        keys = {key: value for key, value in keys.items() if not key.startswith("sampler")}
    return [f"{key}={value}" for key, value in keys.items() if key not in named]


def _drawn_here(model: str) -> bool:
    return ".py:" not in model and latent_diffusion_in(Path(model).expanduser())


def open_model(model: str, config: Config) -> Opened:
    """Open what `model` names: FILE.py:NAME, a folder of a diffusers pipeline, or a single file. Raises ConfigError."""
    file, found, name = model.rpartition(".py:")
    if found:
        return _of_file(Path(f"{file}.py"), name)
    path = Path(model).expanduser()
    if _drawn_here(model):
        return _of_weights(path, config)
    if (path / INDEX).is_file():
        return _of_diffusers(path, config)
    what = f"a folder without {INDEX}" if path.is_dir() else "no such folder or safetensors file"
    raise ConfigError(
        f"model={model}: {what}; give a folder of a diffusers pipeline, a safetensors file of Stable Diffusion, or FILE.py:NAME "
        "of a function that returns a model (run=FOLDER measures a run)"
    )


def _of_weights(path: Path, config: Config) -> Opened:
    """Stable Diffusion, drawn with this project's nets, samplers and guiders."""
    found = load_foreign(path, device_of(config.training.accelerator), config.sampler, config.guidance)
    files = [p for p in sorted(path.rglob("*")) if p.suffix in (".safetensors", ".json")] if path.is_dir() else [path]
    hashes = {str(p.relative_to(path)) if path.is_dir() else p.name: file_hash(p) for p in files}
    about = {
        "pipeline": class_in(path) if path.is_dir() else "a single file",
        "path": f"{found.model.path.schedule}, {found.model.path.prediction}",
        **({"guessed": list(found.guessed)} if found.guessed else {}),
    }
    return Opened(found.model, path.stem if path.is_file() else path.name, digest(hashes), about)


def _of_file(file: Path, name: str) -> Opened:
    """The model that a function of the user's file makes. The command line named the file, so it is executed."""
    if not file.is_file():
        raise ConfigError(f"model={file}:{name}: no such file")
    spec = importlib.util.spec_from_file_location(f"model_{digest(str(file))}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise ConfigError(f"model={file}: its import failed: {type(e).__name__}: {' '.join(str(e).split())}") from e
    made = getattr(module, name, None)
    if not callable(made):
        raise ConfigError(f"model={file}:{name}: the file has no function {name}")
    model = made()
    return Opened(model, name, file_hash(file), {"file": file_hash(file)})


def _of_diffusers(folder: Path, config: Config) -> Opened:
    """A pipeline of diffusers, from safetensors alone; nothing of its folder is executed."""
    try:
        import diffusers
    except ImportError as e:
        raise ConfigError(f"model={folder}: it needs diffusers; pip install diffusers") from e
    said = json.loads((folder / INDEX).read_text("utf-8"))
    without = {"safety_checker": None} if said.get("safety_checker", [None])[0] else {}  # it blackens pictures
    try:
        pipe: Any = diffusers.DiffusionPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, torch_dtype=torch.float32, **without
        )
    except Exception as e:
        raise ConfigError(f"model={folder}: diffusers does not open it: {' '.join(str(e).split())[:200]}") from e
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device_of(config.training.accelerator))
    files = {str(p.relative_to(folder)): file_hash(p) for p in sorted(folder.rglob("*.safetensors"))}
    configs = {str(p.relative_to(folder)): file_hash(p) for p in sorted(folder.rglob("*.json"))}
    about = {
        "pipeline": str(said.get("_class_name")),
        "steps": config.sampler.steps,
        "diffusers": diffusers.__version__,
    }
    return Opened(DiffusersPipeline(pipe, config.sampler.steps), folder.name, digest({**files, **configs}), about)


class DiffusersPipeline:
    """A text-to-image pipeline of diffusers. Each picture has a generator with its own seed."""

    def __init__(self, pipe: Any, steps: int) -> None:
        self.pipe, self.steps = pipe, steps

    def floats(self, prompts: Sequence[str], seeds: Sequence[int], scale: float, **more: Any) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1], before rounding."""
        draw = [torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]
        return self.pipe(
            prompt=list(prompts),
            guidance_scale=float(scale),
            num_inference_steps=self.steps,
            generator=draw,
            output_type="pt",
            **more,
        ).images

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], scale: float) -> Tensor:
        """Pictures, uint8 [B, 3, H, W]."""
        return (self.floats(prompts, seeds, scale).float().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
