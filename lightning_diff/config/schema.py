"""The typed schema of a run: one dataclass per config group. A field's metadata says which values are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from .fields import above, any_of, at_least, between, chosen, chosen_list, listed, one_of, only

SHORTEST, LONGEST = 0.01, 0.28  # lengths of post-hoc EMA that can be put together
EMA_GUIDE = r"ema:(0?\.\d+)@(\d+)"  # a length of post-hoc EMA, at a step


@dataclass
class Data:
    """The captioned pictures. `seed` draws other pictures of the same world; `train` and `test` are counts of made
    pictures (a world), or how many of a folder's are kept for testing (`test`; 0 keeps none). `hold_out` keeps what a
    made test picture shows out of training; a judge that has never seen it would mark it down, so judges know all."""

    kind: str = one_of("still_life", "still_life", "digits", "folder", "shards")
    source: str | None = None
    image_size: int = one_of(64, 16, 32, 64, 128, 256, 512)
    train: int = between(16384, 1, 10**8)
    test: int = between(2048, 0, 10**6)
    seed: int = between(0, 0, 2**32 - 1)
    hold_out: bool = True
    shard_size: int = at_least(4096, 1)


@dataclass
class Autoencoder:
    """The first stage: ours (small), or latent diffusion's (ldm). `weights`: auto (shipped, else trained for this data),
    a safetensors file, or a diffusers folder. `groups` of its norms belong to ldm.

    When it is trained: weights of the KL, of a perceptual distance (LPIPS where `lpips_weights` is a file of VGG-16, else
    the hidden states of our tower), and of a discriminator from step `adversarial_from` on."""

    kind: str = one_of("small", "small", "ldm")
    weights: str = "auto"
    widths: list[int] = listed(32, 96, low=1, high=16384)
    latent_channels: int = between(4, 1, 1024)
    blocks: int = between(2, 1, 64)
    groups: int = at_least(32, 1)
    kl_weight: float = at_least(1e-4, 0)
    perceptual: float = at_least(0.0, 0)
    lpips_weights: str | None = None
    adversarial: float = at_least(0.0, 0)
    adversarial_from: int = at_least(0, 0)

    @property
    def factor(self) -> int:
        """Pixels to a latent's side."""
        return 1 << (len(self.widths) - (self.kind == "ldm"))


@dataclass
class Reader:
    """A tower that reads captions: `weights` is its file or its text_encoder folder of diffusers; with `model`, any name
    that open_clip knows, it is a file of that. Tokens are read after the `layer`-th layer from the end, through the
    final norm or not."""

    weights: str = MISSING
    model: str | None = None
    layer: int = between(1, 1, 100)
    final_norm: bool = True


@dataclass
class Text(Reader):
    """The tower: ours, of this size, unless `weights` or `model` say another. `role`: `text` conditions, `judge` scores.
    The judge is never the player.

    `more` towers may read the same captions: `join` their tokens along the channels or one after the other; `pooled`
    outputs of all or of the last. What stands for no caption is `null`: the empty one, zeros, or something learned.
    """

    weights: str = "auto"
    role: str = one_of("text", "text", "judge")
    more: list[Reader] = listed()
    join: str = one_of("channels", "channels", "tokens")
    pooled: str = one_of("all", "all", "last")
    null: str = one_of("empty", "empty", "zeros", "learned")
    embedding: int = between(128, 8, 16384)
    context_length: int = between(32, 8, 77)
    width: int = between(128, 32, 16384)
    layers: int = between(2, 1, 100)
    vision_width: int = between(128, 32, 16384)
    vision_layers: int = between(4, 1, 100)
    patch_size: int = at_least(8, 1)


@dataclass
class UNet:
    """The denoising network: ours (small; `attention` says which resolutions attend), or Stable Diffusion's (ldm).

    Of ldm: `depth` transformer layers at each resolution, `heads` of each (0: as many as `head_width` makes), `pooled`
    (the pooled caption and the size are added to the time, as in XL), `masked` (padding is not attended to), `groups`.
    """

    kind: str = one_of("small", "small", "ldm")
    widths: list[int] = listed(64, 128, low=1, high=16384)
    blocks: int = between(1, 1, 64)
    attention: list[bool] = listed(False, True)
    head_width: int = at_least(32, 8)
    depth: list[int] = listed(low=0, high=64)
    heads: int = at_least(0, 0)
    pooled: bool = False
    masked: bool = False
    groups: int = at_least(32, 1)


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
    """Of any of the trainings; `batch` is the global batch, over all ranks. `strategy` ddp keeps all of the UNet on each rank,
    fsdp a part of it; either goes on from the other's checkpoint. Every `ema_every` steps (0: never) two averages
    are written down, from which any length of EMA can be made afterwards. `compile` is torch.compile of the net, for the
    training and the sweep: minutes to begin with, then a tenth faster on a CPU, more on a GPU.
    `checkpointing` computes the net's blocks again
    in the backward pass instead of keeping them: less memory, a third more work. `lora` > 0 trains adapters of that rank
    on the attention of unet.kind=ldm alone, from the weights of init_from. A step whose gradient is not finite changes
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
    the scales that these cannot tell from the best. `enabled` false only trains.
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

    `also`: trackers beside W&B, any of tensorboard (RUN/tensorboard), csv (RUN/metrics.csv) and mlflow (RUN/mlflow, or
    `mlflow_uri`: a server, or sqlite:///FILE shared by several runs). `group` is what the runs of a multirun have in
    common (their experiment's name, if nothing is said); `tags` come before the run's own."""

    wandb: str = one_of("offline", "offline", "online", "disabled")
    project: str = "lightning-diff"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = listed()
    also: list[str] = any_of("tensorboard", "csv", "mlflow")
    mlflow_uri: str | None = None


@dataclass
class Config:
    """The whole of a run. `name` is the folder in `outputs`; without one it follows from the command's overrides.

    `init_from` is where to start from: a weights file, a diffusers folder, or a single-file checkpoint. `part_steps` is
    the share of their own experiments' steps that frozen parts get when they have to be trained first. `pins`: SHA-256
    sums (12 digits or more) of the weights files that this config may name; if there are any, others are refused.
    """

    version: int = one_of(2, 2)  # of the keys' names: versions.py reads older ones
    task: str = one_of("diffusion", "diffusion", "autoencoder", "contrastive", "attributes")
    name: str | None = None
    outputs: str = "outputs"
    cache: str = "outputs/cache"
    seed: int = between(0, 0, 2**32 - 1)
    init_from: str | None = None
    pins: list[str] = listed()
    part_steps: float = above(1.0, 0, high=1)
    data: Data = field(default_factory=Data)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    text: Text = field(default_factory=Text)
    unet: UNet = field(default_factory=UNet)
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
