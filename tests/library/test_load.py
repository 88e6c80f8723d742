"""ld.load: weights of other projects draw the peer's pictures; runs of both kinds; and what is neither is one line."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import lightning_diff as ld
from lightning_diff.config.foreign import pipeline as index
from lightning_diff.config.paths import SHIPPED
from lightning_diff.diffusion.noise import start
from lightning_diff.interop.fields import open_clip
from lightning_diff.interop.files import deduce
from lightning_diff.models.align_draw import AlignDrawModel
from lightning_diff.models.build import build
from lightning_diff.models.foreign import load_foreign
from lightning_diff.models.latent_diffusion import LatentDiffusion
from tests.conftest import short, train_apart
from tests.interop.models import KINDS, pipeline
from tests.interop.test_matrix import as_ldm

PROMPTS, STEPS, SCALE = ["a red mug", "a leaf"], 4, 5.0


@torch.no_grad()
def floats(model: LatentDiffusion, negative: list[str] | None = None) -> Tensor:
    """The pictures [B, 3, H, W] in [0, 1] before rounding."""
    rows = torch.arange(len(PROMPTS))
    x = start(model.path, rows, model.latent_shape())
    z = model.sampler.sample(model.denoiser(PROMPTS, SCALE, negative=negative), model.path, x, rows)
    return (model.autoencoder.decode(z) / 2 + 0.5).clamp(0, 1)


def theirs(pipe: Any, model: LatentDiffusion, **more: Any) -> Tensor:
    x = start(model.path, torch.arange(len(PROMPTS)), model.latent_shape())
    size = {"height": model.image_size, "width": model.image_size}
    made = pipe(
        PROMPTS, latents=x, guidance_scale=SCALE, num_inference_steps=STEPS, output_type="pt", **size, **more
    ).images
    assert made.std() > 0.02
    return torch.as_tensor(made)


def opened(path: Path) -> LatentDiffusion:
    model = ld.load(path, device="cpu")
    assert isinstance(model, LatentDiffusion) and isinstance(model.sampler, ld.samplers.DDIM)
    assert (model.sampler.steps, model.guider.scale) == (50, 7.5)
    model.sampler = ld.samplers.DDIM(steps=STEPS, grid=model.sampler.grid, precision="float32")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_diffusers_draws_its_pictures(kind: str, tmp_path: Path) -> None:
    pipe = pipeline(kind, tmp_path / "scratch")
    pipe.save_pretrained(tmp_path / "saved")
    model = opened(tmp_path / "saved")
    assert model.image_size == 32
    assert (floats(model) - theirs(pipe, model)).abs().max() < 1e-4
    night = floats(model, ["at night"] * 2)
    assert (night - theirs(pipe, model, negative_prompt=["at night"] * 2)).abs().max() < 1e-4
    module = ld.LatentDiffusionModule(model.autoencoder, model.text_encoder, model.net)
    for name, part in (("autoencoder", model.autoencoder), ("text_encoder", model.text_encoder), ("net", model.net)):
        again = build(module.made_of["parts"][name])  # as load_from_checkpoint builds it
        again.load_state_dict(part.state_dict())


def with_open_clips_names(encoder: Any, layers: int) -> dict[str, Tensor]:
    """The tensors of a CLIPTextModel under open_clip's names, with layers added after the last one."""
    said = {n.removeprefix("text_model."): t for n, t in encoder.state_dict().items()}
    out = {
        "token_embedding.weight": said["embeddings.token_embedding.weight"],
        "positional_embedding": said["embeddings.position_embedding.weight"],
        "logit_scale": torch.zeros(()),
    }
    out["text_projection"] = said.get("text_projection.weight", torch.eye(out["positional_embedding"].shape[1])).T
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    names |= {"self_attn.out_proj": "attn.out_proj"}
    for kind in ("weight", "bias"):
        out[f"ln_final.{kind}"] = said[f"final_layer_norm.{kind}"]
        for n in range(layers):
            here, there = f"transformer.resblocks.{n}.", f"encoder.layers.{min(n, 1)}."
            out |= {f"{here}{ours}.{kind}": said[f"{there}{name}.{kind}"] for name, ours in names.items()}
            parts = [said[f"{there}self_attn.{p}_proj.{kind}"] for p in "qkv"]
            out[f"{here}attn.in_proj_{kind}"] = torch.cat(parts)
    return {n: t.clone().contiguous() for n, t in out.items()}


def text_tensors(pipe: Any, kind: str) -> dict[str, Tensor]:
    """The text encoders of a single file, under the names that such files have."""
    if kind.startswith("sd2"):
        found = with_open_clips_names(pipe.text_encoder, 3)  # the folder of 2.x lacks the last layer
        return {f"cond_stage_model.model.{n}": t for n, t in found.items()}
    first = "conditioner.embedders.0" if kind == "xl" else "cond_stage_model"
    out = {f"{first}.transformer.{n}": t.clone() for n, t in pipe.text_encoder.state_dict().items()}
    if kind == "xl":
        out |= {
            f"conditioner.embedders.1.model.{n}": t for n, t in with_open_clips_names(pipe.text_encoder_2, 2).items()
        }
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_file_draws_its_pictures(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files whose widths stand for those of the families."""
    pipe = pipeline(kind, tmp_path / "scratch")
    xl, second = kind == "xl", kind.startswith("sd2")
    family = "XL" if xl else f"Stable Diffusion {'2' if second else '1'}.x"
    monkeypatch.setitem(deduce.FAMILIES, 80 if xl else 32, (family, 0 if xl or second else 8, 32))
    monkeypatch.setattr(open_clip, "HEAD", 24 if xl else 16)
    monkeypatch.setattr("lightning_diff.interop.files.deduce.GROUPS", 8)
    monkeypatch.setattr("lightning_diff.interop.text.HF_WIDTHS", {32: 2})
    state = as_ldm(pipe) | text_tensors(pipe, kind)
    if kind == "sd2_v_zero":
        state |= {"v_pred": torch.zeros(()), "ztsnr": torch.zeros(())}
    save_file({n: t.contiguous() for n, t in state.items()}, tmp_path / "model.safetensors")
    found = load_foreign(tmp_path / "model.safetensors")
    if kind == "sd2_eps":  # a random net may look like one that predicts v
        assert any(said.startswith("objective.prediction") for said in found.guessed)
    else:
        assert found.model.image_size == {"XL": 1024}.get(family, 768 if kind == "sd2_v_zero" else 512)
    model = opened(tmp_path / "model.safetensors")
    model.image_size, model.path = 32, ld.load(_saved(pipe, tmp_path), device="cpu").path  # type: ignore[union-attr]
    grid = {"leading": "leading_1", "trailing": "uniform"}[pipe.scheduler.config.timestep_spacing]
    model.sampler = ld.samplers.DDIM(steps=STEPS, grid=grid, precision="float32")
    assert (floats(model) - theirs(pipe, model)).abs().max() < 1e-4


def _saved(pipe: Any, folder: Path) -> Path:
    pipe.save_pretrained(folder / "saved")
    return folder / "saved"


def test_a_run_of_align_draw_and_a_runs_weights_file(tmp_path: Path) -> None:
    ran = train_apart(*short("aligndraw", f"outputs={tmp_path}", f"cache={tmp_path}/cache", "name=drawn"))
    assert ran.returncode == 0, ran.stderr
    model = ld.load(tmp_path / "drawn", device="cpu")
    assert isinstance(model, AlignDrawModel)
    assert model("a red mug").size == model("a red mug", seed=1, scale=1.0).size
    with pytest.raises(ld.ConfigError, match="sampler=: alignDRAW has neither"):
        ld.load(tmp_path / "drawn", sampler=ld.samplers.DDIM())
    folder = SHIPPED / "still_life"
    of_file, of_folder = (ld.load(p, device="cpu") for p in (folder / "weights.safetensors", folder))
    assert isinstance(of_file, LatentDiffusion) and isinstance(of_folder, LatentDiffusion)
    assert all(torch.equal(v, of_folder.net.state_dict()[n]) for n, v in of_file.net.state_dict().items())


def test_every_field_of_a_pipelines_index_has_a_law() -> None:
    import diffusers

    for name, laws in index.CLASSES.items():
        cls = getattr(diffusers, name)
        assert set(inspect.signature(cls.__init__).parameters) - {"self"} == set(laws)


def refused(path: Path, why: str) -> None:
    with pytest.raises(ld.ConfigError, match=why) as told:
        ld.load(path)
    assert "\n" not in str(told.value)


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "no such file or folder; ld.load takes")
    refused(tmp_path, r"no finished run in it .* and no model_index\.json")
    (tmp_path / "config.yaml").write_text("version: 2\n")
    refused(tmp_path, "not finished; its command continues it")
    part = tmp_path / "unet"
    part.mkdir()
    (part / "config.json").write_text("{}")
    refused(part, "one part of a model; give the pipeline's folder")
    (part / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    refused(part, r"_class_name=FluxPipeline: only StableDiffusionPipeline .* evaluate\.py model=")
    (part / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline", "odd": 1}))
    refused(part, "odd=1: no field that this project knows")
    pickle = tmp_path / "x.ckpt"
    pickle.write_bytes(b"PK\x03\x04" + bytes(20))
    refused(pickle, "a pickle, which can execute code")
    save_file({"lora_up.weight": torch.zeros(2, 2)}, tmp_path / "lora.safetensors")
    refused(tmp_path / "lora.safetensors", "it is a LoRA")
    shutil.copy(SHIPPED / "still_life" / "parts" / "text.safetensors", tmp_path / "text.safetensors")
    refused(tmp_path / "text.safetensors", r"one net of this project \(text\), not a whole model")
    with pytest.raises(ld.ConfigError, match=r"ema=0\.1: .* is no run"):
        ld.load(tmp_path / "lora.safetensors", ema=0.1)
