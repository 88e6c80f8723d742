"""Files of other projects: what is opened computes the same, and what is not opened is one true line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel

from lightning_diff.cli.exporting.show import FATES, show
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.interop.diffusers import open_unet
from lightning_diff.interop.export import kohya
from lightning_diff.interop.fields.unet import unet_arguments
from lightning_diff.interop.lora import merge_lora
from lightning_diff.interop.names import RESNET, to_ldm, unet_table
from lightning_diff.interop.probe import Probe
from lightning_diff.interop.text import tower_of_folder
from lightning_diff.models.build import Start, start_from
from lightning_diff.models.latent_diffusion import NotFinite
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.lora import adapters, add_lora, merged_state
from lightning_diff.nets.tokenizers.files import FileTokenizer
from tests.interop.models import ENDS, as_ldm, pipeline, text_encoder, unet
from tests.interop.prompts import PROMPTS

PREFIX = "model.diffusion_model."


def ldm(peer: Any) -> dict[str, Tensor]:
    a = unet_arguments(dict(peer.config))
    state = to_ldm(dict(peer.state_dict()), unet_table(a["blocks"], a["depth"]), RESNET)
    return {n: t.contiguous() for n, t in state.items()}


def scaled(state: dict[str, Tensor], name: Any) -> dict[str, Tensor]:
    """Matrices in fp8 with a scale beside each."""
    out = {}
    for n, t in state.items():
        if t.ndim == 2 and n.endswith("weight"):
            scale = t.abs().max() / 448
            out[PREFIX + n], out[name(PREFIX, n)] = (t / scale).to(torch.float8_e4m3fn), scale
        else:
            out[PREFIX + n] = t
    return out


@pytest.fixture(scope="module")
def peer() -> Any:
    torch.manual_seed(0)
    return unet(attention_head_dim=8)


def started(peer: Any, file: Path, **more: Any) -> dict[str, Tensor]:
    net = LatentDiffusionUNet(**unet_arguments(dict(peer.config)))
    start_from(net, Start(file, **more))
    return net.state_dict()


def wanted(peer: Any) -> dict[str, Tensor]:
    net = LatentDiffusionUNet(**unet_arguments(dict(peer.config)))
    from lightning_diff.interop.names import from_diffusers

    net.load_state_dict(from_diffusers(peer.state_dict()))
    return net.state_dict()


LAYOUTS: dict[str, Any] = {
    "ComfyUI": lambda s: {f"diffusion_model.{n}": t for n, t in s.items()},
    "bare": lambda s: s,
    "compiled": lambda s: {f"{PREFIX}_orig_mod.{n}": t for n, t in s.items()},
    "float16": lambda s: {PREFIX + n: t.half() for n, t in s.items()},
    "float64": lambda s: {PREFIX + n: t.double() for n, t in s.items()},
    "fp8, scale_weight": lambda s: scaled(s, lambda p, n: f"{p}{n.removesuffix('weight')}scale_weight"),
    "fp8, weight_scale": lambda s: scaled(s, lambda p, n: f"{p}{n}_scale"),
    "fp8, scales beside": lambda s: scaled(s, lambda p, n: f"scales.{p}{n}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_unet_in_any_file_is_the_same(layout: str, peer: Any, tmp_path: Path) -> None:
    save_file(LAYOUTS[layout](ldm(peer)), tmp_path / "x.safetensors")
    found, exact = started(peer, tmp_path / "x.safetensors"), "16" not in layout and "fp8" not in layout
    for name, tensor in wanted(peer).items():
        torch.testing.assert_close(found[name], tensor, rtol=0 if exact else 0.07, atol=0 if exact else 2e-3)


def test_raw_and_averaged_weights_are_told_apart(peer: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    other = unet(attention_head_dim=8)
    averaged = {"model_ema.diffusion_model" + n.replace(".", ""): t for n, t in ldm(other).items()}
    file = tmp_path / "both.safetensors"
    save_file({**{PREFIX + n: t for n, t in ldm(peer).items()}, **averaged, "model_ema.decay": torch.tensor(0.9)}, file)
    for average, of in (("raw", peer), ("ema", other)):
        found = started(peer, file, average=average)
        assert all(torch.equal(found[n], t) for n, t in wanted(of).items())
        assert average.replace("ema", "averaged") in open_unet(file, average).notes[0]
    save_file(averaged, tmp_path / "ema.safetensors")
    with pytest.raises(ConfigError, match=r"averaged weights \(EMA\) alone"):
        started(peer, tmp_path / "ema.safetensors")


def test_what_is_not_opened_is_said_truly(peer: Any, tmp_path: Path) -> None:
    cases = {
        "lora_unet_x.lora_down.weight": "it is a LoRA, .*init_lora=",
        "controlnet_cond_embedding.conv_in.weight": "it is a ControlNet",
        "double_blocks.0.img_attn.qkv.weight": "it is Flux's transformer",
        "x": r"of a kind not known here \(its tensors are x",
    }
    for name, said in cases.items():
        save_file({name: torch.zeros(1)}, tmp_path / "x.safetensors")
        with pytest.raises(ConfigError, match=said) as e:
            started(peer, tmp_path / "x.safetensors")
        assert len(str(e.value)) < 400
    for start, said in (
        (b"PK\3\4", "a pickle, which can execute code"),
        (b"GGUF", "GGUF"),
        (b"xxxx", "not a safetensors"),
    ):
        (tmp_path / "x.ckpt").write_bytes(start + b"\0" * 20)
        with pytest.raises(ConfigError, match=said):
            open_unet(tmp_path / "x.ckpt")


def test_nan_and_inf_are_refused_by_name(peer: Any, tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        state = {PREFIX + n: t.clone() for n, t in ldm(peer).items()}
        state[f"{PREFIX}out.2.weight"].view(-1)[3] = value
        save_file(state, tmp_path / "x.safetensors")
        with pytest.raises(ConfigError, match=r"out\.2\.weight with NaN or inf"):
            started(peer, tmp_path / "x.safetensors")
    assert "2 of 8 pictures have NaN or inf at w=7: 'a' (seed 1) and 1 more" in NotFinite(8, [1, 2]).message(
        "w=7", ["'a' (seed 1)", "'b' (seed 2)"]
    )


def test_a_lora_of_each_form_is_merged_as_it_computes(peer: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = LatentDiffusionUNet(**unet_arguments(dict(peer.config)))
    net.load_state_dict(wanted(peer))
    add_lora(net, 2)
    for name, p in net.named_parameters():
        if name.endswith(".b"):
            torch.nn.init.normal_(p)
    expected, ours = merged_state(net), adapters(net)
    base = tmp_path / "base.safetensors"
    save_file({PREFIX + n: t for n, t in ldm(peer).items()}, base)
    forms = {
        "diffusers": ours,
        "kohya": kohya(ours),
        "peft": {f"base_model.model.{n.removeprefix('unet.')}": t for n, t in ours.items()},
    }
    for form, state in forms.items():
        file = tmp_path / f"{form}.safetensors"
        save_file({n: t.contiguous() for n, t in state.items()}, file)
        found = started(peer, base, loras=[file])
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="this UNet has no such module"):
        merge_lora({"down_blocks.0.resnets.0.conv1.weight": torch.zeros(2, 2, 3, 3)}, tmp_path / "kohya.safetensors")


def test_doras_magnitude_is_the_norm_of_each_output(tmp_path: Path) -> None:
    torch.manual_seed(0)
    name, w = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", torch.randn(6, 4)
    a, b, m = torch.randn(2, 4), torch.randn(6, 2), torch.rand(6) + 0.5
    state = {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b, f"{name}.lora_magnitude_vector": m}
    save_file(state, tmp_path / "dora.safetensors", {"lora_adapter_metadata": json.dumps({"r": 2, "lora_alpha": 4})})
    conv = {"down_blocks.0.resnets.0.conv1.weight": torch.zeros(2, 2, 3, 3)}
    found = merge_lora({f"{name}.weight": w, **conv}, tmp_path / "dora.safetensors")[f"{name}.weight"]
    whole = w + 2 * b @ a
    torch.testing.assert_close(found, m[:, None] * whole / whole.norm(dim=1, keepdim=True))


def test_the_tokenizer_that_came_with_the_weights_gives_the_ids(tmp_path: Path) -> None:
    """Odd characters, words that textual inversion added, a padding of its own; and the peer's hidden states."""
    torch.manual_seed(0)
    net, words = text_encoder(tmp_path / "raw", CLIPTextModel, 32, "quick_gelu", ENDS)
    words.add_tokens(["<my-cup>", "zebracup"])
    net.resize_token_embeddings(len(words))
    net.save_pretrained(tmp_path / "text_encoder")
    with pytest.raises(ConfigError, match="vocab_size=49410: words beside CLIP's own"):
        tower_of_folder(tmp_path / "text_encoder")
    words.save_pretrained(tmp_path / "tokenizer")
    tower = tower_of_folder(tmp_path / "text_encoder")
    captions = [*PROMPTS, "a photo of <my-cup> on a table", "Zebracup at night", "", "word " * 99]
    ids = words(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    assert torch.equal(tower.tokenizer(captions)[0], ids)
    with torch.no_grad():
        torch.testing.assert_close(tower.condition(captions).tokens, net(ids).last_hidden_state, rtol=1e-5, atol=1e-5)
    tokenizer = tower.tokenizer
    assert isinstance(tokenizer, FileTokenizer)
    tokenizer.write(tmp_path / "again")
    again = type(words).from_pretrained(tmp_path / "again")
    assert torch.equal(
        again(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids, ids
    )
    read = tokenizer.read("word " * 99)
    assert (read.tokens, read.kept, len(read.cut.split())) == (101, 77, 24)


def test_a_net_that_returns_the_noise_is_told_from_one_that_returns_alpha_times_it() -> None:
    for share, guess in ((0.97, "eps"), (0.12, "v, or is not trained"), (-0.05, "v, or is not trained")):
        assert Probe(share, 0.15, None).lines()[0].endswith(f"): it predicts {guess}")
    assert "another one" in Probe(1.0, 0.15, 5.0).lines()[1] and "another one" not in Probe(1.0, 0.15, 0.9).lines()[1]


def test_show_says_what_a_model_is(tmp_path: Path) -> None:
    pipeline("sd2_v_zero", tmp_path / "scratch").save_pretrained(tmp_path / "model")
    found = show(tmp_path / "model")
    lines = " ".join(line.strip() for line in found)
    assert all(lines.count(f" {title}: ") >= 2 for title in FATES.values())
    command = next(line for line in found if "to start from it" in line).split(": ", 1)[1]
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "a.png")
    words = [word.replace("PICTURES", f"{tmp_path}/pictures") for word in shlex.split(command)[2:]]
    assert compose_config(words).objective.prediction == "v"
    for said in (
        "a UNet with levels of 32, 64 channels",
        "attention_head_dim=[1, 2]",
        "scaling_factor=0.18215",
        "without effect here: sample_size=16, use_linear_projection=True, upcast_attention=True",
        "hidden_act=gelu",
        "padding !",
        "objective.prediction=v",
        "objective.schedule=scaled_linear_zero",
        "in one denoising step at t = 0.9",
        "net.head_width=32",
        f"text=folder text.weights={tmp_path}/model",
    ):
        assert said in lines, (said, lines)
    part = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    assert f"  it is a part of a pipeline; show={tmp_path / 'model'} says the rest" in show(part)
    peer = pipeline("sd1", tmp_path / "one")
    file = tmp_path / "single.safetensors"
    save_file(as_ldm(peer), file)  # an autoencoder of 16 channels: no tensor tells that its norms have 8 groups
    assert any("autoencoder: not opened: its norms of 16 channels" in line for line in show(file))
    file = tmp_path / "lora.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1)}, file)
    assert "it is a LoRA" in show(file)[-1]
    assert load_file(file)


def test_a_file_that_is_no_safetensors_is_told_at_both_doors(tmp_path: Path) -> None:
    from lightning_diff.config.paths import path_mistakes
    from lightning_diff.config.schema import Config

    for name, data, says in (
        ("model.ckpt", b"PK\3\4", "a pickle, which can execute code; save it as safetensors"),
        ("lfs.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull fetches them"),
        ("x.gguf", b"GGUF" + bytes(20), "GGUF, whose weights are quantised"),
        ("empty.safetensors", b"", "not a safetensors file but an empty one"),
    ):
        (tmp_path / name).write_bytes(data)
        config = Config()
        config.init_from = str(tmp_path / name)
        assert any(wrong and says in message for wrong, message in path_mistakes(config)), name
        with pytest.raises(ConfigError) as e:
            show(tmp_path / name)
        assert says in str(e.value), name


def test_a_text_encoder_that_lacks_tensors_and_a_folder_without_a_model_are_told(tmp_path: Path) -> None:
    save_file({"text_model.embeddings.token_embedding.weight": torch.zeros(2, 2)}, tmp_path / "clip.safetensors")
    assert any("without embeddings.position_embedding.weight" in line for line in show(tmp_path / "clip.safetensors"))
    (tmp_path / "model" / "unet").mkdir(parents=True)
    (tmp_path / "model" / "unet" / "config.json").write_text('{"_class_name": "UNet3DConditionModel"}')
    with pytest.raises(ConfigError, match=r"no model is in it that is read here: .*a config\.json but no weights"):
        show(tmp_path / "model")
