"""The LightningModule that pairs an autoencoder's latent space with a conditioned denoising net."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from ...config.errors import ConfigError
from ...config.schema import Objective, Training
from ...data.dataset import PictureBatch
from ...data.decode import to_unit
from ...models.build import build, denoising_net, null_condition
from ...nets.autoencoder import LatentSpace
from ...nets.denoisers.base import NetSpec
from ...nets.text import TextEncoder
from ...nets.unet import Condition
from ..checkpoint import read_checkpoint
from .diffusion import DiffusionModule

MADE_OF = "lightning_diff"  # the checkpoint's entry that describes the nets


class LatentDiffusionModule(DiffusionModule):
    """Trains a denoising net on the latents of an autoencoder, with the captions that a text encoder reads. Both are frozen.

    A batch holds pictures and captions, which the frozen nets encode in the step without gradient: a PictureBatch, a pair
    (images, captions), or a dict of both. Or it holds features that were cached before, of pictures alone or of both. Images are
    uint8 [B, 3, H, W], or floats in [-1, 1]. `positions` int64 [B] of a batch determine its random numbers; without them, batches
    are counted.

    `net` is an nn.Module, or the keys of one (`UNet()`), which takes its widths from the frozen nets. Without `training`, the
    learning rate follows the Trainer's number of steps. `null` is the condition that means "no caption". With `keep_frozen`, the
    checkpoints hold the frozen nets, and `load_from_checkpoint` needs nothing else."""

    def __init__(
        self,
        autoencoder: LatentSpace,
        text_encoder: TextEncoder,
        net: nn.Module | NetSpec,
        objective: Objective | None = None,
        training: Training | None = None,
        seed: int = 0,
        null: str | Condition = "empty",
        keep_frozen: bool = True,
    ) -> None:
        objective = objective or Objective()
        kind = null if isinstance(null, str) else "given"
        condition = null_condition(kind, text_encoder) if isinstance(null, str) else null
        if isinstance(net, NetSpec):
            net = build(
                {"part": "net", "net": denoising_net(net, autoencoder, condition, kind == "learned", objective)}
            )
            if learned := cast(Any, getattr(net, "null", None)):
                learned.begin(condition)
        super().__init__(net, training or Training(), seed, objective, condition.to(torch.device("cpu")))
        self.follows_trainer = training is None
        frozen = {"autoencoder": autoencoder, "text_encoder": text_encoder}
        for part in frozen.values():
            part.requires_grad_(False).eval()
        self.keep_frozen, self.batches = keep_frozen, 0
        # A plain dict hides them from Lightning: it neither saves nor moves them.
        self.frozen: Any = nn.ModuleDict(frozen) if keep_frozen else frozen
        self.made_of = {
            "parts": {name: vars(part).get("made_by") for name, part in {**frozen, "net": net}.items()},
            "objective": asdict(objective),
            "training": None if training is None else asdict(training),
            "seed": seed,
        }
        self.averaged_net: Any = None
        self.save_hyperparameters({**asdict(objective), **asdict(self.training_config), "seed": seed})

    @property
    def autoencoder(self) -> LatentSpace:
        return self.frozen["autoencoder"]

    @property
    def text_encoder(self) -> TextEncoder:
        return self.frozen["text_encoder"]

    def train(self, mode: bool = True) -> Self:
        """The frozen nets stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen.values():
            part.eval()
        return self

    def on_fit_start(self) -> None:
        for part in self.frozen.values():
            part.to(self.device)

    def configure_optimizers(self) -> Any:
        if not any(p.requires_grad for p in self.parameters()):
            raise ConfigError(
                "net: none of its weights is trained (ld.load gives a frozen one); net.requires_grad_() first"
            )
        if self.follows_trainer:
            steps = self.trainer.estimated_stepping_batches
            follows: dict[str, Any] = {"schedule": "constant", "warmup": 0}  # a training without an end
            if isinstance(steps, int) and steps > 0:
                follows = {"steps": steps, "warmup": min(100, steps // 10)}
            self.training_config = replace(self.training_config, **follows)
        return super().configure_optimizers()

    @torch.no_grad()
    def features(self, batch: Any) -> dict[str, Tensor]:
        """The features of a batch: mean and std of the latents, tokens, mask and pooled output of the captions, positions. On a
        CPU the frozen nets compute in float32, as for cached features: with bf16 the losses of `base` differ by .003 from the
        first step on, with float32 by 1e-5. On a GPU they compute in the precision of the training."""
        if isinstance(batch, Mapping) and "mean" in batch:
            found = dict(batch)
            captions = found.pop("captions", None)
            return found if captions is None else {**found, **self._said(captions)}
        images, captions, positions = _read(batch)
        unit = to_unit(images) if images.dtype == torch.uint8 else images
        with torch.autocast("cpu", enabled=False):
            posterior = self.autoencoder.encode(unit.to(self.device))
        if positions is None:
            first = (self.batches * self.trainer.world_size + self.global_rank) * len(images)
            positions = torch.arange(first, first + len(images))
        found = {"mean": posterior.mean, "std": posterior.std, "positions": positions.to(self.device)}
        return {**found, **self._said(captions)}

    def _said(self, captions: Sequence[str]) -> dict[str, Tensor]:
        with torch.autocast("cpu", enabled=False):
            said = self.text_encoder.condition(captions)
        return {"tokens": said.tokens, "mask": said.mask, "pooled": said.pooled}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        features = self.features(batch)
        loss = self.loss_of(features)
        self.batches += 1
        self.log("train/loss", self.meters["loss"], batch_size=len(features["positions"]))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.averaged_net = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.averaged_net.load_state_dict(self.ema.state(), strict=False)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log `validation/loss` of the net and `validation/loss_ema` of the averaged net, at fixed times with fixed noise."""
        features = self.features(batch)
        count = len(features["positions"])
        for name, net in (("validation/loss", self.net), ("validation/loss_ema", self.averaged_net)):
            loss = self.held_out_losses(features, net).mean()
            self.log(name, loss, on_epoch=True, batch_size=count, sync_dist=self.trainer.world_size > 1)

    def on_validation_epoch_end(self) -> None:
        self.averaged_net = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["batches"] = self.batches
        if self.keep_frozen:
            checkpoint[MADE_OF] = {**self.made_of, "null": [self.null.tokens, self.null.mask, self.null.pooled]}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.batches = int(checkpoint.get("batches", 0))

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, map_location: Any = None, **given: nn.Module) -> Self:  # type: ignore[override]
        """The module of a checkpoint, with its frozen nets and the averages of its weights. Nothing is unpickled.

        A net that this project cannot build from a description, a user's own class, must be `given`: autoencoder=,
        text_encoder= or net=, whose weights are then read. Raises ConfigError if the file does not hold what is needed."""
        checkpoint = read_checkpoint(Path(checkpoint_path), map_location or "cpu")
        made_of = checkpoint.get(MADE_OF)
        if made_of is None:
            raise ConfigError(
                f"{checkpoint_path}: without the frozen nets (a run's own checkpoint); ld.load reads a run folder"
            )
        parts: dict[str, Any] = {}
        for name, passport in made_of["parts"].items():
            if name not in given and passport is None:
                raise ConfigError(
                    f"{checkpoint_path}: its {name} is of a class that is not described here; give {name}="
                )
            parts[name] = given.get(name) or build(passport)
        training = None if made_of["training"] is None else Training(**made_of["training"])
        objective, null = Objective(**made_of["objective"]), Condition(*made_of["null"])
        module = cls(**parts, objective=objective, training=training, seed=made_of["seed"], null=null)
        module.load_state_dict(checkpoint["state_dict"])
        module.on_load_checkpoint(checkpoint)
        return module


def _read(batch: Any) -> tuple[Tensor, Sequence[str], Tensor | None]:
    """(images, captions, positions) of a batch of pictures. Raises ConfigError for what is none."""
    if isinstance(batch, PictureBatch):
        return batch.images, batch.captions, batch.positions
    if isinstance(batch, Mapping) and "images" in batch and "captions" in batch:
        return batch["images"], list(batch["captions"]), batch.get("positions")
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[0], Tensor):
        return batch[0], list(batch[1]), None
    raise ConfigError(f"a batch of {type(batch).__name__}: give (images, captions), or a dict with images and captions")
