"""The text of train.py --help. Hydra's own takes seconds: it copies all registered choices for each group that it lists."""

from __future__ import annotations

from ..config.checks import single_groups
from ..config.paths import CONF
from ..config.registry import choices, place_of
from ..config.schema import Config

TEXT = """Train a text-to-image latent diffusion model, then measure it at every guidance scale.

  python train.py experiment=base                        the main job
  python train.py experiment=base objective=v seed=1     with differences
  python train.py -m experiment=base objective=eps,v,flow   one run for each
  python train.py experiment=base debug=one_batch        does it run at all?

The same command continues the same run: Ctrl-C, kill and lost power cost at most the
steps since the last checkpoint. Results lie in outputs/NAME: sweep.csv, figures/, record.jsonl.

Groups, choose with group=name:
{groups}
Any key can be set with key=value; the whole config:  python train.py experiment=base --cfg job
All choices with their keys: docs/choices.md, or python -m lightning_diff.config.options"""


def help_text() -> str:
    """The usage, and every group with its files of conf/ and its choices, those of loaded plugins too."""
    groups = {p.name: {f.stem for f in p.glob("*.yaml")} for p in CONF.iterdir() if p.is_dir()}
    for group in single_groups(Config()):
        groups.setdefault(place_of(group), set()).update(choices(group))
    lines = [f"{group}: {', '.join(sorted(names))}" for group, names in sorted(groups.items())]
    return TEXT.format(groups="\n".join(lines))
