"""Facts without a when arrive part by part: the same parts in Spark and in memory, and nothing else changes."""

import shutil

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from gnnscale.etl.labels.labelled_examples import given_part
from gnnscale.query.anchors import DAY, Split
from gnnscale.query.pseudo_time import PARTS, part_of, plan_pseudo_time
from gnnscale.schema import DataError, EdgeType
from gnnscale.store import ALWAYS, GraphStore
from gnnscale.store.pseudo_time_edges import ArrivalStore, given_parts


def test_spark_and_numpy_put_a_fact_into_the_same_part(spark):
    numbers = np.concatenate([np.arange(2_000), 2**20 + np.arange(100), 10**9 + np.arange(100)])
    frame = spark.createDataFrame([(int(n),) for n in numbers], "number long")
    found = [row[0] for row in frame.select(part_of(F.col("number")).cast("long")).collect()]
    assert found == part_of(numbers).astype(int).tolist()


def test_parts_are_about_equal_and_not_runs_of_neighbors():
    parts = part_of(np.arange(100_000)).astype(int)
    counts = np.bincount(parts, minlength=PARTS)
    assert len(counts) == PARTS and counts.min() > 9_000
    assert (np.diff(parts) == 0).mean() < 0.2


def test_edges_of_the_facts_come_in_order_of_arrival_and_others_always_hold(shop, store):
    view = ArrivalStore(store, "purchases")
    pseudo_time = view.pseudo_time()
    for edge_type in store.edge_types():
        before, after = store.adjacency(edge_type), view.adjacency(edge_type)
        assert (before.indptr == after.indptr).all()
        for node in range(min(40, len(before.degrees))):
            low, high = before.indptr[node], before.indptr[node + 1]
            assert sorted(before.neighbors[low:high]) == sorted(after.neighbors[low:high])
            assert (np.diff(after.times[low:high].astype(np.int64)) >= 0).all()
            if edge_type == EdgeType(shop.query.entity_link, reverse=True):
                assert (after.times[low:high] == pseudo_time[after.neighbors[low:high]]).all()
            elif edge_type.link.table != "purchases":
                assert (after.times[low:high] == ALWAYS).all()


def test_weights_go_along_with_their_edges(shop, store, tmp_path):
    edge_type = EdgeType(shop.query.entity_link, reverse=True)
    shutil.copytree(store.folder, tmp_path / "mapped")
    edges = len(store.adjacency(edge_type).neighbors)
    # Of the fact that an edge leads to, so that every edge can be known by its weight.
    quanta = store.adjacency(edge_type).neighbors.astype(np.uint64) + np.uint64(1)
    cumulative = np.concatenate([np.zeros(1, np.uint64), np.cumsum(quanta)])
    np.save(tmp_path / "mapped" / edge_type.table_name / "cumulative.npy", cumulative)
    view = ArrivalStore(GraphStore(store.manifest, tmp_path / "mapped"), "purchases").adjacency(edge_type)
    assert view.cumulative is not None and view.cumulative.dtype == np.uint64
    assert len(view.cumulative) == edges + 1 and view.cumulative[0] == 0
    assert (np.diff(view.cumulative) == view.neighbors.astype(np.uint64) + np.uint64(1)).all()
    assert not np.array_equal(view.neighbors, store.adjacency(edge_type).neighbors)


def test_every_part_that_is_asked_for_arrives_after_its_anchor_and_the_parts_before_are_known(store):
    plan = plan_pseudo_time(store.manifest.origin)
    pseudo_time = ArrivalStore(store, "purchases").pseudo_time()
    seen = set()
    for anchor in plan.splits():
        start, end = (second - store.manifest.origin for second in plan.horizon.span(anchor))
        inside = np.flatnonzero((pseudo_time > start) & (pseudo_time <= end))
        assert len(inside) > 0 and not seen & set(inside.tolist())
        seen |= set(inside.tolist())
        assert (pseudo_time <= start).sum() > 0
    assert (pseudo_time <= plan.latest - store.manifest.origin).all()
    assert list(plan.splits().values())[-2:] == [Split.VALIDATION, Split.TEST]
    assert plan.latest - plan.test == DAY


def test_a_given_split_comes_in_its_own_parts_and_training_before_them(store):
    events = store.node_count("purchases")
    names = np.array(["train", "train", "validation", "test"])[np.arange(events) % 4]
    parts = given_parts(pa.chunked_array([pa.array(names)]), "purchases")
    assert set(parts[names == "validation"]) == {8} and set(parts[names == "test"]) == {9}
    assert set(parts[names == "train"]) == set(range(8))
    view = ArrivalStore(store, "purchases", pa.chunked_array([pa.array(names)]))
    plan = plan_pseudo_time(store.manifest.origin)
    inside = {}
    for anchor, split in plan.splits().items():
        start, end = (second - store.manifest.origin for second in plan.horizon.span(anchor))
        inside.setdefault(split, []).extend(np.flatnonzero((view.pseudo_time() > start) & (view.pseudo_time() <= end)))
    assert sorted(inside[Split.TEST]) == np.flatnonzero(names == "test").tolist()
    assert sorted(inside[Split.VALIDATION]) == np.flatnonzero(names == "validation").tolist()
    assert set(names[inside[Split.TRAIN]]) == {"train"}
    with pytest.raises(DataError, match="1 rows of 'purchases' are of split 'tset'; allowed are train, validation"):
        given_parts(pa.chunked_array([pa.array(["train", "tset"])]), "purchases")


def test_spark_and_numpy_put_a_given_split_into_the_same_parts(spark):
    names = np.array(["train", "validation", "test", "train", "train"])[np.arange(400) % 5]
    frame = spark.createDataFrame([(int(n), str(name)) for n, name in enumerate(names)], "number long, split string")
    found = [row[0] for row in frame.select(given_part(F.col("split"), F.col("number")).cast("long")).collect()]
    assert found == given_parts(pa.chunked_array([pa.array(names)]), "events").tolist()
