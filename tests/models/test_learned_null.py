"""What a net with a learned null condition trains."""

import pytest
import torch

from lightning_diff.config.compose import compose_config
from lightning_diff.models.build import build, denoising_net
from lightning_diff.nets.autoencoder import LatentSpace
from lightning_diff.nets.unet import Condition


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
