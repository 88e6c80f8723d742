"""sample.py: draw pictures of prompts, with a run's model or with the shipped one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...config.input.typed import as_typed
from ...config.paths import PARTS, SHIPPED, WEIGHTS
from ...config.schema import Config
from ...data.shards import digest
from ...files import file_hash
from ...models.align_draw import AlignDrawModel
from ...models.latent_diffusion import LatentDiffusion, precision_of
from ...pipeline.objects import generator_of
from ...progress import tracked
from ...ranks import say
from ...strings import counted, file_stem
from ...tracking.figures import save_grid, save_table
from ...tracking.made_picture import ROWS, Origin, same_origin, save_picture

# The overrides that change a picture; the prompt, the seed and the scale are kept apart from them.
DRAWING = ("sampler", "guidance", "objective", "text", "net", "autoencoder")
DRAWING_KEYS = ("data.image_size", "training.accelerator", "training.compile")
SCALES = ("guidance.scale", "guidance.scales")


def sample(
    config: Config,
    folder: Path,
    prompts: list[str],
    count: int,
    out: Path,
    scales: Sequence[float] = (),
    words: Sequence[str] = (),
    negative: str = "",
) -> None:
    """Draw `count` pictures of each prompt, with seeds config.seed, config.seed + 1, ..., at each of the scales (if there
    are none, at guidance.scale). Guidance moves away from the prompt `negative`, or from no caption if it is empty. `words`
    are the command's overrides. Writes PNG files and a grid to `out`; of several scales it has a row for each prompt and
    seed, and a column for each scale."""
    model = generator_of(config, folder)
    _say_what_is_not_read(model, prompts)
    wanted = list(dict.fromkeys(scales)) or [config.guidance.scale]
    lines = [(p, config.seed + i) for p in prompts for i in range(count)]
    made_by = replace(origin_of(config, folder, model, words), negative=negative)
    cases = [(scale, lines[i : i + ROWS]) for scale in wanted for i in range(0, len(lines), ROWS)]
    shown = tracked(cases, "pictures", len(lines) * len(wanted), min(ROWS, len(lines)))
    drawn: dict[float, list[np.ndarray]] = {scale: [] for scale in wanted}
    origins = []
    for scale, some in shown:
        for row, ((prompt, seed), pixels) in enumerate(zip(some, draw(model, some, scale, negative), strict=True)):
            origin = replace(made_by, prompt=prompt, seed=seed, scale=scale, row=row, rows=len(some))
            save_picture(pixels, place_of(out, origin, len(wanted) > 1), origin)
            origins.append(origin)
            drawn[scale].append(pixels)
    columns = {f"w = {scale:g}": np.stack(images) for scale, images in drawn.items()}
    mark = digest([origin.mark for origin in origins])[:6]
    place = out / "grid.png" if not (out / "grid.png").exists() else out / f"grid-{mark}.png"
    if len(wanted) > 1:
        save_table(columns, [f"{p} (seed {seed})" if count > 1 else p for p, seed in lines], place)
    else:
        wide = min(count, 8) if count > 1 else min(4, len(lines))
        save_grid(next(iter(columns.values())), [p for p, _ in lines], place, columns=wide)
    place = _once(place, out / "grid.png")
    said = ", ".join(f"{scale:g}" for scale in wanted)
    say(f"{counted(len(origins), 'picture')} at w = {said} in {out}; all on {place}")


def draw(
    model: LatentDiffusion | AlignDrawModel, lines: Sequence[tuple[str, int]], scale: float, negative: str = ""
) -> np.ndarray:
    """The pictures, uint8 [B, 3, H, W], of B prompts with their seeds, in one call. Guidance moves away from `negative`."""
    prompts, seeds = [prompt for prompt, _ in lines], [seed for _, seed in lines]
    pixels: np.ndarray = model.generate(prompts, seeds, scale, [negative] * len(lines) if negative else None).numpy()
    return pixels


def origin_of(config: Config, folder: Path, model: LatentDiffusion | AlignDrawModel, words: Sequence[str]) -> Origin:
    """The origin that all pictures of a command share."""
    sampler = asdict(model.sampler)
    if isinstance(model, LatentDiffusion):
        sampler |= {"precision": precision_of(model.sampler, model.device.type)}
    guidance = {key: value for key, value in asdict(config.guidance).items() if f"guidance.{key}" not in SCALES}
    return Origin(
        prompt="",
        seed=0,
        scale=0.0,
        sampler=_plain(sampler),
        guidance=_plain(guidance),
        words=[as_typed(word) for word in words if _draws(word)],
        run="" if folder.parent == SHIPPED else str(folder),
        weights=weights_of(config, folder),
        size=config.data.image_size,
        version=__version__,
    )


def weights_of(config: Config, folder: Path) -> dict[str, str]:
    """The hashes of all weights files that a picture depends on."""
    files = {"net": folder / WEIGHTS, **{p: folder / PARTS / f"{p}.safetensors" for p in ("autoencoder", "text")}}
    guide = getattr(config.guidance, "guide", None)
    if guide and Path(guide).is_file():
        files["guide"] = Path(guide)
    return {name: file_hash(path) for name, path in files.items() if path.is_file()}


def _draws(word: str) -> bool:
    key = word.partition("=")[0].lstrip("+")
    return key not in SCALES and (key.replace("/", ".").split(".")[0] in DRAWING or key in DRAWING_KEYS)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values as JSON gives them back."""
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found


def place_of(out: Path, origin: Origin, scaled: bool = False, again: str = "") -> Path:
    """The file of a picture: PROMPT-SEED.png. If that is another picture, the scale, the run, and at last a mark of all that made
    it come into the name."""
    stem, scale = f"{file_stem(origin.prompt)}-{origin.seed}", f"-w{origin.scale:g}"
    long = f"{stem}{scale}-{file_stem(origin.run_name)}"
    names = [*([] if scaled else [stem]), f"{stem}{scale}", long, f"{long}-{origin.mark}"]
    places = [out / f"{name}{again}.png" for name in names]
    return next((p for p in places if not p.exists() or same_origin(p, origin)), places[-1])


def _once(place: Path, first: Path) -> Path:
    """Keep one of two files if they are the same: the first. A command that is given again leaves no second grid."""
    if place != first and place.read_bytes() == first.read_bytes():
        place.unlink()
        return first
    return place


def _say_what_is_not_read(model: LatentDiffusion | AlignDrawModel, prompts: Sequence[str]) -> None:
    for prompt in dict.fromkeys(prompts):
        shown = repr(prompt if len(prompt) <= 80 else f"{prompt[:80]}...")
        if (read := model.text_encoder.read(prompt)).cut:
            say(f"{shown}: {read.kept} of its {read.tokens} tokens are read; cut: {read.cut}")
        if unknown := model.text_encoder.unknown(prompt):
            say(f"{shown}: never seen in training: {', '.join(dict.fromkeys(unknown))}")
