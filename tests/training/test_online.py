"""data.features=online encodes each batch in its step: the same pictures, noise and times as with cached features. And the loss
on held-out samples, which changes nothing of the training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lightning_diff.nets.weights import read_state
from lightning_diff.tracking.record import Record
from tests.conftest import SHORT, train_apart


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    place = tmp_path_factory.mktemp("online")
    (place / "cache").symlink_to(cache)
    return place


def train(root: Path, name: str, *more: str) -> Path:
    words = [
        *SHORT,
        "evaluation=none",
        "training.steps=12",
        "training.warmup=2",
        f"outputs={root}",
        f"cache={root}/cache",
    ]
    result = train_apart("experiment=base", *words, f"name={name}", *more)
    assert result.returncode == 0, result.stderr
    return root / name


def test_losses_are_those_of_cached_features(root: Path) -> None:
    curves = [Record(train(root, kind, f"data.features={kind}")).curve() for kind in ("cached", "online", "latents")]
    assert all([row["step"] for row in curve] == list(range(1, 13)) for curve in curves)
    for other in curves[1:]:
        assert max(abs(a["loss"] - b["loss"]) for a, b in zip(curves[0], other, strict=True)) < 1e-3


def test_the_held_out_loss_is_recorded_and_changes_nothing(root: Path) -> None:
    without = read_state(train(root, "without", "validation.every=0") / "weights.safetensors")
    folder = train(root, "with", "validation.every=4", "validation.samples=32")
    found = read_state(folder / "weights.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in without.items())
    rows = Record(folder).curve("validation")
    assert [row["step"] for row in rows] == [4, 8, 12] and all(row["loss"] > 0 and row["loss_ema"] > 0 for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_what_does_not_use_it_refuses_it(root: Path) -> None:
    result = train_apart("experiment=judge", "data.features=online", f"outputs={root}")
    assert result.returncode == 2 and "data.features=online: would be ignored" in result.stderr


def test_latents_with_texts_are_those_of_one_key_and_no_text_is_cached(tmp_path: Path) -> None:
    import lightning_diff as ld
    from lightning_diff.data.dataset import Pictures, pictures
    from lightning_diff.data.sources.still_life import StillLife
    from lightning_diff.nets.weights import save_weights
    from lightning_diff.training.features import CachedLatents, frozen_nets

    source = StillLife(train=40, test=0, features="latents")
    model = ld.load()
    for part, net in (("autoencoder", model.autoencoder), ("text", model.text_encoder)):
        save_weights(tmp_path / "parts" / f"{part}.safetensors", net.state_dict(), vars(net)["made_by"])
    frozen = frozen_nets(source, tmp_path / "cache", tmp_path / "parts", "cpu")
    assert isinstance(frozen.train, CachedLatents) and not (tmp_path / "cache" / "captions").exists()
    whole = pictures(source, tmp_path / "cache", "train")
    assert isinstance(whole, Pictures)
    places = frozen.train.order(8, 0).places(3)
    batch, seen = frozen.train.__getitems__(places), whole.__getitems__(places)
    assert batch["captions"] == seen.captions and batch["positions"].tolist() == seen.positions.tolist()
    with torch.no_grad():
        right = frozen.autoencoder.encode(seen.images.float() / 127.5 - 1).mean
    torch.testing.assert_close(batch["mean"].float(), right, atol=2e-2, rtol=1e-2)
