"""A passport may come from anybody (law 8): before a net is built, it must describe the tensors that are in its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from ..config.errors import ConfigError
from ..nets.weights import shapes_in

WRONG = (ConfigError, KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError, AssertionError, IndexError)


class _TooMany(Exception):
    """A net has more modules than its tensors can belong to."""


@contextmanager
def _at_most(modules: int) -> Iterator[None]:
    left = modules

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _TooMany

    handle = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def check_passport(passport: Mapping[str, Any], path: Path, build: Callable[[dict[str, Any]], nn.Module]) -> None:
    """Raises ConfigError if a passport describes no net, or another one than the tensors in the file `path` are of. The net is
    built without memory, and its sizes are compared."""
    shapes = shapes_in(path)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), _at_most(1000 + 20 * len(shapes)):
            expected = {name: list(t.shape) for name, t in build(dict(passport)).state_dict().items()}
    except (*WRONG, _TooMany) as e:
        why = str(e) if isinstance(e, ConfigError) else type(e).__name__
        raise ConfigError(
            f"{path}: its passport describes no net ({why}); make the file again with this project"
        ) from e
    except RuntimeError as e:
        if isinstance(e, NotImplementedError) or "meta" in str(e).lower():
            return  # a net that cannot be built without memory
        said = " ".join(str(e).split())[:100]
        raise ConfigError(
            f"{path}: its passport describes no net ({said}); make the file again with this project"
        ) from e
    for name in [*expected, *shapes]:
        if expected.get(name) != shapes.get(name):
            raise ConfigError(f"{path}: not weights of this architecture: {name} is not as its passport says")
