"""The MLflow tracker: one MLflow run per run folder, in RUN/mlflow/mlflow.db or on a server."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.registry import choice
from ..base import Sweep, TrackedRun, Tracker, step_of, tables

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_PARAMS = 100  # in one call
LONGEST = 500  # characters in a param
SQLITE = "sqlite:///"
STORES = r"(https?|sqlite|postgresql|mysql|mssql)(\+\w+)?://.+"
# Set before mlflow is imported, if the user has not set them. So a server that is gone costs some seconds once, not a quarter
# of an hour as with mlflow's default retries, and no telemetry is sent.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@choice("tracker", "mlflow")
class MLflow(Tracker):
    """MLflow (https://mlflow.org). `uri` is its server, or sqlite:///FILE for several runs. Without it, each run has its own
    RUN/mlflow/mlflow.db."""

    uri: str | None = None

    title: ClassVar[str] = "MLflow"
    install: ClassVar[str] = "-e '.[mlflow]'"
    remedy: ClassVar[str] = "leave out uri: the run is kept in RUN/mlflow"

    @property
    def packages(self) -> list[str]:
        return ["mlflow"] if self.server else ["mlflow", "sqlalchemy", "alembic"]

    @property
    def server(self) -> str:
        return self.uri if self.uri is not None and self.uri.startswith("http") else ""

    def conflicts(self) -> Iterator[str]:
        if self.uri is not None and not re.fullmatch(STORES, self.uri):
            yield f"tracking.also: mlflow with uri={self.uri}: name a server, http://HOST:PORT, or a file, sqlite:///FILE"

    def open(self, run: TrackedRun) -> MLflowRun:
        return MLflowRun(run, self.uri or f"{SQLITE}{run.folder.resolve() / 'mlflow' / 'mlflow.db'}")


class MLflowRun:
    """A run in MLflow. Its id is stored in RUN/mlflow_id, so a restart continues the same run and does not write a step twice."""

    def __init__(self, run: TrackedRun, uri: str) -> None:
        self.folder = run.folder
        self.link: TemporaryDirectory[str] | None = None
        place = Path(uri.removeprefix(SQLITE)).parent.resolve() if uri.startswith(SQLITE) else None
        if place:
            place.mkdir(parents=True, exist_ok=True)
            self.link, way = _plain_way(place)
            uri = f"{SQLITE}{way / Path(uri).name}"
        self.client = _client(uri)
        self.id = self._known_run() or self._new_run(run, (place / "artifacts").as_uri() if place else None)
        self.client.update_run(self.id, status="RUNNING")
        self.known: dict[str, set[tuple[int, float]]] = {}

    def _known_run(self) -> str | None:
        from mlflow.exceptions import MlflowException

        path = self.folder / "mlflow_id"
        if not path.is_file():
            return None
        try:
            return str(self.client.get_run(path.read_text().strip()).info.run_id)
        except MlflowException as e:
            if e.error_code != "RESOURCE_DOES_NOT_EXIST":  # raise if the server fails
                raise
            return None

    def _new_run(self, run: TrackedRun, artifacts: str | None) -> str:
        from mlflow.entities import Param

        found = self.client.get_experiment_by_name(run.project)
        experiment = found.experiment_id if found else self.client.create_experiment(run.project, artifacts)
        said = {"job_type": run.job, "group": run.group or "", "tags": ",".join(run.tags)}
        begun = self.client.create_run(experiment, tags=said, run_name=run.name)
        params = [Param(k, str(v)[:LONGEST]) for k, v in _flat(run.config)]
        for first in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(begun.info.run_id, params=params[first : first + MOST_PARAMS])
        (self.folder / "mlflow_id").write_text(begun.info.run_id)
        return str(begun.info.run_id)

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """Log a step's values. Steps that MLflow already has, from before a kill, are skipped."""
        new = {f"train/{k}": v for k, v in values.items()}
        self._log([(k, step, v) for k, v in new.items() if step not in {s for s, _ in self._history(k)}])

    def sweep(self, sweep: Sweep) -> None:
        """Log the sweep's curves (their steps are 1000 w), its best row, tables, figures and report."""
        from mlflow.entities import RunTag

        points = [  # "+" is not allowed in MLflow's names
            (f"sweep/{line}/{name}".replace("+", "."), step_of(row), float(row[name]))
            for line, rows in sweep.lines().items()
            for row in rows
            for name in sweep.measured
        ]
        self._log([(k, step, v) for k, step, v in points if (step, v) not in self._history(k)])
        best = [c for c in sweep.columns if isinstance(sweep.best[c], int | float)]
        self._log([(f"best/{name}", 0, float(sweep.best[name])) for name in best])
        self.client.log_batch(self.id, tags=[RunTag("best", f"{sweep.best['guider']}, w = {sweep.best['scale']:g}")])
        for path in (*tables(self.folder), sweep.report):
            self.client.log_artifact(self.id, str(path))
        for path in sweep.figures:
            self.client.log_artifact(self.id, str(path), "figures")

    def finish(self) -> None:
        self.client.set_terminated(self.id)
        if self.link is not None:
            self.link.cleanup()

    def _history(self, key: str) -> set[tuple[int, float]]:
        """The points of a metric that MLflow already has. They are requested once."""
        if key not in self.known:
            self.known[key] = {(m.step, m.value) for m in self.client.get_metric_history(self.id, key)}
        return self.known[key]

    def _log(self, points: list[tuple[str, int, float]]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.id, metrics=[Metric(k, v, now, step) for k, step, v in points])
        for key, step, value in points:
            self.known.setdefault(key, set()).add((step, value))


def _plain_way(place: Path) -> tuple[TemporaryDirectory[str] | None, Path]:
    """A path to this folder that a URI can hold as it is, and what removes it. Where the folder's own path has a ?, a # or a %,
    it is a link. Escaped, MLflow would make a folder of the escaped name, and SQLAlchemy's versions differ in what they undo."""
    if not set(str(place)) & set("?#%"):
        return None, place
    made = TemporaryDirectory(prefix="mlflow-")
    way = Path(made.name) / "run"
    way.symlink_to(place, target_is_directory=True)
    return made, way


def _client(uri: str) -> MlflowClient:
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
