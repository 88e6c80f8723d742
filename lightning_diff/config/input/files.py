"""How a config file is read: as people write it, or refused in one line that names the file and the line.

YAML 1.1 reads some plain words as other things than they look: no is false, 010 is 8, 1:30 is 90. For a key that holds a
text or a number, such a word is refused, and the message says how to write it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..errors import ConfigError
from ..paths import CONF
from .lists import GLOBAL, check_aliases, check_defaults
from .typed import is_group, kind_of, listed_group
from .values import A_LIST

OCTAL_OR_TIME = r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)"  # YAML 1.1 reads 010 as 8 and 1:30 as 90

# What YAML says of a text -> how to mend it.
MENDED = (
    ("\\t", "a tab cannot stand before a key, YAML takes blanks"),
    ("cannot start any token", "quote the value"),
    ("escape character", r"in double quotes a \ begins an escape; take single quotes"),
    ("mapping values are not allowed", "a value with a colon and a blank must be quoted"),
    ("undefined alias", "a value that begins with * must be quoted"),
    ("for the tag", "a value that begins with ! must be quoted"),
)
BLANKS = re.compile("\\s*[\u00a0\u2000-\u200b\u202f\u3000\ufeff]\\s*")  # no blanks for YAML, but they look like blanks

_lines: dict[str, str] = {}  # key -> FILE:LINE of the user's file that sets it
_told: set[Path] = set()


def guard_files() -> None:
    """Make Hydra read every config file with read_file."""
    Plugins.instance()  # it registers the class that reads files
    SourcesRegistry.instance().resolve("file").load_config = _load  # type: ignore[method-assign, assignment]


def _load(source: ConfigSource, config_path: str) -> ConfigResult:
    name = config_path if config_path.endswith(".yaml") else f"{config_path}.yaml"
    file, group = Path(os.path.realpath(os.path.join(source.path, name))), os.path.dirname(name)
    ours = file.is_relative_to(CONF)
    if not ours and (CONF / name).is_file() and file not in _told:
        _told.add(file)
        print(f"{file}: taken instead of this project's {name}", file=sys.stderr)
    config, package = read_file(file, group, keep_lines=not ours)
    return ConfigResult(config=config, path=f"file://{source.path}", provider=source.provider, header=package)


def read_file(file: Path, group: str, keep_lines: bool = False) -> tuple[Any, dict[str, str | None]]:
    """The config of a file, and its header. Raises ConfigError."""
    text = _text(file)
    header = {"package": _package(file, text) or ("_global_" if group in GLOBAL else None)}
    node, config = _parsed(file, text)
    if node is None:
        if group in GLOBAL:
            raise ConfigError(f"{file}:1: no key in it; write what it changes, for example training: {{steps: 100}}")
    else:
        place = "" if header["package"] == "_global_" or group in ("", *GLOBAL) else group.replace("/", ".") + "."
        _check(node, OmegaConf.to_container(config), place, file, keep_lines, group)
    return config, header


def _package(file: Path, text: str) -> str | None:
    """The package that a comment at the top names, as in # @package _global_. Raises ConfigError."""
    for n, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if found := re.match(r"\s*#\s*@(.*)", line):
            words = found[1].split()
            if words[:1] != ["package"] or len(words) != 2:
                raise ConfigError(f"{file}:{n}: a line # @ that Hydra does not know; write # @package _global_")
            if words[1] != "_global_" and not is_group(words[1]) and not words[1].startswith(("hydra", "_global_.")):
                raise ConfigError(f"{file}:{n}: {words[1]} is no table of the config; write # @package _global_")
            return words[1]
    return None


def _parsed(file: Path, text: str) -> tuple[Any, Any]:
    """(YAML's node, with the lines; the config) of a file's text; the node is None if it is empty. Raises ConfigError."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
            return None, OmegaConf.create({})
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1
            raise ConfigError(f"{file}:{line}: a list or a word; a config file holds lines of key: value")
        check_aliases(node, file)
        return node, OmegaConf.load(io.StringIO(text))
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        hint = next((f"; {mended}" for words, mended in MENDED if words in str(e.problem)), "")
        said = ", ".join(filter(None, [e.context, e.problem]))
        raise ConfigError(f"{file}:{mark.line + 1 if mark else 1}: {said}{hint}") from e
    except yaml.reader.ReaderError as e:
        line = text.count("\n", 0, e.position) + 1
        raise ConfigError(f"{file}:{line}: a character that YAML does not allow, U+{e.character:04X}") from e
    except RecursionError as e:
        raise ConfigError(f"{file}:1: brackets in brackets, too many to be read; a value has two levels at most") from e
    except (OmegaConfBaseException, ValueError) as e:
        raise ConfigError(f"{file}:1: {str(e).splitlines()[0]}") from e


def _text(file: Path) -> str:
    """The file's text: UTF-8, without its byte order mark, with \\n at the ends of lines."""
    data = file.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8 (byte 0x{data[e.start]:02x}); save the file as UTF-8") from e
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for number, row in enumerate(text.split("\n"), 1):
        if found := BLANKS.match(row):
            mark = next(letter for letter in found[0] if letter not in " \t")
            raise ConfigError(
                f"{file}:{number}: U+{ord(mark):04X} before a key, which is no blank for YAML; write blanks there"
            )
    return text


def _check(node: Any, values: Any, place: str, file: Path, keep_lines: bool, group: str) -> None:
    """Check the plain words of a file, key by key. `values` is what the words were read as."""
    for name, below in node.value:
        key, where = f"{place}{name.value}", f"{file}:{name.start_mark.line + 1}"
        if not str(name.tag).endswith((":str", ":merge")):
            raise ConfigError(f"{where}: {name.value}: no name of a key for YAML; quote it")
        if "." in str(name.value):
            above, _, inner = name.value.rpartition(".")
            raise ConfigError(f"{where}: {name.value}: dots are for the command line; write {above}: {{{inner}: ...}}")
        if key in GLOBAL:
            raise ConfigError(f"{where}: {key}: name it in the list, defaults: [{getattr(below, 'value', 'NAME')}]")
        if name.value == "defaults":
            check_defaults(below, file, group)
        if name.value not in values or name.value in ("defaults", "hydra"):
            continue
        if keep_lines:
            _lines[key] = where
        read = values[name.value]
        if isinstance(below, yaml.MappingNode):
            if kind_of(key)[1] or listed_group(key):
                raise ConfigError(f"{where}: {key}: {A_LIST}")
            _check(below, read, f"{key}.", file, keep_lines, group)
            continue
        many = isinstance(below, yaml.SequenceNode)
        for entry, one in zip(below.value, read) if many else [(below, read)]:
            if isinstance(entry, yaml.ScalarNode) and entry.style is None:
                _check_word(key, entry.value, one, where)


def _check_word(key: str, word: str, read: Any, where: str) -> None:
    """Raises ConfigError for a plain word that means something else in YAML than it seems to say."""
    kind, name = kind_of(key)[0], key.rpartition(".")[2]
    seen = f"the truth value {str(read).lower()}" if isinstance(read, bool) else f"the number {read}"
    if (group := is_group(key)) and read is None:
        raise ConfigError(f"{where}: {key}: no key below it; write some, further to the right, or delete the line")
    if group and "${" not in word:
        hint = f"choose it in the list defaults, - override /{group}: {word}"
        raise ConfigError(
            f"{where}: {key}: {word} is no table of keys; {hint if isinstance(read, str) else 'write one'}"
        )
    if kind in ("text", "path"):
        if read is not None and str(read) != word:
            raise ConfigError(f'{where}: {key}: YAML reads {word} as {seen}; quote it, {name}: "{word}"')
        if word == "None":
            raise ConfigError(f'{where}: {key}: None is a text in YAML; write null, or quote it, {name}: "None"')
    elif kind in ("int", "float") and re.fullmatch(OCTAL_OR_TIME, word) and str(read) != word:
        decimal = "" if ":" in word else f", or {word.lstrip('+0')} if that is meant"
        raise ConfigError(f"{where}: {key}: YAML reads {word} as {seen}; write {read}{decimal}")
    elif kind == "int" and isinstance(read, float):
        hint = f"; write {int(read)}" if read.is_integer() else ""
        raise ConfigError(f"{where}: {key}={word}: must be a whole number{hint}")


def located(message: str, words: list[str]) -> str:
    """An error's message, with the line of the user's file that sets the key which the message begins with."""
    key = re.match(r"[\w.-]+", message)
    said = {word.partition("=")[0].lstrip("+~") for word in words}
    if not key or key[0] not in _lines or key[0] in said or _lines[key[0]] in message:
        return message
    return f"{_lines[key[0]]}: {message}"
