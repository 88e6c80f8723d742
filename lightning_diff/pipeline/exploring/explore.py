"""explore.html of a run: the axes of its spaces and guidance, or the glimpses of alignDRAW, as a page of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...config.errors import ConfigError
from ...config.schema import Config
from ...data.dataset import PictureBatch, Pictures, pictures
from ...data.sources.own import read_once
from ...explorer.attributes import chosen, frequent, known_attributes, words_of
from ...explorer.glimpses import save_movie, save_strip
from ...explorer.guidance import guidance_seen, pinch_films
from ...explorer.page import Frames, movie, rows_of, section, sliders, table, write_page
from ...explorer.probes import Axis, fit_axes, nearest, principal, slerp
from ...explorer.spaces import Latents, Looked, Middle, Space, Text, has_middle, saying
from ...models.align_draw import AlignDrawModel
from ...models.latent_diffusion import LatentDiffusion
from ...nets.unet import Condition
from ...ranks import say
from ...tracking.mirrors import Mirrors
from ..objects import generator_of
from ..reports.page import EXPLORED, make_report
from ..tracked import tracked_run

STEPS = (-1.0, -2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3, 1.0)  # of a walk, as shares of its length
SCALES = (1.0, 3.0, 7.0)  # of guidance, seen
QUERIES, NEIGHBOURS, DIRECTIONS = 4, 6, 4
FEWEST = 16  # samples of a set
Section = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a command asks for: `prompts` (the first test captions if there are none), the noise's `seed`, at most `count` samples
    to learn axes from, and how many `axes` to walk along in each space."""

    prompts: Sequence[str]
    seed: int
    count: int
    axes: int


def explore(config: Config, folder: Path, asked: Asked) -> Path:
    """Write RUN/explore.html, and the pictures of alignDRAW to RUN/explore/. Raises ConfigError."""
    config = replace(config, training=replace(config.training, compile=False))  # hooks see nothing of a compiled net
    with read_once():
        train, held_out = _sets(config, asked.count)
        model = generator_of(config, folder)
        prompts = list(asked.prompts) or list(dict.fromkeys(held_out.captions))[:2]
        if isinstance(model, AlignDrawModel):
            sections, said = list(_glimpses(model, folder, prompts, held_out, asked.seed)), "How alignDRAW draws."
        else:
            sections = [*_guidance(model, config, prompts[0], asked.seed)]
            sections += _axes(model, config, train, held_out, prompts, asked)
            said = "Guidance step by step, and the axes of the model's spaces."
    report = folder / "report.html"
    pages = [("report of the run", report.name)] if report.is_file() else []
    place = write_page(folder / EXPLORED, f"{folder.name}: explored", said, sections, pages)
    say(f"page {place}")
    if report.is_file():
        make_report([folder], report)  # it links to the new page
    mirrors = Mirrors(config.tracking.trackers, tracked_run(config, folder, "explore"))
    mirrors.page("explore", place)
    mirrors.finish()
    return place


def _sets(config: Config, count: int) -> tuple[PictureBatch, PictureBatch]:
    """The samples to learn axes from, and others to try them on. Raises ConfigError if there are too few."""
    heads, cache = tuple(config.data.attributes), Path(config.cache)
    found: list[Pictures | None] = [pictures(config.data, cache, split, heads) for split in ("train", "test")]
    train, test = found
    assert train is not None
    if test is None or len(test) < FEWEST:
        cut = min(len(train), count) * 3 // 4
        sets = train.range(0, cut), train.range(cut, min(len(train), count))
    else:
        sets = train.range(0, count), test.range(0, max(FEWEST, count // 2))
    if len(sets[1].captions) < FEWEST // 4:
        raise ConfigError(f"{config.data.words}: {len(train)} pictures are too few to learn axes from; add some")
    return sets


def _glimpses(
    model: AlignDrawModel, folder: Path, prompts: Sequence[str], held_out: PictureBatch, seed: int
) -> Iterator[Section]:
    """A movie and a strip of each prompt, and of a held-out picture that the model reads and draws again."""
    cases: list[tuple[str, Tensor | None]] = [(prompt, None) for prompt in prompts]
    cases.append((held_out.captions[0], held_out.images[0]))
    for i, (prompt, picture) in enumerate(cases):
        drawing = model.watch(prompt, seed, picture)
        name = f"prompt-{i + 1}" if picture is None else "read"
        gif = save_movie(drawing, folder / "explore" / f"{name}.gif", picture)
        strip = save_strip(drawing, folder / "explore" / f"{name}.png", picture)
        say(f"movie {gif}, strip {strip}")
        order = [f"{word} {a:.2f}" for word, a in zip(drawing.words, drawing.attention.mean(axis=0), strict=True)]
        what = "Drawn from the prompt and noise" if picture is None else "A held-out picture, read and drawn again"
        frames: Frames = {(t,): [(canvas, f"after glimpse {t + 1}")] for t, canvas in enumerate(drawing.canvas)}
        steps = {"glimpse": [str(t + 1) for t in range(len(drawing.canvas))]}
        said = f"“{prompt}”. The red window writes; the green one reads. Mean attention: {', '.join(order)}."
        yield section(what, said, movie(gif, prompt), sliders(steps, frames, (len(drawing.canvas) - 1,)))


def _guidance(model: LatentDiffusion, config: Config, prompt: str, seed: int) -> Iterator[Section]:
    """Guidance at several steps and scales, and the film with and without fresh noise."""
    if not model.guider.without_caption:
        return
    seen = guidance_seen(model, prompt, seed, SCALES)
    frames: Frames = {
        (i, j): [
            (one.there, f"what there is at t = {one.t:.2f}"),
            (one.with_prompt, "predicted with the prompt"),
            (one.without, "predicted without it"),
            (one.difference, f"the difference, x {one.gain:.1f}, around gray"),
            (one.guided, "guided"),
        ]
        for i, steps in enumerate(seen.values())
        for j, one in enumerate(steps)
    }
    times = [f"{j + 1} of {len(next(iter(seen.values())))}" for j in range(len(next(iter(seen.values()))))]
    axes = {"guidance scale w": [f"{w:g}" for w in seen], "step shown": times}
    said = f"“{prompt}”, seed {seed}. The net is asked twice, with the prompt and without; guided = without + w (with - without)."
    yield section("Guidance, seen", said, sliders(axes, frames, (1, 2)))
    films = pinch_films(model, prompt, seed, config.guidance.scale)
    rows = [(name, "", [(p, f"{i + 1}") for i, p in enumerate(film)]) for name, film in films.items()]
    said = f"The same prompt and first noise at w = {config.guidance.scale:g}: DDPM adds fresh noise at each step, DDIM none."
    yield section("The pinch of noise", said, rows_of(rows))


def _axes(
    model: LatentDiffusion,
    config: Config,
    train: PictureBatch,
    held_out: PictureBatch,
    prompts: Sequence[str],
    asked: Asked,
) -> Iterator[Section]:
    """Of each space: the accuracies of its axes, walks, principal directions, neighbours; then interpolations."""
    names, has, held_has = _attributes(config, train, held_out)
    sets = [Looked(some.images, list(some.captions)) for some in (train, held_out)]
    latents = Latents(model, held_out.images[0])
    w, prompt = config.guidance.scale, prompts[0]
    spaces: list[Space] = [latents, Text(model, prompt, asked.seed, w)]
    if has_middle(model.net):
        spaces.insert(1, Middle(model, prompt, asked.seed, w, latents))
    accuracies: dict[str, dict[str, float]] = {}
    later: list[Section] = []
    for space in spaces:
        say(f"explore: {space.name}, {len(train.captions)} samples")
        features, held = (space.features(looked) for looked in sets)
        axes = fit_axes(features, has, held, held_has, names) if names else []
        accuracies[space.name] = {axis.name: axis.accuracy for axis in axes}
        later.append(_walks(space, axes, asked.axes))
        later.append(_principal(space, features, has, names))
        later.append(_neighbours(space, features, held, train, held_out))
    kind = "known attributes" if config.data.attributes else "words of the captions"
    order = sorted(names, key=lambda name: -max(found[name] for found in accuracies.values()))
    rows = [[name, *(f"{found[name]:.2f}" for found in accuracies.values())] for name in order]
    said = (
        f"Linear probes of {kind}, learned from {len(train.captions)} samples and tried on {len(held_out.captions)} others: the "
        "mean of the shares of samples with and without it that are read right. A guess has 0.5."
    )
    yield section("What can be read from each space", said, table(["attribute", *accuracies], rows))
    yield from later
    yield _between(model, latents, held_out, prompts, asked.seed, w)


def _attributes(config: Config, train: PictureBatch, held_out: PictureBatch) -> tuple[list[str], Tensor, Tensor]:
    """(names, bool [N, K] of the training samples, bool [M, K] of the held-out ones) of the attributes that get an axis."""
    if config.data.attributes:
        names, has = known_attributes(train.labels, config.data.attributes, config.data.unsaid)
        _, held_has = known_attributes(held_out.labels, config.data.attributes, config.data.unsaid)
    else:
        names, both = words_of([*train.captions, *held_out.captions])
        has, held_has = both.split([len(train.captions), len(held_out.captions)])
    kept = frequent(names, has, held_has)
    return [names[i] for i in kept], has[:, kept], held_has[:, kept]


def _walked(space: Space, direction: Tensor) -> list[tuple[Tensor, str]]:
    steps = torch.tensor(STEPS)[:, None] * space.scale
    images = space.walk(steps * direction)
    return [(image, f"{float(step):+.1f} sd") for image, step in zip(images, steps, strict=True)]


def _walks(space: Space, axes: Sequence[Axis], count: int) -> Section:
    rows = []
    for i in chosen([axis.name for axis in axes], [axis.accuracy for axis in axes], count):
        axis = axes[i]
        note = f"held-out accuracy {axis.accuracy:.2f}, of {axis.seen} that have it; {100 * axis.share:.0f} % of all do"
        rows.append((axis.name, note, _walked(space, axis.direction)))
    said = f"Here {space.said}, along the direction of each attribute, in standard deviations."
    return section(f"Axes with words: {space.name}", said, rows_of(rows))


def _principal(space: Space, features: Tensor, has: Tensor, names: Sequence[str]) -> Section:
    rows = []
    for i, one in enumerate(principal(features, has, names, DIRECTIONS)):
        like = f"; goes most with “{one.like}” (r = {one.r:+.2f})" if one.like else ""
        note = f"{100 * one.share:.0f} % of the variance{like}"
        rows.append((f"direction {i + 1}", note, _walked(space, one.direction)))
    return section(
        f"Axes without words: {space.name}",
        "The directions in which the samples differ most, whatever they mean.",
        rows_of(rows),
    )


def _neighbours(space: Space, features: Tensor, held: Tensor, train: PictureBatch, held_out: PictureBatch) -> Section:
    rows = []
    for query, some in enumerate(nearest(held[:QUERIES], features, NEIGHBOURS)):
        shown = [(held_out.images[query], f"asked: {held_out.captions[query]}")]
        rows.append((f"neighbours {query + 1}", "", shown + [(train.images[i], train.captions[i]) for i in some]))
    return section(
        f"Neighbours: {space.name}",
        "A held-out picture, and the training pictures that are nearest to it (cosine).",
        rows_of(rows),
    )


def _between(
    model: LatentDiffusion, latents: Latents, held_out: PictureBatch, prompts: Sequence[str], seed: int, w: float
) -> Section:
    """Between two pictures along the sphere, and between two prompts from the same noise."""
    shares = [i / (len(STEPS) - 1) for i in range(len(STEPS))]
    a, b = latents.encode(held_out.images[:2]).flatten(1)
    between = latents.decode(torch.stack([slerp(a, b, t) for t in shares]))
    first, second = (prompts[0], prompts[1] if len(prompts) > 1 else held_out.captions[1])
    ends = [model.text_encoder.condition([prompt]) for prompt in (first, second)]
    t = torch.tensor(shares, device=model.device)[:, None]
    said = Condition(
        ends[0].tokens.lerp(ends[1].tokens, t[:, :, None]),
        (ends[0].mask | ends[1].mask).expand(len(shares), -1),
        ends[0].pooled.lerp(ends[1].pooled, t),
    )
    images = saying(model, said).generate([first] * len(shares), [seed] * len(shares), w)
    rows = [
        ("two pictures", "their latents, by slerp", [(p, f"{s:.2f}") for p, s in zip(between, shares, strict=True)]),
        ("two prompts", f"“{first}” to “{second}”", [(p, f"{s:.2f}") for p, s in zip(images, shares, strict=True)]),
    ]
    return section(
        "In between", "From one picture to another, and from one prompt to another with the same noise.", rows_of(rows)
    )
