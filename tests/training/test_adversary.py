"""The autoencoder's adversarial and perceptual losses, by what they are said to be."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from lightning_diff.cluster.signals import Interrupted
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.nets.autoencoder import Autoencoder
from lightning_diff.nets.perceptual import Lpips, TowerDistance
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import Tokenizer
from lightning_diff.pipeline.stages import train
from lightning_diff.tracking.record import Record
from lightning_diff.training.adversary import Adversary
from lightning_diff.training.callbacks import Checkpoint
from lightning_diff.training.checkpoint import read_checkpoint
from tests.conftest import short


def pictures(n: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_both_losses_pull_alike_at_the_last_layer() -> None:
    """Esser et al. 2021, eq. 7: with weight 1 the two gradients there are of equal size."""
    torch.manual_seed(0)
    net, adversary, x = Autoencoder((16, 16), blocks=1), Adversary(1.0, 1e-4, 0), pictures()
    y = net.decode_raw(net.moments(x)[0])
    adversary.update(x, y)
    reconstruction, last = (y - x).abs().mean(), net.last_layer()
    loss, weight = adversary.loss(reconstruction, y, last)
    a, b = (torch.autograd.grad(v, last, retain_graph=True)[0].norm() for v in (reconstruction, loss))
    assert weight > 0 and abs(float(a / b) - 1) < 0.02
    loss.backward()
    assert all(p.grad is None or not p.requires_grad for p in adversary.net.parameters())


def test_the_discriminator_learns_to_tell() -> None:
    torch.manual_seed(0)
    adversary, x = Adversary(1.0, 2e-3, 0), pictures(16)
    smooth = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    first = float(adversary.update(x, smooth))
    for _ in range(30):
        last = float(adversary.update(x, smooth))
    assert last < 0.5 * first


def test_lpips_is_torchmetrics(tmp_path: Path) -> None:
    """With a VGG-16 of random weights from a local file."""
    torch.manual_seed(0)
    vgg = torchvision.models.vgg16(weights=None)
    save_file({n: t for n, t in vgg.state_dict().items() if n.startswith("features.")}, tmp_path / "vgg.safetensors")
    mine, x = Lpips(tmp_path / "vgg.safetensors"), pictures(2, 64)
    y = (x + 0.3 * torch.randn_like(x)).clamp(-1, 1)
    assert float(mine(x, x)) == 0 and not any(p.requires_grad for p in mine.parameters())

    class Given(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            """LPIPS (Zhang et al. 2018, eq. 1) on torchvision's own net."""
            shift, scale = (torch.tensor(v)[:, None, None] for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
            total, (p, q) = torch.zeros(len(a)), ((v - shift) / scale for v in (a, b))
            lins = [layer.weight for layer in mine.linear]
            for i, layer in enumerate(vgg.features):
                p, q = layer(p), layer(q)
                if i in (3, 8, 15, 22, 29):
                    d = (p / p.norm(dim=1, keepdim=True) - q / q.norm(dim=1, keepdim=True)).square()
                    total = total + (d * lins[(3, 8, 15, 22, 29).index(i)]).sum(1).mean(dim=(1, 2))
            return total

    with torch.no_grad():
        expected = Given()(x, y).mean()
    torch.testing.assert_close(mine(x, y), expected, rtol=1e-3, atol=1e-6)
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="not torchvision's VGG-16"):
        Lpips(tmp_path / "x.safetensors")


def test_a_towers_distance_sees_differences() -> None:
    torch.manual_seed(0)
    text = {"context_length": 8, "width": 32, "heads": 1, "layers": 1}
    vision = {"layers": 2, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 32}
    tower = Tower({"embedding": 16, "vision": vision, "text": text, "vocabulary": Tokenizer.words_of(["a"])})
    distance, x = TowerDistance(tower), pictures()
    noise = torch.randn_like(x)
    near, far = (float(distance(x, (x + s * noise).clamp(-1, 1))) for s in (0.05, 0.5))
    assert float(distance(x, x)) == 0 and 0 < near < far
    y = x.clone().requires_grad_(True)
    distance(pictures() * 0.5, y).backward()
    assert y.grad is not None and float(y.grad.abs().sum()) > 0


@pytest.mark.usefixtures("common_cache")
def test_training_with_both_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after step 2 of 4 and continued: the same bits, discriminator and all."""
    words = [*short("autoencoder"), "autoencoder.adversarial=0.5", "autoencoder.perceptual=0.1"]
    words += ["autoencoder.adversarial_from=1", "training.steps=4", f"outputs={tmp_path}", f"cache={tmp_path}/cache"]

    def run(folder: str) -> None:
        train(compose_config(words), tmp_path / folder)

    def then_stop(self: Checkpoint, trainer: Any, *more: Any) -> None:
        after(self, trainer, *more)
        if trainer.global_step == 2:
            raise Interrupted(15, 2)

    run("whole")
    after = Checkpoint.on_train_batch_end
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Checkpoint, "on_train_batch_end", then_stop)
        run("half")
    run("half")
    whole, half = (read_checkpoint(tmp_path / n / "checkpoints" / "last.ckpt") for n in ("whole", "half"))
    for row in Record(tmp_path / "whole").curve():
        assert ("loss_discriminator" in row) == (row["step"] >= 2)
        assert {"perceptual", "kl", "psnr"} <= set(row)
    assert all(torch.equal(t, half["state_dict"][n]) for n, t in whole["state_dict"].items())
    assert all(torch.equal(t, half["adversary"]["net"][n]) for n, t in whole["adversary"]["net"].items())
