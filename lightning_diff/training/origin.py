"""What a checkpoint says of where it comes from, and the choice of the one that a run goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..config.errors import ConfigError
from ..ranks import first_rank
from ..sums import set_aside
from .checkpoint import RESTART, checkpoints_in, read_checkpoint

KEY = "origin"  # in a checkpoint
NEEDED = ("state_dict", "optimizer_states", "lr_schedulers", "ema")  # in a checkpoint
Told = Callable[[str, Mapping[str, Any]], None]  # (a line, what the record says of it)


@dataclass(frozen=True)
class Origin:
    """`config`: the values that make it this run. `data` and `parts`: hashes of the contents of what it is trained on, and of its
    frozen parts. If these changed, the run goes on only if `accept` is true."""

    config: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    accept: bool = False

    def stored(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "accept"}


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """The names of the values that differ in two tables, of those that both have."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in new:
            if key in old:
                yield from differences(old[key], new[key], f"{name}.{key}" if name else str(key))
    elif old != new:
        yield name


def choose_checkpoint(folder: Path, origin: Origin, net: nn.Module, told: Told) -> tuple[Path, dict[str, Any]] | None:
    """The run's newest checkpoint that is whole and of this run; None if it has none. Damaged ones are set aside, and told.

    Raises ConfigError if all are damaged, or if the newest whole one was trained on other data."""
    every, why = checkpoints_in(folder), dict[Path, str]()
    for path in every:
        try:
            checkpoint = read_checkpoint(path, mmap=True)
        except ConfigError:
            why[path] = "damaged"
            continue
        if said := _unfit(checkpoint, origin, net):
            why[path] = said
            continue
        for bad, reason in why.items():
            step = checkpoint["global_step"]
            line = f"{bad}: {reason}; set aside, and the run goes on from {path.name}, step {step}"
            told(line, {"file": bad.name, "reason": reason, "instead": path.name, "step": step})
            if first_rank():
                with suppress(OSError):
                    set_aside(bad)
        _check_data(checkpoint.get(KEY, {}), origin, folder, told)
        return path, checkpoint
    if every:
        others = f", and none of the {len(every)} is whole" if len(every) > 1 else ""
        raise ConfigError(f"{every[0]}: {why[every[0]]}{others}; {RESTART}")
    return None


def _unfit(checkpoint: Mapping[str, Any], origin: Origin, net: nn.Module) -> str:
    """Why a whole checkpoint cannot be of this run; empty if it can."""
    said = checkpoint.get(KEY, {})
    if isinstance(said, Mapping) and (other := next(differences(said.get("config", {}), origin.config), "")):
        return f"of another run (it has another {other})"
    if missing := [name for name in NEEDED if name not in checkpoint]:
        return f"not a checkpoint of this program (no {missing[0]} in it)"
    state = checkpoint["state_dict"]
    had = {n: tuple(getattr(t, "shape", ())) for n, t in state.items()} if isinstance(state, Mapping) else {}
    shared = [(had[name], tuple(t.shape)) for name, t in net.state_dict().items() if name in had]
    return "" if shared and all(old == new for old, new in shared) else "of another net"


def _check_data(said: Any, origin: Origin, folder: Path, told: Told) -> None:
    """Raises ConfigError if the data or the frozen parts are others than those that the checkpoint was trained on."""
    old = said if isinstance(said, Mapping) else {}
    data = list(differences(old.get("data", {}), origin.data))
    parts = list(differences(old.get("parts", {}), origin.parts))
    if not data and not parts:
        return
    changes = [_change(name, old["data"], origin.data) for name in data] + [f"another frozen {name}" for name in parts]
    line = f"{folder}: since its last checkpoint, what it is trained on has changed ({', '.join(changes)})"
    if not origin.accept:
        remedy = "restore it, give another name=, or go on with it knowingly: training.accept_new_data=true"
        raise ConfigError(f"{line}; {remedy}")
    told(f"{line}; it goes on with that, as asked", {"reason": "new data", "changed": [*data, *parts]})


def _change(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return f"{name}: {old[name]:,} became {new[name]:,}" if isinstance(new[name], int) else f"other {name}"
