"""callbacks=[early]: a training ends when the loss on held-out pictures falls no more, and a killed one counts on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.training.stopping import WATCHED, StopEarly
from tests.conftest import short, train_apart


def after(callback: StopEarly, step: int, loss: float | None) -> bool:
    """Whether the callback stops the training after a step with this loss."""
    metrics = {} if loss is None else {WATCHED: torch.tensor(loss)}
    strategy = SimpleNamespace(broadcast=lambda value: value)
    trainer: Any = SimpleNamespace(
        global_step=step, max_steps=1000, callback_metrics=metrics, should_stop=False, strategy=strategy
    )
    callback.on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    return bool(trainer.should_stop)


def test_it_counts_validations_without_a_fall() -> None:
    losses = [3.0, 2.0, 1.99, 1.98, 1.5, 1.6, 1.6, 1.6]
    whole, stops = StopEarly(10, 3, 0.1), []
    for i, loss in enumerate(losses, 1):
        assert not after(whole, 10 * i - 5, loss)  # between two validations
        stops.append(after(whole, 10 * i, loss))
    assert stops == [False] * 7 + [True] and (whole.best, whole.best_step) == (1.5, 50)
    killed, going_on = StopEarly(10, 3, 0.1), StopEarly(10, 3, 0.1)
    for i, loss in enumerate(losses[:6], 1):
        after(killed, 10 * i, loss)
    going_on.load_state_dict(json.loads(json.dumps(killed.state_dict())))
    assert [after(going_on, 70, 1.6), after(going_on, 80, 1.6)] == [False, True]
    assert not after(StopEarly(10, 1, 0.0), 10, None) and math.isinf(StopEarly(10, 1, 0.0).best)


def test_a_run_ends_early_with_its_weights(tmp_path: Path) -> None:
    words = short("base", f"outputs={tmp_path}", f"cache={tmp_path}/cache", "name=early", "validation.every=2")
    words += [
        "callbacks=[{kind:early,patience:1,least:100}]",
        "evaluation=none",
        "validation.samples=8",
        "training.steps=9",
    ]
    words = [w for w in words if not w.startswith("evaluation.")]
    ran = train_apart(*words)
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in (tmp_path / "early" / "record.jsonl").read_text().splitlines()]
    assert [e["step"] for e in events if e["event"] == "validation"] == [2, 4]
    assert [e["step"] for e in events if e["event"] == "weights"] == [4]
    assert "smallest at step 2" in ran.stdout
    again = train_apart(*words)
    assert again.returncode == 0 and "finished" in again.stdout


def test_without_validation_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"callbacks=\[early\]: needs the loss on held-out pictures"):
        compose_config(["experiment=base", "validation.every=0", "callbacks=[early]"])
