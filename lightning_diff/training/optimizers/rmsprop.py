"""RMSProp as alignDRAW uses it: the small number is inside the root, and a step that is not finite changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RMSProp(torch.optim.Optimizer):
    """square <- rho square + (1 - rho) g^2;  p <- p - lr g / sqrt(square + eps) (Tieleman and Hinton 2012). If `found_inf`, which
    BaseModule sets, is 1, the step is skipped without waiting for the device."""

    found_inf: Tensor | None = None

    def __init__(self, parameters: Iterable[Tensor], lr: float, rho: float = 0.9, eps: float = 1e-6) -> None:
        super().__init__(parameters, {"lr": lr, "rho": rho, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state, skip = self.state[p], self.found_inf
                if not state:
                    state["square"] = torch.zeros_like(p)
                g, share = p.grad, p.new_tensor(1 - group["rho"])
                if skip is not None:
                    g, share = torch.where(skip > 0, 0.0, g), share * (1 - skip)
                square = state["square"]
                square.lerp_(g.square(), share)
                p.addcdiv_(g, (square + group["eps"]).sqrt(), value=-float(group["lr"]))
        return loss
