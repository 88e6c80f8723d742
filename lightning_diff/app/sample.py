"""sample.py: prompts to pictures, by a run's model or by the shipped one."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from ..config import Config, ConfigError
from ..data.worlds import WORLDS
from ..tracking.figures import save_grid
from .diffusion import load_model
from .parts import SHIPPED
from .run import say
from .train import WEIGHTS


def shipped_run() -> Path:
    """The folder of the model that comes with the package. Raises ConfigError if it is not there."""
    folder = SHIPPED / WORLDS[0]
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(
            f"{folder}: no shipped model; train one (python train.py experiment=base) and say run=outputs/base"
        )
    return folder


def prompts_of(prompt: str, file: str) -> list[str]:
    """The prompt as typed, or the lines of a file. Raises ConfigError for none."""
    if prompt and file:
        raise ConfigError("prompt= and prompts=: give one of them")
    if file:
        if not Path(file).is_file():
            raise ConfigError(f"prompts={file}: no such file")
        lines = [line.strip() for line in Path(file).read_text("utf-8").splitlines()]
        if not any(lines):
            raise ConfigError(f"prompts={file}: no prompt in it; write one a line")
        return [line for line in lines if line]
    if not prompt.strip():
        raise ConfigError('prompt=: say what to draw, for example prompt="a large green avocado on a table"')
    return [prompt]


def sample(config: Config, folder: Path, prompts: list[str], count: int, out: Path) -> None:
    """`count` pictures of each prompt, seeds config.seed and on: PNG files and one grid, in `out`."""
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"{folder}: no {WEIGHTS}; train it to the end first, with the command that began it")
    model = load_model(config, folder)
    for prompt in prompts:
        if unknown := model.tower.tokenizer.unknown(prompt):
            say(f"{prompt!r}: never seen in training: {', '.join(dict.fromkeys(unknown))}")
    lines = [p for p in prompts for _ in range(count)]
    seeds = [config.seed + i for _ in prompts for i in range(count)]
    images = model.batches(lines, seeds, config.guidance.scale, config.evaluation.batch, lambda n: None)
    out.mkdir(parents=True, exist_ok=True)
    for line, seed, pixels in zip(lines, seeds, images.numpy(), strict=True):
        name = re.sub(r"\W+", "-", line).strip("-")[:60] or "prompt"
        Image.fromarray(pixels.transpose(1, 2, 0)).save(out / f"{name}-{seed}.png")
    grid = save_grid(
        images.numpy(), lines, out / "grid.png", columns=min(count, 8) if count > 1 else min(4, len(lines))
    )
    say(f"{len(images)} pictures at w = {config.guidance.scale:g} in {out}; all on {grid}")
