"""Comparison of Stable Diffusion's nets at full size with diffusers', on the same random weights: python benchmarks/full_size.py

Prints the largest difference between the outputs, relative to the largest output, in float32, and writes it to
benchmarks/results/full_size.json. The published weights have these shapes; a UNet of XL's size needs 24 GiB of memory.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.interop.configs import unet_config  # noqa: E402
from lightning_diff.interop.names import to_diffusers  # noqa: E402
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder  # noqa: E402
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet  # noqa: E402
from lightning_diff.nets.unet import Condition  # noqa: E402

UNETS: dict[str, dict[str, Any]] = {
    "sd15": {"token_width": 768, "widths": (320, 640, 1280, 1280), "heads": 8},
    "sd21": {"token_width": 1024, "widths": (320, 640, 1280, 1280)},
    "sdxl": {"token_width": 2048, "widths": (320, 640, 1280), "depth": (0, 2, 10), "pooled_width": 1280},
}


def unet_error(name: str, side: int) -> tuple[float, int]:
    """(relative error, number of parameters). The peer takes over the weights' tensors, so both nets exist together only for a
    short time."""
    from diffusers import UNet2DConditionModel

    c = UNETS[name]
    torch.manual_seed(0)
    net = LatentDiffusionUNet(4, **c).eval()
    for p in net.parameters():
        if p.ndim > 1 and not p.any():
            torch.nn.init.normal_(p, std=0.02)
    x, t = torch.randn(1, 4, side, side), torch.tensor([0.5])
    pooled = torch.randn(1, c.get("pooled_width", 1))
    condition = Condition(torch.randn(1, 77, c["token_width"]), torch.ones(1, 77, dtype=torch.bool), pooled)
    mine = net(x, t, condition)
    count = sum(p.numel() for p in net.parameters())
    config = {k: v for k, v in unet_config(net, c["token_width"], side).items() if not k.startswith("_")}
    state = to_diffusers(net.state_dict())
    del net
    with torch.device("meta"):
        peer: Any = UNet2DConditionModel(**config)
    peer.load_state_dict(state, assign=True)
    size = torch.tensor([[8.0 * side, 8.0 * side, 0, 0, 8.0 * side, 8.0 * side]])
    added = {"text_embeds": pooled, "time_ids": size} if "pooled_width" in c else None
    theirs = peer.eval()(x, torch.tensor([499.0]), condition.tokens, added_cond_kwargs=added).sample
    return float((mine - theirs).abs().max() / theirs.abs().max()), count


def autoencoder_error() -> tuple[float, int]:
    from diffusers import AutoencoderKL

    from lightning_diff.interop.configs import autoencoder_config

    torch.manual_seed(0)
    net = LatentDiffusionAutoencoder((128, 256, 512, 512), 4, 2, 32).eval()
    config = {k: v for k, v in autoencoder_config(net, 256).items() if not k.startswith("_")}
    peer: Any = AutoencoderKL(**config).eval()
    peer.load_state_dict(to_diffusers({n: p for n, p in net.state_dict().items() if n not in ("shift", "scale")}))
    x = torch.rand(1, 3, 256, 256) * 2 - 1
    mine, theirs = net.decode(net.encode(x).mean), peer.decode(peer.encode(x).latent_dist.mean).sample
    return float((mine - theirs).abs().max() / theirs.abs().max()), sum(p.numel() for p in net.parameters())


@torch.no_grad()
def main() -> None:
    rows = []
    for name, side in (("sd15", 64), ("sd21", 64), ("sdxl", 32), ("autoencoder", 32)):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        error, count = autoencoder_error() if name == "autoencoder" else unet_error(name, side)
        rows.append(
            {"case": f"{name}, {count} parameters, {side} x {side} latents", "unit": "relative error", "here": error}
        )
        print(f"{rows[-1]['case']}: largest difference / largest output = {error:.1e}", flush=True)
        gc.collect()
    place = ROOT / "benchmarks" / "results" / "full_size.json"
    place.write_text(json.dumps({"passport": {"torch": torch.__version__}, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
