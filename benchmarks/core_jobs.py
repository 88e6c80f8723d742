"""The process of one measurement of core.py, for one side. It prints a line of JSON.

python benchmarks/core_jobs.py SIDE JOB MODE SIZE BATCH COUNT, for example: peer train bf16 small 0 5
"""

from __future__ import annotations

import contextlib
import json
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.config.schema import Objective, Training  # noqa: E402
from lightning_diff.diffusion.guiders.base import Guider  # noqa: E402
from lightning_diff.diffusion.guiders.cfg import CFG  # noqa: E402
from lightning_diff.diffusion.noise import start  # noqa: E402
from lightning_diff.diffusion.path import Path as DiffusionPath  # noqa: E402
from lightning_diff.diffusion.samplers.ancestral import DDIM  # noqa: E402
from lightning_diff.evaluation.provenance import environment  # noqa: E402
from lightning_diff.heap import keep_heap  # noqa: E402
from lightning_diff.interop.configs import scheduler_config  # noqa: E402
from lightning_diff.interop.export import export_pipeline  # noqa: E402
from lightning_diff.models.latent_diffusion import LatentDiffusion  # noqa: E402
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder  # noqa: E402
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet  # noqa: E402
from lightning_diff.nets.text import Tower  # noqa: E402
from lightning_diff.nets.tokenizers.clip import Tokenizer  # noqa: E402
from lightning_diff.nets.unet import Condition  # noqa: E402
from lightning_diff.training.modules.diffusion import DiffusionModule  # noqa: E402
from lightning_diff.training.speed import matmul_rate, peak_memory, training_flops  # noqa: E402

SIZES: dict[
    str, dict[str, Any]
] = {  # narrow for a CPU (with heads as 2.x has them), and Stable Diffusion 1.x as published
    "small": {"widths": (64, 128, 256, 256), "head_width": 32, "tokens": 256, "latent": 32, "batch": 4},
    "sd15-32": {"widths": (320, 640, 1280, 1280), "heads": 8, "tokens": 768, "latent": 32, "batch": 64},
    "sd15-64": {"widths": (320, 640, 1280, 1280), "heads": 8, "tokens": 768, "latent": 64, "batch": 32},
}
LENGTH, STEPS, SCALE = 77, 20, 7.5
PROMPTS = ["a red mug beside a green pear", "two bananas", "a blue vase", "one small yellow lemon, on a table"]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Work = Callable[[], Any]


def seeded(make: Callable[[], torch.nn.Module]) -> Any:
    """The net with the same random weights on both sides. Zeroed projections are filled, so that every layer has an effect."""
    torch.manual_seed(0)
    net = make()
    for p in net.parameters():
        if p.ndim > 1 and not p.any():
            torch.nn.init.normal_(p, std=0.02)
    return net


def make_unet(size: dict[str, Any]) -> LatentDiffusionUNet:
    heads = {k: size[k] for k in ("heads", "head_width") if k in size}
    return LatentDiffusionUNet(4, size["tokens"], size["widths"], **heads)


def our_unet(size: dict[str, Any]) -> Any:
    return seeded(lambda: make_unet(size))


def bf16(enabled: bool) -> torch.autocast:
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=enabled)


def data(size: dict[str, Any], batch: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    side = size["latent"]
    return {
        "mean": torch.randn(batch, 4, side, side, generator=g).to(DEVICE),
        "tokens": torch.randn(batch, LENGTH, size["tokens"], generator=g).to(DEVICE),
    }


def train_here(size: dict[str, Any], batch: int, mode: str) -> Work:
    """DiffusionModule's step with its optimizer, gradient clipping and EMA, in the order in which Lightning calls them."""
    net = our_unet(size).to(DEVICE)
    null = Condition(torch.zeros(1, LENGTH, size["tokens"]), torch.ones(1, LENGTH, dtype=torch.bool), torch.zeros(1, 1))
    objective = Objective("eps", "scaled_linear", times="uniform", caption_dropout=0.1)
    module = DiffusionModule(net, Training(warmup=0, compile=mode == "compile"), 0, objective, null).to(DEVICE)
    found = module.configure_optimizers()
    optimizer, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
    d = data(size, batch)
    fixed = {
        "mean": d["mean"],
        "std": torch.zeros_like(d["mean"]),
        "tokens": d["tokens"],
        "mask": torch.ones(batch, LENGTH, dtype=torch.bool, device=DEVICE),
        "pooled": torch.zeros(batch, 1, device=DEVICE),
    }
    step = 0

    def work() -> None:
        nonlocal step
        rows = torch.arange(step * batch, (step + 1) * batch, device=DEVICE)
        with bf16(mode != "eager"):
            loss = module.training_step({**fixed, "positions": rows}, step)
        loss.backward()
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        step += 1
        module.ema.update(step)

    return work


def train_peer(size: dict[str, Any], batch: int, mode: str) -> Work:
    """The loop of diffusers' train_text_to_image.py, on latents and hidden states that already exist."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    net = peer_unet(size).to(DEVICE)
    scheduler = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
    ema = EMAModel(net.parameters(), model_cls=type(net), model_config=net.config, foreach=mode != "eager")
    ema.to(DEVICE)
    if mode != "eager":
        net.to(memory_format=torch.channels_last)
    run: Any = torch.compile(net) if mode == "compile" else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=mode != "eager")
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    d = data(size, batch)

    def work() -> None:
        noise = torch.randn_like(d["mean"])
        t = torch.randint(0, 1000, (batch,), device=DEVICE)
        noisy = scheduler.add_noise(d["mean"], noise, t)
        if mode != "eager":
            noisy = noisy.contiguous(memory_format=torch.channels_last)
        with bf16(mode != "eager"):
            loss = F.mse_loss(run(noisy, t, d["tokens"], return_dict=False)[0].float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ema.step(net.parameters())

    return work


def peer_unet(size: dict[str, Any]) -> Any:
    """diffusers' net with our net's weights."""
    from diffusers import UNet2DConditionModel

    from lightning_diff.interop.configs import unet_config
    from lightning_diff.interop.names import to_diffusers

    ours = our_unet(size)
    config = unet_config(ours, size["tokens"], size["latent"])
    net = UNet2DConditionModel(**{k: v for k, v in config.items() if not k.startswith("_")})
    net.load_state_dict(to_diffusers(ours.state_dict()))
    return net


def parts(size: dict[str, Any]) -> tuple[Any, Any, Any]:
    vision = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 16}
    text = {"context_length": LENGTH, "width": size["tokens"], "heads": size["tokens"] // 64, "layers": 4}
    words = Tokenizer.words_of(PROMPTS)
    tower = seeded(lambda: Tower({"embedding": 64, "vision": vision, "text": text, "vocabulary": words}))
    vae = seeded(lambda: LatentDiffusionAutoencoder((32, 64, 128, 128), 4, 1, 32))
    return our_unet(size).eval(), vae.eval(), tower.eval()


class Plain(LatentDiffusion):
    """The model in float32."""

    def _bf16(self) -> torch.autocast:
        return bf16(False)


def sample_here(size: dict[str, Any], batch: int, mode: str, guider: Guider | None = None) -> Work:
    net, vae, tower = (p.to(DEVICE).requires_grad_(False) for p in parts(size))
    net = net.to(memory_format=torch.channels_last)
    if mode == "compile":
        net.compile()
    path, sampler = DiffusionPath("scaled_linear", "eps"), DDIM(steps=STEPS)
    null = tower.condition([""])
    kind = Plain if mode == "eager" else LatentDiffusion
    model = kind(vae, tower, net, path, null, sampler, guider or CFG(), 8 * size["latent"])
    prompts = (PROMPTS * batch)[:batch]
    return lambda: model.generate(prompts, range(batch), SCALE).permute(0, 2, 3, 1).float() / 255


def sample_peer(size: dict[str, Any], batch: int, mode: str) -> Work:
    from diffusers import StableDiffusionPipeline

    folder = ROOT / "outputs" / "benchmarks" / f"peer-{size['widths'][0]}-{size['latent']}"
    if not folder.exists():
        scheduler = scheduler_config("scaled_linear", "eps", DDIM())
        export_pipeline(folder, *parts(size), scheduler, 8 * size["latent"])
    dtype = torch.bfloat16 if mode != "eager" else torch.float32
    pipe: Any = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype).to(DEVICE)
    pipe.set_progress_bar_config(disable=True)
    if mode != "eager":
        pipe.unet.to(memory_format=torch.channels_last)
        pipe.vae.to(memory_format=torch.channels_last)
    if mode == "compile":
        pipe.unet.compile()
    prompts = (PROMPTS * batch)[:batch]
    pixels = 8 * size["latent"]
    x = start(DiffusionPath("scaled_linear", "eps"), torch.arange(batch), (4, size["latent"], size["latent"]))

    def work() -> Tensor:
        found = pipe(
            prompts,
            latents=x.to(DEVICE, dtype),
            guidance_scale=SCALE,
            num_inference_steps=STEPS,
            output_type="np",
            height=pixels,
            width=pixels,
        )
        return torch.from_numpy(found.images)

    return work


def sample_interval(size: dict[str, Any], batch: int, mode: str) -> Work:
    """Sampling with guidance only in the middle of the noise levels, where half of the steps are."""
    return sample_here(size, batch, mode, CFG(interval=[0.28, 2.0]))


JOBS: dict[tuple[str, str], Callable[..., Work]] = {
    ("here", "train"): train_here,
    ("peer", "train"): train_peer,
    ("here", "sample"): sample_here,
    ("peer", "sample"): sample_peer,
    ("here", "interval"): sample_interval,
}


def floor(size: dict[str, Any], batch: int) -> dict[str, Any]:
    """The lower limit of a step's time: only its matrix products are computed, and its state is moved once. Also a profile of
    a real step."""
    import diffusers
    from torch.profiler import ProfilerActivity, profile

    meta, side = torch.device("meta"), size["latent"]
    null = Condition(torch.empty(1, LENGTH, size["tokens"]), torch.ones(1, LENGTH), torch.empty(1, 1)).to(meta)
    x, t = torch.empty(1, 4, side, side, device=meta), torch.empty(1, device=meta)
    net = our_unet(size)
    work = train_here(size, batch, "bf16")
    for _ in range(2):
        work()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if DEVICE.type == "cuda" else [])]) as p:
        work()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
    key = f"self_{'device' if DEVICE.type == 'cuda' else 'cpu'}_time_total"
    events = sorted(p.key_averages(), key=lambda e: -getattr(e, key))
    total = sum(getattr(e, key) for e in events)
    lines = [f"{100 * getattr(e, key) / total:5.1f} %  {e.count:6d} calls  {e.key[:70]}" for e in events[:16]]
    source = torch.ones(2**26, device=DEVICE)
    target = torch.ones_like(source)
    copy = statistics.median(seconds(lambda: target.copy_(source), 5, 1))
    return {
        "floor": {
            "flops": batch * training_flops(lambda: make_unet(size), x, t, null),
            "matmul": matmul_rate(DEVICE, torch.bfloat16),
            # float32 numbers read or written: AdamW 7 for each parameter, clipping 3, the average 3
            "bytes": 13 * 4 * sum(p.numel() for p in net.parameters()),
            "copy": 2 * source.nbytes / copy,
        },
        "profile": "\n".join(lines),
        "device": environment()["device"],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "batch": batch,
    }


def seconds(work: Work, count: int, warm: int) -> Iterator[float]:
    for i in range(warm + count):
        begin = time.perf_counter()
        work()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        if i >= warm:
            yield time.perf_counter() - begin


def main() -> None:
    side, job, mode, name, batch, count = sys.argv[1:7]
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    if mode != "eager":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    if side == "here":
        keep_heap()  # as every command of this project
    with contextlib.redirect_stdout(sys.stderr):
        size = SIZES[name]
        many = int(batch) or size["batch"]
        if job == "floor":
            result = floor(size, many)
        else:
            work = JOBS[side, job](size, many, mode)
            result = {"seconds": statistics.median(seconds(work, int(count), 2)), "memory": peak_memory(DEVICE)}
            if len(sys.argv) > 7:
                torch.save(work(), sys.argv[7])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
