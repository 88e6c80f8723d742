"""Named packages as their users know them, with the library's objects: webdataset, diffusers, peft, Lightning, torchmetrics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import open_clip
import peft
import pytest
import pytorch_lightning as pl
import torch
import webdataset
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from safetensors.torch import save_file
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

import lightning_diff as ld
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.data.shards import write_shard
from lightning_diff.diffusion.denoiser import conditional
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.models.latent_diffusion import LatentDiffusion
from lightning_diff.models.text_encoders.open_clip import OpenClipTextEncoder

SMALL: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture(scope="module")
def model() -> LatentDiffusion:
    return ld.load()


@pytest.fixture
def data(cache: Path) -> ld.CaptionedImages:
    return ld.CaptionedImages(ld.sources.StillLife(train=96, test=64), batch=8, cache=cache, validation_batches=1)


def their_unet(model: LatentDiffusion) -> torch.nn.Module:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
    return diffusers.UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32,),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=model.condition(["a"]).tokens.shape[-1],
        **blocks,
    )


def moved(module: Any, before: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, p in module.net.named_parameters() if not torch.equal(p, before[name])]


def trained(model: LatentDiffusion, net: Any, data: Any, place: Path, **more: Any) -> Any:
    module = ld.LatentDiffusionModule(
        model.autoencoder, model.text_encoder, net, ld.Objective(), ld.Training(warmup=0, steps=2)
    )
    before = {name: p.detach().clone() for name, p in module.net.named_parameters()}
    trainer = pl.Trainer(max_steps=2, default_root_dir=place, logger=False, enable_checkpointing=False, **SMALL, **more)
    trainer.fit(module, data)
    return module, moved(module, before)


def test_a_webdataset_pipeline(model: LatentDiffusion, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    def members() -> Iterator[dict[str, Any]]:
        for i in range(12):
            held = BytesIO()
            Image.new("RGB", (40 + i, 50), (20 * i, 100, 50)).save(held, "JPEG")
            yield {"__key__": f"{i:03d}", "jpg": held.getvalue(), "txt": f"picture {i}"}

    write_shard(tmp_path / "a.tar", members())
    for pipeline in (
        webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False),
        webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False)
        .shuffle(10)
        .decode("pil")
        .to_tuple("jpg", "txt"),
    ):
        data = ld.CaptionedImages(pipeline, image_size=64, batch=4)
        batch = next(iter(data.train_dataloader()))
        assert batch["images"].shape == (4, 3, 64, 64) and batch["images"].dtype == torch.uint8
        assert all(caption.startswith("picture ") for caption in batch["captions"])
        _, changed = trained(model, ld.nets.UNet(widths=[32, 32]), data, tmp_path)
        assert changed


def test_a_net_of_diffusers_trains_and_draws(model: LatentDiffusion, data: Any, tmp_path: Path) -> None:
    net = ld.nets.from_diffusers(their_unet(model), time_offset=0.0)
    module, changed = trained(model, net, data, tmp_path)
    assert len(changed) > 20
    theirs = LatentDiffusion(
        model.autoencoder, model.text_encoder, module.net, module.path, sampler=ld.samplers.Euler(steps=2)
    )
    x, t, condition = torch.randn(2, 4, 16, 16), torch.tensor([0.3, 0.6]), model.condition(["a", "b"])
    with torch.no_grad():
        peer = net.net(x, 1000 * t, encoder_hidden_states=condition.tokens).sample
        assert torch.equal(net(x, t, condition), peer)
    assert theirs.generate(["a mug"], [0], 2.0).shape == (1, 3, 64, 64)
    with pytest.raises(ld.ConfigError, match="encoder_hidden_states"):
        ld.nets.from_diffusers(torch.nn.Linear(2, 2))


def test_a_net_that_peft_wrapped_trains_its_adapters_alone(model: LatentDiffusion, data: Any, tmp_path: Path) -> None:
    wrapped = peft.get_peft_model(their_unet(model), peft.LoraConfig(r=2, target_modules=["to_q", "to_v"]))
    _, changed = trained(model, ld.nets.from_diffusers(wrapped), data, tmp_path)
    assert changed and all("lora_" in name for name in changed)
    inner = [
        name for name, part in model.net.named_modules() if isinstance(part, torch.nn.Linear) and "attention" in name
    ]
    from copy import deepcopy

    ours = peft.get_peft_model(deepcopy(model.net).requires_grad_(True), peft.LoraConfig(r=2, target_modules=inner[:4]))
    module, changed = trained(model, ours, data, tmp_path)
    assert changed and all("lora_" in name for name in changed)
    drawn = LatentDiffusion(
        model.autoencoder, model.text_encoder, module.net.eval(), model.path, sampler=ld.samplers.Euler(steps=2)
    )
    assert drawn.generate(["a mug"], [0], 2.0).shape == (1, 3, 64, 64)


BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "trailing"}
SCHEDULERS = [
    (diffusers.DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True), "scaled_linear", "DDIM"),
    (diffusers.EulerDiscreteScheduler(**BETAS), "scaled_linear", "DDIM"),
    (diffusers.FlowMatchEulerDiscreteScheduler(), "flow", "Euler"),
]


@pytest.mark.parametrize(("scheduler", "schedule", "ours"), SCHEDULERS, ids=lambda v: type(v).__name__)
def test_a_scheduler_steps_as_our_sampler_of_its_name(scheduler: Any, schedule: str, ours: str) -> None:
    path = DiffusionPath(schedule, "flow" if schedule == "flow" else "eps")

    def network(x: torch.Tensor, t: torch.Tensor, condition: Any) -> torch.Tensor:
        return 0.3 * x + 0.1 * torch.sin(5 * t)[:, None, None, None]

    x, seeds = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(2)
    theirs = ld.samplers.from_diffusers(scheduler, steps=10)
    end = theirs.sample(conditional(network, path, None), path, x, seeds)
    same = getattr(ld.samplers, ours)(steps=10).sample(conditional(network, path, None), path, x, seeds)
    assert (end - same).abs().max() < 2e-2 * same.abs().max()  # the schedulers' grids differ a little from ours


def test_a_scheduler_draws_and_is_in_the_passport(model: LatentDiffusion) -> None:
    model = ld.load(sampler=ld.samplers.from_diffusers(diffusers.DPMSolverMultistepScheduler(), steps=4))
    assert model.generate(["a mug"], [0], 3.0).float().std() > 10
    with pytest.raises(ld.ConfigError, match="no scheduler"):
        ld.samplers.from_diffusers(object())


def test_callbacks_loggers_and_accumulation_of_lightning(model: LatentDiffusion, data: Any, tmp_path: Path) -> None:
    module = ld.LatentDiffusionModule(model.autoencoder, model.text_encoder, ld.nets.UNet(widths=[32, 32]))
    kept = ModelCheckpoint(tmp_path / "kept", monitor="validation/loss_ema", save_top_k=1)
    callbacks = [kept, EarlyStopping("validation/loss_ema", patience=50), LearningRateMonitor("step")]
    logger = CSVLogger(tmp_path, name="log")
    trainer = pl.Trainer(
        max_steps=8, accumulate_grad_batches=2, val_check_interval=4, log_every_n_steps=1, callbacks=callbacks,
        logger=logger, default_root_dir=tmp_path, gradient_clip_val=0.5, **SMALL
    )  # fmt: skip
    trainer.fit(module, data)
    assert trainer.global_step == 8 and kept.best_model_score is not None
    said = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()[0]
    assert {"train/loss", "validation/loss", "validation/loss_ema"} <= set(said.split(",")) and "lr-AdamW" in said
    assert "prediction" in (Path(logger.log_dir) / "hparams.yaml").read_text()
    again = ld.LatentDiffusionModule.load_from_checkpoint(kept.best_model_path)
    assert torch.equal(again.autoencoder.shift, model.autoencoder.shift)


def test_a_metric_in_a_lightning_module(tmp_path: Path) -> None:
    class Measuring(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.fid = ld.metrics.FID(feature=lambda images: images.float().flatten(1)[:, :8])

        def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
            self.fid.update(batch[0], real=True)
            self.fid.update(255 - batch[0], real=False)
            self.log("fid", self.fid)

    pictures = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(pictures), batch_size=8)
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path, **SMALL)
    (said,) = trainer.validate(Measuring(), loader, verbose=False)
    assert said["fid"] > 0


SCRIPT = """
import os, signal, sys
from pathlib import Path
import pytorch_lightning as pl, torch
import lightning_diff as ld
from pytorch_lightning.callbacks import ModelCheckpoint

place, cache, kill = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

class Kill(pl.Callback):
    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step == kill and trainer.is_global_zero:
            os.killpg(0, signal.SIGKILL)

torch.manual_seed(0)
model = ld.load()
data = ld.CaptionedImages(ld.sources.StillLife(train=96, test=64), batch=16, cache=cache)
net, training = ld.nets.UNet(widths=[32, 32]), ld.Training(steps=8, warmup=2)
module = ld.LatentDiffusionModule(model.autoencoder, model.text_encoder, net, training=training)
keep = ModelCheckpoint(place, filename="{step}", every_n_train_steps=3, save_top_k=-1)
last = max(place.glob("*.ckpt"), default=None, key=lambda p: p.stat().st_mtime)
ranks = dict(accelerator="cpu", devices=2, strategy="ddp")
trainer = pl.Trainer(max_steps=8, logger=False, callbacks=[keep, Kill()], enable_progress_bar=False, **ranks)
trainer.fit(module, data, ckpt_path=last, weights_only=True)
if trainer.is_global_zero:
    torch.save(module.net.state_dict(), place / "end.pt")
"""


def test_two_ranks_killed_and_continued_by_lightning_alone(cache: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(name: str, kill: int) -> int:
        (tmp_path / name).mkdir(exist_ok=True)
        command = [sys.executable, str(script), str(tmp_path / name), str(cache), str(kill)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PACKAGE_FOLDER)}
        found = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, start_new_session=True
        )
        assert kill or found.returncode == 0, found.stderr
        return found.returncode

    ld.CaptionedImages(ld.sources.StillLife(train=96, test=64), cache=cache).prepare_data()
    run("whole", 0)
    assert run("killed", 5) != 0
    run("killed", 0)
    one, other = (torch.load(tmp_path / name / "end.pt", weights_only=True) for name in ("whole", "killed"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


UNCHANGED = """
import logging, signal, sys
import pytorch_lightning as pl, torch
def state():
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)]
    logs = logging.getLogger()
    known = [logging.getLogger(n).level for n in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    torchs = [torch.get_num_threads(), torch.get_default_dtype(), torch.get_float32_matmul_precision()]
    torchs += [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.benchmark, torch.is_grad_enabled()]
    torchs += [torch.are_deterministic_algorithms_enabled(), torch.backends.mkldnn.enabled]
    return handlers, logs.level, list(logs.handlers), known, torchs
before = state()
import lightning_diff as ld
model = ld.load()
data = ld.CaptionedImages(ld.sources.StillLife(train=96, test=64), batch=16, cache=sys.argv[1])
module = ld.LatentDiffusionModule(model.autoencoder, model.text_encoder, ld.nets.UNet(widths=[32, 32]))
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
pl.Trainer(max_steps=2, limit_val_batches=1, default_root_dir=sys.argv[1], **quiet).fit(module, data)
model.generate(["a mug"], [0], 2.0)
after = state()
assert after == before, (before, after)
"""


def test_importing_training_and_drawing_change_no_setting_of_the_process(cache: Path) -> None:
    words = [sys.executable, "-c", UNCHANGED, str(cache)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PACKAGE_FOLDER)}
    found = subprocess.run(words, cwd=cache, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_torchmetrics_own_metrics_in_evaluate(cache: Path) -> None:
    class Means(torch.nn.Module):
        num_features = 8

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().flatten(2).mean(2).repeat(1, 3)[:, :8]

    class Same:
        def generate(self, prompts: Any, seeds: Any, scale: float) -> torch.Tensor:
            return torch.full((len(prompts), 3, 64, 64), int(40 * scale), dtype=torch.uint8)

    metrics = [KernelInceptionDistance(Means(), subsets=2, subset_size=8), FrechetInceptionDistance(Means())]
    source = ld.sources.StillLife(train=96, test=64)
    near, far = ld.evaluate(Same(), data=source, scales=[3, 6], samples=32, cache=cache, metrics=metrics)
    for row in (near, far):
        assert {"FrechetInceptionDistance", "KernelInceptionDistance", "KernelInceptionDistance_1", "fid"} <= set(row)
    assert near["FrechetInceptionDistance"] != far["FrechetInceptionDistance"]


def test_a_model_of_open_clip_conditions_and_judges(model: LatentDiffusion, data: Any, tmp_path: Path) -> None:
    """A CLIP model that open_clip knows by its name, from a local file, as the text encoder of a training, and as a judge."""
    torch.manual_seed(0)
    peer = open_clip.create_model("ViT-B-32", pretrained=None)
    save_file({n: t.contiguous() for n, t in peer.state_dict().items()}, tmp_path / "clip.safetensors")
    spec = OpenClipTextEncoder(model="ViT-B-32", tag="laion2b_s34b_b79k", weights=str(tmp_path / "clip.safetensors"))
    tower = spec.encoder(tmp_path / "clip.safetensors")
    module = ld.LatentDiffusionModule(model.autoencoder, tower.eval(), ld.nets.UNet(widths=[32, 32]))
    batch = (torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), ["a red mug", "a leaf"])
    loss = module.loss_of(module.features({"images": batch[0], "captions": batch[1], "positions": torch.arange(2)}))
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is None for p in tower.parameters())
    metric = ld.metrics.CLIPScore(tower)
    metric.update(*batch)
    text = open_clip.get_tokenizer("ViT-B-32")(batch[1])
    with torch.no_grad():
        said = torch.nn.functional.normalize(peer.eval().encode_text(text), dim=-1)
        seen = tower.image_features(batch[0].float() / 127.5 - 1)
    assert float(metric.compute()) == pytest.approx(100 * float((said * seen).sum(1).mean()), rel=1e-3)
