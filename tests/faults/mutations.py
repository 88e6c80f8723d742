"""Random changes to valid commands: number i is always the same command. Half of the values are ones that somebody might
mean, half are slips: the wrong type, nan, negative, huge, empty, a path to nowhere, a misspelt key."""

from __future__ import annotations

import random
import types
import typing
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any

from lightning_diff.config.checks import keys
from lightning_diff.config.paths import CONF, SHIPPED
from lightning_diff.config.registry import GROUPS as CHOICES
from lightning_diff.config.registry import choices, owners
from lightning_diff.config.schema import Config
from tests.conftest import short

EXPERIMENTS = (*["base"] * 5, *["folder"] * 2, "digits", "autoencoder", "contrastive", "judge", "attributes")
LARGE = ("sd", "sd15", "sd21", "sdxl")  # right, and minutes a step
GROUPS = {
    group: sorted(
        {*(f.stem for f in (CONF / group).glob("*.yaml")), *(choices(group) if group in CHOICES else ())} - {*LARGE}
    )
    for group in sorted({*CHOICES, *(p.name for p in CONF.iterdir() if p.is_dir())})
}
PARTS = SHIPPED / "still_life" / "parts"
FILES = [*(str(PARTS / f"{p}.safetensors") for p in ("text", "judge", "autoencoder", "attributes")), str(CONF), "."]
NOWHERE = [
    "/no/where.safetensors",
    "nope",
    "",
    "~",
    "a b",
    "../up",
    "x" * 300,
    "weights\\u0000",
    "é{1..3}.tar",
    "pipe:ls",
]
SLIPS = ["nan", "inf", "-inf", "-1", "0", "1e30", "-1e30", str(10**12), str(10**30), "1.5", "word", "null", "[]", "[1]",
         "{}", "{a:1}", "true", "???", "${nope}", "''", "[null]", "[nan]", "[word]", "[[1]]", "1e-320"]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 4, 8, 10, 16, 32, 64, 96, 100]
LISTS: dict[str, list[str]] = {  # what one might mean; each fits to some of the others
    "net.widths": ["[8]", "[8,8]", "[16,32]", "[8,16,32]", "[32,64]", "[100000]", "[8,8,8,8,8,8,8,8]", "[16,16.5]"],
    "net.attention": ["[true]", "[true,true]", "[false,false]", "[false,false,true]", "[1,0]", "[no,yes]"],
    "net.depth": ["[1]", "[0,1]", "[1,1]", "[0,0,1]", "[100000,1]", "[-1,1]"],
    "autoencoder.widths": ["[8]", "[8,8]", "[16,32]", "[8,16,32]", "[1000000,8]", "[32,96]", "[32,32,32]"],
    "guidance.scales": ["[1]", "[0,1]", "[1,3]", "[1,1]", "[0.5]", "[-1]", "[1e30]", "[3,2,1,0,0.3]", "[1e-9,1]"],
    "guidance.interval": ["[0.3,5]", "[5,0.3]", "[0,1e9]", "[1]", "[1,2,3]", "[0,0]", "[1e-9,2e-9]"],
    "guidance.threshold": ["[0.995,3]", "[1,1]", "[2,1]", "[0.5]", "[0,1]", "[1e-9,1e-9]"],
    "evaluation.ema": ["[0]", "[0,0.1]", "[0.1]", "[5]", "[-1]", "[0,0]", "[1e-9]", "[0.3]", "[]"],
    "evaluation.metrics": ["[fid,clip_score]", "[clip_score,torchmetrics_fid]", "[kid]", "[fid,fid,clip_score]", "[fdi]",
                           "[fid,clip_score,{kind:torchmetrics_kid,subset_size:4}]", "[fid,clip_score,{kind:kid,x:1}]"],
    "tracking.tags": ["[a]", "[a,a]", f"[{'t' * 80}]", "['']", "[a,b,c]"],
    "tracking.also": ["[csv]", "[tensorboard]", "[csv,csv]", "[mlflow]", "[wandb]", "[csv,tensorboard]",
                      "[{kind:mlflow,uri:'sqlite:///ml.db'}]", "[{kind:mlflow,uri:'nonsense://x'}]", "[{kind:csv,uri:x}]"],
    "text.more": [f"[{{kind:small,weights:'{PARTS}/judge.safetensors'}}]", f"[{{weights:'{PARTS}/judge.safetensors'}}]",
                  f"[{{kind:small,weights:'{PARTS}/autoencoder.safetensors'}}]", "[{}]", "[small]",
                  f"[{{kind:small,weights:'{PARTS}/judge.safetensors',layer:9}}]", "[{kind:small,layr:1}]",
                  "[{kind:folder,weights:nope}]"],
}  # fmt: skip
WORDS: dict[str, list[str]] = {
    "name": ["run", "a/b", "../up", ".", "..", "'a b'", "'#1'", "x" * 300, "/abs"],
    "outputs": ["out", "out/deep/er", "taken"],  # `taken` is a file there
    "cache": ["kept", "taken", "taken/cache"],
    "training.devices": ["1", "3", "7", "1000000", "-1"],  # more than one that fits would start processes
    "training.nodes": ["1", "3", "1000000"],
    "training.accelerator": ["cpu", "gpu", "auto", "tpu"],
    "training.workers": ["0", "1", "2", "1000000"],
    "training.compile": ["false", "maybe"],  # minutes a net
    "training.patience": ["0", "600", "0.001", "-1"],
    "training.batch": ["1", "2", "5", "16", "1000000000", "100000000000"],
    "training.steps": ["1", "2", "5", "1000000", "1000000000000000"],
    "data.train": ["1", "5", "64", "96", "150", "100000000000"],
    "data.test": ["0", "1", "63", "64", "70", "10000000000"],
    "data.image_size": ["16", "32", "64", "48", "100000", "-64"],
    "data.source": ["pictures", "'pictures/00.png'", "/no/where", "empty", "'~'", "pipe:ls", "'s3://x/{0..1}.tar'"],
    "data.kind": ["still_life", "digits", "folder", "shards", "still-life"],
    "text.patch_size": ["4", "8", "16", "5", "0", "128"],  # one of 1 is right, and minutes a step; so are many layers and blocks
    "net.blocks": ["1", "2", "3", "0", "65"],
    "autoencoder.blocks": ["1", "2", "3", "0", "65"],
    "text.layers": ["1", "2", "3", "100000"],
    "text.vision_layers": ["1", "2", "3", "100000"],
    "evaluation.samples": ["4", "5", "8", "64", "1000000000"],
    "evaluation.extra": ["0", "8", "1000000000"],
    "evaluation.grid": ["1", "4", "100"],
    "sampler.steps": ["1", "2", "3", "5", "1000", "1001"],
    "sampler.nfe": ["0", "1", "2", "3", "4", "9", "100000000"],
    "tracking.wandb": ["disabled", "offline", "ofline"],
    "tracking.project": ["mine", "a/b", "''", "p" * 200],
    "pins": ["[]", "[0123456789ab]", "[x]", "0123456789ab"],
    "part_steps": ["0.0001", "0.0002", "0", "2"],
    "text.model": ["ViT-B-32", "RN50", "nope"],
    "guidance.guide": ["ema:0.05@1", "ema:0.05@500", "ema:x@y", f"'{SHIPPED}/still_life/weights.safetensors'", "train.py"],
}  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """`base` is valid as it stands; `changes` are what was changed, of the form key=value or group=file."""

    base: list[str]
    changes: list[str]

    @property
    def words(self) -> list[str]:
        """A group that is named anew takes the place of the one that was named."""
        anew = {change.split("=")[0] for change in self.changes}
        return [*(word for word in self.base if word.split("=")[0] not in anew), *self.changes]


def leaves(node: Any = Config, prefix: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    """(dotted key, its field, its type); of a choice those of all its kinds."""
    hints = typing.get_type_hints(node)
    for f in fields(node):
        if (group := f.metadata.get("group")) and not f.metadata.get("many"):
            of_all = {
                key: (key, *of) for cls in choices(group).values() for key, *of in leaves(cls, f"{prefix}{f.name}.")
            }
            yield from of_all.values()
        elif is_dataclass(hints[f.name]):
            yield from leaves(hints[f.name], f"{prefix}{f.name}.")
        else:
            yield prefix + f.name, f, hints[f.name]


LEAVES = list({key: (key, f, hint) for key, f, hint in leaves()}.values())
USUAL = set(keys(Config()))  # what is a key without a choice of its own


def mutation(i: int) -> Mutation:
    """Number i, whatever came before it."""
    rng = random.Random(f"config {i}")
    experiment = rng.choice(EXPERIMENTS)
    base = short(experiment, *(["data.source=pictures"] if experiment == "folder" else []))
    changes: dict[str, str] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        kind = rng.random()
        if kind < 0.2:
            group = rng.choice([g for g in sorted(GROUPS) if g != "experiment"])
            key, value = group, rng.choice([*GROUPS[group], "nope"]) if rng.random() < 0.97 else "5"
            value = "offline" if (key, value) == ("tracking", "online") else value  # it has a test of its own
        else:
            key, f, hint = rng.choice(LEAVES)
            value = _meant(rng, key, f, hint) if rng.random() < 0.65 else rng.choice(SLIPS)
            group, _, name = key.partition(".")
            if group in CHOICES and key not in USUAL and rng.random() < 0.8:
                changes.setdefault(group, rng.choice(owners(group, name)))
            if kind > 0.97:
                key = _misspelt(rng, key)
        changes.setdefault(key, value)
    return Mutation(base, [f"{key}={value}" for key, value in changes.items()])


def _misspelt(rng: random.Random, key: str) -> str:
    at = rng.randrange(len(key))
    return rng.choice((key[:at] + key[at + 1 :], key[:at] + "x" + key[at:], "+" + key + "s", key + ".more")) or "x"


def _meant(rng: random.Random, key: str, f: Field[Any], hint: Any) -> str:
    """A value of the right kind, near what is allowed."""
    if key in LISTS or key in WORDS:
        return rng.choice([*LISTS.get(key, []), *WORDS.get(key, [])])
    if allowed := f.metadata.get("allowed"):
        return str(rng.choice(allowed))
    if isinstance(hint, types.UnionType):
        hint = next(t for t in typing.get_args(hint) if t is not type(None))
    if hint is bool:
        return rng.choice(("true", "false"))
    if hint is str:
        quoted = rng.choice([*FILES, *NOWHERE]).replace("'", "")
        return f"'{quoted}'"
    low = f.metadata.get("low", f.metadata.get("above", 0))
    ends = [v for v in (low, f.metadata.get("high")) if v is not None]
    some = [*ends, *(v + d for v in ends for d in (-1, 1)), *NUMBERS]
    if hint is float:
        some += [0.5, 0.999, 1e-6, 1e6, *(v * 1.5 for v in ends)]
    return str(rng.choice(some))
