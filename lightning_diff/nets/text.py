"""Towers of open_clip: the one that conditions (its text half) and the one that judges (both halves)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn

from .unet import Condition

START, END = 49406, 49407  # open_clip's BPE ids of <start_of_text> and <end_of_text>


class Tokenizer:
    """Captions -> ids [B, L] by open_clip's byte-pair vocabulary, padded with 0.

    With `vocabulary`, a sorted list of the byte-pair ids in use, ids are the places in that list plus 2 (0 pads, 1
    stands for any id that the list lacks), so that a small tower does not carry 49,408 word vectors. The end of text
    keeps the highest id, by which open_clip finds it.
    """

    def __init__(self, context_length: int, vocabulary: Sequence[int] | None = None) -> None:
        self.bpe = SimpleTokenizer(context_length=context_length)
        self.context_length = context_length
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.places = None
        if self.vocabulary is not None:
            if self.vocabulary != sorted(set(self.vocabulary)) or self.vocabulary[-2:] != [START, END]:
                raise ValueError("a vocabulary is a sorted list of byte-pair ids that ends with the two text marks")
            self.places = torch.ones(END + 1, dtype=torch.long)
            self.places[torch.tensor(self.vocabulary)] = torch.arange(len(self.vocabulary)) + 2

    @staticmethod
    def words_of(captions: Sequence[str]) -> list[int]:
        """The vocabulary in use in these captions."""
        bpe = SimpleTokenizer()
        return sorted({i for c in set(captions) for i in bpe.encode(c)} | {START, END})

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(ids [B, L] int64, mask [B, L] bool)."""
        ids = self.bpe(list(captions))
        end = (ids == END).int().argmax(dim=1)
        mask = torch.arange(ids.shape[1])[None] <= end[:, None]
        if self.places is not None:
            ids = self.places[ids]
        return ids * mask, mask

    def unknown(self, caption: str) -> list[str]:
        """The pieces of the caption that this vocabulary lacks."""
        if self.vocabulary is None:
            return []
        have = set(self.vocabulary)
        return [self.bpe.decode([i]).strip() for i in self.bpe.encode(caption) if i not in have]


class Tower(nn.Module):
    """An open_clip model with its tokenizer and its normalisation of pictures. `config` describes all three; it is
    plain data (strings, numbers, lists), so that a tower can be stored as safetensors and built again."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = json.loads(json.dumps(dict(config)))
        if name := self.config.get("open_clip"):
            self.model = open_clip.create_model(name, pretrained=None, load_weights=False)
            size = self.model.visual.image_size
            self.image_size = int(size[0] if isinstance(size, tuple | list) else size)
            self.tokenizer = Tokenizer(self.model.context_length)
            mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        else:
            text = dict(self.config["text"], vocab_size=len(self.config["vocabulary"]) + 2)
            self.model = open_clip.CLIP(self.config["embedding"], self.config["vision"], text)
            self.image_size = self.config["vision"]["image_size"]
            self.tokenizer = Tokenizer(text["context_length"], self.config["vocabulary"])
            mean = std = (0.5, 0.5, 0.5)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def condition(self, captions: Sequence[str]) -> Condition:
        """Captions -> Condition: the last hidden state of each token, and the pooled output, of unit length."""
        ids, mask = self.tokenizer(captions)
        return self.condition_of_ids(ids.to(self.device), mask.to(self.device))

    def condition_of_ids(self, ids: Tensor, mask: Tensor) -> Condition:
        out = self.model.forward_intermediates(text=ids, text_indices=1, normalize=True, normalize_intermediates=True)
        return Condition(out["text_intermediates"][-1].float(), mask, out["text_features"].float())

    def image_layers(self, x: Tensor) -> list[Tensor]:
        """Pictures [B, 3, H, W] in [-1, 1] -> each layer's hidden states of the picture, [B, C, h, w]."""
        out = self.model.forward_intermediates(image=self._shown(x), intermediates_only=True)
        return [h.float() for h in out["image_intermediates"]]

    def _shown(self, x: Tensor) -> Tensor:
        x = (x + 1) / 2
        if x.shape[-1] != self.image_size:
            x = F.interpolate(x, size=(self.image_size,) * 2, mode="bicubic", antialias=True).clamp(0, 1)
        return (x - self.mean) / self.std

    def text_features(self, captions: Sequence[str]) -> Tensor:
        """[B, E], of unit length."""
        features: Tensor = self.model.encode_text(self.tokenizer(captions)[0].to(self.device), normalize=True)
        return features.float()

    def image_features(self, x: Tensor, normalize: bool = True) -> Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] -> [B, E]; resized (bicubic, antialiased) if the tower wants another size."""
        features: Tensor = self.model.encode_image(self._shown(x), normalize=normalize)
        return features.float()
