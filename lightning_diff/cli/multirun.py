"""train.py -m: Hydra's sweeper and launcher make the runs. What Hydra prints itself (--info, --cfg hydra) is made here too."""

from __future__ import annotations

import sys

from ..config.compose import register_schema
from ..config.convert import to_config
from ..config.errors import ConfigError
from ..config.ignored import check_words
from ..config.input.files import guard_files
from ..config.input.messages import CIRCLE, wrong_word
from ..config.input.search import SEARCH
from ..config.installed import check_installed
from ..config.paths import CONF
from ..pipeline.naming import group_name, run_folder
from .arguments import Arguments
from .errors import exit_on_error


def with_hydra(found: Arguments) -> None:
    """A multirun with its sweeper and launcher, or what Hydra prints."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig

    typed = sys.argv
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
            folder = run_folder(config, overrides)
            from ..pipeline.stages import train

            train(config, folder)

        exit_on_error(work)  # here too, because Hydra would print a line of its own before ours

    flags = [flag for name, value in found.flags.items() if not name.startswith("--config-") for flag in (name, value)]
    sys.argv = [typed[0], *filter(None, flags), *found.overrides]
    try:
        job()
    except RecursionError as e:
        raise ConfigError(CIRCLE) from e
    except ValueError as e:
        if wrong := wrong_word(found.overrides, e):
            raise wrong from e
        raise
    finally:
        sys.argv = typed
