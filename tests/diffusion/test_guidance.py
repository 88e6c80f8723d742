"""The one convention (law 3), guided = uncond + w (cond - uncond), and every guider against its paper's formula in float64."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from mixture import EVALUATIONS
from mixture import sampler as sampler_of
from torch import Tensor

from lightning_diff.config.registry import choices, named
from lightning_diff.diffusion import noise
from lightning_diff.diffusion.denoiser import BranchPredictions
from lightning_diff.diffusion.grids import time_grid
from lightning_diff.diffusion.guiders.base import dynamic_threshold
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.records import NoiseLevel, Prediction
from lightning_diff.diffusion.schedules import ENDS_IN_NOISE, SCHEDULES

LEGAL = [
    (s, p) for s in SCHEDULES for p in ("eps", "v", "x0", "flow", "edm") if not (s in ENDS_IN_NOISE and p == "eps")
]
B, SHAPE = 5, (2, 4, 4)
PLAIN = {"apg": {"norm": 0.0, "momentum": 0.0}}  # the rule alone


def Guider(kind: str = "cfg", **keys: Any) -> Any:
    """The guider of that name, without what apg limits and remembers unless it is said."""
    return named("guidance", kind)(**{**PLAIN.get(kind, {}), **keys})


class TwoNets:
    """Two functions of all that they are given; what is asked is noted."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked = path, ""
        self.rows: list[tuple[int, int]] = []

    def _says(self, phase: float, x_t: Tensor, m: NoiseLevel) -> Prediction:
        return self.path.read((x_t + phase).sin() * (1 + phase) + 0.1 * m.t, x_t, m)

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        self.asked += "2" if x_cond and x_other else "g" if x_cond else "b"
        self.rows.append((len(x_cond), len(x_other)))
        return [self._says(0.5, x, m) for x in x_cond], [self._says(0.2, x, m) for x in x_other]


def case(path: Path, t: float = 0.6) -> tuple[Tensor, NoiseLevel, Prediction, Prediction]:
    x = torch.randn(B, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    m = path.at(t)
    (c,), (u,) = TwoNets(path).predict([x], [x], m)
    return x, m, c, u


def run(guider: Any, path: Path, w: float, t: float = 0.6) -> tuple[Prediction, str]:
    nets = TwoNets(path)
    x, m, _, _ = case(path, t)
    return guider.guided(nets, path, w)(x, m), nets.asked


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule, prediction", LEGAL)
@pytest.mark.parametrize("w", [0, 0.5, 1, 1.5, 3.0, 8.0])
@pytest.mark.parametrize("kind", ["cfg", "auto"])
def test_guided_is_uncond_plus_w_times_the_difference(schedule: str, prediction: str, w: float, kind: str) -> None:
    """Of x_0 and of eps alike, whatever the network's parameterisation."""
    path = Path(schedule, prediction)
    x, m, c, u = case(path)
    found, _ = run(Guider(kind), path, w)
    for mine, a, b in ((found.x_0, c.x_0, u.x_0), (found.eps, c.eps, u.eps)):
        close(mine, b + w * (a - b))
    close(path.noised(found.x_0, found.eps, m), x)


@pytest.mark.parametrize("w, asked", [(1, "g"), (1.0, "g"), (0, "b"), (3.0, "2"), (0.5, "2")])
def test_no_guidance_costs_nothing(w: float, asked: str) -> None:
    assert run(Guider(), Path("cosine", "v"), w)[1] == asked


ONE_IS_COND = [
    Guider("cfg"),
    Guider("auto"),
    Guider("apg", norm=0.1, momentum=-0.5),
    Guider("cfg_zero"),
    Guider("cfg", rescale=0.7),
    Guider("cfg", schedule="linear"),
    Guider("cfg", schedule="cosine"),
]


@pytest.mark.parametrize("guider", ONE_IS_COND, ids=str)
@pytest.mark.parametrize("path", [Path("flow", "flow"), Path("cosine", "eps"), Path("edm", "edm")], ids=str)
def test_w_one_is_the_caption_alone(guider: Any, path: Path) -> None:
    _, _, c, _ = case(path)
    found, asked = run(guider, path, 1.0)
    assert torch.equal(found.x_0, c.x_0) and torch.equal(found.eps, c.eps) and asked == "g"


@pytest.mark.parametrize("kind", ["cfg", "auto", "apg", "cfg_zero", "cfgpp"])
def test_outside_of_the_interval_there_is_no_guidance_and_no_second_pass(kind: str) -> None:
    """The limits are sigma / alpha: low is left out, high is in (Kynkaanniemi et al. 2024, eq. 6)."""
    path = Path("cosine", "v")
    here = path.at(0.6).ratio
    _, _, c, _ = case(path)
    for low, high, inside in (
        (0.0, here, True),
        (here, 99.0, False),
        (0.0, 0.99 * here, False),
        (0.5 * here, 99.0, True),
    ):
        found, asked = run(Guider(kind, interval=[low, high]), path, 0.7)
        assert asked == ("2" if inside else "g")
        assert torch.equal(found.x_0, c.x_0) is not inside


def test_weight_schedules_grow_towards_the_picture_and_keep_the_mean() -> None:
    path, t = Path("flow", "flow"), [(i + 0.5) / 1000 for i in range(1000)]
    for schedule in ("constant", "linear", "cosine"):
        w = [Guider(schedule=schedule).weight(3.0, path.at(x)) for x in t]
        assert math.isclose(sum(w) / len(w), 3.0, rel_tol=1e-6)
        assert all(a >= b for a, b in pairwise(w))
    assert Guider(schedule="linear").weight(3.0, path.at(0.25)) == 1 + 2 * 1.5
    assert math.isclose(Guider(schedule="cosine").weight(3.0, path.at(0.25)), 1 + 2 * (1 + math.sqrt(0.5)))


def reference(kind: str, c: Tensor, u: Tensor, w: float) -> Tensor:
    """The papers' formulas, one sample at a time. `c`, `u`: x_0 [C, H, W] (velocities for cfg_zero)."""
    if kind == "cfg_zero":
        s = float((c * u).sum() / (u * u).sum())
        return s * u + w * (c - s * u)
    d = c - u
    if kind == "apg_norm":
        d = d * min(1.0, 1.5 / float(d.norm()))
    unit = c / c.norm()
    along = float((d * unit).sum()) * unit
    return c + (w - 1) * (d - along + (0.3 if kind == "apg" else 0.0) * along)


@pytest.mark.parametrize("path", [Path("flow", "flow"), Path("cosine", "eps"), Path("edm", "edm")], ids=str)
@pytest.mark.parametrize("w", [0.5, 3.0, 8.0])
def test_the_papers_formulas(path: Path, w: float) -> None:
    x, m, c, u = case(path)

    def each(kind: str, f: Callable[[Prediction], Tensor]) -> Tensor:
        return torch.stack([reference(kind, a, b, w) for a, b in zip(f(c), f(u), strict=True)])

    found, _ = run(Guider("apg", eta=0.3), path, w)
    close(found.x_0, each("apg", lambda p: p.x_0))
    close(path.noised(found.x_0, found.eps, m), x)
    found, _ = run(Guider("apg", norm=1.5), path, w)
    close(found.x_0, each("apg_norm", lambda p: p.x_0))
    found, _ = run(Guider("cfg_zero"), path, w)
    close(found.eps - found.x_0, each("cfg_zero", lambda p: p.eps - p.x_0))
    close(path.noised(found.x_0, found.eps, m), x)


def test_apg_that_keeps_everything_is_cfg() -> None:
    path = Path("flow", "v")
    close(run(Guider("apg", eta=1.0), path, 4.0)[0].x_0, run(Guider(), path, 4.0)[0].x_0)


def test_apg_remembers_the_steps_of_its_own_generation_alone() -> None:
    """difference + momentum * (the running difference before)."""
    path = Path("flow", "v")
    x, m, c, u = case(path)
    d, beta = c.x_0 - u.x_0, -0.5
    guider = Guider("apg", eta=1.0, momentum=beta)
    denoise = guider.guided(TwoNets(path), path, 4.0)
    close(denoise(x, m).x_0, c.x_0 + 3 * d)
    close(denoise(x, m).x_0, c.x_0 + 3 * (d + beta * d))
    close(denoise(x, m).x_0, c.x_0 + 3 * (d + beta * (d + beta * d)))
    close(guider.guided(TwoNets(path), path, 4.0)(x, m).x_0, c.x_0 + 3 * d)


def test_cfg_zero_of_parallel_answers_is_the_caption() -> None:
    """With cond = k uncond the projection is cond itself, whatever w."""
    path = Path("flow", "flow")
    x, m, _, _ = case(path)
    velocity = x.sin()

    class Parallel(TwoNets):
        def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
            return [path.read(2 * velocity, x, m) for x in x_cond], [path.read(velocity, x, m) for x in x_other]

    found = Guider("cfg_zero").guided(Parallel(path), path, 7.0)(x, m)
    close(found.eps - found.x_0, 2 * velocity)


@pytest.mark.parametrize("schedule", ["flow", "linear", "edm"])
def test_zero_init_does_not_move_the_picture(schedule: str) -> None:
    """Above the limit nothing is asked, and the straight path's Euler step stays where it is."""
    path = Path(schedule, "v")
    x, m, _, _ = case(path)
    found, asked = run(Guider("cfg_zero", zero_above=0.5 * m.ratio), path, 4.0)
    assert asked == ""
    close(found.eps, found.x_0)
    close(path.noised(found.x_0, found.eps, m), x)
    assert run(Guider("cfg_zero", zero_above=2 * m.ratio), path, 4.0)[1] == "2"


def test_cfgpp_noises_again_with_the_unconditional_answer() -> None:
    path = Path("cosine", "eps")
    _, _, c, u = case(path)
    found, _ = run(Guider("cfgpp"), path, 0.6)
    close(found.x_0, u.x_0 + 0.6 * (c.x_0 - u.x_0))
    assert torch.equal(found.eps, u.eps)
    assert run(Guider("cfgpp"), path, 1.0)[1] == "2"


class TwoNormals:
    """Perfect networks of one number: with the caption it is N(1, 0.1^2), without it N(0, 1)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _says(self, x_t: Tensor, m: NoiseLevel, mean: float, std: float) -> Prediction:
        share = m.alpha * std**2 / ((m.alpha * std) ** 2 + m.sigma**2)
        return self.path.from_x_0(mean + share * (x_t - m.alpha * mean), x_t, m)

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        return [self._says(x, m, 1.0, 0.1) for x in x_cond], [self._says(x, m, 0.0, 1.0) for x in x_other]


CFGPP = [name for name in choices("sampler") if not list(Guider("cfgpp").conflicts(sampler_of(name), None))]


@pytest.mark.parametrize("name", CFGPP)
def test_cfgpp_is_the_papers_along_whole_trajectories(name: str) -> None:
    """Chung et al. 2024, algorithm 2: each step is alpha x_0 + sigma eps, with x_0 guided and eps unconditional. Fresh noise
    may take the place of a part of eps."""
    path, seeds = Path("cosine", "v"), torch.arange(2000)
    x, grid, nets = start(path, seeds, (1, 1, 1)).double(), time_grid(path, 20), TwoNormals(path)
    guided = Guider("cfgpp").guided(nets, path, 0.6)
    said = list(sampler_of(name).trajectory(guided, path, x, seeds, grid))
    for n, ((found, _), (t, s)) in enumerate(zip(said, pairwise(grid), strict=True)):
        (c,), (u,) = nets.predict([x], [x], t)
        x_0 = u.x_0 + 0.6 * (c.x_0 - u.x_0)
        new = 0.0 if name == "ddim" else s.sigma**2 * max(0.0, 1 - (t.alpha * s.sigma / (s.alpha * t.sigma)) ** 2)
        fresh = noise.normal(seeds, (1, 1, 1), 0, noise.STEP + n).double()
        close(found, s.alpha * x_0 + math.sqrt(max(0.0, s.sigma**2 - new)) * u.eps + math.sqrt(new) * fresh)
        x = found
    assert abs(float(x.mean()) - 1.02) < 0.03 and float(x.std()) < 0.1


def test_cfgpp_is_refused_where_it_would_be_another_rule() -> None:
    """A sampler that steps from x_t, or remembers a slope, does not end near N(1, 0.1^2) with CFG++."""
    assert CFGPP == ["ddim", "ddpm", "euler_ancestral"]


@pytest.mark.parametrize(
    "keys, says",
    [
        ({"schedule": "linear", "scales": [1.0, 0.5]}, "guidance.schedule=linear with w = 0.5"),
        ({"schedule": "cosine", "scale": 0.0}, "guidance.schedule=cosine with w = 0"),
        ({"rescale": 0.7, "scales": [0.0, 1.0]}, "guidance.rescale with w = 0, which is unconditional"),
    ],
)
def test_what_would_change_the_unconditional_branch_is_refused(keys: dict[str, Any], says: str) -> None:
    assert any(said.startswith(says) for said in Guider(**keys).conflicts(None, None))


@pytest.mark.parametrize("phi", [0.0, 0.7, 1.0])
def test_rescale_gives_back_the_captions_spread(phi: float) -> None:
    """Lin et al. 2023, eq. 15 and 16, on x_0."""
    path = Path("flow", "flow")
    x, m, c, u = case(path)
    found, _ = run(Guider(rescale=phi), path, 5.0)
    g = u.x_0 + 5 * (c.x_0 - u.x_0)
    for mine, raw, cond in zip(found.x_0, g, c.x_0, strict=True):
        close(mine, phi * raw * (cond.std() / raw.std()) + (1 - phi) * raw)
    close(path.noised(found.x_0, found.eps, m), x)


def test_dynamic_threshold_is_imagens() -> None:
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64) * torch.tensor([0.1, 1.0, 5.0])[:, None, None, None]
    out = dynamic_threshold(x, 0.9, 1.0)
    for mine, raw in zip(out, x, strict=True):
        s = max(1.0, float(torch.quantile(raw.abs().flatten().float(), 0.9)))
        close(mine, raw.clamp(-s, s) / s if s > 1 else raw)
    assert torch.equal(out[0], x[0]) and out.abs().max() <= 1


def test_the_corrections_compose() -> None:
    """Rescale, then the threshold, on any rule; the result lies on the path."""
    path: Any = Path("flow", "flow")
    x, m, c, _ = case(path)
    for kind in ("cfg", "apg", "cfg_zero", "auto"):
        raw, _ = run(Guider(kind), path, 6.0)
        found, _ = run(Guider(kind, rescale=0.5, threshold=[0.9, 0.3]), path, 6.0)
        ratio = (c.x_0.flatten(1).std(1) / raw.x_0.flatten(1).std(1))[:, None, None, None]
        close(found.x_0, dynamic_threshold(raw.x_0 * (0.5 * ratio + 0.5), 0.9, 0.3))
        close(path.noised(found.x_0, found.eps, m), x)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "ddpm"])
@pytest.mark.parametrize(
    "guider",
    [
        Guider(),
        Guider(interval=[0.3, 2.0]),
        Guider("apg", momentum=-0.5, norm=2.0),
        Guider("cfg_zero", zero_above=3.0),
        Guider(rescale=0.5, schedule="linear"),
    ],
    ids=lambda g: g.name,
)
def test_scales_side_by_side_are_those_alone(guider: Any, sampler: str) -> None:
    """Bit for bit, where the network does not care for its batch; and what they share is asked once."""
    path, scales, seeds = Path("cosine", "v"), (1.0, 0.0, 2.0, 6.0), torch.arange(3)
    x = start(path, seeds, SHAPE).double()
    grid = time_grid(path, 6)
    nets = TwoNets(path)
    denoise = guider.guided(nets, path, *scales)
    many = sampler_of(sampler).sample(denoise, path, x.repeat(4, 1, 1, 1), seeds.repeat(4), grid)
    for w, found in zip(scales, many.chunk(4), strict=True):
        alone = sampler_of(sampler).sample(guider.guided(TwoNets(path), path, w), path, x, seeds, grid)
        assert torch.equal(found, alone), w
    assert nets.rows[0] in ((1, 1), (1, 0)) and {(3, 3), (4, 3)} & set(nets.rows)
    if guider.interval:
        first = [m.ratio <= guider.interval[1] for m in grid].index(True)
        evaluations = EVALUATIONS.get(sampler, 1)
        assert nets.rows[: first * evaluations - evaluations + 1] == [(1, 0)] * (first * evaluations - evaluations + 1)


def test_guiders_that_differ_have_other_names() -> None:
    others = [
        Guider(),
        Guider("apg"),
        Guider("apg", eta=0.5),
        Guider("apg", norm=2.5),
        Guider(interval=[0.3, 5.0]),
        Guider(interval=[0.3, 3.0]),
        Guider(schedule="cosine", rescale=0.7),
        Guider(schedule="cosine", rescale=0.5),
        Guider(threshold=[0.995, 3.0]),
        Guider("cfg_zero", zero_above=20.0),
    ]
    assert len({g.name for g in others}) == len(others)
    assert Guider(interval=[0.3, 5.0], schedule="linear", rescale=0.7).name == "cfg+interval0.3-5+linear+rescale0.7"
