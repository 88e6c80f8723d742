"""What comes with the package is as good as it says, on scenes that were kept from its training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_diff.cli.drawing.prompts import shipped_run
from lightning_diff.config.compose import compose_config, load_config
from lightning_diff.config.paths import PARTS, SHIPPED
from lightning_diff.config.schema import Config
from lightning_diff.data.dataset import PictureBatch, pictures
from lightning_diff.data.decode import to_pixels, to_unit
from lightning_diff.evaluation.component_metrics import correct, distinct, psnr, recall_at_1
from lightning_diff.models.build import load_part
from lightning_diff.nets.weights import read_passport
from lightning_diff.pipeline.components import EXPERIMENTS
from lightning_diff.pipeline.objects import model_of
from lightning_diff.pipeline.stages import train_missing

PARTS_FOLDER = SHIPPED / "still_life" / PARTS


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    cache = tmp_path_factory.mktemp("cache")
    return compose_config(["experiment=base", "data.train=64", "data.test=640", f"cache={cache}"])


@pytest.fixture(scope="module")
def held_out(config: Config) -> PictureBatch:
    found = pictures(config.data, Path(config.cache), "test", tuple(config.data.attributes))
    assert found is not None
    return found.range(0, 640)


def test_every_part_is_found_for_the_default_data_and_for_no_other(config: Config) -> None:
    for part in EXPERIMENTS:
        path = train_missing(part, config)
        assert path.parent == PARTS_FOLDER
        passport = read_passport(path)
        assert (
            passport["part"] == part
            and passport["data"] == config.data.identity(Path(config.cache))
            and passport["metrics"]
        )


def test_together_they_are_small() -> None:
    assert sum(p.stat().st_size for p in PARTS_FOLDER.iterdir()) <= 12e6
    assert (shipped_run() / "weights.safetensors").stat().st_size <= 8e6


def test_the_judge_is_not_the_player() -> None:
    text, judge = (read_passport(PARTS_FOLDER / f"{p}.safetensors")["config"] for p in ("text", "judge"))
    assert text["seed"] != judge["seed"] and text["data"]["seed"] != judge["data"]["seed"]


@torch.no_grad()
def test_autoencoder(held_out: PictureBatch) -> None:
    net, classifier = (load_part(PARTS_FOLDER / f"{p}.safetensors") for p in ("autoencoder", "attributes"))
    p = net.encode(to_unit(held_out.images))
    rebuilt = to_pixels(net.decode(p.mean))
    assert psnr(held_out.images, rebuilt) >= 33
    assert correct(classifier, held_out.images, held_out.labels).float().mean() >= 0.99
    assert correct(classifier, rebuilt, held_out.labels).float().mean() >= 0.97
    assert p.mean.mean().abs() < 0.1 and abs(p.mean.std() - 1) < 0.1


@torch.no_grad()
@pytest.mark.parametrize("part", ["text", "judge"])
def test_towers(part: str, config: Config, held_out: PictureBatch) -> None:
    tower = load_part(PARTS_FOLDER / f"{part}.safetensors")
    rows = distinct(held_out.captions, held_out.labels, config.data.unsaid)[:256]
    assert len(rows) == 256
    images = tower.image_features(to_unit(held_out.images[rows]))
    texts = tower.text_features([held_out.captions[i] for i in rows])
    assert recall_at_1(images, texts) >= 0.85


def test_the_shipped_model_draws_what_is_asked_for(held_out: PictureBatch) -> None:
    run = shipped_run()
    model = model_of(replace(load_config(Path(run) / "config.yaml")), run)
    classifier = load_part(PARTS_FOLDER / "attributes.safetensors")
    single = [i for i, n in enumerate(held_out.labels["count"].tolist()) if n == 0][:64]
    images = model.generate([held_out.captions[i] for i in single], single, 3.0)
    with torch.no_grad():
        right = correct(classifier, images, {k: v[single] for k, v in held_out.labels.items()})
    assert right.float().mean() >= 0.8  # .94 over all single objects of the sweep; 64 are few
