"""The plugin for --config-dir. Hydra looks for search path plugins only in this package; the folder is in config/search.py."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lightning_diff.config.input.search import SEARCH


class UserFolder(SearchPathPlugin):
    """Puts the user's folder of configs before this project's, so that a file of the user wins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if SEARCH.folder is not None:
            search_path.prepend("user", f"file://{SEARCH.folder}", SearchPathQuery(provider="main"))
