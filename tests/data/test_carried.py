"""What a block leaves to the next one is kept: with a cache of two blocks each shard is fetched once an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightning_diff.data.dataset import pictures
from lightning_diff.data.remote import cache, finding
from tests.data.shard_server import serving
from tests.faults import object_store as store


@pytest.mark.parametrize("locks", ["many", "one"])
def test_each_shard_is_fetched_once_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: str) -> None:
    """Also where all shards share a lock, which happens to two of them now and then."""
    if locks == "one":
        monkeypatch.setattr(cache.NodeCache, "_bucket", lambda self, place: str(self.folder / "locks" / "00.lock"))
    monkeypatch.setattr(cache, "GRACE", 0.05)
    monkeypatch.setattr(finding, "FRESH", 3600)
    size = store.write_set(tmp_path / "set")
    right = store.batches(store.source(str(tmp_path / "set")), tmp_path / "local")
    bound = 2 * store.BLOCK * size / 1e9
    with serving(tmp_path / "set") as server:
        url = f"{server.url}/{{000..{store.SHARDS - 1:03d}}}.tar"
        some = store.source(url, cache_gb=bound, cache_folder=str(tmp_path / "kept"))
        some.prepare(tmp_path / "remote")
        server.gets.clear()
        assert store.batches(some, tmp_path / "remote") == right
        assert max(server.gets.values()) <= store.EPOCHS


def test_the_samples_that_are_carried_are_those_of_the_order(tmp_path: Path) -> None:
    """Those that a block leaves to the next ones are the ones that it has, or was left, and that no batch of it takes."""
    store.write_set(tmp_path / "set")
    some = store.source(str(tmp_path / "set"))
    train = pictures(some, tmp_path / "cache", "train", framing=some.framing(0))
    assert train is not None
    order: Any = train.order(store.BATCH, 0)
    for block in range(3):
        mine = set(order.blocks.shards_of(0, block).tolist())
        taken = {i for step in order.blocks.steps_of(0, block) for _, i, _ in order.places(step)}
        there = {i for i in range(len(train)) if int(train.index.shards_of([i])[0]) in mine}
        before = {i for some in order.carried(0, block).values() for i in some}
        after = {i for some in order.carried(0, block + 1).values() for i in some}
        assert (there | before) - taken == after and len(after) < 9 * store.BATCH
