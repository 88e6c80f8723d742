"""The weights with which alignDRAW begins: those of the released code, or larger ones, from which it learns sooner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .model import AlignDraw

SPREAD = 0.01  # standard deviation of the released code's initial weights
WORD = 0.5  # of the weights of one-hot words: one of them alone is not 0
PRIOR = 0.1  # the prior's weights are that much smaller, so that it begins near N(0, I)
REMEMBER = 1.0  # bias of the forget gates (Jozefowicz et al. 2015)
PART = 0.5  # the side of the first windows, as a share of the picture's
OVERLAP = 0.5  # sigma of the first windows' filters, as a share of their stride


@torch.no_grad()
def paper_start(net: AlignDraw) -> None:
    """All weights are N(0, 0.01^2), all biases 0."""
    for name, p in net.named_parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=SPREAD)
        elif "bias" in name:
            nn.init.zeros_(p)


@torch.no_grad()
def scaled_start(net: AlignDraw) -> None:
    """A matrix has the standard deviation 1 / sqrt(inputs) (LeCun et al. 1998), so that a word reaches the canvas from the first
    step on. A window begins in the middle, with filters that overlap: with the weights of the released code it reads and
    writes 64 dots, which tell little of where to move."""
    paper_start(net)
    windows = ((net.look, net.sides[0]), (net.place, net.sides[1]))
    for module in net.modules():
        if isinstance(module, nn.Linear) and module not in (net.look, net.place):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    net.prior.weight.mul_(PRIOR)
    for rnn in (net.reader.forwards, net.reader.backwards):
        part = dict(rnn.named_parameters())
        nn.init.normal_(part["weight_ih_l0"], std=WORD)
        nn.init.normal_(part["weight_hh_l0"], std=rnn.hidden_size**-0.5)
        _remember(part["bias_ih_l0"])
    for cell in (net.encoder, net.decoder):
        _remember(cell.gates.bias)
    for layer, side in windows:
        stride = PART * (net.size - 1) / max(side - 1, 1)
        layer.bias[2] = math.log(PART)
        layer.bias[3] = 2 * math.log(OVERLAP * stride)


def _remember(bias: Tensor) -> None:
    """Set the forget gates, the second quarter of an LSTM's bias."""
    width = len(bias) // 4
    bias[width : 2 * width] = REMEMBER
