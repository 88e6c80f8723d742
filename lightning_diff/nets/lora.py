"""Low-rank adapters (LoRA, Hu et al. 2021) on the attention of latent diffusion's UNet: W + B A, where W is frozen.

A fused projection has one pair A, B for each projection in it. So the adapters match those of other projects for to_q,
to_k, ...
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PARTS = {"to_qkv": ("to_q", "to_k", "to_v"), "to_q": ("to_q",), "to_kv": ("to_k", "to_v"), "to_out.0": ("to_out.0",)}


class LoraLinear(nn.Module):
    """A linear layer whose output is a stack of `parts` projections, each with an adapter of rank `rank`. At first it computes
    the same as the original layer."""

    def __init__(self, base: nn.Linear, rank: int, parts: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        outputs, inputs = base.weight.shape
        self.a = nn.Parameter(torch.empty(parts, rank, inputs))
        self.b = nn.Parameter(torch.zeros(parts, outputs // parts, rank))
        nn.init.kaiming_uniform_(self.a.view(-1, inputs), a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(x, self.a.flatten(0, 1)).chunk(len(self.a), dim=-1)
        return self.base(x) + torch.cat([F.linear(piece, b) for piece, b in zip(low, self.b, strict=True)], dim=-1)

    def merged(self) -> Tensor:
        """The weight of one linear layer that computes the same."""
        return self.base.weight + (self.b @ self.a).flatten(0, 1)


def _targets(net: nn.Module) -> list[tuple[nn.Module, str, str, str]]:
    """For every projection of attention: (the module that holds it, its name there, its full name, its kind)."""
    found = []
    for name, module in net.named_modules():
        kind = next((k for k in PARTS if name.endswith("." + k)), None)
        if kind and ".transformer_blocks." in name and isinstance(module, nn.Linear | LoraLinear):
            holder, _, last = name.rpartition(".")
            found.append((net.get_submodule(holder), last, name, kind))
    return found


def add_lora(net: nn.Module, rank: int) -> None:
    """Freeze the net and add trainable adapters to every projection of its attention."""
    net.requires_grad_(False)
    for holder, last, _, kind in _targets(net):
        layer = LoraLinear(holder.get_submodule(last), rank, len(PARTS[kind]))  # type: ignore[arg-type]
        holder.register_module(last, layer)  # this also works for a ModuleList


def merged_state(net: nn.Module) -> dict[str, Tensor]:
    """The state of a net without adapters that computes the same."""
    state = dict(net.state_dict())
    for _, _, name, _ in _targets(net):
        layer = net.get_submodule(name)
        if isinstance(layer, LoraLinear):
            state = {n: t for n, t in state.items() if not n.startswith(name + ".")}
            state[f"{name}.weight"] = layer.merged().detach()
            if layer.base.bias is not None:
                state[f"{name}.bias"] = layer.base.bias.detach()
    return state


def adapters(net: nn.Module) -> dict[str, Tensor]:
    """Only the adapters, in the form that diffusers' load_lora_weights reads (alpha equals the rank, so nothing is scaled)."""
    out: dict[str, Tensor] = {}
    for _, _, name, kind in _targets(net):
        layer = net.get_submodule(name)
        if isinstance(layer, LoraLinear):
            for part, a, b in zip(PARTS[kind], layer.a, layer.b, strict=True):
                place = f"unet.{name.removesuffix(kind)}{part}"
                out[f"{place}.lora_A.weight"], out[f"{place}.lora_B.weight"] = a.detach(), b.detach()
    return out
