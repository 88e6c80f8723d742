"""The typed schema of a run: one dataclass per config group. A field's metadata says which values are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .fields import above, at_least, between, chosen, chosen_list, listed, one_of, only, path, paths, share
from .registry import named

SHORTEST, LONGEST = 0.01, 0.28  # the range of lengths of post-hoc EMA that can be made
EMA_GUIDE = r"ema:(0?\.\d+)@(\d+)"  # a length of post-hoc EMA, at a step


@dataclass
class Objective:
    """What the net learns: the parameterisation (`prediction`), the probability path (`schedule`), the distribution of `times`,
    and the loss `weight`.

    `weight` weights the error of x_0 by a function of the signal-to-noise ratio; `weight_value` is its gamma or its power
    (null: its default). `uniform` weights the error of the network's own output equally. `uncertainty` learns the scale of
    the loss at each time. `times_mean` and `times_std` belong to logit_normal and lognormal. `shift` multiplies
    sigma / alpha (more noise for more pixels). While the learning rate falls, it goes to `shift_end` in equal ratios (null: it
    stays). `stratified` spreads the times of a batch evenly. `offset_noise` is the
    standard deviation of noise that shifts a whole channel. `data_std` is the standard deviation of x_0 (1 for our
    latents). `caption_dropout` is the share of samples that are trained without their caption.
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
    shift_end: float | None = above(None, 0)
    stratified: bool = False
    offset_noise: float = at_least(0.0, 0)
    data_std: float = above(1.0, 0)
    caption_dropout: float = share(0.1, "the samples")

    @property
    def ends_in_noise(self) -> bool:
        """Whether the path ends in pure noise: alpha(1) = 0."""
        return self.schedule == "flow" or self.schedule.endswith("_zero")

    @property
    def pure_noise(self) -> str:
        """The end of an error message for a setting that needs alpha(1) > 0."""
        return f"on objective.schedule={self.schedule}: at t = 1 the path is pure noise (alpha = 0)"


@dataclass
class Training:
    """Settings of every training. `steps` is the number of its steps. `batch` is the global batch, over all ranks.

    `optimizer` adamw steps all weights with AdamW. muon steps the inner matrices (linear layers, and convolutions as [outputs,
    the rest]) with Muon, whose learning rate is `muon_rate`, and all else with AdamW. rmsprop is that of alignDRAW's paper, for
    task=aligndraw alone; with it `clip` is that of each tensor. AdamW's `learning_rate` rises over the
    first `warmup` steps, and Muon's with it. Then `schedule` cosine lets them fall to 0 along a cosine, linear along a line;
    wsd keeps it, and lets it fall in the last `decay` share of the steps (null: 0.2); constant keeps it to the end. With
    wsd and constant, `steps` may be changed later: the run goes on, and ends with the same bits as a run that had them
    from the start. `weight_decay` is that of both optimizers. `clip` is the largest norm of the gradient (0: no limit).
    `ema` is the decay of the running average of the weights. `precision` auto computes in bf16 where that is faster.
    `accelerator` auto takes a GPU if there is one. `devices` is the number of ranks on each of `nodes` machines. If no one
    says it (or says auto), train.py takes as many as a launcher started, or on a CPU one process for each core if there are
    200 steps or more. `workers` is the number of processes that read samples for each rank. Every `log_every` steps the loss
    is recorded. Every `checkpoint_every` steps a checkpoint is written; the last two are kept, and one more every
    `keep_every` steps (0: no
    more). A run whose pictures, captions or frozen parts changed since its last checkpoint is refused, unless
    `accept_new_data` is true. `profile` writes where the time goes. `strategy` ddp keeps the
    complete net on each rank, fsdp keeps a shard of it; each continues from the other's checkpoint. Every `ema_every`
    steps (0: never) two averages are saved, from which an EMA of any length can be made afterwards. `compile` runs
    torch.compile on the net, for training and sweep: it takes minutes at the start, then the net is a tenth faster on a
    CPU, more on a GPU. `checkpointing` computes the net's blocks a second time in the backward pass instead of keeping
    their activations: less memory, a third more work. `lora` > 0 trains only adapters of that rank on the attention of
    net=ldm, starting from the weights of init_from. A step whose gradient is not finite changes nothing; more than
    `skip_at_most` such steps in a row end the run. A rank that finishes no step for `patience` seconds (0: no limit)
    prints where it is and ends."""

    steps: int = between(1000, 1, 10**9)
    batch: int = between(64, 1, 10**7)
    optimizer: str = one_of("adamw", "adamw", "muon", "rmsprop")
    muon_rate: float = above(8e-3, 0, high=10, only={"optimizer": ("muon",)})
    learning_rate: float = above(1e-3, 0, high=10)
    warmup: int = at_least(100, 0)
    schedule: str = one_of("cosine", "cosine", "linear", "wsd", "constant")
    decay: float | None = share(None, "the steps", above_zero=True, only={"schedule": ("wsd",)})
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
    keep_every: int = at_least(0, 0)
    accept_new_data: bool = False
    profile: bool = False
    skip_at_most: int = at_least(10, 0)
    patience: float = at_least(1800.0, 0)


@dataclass
class Validation:
    """The loss on held-out samples, at eight fixed times with fixed noise, of the net and of its average: the number that says
    whether training still helps. It is computed every `every` steps (0: never), on the first `samples` of the test split."""

    every: int = at_least(0, 0)
    samples: int = between(128, 8, 65536)


@dataclass
class Evaluation:
    """The sweep: `samples` pictures at each guidance scale, from the same prompts and the same noise. `extra` is the total of
    further pictures, for the scales that these cannot tell from the best. `until` decided goes on until the best scale is known
    (at most 5 % error), or can't be told, with at most `extra` further pictures (0: as many as there are captions).

    A block is `batch` pictures: they are drawn together, processes share the work by blocks, and a killed process loses
    its block. `enabled` false: only train. `seed` is that of the pictures' noise. `grid` pictures of each scale are on its
    grid. `ema`: lengths of post-hoc EMA to sweep too (0 is the training's own EMA).
    `features` are the features for FID, KID, precision and recall. `metrics` are computed in the order of the table's
    columns. A picture with NaN or inf is neither saved nor scored; if more than the share `not_finite` of a case's pictures
    have them, the sweep ends. Every `every` steps of training (0: never) `quick` pictures at guidance.scale are measured; this
    time is counted separately from the training."""

    enabled: bool = True
    samples: int = at_least(256, 4)
    extra: int = at_least(0, 0)
    until: str = one_of("samples", "samples", "decided")
    batch: int = at_least(128, 1)
    seed: int = between(0, 0, 2**31 - 1)
    ema: list[float] = listed(0.0, low=0, high=0.28)
    grid: int = between(16, 1, 100)
    features: Any = chosen("features", "judge")
    metrics: list[Any] = chosen_list(
        "metric", "fid", "kid", "cmmd", "precision_recall", "diversity", "clip_score", "attributes"
    )
    not_finite: float = between(0.01, 0, 1)
    every: int = at_least(0, 0)
    quick: int = at_least(64, 8)


@dataclass
class Tracking:
    """Where a run is mirrored. The record in the run folder is always written first.

    `wandb` is the mode of the tracker W&B. `also` lists other trackers, each a name or {kind: NAME, key: value}. All
    trackers get `project`, its owner `entity`, `group` (shared by the runs of a multirun; their experiment's name by
    default) and `tags`, which come before the run's own tags."""

    wandb: str = one_of("offline", "offline", "online", "disabled")
    project: str = "lightning-diff"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = listed()
    also: list[Any] = chosen_list("tracker")

    @property
    def short(self) -> list[Any]:
        """The tracker that `wandb` stands for; none if it is disabled."""
        return [] if self.wandb == "disabled" else [named("tracker", "wandb")(mode=self.wandb)]  # type: ignore[call-arg]

    @property
    def trackers(self) -> list[Any]:
        """All trackers. W&B is the last, because it may wait for a server."""
        return [*self.also, *self.short]


@dataclass
class Cluster:
    """The cluster around a command. `slurm` false: the command takes no notice of the SLURM job that it runs in, as of one that
    holds a notebook: it starts its ranks itself, knows no time limit and requeues nothing."""

    slurm: bool = True


@dataclass
class Config:
    """The config of a run. `name` is its folder in `outputs`; by default it is made from the command's overrides.

    `task` is what is trained: the diffusion model, alignDRAW (with net=aligndraw), or a frozen component. `seed` is that of the
    training. `cache` is the folder of the shards and features that several runs share. `version` is that of the keys' names and
    the presets.
    `init_from` is where training starts: a weights file, a run, a diffusers folder, or a single-file checkpoint. What a model
    says of its objective and steps sets `objective` and `sampler.grid` while `init_scheduler` is kept; changed trains it to the
    run's own objective. `init_average`: which weights of a single file that has both. LoRA and DoRA files in `init_lora` are
    merged in. `part_steps`: a frozen component that must be trained first gets this share of the steps of its own experiment.
    `callbacks` are further callbacks of Lightning for the training, each a name or {kind: NAME, key: value}.
    `pins`: SHA-256 sums (12 digits or more) of the weights files that this config may name; if there are any, others are refused.
    `plugins`: files, or names of installed packages, that add a user's own choices; only the command line may set it.
    """

    version: int = one_of(3, 2, 3)  # 2: the presets were others; input/versions.py reads older key names
    task: str = one_of("diffusion", "diffusion", "aligndraw", "autoencoder", "contrastive", "attributes")
    name: str | None = None
    outputs: str = path("outputs")
    cache: str = path("outputs/cache")
    seed: int = between(0, 0, 2**32 - 1)
    init_from: str | None = path(None, run=True)
    init_scheduler: str = one_of("kept", "kept", "changed")
    init_average: str = one_of("raw", "raw", "ema")
    init_lora: list[str] = paths()
    pins: list[str] = listed()
    plugins: list[str] = paths()
    part_steps: float = share(1.0, "the steps", above_zero=True)
    data: Any = chosen("data", "still_life")
    autoencoder: Any = chosen("autoencoder", "small")
    text: Any = chosen("text", "small")
    net: Any = chosen("net", "uvit")
    objective: Objective = field(default_factory=Objective)
    sampler: Any = chosen("sampler", "euler")
    guidance: Any = chosen("guidance", "cfg")
    training: Training = field(default_factory=Training)
    validation: Validation = field(default_factory=Validation)
    callbacks: list[Any] = chosen_list("callback")
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracking: Tracking = field(default_factory=Tracking)
    cluster: Cluster = field(default_factory=Cluster)

    @property
    def generates(self) -> bool:
        """Whether it trains a model that draws pictures of captions, so that a sweep can follow."""
        return self.task in ("diffusion", "aligndraw")


@dataclass
class Slurm:
    """Settings of hydra/launcher=slurm (hydra.launcher): what each job of the sweep requests, and how the command waits.

    `partition` and `time` are in sbatch's format (null: sbatch's default). `nodes` is the number of machines, `gpus_per_node`
    that of GPUs on each. `tasks_per_node` 0: one for each GPU, or one. `cpus_per_task` 0: as in slurm/train.sbatch.
    `sbatch` lists more of its options, as ['--qos=long']. `wait` false: submit and return. Otherwise the command asks SLURM
    every `poll` seconds. `on_interrupt` says whether Ctrl-C leaves the jobs or cancels them.
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
