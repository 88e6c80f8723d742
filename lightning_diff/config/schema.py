"""The typed schema of a run: one dataclass per config group. A field's metadata says which values are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .fields import above, at_least, between, chosen, chosen_list, listed, one_of, only
from .registry import named

SHORTEST, LONGEST = 0.01, 0.28  # lengths of post-hoc EMA that can be put together
EMA_GUIDE = r"ema:(0?\.\d+)@(\d+)"  # a length of post-hoc EMA, at a step


@dataclass
class Objective:
    """What is learned: a parameterisation on a path (schedule), which times are asked for most, what an error costs.

    `weight` counts the error of x_0 by the signal-to-noise ratio, with `weight_value` (gamma, or the power) or its
    default; `uniform` counts the network's own error. `uncertainty` learns by how much to scale each time's loss.
    `times_mean` and `times_std` belong to logit_normal and lognormal; `shift` multiplies sigma / alpha (more noise for
    more pixels); `stratified` spreads a batch's times evenly. `data_std` is that of x_0 (1 for our latents).
    """

    prediction: str = one_of("flow", "eps", "v", "x0", "flow", "edm")
    schedule: str = one_of(
        "flow", "flow", "cosine", "linear", "scaled_linear", "linear_zero", "scaled_linear_zero", "edm"
    )
    weight: str = one_of("uniform", "uniform", "min_snr", "soft_min_snr", "edm", "snr_power")
    weight_value: float | None = above(None, 0, only={"weight": ("min_snr", "soft_min_snr", "snr_power")})
    uncertainty: bool = False
    times: str = one_of("logit_normal", "uniform", "logit_normal", "lognormal", "cosine")
    times_mean: float | None = only(None, {"times": ("logit_normal", "lognormal")})
    times_std: float | None = above(None, 0, only={"times": ("logit_normal", "lognormal")})
    shift: float = above(1.0, 0)
    stratified: bool = False
    offset_noise: float = at_least(0.0, 0)
    data_std: float = above(1.0, 0)
    caption_dropout: float = between(0.1, 0, 1)

    @property
    def ends_in_noise(self) -> bool:
        """Whether alpha(1) = 0."""
        return self.schedule == "flow" or self.schedule.endswith("_zero")

    @property
    def pure_noise(self) -> str:
        """The words of a refusal for what needs alpha(1) > 0."""
        return f"on objective.schedule={self.schedule}: at t = 1 the path is pure noise (alpha = 0)"


@dataclass
class Training:
    """Of any of the trainings; `batch` is the global batch, over all ranks. `strategy` ddp keeps all of the net on each rank,
    fsdp a part of it; either goes on from the other's checkpoint. Every `ema_every` steps (0: never) two averages
    are written down, from which any length of EMA can be made afterwards. `compile` is torch.compile of the net, for the
    training and the sweep: minutes to begin with, then a tenth faster on a CPU, more on a GPU.
    `checkpointing` computes the net's blocks again
    in the backward pass instead of keeping them: less memory, a third more work. `lora` > 0 trains adapters of that rank
    on the attention of net=ldm alone, from the weights of init_from. A step whose gradient is not finite changes
    nothing; more than `skip_at_most` in a row end the run. A rank that ends no step for `patience` seconds (0: waits for
    ever) says where it stands, and ends."""

    steps: int = between(1000, 1, 10**9)
    batch: int = between(64, 1, 10**7)
    learning_rate: float = above(1e-3, 0, high=10)
    warmup: int = at_least(100, 0)
    weight_decay: float = at_least(0.0, 0)
    clip: float = at_least(1.0, 0)
    ema: float = between(0.999, 0, 0.999999)
    ema_every: int = at_least(0, 0)
    precision: str = one_of("auto", "auto", "bf16-mixed", "32-true")
    accelerator: str = one_of("auto", "auto", "cpu", "gpu")
    devices: int = between(1, 1, 64)
    nodes: int = between(1, 1, 10**5)
    strategy: str = one_of("ddp", "ddp", "fsdp")
    workers: int = between(0, 0, 256)
    compile: bool = False
    checkpointing: bool = False
    lora: int = at_least(0, 0)
    log_every: int = at_least(20, 1)
    checkpoint_every: int = at_least(500, 1)
    profile: bool = False
    skip_at_most: int = at_least(10, 0)
    patience: float = at_least(1800.0, 0)


@dataclass
class Evaluation:
    """The sweep: `samples` pictures a scale, from the same prompts and the same noise; `extra` pictures more, in all, for
    the scales that these cannot tell from the best. `batch` pictures make a block: what is drawn side by side, what
    processes share, what a kill costs. `enabled` false only trains.
    `ema`: lengths of post-hoc EMA to sweep as well (0 is the training's own average). `features` are what FID, KID,
    precision and recall are of. `metrics` are what is computed, in the order of the table's columns. Every `every` steps
    of training (0: never) `quick` pictures at guidance.scale are measured, on a clock of their own."""

    enabled: bool = True
    samples: int = at_least(256, 4)
    extra: int = at_least(0, 0)
    batch: int = at_least(128, 1)
    seed: int = between(0, 0, 2**31 - 1)
    ema: list[float] = listed(0.0, low=0, high=0.28)
    grid: int = between(16, 1, 100)
    features: Any = chosen("features", "judge")
    metrics: list[Any] = chosen_list(
        "metric", "fid", "kid", "cmmd", "precision_recall", "diversity", "clip_score", "attributes"
    )
    every: int = at_least(0, 0)
    quick: int = at_least(64, 8)


@dataclass
class Tracking:
    """Where a run is mirrored. The run folder's own record comes first, always.

    `wandb` says how the tracker W&B is opened, if it is; `also` are other trackers, each a name or {kind: NAME, key: value}.
    All of them hear of `project`, its owner `entity`, `group` (what the runs of a multirun have in common: their
    experiment's name, if nothing is said) and `tags`, which come before the run's own."""

    wandb: str = one_of("offline", "offline", "online", "disabled")
    project: str = "lightning-diff"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = listed()
    also: list[Any] = chosen_list("tracker")

    @property
    def short(self) -> list[Any]:
        """The tracker that `wandb` is short for."""
        return [] if self.wandb == "disabled" else [named("tracker", "wandb")(mode=self.wandb)]  # type: ignore[call-arg]

    @property
    def trackers(self) -> list[Any]:
        """All of them; W&B is last, because it may wait for a server."""
        return [*self.also, *self.short]


@dataclass
class Config:
    """The whole of a run. `name` is the folder in `outputs`; without one it follows from the command's overrides.

    `init_from` is where to start from: a weights file, a diffusers folder, or a single-file checkpoint. `part_steps` is
    the share of their own experiments' steps that frozen parts get when they have to be trained first. `pins`: SHA-256
    sums (12 digits or more) of the weights files that this config may name; if there are any, others are refused.
    `plugins`: files, or names of installed packages, that add choices of a user's own; from the command line alone.
    """

    version: int = one_of(2, 2)  # of the keys' names: versions.py reads older ones
    task: str = one_of("diffusion", "diffusion", "autoencoder", "contrastive", "attributes")
    name: str | None = None
    outputs: str = "outputs"
    cache: str = "outputs/cache"
    seed: int = between(0, 0, 2**32 - 1)
    init_from: str | None = None
    pins: list[str] = listed()
    plugins: list[str] = listed()
    part_steps: float = above(1.0, 0, high=1)
    data: Any = chosen("data", "still_life")
    autoencoder: Any = chosen("autoencoder", "small")
    text: Any = chosen("text", "small")
    net: Any = chosen("net", "small")
    objective: Objective = field(default_factory=Objective)
    sampler: Any = chosen("sampler", "euler")
    guidance: Any = chosen("guidance", "cfg")
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracking: Tracking = field(default_factory=Tracking)


@dataclass
class Slurm:
    """hydra.launcher of hydra/launcher=slurm: what each job of the sweep asks for, and how the command waits for them.

    `time` as sbatch takes it; `tasks_per_node` 0: one a GPU, or one; `cpus_per_task` 0: as slurm/train.sbatch says;
    `sbatch` more of its options, as ['--qos=long']. `wait` false: submit, and return. While it waits it asks every
    `poll` seconds; Ctrl-C leaves the jobs or cancels them, `on_interrupt`.
    """

    _target_: str = "hydra_plugins.lightning_diff_slurm.SlurmLauncher"
    _convert_: str = "all"
    partition: str | None = None
    time: str | None = None
    nodes: int = at_least(1, 1)
    tasks_per_node: int = at_least(0, 0)
    gpus_per_node: int = at_least(0, 0)
    cpus_per_task: int = at_least(0, 0)
    sbatch: list[str] = listed()
    wait: bool = True
    poll: float = at_least(10.0, 0.5)
    on_interrupt: str = one_of("leave", "leave", "cancel")

    @property
    def tasks(self) -> int:
        return self.tasks_per_node or self.gpus_per_node or 1
