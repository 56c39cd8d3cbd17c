"""One Spark session and one small lake for the whole test session.

What they take is imported where it is used: the tests of the GPU run on hosts that have none of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# As the command line has it: threads of torch that spin would keep the workers of this session off the cores.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import torch

if not torch.cuda.is_available():
    # Read when triton is imported, which more than the tests of the GPU may do.
    os.environ.setdefault("TRITON_INTERPRET", "1")

if find_spec("hypothesis"):
    from hypothesis import settings as properties

    # The first example may compile a kernel, and a core may be busy: no test judges by time.
    properties.register_profile("untimed", deadline=None)
    properties.load_profile("untimed")

from gnnscale.pipeline.environment import VARIABLES

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

    from gnnscale.batches import BatchBuilder
    from gnnscale.config import Settings, SparkSettings
    from gnnscale.lake import Lake
    from gnnscale.query import PredictiveQuery
    from gnnscale.query.anchors import AnchorPlan
    from gnnscale.schema import GraphManifest
    from gnnscale.store import GraphStore
    from tests.cluster import Cluster

    SPARK: SparkSettings


@cache
def spark_settings() -> SparkSettings:
    """What all tests share a session with; also ``SPARK``."""
    from gnnscale.config import SparkSettings
    from tests.shop import SPARK_SECTION

    return SparkSettings(**SPARK_SECTION)


def __getattr__(name: str) -> Any:
    if name == "SPARK":
        return spark_settings()
    raise AttributeError(f"module 'tests.conftest' has no attribute '{name}'")


if find_spec("pyspark"):
    from tests.java_archive import java_options

    # Read when Spark starts its JVM.
    os.environ.setdefault("SPARK_SUBMIT_OPTS", java_options())

# As the command line has them; tests that start Ray Train without would wait two seconds again and again.
for name in (
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER",
    "RAY_prestart_worker_first_driver",
):
    os.environ.setdefault(name, VARIABLES[name])


SPARK_FIXTURES = {"spark", "shop", "cluster", "journey_lake", "busy_shop"}
"""What starts a session, or asks for what another test's session made; a module may open one by itself."""


LONGEST = (
    "pipeline/test_queries.py",
    "pipeline/test_complete_journey.py",
    "query_labels/test_labels.py",
    "pipeline/test_cluster.py",
    "docs/test_examples.py",
    "pipeline/test_workers.py",
    "faults/test_faults.py",
    "docs/test_commands.py",
    "pipeline/test_jobs.py",
    "etl/test_checks.py",
)
"""Files that take more than a minute, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: idle workers would wait for one that came last. What needs Spark is marked so."""
    for item in items:
        own = hasattr(getattr(item, "module", None), "open_session")
        if own or SPARK_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("spark")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Path(__file__).parent
    order = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (order.get(item.path, len(order)), item.path not in slow))


@dataclass(frozen=True)
class Shop:
    """The shop as the graph and label stages left it."""

    content: dict[str, Any]
    settings: Settings
    lake: Lake
    manifest: GraphManifest
    query: PredictiveQuery
    plan: AnchorPlan
    raw: dict[str, pd.DataFrame]
    label_counts: dict[str, int]

    def nodes(self, table: str) -> pd.DataFrame:
        """``nodes_<table>`` in order of node id."""
        return self.lake.read(f"nodes_{table}").to_pandas().sort_values("node_id").reset_index(drop=True)

    def ids(self, table: str) -> dict[Any, int]:
        """Key -> node id."""
        ids = self.lake.read(f"ids_{table}").to_pydict()
        return dict(zip(ids["key"], ids["node_id"], strict=True))


@pytest.fixture
def spark() -> SparkSession:
    """The session; started again where a test of a whole run has stopped it."""
    from gnnscale.etl.spark.session import open_session

    return open_session(spark_settings(), "gnnscale tests")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A standalone Spark master with two workers of one core each; up until all tests have ended."""
    from tests.cluster import spark_cluster

    with spark_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shop_content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The shop's recipe, its raw tables written; don't change it, and don't write to its lake."""
    from tests.built_once import built_once
    from tests.shop import make_shop

    def build(folder: Path) -> None:
        folder.mkdir()
        (folder / "content.json").write_text(json.dumps(make_shop(folder)))

    return json.loads((built_once(tmp_path_factory, "shop", build) / "content.json").read_text())


@pytest.fixture(scope="session")
def shop(shop_content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop's graph and labels, built once a session by the real stages; only who builds them starts Spark."""
    from gnnscale.config import bind_query, build_settings, plan_query_anchors
    from gnnscale.lake import Lake
    from gnnscale.schema import MANIFEST_NAME, GraphManifest
    from tests.built_once import built_once
    from tests.shop import shop_tables

    settings = build_settings(shop_content)
    lake = Lake(settings.lake.uri)

    def build(folder: Path) -> None:
        from gnnscale.etl.graph.graph_stage import build_graph
        from gnnscale.etl.labels.label_stage import build_labels
        from gnnscale.etl.spark.session import open_session

        session = open_session(spark_settings(), "gnnscale tests")
        counts = build_labels(session, lake, settings, build_graph(session, lake, settings))
        folder.mkdir()
        (folder / "labels.json").write_text(json.dumps(counts))

    counts = json.loads((built_once(tmp_path_factory, "shop_labels", build) / "labels.json").read_text())
    manifest = GraphManifest.from_dict(lake.read_record(MANIFEST_NAME))
    query = bind_query(settings, manifest)
    plan = plan_query_anchors(settings, query, manifest.time_ranges, manifest.rows)
    return Shop(shop_content, settings, lake, manifest, query, plan, shop_tables(shop_content), counts)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's file of a lake that has tracked nothing; making one takes seconds."""
    from gnnscale.tracking.lake_store import DATABASE, open_lake_store
    from tests.built_once import built_once

    def build(folder: Path) -> None:
        open_lake_store(folder)

    return built_once(tmp_path_factory, "mlflow", build) / DATABASE


@pytest.fixture
def tracked(empty_store: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder whose lake has such a file; MLflow goes on with the store that it had."""
    import mlflow

    before = mlflow.get_tracking_uri()
    shutil.copy(empty_store, tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="session")
def store(shop: Shop) -> GraphStore:
    """The shop's graph in memory."""
    from gnnscale.store import GraphStore

    return GraphStore.open(shop.lake)


@pytest.fixture(scope="session")
def builder(shop: Shop, store: GraphStore) -> BatchBuilder:
    """Batches of the shop's query."""
    from gnnscale.batches import BatchBuilder

    settings = shop.settings
    return BatchBuilder(store, shop.query, settings.sampling, settings.model.group_columns, settings.seed)
