"""Kernels that give the same bits each time on a GPU; what a CPU can show of it. The rest is in tests/gpu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lightning_diff.config.schema import Training
from lightning_diff.devices import FILLING, settings_kept, with_same_bits
from lightning_diff.nets.attributes import Cells
from lightning_diff.nets.unet import Condition
from lightning_diff.training.graphs import RecordedNet
from lightning_diff.training.loading.datamodule import Stream
from lightning_diff.training.trainer import make_trainer
from tests.training.test_global_batch import B, denoising, latents

NOT = "upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation, but you set 'torch.use_..."


def strict() -> bool:
    return torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()


def test_an_operation_without_such_a_kernel_is_told_and_the_work_begins_anew() -> None:
    seen, said = [], []

    def work() -> None:
        seen.append(strict())
        if strict():
            raise RuntimeError(NOT)

    before = torch.are_deterministic_algorithms_enabled(), FILLING.fill_uninitialized_memory
    with settings_kept():
        with_same_bits(work, said.append)
    assert seen == [True, False]
    assert said == ["upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation"]
    assert before == (torch.are_deterministic_algorithms_enabled(), FILLING.fill_uninitialized_memory)


def test_another_error_is_an_error() -> None:
    def work() -> None:
        raise RuntimeError("CUDA out of memory")

    with settings_kept(), pytest.raises(RuntimeError, match="out of memory"):
        with_same_bits(work, lambda line: None)


class Latents(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 4 * B

    def __getitems__(self, places: Any) -> Any:
        return {**latents(slice(0, B)), "positions": torch.tensor([position for position, *_ in places])}


def test_a_training_that_begins_anew_ends_with_the_bits_of_one_that_did_not(tmp_path: Path) -> None:
    """The first step fails as torch fails. The same Trainer fits once more."""
    weights = []
    for fails in (False, True):
        module = denoising(slice(0, B))
        settings = Training(steps=3, batch=B, warmup=1, precision="32-true", accelerator="cpu")
        module.training_config = settings
        trainer = make_trainer(settings, tmp_path, [])
        plain = module.training_step

        def step(batch: Any, number: int, plain: Any = plain, fails: bool = fails) -> torch.Tensor:
            if fails and strict():
                raise RuntimeError(NOT)
            return plain(batch, number)

        module.training_step = step  # type: ignore[method-assign]
        stream = Stream(Latents(), settings, 0)
        with settings_kept():
            with_same_bits(lambda t=trainer, m=module, s=stream: t.fit(m, datamodule=s), lambda line: None)  # type: ignore[misc]
        assert trainer.global_step == 3
        weights.append({name: p.detach().clone() for name, p in module.net.named_parameters()})
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_only_what_a_replay_can_repeat_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other shapes, conditions with a gradient and nets with hooks run as they are. (A CPU records nothing.)"""
    seen: list[str] = []

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
            seen.append("run")
            return x

    def replay(*inputs: torch.Tensor) -> torch.Tensor:
        seen.append("replayed")
        return inputs[0]

    monkeypatch.setattr(RecordedNet, "_record", lambda self, inputs: seen.append("recorded") or replay)

    def call(recorded: RecordedNet, rows: int = 2, grad: bool = False) -> list[str]:
        seen.clear()
        tokens = torch.zeros(rows, 3, 4, requires_grad=grad)
        condition = Condition(tokens, torch.ones(rows, 3, dtype=torch.bool), torch.zeros(rows, 4))
        recorded(torch.zeros(rows, 4, 8, 8), torch.zeros(rows), condition)
        return list(seen)

    one = RecordedNet(Net())
    assert call(one, grad=True) == ["run"]
    assert call(one) == ["recorded", "replayed"] and call(one) == ["replayed"]
    assert call(one, rows=3) == ["run"] and call(one, grad=True) == ["run"] and call(one) == ["replayed"]
    net = Net()
    net.register_forward_hook(lambda *_: None)
    assert call(RecordedNet(net)) == ["run"]


@pytest.mark.parametrize("side", [4, 8, 12, 7])
def test_cells_are_an_adaptive_pooling(side: int) -> None:
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Cells(4)(x), F.adaptive_avg_pool2d(x, 4))
