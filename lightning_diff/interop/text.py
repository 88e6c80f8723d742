"""Reading and writing of CLIP's text encoder in the format of transformers (CLIPTextModel, CLIPTextModelWithProjection,
CLIPTokenizer). Reading gives a tower, writing starts from one. transformers is not imported, and only safetensors are read
(law 8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..nets.text import Tower
from ..nets.tokenizers.clip import END, START, Tokenizer, byte_pairs
from ..nets.weights import load_state, read_state
from .diffusers import read_config

FILE = "model.safetensors"
INNER = {  # the modules of a layer: open_clip's name -> transformers' name
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
# open_clip's CLIP always has a picture half. A tower for captions only has this tiny one.
BLIND = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 8, "image_size": 8}


def _pad(folder: Path) -> int:
    """The id of the padding, from the tokenizer's folder beside the encoder's (tokenizer, or tokenizer_2 for
    text_encoder_2)."""
    beside = folder.with_name(folder.name.replace("text_encoder", "tokenizer"))

    def table(name: str) -> dict[str, Any]:
        return json.loads((beside / name).read_text("utf-8")) if (beside / name).is_file() else {}

    word = (table("special_tokens_map.json") | table("tokenizer_config.json")).get("pad_token", "!")
    word = word["content"] if isinstance(word, dict) else word
    words = table("tokenizer.json").get("model", {}).get("vocab", {}) | table("vocab.json")
    return int(words.get(word, 0))


def _clip_config(folder: Path) -> dict[str, Any]:
    """The config of the CLIP text encoder in a folder. Raises ConfigError if it is none."""
    c = read_config(folder)
    if not (folder / FILE).is_file():
        raise ConfigError(f"{folder}: no {FILE} in it; only safetensors are read (save with safe_serialization=True)")
    if c.get("model_type") != "clip_text_model" or c.get("hidden_act") not in ("gelu", "quick_gelu"):
        raise ConfigError(f"{folder}: model_type={c.get('model_type')}; only CLIP's text encoders (clip_text_model)")
    if c["vocab_size"] <= END:
        raise ConfigError(f"{folder}: vocab_size={c['vocab_size']}; only CLIP's byte pairs, {END + 1} of them")
    return c


def tokenizer_of_folder(folder: Path) -> Tokenizer:
    """The tokenizer of that folder's tower, without its weights. Raises ConfigError if it is not a CLIP model."""
    return Tokenizer(_clip_config(folder)["max_position_embeddings"], pad=_pad(folder))


def tower_of_folder(folder: Path) -> Tower:
    """The tower in a pipeline's text_encoder (or text_encoder_2) folder. Raises ConfigError if it is not a CLIP model."""
    c = _clip_config(folder)
    state = {n.removeprefix("text_model."): t for n, t in read_state(folder / FILE).items()}
    width = c["hidden_size"]
    projection = state.get(
        "text_projection.weight", torch.eye(width)
    )  # [E, width]; the identity if the model has no projection
    text = {
        "context_length": c["max_position_embeddings"],
        "width": width,
        "heads": c["num_attention_heads"],
        "layers": c["num_hidden_layers"],
        "mlp_ratio": c["intermediate_size"] / width,
        "vocab_size": c["vocab_size"],
        "pool_type": "eos",  # the padding may have the highest id
        "eos_id": END,
    }
    net = {"embedding": len(projection), "vision": BLIND, "text": text, "pad": _pad(folder)}
    tower = Tower({**net, "quick_gelu": c["hidden_act"] == "quick_gelu"})
    ours = {n: t for n, t in tower.state_dict().items() if n.startswith(("model.visual.", "model.logit_"))}
    try:
        ours |= _under_our_names(state, c["num_hidden_layers"])
    except KeyError as e:
        raise ConfigError(f"{folder}: not a CLIPTextModel's weights: no {e} in them") from e
    ours["model.text_projection"] = projection.T.contiguous()
    load_state(tower, ours, folder)
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
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": END + 1 if tower.tokenizer.vocabulary is not None else tower.tokenizer.pad,
    }
    return config, {f"text_model.{n}": t for n, t in out.items()}


def write_tokenizer(tower: Tower, folder: Path) -> None:
    """Write CLIPTokenizer's files from open_clip's byte pairs."""
    bpe = byte_pairs()
    marks = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {marks.get(word, word): n for word, n in bpe.encoder.items()}
    pad = next(word for word, n in vocabulary.items() if n == tower.tokenizer.pad)
    if tower.tokenizer.vocabulary is not None:
        pad = "<pad>"
        vocabulary[pad] = END + 1
    merges = sorted(bpe.bpe_ranks, key=bpe.bpe_ranks.__getitem__)
    special = {"bos_token": marks["<start_of_text>"], "eos_token": marks["<end_of_text>"], "pad_token": pad}
    special["unk_token"] = marks["<end_of_text>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n", "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    length = tower.tokenizer.context_length
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
