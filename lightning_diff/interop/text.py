"""Reading and writing of CLIP's text encoder in the format of transformers (CLIPTextModel, CLIPTextModelWithProjection,
CLIPTokenizer). Reading gives a tower, writing starts from one. transformers is not imported, and only safetensors are read
(law 8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..config.foreign.own_words import OURS
from ..nets.text import Tower
from ..nets.tokenizers.clip import END, Tokenizer
from ..nets.tokenizers.files import BEGIN_MARK, CLIPS_OWN, END_MARK, FileTokenizer, clip_words, read_tokenizer
from ..nets.weights import load_state
from .diffusers import read_config
from .fields import open_clip
from .fields.text import text_words
from .files.find import Found, find
from .files.tensors import read_found, shape_of_tensor

FILE = "model.safetensors"
# The width of the text encoder in single files with transformers' names -> its heads: CLIP ViT-L/14.
HF_WIDTHS = {768: 12}
INNER = {  # the modules of a layer: open_clip's name -> transformers' name
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
# open_clip's CLIP always has a picture half. A tower for captions only has this tiny one.
BLIND = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 8, "image_size": 8}


def _tokenizer(found: Found, words: Mapping[str, Any]) -> dict[str, Any]:
    """The description of the tokenizer that came with an encoder: in its own folder, or beside it in `tokenizer` (tokenizer_2
    beside text_encoder_2). Raises ConfigError if there is none for an encoder with words of its own."""
    if OURS in found.metadata and (ours := json.loads(found.metadata[OURS]).get("tokenizer")):
        return dict(ours)
    if found.layout == "open_clip":
        return open_clip.TOKENIZER
    folder = Path(found.config_at).parent if found.config_at.endswith("config.json") else found.path.parent
    beside = folder.with_name(folder.name.replace("text_encoder", "tokenizer"))
    for place in (beside, folder):
        if any((place / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            described = read_tokenizer(place)
            size = FileTokenizer(2, described).size
            if size > words["vocab_size"]:
                raise ConfigError(
                    f"{place}: its tokenizer has ids up to {size - 1}, and {found.where} says vocab_size={words['vocab_size']}"
                )
            return described
    if words["vocab_size"] != END + 1:
        raise ConfigError(
            f"{found.where}: vocab_size={words['vocab_size']}: words beside CLIP's own {END + 1}, which only its tokenizer "
            f"knows; put its folder at {beside}"
        )
    return CLIPS_OWN


def find_text(path: Path, part: str = "text") -> tuple[Found, dict[str, Any]]:
    """Where a text encoder (`part` text_2: XL's second one) lies, and its own words. Raises ConfigError if it is not a CLIP
    model."""
    if path.is_dir() and (path / "config.json").is_file():
        text_words(
            read_config(path), path / "config.json"
        )  # another kind of model is told before its files are looked at
    found = find(path, part)
    if found.layout == "open_clip":
        shapes = {name: shape_of_tensor(at) for name, at in found.tensors.items()}
        return found, text_words(open_clip.text_words(shapes, path), path)
    if found.config is not None:
        return found, text_words(found.config, found.where)
    state = {n.removeprefix("text_model."): at for n, at in found.tensors.items()}
    if any(n.startswith("vision_model.") for n in found.tensors) or "embeddings.token_embedding.weight" not in state:
        raise ConfigError(f"{path}: a whole CLIP model without its config.json; give its folder")
    names = (
        "embeddings.token_embedding.weight",
        "embeddings.position_embedding.weight",
        "encoder.layers.0.mlp.fc1.weight",
    )
    if lacking := next((n for n in names if n not in state), ""):
        raise ConfigError(f"{path}: a text encoder without {lacking}; give the whole file")
    (words, width), (positions, _), (wide, _) = (shape_of_tensor(state[n]) for n in names)
    if width not in HF_WIDTHS:
        raise ConfigError(
            f"{path}: its text encoder, {width} wide, does not say its heads and activation; give its folder"
        )
    layers = 1 + max(int(n.split(".")[2]) for n in state if n.startswith("encoder.layers."))
    sizes = {"vocab_size": words, "hidden_size": width, "intermediate_size": wide, "num_hidden_layers": layers}
    more = {
        "num_attention_heads": HF_WIDTHS[width],
        "max_position_embeddings": positions,
        "hidden_act": "quick_gelu",
    }  # CLIP ViT-L/14
    return found, text_words({"model_type": "clip_text_model", **sizes, **more}, path)


def tokenizer_of_folder(path: Path) -> Tokenizer:
    """The tokenizer of the text encoder there, without its weights. Raises ConfigError if it is not a CLIP model."""
    found, words = find_text(path)
    return FileTokenizer(words["max_position_embeddings"], _tokenizer(found, words))


def described_tower(path: Path, part: str = "text") -> dict[str, Any]:
    """The description, for a passport, of the text encoder there; no weights are read. Raises ConfigError."""
    found, c = find_text(path, part)
    described = _tokenizer(found, c)
    at = found.tensors.get("text_projection.weight") or found.tensors.get("text_projection")
    embedding = c["hidden_size"] if at is None else shape_of_tensor(at)[-1 if found.layout == "open_clip" else 0]
    text = {
        "context_length": c["max_position_embeddings"],
        "width": c["hidden_size"],
        "heads": c["num_attention_heads"],
        "layers": c["num_hidden_layers"],
        "mlp_ratio": c["intermediate_size"] / c["hidden_size"],
        "vocab_size": c["vocab_size"],
        "pool_type": "eos",  # the padding may have the highest id
        "eos_id": FileTokenizer(2, described).end,
    }
    return {
        "embedding": embedding,
        "vision": BLIND,
        "text": text,
        "tokenizer": described,
        "quick_gelu": c["hidden_act"] == "quick_gelu",
    }


def tower_of_folder(path: Path, part: str = "text") -> Tower:
    """The text encoder there as a tower: a text_encoder folder (sharded or not), a pipeline's folder, or a single file. Raises
    ConfigError if it is not a CLIP model."""
    found, c = find_text(path, part)
    state = {n.removeprefix("text_model."): t for n, t in read_found(found).items()}
    width = c["hidden_size"]
    tower = Tower(described_tower(path, part))
    ours = {n: t for n, t in tower.state_dict().items() if n.startswith(("model.visual.", "model.logit_"))}
    if found.layout == "open_clip":  # our tower is one of open_clip's
        state = {"text_projection": torch.eye(width), **state}
        theirs = {f"model.{n}": t for n, t in state.items() if n not in ("logit_scale", "attn_mask")}
        load_state(tower, ours | theirs, found.path)
        return tower
    projection = state.get("text_projection.weight", torch.eye(width))  # [E, width]; the identity if the model has none
    try:
        ours |= _under_our_names(state, c["num_hidden_layers"])
    except KeyError as e:
        raise ConfigError(f"{found.where}: not a CLIPTextModel's weights: no {e} in them") from e
    layers = (f"encoder.layers.{n}." for n in range(c["num_hidden_layers"]))
    known = ("embeddings.", "final_layer_norm.", "text_projection.", *layers)
    whole = ("vision_model.", "visual_projection.", "logit_scale")  # the other half of a whole CLIP model
    if odd := [n for n in state if not n.startswith((*known, *whole))]:
        raise ConfigError(f"{found.where}: num_hidden_layers={c['num_hidden_layers']}, and the file has {odd[0]} too")
    ours["model.text_projection"] = projection.T.contiguous()
    load_state(tower, ours, found.path)
    return tower


def _under_our_names(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    out = {
        "model.token_embedding.weight": state["embeddings.token_embedding.weight"],
        "model.positional_embedding": state["embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        out[f"model.ln_final.{kind}"] = state[f"final_layer_norm.{kind}"]
        for n in range(layers):
            here, there = f"model.transformer.resblocks.{n}.", f"encoder.layers.{n}."
            for ours, theirs in INNER.items():
                out[f"{here}{ours}.{kind}"] = state[f"{there}{theirs}.{kind}"]
            parts = [state[f"{there}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            out[f"{here}attn.in_proj_{kind}"] = torch.cat(parts)
    return out


def text_encoder(tower: Tower) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """CLIPTextModel's config and parameters, without the layers after the one that gives the tokens. A tower with its own
    vocabulary gets all 49,408 word vectors: each word that it lacks gets the vector of its unknown word. Its padding becomes an
    additional token, <pad>."""
    state = tower.model.state_dict()
    table = state["token_embedding.weight"]
    if tower.tokenizer.vocabulary is not None:
        whole = table[1].repeat(END + 2, 1)
        whole[torch.tensor(tower.tokenizer.vocabulary)] = table[2:]
        whole[END + 1] = table[0]
        table = whole
    width = table.shape[1]
    out = {
        "embeddings.token_embedding.weight": table,
        "embeddings.position_embedding.weight": state["positional_embedding"],
        "final_layer_norm.weight": state["ln_final.weight"],
        "final_layer_norm.bias": state["ln_final.bias"],
    }
    layers = len(tower.model.transformer.resblocks) + 1 - tower.layer
    for name, tensor in state.items():
        if not name.startswith("transformer.resblocks."):
            continue
        n, rest = name.removeprefix("transformer.resblocks.").split(".", 1)
        if int(n) >= layers:
            continue
        module, kind = rest.rsplit(".", 1)
        place = f"encoder.layers.{n}."
        if module == "attn":  # in_proj_weight, in_proj_bias
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{place}self_attn.{part}_proj.{kind.removeprefix('in_proj_')}"] = piece
        else:
            out[f"{place}{INNER[module]}.{kind}"] = tensor
    text = tower.config.get("text", {})
    quick = bool(tower.config.get("quick_gelu")) or "quickgelu" in str(tower.config.get("open_clip", ""))
    config = {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": len(table),
        "hidden_size": width,
        "intermediate_size": state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": layers,
        "num_attention_heads": text.get("heads") or tower.model.transformer.resblocks[0].attn.num_heads,
        "max_position_embeddings": state["positional_embedding"].shape[0],
        "hidden_act": "quick_gelu" if quick else "gelu",
        "projection_dim": state["text_projection"].shape[1],
        "bos_token_id": tower.tokenizer.start,
        "eos_token_id": tower.tokenizer.end,
        "pad_token_id": END + 1 if tower.tokenizer.vocabulary is not None else tower.tokenizer.pad,
    }
    return config, {f"text_model.{n}": t for n, t in out.items()}


def tokenizer_words(tower: Tower) -> dict[str, Any]:
    """The description of the tokenizer that `write_tokenizer` writes, for the metadata of a single file."""
    if isinstance(tower.tokenizer, FileTokenizer):
        return tower.tokenizer.described
    if tower.tokenizer.vocabulary is None:
        pad = next(word for word, n in clip_words()[0].items() if n == tower.tokenizer.pad)
        return {**CLIPS_OWN, "pad": pad}
    return {**CLIPS_OWN, "pad": "<pad>", "added": [*CLIPS_OWN["added"], {"id": END + 1, "content": "<pad>"}]}  # type: ignore[misc]


def write_tokenizer(tower: Tower, folder: Path) -> None:
    """Write CLIPTokenizer's files: those that the tower came with, or open_clip's byte pairs."""
    if isinstance(tower.tokenizer, FileTokenizer):
        return tower.tokenizer.write(folder)
    own, merges = clip_words()
    vocabulary = dict(own)
    pad = next(word for word, n in vocabulary.items() if n == tower.tokenizer.pad)
    if tower.tokenizer.vocabulary is not None:
        pad = "<pad>"
        vocabulary[pad] = END + 1
    special = {"bos_token": BEGIN_MARK, "eos_token": END_MARK, "pad_token": pad, "unk_token": END_MARK}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    length = tower.tokenizer.context_length
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
