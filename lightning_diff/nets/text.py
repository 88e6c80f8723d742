"""CLIP models of open_clip, here called towers. One conditions the net (its text half), another judges (both halves)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tokenizers.clip import END, Reading
from .tokenizers.described import tokenizer_of
from .unet import Condition


def reading_of(config: Mapping[str, Any]) -> tuple[int, bool]:
    """(layer, final_norm) of a tower's description, or of a config's `text`; what says neither reads plainly."""
    return config.get("layer", 1), config.get("final_norm", True)


class Tower(nn.Module):
    """An open_clip model (both halves) with its tokenizer and its normalisation of pictures. `config` describes all three. It
    is plain data (strings, numbers, lists), so that a tower can be stored as safetensors and built again.

    A caption's tokens are the hidden states after the `layer`-th layer from the end (1: the last layer). They go through the
    final norm unless `final_norm` is False. `pad` is the id of the padding, if it is not 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = json.loads(json.dumps(dict(config)))
        self.read_at(*reading_of(self.config))
        self.tokenizer = tokenizer_of(self.config)
        if name := self.config.get("open_clip"):
            quick = bool(self.config.get("quick_gelu", False))
            self.model = open_clip.create_model(name, pretrained=None, load_weights=False, force_quick_gelu=quick)
            size = self.model.visual.image_size
            self.image_size = int(size[0] if isinstance(size, tuple | list) else size)
            mean = self.config.get("mean", open_clip.OPENAI_DATASET_MEAN)
            std = self.config.get("std", open_clip.OPENAI_DATASET_STD)
        else:
            vocabulary = self.tokenizer.vocabulary
            words = END + 1 if vocabulary is None else len(vocabulary) + 2
            text, quick = {"vocab_size": words, **self.config["text"]}, self.config.get("quick_gelu", False)
            self.model = open_clip.CLIP(self.config["embedding"], self.config["vision"], text, quick_gelu=quick)
            self.image_size = self.config["vision"]["image_size"]
            mean = std = (0.5, 0.5, 0.5)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def read_at(self, layer: int, final_norm: bool) -> None:
        """Set the layer, counted from the end, whose hidden states are a caption's tokens."""
        self.layer, self.final_norm = layer, final_norm
        self.config |= {"layer": layer, "final_norm": final_norm}

    @property
    def layers(self) -> int:
        """The number of layers of its text half."""
        return len(getattr(self.model, "text", self.model).transformer.resblocks)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def condition(self, captions: Sequence[str]) -> Condition:
        """Captions -> Condition: the hidden states of the tokens, and the projected hidden state of the end of text."""
        ids, mask = (a.to(self.device) for a in self.tokenizer(captions))
        out = self.model.forward_intermediates(
            text=ids, text_indices=self.layer, normalize=False, normalize_intermediates=self.final_norm
        )
        return Condition(out["text_intermediates"][0].float(), mask, out["text_features"].float())

    def read(self, caption: str) -> Reading:
        """What this tower's tokenizer makes of a caption."""
        return self.tokenizer.read(caption)

    def unknown(self, caption: str) -> list[str]:
        """The pieces of the caption that this tower's vocabulary lacks."""
        return self.tokenizer.unknown(caption)

    def image_layers(self, x: Tensor) -> list[Tensor]:
        """Pictures [B, 3, H, W] in [-1, 1] -> the hidden states of each layer of the picture half, [B, C, h, w]."""
        out = self.model.forward_intermediates(image=self._shown(x), intermediates_only=True)
        return [h.float() for h in out["image_intermediates"]]

    def _shown(self, x: Tensor) -> Tensor:
        x = (x + 1) / 2
        if x.shape[-1] != self.image_size:
            mode = self.config.get("interpolation", "bicubic")
            x = F.interpolate(x, size=(self.image_size,) * 2, mode=mode, antialias=True).clamp(0, 1)
        return (x - self.mean) / self.std

    def text_features(self, captions: Sequence[str]) -> Tensor:
        """Captions -> [B, E], of unit length."""
        features: Tensor = self.model.encode_text(self.tokenizer(captions)[0].to(self.device), normalize=True)
        return features.float()

    def image_features(self, x: Tensor, normalize: bool = True) -> Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] -> [B, E]. They are resized (bicubic, antialiased) if the tower needs another size."""
        features: Tensor = self.model.encode_image(self._shown(x), normalize=normalize)
        return features.float()


class Towers(nn.Module):
    """Several towers that read the same caption. `join` says how their tokens are joined: "channels" (a token has the channels
    of all towers, as in Stable Diffusion XL) or "tokens" (one list after the other, padded with zeros to the widest). `pooled`
    says which pooled outputs are used: of "all" towers or of the "last" one."""

    def __init__(self, towers: Sequence[Tower], join: str, pooled: str) -> None:
        super().__init__()
        self.towers, self.join, self.pooled = nn.ModuleList(towers), join, pooled

    @property
    def config(self) -> dict[str, Any]:
        return {"towers": [t.config for t in self._each()], "join": self.join, "pooled": self.pooled}

    def _each(self) -> list[Tower]:
        return list(self.towers)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        return self._each()[0].device

    def condition(self, captions: Sequence[str]) -> Condition:
        said = [tower.condition(captions) for tower in self._each()]
        pooled = torch.cat([c.pooled for c in said], 1) if self.pooled == "all" else said[-1].pooled
        if self.join == "channels":
            long = max(c.mask.shape[1] for c in said)
            tokens = [F.pad(c.tokens, (0, 0, 0, long - c.mask.shape[1])) for c in said]
            mask = torch.stack([F.pad(c.mask, (0, long - c.mask.shape[1])) for c in said]).any(0)
            return Condition(torch.cat(tokens, 2), mask, pooled)
        wide = max(c.tokens.shape[2] for c in said)
        tokens = [F.pad(c.tokens, (0, wide - c.tokens.shape[2])) for c in said]
        return Condition(torch.cat(tokens, 1), torch.cat([c.mask for c in said], 1), pooled)

    def read(self, caption: str) -> Reading:
        """What the tokenizer with the shortest context makes of a caption."""
        return min((tower.read(caption) for tower in self._each()), key=lambda r: r.kept)

    def unknown(self, caption: str) -> list[str]:
        """The pieces of the caption that no tower's vocabulary has."""
        pieces = [tower.unknown(caption) for tower in self._each()]
        return [p for p in pieces[0] if all(p in others for others in pieces)]


TextEncoder = Tower | Towers
