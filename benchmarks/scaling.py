"""Expected training speed on 1, 8, 64 and 512 GPUs, computed from a config; and the measured speed of two ranks here.

python benchmarks/scaling.py experiment=base net=ldm_tiny training.batch=256
python benchmarks/scaling.py --page       # docs/scaling.md: the tables of the two nets in PAGE
python benchmarks/scaling.py --measure    # images/s at 1 and 2 ranks of this machine; benchmarks/results/scaling.json

In the computed tables `training.batch` is the batch of one GPU, so the global batch grows with the number of GPUs. --text
names a model of open_clip that encodes the captions; only its shape is used, its weights are not needed.

--measure: two processes train the config's UNet on random features, with `training.batch` pictures per step over all ranks.
Three cases take turns, so that other work on the machine affects all of them equally: (1) one rank alone; (2) both ranks, with
gradients averaged by gloo; (3) both ranks without exchange (no_sync). The extra time of a step in case 2 over case 3 is
waiting: for the other rank and for its gradients. The difference between cases 3 and 1 comes from what the cores share
(memory, caches).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, distributed, nn

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "scaling.json"
sys.path.insert(0, str(ROOT))

from lightning_diff.config.compose import compose_config  # noqa: E402
from lightning_diff.config.errors import ConfigError  # noqa: E402
from lightning_diff.config.schema import Config  # noqa: E402
from lightning_diff.doctor.costs import Costs  # noqa: E402
from lightning_diff.doctor.findings import size  # noqa: E402
from lightning_diff.models.text_encoders.open_clip import OpenClipTextEncoder  # noqa: E402
from lightning_diff.nets.unet import Condition  # noqa: E402
from lightning_diff.training.checkpoint import LARGE  # noqa: E402
from lightning_diff.training.modules.diffusion import DiffusionModule  # noqa: E402

GPUS = (1, 8, 64, 512)
ALIKE = "training.optimizer=adamw"  # for what is measured: one rank alone cannot share Muon's work, and no exchange is its own
PAGE = (
    ("The net of the main job", ["experiment=base"], None),
    (
        "Stable Diffusion 1.5's UNet at 512 pixels",
        ["experiment=base", "net=sd15", "autoencoder=sd", "data.image_size=512", "training.batch=16"],
        "ViT-L-14-quickgelu",
    ),
)


@dataclass(frozen=True)
class Machine:
    """The assumptions about the hardware, in operations, bytes and seconds."""

    peak: float = 989e12
    utilisation: float = 0.22
    launch: float = 9e-6
    gpus_per_node: int = 8
    nvlink: float = 450e9
    networks: tuple[float, ...] = (100e9 / 8, 400e9 / 8, 3200e9 / 8)
    reached: float = 0.8
    hop: float = 10e-6
    bucket: float = 25 * 2**20
    file_system: float = 2e9
    copy: float = 4e9
    raw_per_pixel: float = 0.3


ASSUMED = """\
- A GPU makes 989 TFLOP/s of dense bf16 (data sheet of the H100 SXM), and the net gets 22 % of that: on an H200 a step of Stable
  Diffusion 1.5's UNet took 348 ms for 32 pictures (benchmarks/results/gpu.json). But no step is faster than its kernels, which
  decides for a small net: 9 microseconds for each result of an operation in the forward and the backward pass, with all that a
  step does besides. (On the H200 a step of experiment=base took 10.4 ms.)
- 8 GPUs a node. Inside, NVLink 4: 900 GB/s a GPU in both directions together (data sheet), so 450 GB/s each way. Between
  nodes 100, 400 or 3200 Gb/s (eight cards of 400) a node in all, each way. 80 % of a link's rate is reached.
- DDP sums gradients by a ring: a GPU sends, and receives, 2 (N-1)/N times their bytes a step (float32, also under bf16-mixed).
  The slowest link of the ring decides, between nodes the network. Each of the buckets of 25 MiB (DDP's default) also takes
  2 log2(N) hops of 10 microseconds.
- The sum runs while the backward pass does, two thirds of the operations. "Efficiency" is from none of it hidden to all of
  it that fits there. Ranks that wait for the slowest one are not counted, and images/s are those of efficiency 1.
- FSDP gathers the weights for the forward pass and again for the backward pass, and scatters the gradients: 3 (N-1)/N times
  their bytes, in float32. What it saves is memory: weights, moments and averages are shared by the ranks.
- Operations are counted on the net (`training/speed.py`): three times the forward pass. Checkpointing would add a third.
- A checkpoint is written by one rank at 2 GB/s, flushed, and read back as fast before it takes the last one's place. One of
  128 MiB or more is copied first, at 4 GB/s, and the training goes on meanwhile.
- The frozen nets' features are read from the cache every step; the shards once, when the cache is made (0.3 bytes a
  pixel, as JPEG). "Shards" is the rate that would be needed if they were read every step instead.
"""


@dataclass(frozen=True)
class Row:
    """The numbers for `gpus` GPUs: the bytes that a GPU sends in a step, and, for each network, the seconds of the gradients'
    sum and the efficiency."""

    gpus: int
    ddp: float
    fsdp: float
    sums: tuple[float, ...]
    efficiency: tuple[tuple[float, float], ...]
    images: float


def reduce_seconds(gradients: float, gpus: int, link: float, m: Machine) -> float:
    """The seconds in which a ring over all GPUs sums the gradients; its slowest link decides."""
    if gpus == 1:
        return 0.0
    buckets = max(1, math.ceil(gradients / m.bucket))
    return 2 * (gpus - 1) / gpus * gradients / (m.reached * link) + buckets * 2 * math.log2(gpus) * m.hop


def rows(costs: Costs, m: Machine) -> tuple[float, list[Row]]:
    """(the seconds of computation in a step, a row for each number of GPUs)."""
    batch, gradients = costs.config.training.batch, costs.gradients
    compute = max(costs.flops * batch / (m.peak * m.utilisation), costs.step.made * m.launch)
    found = []
    for n in GPUS:
        links = [m.nvlink if n <= m.gpus_per_node else network for network in m.networks]
        sums = tuple(reduce_seconds(gradients, n, link, m) for link in links)
        hidden = [max(0.0, s - 2 / 3 * compute) for s in sums]
        efficiency = tuple(
            (compute / (compute + s), compute / (compute + h)) for s, h in zip(sums, hidden, strict=True)
        )
        share = (n - 1) / n
        found.append(Row(n, 2 * share * gradients, 3 * share * gradients, sums, efficiency, n * batch / compute))
    return compute, found


def cells(row: Row, costs: Costs, m: Machine) -> list[str]:
    raw = m.raw_per_pixel * costs.config.data.image_size**2
    each = []
    for seconds, (low, high) in zip(row.sums, row.efficiency, strict=True):
        share = f"{100 * high:.0f} %" if f"{low:.2f}" == f"{high:.2f}" else f"{100 * low:.0f} to {100 * high:.0f} %"
        each += [f"{1e3 * seconds:.3g} ms", share]
    needed = [f"{size(row.images * x)}/s" for x in (costs.features(1, 1).all, raw)]
    batch = f"{row.gpus * costs.config.training.batch:,}"
    return [str(row.gpus), batch, size(row.ddp), *each, size(row.fsdp), f"{row.images:,.0f}", *needed]


def head(m: Machine) -> list[str]:
    each = [f"{8 * n / 1e9:.0f} Gb/s: {x}" for n in m.networks for x in ("sum", "efficiency")]
    return ["GPUs", "batch", "DDP sends a GPU and step", *each, "FSDP sends", "images/s", "cache", "shards"]


def facts(costs: Costs, compute: float, m: Machine) -> list[str]:
    """Sentences with the facts that do not depend on the number of GPUs."""
    t = costs.config.training
    parameters, write = costs.gradients / 4 / 1e6, 2 * costs.checkpoint / m.file_system
    steps, large = t.checkpoint_every * compute, costs.checkpoint >= LARGE
    held = costs.checkpoint / m.copy if large else write
    copied = f"copied in {held:.2g} s, then " if large else ""
    meanwhile = ", while the training goes on" if large else ""
    memory = ", ".join(f"{name} {size(count)}" for name, count in costs.memory.items())
    return [
        f"{parameters:,.1f} M trained parameters, gradients of {size(costs.gradients)}; {t.batch} pictures a GPU and step; "
        f"{costs.flops / 1e9:,.1f} GFLOP a picture, {costs.step.made:,} kernels: {1e3 * compute:.3g} ms a step.",
        f"Memory of a GPU under DDP: {size(sum(costs.memory.values()) + costs.gradients)} ({memory}, buckets of gradients "
        f"{size(costs.gradients)}){', without the tower of --text' if costs.config.text.kind == 'open_clip' else ''}.",
        f"last.ckpt: {size(costs.checkpoint)}, {copied}written and read back in {write:.2g} s{meanwhile}; every "
        f"{t.checkpoint_every} steps the training waits for {100 * held / (held + steps):.2g} % of the time. A sample in the "
        f"cache: {size(costs.features(1, 1).all)}.",
    ]


def costs_of(overrides: list[str], text: str | None) -> Costs:
    config = compose_config(overrides)
    if config.task != "diffusion":
        raise ConfigError(f"task={config.task}: this is about the UNet's training")
    if text:
        config = replace(config, text=OpenClipTextEncoder(model=text, weights="none-is-read.safetensors"))
    ranks = config.training.devices * config.training.nodes
    if ranks > 1:
        raise ConfigError(f"training.devices x nodes = {ranks}: leave them out, the table has its own numbers of GPUs")
    # Fixed values, so that the result does not depend on the machine that computes it.
    return Costs(replace(config, training=replace(config.training, precision="bf16-mixed", accelerator="cpu")))


def show(overrides: list[str], text: str | None) -> None:
    costs, m, console = costs_of(overrides, text), Machine(), Console(width=200)
    compute, found = rows(costs, m)
    table = Table(*head(m))
    for row in found:
        table.add_row(*cells(row, costs, m))
    console.print(table)
    console.print("\n".join(facts(costs, compute, m)), highlight=False)
    console.print(f"\nAssumed:\n{ASSUMED}", highlight=False, markup=False)


def page() -> str:
    """The text of docs/scaling.md."""
    m = Machine()
    lines = ["# What to expect on more GPUs", ""]
    lines += [
        "Computed from the config by `python benchmarks/scaling.py`, which prints the same for other overrides. Nothing in"
    ]
    lines += ["these two tables is measured; what one GPU does was ([speed.md](speed.md)).", ""]
    for title, overrides, text in PAGE:
        costs = costs_of(overrides, text)
        compute, found = rows(costs, m)
        words = " ".join([*overrides, *([f"--text {text}"] if text else [])])
        lines += [f"## {title}", "", f"    python benchmarks/scaling.py {words}", ""]
        lines += [f"- {fact}" for fact in facts(costs, compute, m)]
        columns = head(m)
        lines += ["", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(cells(row, costs, m)) + " |" for row in found]
        lines += [""]
    lines += ["## What is assumed", "", ASSUMED]
    lines += ["## Measured", ""]
    lines += ["    python benchmarks/scaling.py --measure", ""]
    lines += [
        "Two ranks on the cores of one machine, gloo, in turns with one rank alone and with two that do not talk:"
    ]
    lines += ["images/s, and the share of a step that is spent on waiting, to benchmarks/results/scaling.json.", ""]
    if RESULTS.is_file():
        told = json.loads(RESULTS.read_text())
        lines += [
            f"On {told['passport']['cores']} cores, {told['passport']['batch']} pictures a step over all ranks:",
            "",
        ]
        lines += ["| | |", "|---|---|", *(f"| {r['case']} | {r['here']:.3g} {r['unit']} |" for r in told["rows"]), ""]
    return "\n".join(lines)


class Step(nn.Module):
    """A module whose forward pass is a training step, so that DDP can wrap it."""

    def __init__(self, module: DiffusionModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.module.training_step(batch, 0)


def module_of(config: Config) -> tuple[DiffusionModule, dict[str, Tensor]]:
    """(the module that is trained, one rank's batch of random features)."""
    costs = Costs(config)
    torch.manual_seed(config.seed)
    null = Condition(
        *(torch.zeros(x.shape, dtype=x.dtype) for x in (costs.null.tokens, costs.null.mask, costs.null.pooled))
    )
    null.mask[:] = True
    net: Any = costs.make()
    b, shape = costs.rank_batch, (costs.autoencoder.latent_channels, costs.side, costs.side)
    batch = {"mean": torch.randn(b, *shape), "std": torch.rand(b, *shape), "positions": torch.arange(b)}
    batch |= {"tokens": torch.randn(b, *null.tokens.shape[1:]), "pooled": torch.randn(b, *null.pooled.shape[1:])}
    batch["mask"] = null.mask.expand(b, -1).clone()
    return DiffusionModule(net, config.training, config.seed, config.objective, null), batch


def timed(step: Any, module: DiffusionModule, optimizer: Any, batch: dict[str, Tensor], steps: int) -> list[float]:
    """The seconds of each step: forward, backward, optimizer, EMA."""
    seconds = []
    for n in range(steps):
        begin = time.perf_counter()
        optimizer.zero_grad()
        step(batch).backward()
        optimizer.step()
        module.ema.update(n + 1)
        seconds.append(time.perf_counter() - begin)
    return seconds


def rank_main(rank: int, place: str, overrides: list[str], steps: int, rounds: int) -> None:
    """The work of one of two ranks. The first rank writes the measured seconds."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{place}/group", rank=rank, world_size=2)
    config = compose_config([*overrides, ALIKE])
    alone, whole = module_of(config)
    module, half = module_of(replace(config, training=replace(config.training, devices=2)))
    together = nn.parallel.DistributedDataParallel(Step(module))
    cases: dict[str, list[float]] = {"alone": [], "summed": [], "apart": []}
    optimizers = [m.configure_optimizers()["optimizer"] for m in (alone, module)]
    for n in range(rounds + 1):  # the first round warms up
        found = {}
        if rank == 0:
            found["alone"] = timed(Step(alone), alone, optimizers[0], whole, steps)
        distributed.barrier()
        found["summed"] = timed(together, module, optimizers[1], half, steps)
        distributed.barrier()
        with together.no_sync():
            found["apart"] = timed(together, module, optimizers[1], half, steps)
        distributed.barrier()
        for name in found if n else ():
            cases[name] += found[name]
    if rank == 0:
        Path(place, "seconds.json").write_text(json.dumps(cases))
    distributed.destroy_process_group()


def measure(overrides: list[str], steps: int, rounds: int) -> dict[str, Any]:
    """The passport and the rows, in the format of all recorded results."""
    config = compose_config([*overrides, ALIKE, "training.accelerator=cpu"])
    with tempfile.TemporaryDirectory() as place:
        torch.multiprocessing.spawn(rank_main, (place, overrides, steps, rounds), 2)
        seconds = json.loads(Path(place, "seconds.json").read_text())
    step = {name: statistics.median(values) for name, values in seconds.items()}
    batch = config.training.batch
    waiting = max(0.0, 1 - step["apart"] / step["summed"])
    values = [
        ("1 rank", "images/s", batch / step["alone"]),
        ("2 ranks, gradients averaged", "images/s", batch / step["summed"]),
        ("2 ranks, each for itself", "images/s", batch / step["apart"]),
        ("2 ranks against twice 1 rank", "share", step["alone"] / (2 * step["summed"])),
        ("of a step of 2 ranks spent on waiting", "share", waiting),
    ]
    passport = {
        "command": " ".join(overrides), "batch": batch, "steps": steps, "rounds": rounds, "backend": "gloo",
        "threads_per_rank": 1, "precision": "float32", "device": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "torch": torch.__version__, "load_before": os.getloadavg()[0],
    }  # fmt: skip
    return {"passport": passport, "rows": [{"case": c, "unit": u, "here": v} for c, u, v in values]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--text", help="a model of open_clip, for the shape of captions")
    parser.add_argument("--page", action="store_true", help="write docs/scaling.md")
    parser.add_argument("--measure", action="store_true", help="images/s at 1 and 2 ranks here")
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="of turns, after one to warm up")
    parser.add_argument("--to", type=Path, default=RESULTS)
    a = parser.parse_args()
    overrides = a.overrides or ["experiment=base"]
    try:
        if a.page:
            (ROOT / "docs" / "scaling.md").write_text(page())
        elif a.measure:
            found = measure(overrides, a.steps, a.rounds)
            a.to.write_text(json.dumps(found, indent=1) + "\n")
            for row in found["rows"]:
                print(f"{row['case']}: {row['here']:.3g} {row['unit']}")
        else:
            show(overrides, a.text)
    except ConfigError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
