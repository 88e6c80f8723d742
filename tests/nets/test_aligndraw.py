"""alignDRAW's equations, against a reference in float64 that is written from them, word by word and sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_diff.nets.aligndraw.captions import CaptionReader, Words
from lightning_diff.nets.aligndraw.model import AlignDraw, divergence
from lightning_diff.nets.aligndraw.windows import Windows
from lightning_diff.training.optimizers.rmsprop import RMSProp

WORDS = ["above", "digit", "is", "nine", "one", "the", "two"]
CAPTIONS = ["the digit one is above the digit two", "nine", "the nine is"]
SIZES: dict[str, Any] = {"read": 3, "write": 4, "encoder": 6, "decoder": 5, "latent": 4, "caption": 3, "align": 7}


def small(channels: int = 1, glimpses: int = 3, **more: Any) -> AlignDraw:
    """A net with weights so large that every term of the equations counts."""
    torch.manual_seed(0)
    net = AlignDraw(WORDS, 8, 9, channels, glimpses, **SIZES, **more)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.requires_grad and name != "canvas":
                p.normal_(std=0.4)
    return net.eval()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(x: np.ndarray, h: np.ndarray, cell: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray) -> Any:
    i, f, g, o = np.split(w @ x + u @ h + b, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def filters(at: float, stride: float, sigma: float, n: int, size: int) -> np.ndarray:
    rows = []
    for i in range(1, n + 1):
        mean = at + stride * (i - n / 2 - 1 / 2)
        row = np.array([np.exp(-((a - mean) ** 2) / (2 * sigma**2)) for a in range(1, size + 1)])
        rows.append(row / (row.sum() + 1e-4))
    return np.stack(rows)


def window(p: np.ndarray, n: int, size: int) -> tuple[np.ndarray, np.ndarray, float]:
    gx, gy = (size + 1) / 2 * (p[0] + 1), (size + 1) / 2 * (p[1] + 1)
    stride, sigma = (size - 1) / (n - 1) * np.exp(p[2]), np.exp(p[3] / 2)
    return filters(gy, stride, sigma, n, size), filters(gx, stride, sigma, n, size), float(np.exp(p[4]))


def reference(net: AlignDraw, caption: str, eps: np.ndarray, picture: np.ndarray) -> dict[str, np.ndarray]:
    """The bound, the canvas and the attention of one sample, from the equations."""
    w = {name: p.detach().double().numpy() for name, p in net.named_parameters()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0)

    def cell_of(name: str, state: Any, *inputs: np.ndarray) -> Any:
        x, whole = np.concatenate(inputs), w[f"{name}.gates.weight"]
        return lstm(x, *state, whole[:, : len(x)], whole[:, len(x) :], w[f"{name}.gates.bias"])

    words = caption.split()
    halves = []
    for name, order in (("forwards", words), ("backwards", words[::-1])):
        state = w["reader.h_0"], np.zeros_like(w["reader.h_0"])
        found = []
        for word in order:
            hot = np.array([float(word == known) for known in WORDS])
            rnn = [w[f"reader.{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih")]
            state = lstm(hot, *state, *rnn)
            found.append(state[0])
        halves.append(found if name == "forwards" else found[::-1])
    h = [np.concatenate(pair) for pair in zip(*halves, strict=True)]

    canvas, size = w["canvas"], net.size
    dec = w["decoder.h_0"], np.zeros_like(w["decoder.h_0"])
    enc = w["encoder.h_0"], np.zeros_like(w["encoder.h_0"])
    mean_p, log_p, kl, attention = np.zeros(net.latent), np.zeros(net.latent), 0.0, []
    for t in range(net.glimpses):
        error = picture - sigmoid(canvas)
        fy, fx, gamma = window(linear("look", dec[0]), net.sides[0], size)
        r = gamma * np.concatenate([(fy @ x @ fx.T).ravel() for x in [*picture, *error]])
        e = np.array(
            [linear("align_energy", np.tanh(linear("align_words", k) + linear("align_state", dec[0]))) for k in h]
        )
        alpha = np.exp(e[:, 0]) / np.exp(e[:, 0]).sum()
        sentence = sum(a * k for a, k in zip(alpha, h, strict=True))
        enc = cell_of("encoder", enc, r, dec[0])
        mean, log_sigma = np.split(linear("posterior", enc[0]), 2)
        log_sigma = log_sigma / 2
        z = mean + np.exp(log_sigma) * eps[t]
        ratio = ((mean - mean_p) ** 2 + np.exp(log_sigma) ** 2) / np.exp(log_p) ** 2
        kl += 0.5 * (ratio - 1 - 2 * log_sigma + 2 * log_p).sum()
        dec = cell_of("decoder", dec, z, sentence)
        mean_p, log_p = np.split(np.tanh(linear("prior", dec[0])), 2)
        fy, fx, gamma = window(linear("place", dec[0]), net.sides[1], size)
        patch = linear("patch", dec[0]).reshape(net.channels, net.sides[1], net.sides[1])
        canvas = canvas + np.stack([fy.T @ one @ fx for one in patch]) / gamma
        attention.append(alpha)
    shown = sigmoid(canvas)
    bce = -(picture * np.log(shown) + (1 - picture) * np.log(1 - shown)).sum()
    return {"bce": bce, "kl": kl, "picture": shown, "attention": np.stack(attention)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("glimpses", [1, 3])
def test_the_bound_and_its_steps_are_those_of_the_equations(channels: int, glimpses: int) -> None:
    net = small(channels, glimpses)
    eps = torch.randn(len(CAPTIONS), glimpses, net.latent)
    pictures = torch.rand(len(CAPTIONS), channels, 9, 9)
    bce, kl, shown, _ = net(CAPTIONS, eps, pictures)
    states, mask = net.read_captions(CAPTIONS)
    attention = torch.stack([g.attention for g in net.steps(states, mask, eps, pictures)], dim=1)
    for i, caption in enumerate(CAPTIONS):
        wanted = reference(net, caption, eps[i].double().numpy(), pictures[i].double().numpy())
        words = len(caption.split())
        assert float(bce[i]) == pytest.approx(float(wanted["bce"]), rel=1e-4)
        assert float(kl[i]) == pytest.approx(float(wanted["kl"]), rel=1e-4)
        np.testing.assert_allclose(shown[i].detach().numpy(), wanted["picture"], atol=1e-4)
        np.testing.assert_allclose(attention[i, :, :words].detach().numpy(), wanted["attention"], atol=1e-5)
        assert not attention[i, :, words:].any()


def windows(n: int, size: int = 11, shifted: bool = False, log_gamma: float = 0.0) -> Windows:
    return Windows.of(torch.tensor([[0.0, 0.0, -1.2, -1.0, log_gamma]]), n, size, shifted)


def test_a_window_in_the_middle_is_its_own_mirror_image_and_reads_what_is_there() -> None:
    for n in (4, 5):
        w = windows(n)
        torch.testing.assert_close(w.columns, w.columns.flip(1, 2))
        flat = w.read(torch.full((1, 2, 11, 11), 0.3))
        torch.testing.assert_close(flat, torch.full((1, 2, n, n), 0.3), atol=1e-3, rtol=0)
        left, top, right, bottom = w.boxes()[0].tolist()
        assert left + right == pytest.approx(10) and top + bottom == pytest.approx(10)


def test_intensity_multiplies_what_is_read_and_divides_what_is_written() -> None:
    x, one, two = torch.rand(1, 1, 11, 11), windows(4), windows(4, log_gamma=np.log(2))
    torch.testing.assert_close(two.read(x), 2 * one.read(x))
    torch.testing.assert_close(two.write(x[..., :4, :4]), one.write(x[..., :4, :4]) / 2)


@pytest.mark.parametrize(("n", "strides"), [(4, 1.0), (5, 0.5)])
def test_the_shifted_filters_are_off_by_a_stride_and_a_pixel(n: int, strides: float) -> None:
    """The released code counts pixels from 0 and filters from 0: the first makes it a pixel, the second that many strides."""
    right, off = windows(n, size=61), windows(n, size=61, shifted=True)
    pixels = torch.arange(61.0)
    centres = [(w.columns[0] @ pixels / w.columns[0].sum(dim=1)) for w in (right, off)]
    moved = float((centres[1] - centres[0]).mean())
    assert moved == pytest.approx(1 - strides * float(right.stride), abs=0.02)


def states_of(captions: list[str], reversed_batch: bool, training: bool = False) -> Tensor:
    torch.manual_seed(1)
    reader = CaptionReader(len(WORDS), 4, reversed_batch).train(training)
    with torch.no_grad():
        found: Tensor = reader(*Words(WORDS, 8)(captions))
    return found


def test_the_second_half_of_a_state_knows_the_words_that_follow_and_no_padding() -> None:
    one, other = states_of(["the digit one", "the digit two"], False)
    assert torch.equal(one[:2, :4], other[:2, :4]) and not torch.allclose(one[0, 4:], other[0, 4:])
    alone = states_of(["the digit one"], False)[0]
    torch.testing.assert_close(one[:3], alone[:3])
    longer = states_of(["the digit one", "the digit one is above the digit two"], False)[0]
    torch.testing.assert_close(longer[:3], alone[:3])


def test_the_reversed_batch_gives_a_caption_the_second_half_of_another_while_training() -> None:
    captions = ["the digit one", "nine is two", "the nine"]
    right, quirk = states_of(captions, False), states_of(captions, True, training=True)
    torch.testing.assert_close(right[..., :4], quirk[..., :4])
    torch.testing.assert_close(quirk[0, :2, 4:], states_of([captions[2]], True)[0, :2, 4:])
    torch.testing.assert_close(states_of(captions, True)[0], states_of(captions[:1], True)[0])


def test_words_that_are_cut_or_not_known() -> None:
    words = Words(WORDS, 3)
    read = words.read("The digit, NINE above the two")
    assert (read.tokens, read.kept, read.text, read.cut) == (6, 3, "the digit nine", "above the two")
    assert words.unknown("the digit seven") == ["seven"]
    ids, lengths = words(["", "two two two two"])
    assert lengths.tolist() == [1, 3] and ids[0].tolist() == [0, 0, 0]
    assert Words.of(["b a", "a"], 8) == (["a", "b"], 2) and Words.of(["!"], 8) == (["?"], 1)


def test_the_divergence_is_zero_between_equals_and_that_of_two_normals() -> None:
    a, b = torch.randn(2, 4, 3).double()
    assert float(divergence(a, b, a, b).abs().max()) < 1e-12
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(a, b.exp()), normal(b, a.exp())).sum(dim=1)
    torch.testing.assert_close(divergence(a, b, b, a), wanted)


def test_the_size_is_that_of_the_paper() -> None:
    net = AlignDraw([str(i) for i in range(23)], 12, 60, 1)
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert round(trained / 1e6, 2) == 2.37
    with torch.device("meta"):
        coco = AlignDraw([str(i) for i in range(25323)], 29, 32, 3, 32, 9, 9, 550, 550, 275)
    assert round(sum(p.numel() for p in coco.parameters() if p.requires_grad) / 1e6, 1) == 33.1


def test_rmsprop_has_its_small_number_inside_the_root_and_skips_what_is_not_finite() -> None:
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer, square, wanted = RMSProp([p], lr=0.1), torch.zeros(2), torch.tensor([1.0, 2.0])
    for g in (torch.tensor([0.5, -1e-4]), torch.tensor([-0.2, 3.0])):
        p.grad = g.clone()
        optimizer.step()
        square = 0.9 * square + 0.1 * g.square()
        wanted = wanted - 0.1 * g / (square + 1e-6).sqrt()
        torch.testing.assert_close(p.data, wanted)
    p.grad, optimizer.found_inf = torch.tensor([torch.nan, torch.inf]), torch.ones(())
    before = optimizer.state[p]["square"].clone()
    optimizer.step()
    assert torch.equal(p.data, wanted) and torch.equal(optimizer.state[p]["square"], before)


def test_the_first_windows_are_the_middle_half_and_miss_no_pixel_of_it() -> None:
    net = AlignDraw(WORDS, 8, 60, 1, read=10, write=14)
    for layer, side in ((net.look, 10), (net.place, 14)):
        first = Windows.of(layer(torch.zeros(1, net.decoder.h_0.numel())), side, 60)
        torch.testing.assert_close(first.boxes()[0], torch.tensor([14.75, 14.75, 44.25, 44.25]))
        seen = first.columns[0].sum(dim=0)  # what all filters together see of each pixel
        assert float(seen[17:43].min()) > 0.8 * float(seen[17:43].max())
    paper = AlignDraw(WORDS, 8, 60, 1, paper_weights=True)
    dots = Windows.of(paper.look(torch.zeros(1, 300)), 8, 60).columns[0].sum(dim=0)
    assert float(dots.min()) < 1e-3 * float(dots.max())


def test_a_word_changes_the_first_canvas_from_the_first_step_on() -> None:
    """With the weights of the released code it changes a hundredth of that, so there is little to learn from."""
    changed = []
    for paper in (True, False):
        torch.manual_seed(0)
        net = AlignDraw(WORDS, 8, 30, 1, 1, paper_weights=paper)
        states, mask = net.read_captions(["the digit one", "the digit two"])
        one, two = net.steps(states, mask, torch.zeros(2, 1, net.latent))[0].canvas
        changed.append(float((one - two).detach().abs().max()))
    assert changed[0] < 2e-5 and changed[1] > 2e-3
    for bias in (net.encoder.gates.bias, net.decoder.gates.bias, net.reader.forwards.bias_ih_l0):
        assert bias.view(4, -1).mean(dim=1).tolist() == [0, 1, 0, 0]
