"""What pyproject.toml cannot say: the folder conf/ lies inside the package of a wheel."""

from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConf(build_py):
    """Copies conf/ into the built package. An editable install reads it where it is."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in sorted(Path("conf").rglob("*.*")):
                place = Path(self.build_lib, "lightning_diff", file)
                self.mkpath(str(place.parent))
                self.copy_file(str(file), str(place))


commands: dict[str, Any] = {"build_py": WithConf}
setup(cmdclass=commands)
