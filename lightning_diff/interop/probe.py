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
TIME = 0.9


@dataclass(frozen=True)
class Probe:
    """`share` is how much of the noise is in the UNet's output, when its input is almost pure noise: 1 for a trained net that
    predicts eps, `alpha` for one that predicts v = alpha eps - sigma x_0. `spread` is the standard deviation of the latents of
    random pictures."""

    share: float
    alpha: float
    spread: float | None

    @property
    def guess(self) -> str:
        """What the UNet predicts, if it is trained."""
        return "eps" if abs(self.share - 1) < abs(self.share - self.alpha) else "v"

    def lines(self) -> list[str]:
        first = f"in one denoising step at t = {TIME}, {self.share:.2f} of the noise is in the output"
        most = "predicts v, or is not trained" if self.guess == "v" else "predicts eps"
        lines = [f"{first} (1: it predicts eps; {self.alpha:.2f}: v): it {most}"]
        if self.spread is not None:
            fits = "" if 0.3 < self.spread < 3 else ": not near 1, so its scaling factor may be another one"
            lines.append(f"spread of the latents of smooth random pictures: {self.spread:.2f}{fits}")
        return lines


@torch.no_grad()
def probe(unet: Opened, autoencoder: Opened | None) -> Probe:
    """Try the UNet on noise at TIME, where sigma is 0.99 and x_0 is hardly to be seen."""
    arguments = {"heads": [8] * len(unet.arguments["widths"]), **unet.arguments}
    net = LatentDiffusionUNet(**arguments).eval()
    net.load_state_dict(unet.state)
    generator = torch.Generator().manual_seed(0)
    eps = torch.randn(1, arguments["channels"], SIDE, SIDE, generator=generator)
    path = DiffusionPath("scaled_linear", "eps")
    m = path.at(torch.tensor([TIME]))
    width = max(1, arguments["pooled_width"])
    tokens = torch.zeros(1, 77, arguments["token_width"])
    out = net(
        m.sigma * eps,
        torch.tensor([TIME]),
        Condition(tokens, torch.ones(1, 77, dtype=torch.bool), torch.zeros(1, width)),
    )
    share = float((out * eps).sum() / eps.square().sum())
    spread = None
    if autoencoder is not None:
        vae = LatentDiffusionAutoencoder(**autoencoder.arguments).eval()
        vae.load_state_dict(autoencoder.state)
        coarse = torch.rand(2, 3, 4, 4, generator=generator) * 2 - 1
        pictures = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic", antialias=True).clamp(-1, 1)
        spread = float(vae.encode(pictures).mean.std())
    return Probe(share, float(m.alpha), spread)
