"""train.py -m: Hydra's sweeper and launcher make the runs. At the end come a table and a report of them all.

What Hydra prints itself (--info, --cfg hydra) is made here too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config.compose import register_schema
from ..config.convert import to_config
from ..config.errors import ConfigError
from ..config.ignored import check_words
from ..config.input.files import guard_files
from ..config.input.messages import CIRCLE, wrong_word
from ..config.input.search import SEARCH
from ..config.installed import check_installed
from ..config.paths import CONF
from ..pipeline.naming import group_name, run_folder, swept_keys
from ..ranks import console, first_rank, say
from .arguments import Arguments, product_of
from .errors import exit_on_error


def refuse_one_folder(combinations: Sequence[Sequence[str]]) -> None:
    """Raises ConfigError if the runs of a multirun would lie in one folder, before the first is trained."""
    names = [next((word for word in reversed(words) if word.startswith("name=")), "") for words in combinations]
    if twice := next((name for name in names if name and names.count(name) > 1), ""):
        raise ConfigError(
            f"{twice}: {names.count(twice)} runs of this command would lie in that folder; leave it out, then each run is named "
            "after what differs"
        )


def with_hydra(found: Arguments) -> None:
    """A multirun with its sweeper and launcher, or what Hydra prints."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig

    typed, folders, told = sys.argv, list[Path](), set[str]()
    register_schema()
    guard_files()

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=SEARCH.name)
    def job(node: DictConfig) -> None:
        def work() -> None:
            sys.argv = typed
            config = to_config(node)
            check_installed(config)
            overrides = list(HydraConfig.get().overrides.task)
            check_words(config, overrides)
            if config.tracking.group is None:
                config.tracking.group = group_name(config, overrides)
            settings = HydraConfig.get()
            folder = run_folder(config, overrides, swept_by(settings, found.overrides) if found.many else [])
            if found.many:
                say_which(len(folders) + 1, _count(settings, found.overrides), folder.name)
            folders.append(folder)
            from ..cluster.processes import with_processes
            from ..pipeline.stages import train

            config.training = with_processes(config.training, overrides)
            train(config, folder, told=told)

        exit_on_error(work)  # here too, because Hydra would print a line of its own before ours

    flags = [flag for name, value in found.flags.items() if not name.startswith("--config-") for flag in (name, value)]
    sys.argv = [typed[0], *filter(None, flags), *found.overrides]
    try:
        job()
        finish_many(folders)
    except RecursionError as e:
        raise ConfigError(CIRCLE) from e
    except ValueError as e:
        if wrong := wrong_word(found.overrides, e):
            raise wrong from e
        raise
    finally:
        sys.argv = typed


def swept_by(settings: Any, overrides: Sequence[str]) -> list[str]:
    """The keys that a multirun sweeps, by its overrides and by hydra.sweeper.params."""
    return swept_keys([*_params(settings), *overrides])


def _params(settings: Any) -> list[str]:
    return [f"{key}={value}" for key, value in (settings.sweeper.get("params") or {}).items()]


def _count(settings: Any, overrides: Sequence[str]) -> int:
    """The number of runs of a multirun; 0 if another sweeper than Hydra's own decides it."""
    basic = str(settings.sweeper.get("_target_", "")).endswith(".BasicSweeper")
    return len(product_of([*_params(settings), *overrides])) if basic else 0


def say_which(number: int, count: int, name: str) -> None:
    """Say which of several runs comes now."""
    say(f"\nrun {number}{f' of {count}' if count else ''}: {name}")


def finish_many(folders: Sequence[Path]) -> None:
    """Print the table of several runs, and make their report."""
    some = list(dict.fromkeys(folders))
    if len(some) < 2 or not first_rank():
        return
    from ..pipeline.many.listing import runs_table

    console.print()
    console.print(runs_table(some, {}))
    report_all(some)


def report_all(folders: Sequence[Path]) -> None:
    """Make the report of several runs. If their numbers cannot stand side by side, say why; the runs are finished."""
    if len(folders) < 2:
        return
    from ..pipeline.reports.page import make_report, report_place

    try:
        say(f"report of these runs: {make_report(folders, report_place(folders))}")
    except ConfigError as e:
        say(f"no report of these runs: {e}")
