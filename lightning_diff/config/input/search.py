"""Where configs are looked for: in conf/, and before that in the folder that --config-dir names."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ..errors import ConfigError
from ..paths import CONF
from .files import guard_files
from .typed import as_path


@dataclass
class Search:
    """What --config-dir and --config-name say, for this process. hydra_plugins/ tells Hydra of the folder."""

    folder: Path | None = None
    name: str = "config"

    def use(self, folder: str, name: str) -> None:
        """Take the values of the two flags. Raises ConfigError for a folder or a config that is not there."""
        self.folder, self.name = None, name.removesuffix(".yaml") or "config"
        if folder:
            self.folder = Path(as_path(folder)).absolute()
            if not self.folder.is_dir():
                raise ConfigError(f"--config-dir={folder}: no such folder")
        if not any((place / f"{self.name}.yaml").is_file() for place in self.folders):
            where = " or ".join(str(place) for place in self.folders)
            raise ConfigError(f"--config-name={name}: no {self.name}.yaml in {where}")

    @property
    def folders(self) -> list[Path]:
        """The folders that hold configs, the user's first."""
        return [self.folder, CONF] if self.folder else [CONF]

    @property
    def flags(self) -> list[str]:
        """The flags for another command that is to find the same configs."""
        named = [f"--config-name={self.name}"] if self.name != "config" else []
        return [*([f"--config-dir={self.folder}"] if self.folder else []), *named]

    def file(self, group: str, name: str) -> Path | None:
        """The file of a choice, or of a config that has no group."""
        return next((p for place in self.folders if (p := place / group / f"{name}.yaml").is_file()), None)

    def composing(self) -> Any:
        """A context in which Hydra can compose. It initialises Hydra if nobody has done so."""
        guard_files()
        if GlobalHydra.instance().is_initialized():
            return nullcontext()
        return initialize_config_dir(str(CONF), version_base="1.3")


SEARCH = Search()
