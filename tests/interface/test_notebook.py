"""The whole way in a fresh Jupyter kernel: Spark and Ray start and stop, bars are drawn, the report is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

CELLS = (
    """
from pathlib import Path
import gnnscale as gs
from tests.interface.shop_frames import COUNTING, OVERRIDES, SETTINGS, shop_frames
folder = Path({folder!r})
graph = gs.Graph.from_tables(shop_frames(folder), settings=SETTINGS)
graph
""",
    "query = graph.query(COUNTING, name='visits'); query.task_type",
    # One worker would need no Ray.
    "model = query.fit(folder / 'lake', mode='fast', overrides=OVERRIDES | {'training.workers': 2})",
    "model.metrics",
    "model.report",
    "model.predict(['c001', 'c002'])",
    """
import ray
from pyspark import SparkContext
print(ray.is_initialized(), SparkContext._active_spark_context)
""",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each cell has shown."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(source.replace("{folder!r}", repr(str(folder)))) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": ROOT}}).execute()
    return [cell.outputs for cell in notebook.cells]


def pages(shown: list[Any]) -> list[str]:
    """HTML of a cell, as it stands at the end."""
    return ["".join(part["data"]["text/html"]) for part in shown if "text/html" in part.get("data", {})]


def text(shown: list[Any]) -> str:
    return "".join(part["text"] for part in shown if part["output_type"] == "stream" and part["name"] == "stdout")


def test_the_graph_is_shown_as_tables(outputs: list[list[Any]]) -> None:
    (page,) = pages(outputs[0])
    assert page.count("<table>") == 3 and "primary key, by name" in page


def test_bars_are_drawn_to_their_end_below_the_cell(outputs: list[list[Any]]) -> None:
    bars = [page for page in pages(outputs[2]) if "<progress" in page]
    assert [name for name in ("train", "predict") if any(f"> {name}: " in bar for bar in bars)] == ["train", "predict"]
    for bar in bars:
        done, total = (bar.split(f'{part}="')[1].split('"')[0] for part in ("value", "max"))
        assert done == total != "0"


def test_log_lines_are_no_faults(outputs: list[list[Any]]) -> None:
    shown = text(outputs[2])
    assert all(f"{stage} " in shown for stage in ("graph", "labels", "train", "predict", "evaluate"))


def test_figures_report_and_answers_are_shown(outputs: list[list[Any]]) -> None:
    assert "<td>model</td>" in pages(outputs[3])[0]
    assert "<iframe srcdoc=" in pages(outputs[4])[0]
    assert "c001" in pages(outputs[5])[0]


def test_spark_and_ray_that_were_started_are_stopped(outputs: list[list[Any]]) -> None:
    assert text(outputs[6]).strip() == "False None"
