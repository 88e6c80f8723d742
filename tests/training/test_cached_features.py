"""Cached features: a sample's bits are its own, whatever else is in the set, and a sample more computes that one alone."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_diff.config.compose import compose_config
from lightning_diff.config.paths import SHIPPED
from lightning_diff.config.registry import named
from lightning_diff.data.dataset import CachedFeatures
from lightning_diff.models.build import autoencoder_net, build
from lightning_diff.training import features as module
from lightning_diff.training.features import ROWS, frozen_nets, manifests, missing_features, rows_of
from lightning_diff.training.footprint import encoding_bytes
from tests.cases.eye import tar

SIDE = 32
COUNT = 2 * ROWS + 9
PARTS = SHIPPED / "still_life" / "parts"


def picture(i: int) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(i).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def caption(i: int) -> str:
    return (
        f"a {('red', 'green', 'blue')[i % 3]} {('apple', 'mug', 'lamp on a table')[i % 5 % 3]} {'at night ' * (i % 4)}"
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The number of samples that were computed since the last look, by kind."""
    found = {"latents": 0, "captions": 0}
    for kind in found:
        compute: Any = getattr(module, f"_{kind}")

        def counting(train: Any, net: Any, rows: Any, kind: str = kind, compute: Any = compute) -> Mapping[str, Any]:
            found[kind] += len(rows)
            return compute(train, net, rows)

        monkeypatch.setattr(module, f"_{kind}", counting)
    return found


def cached(folder: Path, numbers: Sequence[int], cache: Path, bad: Sequence[int] = ()) -> CachedFeatures:
    """The features of the pictures with these numbers, in shards of 20; those of `bad` cannot be decoded."""
    folder.mkdir()
    for first in range(0, len(numbers), 20):
        with tarfile.open(folder / f"{first:04d}.tar", "w") as shard:
            for place, i in enumerate(numbers[first : first + 20], first):
                data = b"no picture %d" % i if i in bad else picture(i)
                for ending, content in (("png", data), ("txt", caption(i).encode())):
                    member = tarfile.TarInfo(f"k{place:04d}.{ending}")
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))
    source: Any = named("data", "shards")(source=str(folder), image_size=SIDE, test="none")
    return frozen_nets(source, cache, PARTS, "cpu").train


def rows(features: CachedFeatures, numbers: Sequence[int]) -> dict[int, list[bytes]]:
    """The bytes of each picture's features, by its number."""
    batch = features.__getitems__([(p, p, 0) for p in range(len(features))])
    arrays = [batch[name].numpy() for name in ("mean", "std", "tokens", "mask", "pooled")]
    return {i: [a[p].tobytes() for a in arrays] for p, i in enumerate(numbers)}


def test_features_are_those_of_a_set_computed_from_scratch(tmp_path: Path, counted: dict[str, int]) -> None:
    draw, whole = np.random.default_rng(0), list(range(COUNT))
    found = rows(cached(tmp_path / "whole", whole, tmp_path / "cache"), whole)
    captions = len({caption(i) for i in whole})
    assert counted == {"latents": COUNT, "captions": captions}
    sets = [[*whole[:50], COUNT, *whole[50:]], [3], whole[::-1], draw.permutation(COUNT + 1)[: ROWS + 3].tolist()]
    for n, some in enumerate(sets):
        counted.update(latents=0, captions=0)
        grown = rows(cached(tmp_path / f"grown{n}", some, tmp_path / "cache"), some)
        assert counted == {"latents": 0 if n else 1, "captions": 0}
        scratch = rows(cached(tmp_path / f"scratch{n}", some, tmp_path / f"cache{n}"), some)
        assert grown == scratch and all(found[i] == grown[i] for i in some if i in found)


def test_what_cannot_be_decoded_is_not_in_the_set(tmp_path: Path) -> None:
    numbers = list(range(8))
    found = rows(cached(tmp_path / "whole", numbers, tmp_path / "cache"), numbers)
    good = [0, 1, 4, 5, 6]
    some = rows(cached(tmp_path / "some", numbers, tmp_path / "cache", bad=(2, 3, 7)), good)
    assert [some[i] for i in good] == [found[i] for i in good]


def test_several_captions_take_turns(tmp_path: Path) -> None:
    """Each has a row of its own, and each epoch takes the next one."""
    said = [["a red apple", "an apple"], ["a mug"], ["one", "two", "three"]]
    tar(
        tmp_path / "set" / "0.tar",
        [m for i, c in enumerate(said) for m in ((f"{i}.png", picture(i)), (f"{i}.json", json.dumps(c)))],
    )
    source: Any = named("data", "shards")(source=str(tmp_path / "set"), image_size=SIDE)
    frozen = frozen_nets(source, tmp_path / "cache", PARTS, "cpu")
    for epoch in range(4):
        batch = frozen.train.__getitems__([(3 * epoch + i, i, epoch) for i in range(3)])
        expected = frozen.tower.condition([captions[epoch % len(captions)] for captions in said])
        torch.testing.assert_close(batch["pooled"].float(), expected.pooled, atol=2e-3, rtol=0)


def test_what_is_missing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "digests", lambda train, digests=module.digests: asked.append(train) or digests(train))
    cached(tmp_path / "one", [0, 1], tmp_path / "cache")
    hashes = {part: module.file_hash(PARTS / f"{part}.safetensors") for part in ("text", "autoencoder")}
    assert missing_features(asked[0], tmp_path / "cache", hashes) == {"latents": 0, "captions": 0}
    assert missing_features(asked[0], tmp_path / "elsewhere", hashes) == {"latents": 2, "captions": 2}
    assert missing_features(asked[0], tmp_path / "cache", hashes | {"text": "0"}) == {"latents": 0, "captions": 2}


@pytest.mark.parametrize("size, rows", [(32, 32), (64, 32), (128, 32), (256, 8), (512, 2), (768, 1), (1024, 1)])
def test_large_pictures_are_encoded_a_few_at_a_time(size: int, rows: int) -> None:
    some: Any = SimpleNamespace(image_size=size, fit="crop")
    assert rows_of(size) == rows and manifests(some, {"autoencoder": "a", "text": "t"})["latents"]["rows"] == rows


def test_the_memory_of_encoding_is_known_before() -> None:
    """Of Stable Diffusion's autoencoder, which needs 646 MiB for each picture of 512 pixels."""
    passport = {"part": "autoencoder", "net": autoencoder_net(compose_config(["autoencoder=sd"]).autoencoder)}
    assert 1200 < encoding_bytes(lambda: build(passport), 512) / 2**20 < 1400
