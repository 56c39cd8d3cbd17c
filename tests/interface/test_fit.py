"""From frames to predictions, in a Spark session and a Ray that were there before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import ray

import gnnscale as gs
from gnnscale.etl.spark.session import open_session
from gnnscale.interface.graph_query import override_words
from gnnscale.schema import ConfigError, DataError, LakeError
from tests.conftest import spark_settings
from tests.interface.shop_frames import COUNTING, OVERRIDES, RANKING, SETTINGS, shop_frames

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Fitted:
    """What one fit left, and how it found and left the session."""

    query: gs.Query
    model: gs.Model
    lake: Path
    frames: dict[str, pd.DataFrame]
    before: dict[str, str]
    after: dict[str, str]
    same_session: bool
    handlers: tuple[list[Any], list[Any]]
    stores: tuple[str, str]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fitted]:
    folder = tmp_path_factory.mktemp("fit")
    frames = shop_frames(folder)
    session = open_session(spark_settings(), "gnnscale tests")
    session.conf.set("spark.sql.shuffle.partitions", "3")
    session.read.parquet(str(folder / "raw" / "purchases.parquet")).createOrReplaceTempView("bought")
    # Its own, whatever another test beside has started on this host.
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        products = folder / "products.parquet"
        frames["products"].to_parquet(products)
        tables = {"customers": frames["customers"], "products": str(products), "purchases": "bought"}
        graph = gs.Graph.from_tables(tables, settings=SETTINGS)
        query = graph.query(RANKING, name="next_week")
        store = mlflow.get_tracking_uri()
        before, handlers = dict(session.conf.getAll), list(logging.getLogger("gnnscale").handlers)
        model = query.fit(folder / "lake", mode="fast", overrides=OVERRIDES)
        active = type(session).getActiveSession()
        assert active is not None
        yield Fitted(
            query,
            model,
            folder / "lake",
            frames,
            before,
            dict(session.conf.getAll),
            active._jsparkSession.equals(session._jsparkSession),
            (handlers, list(logging.getLogger("gnnscale").handlers)),
            (store, mlflow.get_tracking_uri()),
        )
    finally:
        session.conf.set("spark.sql.shuffle.partitions", "2")
        ray.shutdown()


def ranked(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["entity", "rank"])[["entity", "target", "rank"]].reset_index(drop=True)


def test_spark_and_ray_and_logging_are_left_as_they_were_found(fitted: Fitted) -> None:
    assert fitted.same_session and fitted.before == fitted.after
    session = open_session(spark_settings())
    assert session.sql("SELECT count(*) FROM bought").first()[0] == len(fitted.frames["purchases"])
    assert ray.is_initialized() and ray.get(ray.put(1)) == 1
    assert fitted.handlers[0] == fitted.handlers[1] and fitted.stores[0] == fitted.stores[1]


def test_predictions_of_everybody_are_those_of_the_table(fitted: Fitted) -> None:
    expected = gs.Lake(fitted.lake).read("predictions_next_week").to_pandas()
    found = fitted.model.predict()
    assert list(found) == list(expected) and len(found)
    pd.testing.assert_frame_equal(ranked(found), ranked(expected), check_dtype=False)
    assert found["anchor_time"].unique().tolist() == expected["anchor_time"].unique().tolist()


def test_k_and_entities_choose_of_the_same_lists(fitted: Fitted) -> None:
    every = fitted.model.predict()
    some = fitted.model.predict(["c002", "c001"], k=3)
    assert some["entity"].tolist() == ["c002"] * 3 + ["c001"] * 3
    wanted = every[every["entity"].isin(["c001", "c002"]) & (every["rank"] <= 3)]
    pd.testing.assert_frame_equal(ranked(some), ranked(wanted))
    for one in ("c002", pa.scalar("c002"), np.array(["c002"]), pa.array(["c002"]), [pa.scalar("c002")]):
        pd.testing.assert_frame_equal(fitted.model.predict(one, k=3), some[:3])


def test_an_anchor_is_another_time_to_know_of(fitted: Fitted) -> None:
    early = fitted.model.predict(["c001"], as_of="2024-01-20")
    assert early["anchor_time"].unique().tolist() == [pd.Timestamp("2024-01-20", tz="UTC")]
    same = fitted.model.predict(["c001"], as_of=pd.Timestamp("2024-01-20T01:00:00+01:00").to_pydatetime())
    pd.testing.assert_frame_equal(early, same)
    pd.testing.assert_frame_equal(early, fitted.model.predict(["c001"], as_of=1_705_708_800))
    assert early["score"].tolist() != fitted.model.predict(["c001"])["score"].tolist()


def test_what_an_answer_can_not_know_is_told(fitted: Fitted, caplog: pytest.LogCaptureFixture) -> None:
    def told(*given: Any, **more: Any) -> list[str]:
        caplog.clear()
        fitted.model.predict(*given, **more)
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert told(["c001"]) == [] and told() == []
    (late,) = told(["c001"], as_of="2025-01-01")
    assert late.startswith("as_of is ") and "what has happened since is not known" in late


def test_features_are_of_the_examples_that_the_model_was_trained_on(fitted: Fitted) -> None:
    lake = gs.Lake(fitted.lake)
    before = lake.version("labels_next_week")
    found = fitted.query.features(fitted.lake, overrides={"spark.shuffle_partitions": 2})
    labels = lake.read("labels_next_week").to_pandas()
    assert lake.version("labels_next_week") == before
    asked = set(zip(labels["entity"], labels["anchor_time"], strict=True))
    rows = found.filter(pa.compute.not_equal(found["split"], "predict"))
    assert set(zip(rows["entity"].to_pylist(), rows["anchor_time"].to_pylist(), strict=True)) == asked


def test_a_model_is_loaded_from_its_lake(fitted: Fitted) -> None:
    loaded = gs.load_model(fitted.lake, fitted.query.name)
    pd.testing.assert_frame_equal(loaded.predict(["c003"]), fitted.model.predict(["c003"]))
    assert dict(loaded.metrics) == dict(fitted.model.metrics) and loaded.query == RANKING
    with pytest.raises(LakeError, match="holds no model of query 'other'"):
        gs.load_model(fitted.lake, "other")


def test_figures_stand_beside_those_of_the_baselines(fitted: Fitted) -> None:
    metrics = fitted.model.metrics
    record = gs.Lake(fitted.lake).read_record("evaluation_next_week")
    assert record is not None
    of_all = {row["method"]: row for row in record["rows"] if row["among"] == "all"}
    assert next(iter(metrics)) == "model" and set(metrics) == set(of_all)
    assert metrics["model"]["map@5"] == of_all["model"]["map@5"]
    best = metrics.best_baseline
    assert best is not None and metrics[best]["map@5"] == max(
        row["map@5"] for name, row in of_all.items() if name not in ("model", "network", "tower")
    )
    assert "map@5" in repr(metrics) and "popularity" in metrics._repr_html_()
    page = Path(fitted.model.report)
    assert page.is_file() and "srcdoc" in fitted.model.report._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"entities": ["nobody"]}, DataError, "'nobody' is no customer_id of 'customers'"),
        ({"entities": ["x", "c001", "y"]}, DataError, "'x', 'y' are none of the keys customer_id of 'customers'"),
        ({"entities": "nobody"}, DataError, "'nobody' is no customer_id of 'customers'"),
        ({"entities": [7]}, DataError, "^7 is no customer_id of 'customers'$"),
        ({"as_of": "2000-01-01"}, ConfigError, "nothing is known before 20"),
        ({"k": 0}, ConfigError, "k=0"),
        ({"as_of": "soon"}, ConfigError, "as_of is 'soon'"),
    ],
)
def test_what_can_not_be_answered_is_an_error(
    fitted: Fitted, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        fitted.model.predict(**arguments)


def test_a_second_fit_does_nothing_again(fitted: Fitted, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gnnscale"):
        fitted.query.fit(fitted.lake, mode="fast", overrides=override_words(OVERRIDES))
    messages = [record.getMessage() for record in caplog.records if record.name.endswith("stages.stage")]
    assert len(messages) == 6 and all("nothing has changed" in line for line in messages)


def test_faults_of_the_configuration_are_told_before_anything_runs(fitted: Fitted, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown configuration key 'training\.epoch'"):
        fitted.query.fit(tmp_path / "lake", overrides={"training.epoch": 2})
    with pytest.raises(ConfigError, match="unknown run mode 'fats'"):
        fitted.query.fit(tmp_path / "lake", mode="fats")


def test_examples_of_ones_own_stand_instead_of_those_of_the_query(fitted: Fitted, caplog: Any) -> None:
    # Where there is no Ray, one worker needs none.
    ray.shutdown()
    labels = gs.Lake(fitted.lake).read("labels_next_week").to_pandas()
    ids = gs.Lake(fitted.lake).read("ids_customers").to_pandas().set_index("node_id")["key"]
    counts = labels["targets"].map(len).astype(float)
    own = pd.DataFrame(
        {
            "customer_id": ids.loc[labels["entity"]].to_numpy(),
            "anchor_time": pd.to_datetime(labels["anchor_time"], unit="s"),
            "target": counts.to_numpy(),
        }
    )
    unknown = own[:3].assign(customer_id="nobody")
    frames = fitted.frames
    products = str(fitted.lake.parent / "products.parquet")
    tables = {"customers": frames["customers"], "products": products, "purchases": "bought"}
    query = gs.Graph.from_tables(tables, settings=SETTINGS).query(COUNTING, name="own")
    with caplog.at_level(logging.WARNING, logger="gnnscale"):
        model = query.fit(fitted.lake, mode="fast", overrides=OVERRIDES, examples=pd.concat([own, unknown]))
    assert any("3 of" in r.getMessage() and "name no customer_id" in r.getMessage() for r in caplog.records)
    written = gs.Lake(fitted.lake).read("labels_own").to_pandas()
    merged = written.merge(labels, on=["entity", "anchor_time"], suffixes=("", "_query"))
    assert len(merged) == len(written) == len(labels)
    assert (merged["target"] == merged["targets"].map(len)).all() and (merged["split"] == merged["split_query"]).all()
    answers = model.predict(["c001", "c002"])
    assert list(answers) == ["entity", "value", "anchor_time"] and len(answers) == 2
    with pytest.raises(ConfigError, match="k is for rankings and classes"):
        model.predict(["c001"], k=2)


def test_own_rankings_are_learned_from_shards_by_this_process_alone(fitted: Fitted) -> None:
    ray.shutdown()
    lake = gs.Lake(fitted.lake)
    labels = lake.read("labels_next_week").to_pandas()
    customers, products = (
        lake.read(f"ids_{t}").to_pandas().set_index("node_id")["key"] for t in ("customers", "products")
    )
    # Half of what came true, so that these are not the query's own.
    targets = [products.loc[np.sort(found)[::2]].tolist() for found in labels["targets"]]
    own = pd.DataFrame(
        {
            "customer_id": customers.loc[labels["entity"]].to_numpy(),
            "anchor_time": pd.to_datetime(labels["anchor_time"], unit="s"),
            "targets": targets,
        }
    )
    tables = {**fitted.frames, "products": str(fitted.lake.parent / "products.parquet"), "purchases": "bought"}
    query = gs.Graph.from_tables(tables, settings=SETTINGS).query(RANKING, name="half")
    overrides = OVERRIDES | {"model.network": "blocks", "training.source": "shards"}
    model = query.fit(fitted.lake, mode="fast", overrides=overrides, examples=own)
    assert not ray.is_initialized()
    shards = lake.read("shards_half")
    examples = dict(zip(zip(labels["entity"], labels["anchor_time"], strict=True), targets, strict=True))
    assert len(shards) == len(examples) == len(own)
    for row in shards.select(["entity", "anchor_time", "targets"]).to_pylist():
        assert sorted(products.loc[row["targets"]]) == sorted(examples[row["entity"], row["anchor_time"]])
    # Of products, whose tags are lists, every column is there.
    reached = {name.rpartition("__")[2] for name in shards.column_names if "__" in name}
    assert {"nodes", "times", "num", "cat", "lists"} <= reached
    answers = model.predict(["c001", "c002"], k=4)
    assert answers["entity"].tolist() == ["c001"] * 4 + ["c002"] * 4
    written = lake.read("predictions_half").to_pandas()
    wanted = written[written["entity"].isin(["c001", "c002"]) & (written["rank"] <= 4)]
    pd.testing.assert_frame_equal(ranked(answers), ranked(wanted))
    assert model.metrics["model"]["map@5"] >= 0
