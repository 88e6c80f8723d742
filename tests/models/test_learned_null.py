"""What a net with a learned null condition trains."""

import pytest
import torch
from torch import nn

from lightning_diff.config.compose import compose_config
from lightning_diff.config.schema import Objective, Training
from lightning_diff.models.build import build, denoising_net
from lightning_diff.nets.autoencoder import LatentSpace
from lightning_diff.nets.unet import Condition, NullCondition
from lightning_diff.training.modules.diffusion import DiffusionModule


@pytest.mark.parametrize(
    "words", [["net.pooled=true"], ["net=small", "net.pooled=false"], ["net=small"], ["net=ldm_tiny"], []], ids=str
)
def test_all_that_a_net_with_a_learned_null_condition_trains_has_a_gradient(words: list[str]) -> None:
    """Several ranks wait for the gradient of each trained parameter."""
    config = compose_config(["experiment=base", "text.null=learned", *words])
    null = Condition(torch.zeros(1, 8, 32), torch.ones(1, 8, dtype=torch.bool), torch.zeros(1, 16))
    net = build({"part": "net", "net": denoising_net(config.net, LatentSpace(4, 4), null, True, config.objective)})
    net(torch.randn(2, 4, 8, 8), torch.rand(2), net.null().expand(2)).sum().backward()
    assert [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


class ReadsOne(nn.Module):
    """A user's net that reads the tokens alone, or the pooled output alone."""

    def __init__(self, reads: str) -> None:
        super().__init__()
        self.reads, self.layer, self.null = reads, nn.Linear(32, 4), NullCondition((8, 32, 32))

    def forward(self, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        read = condition.pooled if self.reads == "pooled" else condition.tokens.mean(1)
        return x + self.layer(read)[:, :, None, None]


@pytest.mark.parametrize("reads", ["tokens", "pooled"])
def test_so_has_all_that_a_net_of_a_user_trains(reads: str) -> None:
    net = ReadsOne(reads)
    null = Condition(torch.zeros(1, 8, 32), torch.ones(1, 8, dtype=torch.bool), torch.zeros(1, 32))
    module = DiffusionModule(net, Training(batch=4), 0, Objective(), null)
    said = {"tokens": torch.randn(4, 8, 32), "mask": torch.ones(4, 8, dtype=torch.bool), "pooled": torch.randn(4, 32)}
    latents = {"mean": torch.randn(4, 4, 8, 8), "std": torch.zeros(4, 4, 8, 8), "positions": torch.arange(4)}
    module.loss_of({**latents, **said}).backward()
    assert all(p.grad is not None for p in net.parameters())
    unread = net.null.pooled if reads == "tokens" else net.null.tokens
    assert unread.grad is not None and not unread.grad.any()
