"""The towers that a config means: ours, open_clip's, a diffusers folder's, alone or several together."""

from __future__ import annotations

from pathlib import Path

import open_clip

from ..config.errors import ConfigError, nearest
from ..config.schema import Reader, Text
from ..interop.text import tower_of_folder
from ..nets.text import TextEncoder, Tower, Towers
from ..nets.weights import read_state
from .build import load_part


def reads_plainly(text: Text, source: Path) -> bool:
    """Whether the file is the text encoder as it is: one tower with a passport, read at its end."""
    one = not text.more and text.model is None and not source.is_dir()
    return one and text.layer == 1 and text.final_norm


def text_encoder(text: Text, source: Path) -> TextEncoder:
    """The tower, or the towers, that read captions; `source` is the first one's file or folder. Raises ConfigError."""
    towers = [_tower(source, text), *(_tower(Path(more.weights), more) for more in text.more)]
    return Towers(towers, text.join, text.pooled) if text.more else towers[0]


def _tower(path: Path, text: Reader) -> Tower:
    if path.is_dir():
        tower = tower_of_folder(path)
    elif text.model:
        tower = _of_open_clip(text.model, path)
    else:
        tower = load_part(path)
        if not isinstance(tower, Tower):
            raise ConfigError(f"{path}: not one tower; give the weights of one")
    layers = len(tower.model.transformer.resblocks)
    if text.layer > layers:
        raise ConfigError(f"text.layer={text.layer}: {path} has {layers} layers")
    tower.read_at(text.layer, text.final_norm)
    return tower


def _of_open_clip(name: str, path: Path) -> Tower:
    if name not in (known := open_clip.list_models()):
        raise ConfigError(f"text.model={name}: open_clip has no such model; {nearest(name, known)}")
    tower = Tower({"open_clip": name})
    try:
        tower.model.load_state_dict(read_state(path))
    except Exception as e:
        raise ConfigError(
            f"text.weights={path}: not safetensors weights of open_clip's {name} ({type(e).__name__})"
        ) from e
    return tower
