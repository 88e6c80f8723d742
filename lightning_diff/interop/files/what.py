"""What a safetensors file is, told from the names of its tensors, and what to do with a file that is not opened."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Signs = tuple[tuple[str, str, str], ...]
# (a piece of a tensor's name, what such a file is, what to do)
SIGNS: Signs = (
    ("lora_", "a LoRA, which changes another model", "give that model in init_from= and this file in init_lora="),
    (".lora.", "a LoRA, which changes another model", "give that model in init_from= and this file in init_lora="),
    ("emb_params", "a textual inversion", "add its tokens to the text encoder's folder with diffusers, then save that"),
    ("controlnet_cond_embedding", "a ControlNet", "no net here reads a picture; give the model that it steers"),
    ("control_model.", "a ControlNet", "no net here reads a picture; give the model that it steers"),
    ("double_blocks.", "Flux's transformer", "only Stable Diffusion 1.x, 2.x and XL are opened"),
    ("joint_blocks.", "Stable Diffusion 3's transformer", "only Stable Diffusion 1.x, 2.x and XL are opened"),
    ("single_transformer_blocks.", "Flux's transformer", "only Stable Diffusion 1.x, 2.x and XL are opened"),
    ("model_ema.", "a single-file checkpoint with averaged weights alone", "they are opened as init_from"),
    ("model.diffusion_model.", "a single-file checkpoint", "its parts are opened as init_from, autoencoder.weights"),
    ("input_blocks.", "a UNet of latent diffusion", "it belongs to init_from"),
    ("time_embedding.", "a UNet of diffusers", "it belongs to init_from"),
    ("first_stage_model.", "a single-file checkpoint's autoencoder", "it belongs to autoencoder.weights"),
    ("decoder.mid", "an autoencoder", "it belongs to autoencoder.weights"),
    ("resblocks.", "a CLIP model of open_clip", "text=open_clip with text.model= and text.tag= opens it"),
    ("text_model.", "a text encoder of transformers", "text=folder opens it"),
    ("embeddings.token_embedding", "a text encoder of transformers", "text=folder opens it"),
)


def what_it_is(names: Iterable[str]) -> tuple[str, str]:
    """(What the file with these tensors is, what to do with it)."""
    names = list(names)
    for sign, what, remedy in SIGNS:
        if any(sign in name for name in names):
            return what, remedy
    first = ", ".join(sorted(names)[:3])
    return f"of a kind not known here (its tensors are {first}, ...)", "only latent diffusion's models are opened"


def other_formats(folder: Path) -> str:
    """The names of the weights in a folder that are not safetensors; empty if there are none."""
    kinds = (".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".onnx", ".h5", ".gguf")
    return ", ".join(sorted(p.name for p in folder.iterdir() if p.suffix in kinds)[:3])
