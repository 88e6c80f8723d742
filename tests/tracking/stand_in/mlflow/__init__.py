"""What the tests use where MLflow's own client is not installed: the same calls, kept in a file of JSON. It refuses what
MLflow refuses of those that the mirror relies on: long calls, odd names, a param said twice, a run that is not there."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from pathlib import Path
from types import SimpleNamespace as Found
from typing import Any
from urllib.parse import urlparse

from .entities import Metric, Param, RunTag
from .exceptions import MlflowException


class MlflowClient:
    def __init__(self, tracking_uri: str) -> None:
        if not tracking_uri.startswith("sqlite:///"):
            raise MlflowException(f"{tracking_uri}: not reachable", "INTERNAL_ERROR")
        self.file = Path(tracking_uri.removeprefix("sqlite:///"))
        self.all: dict[str, Any] = json.loads(self.file.read_text()) if self.file.is_file() else {"places": {}}

    def _keep(self) -> None:
        self.file.write_text(json.dumps(self.all))

    def get_experiment_by_name(self, name: str) -> Found | None:
        return Found(experiment_id=name) if name in self.all["places"] else None

    def create_experiment(self, name: str, artifact_location: str | None = None) -> str:
        self.all["places"][name] = artifact_location
        self._keep()
        return name

    def create_run(self, experiment_id: str, tags: dict[str, str], run_name: str) -> Found:
        run_id = uuid.uuid4().hex
        tags = {**tags, "mlflow.runName": run_name}
        self.all[run_id] = {"of": experiment_id, "tags": tags, "params": {}, "metrics": {}, "status": "RUNNING"}
        self._keep()
        return self.get_run(run_id)

    def get_run(self, run_id: str) -> Found:
        if run_id not in self.all:
            raise MlflowException(f"Run with id={run_id} not found", "RESOURCE_DOES_NOT_EXIST")
        run = self.all[run_id]
        metrics = {k: points[-1][1] for k, points in run["metrics"].items()}
        info = Found(run_id=run_id, status=run["status"], run_name=run["tags"]["mlflow.runName"])
        return Found(info=info, data=Found(params=run["params"], tags=run["tags"], metrics=metrics))

    def log_batch(
        self,
        run_id: str,
        metrics: list[Metric] | tuple[()] = (),
        params: list[Param] | tuple[()] = (),
        tags: list[RunTag] | tuple[()] = (),
    ) -> None:
        run = self.all[run_id]
        if len(params) > 100 or len(metrics) > 1000:
            raise MlflowException("too many at once", "INVALID_PARAMETER_VALUE")
        if odd := [m.key for m in (*metrics, *params) if not re.fullmatch(r"[\w\-./ :]+", m.key)]:
            raise MlflowException(f"Invalid name: {odd}", "INVALID_PARAMETER_VALUE")
        for param in params:
            if run["params"].setdefault(param.key, param.value) != param.value:
                raise MlflowException(f"{param.key}: changing params is not allowed", "INVALID_PARAMETER_VALUE")
        for metric in metrics:
            run["metrics"].setdefault(metric.key, []).append([metric.step, metric.value])
        run["tags"] |= {t.key: t.value for t in tags}
        self._keep()

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        return [Metric(key, value, 0, step) for step, value in self.all[run_id]["metrics"].get(key, [])]

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str = "") -> None:
        place = self._artifacts(run_id) / artifact_path
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(local_path, place)

    def list_artifacts(self, run_id: str, path: str = "") -> list[Found]:
        root = self._artifacts(run_id)
        return [Found(path=str(p.relative_to(root))) for p in sorted((root / path).iterdir())]

    def _artifacts(self, run_id: str) -> Path:
        return Path(urlparse(self.all["places"][self.all[run_id]["of"]]).path) / run_id

    def update_run(self, run_id: str, status: str) -> None:
        self.all[run_id]["status"] = status
        self._keep()

    def set_terminated(self, run_id: str) -> None:
        self.update_run(run_id, "FINISHED")
