"""The costs of a config, computed before the run: memory, checkpoint size, operations, and bytes of cached features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ..config.schema import Config
from ..data.cached.choosing import Bytes, latent_bytes, text_bytes
from ..models.build import autoencoder_net, build, denoising_net
from ..nets.lora import add_lora
from ..nets.unet import Condition
from ..nets.weights import has_passport, read_passport
from ..pipeline.components import NAMES, locate_part, needed_parts
from ..training.footprint import Live, checkpoint_bytes, encoding_bytes, fake_step, held_bytes, tensor_bytes
from ..training.modules.autoencoder import AutoencoderModule
from ..training.modules.base import BaseModule
from ..training.modules.diffusion import DiffusionModule
from ..training.speed import step_flops
from ..training.trainer import precision_of

META = torch.device("meta")
SOME_WORDS = ["a caption of eleven words stands here for all of them"]


@dataclass
class Costs:
    """The costs of a config, in bytes if no other unit is named. Sizes that depend on the data (the vocabulary of a CLIP
    model) are taken at their maximum."""

    config: Config

    @cached_property
    def ranks(self) -> int:
        return self.config.training.devices * self.config.training.nodes

    @cached_property
    def rank_batch(self) -> int:
        return max(1, self.config.training.batch // self.ranks)

    @cached_property
    def tower(self) -> dict[str, Any]:
        """The text encoder, as a passport describes it."""
        text = self.config.text
        towers = [self._first_tower(), *(other.described() for other in text.more)]
        return {"towers": towers, "join": text.join, "pooled": text.pooled} if text.more else towers[0]

    def _first_tower(self) -> dict[str, Any]:
        if self.config.text.weights != "auto":
            return dict(self.config.text.described())
        place = locate_part("text", self.config, look=True)
        if place.path.is_file():
            return dict(read_passport(place.path)["net"])
        assert place.recipe is not None
        return dict(place.recipe.text.fitted(place.recipe.data.image_size, []))

    @cached_property
    def null(self) -> Condition:
        """A Condition with the shape of one caption, on the meta device."""
        long, wide, pooled = condition_shape(self.tower)
        with META:
            return Condition(torch.zeros(1, long, wide), torch.ones(1, long, dtype=torch.bool), torch.zeros(1, pooled))

    @cached_property
    def autoencoder(self) -> Any:
        passport = {"part": "autoencoder", "net": autoencoder_net(self.config.autoencoder)}
        given = Path(self.config.autoencoder.weights)
        if given.is_file() and has_passport(given):
            passport = read_passport(given)
        with META:
            return build(passport)

    @cached_property
    def side(self) -> int:
        """Side length of a latent, in latent pixels."""
        return self.config.data.image_size // int(self.autoencoder.factor)

    @cached_property
    def net(self) -> dict[str, Any]:
        """The component to train and its net, as a passport describes them."""
        c = self.config
        if c.task == "diffusion":
            learned = c.text.null == "learned"
            return {"part": "net", "net": denoising_net(c.net, self.autoencoder, self.null, learned, c.objective)}
        if c.task == "aligndraw":
            return {"part": "net", "net": c.net.described(c.data.image_size, SOME_WORDS)}
        if c.task == "autoencoder":
            return {"part": "autoencoder", "net": autoencoder_net(c.autoencoder)}
        if c.task == "attributes":
            heads = {name: len(values) for name, values in c.data.attributes.items()}
            return {"part": "attributes", "net": {"heads": heads}}
        return {"part": "text", "net": {**c.text.arguments(c.data.image_size), "vocabulary": None}}

    def make(self) -> nn.Module:
        net = build(self.net)
        if self.config.task == "diffusion":
            net.checkpointing = self.config.training.checkpointing  # type: ignore[assignment]
        if self.config.training.lora:
            add_lora(net, self.config.training.lora)
        return net

    @cached_property
    def module(self) -> BaseModule:
        """The LightningModule that is trained, on the meta device."""
        c, t = self.config, self.config.training
        with META:
            net: Any = self.make()
            if c.task == "diffusion":
                return DiffusionModule(net, t, c.seed, c.objective, self.null)
            return (
                AutoencoderModule(net, t, c.seed, c.autoencoder) if c.task == "autoencoder" else BaseModule(net, t, 0)
            )

    @cached_property
    def checkpoint(self) -> int:
        return checkpoint_bytes(self.module)

    @cached_property
    def gradients(self) -> int:
        return tensor_bytes([p for p in self.module.parameters() if p.requires_grad])

    @cached_property
    def step(self) -> Live:
        """The tensors that a forward and a backward pass of one rank's batch make."""
        return fake_step(self.make, self._output, precision_of(self.config.training) == "bf16-mixed")

    @cached_property
    def memory(self) -> dict[str, int]:
        """Memory of one rank: {what it holds: bytes}."""
        found = held_bytes(self.module, self.ranks)
        kept_elsewhere = self.gradients - self.gradients // self.ranks if self.config.training.strategy == "fsdp" else 0
        found["gradients and activations"] = self.step.peak - kept_elsewhere
        if self.config.task == "diffusion":
            found["frozen nets"] = tensor_bytes(list(self.autoencoder.parameters())) + self._tower_bytes()
        return found

    @cached_property
    def encoding(self) -> int:
        """Memory of one rank while the features of the pictures are computed, before the training: the frozen nets, and the
        autoencoder's activations. 0 if nothing is cached."""
        if self.config.task != "diffusion":
            return 0
        passport = {"part": "autoencoder", "net": autoencoder_net(self.config.autoencoder)}
        made = encoding_bytes(lambda: build(passport), self.config.data.image_size)
        return self.memory["frozen nets"] + made

    @cached_property
    def before(self) -> dict[str, int]:
        """Memory of one rank for what is done before the training: {what: bytes}. Missing components are trained first."""
        c, found = self.config, {"compute the features of the pictures": self.encoding}
        for part in needed_parts(c, c.evaluation.enabled) if c.generates else ():
            place = locate_part(part, c, look=True)
            if place.recipe is not None and not place.path.is_file():
                found[f"train the {NAMES[part]}"] = sum(Costs(place.recipe).memory.values())
        return found

    def _output(self, net: Any) -> Tensor:
        """The output of a forward pass of one rank's batch."""
        c, b = self.config, self.rank_batch
        if c.task == "diffusion":
            a, n = self.autoencoder, self.null
            tokens, mask, pooled = (torch.ones(b, *x.shape[1:], dtype=x.dtype) for x in (n.tokens, n.mask, n.pooled))
            given = Condition(tokens, mask, pooled)
            return net(torch.ones(b, a.latent_channels, self.side, self.side), torch.ones(b), given)
        pictures = torch.ones(b, 3, c.data.image_size, c.data.image_size)
        if c.task == "aligndraw":
            bce, kl, *_ = net(SOME_WORDS * b, torch.ones(b, net.glimpses, net.latent), net.shown(pictures))
            return bce + kl
        if c.task == "autoencoder":
            return net.decode_raw(net.moments(pictures)[0])
        if c.task == "attributes":
            return torch.cat([logits.flatten() for logits in net(pictures).values()])
        words = torch.ones(b, c.text.context_length, dtype=torch.long)
        return net.image_features(pictures) @ net.model.encode_text(words).T

    def _tower_bytes(self) -> int:
        """Bytes of the text encoder in float32, from the tables of its files."""
        text, total = self.config.text, 0
        places = [locate_part("text", self.config, look=True).path, *(Path(other.weights) for other in text.more)]
        files = [f for place in places for f in _files(place)]
        for file in files:
            with safe_open(file, framework="pt") as f:
                total += sum(4 * math.prod(f.get_slice(name).get_shape()) for name in f.keys())  # noqa: SIM118
        return total

    @cached_property
    def flops(self) -> float:
        """Floating-point operations of a training step for one sample."""
        return step_flops(self.net["net"], self.null, int(self.autoencoder.latent_channels), self.side)

    def features(self, pictures: int, captions: int) -> Bytes:
        """What the caches of the frozen nets' features would take of a set."""
        latent = latent_bytes(int(self.autoencoder.latent_channels), self.side, bool(self.autoencoder.exact))
        tokens, mask, pooled = (x.numel() for x in (self.null.tokens, self.null.mask, self.null.pooled))
        return Bytes(pictures, captions, latent, text_bytes(tokens, pooled, mask))


def _files(place: Path) -> list[Path]:
    return sorted(place.glob("model*.safetensors")) if place.is_dir() else [p for p in [place] if p.is_file()]


def condition_shape(tower: dict[str, Any]) -> tuple[int, int, int]:
    """(tokens of a caption, their width, the pooled width) of a text encoder that a passport describes."""
    if towers := tower.get("towers"):
        shapes = [condition_shape(t) for t in towers]
        long, wide, pooled = (list(column) for column in zip(*shapes, strict=True))
        last = sum(pooled) if tower["pooled"] == "all" else pooled[-1]
        return (max(long), sum(wide), last) if tower["join"] == "channels" else (sum(long), max(wide), last)
    if name := tower.get("open_clip"):
        known: Any = open_clip.get_model_config(name)
        return known["text_cfg"].get("context_length", 77), known["text_cfg"]["width"], known["embed_dim"]
    return tower["text"]["context_length"], tower["text"]["width"], tower["embedding"]
