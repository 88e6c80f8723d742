"""What no file says of a model, measured: whether its UNet predicts eps or v, and whether its latents have unit spread."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..diffusion.path import Path as DiffusionPath
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from ..nets.unet import Condition
from .diffusers import Opened

SIDE = 16  # of the latents that the UNet is tried on
CLEAR = 0.5  # a residual below this share of the target's size settles it


@dataclass(frozen=True)
class Probe:
    """`errors` are the relative errors of one denoising step of almost pure noise, {eps: ..., v: ...}; `spread` is the standard
    deviation of the latents of random pictures."""

    errors: dict[str, float]
    spread: float | None

    def lines(self) -> list[str]:
        best = min(self.errors, key=self.errors.__getitem__)
        shown = ", ".join(f"{name} {error:.2f}" for name, error in self.errors.items())
        clear = f"it predicts {best}" if self.errors[best] < CLEAR else "neither fits: is it trained?"
        lines = [f"one denoising step, relative error of the prediction as {shown}: {clear}"]
        if self.spread is not None:
            fits = "" if 0.3 < self.spread < 3 else ": not near 1, so its scaling factor may be another one"
            lines.append(f"spread of the latents of smooth random pictures: {self.spread:.2f}{fits}")
        return lines


@torch.no_grad()
def probe(unet: Opened, autoencoder: Opened | None) -> Probe:
    """Try the UNet at t = 0.9 on x_0 = 0, where a trained net predicts eps, or v = alpha eps. At 0.9 the two differ by the factor
    alpha = 0.15 of Stable Diffusion's schedule."""
    arguments = {"heads": [8] * len(unet.arguments["widths"]), **unet.arguments}
    net = LatentDiffusionUNet(**arguments).eval()
    net.load_state_dict(unet.state)
    generator = torch.Generator().manual_seed(0)
    eps = torch.randn(1, arguments["channels"], SIDE, SIDE, generator=generator)
    path = DiffusionPath("scaled_linear", "eps")
    m = path.at(torch.tensor([0.9]))
    width = max(1, arguments["pooled_width"])
    tokens = torch.zeros(1, 77, arguments["token_width"])
    out = net(
        m.sigma * eps,
        torch.tensor([0.9]),
        Condition(tokens, torch.ones(1, 77, dtype=torch.bool), torch.zeros(1, width)),
    )
    targets = {"eps": eps, "v": m.alpha * eps}
    errors = {name: float((out - target).norm() / target.norm()) for name, target in targets.items()}
    spread = None
    if autoencoder is not None:
        vae = LatentDiffusionAutoencoder(**autoencoder.arguments).eval()
        vae.load_state_dict(autoencoder.state)
        coarse = torch.rand(2, 3, 4, 4, generator=generator) * 2 - 1
        pictures = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic", antialias=True).clamp(-1, 1)
        spread = float(vae.encode(pictures).mean.std())
    return Probe(errors, spread)
