"""The memory of a training and the size of its checkpoint, computed before anything is allocated."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable
from typing import Any

import torch
from lightning_utilities import apply_to_collection
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from .features import rows_of
from .modules.base import BaseModule
from .optimizers.muon import inner_matrices


def tensor_bytes(*trees: Any) -> int:
    """The bytes of the storages of all tensors in these trees. Each storage counts once."""
    return sum({_storage(t): t.untyped_storage().nbytes() for t in _tensors(trees)}.values())


def _tensors(tree: Any) -> list[Tensor]:
    found: list[Tensor] = []
    apply_to_collection(tree, Tensor, found.append)
    return found


def _storage(t: Tensor) -> int:
    """A number that all tensors of one storage share, as long as the storage lives."""
    return id(t.untyped_storage())


class Live(TorchDispatchMode):
    """Counts the bytes of the storages that operations make while it is active. `peak` is the largest number of bytes that
    lived at the same time. `made` is the number of storages: a GPU would start about as many kernels."""

    def __init__(self, held: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = self.made = 0
        self.sizes = {_storage(p): 0 for p in (*held.parameters(), *held.buffers())}  # these exist already

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in _tensors(out):
            if (key := _storage(t)) not in self.sizes:
                storage = t.untyped_storage()
                self.sizes[key] = storage.nbytes()
                self.now += storage.nbytes()
                self.made += 1
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._gone, key)
        return out

    def _gone(self, key: int) -> None:
        self.now -= self.sizes.pop(key)


def fake_step(make: Callable[[], nn.Module], run: Callable[[Any], Tensor], bf16: bool) -> Live:
    """Count a forward and a backward pass; `run(net)` returns the output. `peak` is the largest memory that gradients,
    activations and intermediate results need at the same time. The passes run on fake tensors: each operation says how large
    its results are, and nothing is computed."""
    with FakeTensorMode():
        net = make()
        live = Live(net)
        with live:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                out = run(net)
            out.float().square().mean().backward()
        return live


def encoding_bytes(make: Callable[[], nn.Module], image_size: int) -> int:
    """The largest memory that the autoencoder's activations need while the features of the pictures are computed."""
    with FakeTensorMode(), torch.no_grad():
        net: Any = make()
        live = Live(net)
        with live:
            net.encode(torch.empty(rows_of(image_size), 3, image_size, image_size))
        return live.peak


def _moments(net: nn.Module, optimizer: str = "adamw") -> dict[int, Any]:
    """The optimizer's state after its first step: two moments of a parameter that AdamW steps, one of one that Muon steps."""
    trained, like = [p for p in net.parameters() if p.requires_grad], torch.empty_like
    one = {id(p) for p in inner_matrices(net)} if optimizer == "muon" else set()
    names = [("momentum",) if id(p) in one else ("exp_avg", "exp_avg_sq") for p in trained]
    return {
        i: {"step": torch.empty((), device=p.device), **{name: like(p) for name in moments}}
        for i, (p, moments) in enumerate(zip(trained, names, strict=True))
    }


def checkpoint_bytes(module: BaseModule) -> int:
    """The size of `last.ckpt`; the module is on the meta device. It is the bytes of all tensors, plus the size of the file
    that torch.save writes for a checkpoint of the same shapes without the numbers."""
    # The first step makes the averages: before it there are none to save.
    module.ema.update(1)
    if module.posthoc is not None:
        module.posthoc.update(1)
    moments = _moments(module, module.training_config.optimizer)
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict(), "optimizer_states": [moments]}
    module.on_save_checkpoint(checkpoint)
    if "adversary" in checkpoint:
        checkpoint["adversary"]["optimizer"] = _moments(module.adversary.net)  # type: ignore[arg-type, union-attr]
    tiny: dict[int, Tensor] = {}
    hollow = apply_to_collection(
        checkpoint, Tensor, lambda t: tiny.setdefault(_storage(t), torch.zeros(())).expand(t.shape)
    )
    file = io.BytesIO()
    torch.save(hollow, file)
    return tensor_bytes(checkpoint) + len(file.getvalue())


def held_bytes(module: BaseModule, ranks: int) -> dict[str, int]:
    """The bytes that stay on a rank's device from one step to the next, by what they are for. With sharding, two blocks at a
    time are unsharded, with their gradients: the block that is computed, and the next one."""
    trained, averaged = (tensor_bytes([p for p in m.parameters() if p.requires_grad]) for m in (module, module.net))
    once = tensor_bytes(inner_matrices(module)) if module.training_config.optimizer == "muon" else 0
    found = {
        "weights": tensor_bytes(list(module.parameters()), list(module.buffers())),
        "optimizer's moments": 2 * trained - once,
        "EMA": averaged * (3 if module.posthoc else 1),
    }
    if (adversary := getattr(module, "adversary", None)) is not None:
        found["discriminator"] = 4 * tensor_bytes(
            list(adversary.net.parameters())
        )  # weights, gradients and two moments
    if module.training_config.strategy == "ddp":
        return found | ({"buckets of gradients": trained} if ranks > 1 else {})
    net: Any = module.net
    largest = sorted(tensor_bytes([list(part.parameters()) for part in block]) for block in net.blocks())[-2:]
    return {name: count // ranks for name, count in found.items()} | {"blocks that are whole": 2 * sum(largest)}
