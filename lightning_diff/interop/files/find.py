"""Finding a part of another project's model (unet, vae or text encoder) in whatever form it lies on the disk.

A pipeline's folder, a part's folder, a file in it, shards with an index, a variant such as fp16, a single-file checkpoint, or
one part as a file, with or without a prefix. Only safetensors are opened, because nothing in them can be executed (law 8).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ...config.errors import ConfigError
from ...config.foreign.laws import read_json
from ...config.foreign.own_words import OURS
from ...files import is_safetensors, not_safetensors
from .what import other_formats, what_it_is

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")  # of diffusers, of transformers
FOLDERS = {  # of a part in a pipeline's folder
    "unet": ("unet",),
    "vae": ("vae",),
    "text": ("text_encoder",),
    "text_2": ("text_encoder_2",),
}
PREFIXES = {  # in front of a part's tensors in a file
    "unet": ("model.diffusion_model.", "diffusion_model.", "unet.", ""),
    "vae": ("first_stage_model.", "vae.", ""),
    "text": (
        "cond_stage_model.transformer.",
        "cond_stage_model.model.",
        "conditioner.embedders.0.transformer.",
        "conditioner.embedders.0.model.",
        "text_encoder.",
        "",
    ),
    "text_2": ("conditioner.embedders.1.model.", "text_encoder_2.", ""),
}
SIGNS = {  # (a part, the layout of its names) -> a tensor that such a part has
    ("unet", "ldm"): "input_blocks.0.0.weight",
    ("unet", "diffusers"): "time_embedding.linear_1.weight",
    ("vae", "ldm"): "decoder.mid.block_1.norm1.weight",
    ("vae", "diffusers"): "decoder.mid_block.resnets.0.norm1.weight",
    ("text", "transformers"): "text_model.embeddings.token_embedding.weight",
    ("text", "bare"): "embeddings.token_embedding.weight",
    ("text", "open_clip"): "transformer.resblocks.0.ln_1.weight",
    ("text_2", "transformers"): "text_model.embeddings.token_embedding.weight",
    ("text_2", "open_clip"): "transformer.resblocks.0.ln_1.weight",
}
EMA = "model_ema."


@dataclass(frozen=True)
class Found:
    """A part of a foreign model. `tensors` are {name without prefix: (file, name there)}, `layout` says whose names they are.
    `config` are the model's own words, `config_at` is where they lie (None: no file has them). `others` are the names of all
    other tensors in the files, `notes` say what was chosen."""

    part: str
    path: Path
    tensors: dict[str, tuple[Path, str]]
    layout: str
    config: dict[str, Any] | None = None
    config_at: str = ""
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Where its words lie, for a message."""
        return self.config_at or str(self.path)


def plain_name(name: str) -> str:
    """A tensor's name without the wrappers of torch.compile and DistributedDataParallel."""
    return name.replace("_orig_mod.", "").removeprefix("module.")


def header(file: Path) -> tuple[list[str], dict[str, str]]:
    """(The names of a file's tensors, its metadata). Raises ConfigError if it is no safetensors file."""
    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    if not is_safetensors(file):
        raise ConfigError(f"{file}: {not_safetensors(file)}")
    try:
        with safe_open(file, framework="pt") as f:
            return list(f.keys()), f.metadata() or {}
    except Exception as e:
        raise ConfigError(f"{file}: a safetensors file that is cut or damaged ({e}); copy it again") from e


def find(path: Path, part: str, subfolder: str = "") -> Found:
    """The part `unet`, `vae`, `text` or `text_2` (XL's second text encoder) of what lies at `path`. `subfolder` is its folder in
    a pipeline's, if it is not the usual one. Raises ConfigError, which says what is there instead."""
    if path.is_dir():
        return _in_folder(path, part, (subfolder,) if subfolder else FOLDERS[part])
    names, metadata = header(path)
    found = _tensors({plain_name(n): (path, n) for n in names}, part, path)
    config, config_at = _ours(metadata, part), f"{path} (metadata)"
    beside = path.parent / "config.json"
    if config is None and found.layout != "ldm" and beside.is_file() and found.others == ():
        config, config_at = read_json(beside), str(beside)
    return _with(found, config, config_at if config else "", metadata=metadata)


def _with(found: Found, config: dict[str, Any] | None, config_at: str, **more: Any) -> Found:
    values = {**found.__dict__, "config": config, "config_at": config_at, **more}
    return Found(**values)


def _ours(metadata: Mapping[str, str], part: str) -> dict[str, Any] | None:
    configs = json.loads(metadata[OURS]) if OURS in metadata else {}
    return configs.get({"text": "text_encoder", "text_2": "text_encoder_2"}.get(part, part))


def _in_folder(path: Path, part: str, names: Iterable[str]) -> Found:
    inner = next((path / n for n in names if (path / n / "config.json").is_file()), None)
    folder = inner or path
    if not (folder / "config.json").is_file():
        some = sorted(p.name for p in path.glob("*.safetensors"))
        hint = f"; it holds {', '.join(some[:3])}: give that file" if some else ""
        raise ConfigError(f"{path}: no config.json in it or in {'/, '.join(names)}/{hint or '; give a model folder'}")
    config = read_json(folder / "config.json")
    files, notes = weights_files(folder)
    merged: dict[str, tuple[Path, str]] = {}
    for file in files:
        merged |= {plain_name(n): (file, n) for n in header(file)[0]}
    found = _tensors(merged, part, folder)
    return _with(found, config, str(folder / "config.json"), notes=notes)


def _tensors(names: Mapping[str, tuple[Path, str]], part: str, path: Path) -> Found:
    """Which of a file's tensors belong to the part. Raises ConfigError if it has none of them."""
    for prefix in PREFIXES[part]:
        for (of, layout), sign in SIGNS.items():
            if of == part and prefix + sign in names:
                mine = {n.removeprefix(prefix): at for n, at in names.items() if n.startswith(prefix)}
                scales = {n: at for n, at in names.items() if n.startswith(f"scales.{prefix}")}  # of fp8 weights
                mine |= {f"scales.{n.removeprefix('scales.' + prefix)}": at for n, at in scales.items()}
                others = tuple(n for n in names if not n.startswith(prefix) and n not in scales)
                return Found(part, path, mine, layout, others=others)
    if part == "unet" and any(n.startswith(EMA) for n in names):
        return Found(part, path, {}, "ldm", others=tuple(names))
    what, remedy = what_it_is(names)
    wanted = {"unet": "UNet", "vae": "autoencoder"}.get(
        part, "second text encoder" if part == "text_2" else "text encoder"
    )
    raise ConfigError(f"{path}: no {wanted} in it; it is {what}; {remedy}")


def weights_files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """(The safetensors files of a part's folder, notes on what was chosen). Raises ConfigError."""
    for stem in STEMS:
        plain = folder / f"{stem}.safetensors"
        if plain.is_file():
            left = sorted(p.name for p in folder.glob(f"{stem}.*.safetensors"))
            return [plain], (f"{plain.name} was taken, not {', '.join(left)}",) if left else ()
        for index in sorted(folder.glob(f"{stem}.safetensors.index*.json")):
            shards = sorted({str(name) for name in read_json(index).get("weight_map", {}).values()})
            missing = [n for n in shards if Path(n).name != n or not (folder / n).is_file()]
            if missing:
                raise ConfigError(f"{index}: names {missing[0]}, which is not in this folder; copy all of its files")
            return [folder / n for n in shards], (f"{len(shards)} files of {index.name}",)
        variants = sorted(folder.glob(f"{stem}.*.safetensors"))
        if len(variants) == 1:
            return variants, (f"the variant {variants[0].name}",)
        if variants:
            named = ", ".join(p.name for p in variants)
            raise ConfigError(f"{folder}: several variants ({named}); give the file of one of them")
    if other := other_formats(folder):
        raise ConfigError(f"{folder}: {other}: not safetensors; save it again with safe_serialization=True (diffusers)")
    raise ConfigError(f"{folder}: a config.json but no weights ({STEMS[0]}.safetensors) in it; copy all of its files")
