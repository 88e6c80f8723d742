"""A command's arguments: flags, words of the command itself, and overrides of the config.

Every command knows the same flags. One that has no meaning for a command is refused, and so is every argument that is none
of the three; the message says how it must be typed.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from ..config.errors import ConfigError, nearest
from ..config.input.messages import wrong_file
from ..config.input.search import SEARCH
from ..config.input.typed import as_path, fields_at, for_hydra, kind_of, listed_group
from ..config.plugins import load_plugins
from ..config.texts.suggest import AT_HAND
from .retyped import as_pair, blanks_in_list, retyped

FLAGS = {  # flag -> its short form
    "--help": "-h",
    "--multirun": "-m",
    "--config-dir": "-cd",
    "--config-name": "-cn",
    "--cfg": "-c",
    "--package": "-p",
    "--resolve": "",
    "--comments": "",
    "--info": "-i",
    "--run": "-r",
    "--hydra-help": "",
    "--version": "",
    "--shell-completion": "-sc",
    "--config-path": "-cp",
}
VALUED = ("--config-dir", "--config-name", "--cfg", "--package", "--config-path")
SHOWN = ("--cfg", "--package", "--resolve", "--comments")
ANSWERED = ("--help", "--version")  # every command knows them
OF_HYDRA = ("--info", "--run", "--hydra-help", "--shell-completion")  # train.py hands them to Hydra
CFG = ("job", "hydra", "all")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
OF_MANY = ("hydra/launcher=", "hydra.launcher.", "hydra/sweeper=", "hydra.sweeper.")  # belong to -m
USEFUL = ("hydra/", "hydra.launcher.", "hydra.sweeper.", "hydra.searchpath=", "hydra.verbose=")
LIGHTNING = ("hydra.run.dir=", "hydra.job.name=", "hydra.output_subdir=")  # it gives them to the ranks that it starts
MOST_RUNS = 10_000  # of one command; a typing error may ask for many more

Words = dict[str, str]


@dataclass
class Arguments:
    """`words`: the command's own words. `overrides`: as Hydra must be given them."""

    words: Words
    overrides: list[str] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)

    @property
    def many(self) -> bool:
        return "--multirun" in self.flags


def read_arguments(
    arguments: Sequence[str],
    words: Words | None = None,
    paths: Sequence[str] = (),
    flags: Sequence[str] = (),
    command: str = "train.py",
) -> Arguments:
    """Sort a command's arguments. `words` are its own words with their defaults, `paths` those that hold a path, `flags` what
    it knows besides --help. Loads the plugins that are named. Raises ConfigError."""
    found = Arguments(dict(words or {}))
    AT_HAND.use(command, list(found.words))
    rest = _without_flags(arguments, found.flags)
    for flag in found.flags:
        if flag not in (*ANSWERED, *flags):
            hint = "give --config-dir=DIR" if flag == "--config-path" else "leave it out"
            raise ConfigError(f"{flag}: {command} does not know it; {hint}")
    if wrong := [f for f in SHOWN[1:] if f in found.flags and "--cfg" not in found.flags]:
        raise ConfigError(f"{wrong[0]}: would be ignored; it belongs to --cfg job")
    if {"--config-dir", "--config-name"} & set(flags):
        SEARCH.use(found.flags.get("--config-dir", ""), found.flags.get("--config-name", ""))
    typed = []
    for argument in rest:
        key, _, value = argument.partition("=")
        if key in found.words:
            if key in paths and not value:  # an empty variable of the shell
                raise ConfigError(f"{key}=: empty; say a path, or leave the word out")
            found.words[key] = as_path(value) if key in paths and "," not in value else value
        else:
            typed.append(argument)
    load_plugins([for_hydra(word) for word in typed if word.startswith("plugins=")])  # they add keys that hold paths
    if set(ANSWERED) & set(found.flags):
        return found
    # Without the word train.py chooses, so auto means to leave it out.
    found.overrides = [_override(word, found.many) for word in typed if word != "training.devices=auto"]
    return found


def _without_flags(arguments: Sequence[str], flags: dict[str, str]) -> list[str]:
    """Put the flags into `flags`. Returns the other arguments. Raises ConfigError for one that is not key=value."""
    long = {short: flag for flag, short in FLAGS.items() if short}
    rest, left = list[str](), list(arguments)
    while left:
        argument = left.pop(0)
        if argument.endswith("\r"):
            raise ConfigError(
                f"{argument}: ends in a carriage return; give the script the line ends of Unix (dos2unix FILE)"
            )
        if (dashes := re.match("[\u2010-\u2015\u2212]+-*", argument)) is not None:
            raise ConfigError(f"{argument}: begins with a long dash; type --{argument[dashes.end() :]}")
        name, equals, value = argument.partition("=")
        flag = long.get(name, name)
        if flag in FLAGS:
            if flag in VALUED and not equals:
                if not left:
                    raise ConfigError(f"{name}: say its value, for example {name} {_example(flag)}")
                value = left.pop(0)
            if flag in VALUED and not value:  # an empty variable of the shell
                raise ConfigError(f"{name}: empty; say its value, for example {name} {_example(flag)}, or leave it out")
            if flag == "--help" and not equals and left and _is_topic(left[0]):
                value = left.pop(0)
            elif flag == "--info" and not equals:
                value = left.pop(0) if left and left[0] in INFO else "all"
            allowed = {"--cfg": CFG, "--info": INFO}.get(flag)
            if allowed and value not in allowed:
                raise ConfigError(
                    f"{name} {value}: must be one of {', '.join(allowed)}; {nearest(value, list(allowed))}"
                )
            flags[flag] = value
        elif argument == "--":
            continue
        elif argument.startswith("-") or not (equals or argument.startswith("~")):
            raise ConfigError(f"{argument}: {as_pair(argument, rest[-1] if rest else '', left, list(FLAGS))}")
        else:
            rest.append(argument)
    return rest


def _is_topic(word: str) -> bool:
    """Whether a word after --help says what to tell of: `training`, `guidance.interval`, `sampler=ddim`."""
    return not word.startswith(("-", "plugins="))


def _example(flag: str) -> str:
    return "job" if flag == "--cfg" else "DIR" if flag == "--config-dir" else "NAME"


def _override(word: str, many: bool) -> str:
    """An override for Hydra. Raises ConfigError for one that Hydra's grammar cannot read, or that would have no effect."""
    key, _, value = word.partition("=")
    if key.startswith("~") and not key.startswith("~hydra"):
        raise ConfigError(f"{word}: a config has a value for each key; give another one, {key[1:]}=VALUE")
    key = key.lstrip("+~")
    if fields_at(key) or key == "experiment":
        word = word.lstrip("+")  # the key is there already, so it is not added but set
    if not key.strip():
        raise ConfigError(f"{word!r}: overrides are written key=value")
    of_lightning = word.startswith(LIGHTNING) and "LOCAL_RANK" in os.environ
    if key.startswith("hydra.sweeper.params"):
        raise ConfigError(f"{word}: give the values on the command line, -m seed=0,1")
    if key.startswith("hydra") and not word.lstrip("+").startswith(USEFUL) and not of_lightning:
        hint = "outputs=FOLDER and name=NAME say where a run lies" if "dir" in key else "leave it out"
        raise ConfigError(f"{word}: would have no effect; {hint}")
    if key == "experiment" and value.startswith("["):
        names = value.strip("[] ")
        raise ConfigError(f"{word}: a run has one experiment; train.py -m experiment={names} makes a run of each")
    if found := wrong_file(key, value):
        raise ConfigError(f"{word}: {found}")
    if blanks_in_list(key, value):
        raise ConfigError(f"{word}: commas separate the values of a list; {retyped(word)}")
    given = for_hydra(word, many)
    try:
        parsed = OverridesParser.create().parse_override(given)
    except HydraException as e:
        raise ConfigError(f"{word}: Hydra's grammar does not read it; {retyped(word)}") from e
    a_list = kind_of(key)[1] or listed_group(key)
    if parsed.is_sweep_override() and not many:
        if a_list and "," in value:
            raise ConfigError(f"{word}: it takes a list; {retyped(word)}")
        what = "one value, or -m for one run each" if "," in value else "it belongs to -m"
        raise ConfigError(f"{word}: several values; give {what}" if "," in value else f"{word}: would not work; {what}")
    one = not isinstance(parsed.value(), list) and not parsed.is_sweep_override()
    if (
        (kind_of(key)[1] or (listed_group(key) and isinstance(parsed.value(), dict)))
        and one
        and "${" not in value
        and value != "null"
    ):
        raise ConfigError(f"{word}: must be a list; {retyped(word)}")
    return given


def product_of(overrides: Sequence[str]) -> list[list[str]]:
    """All combinations of the values in overrides like sampler=euler,heun (Hydra's grammar). Raises ConfigError if they are too
    many to be meant, before they are written out."""
    parsed, choices = OverridesParser.create().parse_overrides(list(overrides)), []
    swept = [override for override in parsed if override.is_sweep_override()]
    if math.prod(map(_values, swept)) > MOST_RUNS:
        words = " ".join(str(override.input_line) for override in swept)
        raise ConfigError(f"{words}: makes more than {MOST_RUNS:,} runs; give fewer values")
    for override in parsed:
        values = list(override.sweep_string_iterator()) if override.is_sweep_override() else None
        line = override.input_line or ""
        choices.append([line] if values is None else [f"{override.get_key_element()}={v}" for v in values])
    return [list(some) for some in itertools.product(*choices)]


def _values(override: Override) -> int:
    """How many values an override sweeps; of too many only that they are. Raises ConfigError."""
    value = override.value()
    try:
        some = value.range() if isinstance(value, RangeSweep) else override.sweep_string_iterator()
    except ValueError as e:  # a step of 0
        raise ConfigError(f"{override.input_line}: {e}") from e
    return sum(1 for _ in itertools.islice(some, MOST_RUNS + 1))


def read_columns(text: str) -> list[str]:
    """The names in columns=A,B. Raises ConfigError if one is empty."""
    names = [name.strip() for name in text.split(",")] if text else []
    if "" in names:
        raise ConfigError(f"columns={text}: names with commas between them, for example columns=scale,fid,kid")
    return names
