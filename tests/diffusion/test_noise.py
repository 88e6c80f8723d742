"""Noise is a function of (seed, stream, row): known answers, independence of the batch, and the right law."""

import pytest
import torch
from torch import Tensor

from lightning_diff.diffusion import noise

ONES = "ffffffff"
KNOWN = [  # Random123's kat_vectors for philox4x32-10: counter, key, answer
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (f"{ONES} " * 4, f"{ONES} " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
SHAPES = [(1,), (3,), (1, 1, 1), (3, 5, 7), (4, 16, 16)]
ROWS = torch.tensor([0, 1, 2, 3, 977, 2**31, 2**32 - 1, 2**32, 2**40 + 1, 2**62])


def words(text: str) -> list[int]:
    return [int(w, 16) for w in text.split()]


def bits(counter: str, key: str) -> list[int]:
    a, b, c, d = (torch.tensor([w]) for w in words(counter))
    k0, k1 = words(key)
    return [int(w) for w in noise.philox((a, b, c, d), (k0, k1))]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    assert bits(counter, key) == words(answer)


def test_the_address_of_a_number() -> None:
    """Counter (place, row low, row high, stream), key (seed low, seed high): a row's numbers are these for ever."""
    row, seed, stream = 2**40 + 5, 2**33 + 7, 3
    found = noise._words(torch.tensor([row]), 8, seed, stream)[0].tolist()
    key = f"{seed & noise.MASK:x} {seed >> 32:x}"
    assert found == [
        w for place in (0, 1) for w in bits(f"{place:x} {row & noise.MASK:x} {row >> 32:x} {stream:x}", key)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_does_not_depend_on_its_batch(shape: tuple[int, ...]) -> None:
    whole = noise.normal(ROWS, shape, 11, noise.NOISE)
    order = torch.randperm(len(ROWS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(noise.normal(ROWS[order], shape, 11, noise.NOISE), whole[order])
    for size in (1, 2, 3, 7):
        parts = [noise.normal(rows, shape, 11, noise.NOISE) for rows in ROWS.split(size)]
        assert torch.equal(torch.cat(parts), whole)


def test_a_uniform_does_not_depend_on_its_batch() -> None:
    whole = noise.uniform(ROWS, 11, noise.TIME)
    assert torch.equal(torch.cat([noise.uniform(r[None], 11, noise.TIME) for r in ROWS]), whole)


def test_every_part_of_the_address_counts() -> None:
    """No two of: rows, seeds and streams, in the low words and in the high ones, share a number."""
    seen: list[Tensor] = []
    for seed in (0, 1, 2**32, 2**32 + 1):
        for stream in (noise.TIME, noise.DROPOUT, noise.POSTERIOR, noise.NOISE, noise.START, noise.STEP):
            seen.append(noise._words(ROWS, 4, seed, stream))
    rows = torch.stack(seen).flatten(0, 1)
    assert len(rows.unique(dim=0)) == len(rows)
    normals = torch.stack([noise.normal(ROWS, (8,), s, 0) for s in (0, 1)]).flatten(0, 1)
    assert len(normals.unique(dim=0)) == len(normals)


def test_the_uses_of_randomness_do_not_share_a_stream() -> None:
    streams = [noise.TIME, noise.DROPOUT, noise.POSTERIOR, noise.NOISE, noise.AUGMENT, noise.START]
    assert len(set(streams)) == len(streams) and max(streams) < noise.STEP


def test_normal_is_standard_normal() -> None:
    z = noise.normal(torch.arange(16384), (8, 8), 5, noise.NOISE)
    flat = z.flatten().double()
    n = len(flat)
    assert z.dtype == torch.float32 and bool(flat.isfinite().all())
    # Five standard errors of each moment of n independent standard normals.
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(flat.pow(power).mean() - moment) < 5 * (variance / n) ** 0.5, power
    quantiles = torch.quantile(flat, torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9]).double())
    expected = torch.tensor([-1.28155, -0.67449, 0, 0.67449, 1.28155]).double()
    assert torch.allclose(quantiles, expected, atol=0.01)
    # Elements of a row, the two halves of Box and Muller's pair among them, are uncorrelated.
    correlation = torch.corrcoef(z.flatten(1).T) - torch.eye(64)
    assert correlation.abs().max() < 6 / 16384**0.5
    assert torch.corrcoef(z.flatten(1)[:64]).sub(torch.eye(64)).abs().max() < 6 / 8


def test_uniform_is_uniform() -> None:
    u = noise.uniform(torch.arange(100_000), 5, noise.TIME)
    assert u.dtype == torch.float32 and u.min() > 0 and u.max() < 1
    assert abs(u.double().mean() - 0.5) < 5 * (1 / 12 / 1e5) ** 0.5
    counts = torch.histc(u, 50, 0, 1)
    assert (counts - 2000).square().sum() / 2000 < 49 + 6 * 98**0.5  # chi-squared of 50 cells


@pytest.mark.parametrize("word", [0, 1, 2**24 - 1, 2**31, 2**32 - 256, 2**32 - 1])
def test_no_word_makes_an_infinity(word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_words", lambda rows, count, seed, stream: torch.full((len(rows), count + 3), word))
    assert bool(noise.normal(ROWS, (3,), 0, 0).isfinite().all())
    u = noise.uniform(ROWS, 0, 0)
    assert bool(((u > 0) & (u < 1)).all())
