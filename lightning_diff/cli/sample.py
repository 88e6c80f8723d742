"""sample.py: draw pictures of prompts, with a run's model or with the shipped one."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..config.schema import Config
from ..pipeline.objects import model_of
from ..ranks import say
from ..strings import file_stem
from ..tracking.figures import save_grid


def sample(config: Config, folder: Path, prompts: list[str], count: int, out: Path) -> None:
    """Draw `count` pictures of each prompt, with seeds config.seed, config.seed + 1, ... Writes PNG files and a grid to `out`."""
    model = model_of(config, folder)
    for prompt in dict.fromkeys(prompts):
        shown = repr(prompt if len(prompt) <= 80 else f"{prompt[:80]}...")
        if (read := model.tower.read(prompt)).cut:
            say(f"{shown}: {read.kept} of its {read.tokens} tokens are read; cut: {read.cut}")
        if unknown := model.tower.unknown(prompt):
            say(f"{shown}: never seen in training: {', '.join(dict.fromkeys(unknown))}")
    lines = [p for p in prompts for _ in range(count)]
    seeds = [config.seed + i for _ in prompts for i in range(count)]
    images = model.batches(lines, seeds, config.guidance.scale, config.evaluation.batch)
    out.mkdir(parents=True, exist_ok=True)
    for line, seed, pixels in zip(lines, seeds, images.numpy(), strict=True):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(out / f"{file_stem(line)}-{seed}.png")
    grid = save_grid(
        images.numpy(), lines, out / "grid.png", columns=min(count, 8) if count > 1 else min(4, len(lines))
    )
    say(f"{len(images)} pictures at w = {config.guidance.scale:g} in {out}; all on {grid}")
