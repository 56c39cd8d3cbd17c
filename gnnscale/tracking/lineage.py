"""Which tables a run has read, at which version: inputs of the run, as MLflow shows them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from typing import Final

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from gnnscale.lake import Lake
from gnnscale.schema import mask_text

log = logging.getLogger(__name__)

TRIES: Final = 4
"""To record tables that other runs record, too."""

DELTA: Final = "delta_table"
"""What MLflow calls such a source; its own class for it loads PySpark."""


def log_tables(run_id: str, lake: Lake, tables: Iterable[str], context: str) -> None:
    """Record tables as inputs of a run; those that are there already, or not in the lake, are left out.

    Args:
        run_id: of the run.
        lake: holds the tables.
        tables: their names.
        context: what they were read for, such as ``train``.
    """
    client = mlflow.MlflowClient()
    given = client.get_run(run_id).inputs
    known = {(i.dataset.name, i.dataset.digest) for i in given.dataset_inputs} if given else set()
    inputs = []
    for name in tables:
        if not lake.exists(name):
            continue
        version = lake.version(name)
        if (name, str(version)) in known:
            continue
        source = {"path": mask_text(lake.table_uri(name)), "delta_table_version": version}
        # The digest is the version: what a table holds at one never changes.
        dataset = Dataset(name, str(version), DELTA, json.dumps(source))
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    if not inputs:
        return
    for left in reversed(range(TRIES)):
        try:
            client.log_inputs(run_id, inputs)
        except MlflowException as error:
            # Another run has recorded the same table in this moment, and then it is there; a record ends no run.
            if left:
                time.sleep(0.2)
            else:
                log.warning("which tables the run has read is not recorded: %s", str(error).partition("\n")[0][:200])
        else:
            return
