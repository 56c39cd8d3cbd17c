"""The five notebooks, one after the other in a Spark session on the shop's tables, and opened as Jupyter's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import NotebookNode

import gnnscale as gs
from gnnscale.config import bind_query, build_settings, plan_query_anchors
from gnnscale.evaluation import BlendedRankingModel, HoldoutResult, evaluate_holdout
from gnnscale.evaluation.link_holdout import LinkHoldout
from gnnscale.inference import KeptModel
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.champion_gate import result_of
from gnnscale.tracking import kept_store
from gnnscale.tracking.lake_store import open_lake_store
from tests.conftest import spark_settings
from tests.deploy.notebook_files import declared_widgets, installs, read_notebook, run_notebook, widget_faults
from tests.interface.shop_frames import OVERRIDES, shop_frames

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))
OTHER = {"name": "other", "text": "PREDICT COUNT(purchases.*, 0, 7) > 0 FOR EACH customers.customer_id"}
WIDGETS = ("catalog", "schema", "volume", "query")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_short_and_reads_the_widgets_that_it_declares(path: Path) -> None:
    notebook = read_notebook(path)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    assert widget_faults(notebook) == [] and installs(notebook) == ["gnnscale"]
    assert set(WIDGETS) < set(declared_widgets(notebook))
    code = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert len(code) <= 30


def test_a_wrong_widget_is_caught_when_read_and_when_run(tmp_path: Path) -> None:
    path = tmp_path / NOTEBOOKS[0].name
    path.write_text(NOTEBOOKS[0].read_text().replace('widgets.get("volume")', 'widgets.get("volumn")'))
    notebook = read_notebook(path)
    assert widget_faults(notebook) == ["widget volumn is not declared", "widget volume is never read"]
    with pytest.raises(KeyError, match="no widget 'volumn' was declared; there are catalog, schema, volume"):
        run_notebook(notebook, None, {})


@dataclass(frozen=True)
class Run:
    """The notebooks with what their cells have shown, and the lake that they have left."""

    notebooks: dict[str, NotebookNode]
    lake: Path

    def page(self, number: int) -> str:
        """All tables that a notebook has shown."""
        return "\n".join(self.shown(number, "text/html"))

    def shown(self, number: int, kind: str) -> list[str]:
        """What a notebook has shown of a kind."""
        cells = list(self.notebooks.values())[number - 1].cells
        parts = [part.get("data", {}) for cell in cells for part in cell.get("outputs", [])]
        return [data[kind] for data in parts if kind in data]

    def text(self, number: int) -> str:
        """What a notebook has printed."""
        cells = list(self.notebooks.values())[number - 1].cells
        return "".join(part.get("text", "") for cell in cells for part in cell.get("outputs", []))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The notebooks, run in their order."""
    from gnnscale.etl.spark.session import open_session

    folder = tmp_path_factory.mktemp("notebooks")
    session = open_session(spark_settings(), "gnnscale tests")
    session.sql(f"CREATE DATABASE shop_tables LOCATION '{folder / 'warehouse'}'")
    for name, frame in shop_frames(folder).items():
        columns = frame.drop(columns=["note"], errors="ignore")
        columns.to_parquet(folder / f"{name}.parquet", index=False)
        session.read.parquet(str(folder / f"{name}.parquet")).write.saveAsTable(f"shop_tables.{name}")
    given = OVERRIDES | {"tracking.register_as": "main.shop.predictions"}
    values = {
        "catalog": "spark_catalog",
        "schema": "shop_tables",
        "volume": str(folder),
        "settings": " ".join(f"{key}={json.dumps(value)}" for key, value in given.items()),
    }
    try:
        notebooks = {path.stem: run_notebook(read_notebook(path), session, values) for path in NOTEBOOKS}
        yield Run(notebooks, folder / "lake")
    finally:
        session.sql("DROP DATABASE shop_tables CASCADE")


@pytest.mark.slow
@pytest.mark.spark
def test_they_run_and_show_what_they_are_for(ran: Run, tmp_path: Path) -> None:
    for name, notebook in ran.notebooks.items():
        nbformat.validate(notebook)
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        assert nbformat.read(tmp_path / f"{name}.ipynb", as_version=4) == notebook
    assert "purchases" in ran.page(1) and "<td>40</td>" in ran.page(1)
    assert "temporal link prediction" in ran.text(2)
    assert all(f"<td>{split}</td>" in ran.page(2) for split in ("train", "validation", "test"))
    assert "<td>FINISHED</td>" in ran.page(3)
    assert "<th>score</th>" in ran.page(4) and "<td>model</td>" in ran.page(4)
    assert "<td>seed</td>" in ran.page(5) and "<td>metric</td>" in ran.page(5)


@pytest.mark.slow
@pytest.mark.spark
def test_the_run_has_its_stages_tables_signature_and_champion(ran: Run) -> None:
    client = mlflow.MlflowClient(tracking_uri=open_lake_store(ran.lake))
    champion = client.get_model_version_by_alias("main.shop.predictions", "champion")
    run = client.get_run(champion.run_id)
    nested = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    stages = {run.info.run_name for run in nested}
    assert {"graph", "labels", "train", "embed", "retrieve", "evaluate"} <= stages
    read = {given.dataset.name: given.dataset.digest for given in run.inputs.dataset_inputs}
    assert {"nodes_customers", "nodes_products", "labels_question"} < set(read)
    assert all(Lake(ran.lake).version(name) == int(version) for name, version in read.items())
    with kept_store():
        mlflow.set_tracking_uri(open_lake_store(ran.lake))
        model = mlflow.models.get_model_info("models:/main.shop.predictions@champion")
    assert model.signature.inputs.input_names() == ["entity"]
    assert {"entity", "target", "rank", "score", "anchor_time"} <= set(model.signature.outputs.input_names())
    assert model.saved_input_example_info is not None


@pytest.mark.slow
@pytest.mark.spark
def test_a_registered_model_is_asked_on_any_holdout_and_does_there_as_it_did(ran: Run) -> None:
    name, lake = "main.shop.predictions", Lake(ran.lake)
    settings = gs.load_model(ran.lake, "question").settings
    store, query = open_graph(settings, lake)
    plan = plan_query_anchors(settings, query, store.manifest.time_ranges)
    holdout = evaluate_holdout(settings, lake, store, query, plan)
    assert isinstance(holdout, LinkHoldout)
    earlier = replace(holdout, anchors=holdout.anchors - 7 * 86_400)
    with kept_store():
        mlflow.set_tracking_uri(open_lake_store(ran.lake))
        versions = sorted(mlflow.MlflowClient().search_model_versions(f"name='{name}'"), key=lambda v: int(v.version))
        assert versions
        for version in versions:
            found = result_of(f"models:/{name}/{version.version}", holdout, "here", query, settings)
            assert isinstance(found, HoldoutResult)
            assert version.tags["gnnscale.result"] == f"{found.metric.name}={found.value:.6g}"
            before = result_of(f"models:/{name}/{version.version}", earlier, "before", query, settings)
            assert isinstance(before, HoldoutResult) and 0 < before.value != found.value
        kept = KeptModel.read(f"models:/{name}/1", settings.lake)
        nodes, anchors = holdout.asked
        times = [int(anchors[0]) - 7 * 86_400, int(anchors[0])]
        assert set(anchors) == {times[1]}

        def opened(anchor: int | None) -> BlendedRankingModel:
            return BlendedRankingModel().open(kept.settings, kept.weights, anchor, kept.blend)

        # What is read for one anchor is not taken for the other.
        together = opened(None).answers_at(np.tile(nodes, 2), np.repeat(times, len(nodes))).to_pandas()
        apart = pd.concat([opened(time).answer(nodes) for time in times], ignore_index=True)
        pd.testing.assert_frame_equal(together, apart, check_dtype=False)
        other = bind_query(build_settings(settings.model_dump(mode="json") | {"query": OTHER}), store.manifest)
        assert "it answers another question" in str(result_of(f"models:/{name}/1", holdout, "here", other, settings))


WITHOUT_SPARK = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyspark", "py4j"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
import mlflow
import pandas as pd

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
model.predict(pd.read_parquet(sys.argv[3])).to_parquet(sys.argv[4])
"""


@pytest.mark.slow
@pytest.mark.spark
def test_the_model_answers_without_pyspark_and_java_as_the_table_does(ran: Run, tmp_path: Path) -> None:
    table = Lake(ran.lake).read("predictions_question").to_pandas()
    asked = pd.DataFrame({"entity": [*sorted(set(table["entity"]))] * 25})
    assert len(asked) == 1000
    asked.to_parquet(tmp_path / "asked.parquet")
    files = [str(tmp_path / "asked.parquet"), str(tmp_path / "answers.parquet")]
    words = [open_lake_store(ran.lake), "models:/main.shop.predictions@champion", *files]
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-c", WITHOUT_SPARK, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr
    answers = pd.read_parquet(files[1])
    lists = table.sort_values(["entity", "rank"]).groupby("entity")["target"].agg(list)
    size = len(lists.iloc[0])
    assert len(answers) == 1000 * size
    for start in range(0, len(answers), size):
        part = answers.iloc[start : start + size]
        assert part["target"].tolist() == lists[part["entity"].iloc[0]]
