"""Keys that nothing would read (law 5): by their value, and by being named in a command that has no use for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .errors import ConfigError
from .schema import Config, Evaluation

WORLDS = ("still_life", "digits")


def ignored(c: Config) -> Iterator[tuple[str, str]]:
    """(key, what it belongs to) of keys that have another value than their default, without effect."""
    o, a, u, t, e = c.objective, c.autoencoder, c.unet, c.text, c.evaluation
    kind, edm = c.data.kind, "edm" in (o.prediction, o.weight)
    for name, given, used, where in (
        ("data.hold_out", not c.data.hold_out, kind in WORLDS, "data=still_life or digits"),
        ("data.source", c.data.source is not None, kind not in WORLDS, "data=folder or shards"),
        ("autoencoder.weights", a.weights != "auto", c.task == "diffusion", "task=diffusion; init_from= is where to start"),
        ("autoencoder.lpips_weights", a.lpips_weights is not None, a.perceptual > 0, "autoencoder.perceptual > 0"),
        ("autoencoder.adversarial_from", a.adversarial_from > 0, a.adversarial > 0, "autoencoder.adversarial > 0"),
        ("autoencoder.groups", a.groups != 32, a.kind == "ldm", "autoencoder.kind=ldm"),
        ("text.weights", t.weights != "auto", c.task == "diffusion", "task=diffusion; init_from= is where to start"),
        ("text.model", t.model is not None, c.task == "diffusion", "task=diffusion"),
        ("text.join", t.join != "channels", bool(t.more), "text.more=[...]"),
        ("text.pooled", t.pooled != "all", bool(t.more), "text.more=[...]"),
        ("unet.attention", bool(u.attention), u.kind == "small", "unet.kind=small; of ldm it is unet.depth"),
        ("unet.depth", bool(u.depth), u.kind == "ldm", "unet.kind=ldm"),
        ("unet.heads", u.heads != 0, u.kind == "ldm", "unet.kind=ldm"),
        ("unet.pooled", u.pooled, u.kind == "ldm", "unet.kind=ldm"),
        ("unet.masked", u.masked, u.kind == "ldm", "unet.kind=ldm"),
        ("unet.groups", u.groups != 32, u.kind == "ldm", "unet.kind=ldm"),
        ("unet.head_width", u.head_width != 32, not u.heads, "unet.heads=0"),
        ("objective.data_std", o.data_std != 1, edm, "objective.prediction=edm or weight=edm"),
        ("training.compile", c.training.compile, c.task == "diffusion", "task=diffusion"),
        ("training.checkpointing", c.training.checkpointing, c.task == "diffusion", "task=diffusion"),
        ("evaluation.quick", e.quick != Evaluation.quick, e.every > 0, "evaluation.every > 0"),
        ("tracking.mlflow_uri", c.tracking.mlflow_uri is not None, "mlflow" in c.tracking.also, "tracking.also=[mlflow]"),
    ):  # fmt: skip
        if given and not used:
            yield name, where


def check_words(config: Config, words: Sequence[str]) -> None:
    """Raises ConfigError for a key that the command names, and that its task, its data or its given weights leave without
    use. What comes from a file of conf/ is not meant: a preset serves many commands."""
    c, diffusion = config, config.task == "diffusion"
    made, shards = c.data.kind in WORLDS, c.data.kind == "shards"
    trains_autoencoder = not diffusion or c.autoencoder.weights == "auto"
    sizes = ("embedding", "context_length", "width", "layers", "vision_width", "vision_layers", "patch_size")
    uses = (
        (("unet", "objective", "sampler", "guidance", "evaluation", "part_steps"), diffusion, "task=diffusion"),
        (("autoencoder",), diffusion or c.task == "autoencoder", "task=diffusion or autoencoder"),
        (("text",), diffusion or c.task == "contrastive", "task=diffusion or contrastive"),
        (("data.train", "data.seed"), made, "data=still_life or digits"),
        (("data.test", "data.shard_size"), not shards, "data=still_life, digits or folder"),
        (tuple(f"autoencoder.{k}" for k in ("kl_weight", "perceptual", "lpips_weights", "adversarial", "adversarial_from")),
         trains_autoencoder, "autoencoder.weights=auto"),
        (tuple(f"text.{k}" for k in sizes), not diffusion or c.text.weights == "auto", "text.weights=auto"),
    )  # fmt: skip
    for word in words:
        key = word.partition("=")[0].lstrip("+~").split("@")[0]
        for names, used, where in uses:
            if not used and any(key == name or key.startswith(f"{name}.") for name in names):
                raise ConfigError(f"{key}: would be ignored; it belongs to {where}")
