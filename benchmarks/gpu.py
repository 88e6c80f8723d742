"""Training on a GPU: a small net's step with its kernels started one by one and all at once, and a large net's beside diffusers.

python benchmarks/gpu.py            # on a GPU, about three minutes; writes benchmarks/results/gpu.json
python benchmarks/gpu.py --quick    # tiny, also on a CPU: does it run?

Small net: the step of experiment=base (batch 64, bf16), random features. "fastest" has cuDNN's trials and any kernels; the others
have kernels that give the same bits each time. "recorded" is what a run does on one GPU (training/graphs.py). The weights after
the steps must be the same bits, recorded or not. Large net: the UNet of Stable Diffusion 1.5 at 512 px, batch 32, bf16, as in
core.py, in turns with the loop of diffusers; each side has its nets on the device from the start. Medians, in ms.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import statistics
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import core_jobs  # noqa: E402

from lightning_diff.config.compose import compose_config  # noqa: E402
from lightning_diff.devices import same_bits_on_gpu, settings_kept  # noqa: E402
from lightning_diff.evaluation.provenance import environment  # noqa: E402
from lightning_diff.models.build import build, denoising_net  # noqa: E402
from lightning_diff.nets.autoencoder import LatentSpace  # noqa: E402
from lightning_diff.nets.unet import Condition  # noqa: E402
from lightning_diff.training.modules.diffusion import DiffusionModule  # noqa: E402

DEVICE = core_jobs.DEVICE
LENGTH, WIDTH, SIDE = 24, 128, 16
SEEDED = core_jobs.seeded


def milliseconds(work: core_jobs.Work, count: int, warm: int) -> float:
    return 1000 * statistics.median(core_jobs.seconds(work, count, warm))


def small(recorded: bool, optimizer: str, batch: int, count: int) -> tuple[float, str]:
    """(ms of a step of experiment=base, a digest of the weights after all steps)."""
    torch.manual_seed(0)
    config = compose_config(["experiment=base"])
    null = Condition(torch.zeros(1, LENGTH, WIDTH), torch.ones(1, LENGTH, dtype=torch.bool), torch.zeros(1, WIDTH))
    training = replace(config.training, optimizer=optimizer, warmup=20)
    described = denoising_net(config.net, LatentSpace(4, 4), null, False, config.objective)
    module = DiffusionModule(build({"part": "net", "net": described}), training, 0, config.objective, null).to(DEVICE)
    found = module.configure_optimizers()
    steps: Any = found["optimizer"]
    if recorded:
        module.record()
        if hasattr(steps, "record"):
            steps.record()
    features = {key: value.to(DEVICE) for key, value in random_features(batch).items()}
    done = 0

    def step() -> None:
        nonlocal done
        rows = torch.arange(done * batch, (done + 1) * batch, device=DEVICE)
        with core_jobs.bf16(True):
            loss = module.training_step({**features, "positions": rows}, done)
        loss.backward()
        module.configure_gradient_clipping(steps)
        steps.step()
        steps.zero_grad()
        found["lr_scheduler"]["scheduler"].step()
        done += 1
        module.ema.update(done)

    took = milliseconds(step, count, 5)
    digest = hashlib.sha256(b"".join(p.detach().cpu().numpy().tobytes() for p in module.net.parameters()))
    return took, digest.hexdigest()[:12]


def random_features(batch: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return {
        "mean": torch.randn(batch, 4, SIDE, SIDE, generator=g),
        "std": torch.rand(batch, 4, SIDE, SIDE, generator=g),
        "tokens": torch.randn(batch, LENGTH, WIDTH, generator=g),
        "mask": torch.ones(batch, LENGTH, dtype=torch.bool),
        "pooled": torch.randn(batch, WIDTH, generator=g),
    }


def large(side: str, size: str, batch: int, count: int) -> tuple[float, float]:
    """(ms of a training step of that side, peak memory in GiB)."""
    gc.collect()
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    took = milliseconds(core_jobs.JOBS[side, "train"](core_jobs.SIZES[size], batch, "bf16"), count, 3)
    return took, core_jobs.peak_memory(DEVICE) / 1024


def on_the_device(make: Callable[[], torch.nn.Module]) -> Any:
    """core_jobs' `seeded`, with the weights made on the device: a CPU needs a while for 860 million."""
    with DEVICE:
        return SEEDED(make)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    a = parser.parse_args()
    warnings.filterwarnings("ignore")
    core_jobs.seeded = on_the_device
    gpu, rows, digests = DEVICE.type == "cuda", [], []
    batch, count, size, many, turns = (2, 1, "small", 1, 1) if a.quick else (64, 20, "sd15-64", 32, 2)
    torch.set_float32_matmul_precision("high")
    for optimizer in ("muon", "adamw"):
        for way in ("fastest", "one by one", "recorded"):
            with settings_kept():
                torch.backends.cudnn.benchmark = True
                if way != "fastest":
                    same_bits_on_gpu()
                took, digest = small(gpu and way == "recorded", optimizer, batch, count)
            rows.append({"case": f"experiment=base, {optimizer}, {way}", "unit": "ms a step", "here": took})
            digests += [digest] * (way != "fastest")
            print(f"{rows[-1]['case']}: {took:.1f} ms, weights {digest}", flush=True)
    assert digests[0] == digests[1] and digests[2] == digests[3], "a recorded step gives other bits"
    found: dict[str, list[tuple[float, float]]] = {"here": [], "peer": []}
    for _ in range(turns):
        for side in found:
            with settings_kept():
                torch.backends.cudnn.benchmark = side == "peer"
                if side == "here":
                    same_bits_on_gpu()
                found[side].append(large(side, size, many, 1 if a.quick else 5))
            print(
                f"{size}, batch {many}, {side}: {found[side][-1][0]:.1f} ms, {found[side][-1][1]:.1f} GiB", flush=True
            )
    ours, theirs = (statistics.median(ms for ms, _ in found[side]) for side in ("here", "peer"))
    row = {"case": f"{size}, batch {many}, bf16", "unit": "ms a step", "here": ours, "peer": theirs}
    memory = {f"{side}_memory_gib": found[side][0][1] for side in found}
    rows.append({**row, "peer_name": "diffusers", "ratio": theirs / ours, **memory})
    if not a.quick:
        a.json.write_text(json.dumps({"passport": environment(), "rows": rows}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
