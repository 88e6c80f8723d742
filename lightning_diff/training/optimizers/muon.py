"""Muon: the momentum of each inner matrix is orthogonalised before the step. The other parameters have AdamW."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed import all_gather, get_rank

from ...devices import full_float32
from ..graphs import Recorded, small
from ..sharding import full_tensor, local_shard, shard_like
from ..synced import ranks
from .orthogonal import orthogonalised

MOMENTUM = 0.95
NARROW = 16  # a layer with at most so many inputs or outputs reads or writes a picture or a latent: it has AdamW
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def inner_matrices(module: nn.Module) -> list[nn.Parameter]:
    """The trained weights of linear layers and convolutions that have more than NARROW inputs and outputs."""
    weights = [cast(nn.Parameter, m.weight) for m in module.modules() if isinstance(m, LAYERS)]
    return list(dict.fromkeys(w for w in weights if w.requires_grad and min(w.shape[:2]) > NARROW))


def shares(costs: Sequence[float], count: int) -> list[int]:
    """For each piece of work the rank that does it, so that all have about as much: the dearest first, to whoever has least."""
    done, found = [0.0] * count, [0] * len(costs)
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        found[i] = min(range(count), key=lambda rank: done[rank])
        done[found[i]] += costs[i]
    return found


def orthogonalised_together(updates: Sequence[Tensor]) -> list[Tensor]:
    """`orthogonalised` of each update [out, ...], which counts as the matrix [out, the rest]. The ranks share the work, and all
    get the same bits. Matrices of one shape are computed at once. All ranks must call this with the same updates."""
    count = ranks()
    costs = [min(u.shape[0], u[0].numel()) * float(u.numel()) for u in updates]
    parts: list[list[int]] = [[] for _ in range(count)]
    for i, rank in enumerate(shares(costs, count)):
        parts[rank].append(i)
    me = get_rank() if count > 1 else 0
    found: dict[int, Tensor] = {}
    alike: dict[torch.Size, list[int]] = {}
    for i in parts[me]:
        alike.setdefault(updates[i].shape, []).append(i)
    for shape, numbers in alike.items():
        stack = torch.stack([updates[i].flatten(1) for i in numbers]).float()
        for i, one in zip(numbers, orthogonalised(stack), strict=True):
            found[i] = one.unflatten(1, shape[1:])
    if count > 1:
        sizes = [[updates[i].numel() for i in part] for part in parts]
        most = max(map(sum, sizes))
        blank = updates[0].new_zeros(most - sum(sizes[me]), dtype=torch.float32)
        sent = torch.cat([*(found[i].flatten() for i in parts[me]), blank])
        came = [torch.empty_like(sent) for _ in parts]
        all_gather(came, sent)
        for part, size, flat in zip(parts, sizes, came, strict=True):
            pieces = flat.split([*size, most - sum(size)])[: len(part)]
            found |= {i: piece.view(updates[i].shape) for i, piece in zip(part, pieces, strict=True)}
    return [found[i] for i in range(len(updates))]


class Muon(torch.optim.AdamW):
    """For each inner matrix: m <- MOMENTUM m + (1 - MOMENTUM) g;  u = MOMENTUM m + (1 - MOMENTUM) g (Nesterov);
    p <- (1 - lr decay) p - lr 0.2 sqrt(max(rows, columns)) orthogonalised(u). The factor gives the step about the size of
    AdamW's (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4). If `found_inf`, which BaseModule sets, is 1, the step
    is skipped without waiting for the device.

    `rest` are AdamW's groups, `inner` is the group of the inner matrices, with its own lr."""

    found_inf: Tensor | None = None
    recorded: Recorded | None = None  # the step of the inner matrices

    def __init__(self, rest: Sequence[dict[str, Any]], inner: dict[str, Any], **options: Any) -> None:
        groups = [{**group, "muon": False} for group in rest if group["params"]]
        super().__init__([*groups, *([{**inner, "muon": True}] if inner["params"] else [])], **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        every = self.param_groups
        self.param_groups = [group for group in every if not group["muon"]]
        try:
            super().step()
        finally:
            self.param_groups = every
        for group in every:
            if group["muon"]:
                self._step_matrices(group)
        return loss

    def record(self) -> None:
        """Start the kernels of the matrices' step all at once (graphs.py). For one GPU; the parameters stay in their place."""
        for group in self.param_groups:
            if group["muon"] and small(group["params"]):
                self.recorded = Recorded(partial(self._move, group))

    def _step_matrices(self, group: dict[str, Any]) -> None:
        moved = [p for p in group["params"] if p.grad is not None]
        for p in moved:
            if not (state := self.state[p]):
                # AdamW asks for a step when it loads the state.
                state["step"] = torch.zeros((), device=local_shard(p).device)
                state["momentum"] = torch.zeros_like(p)
        grads = [cast(Tensor, p.grad) for p in moved]
        if self.recorded and self.found_inf is not None and len(moved) == len(group["params"]):
            self.recorded(torch.full_like(self.found_inf, group["lr"]), self.found_inf, *grads)
        elif moved:
            self._move({**group, "params": moved}, group["lr"], self.found_inf, *grads)

    def _move(self, group: dict[str, Any], rate: float | Tensor, found_inf: Tensor | None, *grads: Tensor) -> None:
        kept = 1.0 if found_inf is None else 1 - found_inf  # 0: this step changes nothing
        updates = []
        for p, g in zip(group["params"], grads, strict=True):
            momentum = self.state[p]["momentum"]
            if found_inf is not None:
                local_shard(g).masked_fill_(found_inf > 0, 0.0)
            local_shard(momentum).lerp_(local_shard(g), (1 - MOMENTUM) * kept)
            updates.append(full_tensor(g.lerp(momentum, MOMENTUM)))
        with full_float32(updates[0].device.type):
            steps = orthogonalised_together(updates)
        rate = rate * kept
        for p, update in zip(group["params"], steps, strict=True):
            size = 0.2 * max(p.shape[0], p.numel() // p.shape[0]) ** 0.5
            held = local_shard(p)
            held.mul_(1 - rate * group["weight_decay"]).sub_(shard_like(update, p).mul_(rate * size))
