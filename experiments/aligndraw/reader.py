"""A reader of digits that may be soft: which digit stands in each place that a caption asks for, and whether the ink is there.

The classifier of experiment=attributes was trained on sharp pictures. It calls real pairs that were blurred by 1.5 pixels single
digits, and so it says little of what a young alignDRAW draws. This one sees one digit at a time, blurred by 0 to 2.5 pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lightning_diff.data.synthetic.attributes import LAYOUTS
from lightning_diff.data.synthetic.digits import CANVAS, FRAMES, handwriting
from lightning_diff.data.synthetic.idx import SIDE

FRAME = 32  # pixels of a side: a digit and its play
BLUR = 2.5  # pixels: the standard deviation of the widest blur
STEPS, BATCH, RATE = 400, 128, 3e-3
INSIDE, EACH = 0.9, 0.15  # shares of the ink: in all frames that are asked for, and at least in each of them


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Pictures [B, 1, H, W], blurred by a Gaussian of `sigma` pixels."""
    if sigma < 0.3:
        return x
    far = torch.arange(-8.0, 9.0)
    g = (-(far / sigma).square() / 2).exp()
    g = g / g.sum()
    return F.conv2d(F.conv2d(x, g[None, None, None], padding=(0, 8)), g[None, None, :, None], padding=(8, 0))


def pools_of(folder: str | None) -> list[Tensor]:
    """The training pictures of each digit, [n, 28, 28] in [0, 1]. MNIST's have that size already."""
    found = []
    for some in handwriting(folder)["train"]:
        grown = [np.array(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for p in some]
        found.append(torch.from_numpy(np.stack(grown)).float() / 255)
    return found


def trained(folder: str | None) -> nn.Module:
    """The classifier: [B, 1, 32, 32] in [0, 1] -> the logits of ten digits. It trains for about 20 seconds."""
    with torch.random.fork_rng():
        torch.manual_seed(3003)
        net = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
        pools, rng = pools_of(folder), np.random.default_rng(3003)
        optimizer = torch.optim.AdamW(net.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, STEPS)
        for _ in range(STEPS):
            labels, shown = torch.from_numpy(rng.integers(10, size=BATCH)), torch.zeros(BATCH, 1, FRAME, FRAME)
            for i, digit in enumerate(labels.tolist()):
                x, y = rng.integers(FRAME - SIDE + 1, size=2)
                shown[i, 0, y : y + SIDE, x : x + SIDE] = pools[digit][rng.integers(len(pools[digit]))]
            shown = blurred(shown, float(rng.uniform(0, BLUR))) * float(rng.uniform(0.5, 1))
            loss = F.cross_entropy(net(shown), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def frames(layout: int) -> list[tuple[slice, slice]]:
    """(rows, columns) of the frame of each digit of a layout, on a canvas of 60 x 60."""
    return [
        (slice(top, min(top + FRAME, CANVAS)), slice(left, min(left + FRAME, CANVAS)))
        for (left, _), (top, _) in FRAMES[LAYOUTS[layout]]
    ]


@torch.no_grad()
def read(net: nn.Module, images: Tensor, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{place, first_digit, second_digit, all: bool [N]} of pictures, uint8 [N, 3, 60, 60]: whether the ink is where it was asked
    for, which digits are right (True for a second one that was not asked for), and whether all of it is."""
    ink = images[:, 0].float() / 255
    found: dict[str, list[bool]] = {"place": [], "first_digit": [], "second_digit": []}
    for page, layout, *digits in zip(ink, *(labels[n].tolist() for n in ("layout", *list(found)[1:])), strict=True):
        some = frames(layout)
        asked = torch.zeros_like(page, dtype=torch.bool)
        for frame in some:
            asked[frame] = True
        total = page.sum().clamp(min=1e-6)
        least = min(float(page[frame].sum() / total) for frame in some)
        found["place"].append(bool(page[asked].sum() / total >= INSIDE) and least >= EACH and float(page.max()) > 0.1)
        for n, name in enumerate(list(found)[1:]):
            if n >= len(some):
                found[name].append(True)
                continue
            cut = page[some[n]]
            one = F.pad(cut, (0, FRAME - cut.shape[1], 0, FRAME - cut.shape[0]))
            found[name].append(int(net(one[None, None]).argmax()) == digits[n])
    right = {name: torch.tensor(values) for name, values in found.items()}
    return right | {"all": torch.stack(list(right.values())).all(dim=0)}
