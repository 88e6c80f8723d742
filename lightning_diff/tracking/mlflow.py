"""MLflow: one run for a run folder, in RUN/mlflow/mlflow.db or on the server of tracking.mlflow_uri."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config.schema import Config
from .base import Sweep, tables, tags

# Said before mlflow is loaded, and only where the user has not: a server that is gone costs seconds, once, not the
# quarter of an hour of mlflow's own retries, and nobody is told of the run but that server.
for key, value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(key, value)

import mlflow  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

MOST_PARAMS = 100  # of one call
LONGEST = 500  # characters of a param
SQLITE = "sqlite:///"

for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)


class MLflow:
    """Its id is kept in RUN/mlflow_id, so a restart goes on with the same run, and does not write a step twice."""

    def __init__(self, config: Config, folder: Path, job: str) -> None:
        self.folder = folder
        uri = config.tracking.mlflow_uri or f"{SQLITE}{folder.resolve() / 'mlflow' / 'mlflow.db'}"
        place = Path(uri.removeprefix(SQLITE)).parent.resolve() if uri.startswith(SQLITE) else None
        if place:
            place.mkdir(parents=True, exist_ok=True)
        self.client = mlflow.MlflowClient(tracking_uri=uri)
        self.id = self._known_run() or self._new_run(config, job, (place / "artifacts").as_uri() if place else None)
        self.client.update_run(self.id, status="RUNNING")
        self.known: dict[str, set[tuple[int, float]]] = {}

    def _known_run(self) -> str | None:
        path = self.folder / "mlflow_id"
        if not path.is_file():
            return None
        try:
            return str(self.client.get_run(path.read_text().strip()).info.run_id)
        except MlflowException as e:
            if e.error_code != "RESOURCE_DOES_NOT_EXIST":  # another server than before, or another file
                raise
            return None

    def _new_run(self, config: Config, job: str, artifacts: str | None) -> str:
        project = config.tracking.project
        found = self.client.get_experiment_by_name(project)
        experiment = found.experiment_id if found else self.client.create_experiment(project, artifacts)
        said = {"job_type": job, "group": config.tracking.group or "", "tags": ",".join(tags(config))}
        run = self.client.create_run(experiment, tags=said, run_name=self.folder.name)
        params = [Param(k, str(v)[:LONGEST]) for k, v in _flat(asdict(config))]
        for first in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(run.info.run_id, params=params[first : first + MOST_PARAMS])
        (self.folder / "mlflow_id").write_text(run.info.run_id)
        return str(run.info.run_id)

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """A step that is there already was mirrored before a kill."""
        new = {f"train/{k}": v for k, v in values.items()}
        self._log([(k, step, v) for k, v in new.items() if step not in {s for s, _ in self._history(k)}])

    def sweep(self, sweep: Sweep) -> None:
        """Its curves, whose steps are 100 w, its best row, its tables, figures and report."""
        points = [  # MLflow's names know no +
            (f"sweep/{line}/{name}".replace("+", "."), round(100 * row["scale"]), float(row[name]))
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

    def _history(self, key: str) -> set[tuple[int, float]]:
        """The points of a metric, asked for once."""
        if key not in self.known:
            self.known[key] = {(m.step, m.value) for m in self.client.get_metric_history(self.id, key)}
        return self.known[key]

    def _log(self, points: list[tuple[str, int, float]]) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(self.id, metrics=[Metric(k, v, now, step) for k, step, v in points])
        for key, step, value in points:
            self.known.setdefault(key, set()).add((step, value))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
