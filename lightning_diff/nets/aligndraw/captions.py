"""The caption of alignDRAW: words as one-hot vectors, and a recurrent net that reads them in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..tokenizers.clip import Reading

NONE = 0  # the number of the padding, and of a word that the vocabulary lacks: its vector is 0


def split(caption: str) -> list[str]:
    """The words of a caption in lower case, without punctuation."""
    return re.findall(r"\w+", caption.lower())


class Words:
    """The words that a net knows, and the number of words that it reads of a caption."""

    def __init__(self, vocabulary: Sequence[str], length: int) -> None:
        self.vocabulary, self.length = list(vocabulary), length
        self.numbers = {word: i for i, word in enumerate(self.vocabulary, NONE + 1)}

    @staticmethod
    def of(captions: Iterable[str], most: int) -> tuple[list[str], int]:
        """(the vocabulary of these captions, one mark if they have no word; the length of the longest, from 1 to `most`)."""
        found = [split(caption) for caption in captions]
        longest = max((len(words) for words in found), default=1)
        return sorted({word for words in found for word in words}) or ["?"], max(1, min(longest, most))

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(numbers of the words, int64 [B, L]; how many words each caption has, int64 [B], at least 1)."""
        ids = torch.full((len(captions), self.length), NONE)
        lengths = torch.ones(len(captions), dtype=torch.long)
        for i, caption in enumerate(captions):
            words = [self.numbers.get(word, NONE) for word in split(caption)[: self.length]]
            ids[i, : len(words)] = torch.tensor(words, dtype=torch.long)
            lengths[i] = max(1, len(words))
        return ids, lengths

    def read(self, caption: str) -> Reading:
        """What is read of a caption, and what is cut."""
        words = split(caption)
        kept = words[: self.length]
        return Reading(len(words), len(kept), " ".join(kept), " ".join(words[self.length :]))

    def unknown(self, caption: str) -> list[str]:
        """The words of the caption that the vocabulary lacks."""
        return [word for word in split(caption) if word not in self.numbers]


def single_bias(rnn: nn.LSTM) -> nn.LSTM:
    """The LSTM with one bias: torch adds two, which train twice as fast."""
    second: Tensor = rnn.bias_hh_l0  # type: ignore[assignment]
    second.data.zero_()
    second.requires_grad_(False)
    return rnn


class CaptionReader(nn.Module):
    """Two LSTMs, one for each direction, that start in a learned state and read one-hot words."""

    def __init__(self, words: int, width: int, reversed_batch: bool = False) -> None:
        super().__init__()
        self.words, self.reversed_batch = words, reversed_batch
        self.forwards = single_bias(nn.LSTM(words, width, batch_first=True))
        self.backwards = single_bias(nn.LSTM(words, width, batch_first=True))
        self.h_0 = nn.Parameter(torch.zeros(width))

    def _run(self, rnn: nn.LSTM, ids: Tensor, lengths: Tensor) -> Tensor:
        given = F.one_hot(ids, self.words + 1)[..., 1:].to(self.h_0.dtype)
        packed = pack_padded_sequence(given, lengths.cpu(), batch_first=True, enforce_sorted=False)
        h_0 = self.h_0.expand(1, len(ids), -1).contiguous()
        out, _ = rnn(packed, (h_0, torch.zeros_like(h_0)))
        states, _ = pad_packed_sequence(out, batch_first=True, total_length=ids.shape[1])
        return states

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids [B, L], lengths [B] -> the states of both directions at each word, [B, L, 2 width].

        With `reversed_batch` it repeats what the released code does in training: the second LSTM reads the captions of the batch
        in reversed order, each of them forwards. A single caption is then read forwards twice."""
        with torch.autocast(ids.device.type, enabled=False):
            first = self._run(self.forwards, ids, lengths)
            if self.reversed_batch:
                turned = (ids.flip(0), lengths.flip(0)) if self.training else (ids, lengths)
                return torch.cat([first, self._run(self.backwards, *turned)], dim=2)
            places = torch.arange(ids.shape[1], device=ids.device)
            back = (lengths[:, None] - 1 - places).where(
                places < lengths[:, None], places
            )  # within the caption's words
            second = self._run(self.backwards, ids.gather(1, back), lengths)
            return torch.cat([first, second.gather(1, back[..., None].expand_as(second))], dim=2)
