"""Sets that are mixed by weight, and pictures in buckets of shapes: what the trainer gets is what the words say."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.data.account.summary import cropped
from lightning_diff.data.dataset import PictureBatch, Pictures, collate, pictures
from lightning_diff.data.decode import decode
from lightning_diff.data.order import Batches
from lightning_diff.data.ordering.buckets import Framing, nearest_shapes, shapes_of
from lightning_diff.data.ordering.ordering import ShardOrder
from lightning_diff.data.ordering.weights import weighted
from lightning_diff.data.sources.shards import Shards
from tests.cases.eye import encoded, tar

SIZES = [(40, 40), (48, 24), (24, 48), (44, 34)]
BATCH = 8


def a_set(root: Path, name: str, shards: int, each: int) -> Path:
    """Shards of pictures in all of SIZES, each with colours of its own."""
    for n in range(shards):
        members = []
        for i in range(each):
            colour = (n * 29 % 256, i * 7 % 256, len(name) * 50 % 256)
            members += [
                (f"{name}{n}-{i}.png", encoded(colour, "PNG", SIZES[i % 4])),
                (f"{name}{n}-{i}.txt", f"{name} {n} {i}"),
            ]
        tar(root / name / f"{n:03d}.tar", members)
    return root / name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mixed")
    a_set(place, "one", 6, 12)
    a_set(place, "other", 4, 9)
    return place


def source(root: Path, **keys: object) -> Shards:
    made = {"image_size": 32, "source": str(root / "one"), "test": "none", "features": "online", "block": 50, **keys}
    return Shards(**made)  # type: ignore[arg-type]


def train_set(root: Path, **keys: object) -> Pictures:
    some = source(root, **keys)
    found = pictures(some, root / "cache", "train", framing=some.framing(3))
    assert found is not None
    return found


def mixed(root: Path, **keys: object) -> Pictures:
    return train_set(root, mix=[f"0.5:{root / 'other'}"], buckets=9, crop="random", flip=True, **keys)


def digest(batch: PictureBatch) -> str:
    said = "\n".join(batch.captions).encode()
    return hashlib.sha256(batch.images.numpy().tobytes() + said + batch.positions.numpy().tobytes()).hexdigest()


def test_weights_say_how_often_a_set_is_seen_and_the_counts_say_so_too(root: Path) -> None:
    order = mixed(root).order(BATCH, 0)
    assert isinstance(order, ShardOrder)
    steps = int((order.blocks.seen_before(8) // BATCH).sum())
    names = [mixed(root).name(i) for step in range(steps) for _, i, _ in order.places(step)]

    assert set(Counter(name for name in names if name.startswith("one")).values()) <= {7, 8}
    assert set(Counter(name for name in names if name.startswith("other")).values()) <= {3, 4}
    counted = Counter[str]()
    for step in range(steps):
        counted.update(order.by_set(step))
    by_path = {str(root / "one"): 0, str(root / "other"): 0}
    for name in names:
        by_path[str(root / re.match("[a-z]+", name)[0])] += 1  # type: ignore[index]
    assert counted == by_path


def test_a_batch_has_one_shape_the_nearest_to_its_pictures(root: Path) -> None:
    some = mixed(root)
    order = some.order(BATCH, 0)
    for step in range(30):
        batch = some.__getitems__(order.places(step))
        shape = shapes_of(32, 9)[order.bucket(step)]  # type: ignore[attr-defined]
        assert batch.images.shape == (BATCH, 3, shape[1], shape[0])
        for _, i, _ in order.places(step):
            width, height = some.index.facts.sizes[i]
            apart = [abs(np.log(width / height) - np.log(w / h)) for w, h in shapes_of(32, 9)]
            assert np.isclose(apart[shapes_of(32, 9).index(shape)], min(apart))


@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (2, 0), (4, 0)])
def test_batches_do_not_depend_on_ranks_and_workers_and_go_on_from_any_step(
    root: Path, ranks: int, workers: int
) -> None:
    some = mixed(root)
    alone = [digest(some.__getitems__(some.order(BATCH, 0).places(step))) for step in range(20)]
    start = 7
    parts = []
    for rank in range(ranks):
        batches = Batches(mixed(root).order(BATCH, 0), 20, start, rank, ranks)
        parts.append(list(DataLoader(mixed(root), batch_sampler=batches, num_workers=workers, collate_fn=collate)))
    for step, shares in enumerate(zip(*parts, strict=True), start):
        images, positions = torch.cat([s.images for s in shares]), torch.cat([s.positions for s in shares])
        captions = list(chain(*(s.captions for s in shares)))
        assert digest(PictureBatch(images, captions, positions, {}, [])) == alone[step]


def test_captions_take_turns_in_a_set_that_is_seen_every_second_epoch(tmp_path: Path) -> None:
    """By its position alone, a sample of weight 0.5 would have the same caption for ever."""
    a_set(tmp_path, "one", 2, 8)
    tar(tmp_path / "two" / "0.tar", [("x.png", encoded()), ("x.txt", "first\nsecond")])
    some = train_set(tmp_path, mix=[f"0.5:{tmp_path / 'two'}"], captions="lines")
    order = some.order(4, 0)
    batches = [some.__getitems__(order.places(step)) for step in range(66)]
    said = [caption for batch in batches for caption in batch.captions if caption in ("first", "second")]
    assert len(said) >= 6 and abs(said.count("first") - said.count("second")) <= 1


def test_crops_and_flips_follow_from_the_seed_and_the_position() -> None:
    ramp = np.zeros((32, 96, 3), np.uint8)
    ramp[..., 0] = np.arange(96) * 2
    seen = decode(stored(ramp))

    def cut(framing: Framing, position: int) -> np.ndarray:
        return np.asarray(framing.cut(seen, (32, 32), position))[0, :, 0].astype(int)

    random = Framing([(32, 32)], True, True, 5)
    starts = {int(cut(random, p).min()) for p in range(40)}
    mirrored = [bool(cut(random, p)[0] > cut(random, p)[-1]) for p in range(200)]
    assert len(starts) > 20 and 60 < sum(mirrored) < 140
    assert all((cut(random, p) == cut(Framing([(32, 32)], True, True, 5), p)).all() for p in range(20))
    assert any((cut(random, p) != cut(Framing([(32, 32)], True, True, 6), p)).any() for p in range(20))
    assert cut(Framing([(32, 32)]), 9)[0] == 64, "the centre"


def stored(pixels: np.ndarray) -> bytes:
    import io

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(("size", "count"), [(64, 9), (256, 9), (512, 5), (32, 3), (64, 1)])
def test_shapes_have_the_area_of_the_square_and_one_of_them_is_it(size: int, count: int) -> None:
    shapes = shapes_of(size, count)
    assert (size, size) in shapes and len(shapes) == count
    assert all(0.85 < w * h / size**2 < 1.15 and w / h / 1.001 + 0.1 >= 0.5 and (h, w) in shapes for w, h in shapes)
    assert nearest_shapes(np.array(shapes), shapes).tolist() == list(range(len(shapes)))
    assert shapes[int(nearest_shapes(np.zeros((1, 2)), shapes)[0])] == (size, size)


def test_weights_are_read_and_refused() -> None:
    assert weighted("0.5:/a/b:c.tar") == (weighted("1/2:x")[0], "/a/b:c.tar") and weighted("3: /x y")[1] == "/x y"
    assert weighted("0.5:https://host/set/{000..012}.tar")[1] == "https://host/set/{000..012}.tar"
    for wrong in ("/a", "0:/a", "x:/a", "-1:/a", "0.0001:/a", "2:"):
        with pytest.raises(ConfigError, match=r"data\.mix=.*write WEIGHT:PATH"):
            weighted(wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.buckets=4", "data.features=online"], "must be odd"),
        (["data.buckets=9"], "data.buckets=9: needs data.features=online"),
        (["data.crop=random"], "data.crop=random: needs data.features=online"),
        (["data.flip=true", "data.features=online", "data.fit=pad"], "not with data.fit=pad"),
        (["data.buckets=3", "data.features=online", "data.order=full"], "data.order=full: not with data.buckets"),
        (["data.mix=['1:/nowhere']"], "data.mix=1:/nowhere: no such file or folder"),
        (["data.mix=['s3://x']"], "data.mix=s3://x: write WEIGHT:PATH"),
        (["data.buckets=9", "data.features=online", "data.image_size=16"], "one element of a latent is 4 x 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(root: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as e:
        compose_config(["experiment=folder", "data=shards", f"data.source={root / 'one'}", *words])
    assert said in str(e.value) and "\n" not in str(e.value)


def test_a_net_of_squares_refuses_buckets(root: Path) -> None:
    words = [
        "experiment=aligndraw",
        "data=shards",
        f"data.source={root / 'one'}",
        "data.buckets=3",
        "data.features=online",
    ]
    with pytest.raises(ConfigError, match=r"squares alone|data\.features=online: would be ignored"):
        compose_config(words)


def test_a_shard_of_two_sets_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"000\.tar is in two of the sets"):
        train_set(root, mix=[f"2:{root / 'one' / '000.tar'}"])


def test_where_headers_are_read_each_set_keeps_shards_for_training(root: Path) -> None:
    lone = str(root / "other" / "000.tar")
    for test in ("4", "20", "55"):
        found = source(root, mix=[f"3:{lone}"], check="headers", test=test).prepare(root / "cache")
        train = found.splits["train"]
        assert train.sets is not None and set(train.sets.of.tolist()) == {0, 1}  # type: ignore[attr-defined]
        assert f"of 6, {lone} 0 of 1" in found.said and len(found.splits["test"]) == int(test)
    with pytest.raises(ConfigError, match=r"would take all of a set; .*data\.check=pictures"):
        source(root, mix=[f"3:{lone}"], check="headers", test="61").prepare(root / "cache")


def test_what_a_crop_costs_is_counted_for_the_shape_that_a_picture_gets() -> None:
    sizes = np.array([[40, 40], [80, 40], [40, 80], [40, 160], [60, 40], [0, 0]])
    square, buckets = (Shards(image_size=32, source="x", buckets=count) for count in (1, 9))
    assert cropped(sizes, square).tolist() == pytest.approx([0, 0.5, 0.5, 0.75, 1 / 3, 0])
    found = cropped(sizes, buckets)
    assert (found[[0, 5]] == 0).all() and (found[[1, 2, 4]] < 0.1).all() and 0.4 < found[3] < 0.6
