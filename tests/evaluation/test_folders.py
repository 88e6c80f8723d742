"""Folders of pictures: torch-fidelity's numbers, a true floor, and one line for each thing that can be wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch_fidelity import calculate_metrics

import lightning_diff
from lightning_diff.cli.commands import evaluate_command
from lightning_diff.config.compose import load_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER, SHIPPED
from lightning_diff.evaluation.extractors.inception import Inception
from lightning_diff.evaluation.features import features_of
from lightning_diff.evaluation.folders.comparing import real_scores
from lightning_diff.evaluation.metrics.fid import FID, Gaussian
from lightning_diff.evaluation.metrics.kernels import CMMD, KID
from lightning_diff.evaluation.resizing import clean_resized
from lightning_diff.pipeline.folders.reference import reference_pictures
from tests.evaluation.test_features import random_inception

CPU = torch.device("cpu")
FEW = "evaluation.metrics=[fid,kid,precision_recall,clip_score]"


def noise(folder: Path, count: int, seed: int, captions: bool = False) -> Path:
    """Pictures of 40 x 30 pixels with soft noise, of the colours of a seed."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    for i in range(count):
        some = Image.fromarray(draw.integers(0, 255 - 50 * seed, (6, 8, 3), np.uint8)).resize((40, 30))
        some.save(folder / f"{i:02d}.png")
        if captions:
            (folder / f"{i:02d}.txt").write_text(f"number {i}")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return noise(tmp_path / "a", 8, 0, captions=True), noise(tmp_path / "b", 9, 1)


@pytest.mark.slow
@pytest.mark.parametrize("crop", [0, 24])
def test_the_numbers_are_torch_fidelitys(tmp_path: Path, crop: int) -> None:
    weights = random_inception(tmp_path / "inception.pth")
    a, b = (noise(tmp_path / str(seed), 8, seed) for seed in (0, 1))
    theirs = calculate_metrics(
        **{"input1": str(a), "input2": str(b), "kid": True, "kid_subsets": 1, "kid_subset_size": 8, "prc": True},
        **{"feature_extractor": "inception-v3-compat", "feature_layer_prc": "2048"},
        **{"feature_extractor_weights_path": str(weights), "samples_resize_and_crop": crop},
        **{"cuda": False, "cache": False, "verbose": False, "batch_size": 4},
    )
    words = ["evaluation/features=inception", f"evaluation.features.weights={weights}", FEW]
    found = lightning_diff.evaluate_pictures(a, b, overrides=[*words, f"evaluation.features.crop={crop}"])
    assert found.values["kid"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)
    assert found.values["precision"] == pytest.approx(theirs["precision"])
    assert found.values["recall"] == pytest.approx(theirs["recall"])
    said = found.passport["judge"]["fid_features"]
    assert ("crop=24" in said) == bool(crop) and found.passport["resize"]["features"] == "whole pictures, as they are"


def test_clean_and_tf1_differ_only_where_something_is_resized(tmp_path: Path) -> None:
    weights = str(random_inception(tmp_path / "inception.pth"))
    tf1, clean = (Inception(weights=weights, resize=how) for how in ("tf1", "clean"))
    same = torch.randint(0, 256, (1, 3, 299, 299), dtype=torch.uint8)
    small = same[..., :100, :150]
    one, other = (features_of(same, some.build(CPU)) for some in (tf1, clean))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(one.abs().max()))
    one, other = (features_of(small, some.build(CPU)) for some in (tf1, clean))
    assert (one - other).abs().max() > 0.01 * one.abs().max()
    assert tf1.made_by.startswith("inception ") and "clean" in clean.made_by and "clean" not in tf1.made_by


def test_clean_resize_is_antialiased_and_not_rounded() -> None:
    board = (torch.arange(600)[:, None] + torch.arange(600)) % 2 * 255
    grey = clean_resized(board.to(torch.uint8).expand(1, 3, 600, 600), 299)
    assert grey.shape == (1, 3, 299, 299) and (grey - 127.5).abs().max() < 20 and (grey != grey.round()).any()
    ramp = torch.arange(200, dtype=torch.uint8).expand(1, 3, 200, 200)
    assert (clean_resized(ramp, 299)[0, 0, :, 1:] >= clean_resized(ramp, 299)[0, 0, :, :-1]).all()


@pytest.mark.parametrize("n, m", [(300, 500), (60, 500), (500, 200)])
def test_the_floor_is_what_pictures_of_the_same_kind_score(n: int, m: int) -> None:
    scores, floors = [], []
    metrics = [FID(), CMMD(), KID()]
    for seed in range(6):
        draw = torch.Generator().manual_seed(seed)
        made, real = (torch.randn(count, 12, generator=draw) for count in (n, m))
        row = {"fid": Gaussian(real).distance(made)}
        row |= CMMD().compare(real, made)
        scores.append(row)
        floors.append(real_scores({"features": real, "embedding": real}, n, metrics))
    for name in ("fid", "cmmd_google"):
        score, floor = (np.mean([row[name] for row in rows]) for rows in (scores, floors))
        assert floor == pytest.approx(score, rel=0.25), name
    assert abs(np.mean([row["kid"] for row in floors])) < 0.05
    assert abs(np.mean([row["cmmd"] for row in floors])) < 0.25 * np.mean([row["cmmd_google"] for row in floors])


def test_pictures_of_a_run_score_0_against_its_held_out_ones(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(SHIPPED / "still_life", run)
    stored = yaml.safe_load((run / "config.yaml").read_text())
    stored["data"] |= {"train": 96, "test": 64}
    stored["cache"] = str(tmp_path / "cache")
    (run / "config.yaml").write_text(yaml.safe_dump(stored))
    split, asked = reference_pictures(load_config(run / "config.yaml"))
    (tmp_path / "own").mkdir()
    for i, (image, caption) in enumerate(zip(asked.images, asked.captions, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "own" / f"{i:02d}.png")
        (tmp_path / "own" / f"{i:02d}.txt").write_text(caption)
    found = lightning_diff.evaluate_pictures(tmp_path / "own", run=run)
    values = found.values
    assert split == "test" and values["n"] == values["n_reference"] == 64
    assert values["fid"] < 1e-4 and values["precision"] == values["recall"] == 1
    assert values["clip_score"] == pytest.approx(found.real["clip_score"], abs=1e-3) and values["clip_score"] > 30
    assert found.passport["reference"]["split"] == "test" and not found.shipped


def test_what_cannot_be_read_is_left_out_by_name(two: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = two
    (a / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (a / "page.jpg").write_bytes(b"<!DOCTYPE html>")
    (a / "deep").mkdir()
    Image.new("L", (10, 90), 40).save(a / "deep" / "tall.webp")  # of another size, without a caption
    shutil.copy(a / "03.png", b / "copy.png")
    before = sorted(tmp_path.rglob("*"))
    found = lightning_diff.evaluate_pictures(a, b)
    assert sorted(tmp_path.rglob("*")) == before
    assert found.values["n"] == 9 and found.values["n_reference"] == 10 and found.common == 1
    assert {one.member for one in found.left_out["pictures"]} == {"broken.png", "page.jpg"}
    assert found.passport["pictures"]["left_out"] == 2 and found.passport["pictures"]["captioned"] == 8
    assert np.isfinite(found.values["clip_score"]) and "clip_score" not in found.real
    assert found.values["fid_std"] > 0 and found.real["fid"] > 0
    bare = lightning_diff.evaluate_pictures(b, a)
    assert "clip_score" not in bare.values and "clip_score" in bare.real


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words])
    evaluate_command()


def test_the_command_takes_paths_as_typed_and_writes_only_to_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = noise(tmp_path / "a, b [1]", 5, 0), noise(tmp_path / "home" / "{c} = d", 6, 1)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    out = tmp_path / "new" / "result, 1.json"
    words = [f"pictures={a}", "reference=~/{c} = d", f"out={out}", "columns=fid,n"]
    command(monkeypatch, *words)
    said = capsys.readouterr().out
    assert "real pictures" in said and "fid" in said and "recall" not in said and str(out) in said
    stored = json.loads(out.read_text())
    assert stored["values"]["n"] == 5 and stored["values"]["n_reference"] == 6 and stored["passport"]["judge"]
    assert b.is_dir() and sorted(p.name for p in tmp_path.iterdir()) == ["a, b [1]", "home", "new"]


@pytest.mark.parametrize(
    "words, error",
    [
        (["pictures=A"], "reference=: say what to compare with"),
        (["pictures=A", "reference=no"], "reference=.*no: no such folder"),
        (["pictures=A/00.png", "reference=B"], "a file, not a folder of pictures"),
        (["pictures=A", "reference=A/../a"], "the same folder"),
        (["pictures=A", "reference=empty"], "reference=.*empty: no picture in it; 1 caption has no picture"),
        (["pictures=three", "reference=B"], "pictures=.*three: 3 pictures are too few"),
        (["pictures=A", "reference=B", "sampler=heun"], "sampler: would be ignored"),
        (["pictures=A", "reference=B", "evaluation.seed=3"], "evaluation.seed: would be ignored"),
        (["pictures=A", "reference=B", "-m"], "--multirun: would be ignored"),
        (["pictures=A", "reference=B", "out=B"], "out=.*: give a file that ends in .json"),
        (
            ["pictures=A", "reference=B", "out=B/00.json"],
            "out=.*: would lie among the files of .*b; name a place outside",
        ),
        (
            ["pictures=A", "reference=B", "out=run/figures/x.json"],
            "out=.*: would lie among the files of .*run; name a place",
        ),
        (["pictures=A", "reference=B", "columns=fdi"], "columns=fdi: no such column; did you mean 'fid'"),
        (["pictures=A", "reference=B", "evaluation/features=inception"], "must be a local file"),
        (["pictures=A", "run=nothing"], "run=nothing: no finished run"),
        (["run=x", "out=y.json"], "out=: would be ignored; it belongs to pictures=DIR"),
    ],
)
def test_what_is_wrong_is_one_line(
    two: tuple[Path, Path],
    tmp_path: Path,
    words: list[str],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a, b = two
    noise(tmp_path / "three", 3, 0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    places = {"A": str(a), "B": str(b), "no": str(tmp_path / "no"), "empty": str(tmp_path / "empty")}
    places |= {name: str(tmp_path / name) for name in ("three", "run")}
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "record.jsonl"):
        (tmp_path / "run" / name).write_text("")
    typed = []
    for word in words:
        key, equals, value = word.partition("=")
        head, slash, rest = value.partition("/")
        if key in ("pictures", "reference", "out") and head in places:
            value = places[head] + slash + rest
        typed.append(key + equals + value)
    with pytest.raises(SystemExit) as stopped:
        command(monkeypatch, *typed)
    said = capsys.readouterr().err.strip()
    assert stopped.value.code == 2 and "\n" not in said
    with pytest.raises(ConfigError, match=error):
        raise ConfigError(said)


def test_the_public_face_needs_no_torch() -> None:
    code = (
        "import sys, lightning_diff; assert 'torch' not in sys.modules and 'evaluate_pictures' in dir(lightning_diff)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE_FOLDER)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lightning_diff.nothing  # noqa: B018
