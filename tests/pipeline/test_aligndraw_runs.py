"""alignDRAW as a run: trained, killed and resumed, measured, drawn, and refused where it makes no sense."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_diff.cli.commands import sample_command
from lightning_diff.cli.drawing.explore import explore_command
from lightning_diff.config.compose import compose_config, load_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.ignored import check_words
from lightning_diff.config.schema import Training
from lightning_diff.data.sources.digits import Digits
from lightning_diff.data.synthetic.idx import folder_hash, read_digits
from lightning_diff.models.align_draw import AlignDrawModel
from lightning_diff.nets.aligndraw.model import AlignDraw
from lightning_diff.nets.weights import read_state
from lightning_diff.pipeline.objects import generator_of
from lightning_diff.pipeline.stages import train
from lightning_diff.tracking.record import Record
from lightning_diff.training.checkpoint import read_checkpoint
from lightning_diff.training.modules.aligndraw import AlignDrawModule
from lightning_diff.training.optimizers.rmsprop import RMSProp
from tests.conftest import short

pytestmark = pytest.mark.usefixtures("common_cache")
TINY = ["net.glimpses=3", "net.encoder=16", "net.decoder=16", "net.latent=4", "net.align=8", "net.caption=8"]


def words(root: Path, *more: str) -> list[str]:
    return short("aligndraw", *TINY, f"outputs={root}", f"cache={root}/cache", *more)


def idx(folder: Path, side: int = 28, last: int = 9) -> Path:
    """MNIST's four files with 20 and 10 digits; picture n of a digit is filled with a shade of its own."""
    folder.mkdir()
    for name, count in (("train", 20), ("t10k", 10)):
        labels = bytes(min(i % 10, last) for i in range(count))
        pictures = b"".join(bytes([100 + i]) * side**2 for i in range(count))
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, count, side, side) + pictures)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels)
    return folder


def test_a_run_is_trained_measured_drawn_and_explored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "aligndraw"
    train(compose_config(words(tmp_path)), folder)
    row = Record(folder).read("sweep")[0]
    assert (row["scale"], row["nfe"], row["n"]) == (1.0, 3, 8)
    assert row["passport"]["sampler"] == {"kind": "aligndraw", "steps": 3, "precision": "float32"}
    assert {"loss", "bce", "kl"} <= set(Record(folder).curve()[-1])
    kept = json.loads((folder / "samples" / "kept.json").read_text())
    assert kept["scale"] == 1.0 and (folder / "report.html").is_file()
    model = generator_of(load_config(folder / "config.yaml"), folder)
    assert isinstance(model, AlignDrawModel)
    prompts = ["the digit one is above the digit two", "the digit nine is at the top left of the image"]
    with torch.no_grad():  # three steps taught it nothing, so its canvas is still black
        for name, p in model.net.named_parameters():
            p.zero_() if name == "canvas" else p.add_(
                0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
            )
    both, alone = model.generate(prompts, [5, 6]), model.generate(prompts[1:], [6])
    assert both.shape == (2, 3, 60, 60) and both.dtype == torch.uint8
    assert (both[1].int() - alone[0].int()).abs().max() <= 1  # its picture depends on its prompt and its seed alone
    assert not torch.equal(both[1], model.generate(prompts[1:], [7])[0])
    for wrong in ({"scale": 2.0}, {"negative": ["a digit"] * 2}):
        with pytest.raises(ConfigError, match="no guidance"):
            model.generate(prompts, [1, 2], **wrong)  # type: ignore[arg-type]
    monkeypatch.setattr(
        sys, "argv", ["sample.py", f"run={folder}", f"prompt={prompts[0]}", "count=2", f"out={tmp_path}/drawn"]
    )
    sample_command()
    assert len(list((tmp_path / "drawn").glob("*.png"))) == 3
    monkeypatch.setattr(sys, "argv", ["explore.py", f"run={folder}", f"prompt={prompts[0]}", "count=64"])
    explore_command()
    page = (folder / "explore.html").read_text().replace("http://www.w3.org/2000/svg", "")  # the name of SVG's elements
    assert prompts[0] in page and "http://" not in page and "https://" not in page
    for name in ("prompt-1", "read"):
        with Image.open(folder / "explore" / f"{name}.gif") as gif:
            assert gif.n_frames == 3  # type: ignore[attr-defined]
        assert (folder / "explore" / f"{name}.png").is_file()


@pytest.mark.parametrize("sharpen", [0, 4])
def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(sharpen: int, tmp_path: Path) -> None:
    more = [
        "evaluation.enabled=false",
        "training.steps=6",
        "training.schedule=wsd",
        "training.decay=0.5",
        "training.warmup=1",
        f"net.sharpen={sharpen}",
    ]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(compose_config(words(tmp_path, *more)), whole)
    shutil.copytree(whole, resumed)
    (resumed / "weights.safetensors").unlink()
    (resumed / "checkpoints" / "undecayed.ckpt").rename(resumed / "checkpoints" / "last.ckpt")
    assert 0 < int(read_checkpoint(resumed / "checkpoints" / "last.ckpt")["global_step"]) < 6
    train(compose_config(words(tmp_path, *more)), resumed)
    first, second = (read_state(run / "weights.safetensors") for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(name.startswith("sharpener") for name in first) == bool(sharpen)
    if sharpen:
        assert "loss_discriminator" in Record(whole).curve()[-1]
        model = generator_of(load_config(whole / "config.yaml"), whole)
        assert model.generate(["the digit one is above the digit two"], [0], 1.0).shape == (1, 3, 60, 60)


def test_the_papers_recipe_clips_each_tensor_and_the_others_the_whole_gradient() -> None:
    for optimizer, wanted in (("rmsprop", [0.5, 1.0]), ("adamw", [0.5 / 16.25**0.5, 4 / 16.25**0.5])):
        module = AlignDrawModule(AlignDraw(["one"], 1, 9, 1, 1), Training(optimizer=optimizer), seed=0)
        assert isinstance(module.optimizer(), RMSProp) == (optimizer == "rmsprop")
        tensors = module.net.look.bias, module.net.patch.bias
        for tensor, slope in zip(tensors, (0.5, 4.0), strict=True):
            tensor.grad = torch.zeros_like(tensor)
            tensor.grad[0] = slope
        assert float(module.clip_gradient(1.0)) == pytest.approx(16.25**0.5)
        assert [float(t.grad[0]) for t in tensors if t.grad is not None] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "guidance.scales=[1,3]",
            r"guidance\.scales=\[1\.0, 3\.0\]: alignDRAW has no guidance.*guidance\.scales=\[1\]",
        ),
        ("guidance.scale=2", r"guidance\.scale=2\.0: alignDRAW has no guidance"),
        ("guidance=interval", "guidance=cfg.*no guidance"),
        ("training.optimizer=rmsprop training.weight_decay=0.1", "would be ignored; .*rmsprop has none"),
        ("net.adversarial=1", "net.sharpen > 0"),
        ("training.compile=true", "would be ignored"),
        ("evaluation.every=2", "needs task=diffusion"),
        ("data.digits=/nowhere", "data.digits=/nowhere: no such folder"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        compose_config(["experiment=aligndraw", *more.split()])
    assert "\n" not in str(found.value)


def test_its_net_is_no_denoising_net_and_keys_of_diffusion_are_ignored() -> None:
    for word in ("net=aligndraw", "task=aligndraw"):
        with pytest.raises(ConfigError, match="experiment=aligndraw"):
            compose_config(["experiment=base", word])
    with pytest.raises(ConfigError, match=r"training\.optimizer=rmsprop: .*not of task=diffusion; adamw or muon"):
        compose_config(["experiment=base", "training.optimizer=rmsprop"])
    config = compose_config(["experiment=aligndraw"])
    for word in ("objective=v", "sampler.steps=3", "text.width=64", "autoencoder=ldm"):
        with pytest.raises(ConfigError, match="would be ignored"):
            check_words(config, [word])


def test_still_life_at_32_pixels_in_colour() -> None:
    config = compose_config(["experiment=aligndraw", "data=still_life", "data.image_size=32", "net.channels=3"])
    assert config.net.described(32, ["a mug"])["size"] == 32


def test_mnists_files_are_read_whatever_they_are_called_and_drawn_at_their_size(tmp_path: Path) -> None:
    plain = idx(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    for file in plain.iterdir():
        (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert folder_hash(plain) == folder_hash(packed)
    one, other = read_digits(plain), read_digits(packed)
    assert all((a == b).all() for split in one for a, b in zip(one[split], other[split], strict=True))
    assert [len(some) for some in one["train"]] == [2] * 10 and one["test"][3].max() == 103
    source = Digits(digits=str(plain), image_size=60)
    ink = np.asarray(next(s for s in source.samples("train") if s.labels["count"] == 0).picture)[..., 0]
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    assert len(rows) == len(columns) == 28  # not scaled
    assert source.fingerprint() != Digits(image_size=60).fingerprint() == "v2"


def test_damaged_files_of_digits_are_told_by_name(tmp_path: Path) -> None:
    small, lacking, cut = idx(tmp_path / "small", side=10), idx(tmp_path / "lacking", last=8), idx(tmp_path / "cut")
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte: not an idx file of bytes with Nx28x28"):
        read_digits(small)
    with pytest.raises(ConfigError, match="lacks a digit"):
        read_digits(lacking)
    (cut / "t10k-labels-idx1-ubyte").write_bytes(b"\0")
    with pytest.raises(ConfigError, match="t10k-labels-idx1-ubyte: not an idx file"):
        read_digits(cut)
    (cut / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ConfigError, match=r"t10k-labels-idx1-ubyte is not in it, also not with \.gz"):
        compose_config(["experiment=aligndraw", f"data.digits={cut}"])
