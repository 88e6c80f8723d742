"""Text encoders of others: the same hidden states and pooled outputs, alone and in a whole pipeline with two of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lightning_diff.config.errors import ConfigError
from lightning_diff.diffusion.denoiser import WithoutCaption
from lightning_diff.diffusion.guiders.cfg import CFG
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.diffusion.samplers.ancestral import DDIM
from lightning_diff.interop.diffusers import read_config
from lightning_diff.interop.fields.unet import unet_arguments
from lightning_diff.interop.text import tower_of_folder, write_tokenizer
from lightning_diff.models.build import null_condition, start_from
from lightning_diff.models.text_encoders.folder import FolderTextEncoder
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import END

CAPTIONS = ["a red apple", "two pears, one of them green, on a wooden table"]
ENDS = "<|endoftext|>"


def encoder(folder: Path, kind: Any, width: int, act: str, pad: str) -> tuple[Any, Any]:
    """A small random text encoder of transformers and its tokenizer, saved in that folder and beside it."""
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        hidden_act=act,
        projection_dim=24,
        bos_token_id=END - 1,
        eos_token_id=END,
    )
    model = kind(config).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    model.save_pretrained(folder)
    beside = folder.with_name(folder.name.replace("text_encoder", "tokenizer"))
    write_tokenizer(
        Tower({"embedding": 8, "vision": VISION, "text": {"width": 8, "heads": 1, "layers": 1}} | TEXT), beside
    )
    tokenizer = CLIPTokenizer.from_pretrained(beside, pad_token=pad)
    tokenizer.save_pretrained(beside)
    return model, tokenizer


VISION = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 8, "image_size": 8}
TEXT = {"text": {"width": 8, "heads": 1, "layers": 1, "context_length": 77}}


@torch.no_grad()
@pytest.mark.parametrize(("act", "pad"), [("quick_gelu", ENDS), ("gelu", "!")])
@pytest.mark.parametrize("kind", [CLIPTextModel, CLIPTextModelWithProjection])
def test_hidden_states_and_pooled_output_are_the_same(tmp_path: Path, kind: Any, act: str, pad: str) -> None:
    model, tokenizer = encoder(tmp_path / "text_encoder", kind, 32, act, pad)
    tower = tower_of_folder(tmp_path / "text_encoder")
    assert tower.tokenizer.pad == (END if pad == ENDS else 0)
    captions = [*CAPTIONS, "", "word " * 99]
    ids = tokenizer(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    out = model(ids, output_hidden_states=True)
    for layer in (1, 2):
        tower.read_at(layer, False)
        found = tower.condition(captions)
        torch.testing.assert_close(found.tokens, out.hidden_states[-layer], rtol=1e-5, atol=1e-5)
        pooled = out.text_embeds if kind is CLIPTextModelWithProjection else out.pooler_output
        torch.testing.assert_close(found.pooled, pooled, rtol=1e-5, atol=1e-5)
    tower.read_at(1, True)
    torch.testing.assert_close(tower.condition(captions).tokens, out.last_hidden_state, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_xl_pipeline_opened_here_draws_the_same_pictures(tmp_path: Path) -> None:
    """Two text encoders, the pooled output, the size, zeros for no caption: everything that XL adds."""
    torch.manual_seed(0)
    one, words = encoder(tmp_path / "text_encoder", CLIPTextModel, 32, "quick_gelu", ENDS)
    two, other_words = encoder(tmp_path / "text_encoder_2", CLIPTextModelWithProjection, 48, "gelu", "!")
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        attention_head_dim=(1, 2),
        cross_attention_dim=80,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=24 + 6 * 256,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        force_upcast=False,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
        steps_offset=0,
    )
    pipe = StableDiffusionXLPipeline(vae, one, two, words, other_words, unet, scheduler, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(tmp_path)

    text = FolderTextEncoder(
        weights=str(tmp_path / "text_encoder"),
        layer=2,
        final_norm=False,
        more=[FolderTextEncoder(weights=str(tmp_path / "text_encoder_2"), layer=2, final_norm=False)],
        pooled="last",
        null="zeros",
    )
    tower = text.encoder(tmp_path / "text_encoder")
    net = LatentDiffusionUNet(**{**unet_arguments(read_config(tmp_path / "unet")), "pixels_per_latent": 2})
    autoencoder = LatentDiffusionAutoencoder((32, 32), 4, 1, 32)
    start_from(net, tmp_path)
    start_from(autoencoder, tmp_path)
    path = DiffusionPath("scaled_linear", "eps")
    x = start(path, torch.arange(2), (4, 16, 16))
    theirs = pipe(
        CAPTIONS, latents=x, guidance_scale=4.0, num_inference_steps=5, output_type="np", height=32, width=32
    ).images
    null = null_condition(text.null, tower).expand(2)
    branches = WithoutCaption(net.eval(), path, tower.condition(CAPTIONS), null, net.prepare)
    denoiser = CFG().guided(branches, path, 4.0)
    z = DDIM(steps=5).sample(denoiser, path, x, torch.arange(2))
    mine = (autoencoder.eval().decode(z) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert theirs.std() > 0.05
    assert float((mine - torch.from_numpy(theirs)).abs().max()) < 1e-4


def test_what_is_no_clip_encoder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "text_encoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(ConfigError, match="model_type"):
        tower_of_folder(folder)
    encoder(folder, CLIPTextModel, 32, "gelu", "!")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))
    with pytest.raises(ConfigError, match=r"model_type=.*t5"):
        tower_of_folder(folder)
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    with pytest.raises(ConfigError, match="not a CLIPTextModel's weights"):
        tower_of_folder(folder)
