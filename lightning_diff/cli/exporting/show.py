"""export.py show=PATH: what a model of another project is, field by field, and what this project does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...config.foreign.laws import CARRIED, Laws
from ...config.foreign.own_words import said_by
from ...config.foreign.scheduler import Said
from ...interop.diffusers import Opened, open_autoencoder, open_unet
from ...interop.fields import text, unet, vae
from ...interop.files.find import header
from ...interop.files.what import what_it_is
from ...interop.probe import Probe, probe
from ...interop.text import described_tower, find_text
from ...nets.weights import has_passport, read_passport


def show(path: Path) -> list[str]:
    """The lines about the model at that path. Raises ConfigError if nothing is there."""
    if not path.exists():
        raise ConfigError(f"show={path}: no such file or folder")
    if path.is_file() and has_passport(path):
        passport = read_passport(path)
        return [f"{path}: weights of this project: {passport.get('part')}", f"  {passport.get('net')}"]
    lines, opened = [f"{path}:"], {}
    for name, open_part in (("UNet", open_unet), ("autoencoder", open_autoencoder)):
        found = _tried(open_part, path)
        if isinstance(found, Opened):
            opened[name] = found
            lines += [*_part(name, found)]
        else:
            lines += [f"  {name}: not opened: {found}"]
    lines += _text_lines(path)
    said = _tried(said_by, path)
    if isinstance(said, Said):
        lines += [f"  objective and steps (from {said.where}):", *(f"    {k}={v}" for k, v in said.keys.items())]
    else:
        lines += [f"  objective and steps: {said or 'no file says them'}"]
    if "UNet" in opened:
        found = _tried(lambda: probe(opened["UNet"], opened.get("autoencoder")))
        if isinstance(found, Probe):
            lines += ["  what no file says, measured:", *(f"    {line}" for line in found.lines())]
    if not opened and path.is_file():
        what, remedy = what_it_is(header(path)[0])
        lines += [f"  it is {what}; {remedy}"]
    return [*lines, *_use(path, opened, said if isinstance(said, Said) else None)]


def _tried(what: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, or the message of its ConfigError."""
    try:
        return what(*arguments)
    except ConfigError as e:
        return str(e)


def _part(name: str, opened: Opened) -> Iterator[str]:
    found, laws = opened.found, unet.LAWS if name == "UNet" else vae.LAWS
    count = sum(t.numel() for t in opened.state.values()) / 1e6
    yield f"  {name}: {count:.2f} M parameters, names of {found.layout}, words from {found.config_at or 'its tensors'}"
    yield from _fields(laws, opened.config)
    for note in opened.notes:
        yield f"    note: {note}"
    for guess in opened.guessed:
        yield f"    guessed: {guess}"


def _fields(laws: Laws, config: Mapping[str, Any]) -> Iterator[str]:
    """A line for each field that is carried, and for each other field that the config names."""
    for name, law in laws.items():
        value, given = config.get(name, law.default), "" if name in config else " (default)"
        if law.fate == CARRIED or name in config:
            yield f"    {name} = {value}{given}: {law.fate}{f', {law.why}' if law.why else ''}"


def _text_lines(path: Path) -> list[str]:
    found = _tried(find_text, path)
    if isinstance(found, str):
        return [f"  text encoder: not opened: {found}"]
    where, words = found
    tower = _tried(described_tower, path)
    if isinstance(tower, str):
        return [f"  text encoder: not opened: {tower}"]
    tokenizer, at = tower["tokenizer"], where.config_at or "its tensors"
    more = [t["content"] for t in tokenizer["added"] if not t.get("special")]
    return [
        f"  text encoder: {words['num_hidden_layers']} layers of {words['hidden_size']}, words from {at}",
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
    return [f"  to start from it: python train.py {' '.join(words)}"] if words else []
