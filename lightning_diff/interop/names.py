"""Translation between three sets of parameter names: ours, diffusers', and those of LDM checkpoints (CompVis, Stability AI).

Ours are diffusers' names, but the projections of attention are fused, and 1x1 convolutions of transformers are matrices. LDM's
names come from a table of prefixes, which follows LDM's numbering of the net's blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]
FUSED = {  # our fused projection -> diffusers' projections
    "to_qkv": ("to_q", "to_k", "to_v"),
    "to_kv": ("to_k", "to_v"),
}
OLD_VAE = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers before 0.16
MATRICES = re.compile(r"attentions\.\d+\.(proj_in|proj_out|to_qkv|to_out\.0)\.weight$")


def from_diffusers(state: Mapping[str, Tensor]) -> State:
    """Rename diffusers' parameters to our names."""
    out: State = {}
    for name, tensor in state.items():
        for old, new in OLD_VAE.items():
            name = re.sub(rf"(attentions\.\d+)\.{old}\.", rf"\1.{new}.", name)
        out[name] = tensor
    for name in list(out):
        kind = "to_kv" if ".attn2." in name else "to_qkv"
        if name not in out or f".{FUSED[kind][0]}." not in name:
            continue
        first = f".{FUSED[kind][0]}."
        parts = [out.pop(name.replace(first, f".{part}.")) for part in FUSED[kind]]
        out[name.replace(first, f".{kind}.")] = torch.cat([p.flatten(1) if p.ndim == 4 else p for p in parts])
    return {n: t.flatten(1) if t.ndim == 4 and MATRICES.search(n) else t for n, t in out.items()}


def to_diffusers(state: Mapping[str, Tensor], convolutions: bool = False) -> State:
    """Rename our parameters to diffusers' names. `convolutions` writes proj_in and proj_out as 1x1 convolutions, as in Stable
    Diffusion 1.x."""
    out: State = {}
    for name, tensor in state.items():
        fused = next((f for f in FUSED if f".{f}." in name), None)
        if fused:
            for part, piece in zip(FUSED[fused], tensor.chunk(len(FUSED[fused])), strict=True):
                out[name.replace(f".{fused}.", f".{part}.")] = piece.contiguous()
        elif convolutions and re.search(r"\.(proj_in|proj_out)\.weight$", name):
            out[name] = tensor[:, :, None, None]
        else:
            out[name] = tensor
    return out


def from_ldm(state: Mapping[str, Tensor], table: Mapping[str, str], inner: Mapping[str, str]) -> State:
    """Rename a single file's parameters (without their common prefix) to diffusers' names. `table` translates the prefix (the
    longest one that fits), `inner` translates the rest. A name that the table does not know stays, so that the net refuses it."""
    out: State = {}
    prefixes = sorted(table, key=len, reverse=True)
    for name, tensor in state.items():
        prefix = next((p for p in prefixes if name.startswith(p + ".")), None)
        if prefix is None:
            out[name] = tensor
            continue
        rest = name[len(prefix) :]
        for old, new in inner.items():
            if rest.startswith(old + "."):
                rest = new + rest[len(old) :]
                break
        out[table[prefix] + rest] = tensor
    return out


RESNET = {  # LDM's names inside a UNet's residual block
    ".in_layers.0": ".norm1",
    ".in_layers.2": ".conv1",
    ".emb_layers.1": ".time_emb_proj",
    ".out_layers.0": ".norm2",
    ".out_layers.3": ".conv2",
    ".skip_connection": ".conv_shortcut",
    ".op": ".conv",
}
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def unet_table(blocks: int, depth: list[int]) -> dict[str, str]:
    """LDM's prefix -> diffusers' prefix, for a UNet with `blocks` blocks per level and `depth` transformer layers at each
    level."""
    table, n, last = dict(UNET_ENDS), 1, len(depth) - 1
    for i, layers in enumerate(depth):
        for j in range(blocks):
            table[f"input_blocks.{n}.0"] = f"down_blocks.{i}.resnets.{j}"
            if layers:
                table[f"input_blocks.{n}.1"] = f"down_blocks.{i}.attentions.{j}"
            n += 1
        if i < last:
            table[f"input_blocks.{n}.0"] = f"down_blocks.{i}.downsamplers.0"
            n += 1
    n = 0
    for i, layers in enumerate(reversed(depth)):
        for j in range(blocks + 1):
            table[f"output_blocks.{n}.0"] = f"up_blocks.{i}.resnets.{j}"
            if layers:
                table[f"output_blocks.{n}.1"] = f"up_blocks.{i}.attentions.{j}"
            if i < last and j == blocks:
                table[f"output_blocks.{n}.{2 if layers else 1}"] = f"up_blocks.{i}.upsamplers.0"
            n += 1
    return table


VAE_BLOCK = {".nin_shortcut": ".conv_shortcut", ".norm": ".group_norm", ".q": ".to_q", ".k": ".to_k", ".v": ".to_v"}
VAE_BLOCK |= {".proj_out": ".to_out.0"}


def vae_table(levels: int, blocks: int) -> dict[str, str]:
    """LDM's prefix -> diffusers' prefix, for an autoencoder with `levels` levels."""
    table = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for half, way, down, more in (("encoder", "down", True, 0), ("decoder", "up", False, 1)):
        table |= {f"{half}.conv_in": f"{half}.conv_in", f"{half}.conv_out": f"{half}.conv_out"}
        table |= {
            f"{half}.norm_out": f"{half}.conv_norm_out",
            f"{half}.mid.block_1": f"{half}.mid_block.resnets.0",
            f"{half}.mid.attn_1": f"{half}.mid_block.attentions.0",
            f"{half}.mid.block_2": f"{half}.mid_block.resnets.1",
        }
        for i in range(levels):
            theirs = i if down else levels - 1 - i
            for j in range(blocks + more):
                table[f"{half}.{way}.{theirs}.block.{j}"] = f"{half}.{way}_blocks.{i}.resnets.{j}"
            if i + 1 < levels:
                table[f"{half}.{way}.{theirs}.{way}sample"] = f"{half}.{way}_blocks.{i}.{way}samplers.0"
    return table


def to_ldm(state: Mapping[str, Tensor], table: Mapping[str, str], inner: Mapping[str, str]) -> State:
    """Rename diffusers' parameters to LDM's names."""
    inside = {new: old for old, new in inner.items()}
    out: State = {}
    back = {new: old for old, new in table.items()}
    for name, tensor in state.items():
        prefix = max((p for p in back if name.startswith(p + ".")), key=len)
        rest = name[len(prefix) :]
        sampler = prefix.endswith("downsamplers.0")
        for old, new in inside.items():
            if rest.startswith(old + ".") and (old != ".conv" or sampler):
                rest = new + rest[len(old) :]
                break
        out[back[prefix] + rest] = tensor
    return out
