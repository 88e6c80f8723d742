"""The typed schema of a run: one dataclass per config group. A field's metadata says which values are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from .fields import any_of, at_least, between, listed, one_of


class ConfigError(Exception):
    """What is wrong, where, and how to mend it, in one line."""


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
    weight_value: float | None = None
    uncertainty: bool = False
    times: str = one_of("logit_normal", "uniform", "logit_normal", "lognormal", "cosine")
    times_mean: float | None = None
    times_std: float | None = None
    shift: float = field(default=1.0, metadata={"above": 0})
    stratified: bool = False
    offset_noise: float = at_least(0.0, 0)
    data_std: float = field(default=1.0, metadata={"above": 0})
    caption_dropout: float = between(0.1, 0, 1)


@dataclass
class Sampler:
    """How noise becomes a picture: `steps` steps of one network evaluation each (heun and midpoint: two), at the times
    of a `grid`. `nfe` > 0 takes the place of `steps`: as many steps as that many network evaluations a picture allow
    under guidance, so that samplers and guiders are compared at equal cost. `eta` is ddim's pinch of fresh noise;
    `shift` is the shifted grid's. Networks are evaluated in bf16 where that pays, unless `precision` says otherwise: with
    Inception's features that was seen to raise FID by 2 to 3 % over float32."""

    name: str = one_of(
        "euler",
        "ddpm",
        "ddim",
        "euler",
        "euler_ancestral",
        "heun",
        "heun_karras",
        "midpoint",
        "dpmpp_2m",
        "dpmpp_2m_sde",
        "unipc",
    )
    steps: int = between(20, 1, 1000)
    nfe: int = at_least(0, 0)
    eta: float = between(0.0, 0, 1)
    grid: str = one_of("uniform", "uniform", "shifted", "karras", "exponential")
    shift: float = field(default=3.0, metadata={"above": 0})
    precision: str = one_of("auto", "auto", "bf16", "float32")


@dataclass
class Guidance:
    """guided = uncond + w (cond - uncond): `scale` for samples, `scales` for the sweep; 1 is no guidance.

    `kind`: cfg; cfgpp (w in [0, 1]); apg (with `apg_eta` of the part along the caption's answer, a limit `apg_norm`, and
    `apg_momentum`); cfg_zero; auto, away from a worse network, `guide`: a weights file, or ema:LENGTH@STEP of the run.
    `interval` [low, high] in sigma / alpha, outside of which nothing is guided; `schedule` of w over the steps; `rescale`
    0 to 1 towards the caption's own spread; `threshold` [quantile, bound]; above `zero_above` (in sigma / alpha) the
    velocity is zero. An empty list, and 0 of a limit, switch the part off.
    """

    kind: str = one_of("cfg", "cfg", "cfgpp", "apg", "cfg_zero", "auto")
    scale: float = at_least(3.0, 0)
    scales: list[float] = listed(1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, low=0)
    interval: list[float] = listed()
    schedule: str = one_of("constant", "constant", "linear", "cosine")
    rescale: float = between(0.0, 0, 1)
    threshold: list[float] = listed()
    apg_eta: float = between(0.0, 0, 1)
    apg_norm: float = at_least(0.0, 0)
    apg_momentum: float = between(0.0, -1, 1)
    zero_above: float = at_least(0.0, 0)
    guide: str | None = None


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
    learning_rate: float = field(default=1e-3, metadata={"above": 0, "high": 10})
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
    precision and recall are of: the judging tower's, torch-fidelity's Inception v3, or DINOv2 (`features_model` of timm),
    the latter two from a local file, `features_weights`. Every `every` steps of training (0: never) `quick` pictures at
    guidance.scale are measured, on a clock of their own."""

    enabled: bool = True
    samples: int = at_least(256, 4)
    extra: int = at_least(0, 0)
    batch: int = at_least(128, 1)
    seed: int = between(0, 0, 2**31 - 1)
    ema: list[float] = listed(0.0, low=0, high=0.28)
    grid: int = between(16, 1, 100)
    features: str = one_of("judge", "judge", "inception", "dinov2")
    features_weights: str | None = None
    features_model: str = "vit_large_patch14_dinov2"
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

    task: str = one_of("diffusion", "diffusion", "autoencoder", "contrastive", "attributes")
    name: str | None = None
    outputs: str = "outputs"
    cache: str = "outputs/cache"
    seed: int = between(0, 0, 2**32 - 1)
    init_from: str | None = None
    pins: list[str] = listed()
    part_steps: float = field(default=1.0, metadata={"above": 0, "high": 1})
    data: Data = field(default_factory=Data)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    text: Text = field(default_factory=Text)
    unet: UNet = field(default_factory=UNet)
    objective: Objective = field(default_factory=Objective)
    sampler: Sampler = field(default_factory=Sampler)
    guidance: Guidance = field(default_factory=Guidance)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracking: Tracking = field(default_factory=Tracking)
