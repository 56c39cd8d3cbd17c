"""Values that are near each other are told apart, what is no number is missing and told, and names of columns clash
with none of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from gnnscale.config import MOST_SECONDS, Settings, anchor_fault, bind_query, build_settings, plan_query_anchors
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.condition_columns import columns_of, condition_column, read_rows
from gnnscale.etl.labels.label_stage import build_labels
from gnnscale.etl.spark.session import open_session
from gnnscale.inference import query_population, read_keys
from gnnscale.lake import Lake
from gnnscale.query import epoch_seconds, show_time
from gnnscale.retrieval.filters.target_conditions import TargetCondition, read_mask
from gnnscale.schema import DataError, GraphManifest
from gnnscale.store import GraphStore
from tests.conftest import SPARK

BIG = 1_234_567_890_123_456_704
START = datetime(2024, 1, 1, tzinfo=UTC)
COUNT = "PREDICT COUNT(events.* WHERE {}, 0, 7, days) FOR EACH users.user_id"


@dataclass(frozen=True)
class Built:
    """Twelve users, whose keys are neighbors of 19 digits, and 240 events."""

    content: dict[str, Any]
    lake: Lake
    manifest: GraphManifest
    said: str

    def labels(self, text: str) -> pd.DataFrame:
        """Labels of a query."""
        settings = self.settings(text)
        build_labels(open_session(SPARK, "gnnscale tests"), self.lake, settings, self.manifest)
        return self.lake.read("labels_q").to_pandas()

    def count(self, conditions: Iterable[str]) -> dict[str, int]:
        """Events that each condition lets through."""
        session, bound = open_session(SPARK, "gnnscale tests"), {}
        for condition in conditions:
            query = bind_query(self.settings(COUNT.format(condition)), self.manifest)
            bound[condition] = query.aggregate.where
        wanted = [column for where in bound.values() for column in columns_of(where)]
        rows, values = read_rows(session, self.lake, query.graph, "events", {"node_id": "row"}, wanted)
        sums = [F.count(F.when(condition_column(where, values), True)) for where in bound.values()]
        found = rows.agg(*sums).first()
        return dict(zip(bound, found, strict=True))

    def settings(self, text: str) -> Settings:
        return build_settings(self.content | {"query": {"name": "q", "text": text}})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("exact")
    rng = np.random.default_rng(0)
    near = BIG + np.arange(240) % 16
    users = {
        "user_id": pa.array(BIG + np.arange(12)),
        "Node_ID": pa.array(range(12)),
        "price": pa.array(np.float32([0.1, 0.5, 0.7, np.nan] * 3)),
        "code": pa.array([BIG + i for i in range(12)], pa.decimal128(38, 0)),
    }
    amounts = rng.random(240)
    amounts[:3] = [np.inf, -np.inf, np.nan]
    events = {
        "user_id": pa.array(BIG + rng.integers(0, 12, 240)),
        "at": pa.array([START + timedelta(days=i / 4) for i in range(240)]),
        "signed": pa.array(near),
        "unsigned": pa.array(near.astype(np.uint64)),
        "long": pa.array([int(n) for n in near], pa.decimal128(38, 0)),
        "short": pa.array(np.float32([0.1, 0.2, 0.3, 0.4] * 60)),
        "amount": pa.array(amounts),
        "raw_amount": pa.array(np.arange(240.0)),
        "num_amount": pa.array(np.arange(240.0)),
        "huge": pa.array([1.0] * 100 + [1e300] + [1.0] * 139),
        "_Time": pa.array([f"t{i % 3}" for i in range(240)]),
        "KEY": pa.array([100 if row == 100 else row // 3 for row in range(240)]),
        "count": pa.array(range(240)),
    }
    # Races since 1950: further apart than seconds of 32 bits tell.
    years = range(1950, 2024)
    laps = {
        "user_id": pa.array([BIG + year % 12 for year in years]),
        "day": pa.array([date(year, 3, 1) for year in years]),
        "tags": pa.array([[("a", 1)]] * len(years), pa.map_(pa.string(), pa.int64())),
    }
    pq.write_table(pa.table(laps), folder / "laps.parquet")
    pq.write_table(pa.table(users), folder / "users.parquet")
    pq.write_table(pa.table(events), folder / "events.parquet")
    content = {
        "recipe": "exact",
        "graph": {"fit_until": "2024-02-15"},
        "lake": {"uri": str(folder / "lake")},
        "tables": {
            "users": {"source": str(folder / "users.parquet"), "primary_key": "user_id"},
            "events": {"source": str(folder / "events.parquet"), "time_column": "at"},
            "laps": {"source": str(folder / "laps.parquet"), "time_column": "day"},
        },
    }
    settings = build_settings(content | {"query": {"name": "q", "text": COUNT.format("events.short = .1")}})
    lake = Lake(settings.lake.uri)
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("gnnscale").addHandler(listener)
    try:
        manifest = build_graph(open_session(SPARK, "gnnscale tests"), lake, settings)
    finally:
        logging.getLogger("gnnscale").removeHandler(listener)
    return Built(content, lake, manifest, "\n".join(said))


def test_columns_called_like_ours_are_kept_and_features(built: Built) -> None:
    events = built.lake.read("nodes_events").to_pandas()
    assert sorted(events["raw_raw_amount"]) == sorted(events["raw_count"].astype(float)) == list(np.arange(240.0))
    assert events["raw__Time"].value_counts().to_dict() == {"t0": 80, "t1": 80, "t2": 80}
    features = {f.column for f in built.manifest.table("events").features}
    assert {"_Time", "raw_amount", "num_amount", "KEY", "count", "amount"} <= features
    assert {f.column for f in built.manifest.table("users").features} == {"Node_ID", "price", "code"}
    assert built.lake.read("nodes_users").to_pandas()["raw_Node_ID"].nunique() == 12


def test_infinities_count_as_missing_and_are_told(built: Built) -> None:
    events = built.lake.read("nodes_events").to_pandas()
    assert "events.amount: 2 infinities count as missing" in built.said
    assert events["raw_amount"].isna().sum() == 3
    encoded = events[[name for name in events.columns if name.startswith("num_")]]
    assert np.isfinite(encoded.to_numpy()).all()
    # A single giant leaves the others apart from it.
    assert events["num_huge"].nunique() == 2
    labels = built.labels("PREDICT SUM(events.amount, 0, 7, days) FOR EACH users.user_id")
    assert np.isfinite(labels["target"]).all()
    with pytest.raises(DataError, match=r"targets of 'PREDICT SUM\(events\.huge.* are larger than 1e\+30, such as"):
        built.labels("PREDICT SUM(events.huge, 0, 7, days) FOR EACH users.user_id")


def test_conditions_tell_neighbors_apart(built: Built) -> None:
    counts = {}
    for column in ("signed", "unsigned", "long"):
        counts |= {
            f"events.{column} = {BIG + 3}": 15,
            f"events.{column} = {float(BIG)}": 15 * (float(BIG) == BIG),
            f"events.{column} IN ({BIG + 3}, 5)": 15,
            f"events.{column} NOT IN ({BIG + 3}, {BIG + 4})": 210,
            f"events.{column} < {BIG + 1}": 15,
            f"events.{column} <= {BIG + 1}": 30,
            f"events.{column} != {BIG + 15}": 225,
            f"events.{column} > {10**37}": 0,
            f"events.{column} > 0.5": 240,
        }
    # Columns of 32 bits hold .1 as the number nearest to it.
    counts |= {"events.short = .1": 60, "events.short IN (.1, 7)": 60, "events.short < .2": 60}
    counts |= {"events.short <= .1": 60, "events.short != .1": 180, "events.short > .3": 60, "events.short > 0": 240}
    assert built.count(counts) == counts


def test_an_entity_of_19_digits_is_found_exactly(built: Built) -> None:
    for key in (BIG, BIG + 1, BIG + 11):
        settings = built.settings(f"PREDICT SUM(events.amount, 0, 7, days) FOR users.user_id = {key}")
        nodes = query_population(built.lake, bind_query(settings, built.manifest), "q")
        assert nodes is not None
        assert read_keys(built.lake, "users").take(pa.array(nodes)).to_pylist() == [key]
    some = (BIG + 3, BIG + 5, BIG + 7)
    labels = built.labels(
        f"PREDICT MIN(events.short, 0, 7, days) = .1 FOR EACH users.user_id WHERE users.code IN {some}"
    )
    assert {read_keys(built.lake, "users")[int(n)].as_py() for n in labels["entity"]} == set(some)
    assert labels["target"].sum() > 0


def test_conditions_on_targets_compare_as_queries_do(built: Built) -> None:
    for condition, targets in (
        (TargetCondition("price", "=", 0.1), 3),
        (TargetCondition("price", "<=", 0.5), 6),
        (TargetCondition("price", "in", (0.1, 0.7)), 6),
        (TargetCondition("code", "=", BIG + 2), 1),
        (TargetCondition("code", "<", BIG + 2), 2),
        (TargetCondition("Node_ID", "<", 2.5), 3),
    ):
        assert read_mask(built.lake, condition, "users").sum() == targets


def test_times_may_be_more_than_68_years_apart(built: Built) -> None:
    first, last = epoch_seconds(datetime(1950, 3, 1)), epoch_seconds(START + timedelta(days=239 / 4))
    origin = built.manifest.origin
    assert built.manifest.time_ranges["laps"] == (first, epoch_seconds(datetime(2023, 3, 1)))
    assert origin == last - MOST_SECONDS + 2 * 366 * 86_400 > first
    laps = built.lake.read("nodes_laps").sort_by("node_id")
    assert f"what is from before {show_time(origin)} counts as of then" in built.said
    assert "tags" in built.said and not any(name.endswith("tags") for name in laps.column_names)
    times = laps["time"].to_numpy()
    assert times.min() == first
    store = GraphStore.open(built.lake)
    assert store.features("laps").times.tolist() == np.maximum(times - origin, 0).tolist()
    (edge_type,) = [e for e in store.manifest.edge_types if e.table_name == "edges_laps_user_id"]
    assert sorted(store.adjacency(edge_type).times) == sorted(np.maximum(times - origin, 0))
    # Labels and windows go by the exact times.
    settings = built.settings("PREDICT COUNT(laps.*, 0, 1500, days) FOR EACH users.user_id")
    anchors = plan_query_anchors(settings, bind_query(settings, built.manifest), built.manifest.time_ranges)
    assert anchors.train[0] > origin
    assert anchor_fault(first, built.manifest.time_ranges).startswith("1950-03-01 00:00:00 is before ")
    assert anchor_fault(last + MOST_SECONDS, built.manifest.time_ranges)
    far = settings.model_copy(update={"anchors": settings.anchors.model_copy(update={"latest": datetime(2400, 1, 1)})})
    query = bind_query(far, built.manifest)
    with pytest.raises(DataError, match=r"latest anchor: 2400-01-01 00:00:00 is over 68 years from the times"):
        plan_query_anchors(far, query, built.manifest.time_ranges)


def test_one_answer_alone_is_told(built: Built, caplog: pytest.LogCaptureFixture) -> None:
    built.labels("PREDICT COUNT(events.*, 0, 7, days) >= 0 FOR EACH users.user_id")
    assert "none of the" in caplog.text and "training examples is false: there is nothing to tell apart" in caplog.text
    caplog.clear()
    built.labels("PREDICT COUNT(events.* WHERE events.KEY = 100, 0, 7, days) > 0 FOR EACH users.user_id")
    assert "training examples is true: too few to learn much from" in caplog.text
