"""The keys that all autoencoders have: where their weights come from, their latents, and how they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import at_least, between, path
from ...config.registry import Choice

if TYPE_CHECKING:
    from ..autoencoder import LatentSpace


@dataclass(frozen=True, kw_only=True)
class AutoencoderChoice(Choice):
    """What maps pictures to the latents in which the diffusion happens, and back."""

    # The keys of its losses: only its training reads them. Empty if there is nothing to train, and then it has no weights.
    errors: ClassVar[tuple[str, ...]] = ()

    @property
    def factor(self) -> int:
        """One element of a latent stands for factor x factor pixels."""
        raise NotImplementedError

    @staticmethod
    def module() -> type[LatentSpace]:
        """The class of the network."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """The arguments of its class: plain values, which the passport of its weights holds."""
        raise NotImplementedError

    def kept(self, size: int) -> int:
        """How many numbers its first layers keep for the backward pass, for one picture of size x size; 0 if not known."""
        return 0


@dataclass(frozen=True, kw_only=True)
class AutoencoderSpec(AutoencoderChoice):
    """An autoencoder whose latents have `latent_channels`. `weights` is auto (shipped, or else trained for this data), a
    safetensors file, or a diffusers folder.

    The other keys are for its training. They are the weights of three losses: the KL (`kl_weight`), a perceptual distance
    (`perceptual`; LPIPS if `lpips_weights` is a file of VGG-16, else the hidden states of our CLIP model), and, from step
    `adversarial_from` on, a discriminator (`adversarial`)."""

    weights: str = path("auto")
    latent_channels: int = between(4, 1, 1024)
    kl_weight: float = at_least(1e-4, 0)
    perceptual: float = at_least(0.0, 0)
    lpips_weights: str | None = path(None)
    adversarial: float = at_least(0.0, 0)
    adversarial_from: int = at_least(0, 0)

    errors: ClassVar[tuple[str, ...]] = (
        "kl_weight",
        "perceptual",
        "lpips_weights",
        "adversarial",
        "adversarial_from",
    )

    def conflicts(self, task: Any) -> Iterator[str]:
        ignored = "autoencoder.{}: would be ignored; it belongs to {}"
        if self.weights != "auto" and task != "diffusion":
            yield ignored.format("weights", "task=diffusion; init_from= is where to start")
        if self.lpips_weights is not None and not self.perceptual:
            yield ignored.format("lpips_weights", "autoencoder.perceptual > 0")
        if self.adversarial_from and not self.adversarial:
            yield ignored.format("adversarial_from", "autoencoder.adversarial > 0")


def width_conflicts(widths: list[int], step: int) -> Iterator[str]:
    """Messages for an empty list of widths, and for widths that are not multiples of `step`."""
    if not widths or any(w < step or w % step for w in widths):
        yield f"autoencoder.widths={widths}: widths must be positive multiples of {step}"
