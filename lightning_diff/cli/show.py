"""--cfg job: the config of a command, printed as YAML, without running anything."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..config.checks import check
from ..config.compose import compose_node
from ..config.convert import plain, unchecked, yaml_text
from ..config.errors import ConfigError, nearest
from ..config.ignored import check_words
from ..config.input.search import SEARCH
from ..config.input.typed import fields_at, final
from ..config.schema import Config
from ..config.texts.comments import commented
from ..strings import visible
from .arguments import SHOWN, Arguments


def shows(found: Arguments) -> bool:
    """Whether the command is asked to print its config. Raises ConfigError for what only train.py can print."""
    if (what := found.flags.get("--cfg", "job")) != "job":
        raise ConfigError(f"--cfg {what}: train.py has it; here --cfg job")
    return any(flag in found.flags for flag in SHOWN)


def show_composed(found: Arguments, combinations: Sequence[Sequence[str]], overrides: Sequence[str] = ()) -> None:
    """Print the config of each combination of overrides. If a check would refuse one, a note on stderr says so."""
    texts = []
    for words in combinations:
        node = compose_node([*overrides, *words], SEARCH.name)
        config = unchecked(node)
        try:
            check(config)
            check_words(config, words)
        except ConfigError as e:
            print(visible(f"note: to run it would be refused: {e}".replace("\n", "\\n")), file=sys.stderr)
        texts.append((" ".join(words), _text(_finished(node, "--resolve" in found.flags), found)))
    _print(texts)


def show_stored(found: Arguments, configs: Sequence[tuple[str, Config]]) -> None:
    """Print each (title, config of a run with its overrides)."""
    _print([(title, _text(plain(config), found)) for title, config in configs])


def _finished(node: DictConfig, resolve: bool) -> Any:
    """The plain values of a composed config; each path and text is what the run gets."""
    outputs = str(OmegaConf.select(node, "outputs"))

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: walk(part, f"{key}.{name}".lstrip(".")) for name, part in value.items()}
        if isinstance(value, str | list) and (found := fields_at(key)) and "group" not in found[0][1].metadata:
            return final(value, found[0][1], outputs)
        return value

    return walk(OmegaConf.to_container(node, resolve=resolve), "")


def _text(values: Any, found: Arguments) -> str:
    package = found.flags.get("--package", "_global_")
    written = commented if "--comments" in found.flags else lambda part, place="": yaml_text(part)
    if package == "_global_":
        return written(values)
    for name in package.split("."):
        if not isinstance(values, dict) or name not in values:
            raise ConfigError(
                f"--package {package}: no such table; {nearest(name, sorted(Config.__dataclass_fields__))}"
            )
        values = values[name]
    inner = values if isinstance(values, dict) else {package.rpartition(".")[2]: values}
    above = package if isinstance(values, dict) else package.rpartition(".")[0]
    return f"# @package {package}\n{written(inner, above)}"


def _print(texts: Sequence[tuple[str, str]]) -> None:
    """One text alone, or several, each with its title."""
    several = len(texts) > 1
    print("\n---\n".join(f"# {title}\n{text}" if several else text for title, text in texts), end="")
