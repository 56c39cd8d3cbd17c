"""Two MLflow runs side by side: what they were told, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from gnnscale.lake import Lake
from gnnscale.schema import ConfigError, LakeError, nearest
from gnnscale.tracking.lake_store import DATABASE, open_lake_store
from gnnscale.tracking.runs import quiet

SHORTEST: Final = 6
"""Characters of a run's id that may stand for it."""

MOST_RUNS: Final = 1000
"""Runs that are looked through for one, the newest first."""


BESIDE: Final = re.compile(r"^system/|_difference$|/(entities|examples)$|(loader_wait|per_second|peak_memory_gb)$")
"""Metrics of the machine, and what stands beside others: differences to baselines, counts, speeds."""

OF_THE_MODEL: Final = ("lake", "blend")
"""Parameters that MLflow makes of a logged model's configuration."""


@dataclass(frozen=True)
class RunRow:
    """One line of a comparison.

    Args:
        kind: ``run``, ``setting``, ``table`` or ``metric``.
        name: of the setting, of the table whose version was read, or of the metric.
        first, second: values of the two runs; None where a run has none.
    """

    kind: str
    name: str
    first: Any
    second: Any

    @property
    def difference(self) -> float | None:
        """Of two figures, the second less the first; None of anything else."""
        if self.kind != "metric" or self.first is None or self.second is None:
            return None
        return float(self.second) - float(self.first)


def run_store(lake: str | Path | None, uri: str | None = None) -> str:
    """The MLflow store that is meant.

    Args:
        lake: a local lake, whose store is in its folder.
        uri: of another store; goes before the lake.

    Raises:
        ConfigError: neither is given, or the lake is in an object store and keeps no runs.
        LakeError: no run was ever tracked in the lake.
    """
    if uri:
        return uri
    if lake is None:
        raise ConfigError("name the lake, or the MLflow store, that holds the runs")
    home = Lake(str(lake))
    if not home.local:
        raise ConfigError(f"runs of lake {home.uri} are in a store of their own: name that")
    if not (Path(home.uri) / DATABASE).exists():
        raise LakeError(f"lake {home.uri} has tracked no runs")
    return open_lake_store(Path(home.uri))


def list_runs(store: str, most: int = 20) -> list[MlflowRun]:
    """Runs of a store, the newest first; those that are nested in others left out.

    Args:
        store: URI of the MLflow store.
        most: how many.
    """
    return [run for run in _all_runs(store) if "mlflow.parentRunId" not in run.data.tags][:most]


def compare_runs(store: str, first: str, second: str, everything: bool = False) -> list[RunRow]:
    """Two runs side by side: settings and versions of tables that differ, and the metrics that both have.

    Args:
        store: URI of the MLflow store.
        first, second: ids of runs, or beginnings of them of at least six characters.
        everything: also settings that are the same, metrics that one of the runs has alone, those of the machine, and
            differences to baselines, counts and speeds.

    Raises:
        ConfigError: there is no such run, or several begin so.
    """
    runs = _all_runs(store)
    a, b = _find(runs, first), _find(runs, second)
    rows = [
        RunRow("run", "name", a.info.run_name, b.info.run_name),
        RunRow("run", "status", a.info.status, b.info.status),
        RunRow("run", "seconds", _seconds(a), _seconds(b)),
    ]
    for kind, x, y in (("setting", _settings(a), _settings(b)), ("table", _tables(a), _tables(b))):
        names = [name for name in sorted({*x, *y}) if everything or x.get(name) != y.get(name)]
        rows += [RunRow(kind, name, x.get(name), y.get(name)) for name in names]
    figures, others = a.data.metrics, b.data.metrics
    names = sorted({*figures, *others} if everything else {*figures} & {*others})
    if not everything:
        names = sorted((name for name in names if not BESIDE.search(name)), key=_place)
    rows += [RunRow("metric", name, figures.get(name), others.get(name)) for name in names]
    return rows


def _place(name: str) -> tuple[int, str]:
    """The model's own metrics first, then those of validation, then those of what it was held against."""
    return (0 if name.startswith("model/") else 1 if name.startswith("validation_") else 2), name


def _all_runs(store: str) -> list[MlflowRun]:
    quiet()
    client = mlflow.MlflowClient(tracking_uri=store)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    try:
        return list(client.search_runs(experiments, order_by=["attributes.start_time DESC"], max_results=MOST_RUNS))
    except MlflowException as error:
        raise ConfigError(f"runs of {store} can't be read: {error}") from None


def _find(runs: list[MlflowRun], given: str) -> MlflowRun:
    found = [run for run in runs if run.info.run_id == given]
    if not found and len(given) >= SHORTEST:
        found = [run for run in runs if run.info.run_id.startswith(given)]
    if len(found) > 1:
        raise ConfigError(f"several runs begin with '{given}': {', '.join(run.info.run_id for run in found)}")
    if not found:
        raise ConfigError(f"no run '{given}'.{nearest(given, [run.info.run_id for run in runs])}")
    return found[0]


def _settings(run: MlflowRun) -> dict[str, str]:
    """Parameters of a run, without those that MLflow adds of a logged model: paths, and what a model is kept with."""
    return {name: value for name, value in run.data.params.items() if "/" not in name and name not in OF_THE_MODEL}


def _tables(run: MlflowRun) -> dict[str, str]:
    """Versions of the tables that a run read, by name."""
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    return {given.dataset.name: given.dataset.digest for given in inputs if given.dataset}


def _seconds(run: MlflowRun) -> int | None:
    if run.info.end_time is None:
        return None
    return round((run.info.end_time - run.info.start_time) / 1000)
