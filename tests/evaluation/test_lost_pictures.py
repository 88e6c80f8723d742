"""Pictures with NaN or inf in a sweep: neither saved nor scored, counted and named, and too many of them end it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Evaluation
from lightning_diff.evaluation.lost.counting import LostCount, say_lost
from lightning_diff.evaluation.lost.pictures import drawn_by, lost_rows
from lightning_diff.evaluation.sweep import Case, Judges, Seen, Store, blocks, draw, score
from lightning_diff.models.latent_diffusion import LatentDiffusion
from tests.evaluation.conftest import CAPTIONS, N

CASES = {f"k{w}": Case("cfg", "euler20", 0.0, float(w)) for w in (1, 3)}


class Model(LatentDiffusion):
    """Its picture is a function of prompt, seed and scale; those of the `bad` (seed, scale) hold NaN."""

    image_size = 16

    def __init__(self, *bad: tuple[int, float]) -> None:
        self.bad, self.calls = set(bad), list[int]()

    def at_scales(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scales: Sequence[float],
        negative: Sequence[str] | None = None,
        apart: bool = False,
    ) -> Tensor:
        self.calls.append(len(prompts))
        drawn = []
        for scale in scales:
            x = torch.stack([torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(s)) for s in seeds])
            for i, seed in enumerate(seeds):
                if (seed, scale) in self.bad:
                    x[i, 0, 0, 0] = torch.nan
            drawn.append(self._checked(x * scale, scale))
        return torch.stack(drawn)

    def _checked(self, x: Tensor, scale: float) -> Tensor:
        """As the model's own end of at_scales."""
        self.autoencoder: Any = SimpleNamespace(decode=lambda z: z, shift=torch.zeros(1))
        self.sampler: Any = SimpleNamespace(precision="float32")
        try:
            return self._pictures(x)
        except ConfigError as e:
            raise ConfigError(f"w={scale:g}") from e


def test_the_others_of_a_call_keep_their_bits_and_the_call_its_rows() -> None:
    seeds = list(range(8))
    whole = drawn_by(Model(), CAPTIONS[:8], seeds, [1.0, 3.0], True, 16)
    model = Model((2, 3.0), (0, 3.0))
    with pytest.raises(Exception, match="2 of 16 pictures") as e:
        drawn_by(model, CAPTIONS[:8], seeds, [1.0, 3.0], True, 16)
    found: Any = e.value
    assert found.rows.nonzero().tolist() == [[1, 0], [1, 2]] and set(model.calls) == {8}
    assert torch.equal(found.pictures[~found.rows], whole[~found.rows]) and not found.pictures[found.rows].any()


def test_a_case_without_any_picture_is_black() -> None:
    with pytest.raises(Exception, match="4 of 4") as e:
        drawn_by(Model(*((i, 3.0) for i in range(4))), CAPTIONS[:4], list(range(4)), [3.0], True, 16)
    assert e.value.pictures.shape == (1, 4, 3, 16, 16)  # type: ignore[attr-defined]


def measured(limit: float) -> Any:
    """What a sweep knows of its settings and captions."""
    setup = SimpleNamespace(captions=CAPTIONS, seeds=lambda prompts: list(prompts))
    return SimpleNamespace(settings=Evaluation(samples=N, not_finite=limit), setup=setup)


def swept(model: Model, judges: Judges, folder: Path, limit: float) -> dict[str, Seen]:
    def generate(cases: Sequence[Case], prompts: Sequence[int]) -> Tensor:
        return drawn_by(model, [CAPTIONS[i] for i in prompts], list(prompts), [c.scale for c in cases], True, 16)

    store, lost = Store(folder), LostCount(measured(limit))
    for _ in draw(CASES, blocks(0, N, 8), CAPTIONS, {}, generate, judges, store, 4, 4, watch=lost.add):
        pass
    return {key: store.read(key, N) for key in CASES}


def test_a_lost_picture_is_neither_saved_nor_scored(
    judges: Judges, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, some = (
        swept(model, judges, tmp_path / name, 0.1) for name, model in (("a", Model()), ("b", Model((1, 3.0), (9, 3.0))))
    )
    assert lost_rows(some["k3"]).nonzero().flatten().tolist() == [1, 9] and not lost_rows(some["k1"]).any()
    assert not some["k3"]["pictures"][1].any() and torch.equal(some["k1"]["pictures"], whole["k1"]["pictures"])
    kept = torch.tensor([i not in (1, 9) for i in range(N)])
    expected, _ = score({name: v[kept] for name, v in whole["k3"].items() if len(v) == N}, {}, judges, N - 2)
    row, values = score(some["k3"], {}, judges, N)
    assert row == {**expected, "drawn": N} and row["n"] == N - 2
    assert values["clip_score"].shape == (N,) and list(map(bool, ~kept)) == list(
        values["clip_score"] != values["clip_score"]
    )
    say_lost(measured(0.1), CASES["k3"], some["k3"])
    said = "cfg-euler20-w3: 2 pictures have NaN or inf ('a red apple number 1', seed 1 and 1 more); they are neither"
    assert said in " ".join(capsys.readouterr().out.split())


def test_more_than_the_stated_share_ends_the_sweep_at_once(judges: Judges, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"w3: 2 pictures .*evaluation.not_finite=0.05 is the largest share") as e:
        swept(Model((1, 3.0), (2, 3.0), (9, 3.0)), judges, tmp_path, 0.05)
    assert "\n" not in str(e.value) and not list((tmp_path / "k3").glob("*"))
