"""Law 1: which samples make up step n is a function of (seed, step), not of ranks, workers or restarts."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from lightning_diff.data.dataset import CachedFeatures, PictureBatch, Pictures, collate
from lightning_diff.data.index import build_index
from lightning_diff.data.order import Batches, FullOrder, Place, epoch_order, sample_at, sampled
from lightning_diff.data.sample import Sample
from lightning_diff.data.shards import write_shards

COUNT, BATCH, STEPS = 53, 12, 201


def steps(start: int = 0, ranks: int = 1, seed: int = 7, count: int = COUNT) -> list[list[Place]]:
    """The places of each step, the ranks' shares joined in the order of the ranks."""
    order = FullOrder(count, BATCH, seed)
    shares = [list(Batches(order, STEPS, start, rank, ranks)) for rank in range(ranks)]
    assert all(len(b) == BATCH // ranks for share in shares for b in share)
    return [list(chain(*parts)) for parts in zip(*shares, strict=True)]


@pytest.mark.parametrize("ranks", [2, 3, 4, 12])
def test_ranks_share_the_same_steps(ranks: int) -> None:
    assert steps(ranks=ranks) == steps()


@pytest.mark.parametrize("start", [1, 4, 5, 100, 200])
@pytest.mark.parametrize("ranks", [1, 4])
def test_a_restart_is_the_tail(start: int, ranks: int) -> None:
    assert steps(start, ranks) == steps()[start:]


def test_positions_are_consecutive_and_name_the_samples() -> None:
    places = list(chain(*steps()))
    assert [p for p, _, _ in places] == list(range(BATCH * STEPS))
    assert [i for _, i, _ in places] == [sample_at(p, COUNT, 7) for p, _, _ in places]
    assert [turn for _, _, turn in places] == [p // COUNT for p, _, _ in places]


@pytest.mark.parametrize("count", [1, 5, 12, COUNT])
def test_each_epoch_is_a_permutation(count: int) -> None:
    """Also when a batch holds the end of one epoch and the start of the next, or several whole ones."""
    samples = [i for _, i, _ in chain(*steps(count=count))]
    for epoch in range(len(samples) // count):
        assert sorted(samples[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_seeds_and_epochs_are_shuffled_differently() -> None:
    orders = {tuple(epoch_order(COUNT, seed, epoch)) for seed in (0, 1, 2**40) for epoch in range(4)}
    assert len(orders) == 12 and tuple(range(COUNT)) not in orders


def test_the_order_is_fixed_for_ever() -> None:
    """A changed shuffle would break every run that is resumed after an update."""
    assert epoch_order(10, 3, 1).tolist() == [2, 4, 0, 5, 8, 1, 3, 9, 7, 6]


def test_the_length_is_that_of_the_whole_run() -> None:
    assert len(Batches(FullOrder(COUNT, BATCH, 7), STEPS, start=50)) == STEPS


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """23 pictures in five shards, every one different."""
    rng = np.random.default_rng(0)
    made = (
        Sample(f"k{i}", Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)), f"number {i}", {"n": i})
        for i in range(23)
    )
    assert write_shards(made, tmp_path, "train", 5) == 23
    return Pictures(build_index(sorted(tmp_path.glob("*.tar")), tmp_path), 8, ("n", "unknown"))


def batches(pictures: Pictures, workers: int, start: int = 0) -> list[PictureBatch]:
    some = Batches(FullOrder(len(pictures), 4, 1), 9, start)
    return list(DataLoader(pictures, batch_sampler=some, num_workers=workers, collate_fn=collate))


def test_workers_do_not_change_a_batch(pictures: Pictures) -> None:
    alone = batches(pictures, 0)
    for workers in (1, 4):
        for a, b in zip(alone, batches(pictures, workers), strict=True):
            assert torch.equal(a.images, b.images) and a.captions == b.captions
            assert torch.equal(a.positions, b.positions) and torch.equal(a.labels["n"], b.labels["n"])
    assert [p for b in alone for p in b.positions.tolist()] == list(range(36))
    for a, b in zip(alone[6:], batches(pictures, 1, start=6), strict=True):
        assert torch.equal(a.images, b.images) and torch.equal(a.positions, b.positions)


def test_a_batch_is_what_the_index_says(pictures: Pictures) -> None:
    for batch in batches(pictures, 0):
        for row, position in enumerate(batch.positions.tolist()):
            i = sample_at(position, 23, 1)
            assert batch.captions[row] == f"number {i}" and batch.labels["n"][row] == i
            assert torch.equal(batch.images[row], pictures.read(i)[0])
        assert batch.images.dtype == torch.uint8 and batch.images.shape[1:] == (3, 8, 8)
        assert batch.labels["unknown"].tolist() == [-1] * len(batch.captions)
    assert pictures.range(21, 99).captions == ["number 21", "number 22"]


def test_cached_features_follow_the_same_order() -> None:
    rows = CachedFeatures(
        {"x": np.arange(COUNT) * 10}, {"y": np.arange(COUNT)}, np.arange(COUNT + 1), [str(i) for i in range(COUNT)]
    )
    loader = DataLoader(rows, batch_sampler=Batches(rows.order(BATCH, 7), 6), collate_fn=collate)
    for batch, step in zip(loader, steps(), strict=False):
        assert batch["x"].tolist() == [10 * i for _, i, _ in step]
        assert batch["positions"].tolist() == [p for p, _, _ in step]


def test_a_sample_of_a_set_is_the_same_in_any_order_of_the_files() -> None:
    draw = np.random.default_rng(0)
    contents = draw.integers(0, 256, (500, 16), np.uint8)
    first = {contents[i].tobytes() for i in sampled(contents, 3)[:50]}
    for _ in range(3):
        shuffled = draw.permutation(contents)
        order = sampled(shuffled, 3)
        assert sorted(order.tolist()) == list(range(500)) and {shuffled[i].tobytes() for i in order[:50]} == first
    assert {contents[i].tobytes() for i in sampled(contents, 4)[:50]} != first
