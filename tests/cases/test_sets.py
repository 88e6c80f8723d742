"""What a set is and what of it is told: small sets, identity, captions that are cut, the record."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lightning_diff.cli.prepare import prepare
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Config
from lightning_diff.data.dataset import pictures
from lightning_diff.pipeline.stages import train

from .eye import encoded, folder, look, tar


def some(count: int) -> list[tuple[str, object]]:
    return [f for i in range(count) for f in ((f"{i}.png", encoded((20 * i, 9, 9), "PNG")), (f"{i}.txt", f"thing {i}"))]


def config_of(root: Path, source: Path, *words: str) -> Config:
    paths = [f"outputs={root}", f"cache={root}/cache", f"data.source='{source}'", "tracking=disabled"]
    return compose_config(["experiment=folder", "data.image_size=16", *paths, *words])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_pictures_for_a_sweep_are_refused_at_the_start(count: int, tmp_path: Path) -> None:
    config = config_of(tmp_path, folder(tmp_path / "set", some(count)))
    with pytest.raises(ConfigError, match=f"{count} train pictures? cannot be measured with"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "parts").exists() and not (tmp_path / "run" / "checkpoints").exists()


def test_too_few_test_pictures_of_a_named_split_are_refused(tmp_path: Path) -> None:
    files = [(f"{'test' if name[0] in '012' else 'train'}/{name}", data) for name, data in some(9)]
    with pytest.raises(ConfigError, match="3 test pictures cannot be measured with"):
        train(config_of(tmp_path, folder(tmp_path / "set", files)), tmp_path / "run")


def test_the_record_says_what_the_data_is(tmp_path: Path) -> None:
    files = [*some(3), ("x.png", encoded(form="PNG")), ("3.png", encoded(form="PNG")), ("3.txt", "word " * 50)]
    config = config_of(tmp_path, folder(tmp_path / "set", files))
    with pytest.raises(ConfigError):  # it ends after that, for want of something to train
        train(config_of(tmp_path, tmp_path / "set", "evaluation=none", "autoencoder.weights=auto", "text.weights=auto",
                        "init_from=/nowhere"), tmp_path / "run")  # fmt: skip
    from lightning_diff.pipeline.data import data_event, prepare_data

    event = data_event(prepare_data(config), config)
    assert (event["train"], event["lost"], event["left_out"]) == (4, 1, {"no caption": 1})
    assert event["captions_cut"] == "1 of 4 captions is longer than 32 tokens (longest 52): text.context_length=52"


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_what_a_set_is_follows_from_its_contents(kind: str, tmp_path: Path) -> None:
    """Copied to another place, under other names, with new times: the same set. Another picture, or caption: another set."""

    def made(name: str, files: list[tuple[str, object]], prefix: str = "") -> str:
        files = [(f"{prefix}{file}", data) for file, data in files]
        source = (
            folder(tmp_path / name, files) if kind == "folder" else tar(tmp_path / name / f"{name}.tar", files).parent
        )
        return config_of(tmp_path, source, f"data={kind}").data.identity(tmp_path / "cache")

    first = made("first", some(6))
    assert made("copied", some(6), "other/") == first
    assert len({first, made("more", some(7)), made("caption", [*some(5), *some(6)[-2:-1], ("5.txt", "else")])}) == 3
    source = tmp_path / "first"
    for path in source.rglob("*"):
        os.utime(path, (1e9, 1e9))
    shutil.move(source, tmp_path / "moved")
    assert config_of(tmp_path, tmp_path / "moved", f"data={kind}").data.identity(tmp_path / "cache") == first


def test_only_a_new_picture_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_diff.data.incoming import ingest

    decoded: list[int] = []
    monkeypatch.setattr(ingest, "decode", lambda data, *more, f=ingest.decode: decoded.append(1) or f(data, *more))
    root = folder(tmp_path / "set", some(6))
    for new in (6, 0, 1):
        if new == 1:
            folder(root, [("6.png", encoded((1, 2, 3), "PNG")), ("6.txt", "more")])
        decoded.clear()
        index = config_of(tmp_path, root).data.prepare(tmp_path / "cache").splits["train"]
        assert len(decoded) == new
    assert index.keys.tolist() == [str(i) for i in range(7)] and index.facts.sizes.tolist() == [[24, 20]] * 7


def test_the_batch_of_a_step_is_what_the_trainer_gets(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [*some(10), ("9.json", '["one", "two"]')])
    (root / "9.txt").unlink()
    words = ["training.batch=4", "training.steps=9", "seed=3"]
    config = config_of(tmp_path, root, *words)
    prepare(config, "step:7")
    train_set = pictures(config.data, tmp_path / "cache", "train")
    assert train_set is not None
    batch = train_set.__getitems__(train_set.order(4, 3).places(7))
    seen = look(tmp_path, "folder", root)
    keys = {caption: key for key, caption in seen.train.items()}
    import csv

    with (tmp_path / "step-7" / "samples.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [r["caption"] for r in rows] == batch.captions and [
        int(r["position"]) for r in rows
    ] == batch.positions.tolist()
    from PIL import Image

    for row, image in zip(rows, batch.images.numpy(), strict=True):
        shown = np.asarray(Image.open(tmp_path / "step-7" / row["file"])).transpose(2, 0, 1)
        assert (shown == image).all() and row["key"] in (keys.get(row["caption"]), "9")
