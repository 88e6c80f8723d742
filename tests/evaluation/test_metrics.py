"""Metrics as torchmetrics.Metric: the numbers of one batch, whatever the batches and the ranks; and torchmetrics' own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torchmetrics

from lightning_diff.config import registry
from lightning_diff.config.schema import Evaluation
from lightning_diff.evaluation.metrics.base import MetricChoice, PictureMetric
from lightning_diff.evaluation.metrics.fid import FID, Gaussian
from lightning_diff.evaluation.metrics.kernels import KID
from lightning_diff.evaluation.metrics.peers import TorchmetricsFID, TorchmetricsKID

REAL, MADE, WIDTH = 40, 30, 6
HEADS = ("count", "first_colour", "second_colour")
Rows = Callable[[int], slice]  # of a set of so many


def seen(count: int, seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    found = {name: torch.randn(count, WIDTH, generator=g) + seed for name in ("features", "embedding")}
    found["clip_score"] = 30 * torch.rand(count, generator=g)
    found["named"] = (torch.rand(count, generator=g) < 0.6).double()
    return found | {f"right.{head}": torch.rand(count, generator=g) < 0.6 for head in HEADS}


def labels(count: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(7)
    return {head: torch.randint(-1, 3, (count,), generator=g) for head in HEADS}


def cut(table: dict[str, torch.Tensor], rows: slice) -> dict[str, torch.Tensor]:
    return {name: values[rows] for name, values in table.items()}


def fed(choice: MetricChoice, *parts: Rows, sync: bool = True) -> torchmetrics.Metric:
    """The metric's object after an update for each part of both sets."""
    metric = choice.build(WIDTH, sync=sync)
    for part in parts:
        made, said = cut(seen(MADE, 1), part(MADE)), cut(labels(MADE), part(MADE))
        choice.refer(metric, cut(seen(REAL, 0), part(REAL)))
        choice.feed(metric, made, said, MADE)
    return metric


def third(i: int) -> Rows:
    return lambda n: slice(n * i // 3, n * (i + 1) // 3)


def half(i: int) -> Rows:
    return lambda n: slice(n * i // 2, n * (i + 1) // 2)


CHOICES = [cls() for cls in registry.choices("metric").values()]
CHOICES = [TorchmetricsKID(subsets=3, subset_size=MADE) if c.kind == "torchmetrics_kid" else c for c in CHOICES]
OURS = [c for c in CHOICES if not c.kind.startswith("torchmetrics")]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: str(c.kind))
def test_batches_are_as_good_as_one(choice: MetricChoice) -> None:
    expected, found = choice.row(fed(choice, lambda n: slice(n))), choice.row(fed(choice, third(0), third(1), third(2)))
    assert set(choice.columns) <= set(expected) and all(math.isfinite(v) for v in expected.values())
    assert found == (expected if choice in OURS else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("choice", OURS, ids=lambda c: str(c.kind))
def test_merged_states_are_as_good_as_one(choice: MetricChoice) -> None:
    """What a process had before comes after what it is given."""
    second = fed(choice, half(1))
    second.merge_state(fed(choice, half(0)))
    if isinstance(choice, PictureMetric):
        assert choice.row(second) == choice.row(fed(choice, lambda n: slice(n)))
    else:
        expected = choice.row(fed(choice, half(0), half(1)))
        assert choice.row(second) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def rank(number: int, place: Path) -> dict[str, dict[str, float]]:
    """All metrics on one of two ranks; those that wait for no other rank are computed by the first alone."""
    meet = f"file://{place}/meet"
    torch.distributed.init_process_group("gloo", meet, timedelta(minutes=5), rank=number, world_size=2)
    try:
        found = {c.kind: c.row(fed(c, half(number))) for c in CHOICES}
        if number == 0:
            for c in CHOICES:
                c.row(fed(c, lambda n: slice(n), sync=False))
    finally:
        torch.distributed.destroy_process_group()
    (place / f"{number}.json").write_text(json.dumps(found))
    return found


def test_two_ranks_are_as_good_as_one(tmp_path: Path) -> None:
    """Each has half of either set, and both get the numbers of all."""
    other = torch.multiprocessing.get_context("spawn").Process(target=rank, args=(1, tmp_path))
    other.start()
    found = rank(0, tmp_path)
    other.join()
    assert found == json.loads((tmp_path / "1.json").read_text())
    expected = {c.kind: c.row(fed(c, lambda n: slice(n))) for c in CHOICES}
    assert found.keys() == expected.keys()
    for kind, row in expected.items():
        assert found[kind] == pytest.approx(row, rel=1e-6)


def test_the_real_ones_outlive_a_reset_if_asked_to() -> None:
    made = seen(MADE, 1)["features"]
    kept, new = FID().build(keep_real=True), FID().build()
    for metric in (kept, new):
        metric.update(seen(REAL, 0)["features"], real=True)
        metric.update(made + 9, real=False)
        metric.compute()
        metric.reset()
    new.update(seen(REAL, 3)["features"], real=True)
    for metric, real in ((kept, seen(REAL, 0)), (new, seen(REAL, 3))):
        metric.update(made, real=False)
        assert float(metric.compute()["fid"]) == Gaussian(real["features"]).distance(made)


def test_torchmetrics_classes_stand_in_the_place_of_ours() -> None:
    """KID with its subsets as large as the smaller set still draws of the larger one: near ours, not equal."""
    ours, theirs = (
        FID().compare(Gaussian(seen(REAL, 0)["features"]), seen(MADE, 1)["features"])["fid"],
        TorchmetricsFID(),
    )
    assert theirs.row(fed(theirs, lambda n: slice(n))) == {"fid": pytest.approx(ours, rel=1e-5)}
    kid = KID().compare(seen(REAL, 0)["features"][:MADE], seen(MADE, 1)["features"])["kid"]
    peer = TorchmetricsKID(subsets=1, subset_size=MADE)
    metric = peer.build(WIDTH)
    peer.refer(metric, cut(seen(REAL, 0), slice(MADE)))
    peer.feed(metric, seen(MADE, 1), {}, MADE)
    assert peer.row(metric) == {"kid": pytest.approx(kid, rel=1e-4), "kid_std": 0.0}
    assert peer.row(metric) == peer.row(metric)


def test_a_row_has_the_columns_of_its_metrics_in_their_order() -> None:
    from lightning_diff.evaluation.sweep import Judges, score  # not needed by a rank, which imports this file

    nothing: Any = None
    metrics = [TorchmetricsFID(), *Evaluation().metrics[-2:]]
    judges = Judges(nothing, nothing, nothing, seen(REAL, 0)["features"], seen(REAL, 0)["embedding"], metrics)
    row, values = score(seen(MADE, 1), labels(MADE), judges, 20)
    assert list(row)[:7] == ["n", "drawn", "fid", "clip_score", "clip_score_low", "clip_score_high", "accuracy"]
    assert row["n"] == 20 and row["drawn"] == MADE and "accuracy_both_colour" in row and "kid" not in row
    assert row["clip_score"] == values["clip_score"].mean()
    assert score(seen(MADE, 1), labels(MADE), judges, 20)[0] == row  # nothing of one case is left for the next
