"""alignDRAW's net: its equations, as in Mansimov et al. 2015, "Generating Images from Captions with Attention"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .captions import CaptionReader, Words
from .initial import paper_start, scaled_start
from .sharpen import Sharpener
from .windows import Windows

DARK = -10.0  # the initial canvas of a net that draws white on black: sigmoid(-10) is almost 0


@dataclass
class Glimpse:
    """One of the T steps, for B samples. `canvas` [B, C, H, W] is before the sigmoid. `attention` [B, L] over the words sums to
    1. `kl` [B] is in nats; it and the read window belong to training, where a picture is seen."""

    canvas: Tensor
    attention: Tensor
    written: Windows
    looked: Windows
    kl: Tensor


class LSTM(nn.Module):
    """One step of an LSTM without peepholes, with one bias; the gates are in the order i, f, g, o. It starts in a learned state
    and an empty cell."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs + width, 4 * width)
        self.h_0 = nn.Parameter(torch.zeros(width))

    def begin(self, count: int) -> tuple[Tensor, Tensor]:
        h = self.h_0.expand(count, -1)
        return h, torch.zeros_like(h)

    def forward(self, state: tuple[Tensor, Tensor], *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """inputs [B, n] each -> the next (h, cell), [B, width] each."""
        h, cell = state
        i, f, g, o = self.gates(torch.cat([*inputs, h], dim=1)).float().chunk(4, dim=1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell


class AlignDraw(nn.Module):
    """Captions and noise -> a canvas, in `glimpses` steps. With a picture it is a variational autoencoder.

    Pictures are [B, channels, size, size] in [0, 1]; with one channel they are gray. `read` and `write` are the sides of the
    windows, `encoder`, `decoder` and `caption` the widths of the LSTMs (`caption` of each direction), `align` that of the
    attention over words, `latent` the number of latents of a glimpse. `sharpen` > 0 adds a sharpening stage of that width.
    `paper_weights` begins with the small weights of the released code (initial.py); `shifted_filters` and `reversed_batch`
    repeat two of its quirks (windows.py, captions.py).
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        length: int,
        size: int,
        channels: int = 3,
        glimpses: int = 32,
        read: int = 8,
        write: int = 8,
        encoder: int = 300,
        decoder: int = 300,
        latent: int = 150,
        caption: int = 128,
        align: int = 512,
        sharpen: int = 0,
        paper_weights: bool = False,
        shifted_filters: bool = False,
        reversed_batch: bool = False,
    ) -> None:
        super().__init__()
        self.words = Words(vocabulary, length)
        self.size, self.channels, self.glimpses, self.latent = size, channels, glimpses, latent
        self.sides, self.shifted = (read, write), shifted_filters
        sentence = 2 * caption
        self.reader = CaptionReader(len(self.words.vocabulary), caption, reversed_batch)
        self.align_words = nn.Linear(sentence, align, bias=False)
        self.align_state = nn.Linear(decoder, align)
        self.align_energy = nn.Linear(align, 1, bias=False)
        self.look = nn.Linear(decoder, 5)
        self.encoder = LSTM(2 * channels * read**2 + decoder, encoder)
        self.posterior = nn.Linear(encoder, 2 * latent)
        self.decoder = LSTM(latent + sentence, decoder)
        self.prior = nn.Linear(decoder, 2 * latent)
        self.place = nn.Linear(decoder, 5)
        self.patch = nn.Linear(decoder, channels * write**2)
        (paper_start if paper_weights else scaled_start)(self)
        self.canvas = nn.Parameter(torch.full((channels, size, size), DARK if channels == 1 else 0.0))
        self.sharpener = Sharpener(channels, sentence, size, sharpen) if sharpen else None

    def shown(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] with this net's channels."""
        return pictures.mean(dim=1, keepdim=True) if self.channels == 1 else pictures

    def read_captions(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(states at the words [B, L, 2 caption], mask [B, L]: True for a word)."""
        ids, lengths = (a.to(self.canvas.device) for a in self.words(captions))
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return self.reader(ids, lengths), mask

    def steps(self, states: Tensor, mask: Tensor, eps: Tensor, pictures: Tensor | None = None) -> list[Glimpse]:
        """All glimpses of the captions with these states. `eps` [B, T, latent] is the noise. With pictures, z is drawn from the
        posterior, without them from the prior."""
        count = len(states)
        canvas = self.canvas.expand(count, *self.canvas.shape)
        dec, enc = self.decoder.begin(count), self.encoder.begin(count)
        mean_p = log_sigma_p = states.new_zeros(count, self.latent)  # the first prior is N(0, I)
        keys, hidden = self.align_words(states), torch.where(mask, 0.0, -torch.inf)
        of_state = self._of_state()
        look, align, *_ = of_state(dec[0])
        found, divergences = [], []
        for t in range(eps.shape[1]):
            h = dec[0]
            looked = Windows.of(look, self.sides[0], self.size, self.shifted)
            energy = self.align_energy(torch.tanh(keys + align[:, None]))[..., 0].float()
            attention = (energy + hidden).softmax(dim=1)
            sentence = torch.einsum("bl,bls->bs", attention, states)
            if pictures is None:
                z = mean_p + log_sigma_p.exp() * eps[:, t]
            else:
                with torch.autocast(states.device.type, enabled=False):
                    seen = looked.read(torch.cat([pictures, pictures - canvas.sigmoid()], dim=1))
                enc = self.encoder(enc, seen.flatten(1), h)
                mean, log_sigma = self.posterior(enc[0]).float().chunk(2, dim=1)
                log_sigma = 0.5 * log_sigma
                z = mean + log_sigma.exp() * eps[:, t]
                divergences.append((mean, log_sigma, mean_p, log_sigma_p))
            dec = self.decoder(dec, z, sentence)
            look, align, prior, place, patch = of_state(dec[0])
            mean_p, log_sigma_p = prior.float().tanh().chunk(2, dim=1)
            written = Windows.of(place, self.sides[1], self.size, self.shifted)
            patch = patch.float().view(count, self.channels, self.sides[1], self.sides[1])
            with torch.autocast(states.device.type, enabled=False):
                canvas = canvas + written.write(patch)
            found.append((canvas, attention, written, looked))
        kl = states.new_zeros(count, len(found))
        if divergences:
            kl = divergence(*(torch.stack(some, dim=1) for some in zip(*divergences, strict=True)))
        return [Glimpse(*one, kl[:, t]) for t, one in enumerate(found)]

    def _of_state(self) -> Callable[[Tensor], Sequence[Tensor]]:
        """The layers that read the decoder's state, as one product: states [B, decoder] -> what each layer makes of them."""
        layers = self.look, self.align_state, self.prior, self.place, self.patch
        weight, bias = torch.cat([one.weight for one in layers]), torch.cat([one.bias for one in layers])
        sizes = [one.out_features for one in layers]
        return lambda h: F.linear(h, weight, bias).split(sizes, dim=1)

    def forward(self, captions: Sequence[str], eps: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(BCE [B] and KL [B] in nats, whose sum is the bound; the picture in [0, 1]; the sentence [B, S]) of pictures."""
        states, mask = self.read_captions(captions)
        glimpses = self.steps(states, mask, eps, pictures)
        canvas = glimpses[-1].canvas
        bce = F.binary_cross_entropy_with_logits(canvas, pictures, reduction="none").flatten(1).sum(dim=1)
        kl = torch.stack([g.kl for g in glimpses]).sum(dim=0)
        return bce, kl, canvas.sigmoid(), sentence_of(states, mask)

    def finished(self, canvas: Tensor, states: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """The picture of a last canvas: in [0, 1], sharpened if the net has that stage. noise [B, 1, H, W]."""
        picture = canvas.sigmoid()
        return picture if self.sharpener is None else self.sharpener(picture, sentence_of(states, mask), noise)


def sentence_of(states: Tensor, mask: Tensor) -> Tensor:
    """The mean of the states at the words: [B, L, S] -> [B, S]."""
    shown = mask[..., None].to(states.dtype)
    return (states * shown).sum(dim=1) / shown.sum(dim=1)


def divergence(mean: Tensor, log_sigma: Tensor, mean_p: Tensor, log_sigma_p: Tensor) -> Tensor:
    """KL of N(mean, sigma) from N(mean_p, sigma_p), summed over the latents: [..., Z] each -> [...], in nats."""
    square = ((mean - mean_p).square() + (2 * log_sigma).exp()) * (-2 * log_sigma_p).exp()
    return 0.5 * (square - 1 - 2 * log_sigma + 2 * log_sigma_p).sum(dim=-1)
