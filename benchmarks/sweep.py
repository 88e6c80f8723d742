"""Time of a sweep of FID and CLIP score over scales, here and the straightforward way: python benchmarks/sweep.py [--quick]

The straightforward way uses StableDiffusionPipeline with the same weights, solver and number of steps, one scale after the
other. At every scale it computes torchmetrics' FrechetInceptionDistance between the reference pictures and the drawn ones, and
torchmetrics' CLIPScore. "Here" is evaluate.py. Both are complete commands, from the start of the process to the table. Both use
the same Inception file and the same tower (torchmetrics gets ours). evaluate.py also runs once in float32, like the peer, to
compare the numbers. The Inception has random weights: its distances mean nothing, but they cost the same and must agree. Writes
benchmarks/results/sweep.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
HOME = ROOT / "outputs" / "benchmarks"
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
BATCH = 32


def prepare(steps: int) -> tuple[Path, Path, Path]:
    """(a run with latent diffusion's nets, its exported diffusers folder, an Inception file). They are made once."""
    run, folder, inception = HOME / "ldm", HOME / "ldm-diffusers", HOME / "inception.pth"
    words = "experiment=base net=ldm_tiny autoencoder=ldm_tiny objective=v_zero sampler=ddim name=ldm data.test=512"
    if not (run / "weights.safetensors").is_file():
        more = [
            f"training.steps={steps}",
            "part_steps=0.1",
            "evaluation.enabled=false",
            "tracking=disabled",
            f"outputs={HOME}",
        ]
        subprocess.run([sys.executable, ROOT / "train.py", *words.split(), *more], check=True, cwd=ROOT)
    if not folder.is_dir():
        export = [f"run={run}", "format=diffusers", f"out={folder}"]
        subprocess.run([sys.executable, ROOT / "export.py", *export], check=True, cwd=ROOT)
    if not inception.is_file():
        from tests.evaluation.test_features import random_inception

        random_inception(inception)
    return run, folder, inception


def here(run: Path, inception: Path, n: int, *more: str) -> dict[float, dict[str, float]]:
    words = [f"run={run}", f"guidance.scales=[{','.join(map(str, SCALES))}]", f"evaluation.samples={n}"]
    words += ["evaluation=inception", f"evaluation.features.weights={inception}"]
    for old in (run / "sweep", run / "sweep.csv", HOME / "cache" / "reference"):
        subprocess.run(["rm", "-rf", old], check=True)
    words += [f"cache={HOME / 'cache'}", "tracking=disabled", f"evaluation.batch={BATCH * len(SCALES)}", *more]
    subprocess.run([sys.executable, ROOT / "evaluate.py", *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    with (run / "sweep.csv").open() as f:
        return {float(r["scale"]): {k: float(r[k]) for k in ("fid", "clip_score")} for r in csv.DictReader(f)}


def peer(run: Path, inception: Path, n: int) -> dict[float, dict[str, float]]:
    words = [str(run), str(inception), str(n)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--peer", *words],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    return {float(w): row for w, row in json.loads(done.stdout.strip().splitlines()[-1]).items()}


def straightforward(run: Path, inception: Path, n: int) -> None:
    """The sweep as a script with diffusers and torchmetrics. The pictures and prompts come from the run's test split."""
    import torch
    from diffusers import StableDiffusionPipeline
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.multimodal.clip_score import CLIPScore

    from lightning_diff.config.compose import load_config
    from lightning_diff.data.dataset import pictures
    from lightning_diff.diffusion.noise import start
    from lightning_diff.diffusion.path import Path as DiffusionPath
    from lightning_diff.evaluation.setup import MOST
    from lightning_diff.models.build import load_part

    config = load_config(run / "config.yaml", [f"cache={HOME / 'cache'}"])
    test = pictures(config.data, Path(config.cache), "test")
    assert test is not None
    batch = test.range(0, min(len(test), MOST))
    captions = batch.captions[:n]
    tower = load_part(run / "parts" / "judge.safetensors") if (run / "parts" / "judge.safetensors").is_file() else None
    assert tower is not None, "run `here` first: it places the judge"

    class Judge(torch.nn.Module):
        """Our tower under the names of transformers' CLIPModel."""

        config = None

        def get_image_features(self, pixels: Any) -> Any:
            return tower.image_features(pixels, normalize=False)

        def get_text_features(self, ids: Any, mask: Any) -> Any:
            return tower.model.encode_text(ids)

    def processor(images: Any = None, text: Any = None, **_: Any) -> Any:
        if images is not None:
            return {"pixel_values": torch.stack(list(images)).float() / 127.5 - 1}
        ids, mask = tower.tokenizer(text)
        return {"input_ids": ids, "attention_mask": mask}

    pipe: Any = StableDiffusionPipeline.from_pretrained(HOME / "ldm-diffusers")
    pipe.set_progress_bar_config(disable=True)
    size = config.data.image_size
    path = DiffusionPath(config.objective.schedule, config.objective.prediction)
    shape = (pipe.unet.config.in_channels, pipe.unet.config.sample_size, pipe.unet.config.sample_size)
    rows = {}
    for w in SCALES:
        fid = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(inception), antialias=False)
        score = CLIPScore(lambda: (Judge(), processor))
        for i in range(0, len(batch.images), BATCH):
            fid.update(batch.images[i : i + BATCH], real=True)
        for i in range(0, n, BATCH):
            some = captions[i : i + BATCH]
            drawn = pipe(
                some,
                latents=start(path, torch.arange(i, i + len(some)), shape),
                guidance_scale=w,
                num_inference_steps=config.sampler.steps,
                output_type="np",
                height=size,
                width=size,
            ).images
            images = (torch.from_numpy(drawn) * 255).round().to(torch.uint8).permute(0, 3, 1, 2)
            fid.update(images, real=False)
            score.update(list(images), some)
        rows[w] = {"fid": float(fid.compute()), "clip_score": float(score.compute())}
        print(w, rows[w], file=sys.stderr, flush=True)
    print(json.dumps(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16 pictures a scale, one round")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", nargs=3, metavar=("RUN", "INCEPTION", "N"), help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer:
        return straightforward(Path(a.peer[0]), Path(a.peer[1]), int(a.peer[2]))
    run, _, inception = prepare(100 if a.quick else 600)
    n, rounds = (16, 1) if a.quick else (a.samples, a.rounds)
    seconds: dict[str, list[float]] = {"here": [], "peer": []}
    tables = {}
    for _ in range(rounds):
        for side, work in (("here", here), ("peer", peer)):
            begin = time.perf_counter()
            tables[side] = work(run, inception, n)
            seconds[side].append(time.perf_counter() - begin)
            print(f"{side}: {seconds[side][-1]:.1f} s", flush=True)
    tables["here, float32"] = here(run, inception, n, "sampler.precision=float32")  # as the peer draws; not timed
    print("   w     FID here  float32     peer   CLIP here   float32     peer")
    for w in SCALES:
        values = [tables[side][w][key] for key in ("fid", "clip_score") for side in ("here", "here, float32", "peer")]
        print(f"{w:4g}  " + "  ".join(f"{v:9.4f}" for v in values))
    h, p = (statistics.median(seconds[s]) for s in ("here", "peer"))
    case = f"{len(SCALES)} scales x {n} pictures, FID and CLIP score"
    row = {"case": case, "unit": "s", "here": h, "peer": p, "peer_name": "diffusers + torchmetrics", "ratio": p / h}
    print(f"{case}: {h:.1f} s here, {p:.1f} s the straightforward way: {p / h:.2f} times as long")
    text = json.dumps(
        {"passport": {"samples": n, "rounds": rounds, "scales": SCALES}, "rows": [row], "tables": tables}, indent=1
    )
    for place in ([a.json] if a.json else []) + ([] if a.quick else [ROOT / "benchmarks" / "results" / "sweep.json"]):
        place.write_text(text)


if __name__ == "__main__":
    main()
