"""The model_index.json of a diffusers pipeline: whether its parts are nets that this project computes, and its own fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .laws import Laws, carried, heed, no_effect, read_json

INDEX = "model_index.json"
PARTS = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
SAFETY = "blackens pictures after they are drawn; it is left out"
ADAPTER = "belongs to an IP-Adapter, which is given with a picture"
PLAIN: Laws = {
    **{part: carried(None) for part in PARTS},
    "safety_checker": no_effect(None, SAFETY),
    "requires_safety_checker": no_effect(True, SAFETY),
    "feature_extractor": no_effect(None, f"of the safety checker, which {SAFETY}"),
    "image_encoder": no_effect(None, ADAPTER),
}
XL: Laws = {
    **{part: carried(None) for part in (*PARTS, "text_encoder_2", "tokenizer_2")},
    "force_zeros_for_empty_prompt": carried(True, "no caption is zeros, or the empty caption"),
    "add_watermarker": no_effect(None, "a mark in finished pictures; it is left out"),
    "feature_extractor": no_effect(None, ADAPTER),
    "image_encoder": no_effect(None, ADAPTER),
}
CLASSES: dict[str, Laws] = {"StableDiffusionPipeline": PLAIN, "StableDiffusionXLPipeline": XL}


def class_in(folder: Path) -> str:
    """The class of the pipeline in a folder; empty if there is none. Raises ConfigError for an index that is not JSON."""
    return str(read_json(folder / INDEX).get("_class_name", "")) if (folder / INDEX).is_file() else ""


def pipeline_words(folder: Path) -> dict[str, Any]:
    """The fields of a pipeline's index. Raises ConfigError for a class whose parts are not nets of this project."""
    found = read_json(folder / INDEX)
    if (name := found.get("_class_name")) not in CLASSES:
        raise ConfigError(
            f"{folder / INDEX}: _class_name={name}: only {' and '.join(CLASSES)} are opened as nets here; evaluate.py model= "
            "measures other pipelines through diffusers"
        )
    return heed(CLASSES[str(name)], found, folder / INDEX)
