"""Laws of the order in blocks: any step follows from its number alone, and every sample is seen equally often."""

from collections import Counter
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

from lightning_diff.data.order import FullOrder
from lightning_diff.data.ordering.blocks import BlockOrder
from lightning_diff.data.ordering.ordering import LARGE, Ordering, ShardOrder
from lightning_diff.data.ordering.weights import Copies, Sets

BATCH, BLOCK, EPOCHS = 16, 500, 10
SHARDS = 37
COUNTS = np.random.default_rng(0).integers(0, 60, (SHARDS, 9))
COUNTS[:, 8] = 0
COUNTS[3, 8] = 2  # a bucket that takes eight epochs to fill a batch
MIXED = Sets(("a", "b", "c"), (Fraction(1), Fraction(2, 5), Fraction(3)), np.arange(SHARDS) % 3)


def order(seed: int = 3, sets: Sets | None = MIXED) -> BlockOrder:
    return BlockOrder(COUNTS, BATCH, seed, BLOCK, sets)


def steps_of(some: BlockOrder, epochs: int) -> int:
    """The steps that are complete when so many epochs are."""
    return int((some.seen_before(epochs) // some.batch).sum())


def flat(some: BlockOrder, step: int) -> list[tuple[int, int, int, int]]:
    bucket, entries = some.at(step)
    columns = (entries.shards.tolist(), entries.rows.tolist(), entries.turns.tolist())
    return [(bucket, *row) for row in zip(*columns, strict=True)]


def test_every_sample_is_seen_as_often_as_its_set_says() -> None:
    some = order()
    seen = Counter(row[:3] for step in range(steps_of(some, EPOCHS)) for row in flat(some, step))
    pending = some.seen_before(EPOCHS) % BATCH
    missing = np.zeros(9, int)
    for shard, bucket in np.ndindex(COUNTS.shape):
        times = int(some.copies.before(EPOCHS)[shard])
        assert abs(times - EPOCHS * MIXED.weights[MIXED.of[shard]]) < 1
        found = [seen[bucket, shard, row] for row in range(COUNTS[shard, bucket])]
        assert max(found, default=0) <= times
        missing[bucket] += times * len(found) - sum(found)
    assert missing.tolist() == pending.tolist() and (pending < BATCH).all()
    assert sum(seen.values()) == BATCH * steps_of(some, EPOCHS)


def test_each_epoch_of_one_set_is_a_permutation_but_for_what_is_carried() -> None:
    some = BlockOrder(COUNTS.sum(axis=1), BATCH, 0, BLOCK)
    stream = [row for step in range(steps_of(some, 3)) for row in flat(some, step)]
    for row, times in Counter(row[:3] for row in stream).items():
        assert 2 <= times <= 3, row
    turns = Counter(stream)
    assert set(turns.values()) == {1}, "the same sample of the same turn twice"


def test_any_step_is_the_same_from_a_fresh_object() -> None:
    some = order()
    for step in np.random.default_rng(1).integers(0, steps_of(some, EPOCHS), 200).tolist():
        assert flat(order(), step) == flat(some, step)


def test_a_step_does_not_depend_on_what_was_asked_for_before() -> None:
    forth, back = order(), order()
    steps = range(200)
    assert [flat(forth, s) for s in steps] == [flat(back, s) for s in reversed(steps)][::-1]


def test_the_order_in_blocks_is_fixed_for_ever() -> None:
    """A changed shuffle would break every run that is resumed after an update."""
    some = BlockOrder(np.array([5, 3, 4]), 4, 7, 6)
    assert [[(s, r) for _, s, r, _ in flat(some, step)] for step in (0, 1, 4)] == FIXED


def test_blocks_are_bounded_and_shards_are_listed_once_an_epoch() -> None:
    some = order(sets=None)
    for epoch in range(4):
        listed = []
        for block in range(len(some.epoch(epoch).edges) - 1):
            shards = some.shards_of(epoch, block)
            assert COUNTS[shards].sum() <= 1.5 * BLOCK + COUNTS.sum(axis=1).max()
            listed += shards.tolist()
        assert sorted(listed) == list(range(SHARDS))
        assert listed != sorted(listed)


def test_a_block_needs_its_own_shards_and_what_was_carried_into_it() -> None:
    some, place = order(), (0, 0)
    for _ in range(40):
        own = set(some.shards_of(*place).tolist())
        carried = some.carried(*place)
        steps = some.steps_of(*place)
        for step in steps:
            assert some.block_of(step) == place
            for _, shard, row, turn in flat(some, step):
                assert shard in own or (shard, row, turn) in list(
                    zip(carried.shards, carried.rows, carried.turns, strict=True)
                )
        following = some.next_block(*place)
        assert some.steps_of(*following).start == steps.stop
        place = following


def test_seeds_and_epochs_are_shuffled_differently() -> None:
    some = order(sets=None)
    epochs = {tuple(order(seed, None).epoch(epoch).shards) for seed in (0, 1, 2**31) for epoch in range(3)}
    assert len(epochs) == 9
    first = [flat(some, step) for step in range(3)]
    assert first != [flat(order(4, None), step) for step in range(3)]


def test_what_is_kept_is_bounded_by_a_block() -> None:
    """Nothing that the order keeps grows with the number of samples."""
    some = BlockOrder(np.full(2000, 10**6), 256, 0, 10**5)
    some.at(1_000_000)
    held = [some.epoch(some.latest), some.stream(0, *some.block_of(1_000_000))]
    sizes = [value.size for one in held for value in vars(one).values() if isinstance(value, np.ndarray)]
    assert max(sizes) <= 10**6 and sum(sizes) < 4 * 10**6 < some.counts.sum() // 100


def test_fractions_rotate_so_that_each_epoch_has_its_share() -> None:
    sets = Sets(("x",), (Fraction(1, 4),), np.zeros(40, np.int64))
    copies = Copies(sets, 0)
    each = [copies.before(e + 1) - copies.before(e) for e in range(8)]
    assert [one.sum() for one in each] == [10] * 8
    assert (sum(each[:4]) == 1).all() and (sum(each[4:]) == 1).all()


def test_weights_of_many_sets_are_kept_exactly() -> None:
    weights = [Fraction(1), *(Fraction(n, d) for n, d in zip(range(1200, 2200, 100), range(990, 1000), strict=True))]
    copies = Copies(Sets([str(w) for w in weights], weights, np.repeat(np.arange(len(weights)), 20)), 0)
    for epoch in (1, 990, 10**6):
        times = copies.before(epoch).reshape(len(weights), 20)
        for mine, weight in zip(times, weights, strict=True):
            assert weight * epoch - 1 < mine.min() <= mine.max() < weight * epoch + 1


def test_ranks_share_a_batch_of_one_bucket_and_the_numbers_are_those_of_the_samples() -> None:
    draw = np.random.default_rng(5)
    shards, buckets = np.sort(draw.integers(0, 7, 400)), draw.integers(0, 3, 400)
    some = ShardOrder(shards, 7, 12, 1, 100, MIXED_OF_SEVEN, buckets)
    for step in range(60):
        places = some.places(step)
        assert [p for p, _, _ in places] == list(range(12 * step, 12 * step + 12))
        assert {int(buckets[i]) for _, i, _ in places} == {some.bucket(step)}
        assert some.shards_of(step) == sorted({int(shards[i]) for _, i, _ in places})
        for ranks in (2, 3, 4):
            assert list(chain(*(some.places(step, rank, ranks) for rank in range(ranks)))) == places
        assert some.by_set(step) == {
            name: sum(MIXED_OF_SEVEN.of[shards[i]] == n for _, i, _ in places) for n, name in enumerate("ab")
        }


def test_samples_in_the_order_of_their_shards_need_no_list() -> None:
    assert ShardOrder(np.arange(30) // 10, 3, 5, 0).numbers is None


@pytest.mark.parametrize(
    ("kind", "count", "full"),
    [("auto", LARGE, True), ("auto", LARGE + 1, False), ("full", LARGE + 1, True), ("blocks", 10, False)],
)
def test_auto_takes_blocks_for_large_sets(kind: str, count: int, full: bool) -> None:
    found = Ordering(kind).of(np.zeros(count, np.int8), 1, 8, 0)
    assert isinstance(found, FullOrder) == full


MIXED_OF_SEVEN = Sets(("a", "b"), (Fraction(1), Fraction(1, 2)), np.array([0, 0, 0, 0, 1, 1, 1]))
FIXED = [[(0, 4), (2, 2), (2, 3), (0, 0)], [(0, 3), (2, 1), (0, 1), (2, 0)], [(2, 2), (1, 2), (2, 3), (0, 4)]]
