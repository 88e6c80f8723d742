"""Every experiment of conf/ runs from its first step to its last, shortened; the main job ends in a sweep."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import mlflow
import pytest
import torch
from diffusers import StableDiffusionPipeline
from pyarrow import parquet
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from lightning_diff.cli.commands import evaluate_command
from lightning_diff.cli.drawing.sample import sample
from lightning_diff.cli.exporting.export import export
from lightning_diff.cli.prepare import prepare_data
from lightning_diff.config.compose import compose_config, load_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import CONF, SHIPPED
from lightning_diff.evaluation.sweep import Store
from lightning_diff.pipeline.objects import model_of
from lightning_diff.pipeline.stages import evaluate, train
from lightning_diff.tracking.record import Record
from tests import conftest

pytestmark = pytest.mark.usefixtures("common_cache")
EXPERIMENTS = sorted(p.stem for p in (CONF / "experiment").glob("*.yaml"))


def short(experiment: str, root: Path, *more: str) -> list[str]:
    return conftest.short(experiment, f"outputs={root}", f"cache={root}/cache", *more)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs(experiment: str, tmp_path: Path, pictures_folder: Path) -> None:
    more = [f"data.source={pictures_folder}"] if experiment in ("folder", "stamps") else []
    more += ["net.glimpses=4"] if experiment == "aligndraw" else []
    config = compose_config(short(experiment, tmp_path, *more))
    folder = tmp_path / experiment
    train(config, folder)
    assert (folder / "weights.safetensors").is_file()
    steps = [row["step"] for row in Record(folder).curve()]
    assert steps == [1, 2, 3]
    if not config.generates:
        assert Record(folder).read("weights")
        return
    with (folder / "sweep.csv").open() as f:
        rows = list(csv.DictReader(f))
    scales = [1.0] if experiment == "aligndraw" else [1.0, 3.0]
    assert [float(r["scale"]) for r in rows] == scales
    passports = json.loads((folder / "sweep.json").read_text())
    assert {r["passport"] for r in rows} == set(passports)
    case = "cfg-aligndraw4" if experiment == "aligndraw" else "cfg-euler2"
    grids = [f"grid-{case}-w{scale:g}.png" for scale in scales]
    for figure in ("sweep.png", "loss.png", "front.png", "guidance.png", *grids):
        assert (folder / "figures" / figure).stat().st_size > 0


def test_a_finished_run_is_evaluated_and_sampled_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "base"
    train(compose_config(short("base", tmp_path)), folder)
    before = Record(folder).read("sweep")
    capsys.readouterr()
    evaluate([load_config(folder / "config.yaml", ["guidance.scales=[1,2]"])], folder, ["scale", "fid", "kid"])
    said = capsys.readouterr().out
    assert re.findall(r"^│ (\d) ", said, re.M) == ["1", "2", "3"] and re.search(r"┃ scale ┃ fid +┃ kid +┃", said)
    assert "obeyed best at w = " in said and "FID is lowest at w = " in said  # the verdict, of these three rows
    after = Record(folder).read("sweep")
    assert [r["scale"] for r in after] == [1.0, 3.0, 2.0]  # w = 1 was known by its passport and not computed again
    assert after[: len(before)] == before
    prompts = ['a "green" avocado, on [a] table', "уличный кот {x} ${y}"]
    sample(load_config(folder / "config.yaml"), folder, prompts, 2, tmp_path / "samples")
    assert len(list((tmp_path / "samples").glob("*.png"))) == 5
    with pytest.raises(ConfigError, match="another name"):
        train(compose_config(short("base", tmp_path, "objective=v")), folder)
    with pytest.raises(ConfigError, match="scalez"):
        load_config(folder / "config.yaml", ["guidance.scalez=3"])


def test_a_run_with_every_mirror(tmp_path: Path) -> None:
    """The record's curve and the sweep are in each of them, once, though the command was given twice."""
    folder = tmp_path / "base"
    words = ["tracking=offline", "tracking.also=[tensorboard,csv,mlflow]", "evaluation.every=2", "evaluation.quick=8"]
    for _ in range(2):
        train(compose_config(short("base", tmp_path, *words)), folder)
    curve = Record(folder).curve()
    with (folder / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [float(r["loss"]) for r in rows] == [r["loss"] for r in curve] and rows[1]["quick_fid"]
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [e.step for e in board.Scalars("train/loss")] == [r["step"] for r in curve]
    assert [e.step for e in board.Scalars("train/quick_fid")] == [2]
    swept = EventAccumulator(str(folder / "tensorboard" / "sweep" / "cfg-euler2")).Reload()
    fids = {r["scale"]: r["fid"] for r in Record(folder).read("sweep")}
    assert {e.step / 1000: e.value for e in swept.Scalars("sweep/fid")} == pytest.approx(fids)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow/mlflow.db")
    run = (folder / "mlflow_id").read_text()
    points = client.get_metric_history(run, "sweep/cfg-euler2/fid")
    assert len(points) == 2 and {m.step / 1000: m.value for m in points} == pytest.approx(fids)
    assert "report.html" in {a.path for a in client.list_artifacts(run)}
    assert len({f.stem for f in folder.rglob("run-*.wandb")}) == 1
    tables = [json.loads(p.read_text()) for p in folder.rglob("*.table.json")]
    cases = [t for t in tables if "checkpoint" in t["columns"]]
    assert [[row[t["columns"].index("scale")] for row in t["data"]] for t in cases] == [
        [1.0, 3.0]
    ] * 2  # a segment each


JUDGE = SHIPPED / "still_life" / "parts" / "judge.safetensors"
OPTIONS = [  # every part of the mathematics that a config reaches, two or three at a time
    "objective=eps sampler=ddpm",
    "objective=v sampler=heun objective.weight=min_snr guidance=interval",
    "objective=x0 sampler=ddim sampler.eta=0.5 objective.weight=snr_power guidance=rescale",
    "objective=edm sampler=heun_karras sampler.grid=karras objective.weight=edm objective.uncertainty=true",
    "objective=stable_diffusion sampler=dpmpp_2m sampler.grid=exponential objective.offset_noise=0.1 guidance=apg",
    "objective=v_zero sampler=dpmpp_2m_sde objective.weight=soft_min_snr guidance=growing",
    "objective=flow sampler=unipc sampler.grid=shifted objective.times=cosine objective.stratified=true guidance=cfg_zero",
    "objective=flow sampler=midpoint objective.shift=3 guidance.threshold=[0.99,3] guidance.zero_above=9",
    "objective=v sampler=euler_ancestral objective.times=lognormal guidance=cfgpp training.checkpointing=true",
    f"text.layer=2 text.more=[{{kind:small,weights:{JUDGE},final_norm:false}}] text.join=tokens text.pooled=last "
    "text.null=learned",
    f"net=ldm_tiny net.pooled=true text.more=[{{kind:small,weights:{JUDGE}}}] text.null=zeros",
]


@pytest.mark.parametrize("words", OPTIONS)
def test_options_train_and_draw(words: str, tmp_path: Path) -> None:
    scale = 1.7 if "growing" in words else 0.7  # a growing weight must not begin below 1, CFG++'s lies in [0, 1]
    more = [*words.split(), "sampler.steps=3", f"guidance.scales=[{scale}]", "training.steps=2"]
    folder = tmp_path / "run"
    train(compose_config(short("base", tmp_path, *more)), folder)
    assert (folder / "sweep.csv").read_text().count("\n") == 2
    assert all(row["loss"] == row["loss"] for row in Record(folder).curve())  # not NaN


def test_a_learned_null_begins_as_the_empty_caption_and_moves(tmp_path: Path) -> None:
    more = [
        "text.null=learned",
        "net.pooled=true",
        "training.steps=40",
        "objective.caption_dropout=0.5",
        "evaluation.enabled=false",
    ]
    folder = tmp_path / "run"
    train(compose_config(short("base", tmp_path, *more)), folder)
    model = model_of(load_config(folder / "config.yaml"), folder)
    empty, state = model.text_encoder.condition([""]), load_file(folder / "weights.safetensors")
    assert torch.equal(model.null.tokens, state["null.tokens"]) and bool(model.null.mask.all())
    moved = float((model.null.tokens - empty.tokens).abs().max())
    assert 1e-4 < moved < 1
    assert not torch.equal(model.null.pooled, empty.pooled)


def test_ema_lengths_and_a_worse_network(tmp_path: Path) -> None:
    """Post-hoc EMA is swept by evaluate, and is what autoguidance goes away from."""
    folder = tmp_path / "base"
    train(compose_config(short("base", tmp_path, "training.ema_every=1", "evaluation.enabled=false")), folder)
    evaluate([load_config(folder / "config.yaml", ["evaluation.enabled=true", "evaluation.ema=[0,0.1,0.2]"])], folder)
    guide = ["evaluation.enabled=true", "guidance=auto", "guidance.guide=ema:0.05@2", "guidance.scales=[2]"]
    evaluate([load_config(folder / "config.yaml", guide)], folder)
    rows = Record(folder).read("sweep")
    assert [(r["guider"], r["ema"], r["scale"]) for r in rows] == [
        *[("cfg", ema, w) for ema in (0.0, 0.1, 0.2) for w in (1.0, 3.0)],
        ("auto(ema:0.05@2)", 0.0, 2.0),
    ]
    assert len({json.dumps(r["passport"]) for r in rows}) == 7
    with pytest.raises(ConfigError, match=r"guidance\.guide=ema:0\.05@7: "):
        evaluate([load_config(folder / "config.yaml", [*guide[:2], "guidance.guide=ema:0.05@7"])], folder)


def test_latent_diffusions_nets_from_training_to_export_to_adapters(tmp_path: Path) -> None:
    nets = ["net=ldm_tiny", "autoencoder=ldm_tiny", "objective=v_zero", "sampler=ddim", "sampler.steps=2"]
    folder = tmp_path / "ldm"
    train(compose_config(short("base", tmp_path, *nets)), folder)
    export(load_config(folder / "config.yaml"), folder, "diffusers", tmp_path / "peer")
    export(load_config(folder / "config.yaml"), folder, "single_file", tmp_path / "peer.safetensors")
    with pytest.raises(ConfigError, match="it is there already"):
        export(load_config(folder / "config.yaml"), folder, "diffusers", tmp_path / "peer")
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "peer")
    pipe.set_progress_bar_config(disable=True)
    assert pipe("a large green avocado", num_inference_steps=2, height=64, width=64).images[0].size == (64, 64)
    for source in ("peer", "peer.safetensors"):
        place = tmp_path / source
        tuned = [
            *nets,
            f"init_from={place}",
            f"autoencoder.weights={place}",
            "training=diffusion",
            "training.lora=2",
            "training.steps=2",
        ]
        tuned += ["text=folder", f"text.weights={place}/text_encoder"] if place.is_dir() else []
        again = tmp_path / f"tuned-{place.suffix}"
        train(compose_config(short("base", tmp_path, *tuned, "evaluation.enabled=false")), again)
        assert (
            len(load_file(again / "lora.safetensors")) == 2 * 4 * 8
        )  # A and B; four transformers; q, k, v, out, twice
        before, after = (load_file(f / "weights.safetensors") for f in (folder, again))
        moved = {n for n in before if not torch.allclose(before[n], after[n], rtol=1e-4, atol=1e-6)}
        assert moved and all(".attn" in n for n in moved)


def test_prepare_makes_shards_once(tmp_path: Path, pictures_folder: Path) -> None:
    config = compose_config(["data=folder", f"data.source={pictures_folder}", "data.test=4", f"cache={tmp_path}/own"])
    prepare_data(config)
    shards = sorted((tmp_path / "own").rglob("*.tar"))
    stamps = [s.stat().st_mtime_ns for s in shards]
    prepare_data(config)
    assert [s.name for s in shards] == ["pictures-000000.tar"]
    assert [s.stat().st_mtime_ns for s in shards] == stamps


def test_a_compiled_net_trains_and_draws(tmp_path: Path) -> None:
    small = [
        "net.widths=[8]",
        "net.head_width=8",
        "training.compile=true",
        "training.steps=2",
    ]
    folder = tmp_path / "run"
    train(compose_config(short("base", tmp_path, *small, "guidance.scales=[1]", "sampler.steps=2")), folder)
    assert [row["step"] for row in Record(folder).curve()] == [1, 2]
    assert (folder / "sweep.csv").read_text().count("\n") == 2


def test_quick_measurements_change_nothing_in_the_training(tmp_path: Path) -> None:
    runs = {}
    for name, every in (("plain", 0), ("measured", 2)):
        runs[name] = tmp_path / name
        words = ["training.steps=4", *([f"evaluation.every={every}", "evaluation.quick=8"] if every else [])]
        train(compose_config(short("base", tmp_path, *words)), runs[name])
    rows = Record(runs["measured"]).read("quick")
    assert [r["step"] for r in rows] == [2, 4] and all(r["seconds"] > 0 and r["n"] == 8 for r in rows)
    plain, measured = (load_file(folder / "weights.safetensors") for folder in runs.values())
    assert all(torch.equal(plain[n], measured[n]) for n in plain)


def test_a_study_at_equal_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guiders and samplers on two trainings, at most 8 evaluations a picture; side by side, with the spread."""
    runs = [tmp_path / name for name in ("one", "two")]
    for seed, folder in enumerate(runs):
        train(compose_config(short("base", tmp_path, "evaluation.enabled=false", f"seed={seed}")), folder)
    grid = ["evaluation.enabled=true", "guidance=cfg,interval", "sampler=euler,heun", "sampler.nfe=8"]
    sys.argv = [
        "evaluate.py",
        "-m",
        f"run={','.join(map(str, runs))}",
        *grid,
        "guidance.scales=[1,3]",
        "evaluation.extra=16",
    ]
    evaluate_command()
    table = parquet.read_table(next(tmp_path.glob("one-two-*.parquet"))).to_pylist()
    assert len(table) == 16 and {r["run"] for r in table} == {"one", "two"}
    assert {(r["sampler"], r["guider"]) for r in table} >= {
        ("euler4", "cfg"),
        ("heun2", "cfg"),
        ("euler5", "cfg+interval0.3-5"),
    }
    assert all(r["nfe"] <= 8 for r in table) and {r["nfe"] for r in table if r["scale"] == 1} == {4, 3, 5}
    assert {r["passport.sampler.kind"] for r in table} == {"euler", "heun"}
    assert {r["n"] for r in table} == {8} and {r["drawn"] for r in table} == {16} and any(r["front"] for r in table)
    (report,) = tmp_path.glob("one-two-*.html")
    assert ", 2 seeds" in report.read_text() and report.with_suffix(".csv").is_file()
    assert (runs[0] / "sweep.csv").read_text().count("\n") == 9


def test_no_bit_depends_on_ranks_batch_other_scales_or_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the table, and of what was seen of each picture."""
    trained = tmp_path / "trained"
    train(compose_config(short("base", tmp_path, "evaluation.enabled=false")), trained)

    def swept(name: str, batch: int, ranks: int = 1, scales: str = "[1,3]") -> tuple[str, dict[str, dict[str, Tensor]]]:
        folder = tmp_path / name
        if not folder.is_dir():
            shutil.copytree(trained, folder)
        more = ["evaluation.enabled=true", "evaluation.samples=40", f"evaluation.batch={batch}"]
        config = load_config(folder / "config.yaml", [*more, f"guidance.scales={scales}"])
        for rank in reversed(range(ranks)):
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORLD_SIZE", str(ranks))
            evaluate([config], folder)
        store = Store(folder / "sweep")
        seen = {case.name: store.read(case.name, 40) for case in store.folder.iterdir() if case.is_dir()}
        return (folder / "sweep.csv").read_text(), seen

    table, seen = swept("one", 128)
    alike = [swept("two ranks", 32, ranks=2), swept("small", 4)]
    for block in list((tmp_path / "small" / "sweep").rglob("*-*.safetensors"))[::2]:  # as a kill leaves it
        block.unlink()
    alike.append(swept("small", 64))
    assert [text for text, _ in alike] == [table] * 3
    for _, other in (*alike, swept("more scales", 96, scales="[3,2,1]")):
        assert seen.keys() <= other.keys() and len(seen) == 2
        assert all(torch.equal(t, other[case][name]) for case, s in seen.items() for name, t in s.items())
