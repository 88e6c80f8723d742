"""A drawn picture says how it was made and can be drawn again, bit for bit; what a file says of itself is not trusted."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lightning_diff.cli.commands import sample_command
from lightning_diff.cli.drawing.explore import explore_command
from lightning_diff.cli.drawing.prompts import shipped_run
from lightning_diff.cli.drawing.sample import place_of
from lightning_diff.config.paths import SHIPPED
from lightning_diff.sums import known_sha256
from lightning_diff.tracking.made_picture import Origin, read_picture, save_picture

Say = Callable[..., tuple[int, str, str]]
SHORT = ("sampler=heun", "sampler.steps=2")


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sample.py", *words])
        code = 0
        try:
            sample_command()
        except SystemExit as e:
            code = int(e.code or 0)
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), said.err

    return call


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The shipped model as a run of one's own."""
    return Path(shutil.copytree(SHIPPED / "still_life", tmp_path / "mine"))


@pytest.mark.parametrize("command", [sample_command, explore_command])
def test_no_word_makes_another_model_of_a_run(
    command: Callable[[], None], run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x.py", f"run={run}", "prompt=a", "count=64", "text.layer=1"])
    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code == 2 and capsys.readouterr().err.startswith("error: text.layer")
    assert not (run / "explore.html").exists()


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def rewritten(path: Path, **changed: Any) -> Path:
    """The picture, saying something else of itself."""
    with Image.open(path) as picture:
        info = PngImagePlugin.PngInfo()
        info.add_text("lightning_diff", json.dumps(json.loads(picture.text["lightning_diff"]) | changed))  # type: ignore[attr-defined]
        other = path.with_name("changed.png")
        picture.save(other, pnginfo=info)
    return other


def test_pictures_at_several_scales_are_drawn_again(say: Say, tmp_path: Path, run: Path) -> None:
    out = tmp_path / "out"
    code, said, _ = say(
        f"run={run}", "prompt=a red mug, 猫", f"out={out}", "guidance.scales=[1,4]", "count=2", "seed=7", *SHORT
    )
    assert code == 0 and "4 pictures at w = 1, 4 in" in said
    files = sorted(p.name for p in out.iterdir())
    assert len(files) == 5 and [name[-8:] for name in files[:4]] == ["7-w1.png", "7-w4.png", "8-w1.png", "8-w4.png"]
    assert pixels(out / "grid.png").shape[1] == 150 + 2 * 132
    picture = out / files[3]
    text = Image.open(picture).text  # type: ignore[attr-defined]
    origin = json.loads(text["lightning_diff"])
    assert (origin["row"], origin["rows"]) == (1, 2)
    assert (origin["prompt"], origin["seed"], origin["scale"], origin["run"]) == ("a red mug, 猫", 8, 4.0, str(run))
    assert origin["sampler"]["steps"] == 2 and len(origin["weights"]["net"]) == 12 and origin["version"]
    assert text["parameters"].startswith(
        "a red mug, 猫\nSteps: 2, Sampler: heun, CFG scale: 4, Seed: 8, Size: 64x64, Model hash: "
    )
    code, said, _ = say(f"again={picture}", f"out={out}")
    (made,) = out.glob("*-again.png")
    assert code == 0 and "bit for bit" in said and np.array_equal(pixels(made), pixels(picture))
    changed = rewritten(picture, seed=9)
    assert " values differ, by at most " in say(f"again={changed}", f"out={out}")[1]

    moved = run.rename(tmp_path / "moved")
    code, _, error = say(f"again={picture}", f"out={out}")
    assert code == 2 and "is gone; if it lies elsewhere, add run=FOLDER" in error and error.count("\n") == 1
    assert "bit for bit" in say(f"again={picture}", f"run={moved}", f"out={out}")[1]
    shutil.copy(moved / "parts" / "text.safetensors", moved / "parts" / "autoencoder.safetensors")
    code, _, error = say(f"again={picture}", f"run={moved}", f"out={out}")
    assert code == 2 and "are others (autoencoder " in error and error.count("\n") == 1


def test_a_negative_prompt_is_drawn_and_kept(say: Say, tmp_path: Path, run: Path) -> None:
    for name, words in (("plain", ()), ("without", ("negative=at night",))):
        code, _, error = say(f"run={run}", "prompt=a red mug", f"out={tmp_path / name}", "count=1", *words, *SHORT)
        assert code == 0, error
    plain, without = (next((tmp_path / name).glob("*-0.png")) for name in ("plain", "without"))
    assert not np.array_equal(pixels(plain), pixels(without))
    text = Image.open(without).text  # type: ignore[attr-defined]
    assert text["parameters"].startswith("a red mug\nNegative prompt: at night\n")
    assert "bit for bit" in say(f"again={without}", f"out={tmp_path}")[1]
    assert "leave it out" in say(f"again={without}", "negative=x")[2]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"words": ["plugins=[evil.py]"]}, "no override that a picture may hold"),
        ({"words": ["outputs=/tmp"]}, "no override that a picture may hold"),
        ({"words": ["--help"]}, "no override that a picture may hold"),
        ({"words": ["sampler.steps=${oc.env:HOME}"]}, "no override that a picture may hold"),
        ({"words": ["sampler.steps=many"]}, "sampler.steps"),
        ({"words": ["sampler.steps=3"]}, "sampler was steps 2, and is 3"),
        ({"words": {"a": 1}}, "words has another type"),
        ({"seed": -1}, "seed has another type"),
        ({"seed": True}, "seed has another type"),
        ({"rows": 10**9}, "rows has another type"),
        ({"rows": 2, "row": 2}, "row has another type"),
        ({"scale": float("nan")}, "scale has another type"),
        ({"weights": {"net": "../../x"}}, "weights has another type"),
        ({"more": 1}, "must be a table of"),
        ({"run": "/no/such"}, "is gone"),
        ({"prompt": "x" * 70_000}, "must be a table of"),
    ],
)
def test_what_a_file_says_of_itself_is_checked(changed: dict[str, Any], error: str, say: Say, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    origin = {
        "prompt": "a",
        "seed": 0,
        "scale": 1.0,
        "sampler": {"steps": 2},
        "guidance": {},
        "words": ["sampler.steps=2"],
    }
    files = {"net": "weights", "autoencoder": "parts/autoencoder", "text": "parts/text"}
    shipped = {part: known_sha256(shipped_run() / f"{name}.safetensors")[:12] for part, name in files.items()}
    full = Origin(**origin, run="", weights=shipped, size=64, version="0")  # type: ignore[arg-type]
    save_picture(np.zeros((3, 64, 64), np.uint8), picture, full)
    code, _, said = say(f"again={rewritten(picture, **changed)}", f"out={tmp_path}")
    assert code == 2 and error in said and said.count("\n") == 1


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_another_file_is_refused(data: bytes, say: Say, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(data)
    Image.new("RGB", (8, 8)).save(tmp_path / "y.png")
    assert "not a PNG that can be read" in say(f"again={tmp_path}/x.png")[2]
    assert "does not say how it was made" in say(f"again={tmp_path}/y.png")[2]
    assert "leave it out" in say(f"again={tmp_path}/y.png", "seed=3")[2]


def test_names_tell_scales_and_runs_apart_where_they_would_collide(tmp_path: Path) -> None:
    first = Origin("a mug", 3, 2.0, {}, {}, [], "outputs/one", {}, 8, "0")
    others = [
        first,
        replace(first, scale=4.0),
        replace(first, run="outputs/two", scale=4.0),
        replace(first, scale=4.0, size=9),
    ]
    for _ in range(2):  # the same commands again write the same files
        for origin in others:
            save_picture(np.zeros((3, 8, 8), np.uint8), place_of(tmp_path, origin), origin)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["a-mug-3-w4-one.png", "a-mug-3-w4-two.png", "a-mug-3-w4.png", "a-mug-3.png"]
    assert [asdict(read_picture(place_of(tmp_path, o))[0]) for o in others] == [asdict(o) for o in others]
