"""alignDRAW's training step here, and in a straightforward implementation of the same equations with the same weights.

python benchmarks/aligndraw.py            # captioned digits in the paper's size, batch 100; some minutes on a core
python benchmarks/aligndraw.py --quick    # batch 16, one round

The straightforward one goes over the words of a caption in Python, both for the LSTMs and for the attention, makes the filters of
each axis apart, and reads the picture and the error image one after the other. Both must give the same bound. They take turns,
and the median of the rounds counts. --json FILE writes the numbers.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.data.synthetic.digits import sample  # noqa: E402
from lightning_diff.nets.aligndraw.captions import Words  # noqa: E402
from lightning_diff.nets.aligndraw.model import AlignDraw  # noqa: E402


def lstm(x: Tensor, h: Tensor, cell: Tensor, w: Tensor, u: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (x @ w.T + h @ u.T + b).chunk(4, dim=1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def filters(at: Tensor, stride: Tensor, sigma: Tensor, n: int, size: int) -> Tensor:
    rows = []
    for i in range(1, n + 1):
        mean = at + stride * (i - n / 2 - 0.5)
        row = torch.exp(-((torch.arange(1.0, size + 1) - mean[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
        rows.append(row / (row.sum(dim=1, keepdim=True) + 1e-4))
    return torch.stack(rows, dim=1)


def window(p: Tensor, n: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    gx, gy = (size + 1) / 2 * (p[:, 0] + 1), (size + 1) / 2 * (p[:, 1] + 1)
    stride, sigma = (size - 1) / (n - 1) * torch.exp(p[:, 2]), torch.exp(p[:, 3] / 2)
    return filters(gy, stride, sigma, n, size), filters(gx, stride, sigma, n, size), torch.exp(p[:, 4])


def straight(net: AlignDraw, ids: Tensor, lengths: Tensor, eps: Tensor, pictures: Tensor) -> Tensor:
    """The bound [B], one word and one glimpse after the other."""
    count, words, size = len(ids), net.reader.words, net.size
    halves = []
    for rnn, backwards in ((net.reader.forwards, False), (net.reader.backwards, True)):
        h = net.reader.h_0.expand(count, -1)
        cell, states = torch.zeros_like(h), [h] * ids.shape[1]
        order = range(ids.shape[1])
        for k in reversed(order) if backwards else order:
            hot = F.one_hot(ids[:, k], words + 1)[:, 1:].float()
            new_h, new_cell = lstm(hot, h, cell, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0)
            there = (k < lengths)[:, None]
            h, cell = torch.where(there, new_h, h), torch.where(there, new_cell, cell)
            states[k] = h
        halves.append(states)
    h_k = [torch.cat(pair, dim=1) for pair in zip(*halves, strict=True)]
    canvas = net.canvas.expand(count, *net.canvas.shape)
    dec = net.decoder.h_0.expand(count, -1)
    enc = net.encoder.h_0.expand(count, -1)
    dec_cell, enc_cell = torch.zeros_like(dec), torch.zeros_like(enc)
    mean_p = log_p = torch.zeros(count, net.latent)
    kl = torch.zeros(count)
    for t in range(net.glimpses):
        error = pictures - torch.sigmoid(canvas)
        fy, fx, gamma = window(net.look(dec), net.sides[0], size)
        seen = [
            (gamma[:, None, None] * (fy @ x[:, c] @ fx.transpose(1, 2))).flatten(1)
            for x in (pictures, error)
            for c in range(net.channels)
        ]
        energies = []
        for k, h in enumerate(h_k):
            e = net.align_energy(torch.tanh(net.align_words(h) + net.align_state(dec)))[:, 0]
            energies.append(torch.where(k < lengths, e, -torch.inf))
        alpha = torch.softmax(torch.stack(energies, dim=1), dim=1)
        sentence = sum(alpha[:, k, None] * h for k, h in enumerate(h_k))
        assert isinstance(sentence, Tensor)
        x, w = torch.cat([*seen, dec], dim=1), net.encoder.gates
        enc, enc_cell = lstm(x, enc, enc_cell, w.weight[:, : x.shape[1]], w.weight[:, x.shape[1] :], w.bias)
        mean, log_sigma = net.posterior(enc).chunk(2, dim=1)
        log_sigma = log_sigma / 2
        z = mean + torch.exp(log_sigma) * eps[:, t]
        ratio = ((mean - mean_p) ** 2 + torch.exp(log_sigma) ** 2) / torch.exp(log_p) ** 2
        kl = kl + 0.5 * (ratio - 1 - 2 * log_sigma + 2 * log_p).sum(dim=1)
        x, w = torch.cat([z, sentence], dim=1), net.decoder.gates
        dec, dec_cell = lstm(x, dec, dec_cell, w.weight[:, : x.shape[1]], w.weight[:, x.shape[1] :], w.bias)
        mean_p, log_p = torch.tanh(net.prior(dec)).chunk(2, dim=1)
        fy, fx, gamma = window(net.place(dec), net.sides[1], size)
        patch = net.patch(dec).view(count, net.channels, net.sides[1], net.sides[1])
        drawn = [fy.transpose(1, 2) @ patch[:, c] @ fx for c in range(net.channels)]
        canvas = canvas + torch.stack(drawn, dim=1) / gamma[:, None, None, None]
    return F.binary_cross_entropy_with_logits(canvas, pictures, reduction="none").flatten(1).sum(dim=1) + kl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    batch, rounds = (16, 1) if arguments.quick else (100, 5)
    torch.manual_seed(0)
    shown = [sample("train", 0, i, 60) for i in range(batch)]
    captions = [one.caption for one in shown]
    vocabulary, length = Words.of(captions, 64)
    net = AlignDraw(vocabulary, length, 60, 1)
    gray = [torch.tensor(list(one.picture.convert("L").getdata()), dtype=torch.float32) for one in shown]
    pictures, eps = torch.stack(gray).view(-1, 1, 60, 60) / 255, torch.randn(batch, net.glimpses, net.latent)
    ids, lengths = net.words(captions)

    def here() -> Tensor:
        bce, kl, *_ = net(captions, eps, pictures)
        return bce + kl

    sides: dict[str, Any] = {"here": here, "peer": lambda: straight(net, ids, lengths, eps, pictures)}
    with torch.no_grad():
        bounds = {side: work() for side, work in sides.items()}
    apart = float(((bounds["here"] - bounds["peer"]) / bounds["peer"]).abs().max())
    if apart > 1e-4:
        sys.exit(f"the two bounds differ by {apart:.1e}")
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, work in sides.items():
            begin = time.process_time()
            work().mean().backward()
            if number or rounds == 1:  # the first round warms up
                seconds[side].append(time.process_time() - begin)
    rate = {side: batch / statistics.median(some) for side, some in seconds.items()}
    print(
        f"images per second of processor time, {torch.get_num_threads()} threads, batch {batch}; bounds differ by {apart:.0e}"
    )
    print(f"here {rate['here']:.1f}   straightforward {rate['peer']:.1f}   ratio {rate['here'] / rate['peer']:.2f}")
    if arguments.json:
        row = {"case": f"training step, batch {batch}", "unit": "images/s", **rate, "peer_name": "straightforward"}
        passport = {"torch": torch.__version__, "machine": platform.machine(), "threads": torch.get_num_threads()}
        rows = [{**row, "ratio": rate["here"] / rate["peer"]}]
        arguments.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
