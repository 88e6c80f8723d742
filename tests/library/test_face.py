"""The library's face: the script of docs/library.md, word for word, and what each of its sentences promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torchmetrics import Metric, MetricCollection

import lightning_diff as ld
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.models.latent_diffusion import LatentDiffusion

PROMPT = "a large red mug at night"


@pytest.fixture(scope="module")
def model() -> LatentDiffusion:
    return ld.load()


def test_importing_it_takes_nothing() -> None:
    words = "import sys, lightning_diff as ld; print(ld.__version__, {'torch', 'hydra', 'wandb'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, cwd=PACKAGE_FOLDER, check=True)
    assert said.stdout.strip() == f"{ld.__version__} set()"


def test_a_picture_of_a_prompt_is_that_of_generate(model: LatentDiffusion) -> None:
    picture = model(PROMPT, seed=3, scale=3.0)
    assert isinstance(picture, Image.Image) and picture.size == (64, 64)
    pixels = model.generate([PROMPT], seeds=[3], scale=3.0)
    assert pixels.dtype == torch.uint8 and pixels.shape == (1, 3, 64, 64)
    assert torch.equal(
        pixels[0], torch.tensor(list(picture.tobytes()), dtype=torch.uint8).view(64, 64, 3).permute(2, 0, 1)
    )
    several = model([PROMPT, "a leaf"], seed=3, scale=3.0)
    assert [p.size for p in several] == [(64, 64)] * 2


def test_a_negative_prompt_takes_the_place_of_no_caption(model: LatentDiffusion) -> None:
    plain, empty, night = (model.generate([PROMPT], [0], 3.0, negative=n) for n in (None, [""], ["at night"]))
    assert torch.equal(plain, empty)  # the shipped model's null condition is the empty caption
    assert (plain.int() - night.int()).abs().float().mean() > 1
    alone = model.generate([PROMPT], [0], 1.0, negative=["at night"])
    assert torch.equal(alone, model.generate([PROMPT], [0], 1.0))  # w = 1 does not ask the other branch
    unconditional = model.generate([PROMPT], [0], 0.0, negative=["a small leaf"])
    assert torch.equal(unconditional, model.generate(["a small leaf"], [0], 1.0))  # w = 0 draws the negative prompt
    with pytest.raises(ld.ConfigError, match="give one for each"):
        model.generate([PROMPT], [0], 3.0, negative=["a", "b"])


def test_guiders_and_samplers_are_set_on_the_object(model: LatentDiffusion) -> None:
    changed = ld.load()
    changed.guider, changed.sampler = ld.guiders.APG(norm=15.0), ld.samplers.Heun(steps=4)
    assert changed.generate([PROMPT], [0]).shape == (1, 3, 64, 64)
    with pytest.raises(AttributeError, match="Heun"):
        ld.samplers.Hein(steps=4)


class Coloured:
    """A model of somebody else: the picture's brightness is the scale."""

    def generate(self, prompts: list[str], seeds: list[int], scale: float) -> torch.Tensor:
        draw = torch.Generator().manual_seed(int(seeds[0]) % 2**31)
        return (torch.rand(len(prompts), 3, 80, 96, generator=draw) * 20 * scale).to(torch.uint8)


class Broken:
    def generate(self, prompts: list[str], seeds: list[int], scale: float) -> torch.Tensor:
        return torch.zeros(len(prompts), 3, 64, 64)


def test_anything_that_generates_is_measured(cache: Path) -> None:
    source = ld.sources.StillLife(train=96, test=64)
    rows = ld.evaluate(
        Coloured(),
        data=source,
        scales=[1, 3],
        samples=32,
        cache=cache,
        metrics=[ld.metrics.FID(), ld.metrics.CLIPScore()],
    )
    assert [row["scale"] for row in rows] == [1, 3]
    for row in rows:
        assert row["fid"] == pytest.approx(row["FID"], rel=1e-4)
        assert row["clip_score"] == pytest.approx(row["CLIPScore"], rel=1e-4)
        assert row["passport"]["trained_on"] == "unknown" and "centre square" in row["passport"]["resize"]
    with pytest.raises(ld.ConfigError, match=r"returned torch\.float32"):
        ld.evaluate(Broken(), data=source, scales=[1], samples=32, cache=cache)
    with pytest.raises(ld.ConfigError, match="generate"):
        ld.evaluate(object(), data=source, scales=[1], samples=32, cache=cache)


def test_a_model_is_measured_as_its_run_is(model: LatentDiffusion, cache: Path, tmp_path: Path) -> None:
    source = ld.sources.StillLife(train=96, test=64)
    model.sampler = ld.samplers.Euler(steps=2)
    rows = ld.evaluate(model, data=source, scales=[2], samples=32, cache=cache, folder=tmp_path / "kept")
    again = ld.evaluate(model, data=source, scales=[2], samples=32, cache=cache, folder=tmp_path / "kept")
    assert rows[0]["fid"] == again[0]["fid"] and rows[0]["nfe"] == 4
    assert (tmp_path / "kept" / "sweep.csv").is_file()


def test_metrics_are_torchmetrics(cache: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    real, made = (torch.randint(0, 256, (24, 3, 64, 64), generator=draw, dtype=torch.uint8) for _ in range(2))
    every = MetricCollection([ld.metrics.FID(), ld.metrics.KID(), ld.metrics.CMMD()])
    assert all(isinstance(metric, Metric) for metric in every.values())
    every.update(real, real=True)
    every.update(made, real=False)
    values = every.compute()
    assert set(values) == {"FID", "KID", "CMMD"} and all(v.ndim == 0 for v in values.values())
    split = ld.metrics.FID()
    for half in (real[:12], real[12:]):
        split.update(half, real=True)
    split.update(made, real=False)
    assert float(split.compute()) == pytest.approx(float(values["FID"]), rel=1e-5)


def test_the_script_of_the_documentation(model: LatentDiffusion, cache: Path, tmp_path: Path) -> None:
    """Training from pictures with a plain Trainer; the checkpoint rebuilds the module with its frozen nets."""
    data = ld.CaptionedImages(ld.sources.StillLife(train=96, test=64), image_size=64, batch=16, cache=cache)
    module = ld.LatentDiffusionModule(
        model.autoencoder, model.text_encoder, ld.nets.UNet(widths=[32, 32]), ld.Objective(prediction="v")
    )
    before = {name: value.clone() for name, value in module.autoencoder.state_dict().items()}
    trainer = trained(module, data, tmp_path, max_steps=8)
    assert trainer.global_step == 8 and "train/loss" in trainer.callback_metrics
    assert {"validation/loss", "validation/loss_ema"} <= set(trainer.callback_metrics)
    assert all(torch.equal(before[n], v) for n, v in module.autoencoder.state_dict().items())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    again = ld.LatentDiffusionModule.load_from_checkpoint(tmp_path / "x.ckpt")
    assert again.objective == module.objective
    assert all(torch.equal(v, module.state_dict()[n]) for n, v in again.state_dict().items())


def test_the_documentation_runs_as_it_stands(tmp_path: Path) -> None:
    page = (PACKAGE_FOLDER / "docs" / "library.md").read_text()
    script = page.split("```python\n")[1].split("```")[0]
    *first, last = script.strip().splitlines()
    shards = "from lightning_diff.data.sources.still_life import StillLife; from pathlib import Path; import shutil"
    folder = "next(p for p in Path('made/data').iterdir() if p.is_dir())"
    made = f"StillLife(train=64, test=32).prepare(Path('made')); shutil.copytree({folder}, 'shards')"
    kept = (
        "Path('checkpoints').mkdir(); shutil.copy(next(Path('lightning_logs').rglob('*.ckpt')), 'checkpoints/x.ckpt')"
    )
    check = "assert images.shape == (1, 3, 64, 64) and len(rows) == 2 and picture.size == (64, 64)"
    program = "\n".join([shards, made, *first, kept, last, check])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PACKAGE_FOLDER)}
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "lightning_logs", "made", "outputs", "shards"]


def trained(module: Any, data: Any, place: Path, **more: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        default_root_dir=place,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        **more,
    )
    trainer.fit(module, data)
    return trainer


def test_a_plain_trainer_goes_on_from_its_own_checkpoint(model: LatentDiffusion, cache: Path, tmp_path: Path) -> None:
    def parts() -> tuple[Any, Any]:
        torch.manual_seed(1)
        data = ld.CaptionedImages(ld.sources.StillLife(train=96, test=64), batch=16, cache=cache)
        return ld.LatentDiffusionModule(
            model.autoencoder,
            model.text_encoder,
            ld.nets.UNet(widths=[32, 32]),
            training=ld.Training(steps=8, warmup=2),
        ), data

    quiet: dict[str, Any] = {
        "default_root_dir": tmp_path,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
    }
    whole, data = parts()
    pl.Trainer(max_steps=8, enable_checkpointing=False, **quiet).fit(whole, data)
    first, data = parts()
    stopped = pl.Trainer(max_steps=4, enable_checkpointing=False, **quiet)
    stopped.fit(first, data)  # in the middle of an epoch of six batches
    stopped.save_checkpoint(tmp_path / "half.ckpt")
    second, data = parts()
    going_on = pl.Trainer(max_steps=8, enable_checkpointing=False, **quiet)
    going_on.fit(second, data, ckpt_path=str(tmp_path / "half.ckpt"), weights_only=True)
    assert all(torch.equal(v, second.net.state_dict()[n]) for n, v in whole.net.state_dict().items())


def test_pictures_and_cached_features_give_the_same_loss(model: LatentDiffusion) -> None:
    module = ld.LatentDiffusionModule(model.autoencoder, model.text_encoder, ld.nets.UNet(widths=[32, 32]))
    images = model.generate([PROMPT, "a leaf"], [0, 1], 3.0)
    posterior, said = model.encode(images), model.condition([PROMPT, "a leaf"])
    positions = torch.arange(2)
    features = {"mean": posterior.mean.half(), "std": posterior.std.half(), "tokens": said.tokens.half()}
    cached = {**features, "mask": said.mask, "pooled": said.pooled.half(), "positions": positions}
    pictures = {"images": images, "captions": [PROMPT, "a leaf"], "positions": positions}
    losses = [float(module.loss_of(module.features(batch)).detach()) for batch in (cached, pictures)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
