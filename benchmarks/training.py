"""Training from pictures, from cached features, and by diffusers' loop: python benchmarks/training.py [--quick] [--json FILE]

A folder of captioned JPEGs trains the same nets with the same weights in three ways: `LatentDiffusionModule` encodes pictures and
captions in each step (online), it takes features that were computed before (cached), and the loop of diffusers'
train_text_to_image.py (peer). Each measurement is a process; the three take turns, and the median of the rounds counts. The time
holds all that a step needs: reading, decoding, encoding, the Trainer, the optimizer, the moving average. The time to compute the
features once is told apart. On a CPU it is one thread's time on its core, which others on the machine change little. About
half an hour on a CPU. Writes benchmarks/results/training.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import core_jobs  # noqa: E402

from lightning_diff.config.schema import Objective, Training  # noqa: E402
from lightning_diff.diffusion.samplers.ancestral import DDIM  # noqa: E402
from lightning_diff.evaluation.provenance import environment  # noqa: E402
from lightning_diff.interop.configs import scheduler_config  # noqa: E402
from lightning_diff.interop.export import export_pipeline  # noqa: E402
from lightning_diff.training.loading.captioned_images import CaptionedImages  # noqa: E402
from lightning_diff.training.modules.latent_diffusion import LatentDiffusionModule  # noqa: E402

SIDES = ("online", "cached", "peer")
WARM = 2  # steps that are not timed
ON_CPU = core_jobs.DEVICE.type == "cpu"
clock = time.process_time if ON_CPU else time.perf_counter
UNIT = "images/core-second" if ON_CPU else "images/s"


def photographs(folder: Path, count: int, pixels: int) -> None:
    """Captioned JPEGs with smooth and fine detail, a quarter larger than the size of training. Each is another one."""
    draw = np.random.default_rng(0)
    large = (pixels * 5 // 4, pixels * 9 // 8)
    for i in range(count):
        coarse, fine = (
            Image.fromarray(draw.integers(0, 255, (large[1] // s, large[0] // s, 3), np.uint8)).resize(large)
            for s in (32, 4)
        )
        Image.blend(coarse, fine, 0.2).save(folder / f"{i:04d}.jpg", quality=90)
        (folder / f"{i:04d}.txt").write_text(core_jobs.PROMPTS[i % len(core_jobs.PROMPTS)])


def here(side: str, folder: Path, size: dict[str, Any], mode: str, steps: int) -> dict[str, float]:
    """The speed of LatentDiffusionModule under Lightning's Trainer; for cached features also the seconds to compute them."""
    import pytorch_lightning as pl

    net, autoencoder, tower = core_jobs.parts(size)
    objective = Objective("eps", "scaled_linear", times="uniform", caption_dropout=0.1)
    module = LatentDiffusionModule(autoencoder, tower, net.train(), objective, Training(warmup=0), keep_frozen=False)
    batch = size["batch"]
    loaded = CaptionedImages(folder, 8 * size["latent"], batch, cache=folder / "cache", validation_batches=0)
    found: dict[str, float] = {}
    data: dict[str, Any] = {"datamodule": loaded}
    if side == "cached":
        loaded.prepare_data()
        loaded.setup()
        train = loaded.splits["train"]
        assert train is not None
        begin = clock()
        order = train.order(batch, 0)
        rows = [module.features(train.__getitems__(list(order.places(n)))) for n in range(len(train) // batch)]
        found["seconds to compute a picture's features"] = (clock() - begin) / (len(rows) * batch)
        data = {"train_dataloaders": torch.utils.data.DataLoader(rows, None, shuffle=True)}  # type: ignore[arg-type]

    at: list[float] = []

    class Clock(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            at.append(clock())

    trainer = pl.Trainer(
        max_steps=WARM + steps,
        precision="bf16-mixed" if mode == "bf16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock()],
    )
    trainer.fit(module, **data)
    return {UNIT: batch * steps / (at[-1] - at[WARM - 1]), **found}


def peer(folder: Path, size: dict[str, Any], mode: str, steps: int) -> dict[str, float]:
    """The speed of the loop of diffusers' train_text_to_image.py with its transforms, on its own classes."""
    import torch.nn.functional as F
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from diffusers.training_utils import EMAModel
    from torchvision import transforms
    from transformers import CLIPTextModel, CLIPTokenizer

    pipeline, pixels, device = folder / "pipeline", 8 * size["latent"], core_jobs.DEVICE
    export_pipeline(pipeline, *core_jobs.parts(size), scheduler_config("scaled_linear", "eps", DDIM()), pixels)
    dtype = torch.bfloat16 if mode == "bf16" else torch.float32
    tokenizer: Any = CLIPTokenizer.from_pretrained(pipeline / "tokenizer")
    text: Any = CLIPTextModel.from_pretrained(pipeline / "text_encoder").to(device, dtype).requires_grad_(False)
    vae: Any = AutoencoderKL.from_pretrained(pipeline / "vae").to(device, dtype).requires_grad_(False)
    unet: Any = UNet2DConditionModel.from_pretrained(pipeline / "unet").to(device).train()
    ema = EMAModel(unet.parameters(), model_cls=UNet2DConditionModel, model_config=unet.config)
    optimizer, scheduler = torch.optim.AdamW(unet.parameters(), lr=1e-4), DDPMScheduler(1000, 0.00085, 0.012)
    transform = transforms.Compose(
        [
            transforms.Resize(pixels, interpolation=transforms.InterpolationMode.LANCZOS),
            transforms.CenterCrop(pixels),
            transforms.ToTensor(),
            transforms.Normalize([0.5], [0.5]),
        ]
    )
    paths = sorted(folder.glob("*.jpg"))

    class Captioned(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, i: int) -> Any:
            said = tokenizer(
                paths[i].with_suffix(".txt").read_text(),
                max_length=tokenizer.model_max_length,
                padding="max_length",
                truncation=True,
                return_tensors="pt",
            )
            return transform(Image.open(paths[i]).convert("RGB")), said.input_ids[0]

    def batches() -> Iterator[Any]:
        while True:
            yield from torch.utils.data.DataLoader(Captioned(), size["batch"], shuffle=True, drop_last=True)

    begin = 0.0
    for step, (images, ids) in zip(range(WARM + steps), batches(), strict=False):
        if step == WARM:
            begin = clock()
        latents = vae.encode(images.to(device, dtype)).latent_dist.sample() * vae.config.scaling_factor
        noise = torch.randn_like(latents)
        t = torch.randint(0, 1000, (len(latents),), device=device).long()
        with core_jobs.bf16(mode == "bf16"):
            hidden = text(ids.to(device), return_dict=False)[0]
            predicted = unet(scheduler.add_noise(latents, noise, t), t, hidden, return_dict=False)[0]
            loss = F.mse_loss(predicted.float(), noise.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(unet.parameters())
    return {UNIT: size["batch"] * steps / (clock() - begin)}


def job(side: str, mode: str, pixels: int, count: int, steps: int) -> None:
    """One measurement; prints a line of JSON."""
    if ON_CPU:
        torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    size = {**core_jobs.SIZES["small"], "latent": pixels // 8}
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(sys.stderr):
        folder = Path(scratch)
        photographs(folder, count, pixels)
        found = peer(folder, size, mode, steps) if side == "peer" else here(side, folder, size, mode, steps)
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="pictures of 64 px, one round: does it run?")
    parser.add_argument(
        "--modes", default="eager,bf16", help="eager is float32; bf16 only where the machine computes it"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "training.json")
    parser.add_argument("--job", nargs=5, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.job:
        job(a.job[0], a.job[1], *map(int, a.job[2:]))
        return
    pixels, count, steps, rounds = (64, 12, 2, 1) if a.quick else (256, 64, 10, 3)
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    for n in range(rounds):
        for mode in a.modes.split(","):
            for side in SIDES:
                words = [side, mode, str(pixels), str(count), str(steps)]
                done = subprocess.run(
                    [sys.executable, __file__, "--job", *words],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                    env={**os.environ, "HF_HUB_OFFLINE": "1"},
                )
                found = json.loads(done.stdout.strip().splitlines()[-1])
                runs.setdefault((mode, side), []).append(found)
                print(f"round {n + 1}, {mode}, {side}: {found}", flush=True)
    rows = []
    for mode in a.modes.split(","):
        speed = {side: statistics.median(r[UNIT] for r in runs[mode, side]) for side in SIDES}
        for side in SIDES[:2]:
            ratio = speed[side] / speed["peer"]
            row = {"case": f"{side}, {mode}", "unit": UNIT, "here": speed[side], "peer": speed["peer"]}
            rows.append({**row, "peer_name": "diffusers' text_to_image loop", "ratio": ratio})
            print(f"{side}, {mode}: {speed[side]:.2f} {UNIT}, diffusers {speed['peer']:.2f}: {ratio:.2f} times as fast")
    once = statistics.median(
        r["seconds to compute a picture's features"] for (_, side), of in runs.items() if side == "cached" for r in of
    )
    print(f"cached: {once:.3f} s once for each picture")
    facts = {**environment(), "cores": os.cpu_count(), "pixels": pixels, "steps": steps, "rounds": rounds}
    a.json.write_text(json.dumps({"passport": facts, "rows": rows, "features_s": once}, indent=1, default=str))


if __name__ == "__main__":
    main()
