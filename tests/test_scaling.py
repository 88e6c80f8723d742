"""What is said of more GPUs is arithmetic that can be done by hand, and the page has it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scaling
from lightning_diff.doctor.findings import size

ROOT = Path(__file__).parent.parent


def test_bytes_and_seconds_by_hand() -> None:
    m = scaling.Machine(utilisation=1.0, peak=1e12, launch=0.0, reached=0.5, hop=1e-3, networks=(2e9,))
    assert scaling.reduce_seconds(1e9, 1, 2e9, m) == 0
    buckets = 39  # of 25 MiB in 1e9 bytes, rounded up
    assert scaling.reduce_seconds(1e9, 16, 2e9, m) == pytest.approx(2 * 15 / 16 + buckets * 2 * 4 * 1e-3)
    costs = scaling.costs_of(["experiment=base", "net=tiny", "training.batch=32"], None)
    parameters = sum(p.numel() for p in costs.make().parameters())
    compute, rows = scaling.rows(costs, m)
    assert compute == pytest.approx(costs.flops * 32 / 1e12)
    assert [r.gpus for r in rows] == list(scaling.GPUS)
    assert rows[1].ddp == pytest.approx(2 * 7 / 8 * 4 * parameters)
    assert rows[1].fsdp == pytest.approx(3 * 7 / 8 * 4 * parameters)
    assert rows[0].efficiency == ((1.0, 1.0),) and rows[0].images == pytest.approx(32 / compute)
    low, high = rows[3].efficiency[0]
    exposed = rows[3].sums[0] - 2 / 3 * compute
    assert low == pytest.approx(compute / (compute + rows[3].sums[0])) and high == pytest.approx(
        compute / (compute + max(0.0, exposed))
    )


def test_the_page_is_of_these_nets() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    for _, overrides, text in scaling.PAGE:
        costs = scaling.costs_of(list(overrides), text)
        assert f"{costs.gradients / 4e6:,.1f} M trained parameters" in page
        assert f"last.ckpt: {size(costs.checkpoint)}" in page
        for n in scaling.GPUS:
            moved = size(2 * (n - 1) / n * costs.gradients)
            assert f"| {n} | {n * costs.config.training.batch:,} | {moved} |" in page
    assert scaling.page() == page


def test_two_ranks_are_measured(tmp_path: Path) -> None:
    words = ["--measure", "--steps", "1", "--rounds", "1", "--to", tmp_path / "scaling.json"]
    command = [sys.executable, "benchmarks/scaling.py", *words, "experiment=base", "net=tiny", "training.batch=4"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found = json.loads((tmp_path / "scaling.json").read_text())
    assert found["passport"]["batch"] == 4 and found["passport"]["backend"] == "gloo"
    rows = {r["case"]: r["here"] for r in found["rows"]}
    assert all(v > 0 for name, v in rows.items() if "waiting" not in name)
    assert 0 <= rows["of a step of 2 ranks spent on waiting"] < 1
