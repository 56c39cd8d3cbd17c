"""``mlflow models serve`` answers over HTTP with the rows of the predictions table."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from gnnscale.inference import log_model
from gnnscale.retrieval.registered_ranking import RankingModel
from gnnscale.tracking import kept_store
from gnnscale.tracking.lake_store import DATABASE, open_lake_store
from tests.cluster import ROOT
from tests.conftest import Shop
from tests.embedded_shop import copy_shop, fill_predictions

HOST = "127.0.0.1"


@contextmanager
def served(model: str, store: str, log: Path) -> Iterator[str]:
    """MLflow's own server of a model, in a process that finds no Java; yields its address."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "-m", model, "--env-manager", "local", "-h", HOST, "-p", str(port), "-w", "1"]
    tools = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"}
    environment |= {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT), "PATH": tools}
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words], stdout=sink, stderr=sink, env=environment, start_new_session=True
        )
    try:
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://{HOST}:{port}/ping", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()[-5000:]
                time.sleep(0.2)
        yield f"http://{HOST}:{port}"
    finally:
        # Its workers are of its group.
        os.killpg(process.pid, 9)
        process.wait()


def ask(address: str, entities: list[str]) -> tuple[int, Any]:
    """Status and content of the answer for entities."""
    content = {"dataframe_split": {"columns": ["entity"], "data": [[entity] for entity in entities]}}
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_answers_as_the_predictions_table_does(shop: Shop, empty_store: Path, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    fill_predictions(shop, settings, lake)
    shutil.copy(empty_store, Path(lake.uri) / DATABASE)
    uri = open_lake_store(Path(lake.uri))
    with kept_store():
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run() as run:
            pass
        model = log_model(run.info.run_id, settings, lake, RankingModel()).uri
    expected = lake.read("predictions_next_week").to_pandas().sort_values(["entity", "rank"], ignore_index=True)
    asked = expected["entity"].unique().tolist()
    assert len(asked) > 20
    with served(model, uri, tmp_path / "server.log") as address:
        status, answer = ask(address, asked)
        unknown = ask(address, [asked[0], "nobody at all"])
    assert status == 200
    found = pd.DataFrame(answer["predictions"])
    same = ["entity", "target", "rank"]
    pd.testing.assert_frame_equal(found[same], expected[same], check_dtype=False)
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4, atol=1e-5)
    assert set(pd.to_datetime(found["anchor_time"], utc=True)) == set(expected["anchor_time"])
    assert unknown[0] >= 400 and "'nobody at all' is no customer_id of 'customers'" in json.dumps(unknown[1])
