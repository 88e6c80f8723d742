"""Gradients of two ranks are those of one rank with the whole batch; and no step waits for the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_diff.config.registry import named
from lightning_diff.config.schema import Objective, Training
from lightning_diff.data.dataset import PictureBatch
from lightning_diff.models.build import build, denoising_net
from lightning_diff.nets.attributes import AttributeClassifier
from lightning_diff.nets.denoisers.base import NetSpec
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import Tokenizer
from lightning_diff.nets.unet import Condition
from lightning_diff.ranks import rank_of
from lightning_diff.training.modules.attributes import AttributesModule
from lightning_diff.training.modules.base import BaseModule
from lightning_diff.training.modules.contrastive import ContrastiveModule
from lightning_diff.training.modules.diffusion import DiffusionModule
from lightning_diff.training.sharding import average_gradients, full_tensor, shard

B = 8
WORDS = ["a red apple", "a green mug", "a blue ball"]
Gradients = dict[str, Tensor]


def pictures(rows: slice) -> PictureBatch:
    """Labels and hard negatives are spread unevenly over the two halves."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (B, 3, 16, 16), generator=draw, dtype=torch.uint8)
    labels = {"count": torch.arange(B) % 2, "colour": torch.tensor([0, 1, 2, 0, 1, -1, -1, -1])}
    captions, negatives = (
        [WORDS[i % 3] for i in range(B)],
        [WORDS[1], WORDS[2], WORDS[0], WORDS[0], "", "", WORDS[0], ""],
    )
    cut = {name: column[rows] for name, column in labels.items()}
    return PictureBatch(images[rows], captions[rows], torch.arange(B)[rows], cut, negatives[rows])


def attributes(rows: slice) -> tuple[BaseModule, Tensor]:
    torch.manual_seed(0)
    module = AttributesModule(AttributeClassifier({"count": 2, "colour": 3}, width=8), Training(), 0)
    return module, module.training_step(pictures(rows), 0)


def contrast(rows: slice) -> tuple[BaseModule, Tensor]:
    torch.manual_seed(0)
    vision = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 16}
    text = {"context_length": 16, "width": 32, "heads": 1, "layers": 1}
    tower = Tower({"embedding": 8, "vision": vision, "text": text, "vocabulary": Tokenizer.words_of(WORDS)})
    module, batch = ContrastiveModule(tower, Training(), 0), pictures(rows)
    images = tower.image_features(batch.images.float() / 127.5 - 1)
    texts = tower.text_features(batch.captions)
    return module, module._against_hard_negatives(batch, images, texts, torch.tensor(10.0))


def denoising(rows: slice, device: str = "cpu") -> DiffusionModule:
    """A net that learns its null condition, and the loss's scale at each time."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(2)
    null = Condition(torch.randn(1, 5, 24, generator=draw), torch.ones(1, 5, dtype=torch.bool), torch.randn(1, 12))
    spec: type[NetSpec] = named("net", "small")  # type: ignore[assignment]
    space = named("autoencoder", "small")()
    described = denoising_net(spec(widths=[16, 64]), space, null, True, Objective())  # type: ignore[call-arg]
    net: Any = build({"part": "net", "net": described})
    net.null.begin(null)
    objective = Objective(uncertainty=True, caption_dropout=0.5)
    module = DiffusionModule(net, Training(batch=B), 3, objective, null)
    assert module.uncertainty is not None
    torch.nn.init.normal_(module.uncertainty.linear.weight, std=0.1)
    for p in net.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.05)
    return module.to(device)


def latents(rows: slice, device: str = "cpu") -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(4)
    some = {
        "mean": torch.randn(B, 4, 8, 8, generator=draw),
        "std": torch.rand(B, 4, 8, 8, generator=draw),
        "tokens": torch.randn(B, 5, 24, generator=draw),
        "mask": torch.ones(B, 5, dtype=torch.bool),
        "pooled": torch.randn(B, 12, generator=draw),
        "positions": torch.arange(B),
    }
    return {name: values[rows].to(device) for name, values in some.items()}


def sharded(rows: slice) -> tuple[BaseModule, Tensor]:
    module = denoising(rows)
    if torch.distributed.is_initialized():
        shard(module.net, init_device_mesh("cpu", (2,)))
        assert module.uncertainty is not None
        average_gradients(module.uncertainty)
    return module, module.training_step(latents(rows), 0)


CASES: Mapping[str, Callable[[slice], tuple[BaseModule, Tensor]]] = {
    "attributes": attributes,
    "contrast": contrast,
    "sharded": sharded,
}


def gradients(case: str, rows: slice) -> Gradients:
    """As DDP has them, the mean over the ranks; those of a sharded net and of its companions are that already."""
    module, loss = CASES[case](rows)
    loss.backward()
    found = {}
    for name, p in module.named_parameters():
        if p.grad is not None:
            found[name] = full_tensor(p.grad).clone()
            if case != "sharded" and torch.distributed.is_initialized():
                torch.distributed.all_reduce(found[name])
                found[name] /= 2
    return found


def rank(number: int, place: Path) -> dict[str, Gradients]:
    meet = f"file://{place}/meet"
    torch.distributed.init_process_group("gloo", meet, timedelta(minutes=5), rank=number, world_size=2)
    try:
        half = slice(0, B // 2) if number == 0 else slice(B // 2, B)
        return {case: gradients(case, half) for case in CASES}
    finally:
        torch.distributed.destroy_process_group()


def test_two_ranks_have_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    expected = {case: gradients(case, slice(0, B)) for case in CASES}
    other = torch.multiprocessing.get_context("spawn").Process(target=rank, args=(1, tmp_path))
    other.start()
    found = rank(0, tmp_path)
    other.join()
    assert other.exitcode == 0
    for case, grads in expected.items():
        assert found[case].keys() == grads.keys(), case
        for name, grad in grads.items():
            torch.testing.assert_close(found[case][name], grad, rtol=2e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert {"uncertainty.linear.weight", "net.null.tokens"} <= expected["sharded"].keys()


class Waits(TorchDispatchMode):
    """Counts what would wait for the host on a GPU: numbers that are read, and tensors that are copied from Python."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "lift_fresh", "nonzero"):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_host() -> None:
    module = denoising(slice(0, B))
    module.training_step(latents(slice(0, B)), 0).backward()
    with Waits() as waits:
        module.training_step(latents(slice(0, B)), 1).backward()
    assert waits.found == []
    if torch.cuda.is_available():  # what a CPU cannot see
        module, batch = denoising(slice(0, B), "cuda"), latents(slice(0, B), "cuda")
        module.training_step(batch, 0).backward()
        torch.cuda.set_sync_debug_mode("error")
        try:
            module.training_step(batch, 1).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "said, rank",
    [
        ({"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (0, 4)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (3, 4)),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0"}, (1, 2)),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "8"}, (5, 8)),
        ({}, (0, 1)),
    ],
)
def test_torchruns_rank_wins(said: dict[str, str], rank: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """srun torchrun on two nodes: SLURM_PROCID is the number of the node, and one rank must be the first."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert rank_of() == rank
