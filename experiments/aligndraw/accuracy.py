"""What a run of alignDRAW on digits can: python experiments/aligndraw/accuracy.py outputs/aligndraw [count=256] [part_steps=1]

It draws captions whose contents were seen in training, and captions whose contents were held out. A classifier reads the
pictures. Prints the shares of pictures with every attribute as asked, also for single digits and for pairs, and of each attribute
alone; the same of real pictures; the bound in nats a picture, and what it is if the captions are exchanged among the pictures:
the more it grows, the more the net draws by its caption. The classifier is trained first if it is missing. A second line is of
reader.py, which also reads soft digits: whether the ink is in the place, and which digits are right."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import reader
import torch
from torch import Tensor

from lightning_diff.config.compose import load_config
from lightning_diff.config.paths import PARTS
from lightning_diff.data.dataset import PictureBatch, pictures
from lightning_diff.diffusion import noise
from lightning_diff.evaluation.component_metrics import correct_heads
from lightning_diff.models.align_draw import AlignDrawModel
from lightning_diff.models.build import load_part
from lightning_diff.pipeline.objects import generator_of
from lightning_diff.pipeline.stages import place_components

BATCH = 32


@torch.no_grad()
def bound(model: AlignDrawModel, some: PictureBatch, captions: Sequence[str]) -> float:
    """The mean bound in nats of these pictures, given these captions."""
    rows, found = torch.arange(len(captions)), []
    for at in range(0, len(rows), BATCH):
        shown = model.net.shown(some.images[at : at + BATCH].float() / 255)
        eps = noise.normal(rows[at : at + BATCH], (model.net.glimpses, model.net.latent), 0, noise.POSTERIOR)
        bce, kl, *_ = model.net(captions[at : at + BATCH], eps, shown)
        found.append(bce + kl)
    return float(torch.cat(found).mean())


def shares(right: Mapping[str, Tensor], single: Tensor) -> str:
    """What reader.py found, in words."""
    wanted = (
        ("all", "as asked", torch.ones_like(single)),
        ("all", "single digits", single),
        ("all", "pairs", ~single),
        ("place", "place", torch.ones_like(single)),
        ("first_digit", "digit of singles", single),
        ("first_digit", "first digit of pairs", ~single),
        ("second_digit", "second digit of pairs", ~single),
    )
    return ", ".join(f"{said} {right[name][some].float().mean():.3f}" for name, said, some in wanted)


def main() -> None:
    run, words = Path(sys.argv[1]), sys.argv[2:]
    count = next((int(word.removeprefix("count=")) for word in words if word.startswith("count=")), 256)
    config = load_config(run / "config.yaml", [word for word in words if not word.startswith("count=")])
    place_components(("attributes",), config, run)
    classifier, model = load_part(run / PARTS / "attributes.safetensors"), generator_of(config, run)
    assert isinstance(model, AlignDrawModel)
    soft = reader.trained(config.data.digits)
    for split, said in (("train", "seen"), ("test", "held out")):
        known = pictures(config.data, Path(config.cache), split, tuple(config.data.attributes))
        assert known is not None
        some, drawn = known.range(0, count), []
        for at in range(0, len(some.captions), BATCH):
            prompts = some.captions[at : at + BATCH]
            drawn.append(model.generate(prompts, range(at, at + len(prompts))))
        single = some.labels["count"] == 0
        made = torch.cat(drawn)
        heads, real = (correct_heads(classifier, images, some.labels) for images in (made, some.images))
        right = torch.stack(list(heads.values())).all(dim=0).float()
        alone = {name: float(r[some.labels[name] >= 0].float().mean()) for name, r in heads.items()}
        own, others = (bound(model, some, c) for c in (some.captions, [*some.captions[1:], some.captions[0]]))
        seen = torch.stack(list(real.values())).all(dim=0).float()
        print(
            f"{said}: {len(some.captions)} captions, as asked {right.mean():.3f} (single digits {right[single].mean():.3f}, "
            f"pairs {right[~single].mean():.3f}); {', '.join(f'{name} {share:.3f}' for name, share in alone.items())}; "
            f"real pictures {seen.mean():.3f}; bound {own:.1f} nats, with other captions {others:.1f}"
        )
        for name, images in (("drawn", made), ("real", some.images)):
            print(f"    soft digits, {name}: {shares(reader.read(soft, images, some.labels), single)}")


if __name__ == "__main__":
    main()
