"""export.py: write a run as a diffusers folder, as a single-file checkpoint, or its adapters under kohya's names."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from pathlib import Path

from ...config.errors import ConfigError
from ...config.paths import check_writable
from ...config.schema import Config
from ...interop.configs import SCHEDULERS, scheduler_config
from ...interop.export import export_pipeline, export_single_file, exportable_tower, kohya
from ...interop.text import text_encoder, tokenizer_words
from ...nets.text import Tower
from ...nets.tokenizers.files import END_MARK
from ...nets.weights import read_arrays, save_arrays
from ...pipeline.objects import model_of
from ...ranks import say

FORMATS = ("diffusers", "single_file", "kohya_lora")
PEER = ("diffusers", "transformers")  # what verify=true needs


def can_verify() -> bool:
    """Whether the packages that open what was written are installed."""
    return all(importlib.util.find_spec(name) is not None for name in PEER)


def export(config: Config, folder: Path, form: str, out: Path, verify: bool | None = None) -> None:
    """Write the run to `out`, then (if `verify`, by default where diffusers is installed) open it with diffusers and compare
    pictures. Raises ConfigError if its nets do not have the architecture of latent diffusion."""
    if out.exists():
        raise ConfigError(f"out={out}: it is there already; give another name")
    if form != "diffusers" and out.suffix != ".safetensors":
        raise ConfigError(f"out={out}: readers know such a file by its ending; say out={out}.safetensors")
    check_writable(f"out={out}", out.parent, "a place")
    if form == "kohya_lora":
        return _export_lora(folder, out)
    if verify and not can_verify():
        raise ConfigError("verify=true: opens what it wrote with diffusers; pip install diffusers transformers")
    model = model_of(config, folder)
    tower = exportable_tower(model.net, model.autoencoder, model.text_encoder, config.text.null)
    scheduler = scheduler_config(config.objective.schedule, config.objective.prediction, config.sampler)
    write = export_single_file if form == "single_file" else export_pipeline
    write(out, model.net, model.autoencoder, tower, scheduler, config.data.image_size)
    say(f"{folder} as {form} in {out}")
    for line in [*unsaid(config, form), *(unlike_clip(tower) if form == "single_file" else [])]:
        say(line)
    if verify or (verify is None and can_verify()):
        from .verify import verified

        say(verified(model, tower, scheduler, out, form))
    elif verify is None:
        say("not opened again: diffusers and transformers are not installed, so nothing is promised of it")


def unsaid(config: Config, form: str) -> list[str]:
    """What the written files cannot say about how the run draws, and how to say it to the peer."""
    guidance, sampler = config.guidance, config.sampler
    call = {
        "num_inference_steps": sampler.steps,
        "guidance_scale": guidance.scale,
        "eta": getattr(sampler, "eta", None),
        "guidance_rescale": getattr(guidance, "rescale", None),
    }
    words = ", ".join(f"{name}={value}" for name, value in call.items() if value is not None)
    lines = [f"the run draws with pipe(prompt, {words}); the files have no place for this"]
    if sampler.kind not in SCHEDULERS:
        lines.append(f"sampler={sampler.kind}: diffusers has no such scheduler; DDIM's was written")
    usual = type(guidance)()
    own = ("scale", "scales", "rescale", "kind")
    changed = [
        f.name for f in fields(guidance) if f.name not in own and getattr(guidance, f.name) != getattr(usual, f.name)
    ]
    if guidance.kind != "cfg" or changed:
        lines.append(
            f"guidance={guidance.kind} {' '.join(changed)}: the pipeline has plain guidance alone".replace(" :", ":")
        )
    if form == "single_file":
        lines.append("the shape and the parameterisation are in the YAML beside the file too; keep them together")
    return lines


def unlike_clip(tower: Tower) -> list[str]:
    """What readers of a single file would take wrong of the text encoder: they take CLIP ViT-L/14's words for granted."""
    config, tokenizer = text_encoder(tower)[0], tokenizer_words(tower)
    usual = {"hidden_act": "quick_gelu", "num_attention_heads": 12, "num_hidden_layers": 12, "hidden_size": 768}
    odd = [f"{name}={config[name]}" for name, value in usual.items() if config[name] != value]
    odd += [f"padding {tokenizer['pad']}"] if tokenizer["pad"] != END_MARK else []
    if not odd:
        return []
    usual_readers = "readers that look into neither its metadata nor the YAML take CLIP ViT-L/14 for the text encoder"
    return [f"{usual_readers}; this one has {', '.join(odd)}"]


def _export_lora(folder: Path, out: Path) -> None:
    source = folder / "lora.safetensors"
    if not source.is_file():
        raise ConfigError(f"{folder}: it has no lora.safetensors; train with training.lora=RANK")
    save_arrays(out, kohya(read_arrays(source)))
    say(f"{source} under kohya's names in {out}")
