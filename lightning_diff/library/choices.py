"""The registered choices of a group as classes in one place: ld.samplers.Heun(steps=10), ld.guiders.APG(norm=15.0)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..config.errors import nearest
from ..config.registry import choices


class Choices:
    """The classes of a group by their names, those of loaded plugins too, and further functions."""

    def __init__(self, group: str, more: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._group, self._more = group, dict(more or {})

    def _found(self) -> dict[str, Any]:
        return {cls.__name__: cls for cls in choices(self._group).values()} | self._more

    def __getattr__(self, name: str) -> Any:
        found = self._found() if not name.startswith("_") else {}
        if name not in found:
            raise AttributeError(f"no {self._group} is called {name}; {nearest(name, sorted(found))}")
        return found[name]

    def __dir__(self) -> list[str]:
        return sorted(self._found())


def group(name: str) -> Choices:
    """The choices of a group, with the functions that take others' objects."""
    from ..interop.schedulers import from_diffusers

    return Choices(name, {"from_diffusers": from_diffusers} if name == "sampler" else {})
