"""Whatever net is chosen: built from its choice, it is a Net; built from its passport, it is the same one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_diff.config import registry
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.registry import choice, choices, named
from lightning_diff.models.build import build, denoising_net, load_part
from lightning_diff.nets.denoisers.base import Inputs, NetSpec
from lightning_diff.nets.unet import Condition
from lightning_diff.nets.weights import save_weights

CONDITION = Condition(torch.randn(2, 5, 24), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 12))
X, T = torch.randn(2, 4, 8, 8), torch.tensor([0.2, 0.9])


@pytest.fixture
def plugin() -> Iterator[type[NetSpec]]:
    """A net from outside: one file with its keys and its module, known while the test runs."""
    choices("net")

    class Pixelwise(nn.Module):
        checkpointing = False

        def __init__(self, channels: int, width: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(channels, width, 1), nn.SiLU(), nn.Conv2d(width, channels, 1))

        def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
            return self.layers(x)

        def prepare(self, condition: Condition) -> Condition:
            return condition

        def blocks(self) -> list[list[nn.Module]]:
            return [[self.layers[0]], [self.layers[2]]]

    @choice("net", "pixelwise")
    class PixelwiseSpec(NetSpec):
        """A perceptron at each place."""

        width: int = 8

        @staticmethod
        def module() -> type[nn.Module]:
            return Pixelwise

        def arguments(self, given: Inputs) -> dict[str, Any]:
            return {"channels": given.channels, "width": self.width}

        def legal_for(self, side: int) -> str | None:
            return None if side >= 16 else f"net.width={self.width}: too few places in {side} x {side}"

    yield PixelwiseSpec
    del registry._known["net"]["pixelwise"]


def described(spec: NetSpec, learned: bool = False) -> dict[str, Any]:
    config = compose_config([])
    return denoising_net(spec, config.autoencoder, CONDITION, learned, config.objective)


@pytest.mark.parametrize("name", ["uvit", "small", "ldm", "pixelwise"])
def test_every_choice_is_built_as_a_net(name: str, plugin: type[NetSpec]) -> None:
    net: Any = build({"part": "net", "net": described(named("net", name)())})
    assert isinstance(net, named("net", name).module()) and net.checkpointing is False  # type: ignore[attr-defined]
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
        out = net(X, T, CONDITION)
        torch.testing.assert_close(net(X, T, net.prepare(CONDITION)), out)
    assert out.shape == X.shape
    groups = [{id(p) for module in block for p in module.parameters()} for block in net.blocks()]
    assert all(groups) and set[int]().union(*groups) <= {id(p) for p in net.parameters()}
    assert max(len(group) for group in groups) < len(list(net.parameters()))


def test_a_passport_is_enough_to_build_a_net_from_outside(tmp_path: Path, plugin: type[NetSpec]) -> None:
    passport = {"part": "net", "net": described(plugin(width=6), learned=True)}
    net = build(passport)
    save_weights(tmp_path / "w.safetensors", net.state_dict(), passport)
    again = load_part(tmp_path / "w.safetensors")
    assert torch.equal(again(X, T, CONDITION), net(X, T, CONDITION)) and again.null.tokens.shape == (1, 5, 24)
    with pytest.raises(ConfigError, match=r"net=elsewhere: no such choice"):
        build({"part": "net", "net": {"kind": "elsewhere"}})


def test_a_net_says_which_latents_it_takes(plugin: type[NetSpec]) -> None:
    assert compose_config(["net=pixelwise", "net.width=4"]).net == plugin(width=4)
    with pytest.raises(ConfigError, match=r"^net\.width=8: too few places in 8 x 8$"):
        compose_config(["net=pixelwise", "data.image_size=32"])


def test_a_passport_from_before_nets_had_names_is_that_of_the_small_one() -> None:
    net = {k: v for k, v in described(named("net", "small")()).items() if k != "kind"}
    torch.manual_seed(0)
    old = build({"part": "unet", "net": net})
    torch.manual_seed(0)
    new = build({"part": "net", "net": {"kind": "small", **net}})
    assert all(torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))
