"""evaluate.py model=: a pipeline that diffusers saved, and a model from a user's own file, are measured like a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

import lightning_diff as ld
from lightning_diff.cli.commands import evaluate_command
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.diffusion.samplers.ancestral import DDIM
from lightning_diff.evaluation.features import judge_features
from lightning_diff.evaluation.results import study_rows
from lightning_diff.interop.configs import scheduler_config
from lightning_diff.interop.export import export_pipeline
from tests.interop.test_export import parts  # noqa: F401 (a fixture)

WORDS = ("data=still_life", "data.train=96", "data.test=64", "evaluation.samples=32", "guidance.scales=[1,3]")

OWN = """
import torch

class Mine:
    def generate(self, prompts, seeds, scale):
        return torch.full((len(prompts), 3, 64, 64), int(20 * scale), dtype=torch.uint8)

def make():
    return Mine()
"""


def evaluated(monkeypatch: pytest.MonkeyPatch, outputs: Path, cache: Path, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words, *WORDS, f"outputs={outputs}", f"cache={cache}"])
    evaluate_command()


def test_stable_diffusion_is_drawn_with_our_nets_samplers_and_guiders(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cache: Path,
    parts: tuple[torch.nn.Module, ...],  # noqa: F811
) -> None:
    folder = tmp_path / "a pipeline"
    export_pipeline(folder, *parts, scheduler_config("scaled_linear", "eps", DDIM()), 64)
    words = ["sampler.steps=3", "sampler.precision=float32", "name=theirs", "evaluation.grid=32"]
    evaluated(monkeypatch, tmp_path, cache, f"model={folder}", *words)
    rows, shown = study_rows(tmp_path / "theirs")
    assert [row["scale"] for row in rows] == [1, 3] and [row["nfe"] for row in rows] == [3, 6]
    import diffusers

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    captions, path = captions_of(cache), DiffusionPath("scaled_linear", "eps")
    for row, (pictures, _) in zip(rows, shown.values(), strict=True):
        passport = row["passport"]
        assert passport["pipeline"] == "StableDiffusionPipeline" and passport["trained_on"] == "unknown"
        assert passport["sampler"]["kind"] == "ddim" and passport["resize"] == "none, 64 px"
        x = start(path, torch.arange(32), (4, 16, 16))
        drawn = pipe(captions[:32], latents=x, guidance_scale=row["scale"], num_inference_steps=3, output_type="pt")
        theirs = (drawn.images * 255).round().int()
        assert (torch.from_numpy(pictures).int() - theirs).abs().max() <= 1
        assert row["fid"] == pytest.approx(peers_fid(cache, torch.from_numpy(pictures)), rel=1e-3)
    assert (tmp_path / "theirs" / "report.html").is_file() and list(
        (tmp_path / "theirs" / "wandb").glob("offline-run-*")
    )
    assert json.loads((tmp_path / "theirs" / "sweep.json").read_text())


def test_another_pipeline_is_drawn_by_diffusers_at_its_own_size(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cache: Path,
    parts: tuple[torch.nn.Module, ...],  # noqa: F811
) -> None:
    folder = tmp_path / "another"
    export_pipeline(folder, *parts, scheduler_config("scaled_linear", "eps", DDIM()), 80)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "StableDiffusionPAGPipeline"}))
    evaluated(
        monkeypatch, tmp_path, cache, f"model={folder}", "sampler.steps=2", "evaluation.samples=8", "tracking=disabled"
    )
    rows, _ = study_rows(tmp_path / "another")
    passport = rows[0]["passport"]
    assert passport["sampler"] == "its own" and passport["pipeline"] == "StableDiffusionPAGPipeline"
    assert passport["resize"] == "centre square, Lanczos, 64 px" and rows[0]["fid"] > 0


def captions_of(cache: Path) -> list[str]:
    from lightning_diff.data.dataset import pictures

    test = pictures(ld.sources.StillLife(train=96, test=64), cache, "test")
    assert test is not None
    return test.range(0, 64).captions


def peers_fid(cache: Path, made: torch.Tensor) -> float:
    """torchmetrics' FID of these pictures, on the judge's features."""
    from lightning_diff.data.dataset import pictures
    from lightning_diff.library.metrics import shipped_judge

    class Seen(torch.nn.Module):
        num_features = 128

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return judge_features(shipped_judge())(images)

    peer = FrechetInceptionDistance(Seen(), normalize=False).set_dtype(torch.float64)
    test = pictures(ld.sources.StillLife(train=96, test=64), cache, "test")
    assert test is not None
    with torch.no_grad():
        peer.update(test.range(0, 64).images, real=True)
        peer.update(made, real=False)
    return float(peer.compute())


def test_a_users_own_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "my file.py"
    file.write_text(OWN)
    evaluated(monkeypatch, tmp_path, cache, f"model={file}:make", "tracking=disabled")
    rows, _ = study_rows(tmp_path / "my file")
    assert [row["guider"] for row in rows] == ["make", "make"] and rows[0]["fid"] > 0
    before = (tmp_path / "my file" / "record.jsonl").read_text().count('"event": "sweep"')
    evaluated(monkeypatch, tmp_path, cache, f"model={file}:make", "tracking=disabled")
    assert (tmp_path / "my file" / "record.jsonl").read_text().count('"event": "sweep"') == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("model=nothing",), "no such folder"),
        (("model=nothing.py:make",), "no such file"),
        (("model=nothing", "run=base"), "give one of them"),
        (("model=nothing", "net=tiny"), "net=tiny: would be ignored"),
        (("model=nothing", "guidance=apg"), "guidance=apg: would be ignored"),
        (("model=nothing", "-m"), "-m: does nothing with model="),
    ],
)
def test_what_is_no_model_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    error: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words, f"outputs={tmp_path}", f"cache={tmp_path}/cache"])
    with pytest.raises(SystemExit) as stopped:
        evaluate_command()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and error in said and said.count("\n") == 1
