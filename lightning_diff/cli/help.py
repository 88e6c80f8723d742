"""What --help and --version print. Hydra's own help takes seconds: it copies all choices for each group that it lists."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

from ..config.checks import single_groups
from ..config.input.search import SEARCH
from ..config.paths import CONF
from ..config.registry import choices, place_of
from ..config.schema import Config
from ..config.texts.help import help_on
from .arguments import Arguments

TEXT = """Train a text-to-image latent diffusion model, then measure it at every guidance scale.

  python train.py experiment=base                        the main job
  python train.py experiment=base objective=v seed=1     with differences
  python train.py -m experiment=base objective=eps,v,flow   one run for each
  python train.py experiment=base debug=one_batch        does it run at all?

The same command continues the same run: Ctrl-C, kill and lost power cost at most the
steps since the last checkpoint. Results lie in outputs/NAME: sweep.csv, figures/, record.jsonl.

Groups, choose with group=name:
{groups}
Any key can be set with key=value:
  python train.py --help training                        a group, a key (guidance.interval) or a choice (sampler=ddim)
  python train.py experiment=base --cfg job --comments   the whole config, with a comment on each key
All keys and choices: docs/choices.md, or python -m lightning_diff.config.options"""


def answer(found: Arguments, usage: Callable[[], str]) -> bool:
    """Print what --version or --help asks for. Returns whether one of them was given."""
    if "--version" in found.flags:
        print(version_text())
    elif topic := found.flags.get("--help"):
        print(usage() if topic.partition("=")[0] in found.words else help_on(topic))
    elif "--help" in found.flags:
        print(usage())
    return bool({"--help", "--version"} & set(found.flags))


def experiments_text() -> str:
    """What train.py without words says: it trains nothing that was not asked for."""
    *names, last = sorted({p.stem for folder in SEARCH.folders for p in (folder / "experiment").glob("*.yaml")})
    listed = f"{', '.join(names)} or {last}"
    return f"say what to train: experiment={listed}; base is the main job, and --help experiment tells of each"


def version_text() -> str:
    """This project's version, and torch's beside it."""
    ours, torch = (importlib.metadata.version(name) for name in ("lightning-diff", "torch"))
    return f"lightning-diff {ours} (torch {torch})"


def help_text() -> str:
    """The usage, and every group with its files of conf/ and its choices, those of loaded plugins too."""
    groups = {p.name: {f.stem for f in p.glob("*.yaml")} for p in CONF.iterdir() if p.is_dir()}
    for group in single_groups(Config()):
        groups.setdefault(place_of(group), set()).update(choices(group))
    lines = [f"{group}: {', '.join(sorted(names))}" for group, names in sorted(groups.items())]
    return TEXT.format(groups="\n".join(lines))
