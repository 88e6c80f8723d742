"""export.py show=PATH: what a model of another project is, field by field, and what this project does with it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from ...config.errors import ConfigError
from ...config.foreign.laws import CARRIED, EQUAL, NO_EFFECT, Laws
from ...config.foreign.own_words import said_by
from ...config.foreign.scheduler import Said
from ...interop.diffusers import Opened, open_autoencoder, open_unet
from ...interop.fields import text, unet, vae
from ...interop.files.find import header
from ...interop.files.what import what_it_is
from ...interop.probe import Probe, probe
from ...interop.text import described_tower, find_text
from ...nets.weights import has_passport, read_passport

WIDTH = 110
FATES = {CARRIED: "taken from the model", EQUAL: "equal to what every model has here", NO_EFFECT: "without effect here"}


def show(path: Path) -> list[str]:
    """The lines about the model at that path. Raises ConfigError if nothing is there."""
    if not path.exists():
        raise ConfigError(f"show={path}: no such file or folder")
    if path.is_file():
        header(path)  # says what a file is that is not safetensors
    if path.is_file() and has_passport(path):
        passport = read_passport(path)
        return [f"{path}: weights of this project: {passport.get('part')}", f"  {passport.get('net')}"]
    opened: dict[str, Any] = {
        "UNet": _tried(_fitting, open_unet, path),
        "autoencoder": _tried(_fitting, open_autoencoder, path),
    }
    here = {name: found for name, found in opened.items() if isinstance(found, Opened)}
    said = _tried(said_by, path)
    words = said if isinstance(said, Said) else None
    details = [line for name, found in opened.items() for line in _part(name, found)] + _text_lines(path)
    first = [f"{path}:", *(f"  {line}" for line in _in_short(here, words, str(said or "")))]
    if "UNet" in here:
        found = _tried(lambda: probe(here["UNet"], here.get("autoencoder")))
        if isinstance(found, Probe):
            first += [f"  measured: {line}" for line in found.lines()]
    if whole := next(
        (above for above in [*path.absolute().parents][:2] if (above / "model_index.json").is_file()), None
    ):
        first += [f"  it is a part of a pipeline; show={whole} says the rest"]
    if not here and path.is_file():
        what, remedy = what_it_is(header(path)[0])
        return [*first, *details, f"  it is {what}; {remedy}"]
    if not here and isinstance(_tried(find_text, path), str):
        why = [one for one in (*opened.values(), _tried(find_text, path)) if "no config.json in it" not in one]
        hint = "; ".join(dict.fromkeys(why)) or "name a folder with config.json, or a safetensors file"
        raise ConfigError(f"show={path}: no model is in it that is read here: {hint}")
    return [*first, *_use(path, here, words), *details]


def _in_short(opened: Mapping[str, Opened], said: Said | None, why: str) -> Iterator[str]:
    """What a reader wants to know first."""
    if net := opened.get("UNet"):
        a = net.arguments
        levels = ", ".join(map(str, a["widths"]))
        yield (
            f"a UNet with levels of {levels} channels, for latents of {a['channels']} channels and tokens of "
            f"{a['token_width']} numbers"
        )
    if vae_ := opened.get("autoencoder"):
        a = vae_.arguments
        factor = 2 ** (len(a["widths"]) - 1)
        yield f"an autoencoder: {a['latent_channels']} channels, each side of a picture divided by {factor}"
    if said:
        yield f"it says of itself ({said.where}): {', '.join(f'{k}={v}' for k, v in said.keys.items())}"
    elif opened:
        yield f"it does not say what it predicts, nor its noise schedule{f': {why}' if why else ''}"


def _tried(what: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, or the message of its ConfigError."""
    try:
        return what(*arguments)
    except ConfigError as e:
        return str(e)


def _fitting(open_part: Callable[[Path], Opened], path: Path) -> Opened:
    """A part whose net can be built. Raises ConfigError if the groups of its norms, which no tensor tells, cannot be."""
    opened = open_part(path)
    groups = opened.arguments["groups"]
    if odd := next((width for width in opened.arguments["widths"] if width % groups), 0):
        raise ConfigError(
            f"its norms of {odd} channels have not the {groups} groups of Stable Diffusion, and its tensors do not tell how "
            "many; give the folder with its config.json"
        )
    return opened


def _part(name: str, opened: Any) -> Iterator[str]:
    if not isinstance(opened, Opened):
        yield f"  {name}: not opened: {opened}"
        return
    found, laws = opened.found, unet.LAWS if name == "UNet" else vae.LAWS
    count = sum(t.numel() for t in opened.state.values()) / 1e6
    yield f"  {name}: {count:.2f} M parameters, names of {found.layout}, fields from {found.config_at or 'its tensors'}"
    yield from _fields(laws, opened.config)
    for note in opened.notes:
        yield f"    note: {note}"
    for guess in opened.guessed:
        yield f"    guessed: {guess}"


def _fields(laws: Laws, config: Mapping[str, Any]) -> Iterator[str]:
    """The fields by what becomes of them. A field that the config does not name has the library's default, and is not listed
    where that has no effect."""
    for fate, title in FATES.items():
        named = [(n, law) for n, law in laws.items() if law.fate == fate and (fate == CARRIED or n in config)]
        said = ", ".join(f"{n}={config.get(n, law.default)}{'' if n in config else ' (default)'}" for n, law in named)
        if named:
            yield from wrap(f"{title}: {said}", WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 6)


def _text_lines(path: Path) -> list[str]:
    """The lines of the text encoder, and of XL's second one."""
    second = path / "text_encoder_2"
    return _text("text encoder", path) + (_text("second text encoder", second) if second.is_dir() else [])


def _text(name: str, path: Path) -> list[str]:
    found = _tried(find_text, path)
    if isinstance(found, str):
        return [f"  {name}: not opened: {found}"]
    where, words = found
    tower = _tried(described_tower, path)
    if isinstance(tower, str):
        return [f"  {name}: not opened: {tower}"]
    tokenizer, at = tower["tokenizer"], where.config_at or "its tensors"
    more = [t["content"] for t in tokenizer["added"] if not t.get("special")]
    return [
        f"  {name}: {words['num_hidden_layers']} layers of {words['hidden_size']}, fields from {at}",
        *_fields(text.LAWS, {k: v for k, v in words.items() if text.LAWS[k].fate == CARRIED}),
        f"    tokenizer: padding {tokenizer['pad']}, added words {', '.join(more) or 'none'}",
    ]


def _use(path: Path, opened: Mapping[str, Opened], said: Said | None) -> list[str]:
    """The command that starts from this model."""
    words = []
    if "UNet" in opened:
        a = opened["UNet"].arguments
        heads = set(a.get("heads", [0]))
        sizes = {"widths": a["widths"], "blocks": a["blocks"], "depth": a["depth"], "groups": a["groups"]}
        words += ["net=ldm", *(f"net.{k}={v}".replace(" ", "") for k, v in sizes.items())]
        widths = {w // h for w, h in zip(a["widths"], a.get("heads", [0]), strict=False) if h}
        if len(heads) == 1 and heads != {0}:
            words += [f"net.heads={next(iter(heads))}"]
        elif len(widths) == 1:
            words += [f"net.head_width={next(iter(widths))}"]
        words += ["net.pooled=true"] if a["pooled_width"] else []
        words += [f"init_from={path}"]
        words += [f"{k}={v}" for k, v in said.keys.items()] if said else []
    if "autoencoder" in opened:
        a = opened["autoencoder"].arguments
        words += ["autoencoder=ldm", *(f"autoencoder.{k}={v}".replace(" ", "") for k, v in a.items())]
        words += [f"autoencoder.weights={path}"]
    if "UNet" in opened and not isinstance(_tried(find_text, path), str):
        words += [f"text={'sdxl' if opened['UNet'].arguments['pooled_width'] else 'folder'}", f"text.weights={path}"]
        if words[-2] == "text=sdxl":
            two = {"kind": "folder", "weights": path / "text_encoder_2", "layer": 2, "final_norm": "false"}
            words += [f"text.more=[{{{', '.join(f'{k}: {v}' for k, v in two.items())}}}]"]
    said_so = " ".join(shlex.quote(word) for word in ["experiment=folder", "data.source=PICTURES", *words])
    return [f"  to start from it: python train.py {said_so}"] if words else []
