"""Muon: what is orthogonalised is orthogonal, a kernel is its matrix, and a run with it continues with the same bits."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_diff.config.schema import Training
from lightning_diff.nets.weights import read_state
from lightning_diff.tracking.record import Record
from lightning_diff.training.checkpoint import read_checkpoint
from lightning_diff.training.optimizers.choice import make_optimizer
from lightning_diff.training.optimizers.muon import Muon, inner_matrices, orthogonalised_together, shares
from lightning_diff.training.optimizers.orthogonal import STEPS, orthogonalised
from tests.training.test_resume import SHARDED, TWO, run, same, stop_after

pytestmark = pytest.mark.xdist_group("muon")
MUON = Training(optimizer="muon", muon_rate=0.02, weight_decay=0.01)
OLD = ("training=diffusion",)  # test_resume.py has the same runs with Muon, the optimizer of experiment=base


def net() -> nn.Sequential:
    """Layers of each sort: one that reads a picture, inner ones, a norm, an embedding, one that writes a picture."""
    torch.manual_seed(0)
    inner = [nn.Conv2d(24, 32, 3, padding=1), nn.Flatten(2), nn.Linear(64, 48), nn.LayerNorm(48), nn.Embedding(40, 40)]
    return nn.Sequential(nn.Conv2d(3, 24, 3), *inner, nn.Linear(48, 3))


def with_gradients(seed: int = 1) -> nn.Sequential:
    made = net()
    generator = torch.Generator().manual_seed(seed)
    for p in made.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    return made


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 48, 300), (3, 300, 48), (1, 128, 1152)])
def test_singular_values_become_about_one_and_the_directions_stay(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    found = orthogonalised(x)
    far = s < 0.003 * torch.linalg.vector_norm(x, dim=(1, 2))[:, None]  # a square matrix of noise has some near zero
    assert torch.linalg.svdvals(found).max() < 1.21
    along = torch.diagonal(u.mT @ found @ vh.mT, dim1=1, dim2=2)  # in the directions of x
    assert ((along > 0.79) & (along < 1.21))[~far].all()
    off = u.mT @ found @ vh.mT - torch.diag_embed(along)
    assert off.abs().max() < 1e-3


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_size_of_the_gradient_does_not_matter(scale: float) -> None:
    x = torch.randn(1, 40, 90, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalised(scale * x), orthogonalised(x), rtol=0, atol=2e-2)
    assert not orthogonalised(torch.zeros(1, 4, 5)).any()


def test_the_steps_are_those_of_the_iteration_of_whole_matrices() -> None:
    x = torch.randn(1, 64, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x / x.norm()
    for a, b, c in STEPS:
        gram = y @ y.mT
        y = a * y + (b * gram + c * gram @ gram) @ y
    torch.testing.assert_close(orthogonalised(x), y, rtol=0, atol=1e-6)
    torch.testing.assert_close(orthogonalised(x.float()).double(), y, rtol=0, atol=1e-3)


def test_each_step_is_the_best_polynomial_for_what_the_steps_before_made() -> None:
    """The error of the best one has equal size and alternating sign at four places (Chebyshev)."""
    s = torch.logspace(math.log10(0.003), 0, 200001, dtype=torch.float64)
    for a, b, c in STEPS:
        grid = torch.linspace(s.min(), s.max(), 200001, dtype=torch.float64)
        error = a * grid + b * grid**3 + c * grid**5 - 1
        turns = (error.diff()[:-1] * error.diff()[1:] < 0).nonzero().flatten() + 1
        ends = error[[0, *turns.tolist(), -1]]
        assert ends.sign().tolist() == [-1, 1, -1, 1]
        torch.testing.assert_close(ends.abs(), ends.abs().mean().expand(4), rtol=5e-3, atol=0)
        s = a * s + b * s**3 + c * s**5
    assert (s - 1).abs().max() < 0.2


def test_inner_layers_have_muon_and_the_others_adamw() -> None:
    made = net()
    assert [tuple(p.shape) for p in inner_matrices(made)] == [(32, 24, 3, 3), (48, 64)]
    optimizer = make_optimizer(made, MUON)
    assert isinstance(optimizer, Muon)
    rates = {group["muon"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {False: MUON.learning_rate, True: 0.02}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(made.parameters()))


def test_a_kernel_is_treated_as_its_matrix() -> None:
    kernel, matrix = nn.Conv2d(24, 32, 3, bias=False), nn.Linear(24 * 9, 32, bias=False)
    matrix.weight.data = kernel.weight.data.flatten(1).clone()
    kernel.to(memory_format=torch.channels_last)
    for _ in range(3):
        gradient = torch.randn(32, 24, 3, 3)
        for layer, g in ((kernel, gradient), (matrix, gradient.flatten(1))):
            layer.weight.grad = g.clone()
    one, other = make_optimizer(kernel, MUON), make_optimizer(matrix, MUON)
    one.step()
    other.step()
    torch.testing.assert_close(kernel.weight.flatten(1), matrix.weight, rtol=0, atol=1e-6)


def test_the_first_step_has_the_size_that_the_factor_says() -> None:
    layer = nn.Linear(64, 48, bias=False)
    before, g = layer.weight.detach().clone(), torch.randn(48, 64)
    layer.weight.grad = g
    make_optimizer(layer, MUON).step()
    moved = before * (1 - 0.02 * 0.01) - layer.weight.detach()
    torch.testing.assert_close(moved, 0.02 * 0.2 * 8 * orthogonalised(g[None])[0], rtol=1e-4, atol=1e-5)


def states(made: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in made.parameters()]


def test_the_other_parameters_are_stepped_as_by_adamw_alone() -> None:
    one, other = with_gradients(), with_gradients()
    make_optimizer(one, MUON).step()
    make_optimizer(other, Training(weight_decay=0.01)).step()
    inner = {id(p) for p in inner_matrices(one)}
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q) == (id(p) not in inner)


def test_a_stored_state_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    made = with_gradients()
    optimizer = make_optimizer(made, MUON)
    optimizer.step()
    torch.save([made.state_dict(), optimizer.state_dict()], tmp_path / "state")
    again = with_gradients(2)
    weights, state = torch.load(tmp_path / "state", weights_only=True)
    again.load_state_dict(weights)
    second = make_optimizer(again, MUON)
    second.load_state_dict(state)
    for net_, o in ((made, optimizer), (again, second)):
        for p, q in zip(net_.parameters(), with_gradients(2).parameters(), strict=True):
            p.grad = q.grad
        o.step()
    assert all(torch.equal(p, q) for p, q in zip(states(made), states(again), strict=True))


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    made = with_gradients()
    optimizer = make_optimizer(made, MUON)
    optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
    optimizer.step()
    before, momenta = states(made), [s["momentum"].clone() for s in optimizer.state.values() if "momentum" in s]
    for p in made.parameters():
        p.grad = torch.full_like(p, torch.nan)
    optimizer.found_inf = torch.ones(())  # type: ignore[attr-defined]
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(states(made), before, strict=True))
    after = [s["momentum"] for s in optimizer.state.values() if "momentum" in s]
    assert len(after) == 2 and all(torch.equal(p, q) for p, q in zip(after, momenta, strict=True))


def test_the_closure_sees_all_parameters() -> None:
    made = with_gradients()
    optimizer = make_optimizer(made, MUON)
    seen: list[int] = []
    optimizer.step(lambda: seen.append(sum(len(g["params"]) for g in optimizer.param_groups)) or 1.5)  # type: ignore[func-returns-value]
    assert seen == [len(list(made.parameters()))]


def test_the_ranks_have_about_as_much_to_do() -> None:
    costs = [9.0, 1.0, 4.0, 4.0, 2.0, 5.0]
    whose = shares(costs, 2)
    assert set(whose) == {0, 1}
    loads = [sum(c for c, rank in zip(costs, whose, strict=True) if rank == one) for one in (0, 1)]
    assert max(loads) <= 1.2 * min(loads)
    assert shares(costs, 1) == [0] * 6


def test_one_of_many_shapes_is_as_if_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    every = [torch.randn(s, generator=generator) for s in ((32, 24, 3, 3), (48, 64), (32, 24, 3, 3))]
    for update, found in zip(every, orthogonalised_together(every), strict=True):
        assert found.shape == update.shape
        torch.testing.assert_close(found.flatten(1), orthogonalised(update.flatten(1)[None])[0], rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    place = tmp_path_factory.mktemp("muon")
    (place / "cache").symlink_to(cache)
    return place


@pytest.fixture(scope="module")
def whole(root: Path) -> dict[str, Tensor]:
    result = run(root, "whole", *OLD)
    assert result.returncode == 0, result.stderr
    return read_state(root / "whole" / "weights.safetensors")


def optimizer_of(root: Path, name: str) -> set[str]:
    """The names of what the optimizer of the run's last checkpoint holds."""
    state = read_checkpoint(root / name / "checkpoints" / "last.ckpt")["optimizer_states"][0]["state"]
    return {key for moments in state.values() for key in moments}


def test_a_killed_run_of_adamw_ends_with_the_same_bits(root: Path, whole: dict[str, Tensor]) -> None:
    assert stop_after(root, "killed", 20, signal.SIGKILL, *OLD) == -signal.SIGKILL
    assert optimizer_of(root, "killed") == {"step", "exp_avg", "exp_avg_sq"}
    result = run(root, "killed", *OLD)
    assert result.returncode == 0, result.stderr
    assert same(read_state(root / "killed" / "weights.safetensors"), whole)


def test_other_ranks_and_shards_make_the_same_steps_of_muon(root: Path) -> None:
    """Each rank orthogonalises its share of the matrices; shards are gathered for that."""
    said = ("training.steps=24",)
    assert run(root, "one", *said).returncode == 0
    assert stop_after(root, "elastic", 10, signal.SIGUSR1, *SHARDED, *said) == 128 + signal.SIGUSR1
    assert optimizer_of(root, "elastic") == {"step", "exp_avg", "exp_avg_sq", "momentum"}
    result = run(root, "elastic", *TWO, *said)
    assert result.returncode == 0, result.stderr
    assert "continuing at step" in result.stdout
    one, other = (Record(root / name).curve() for name in ("one", "elastic"))
    assert [row["step"] for row in one] == [row["step"] for row in other] == list(range(1, 25))
    for a, b in zip(one, other, strict=True):  # other sums; another batch's loss would differ by 0.1 and more
        assert abs(a["loss"] - b["loss"]) < 0.02, (a, b)
