"""Relations of a recipe, from nodes to the graph in memory."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.batches.hops import default_hops
from gnnscale.config import bind_query, build_settings
from gnnscale.config.sections.relations import declared_relations
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.relations.derive_relations import from_later_end, write_relations
from gnnscale.etl.spark.session import open_session
from gnnscale.evaluation.report.graph_figures import edge_figures, relation_figures, table_figures
from gnnscale.lake import Lake
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import DataError, EdgeType, Link, SchemaError
from gnnscale.schema.manifest import MANIFEST_NAME
from gnnscale.store import GraphStore
from tests.conftest import SPARK
from tests.etl.frames import frame_of
from tests.etl.relations.event_table import edges_of
from tests.shop import with_relations

LINKS = {
    "buys": Link("customers", "buys", "products"),
    "with": Link("products", "with", "products"),
    "like": Link("products", "like", "products"),
}


@pytest.fixture(scope="module")
def built(shop, tmp_path_factory):
    """The shop with one relation of each kind: its lake is copied, and the relations are added as the stage does."""
    lake = Lake(str(tmp_path_factory.mktemp("relations") / "lake"))
    shutil.copytree(shop.lake.uri, lake.uri, ignore=shutil.ignore_patterns("_store"))
    settings = build_settings(with_relations(shop.content))
    graph = bind_query(settings, shop.manifest).graph
    timed = {name for name, span in shop.manifest.time_ranges.items() if span}
    session, relations = open_session(SPARK, "gnnscale tests"), declared_relations(settings.relations)
    derived = write_relations(session, lake, graph, relations, timed, shop.manifest.origin)
    manifest = replace(shop.manifest, relations=derived)
    lake.write_record(MANIFEST_NAME, manifest.to_dict())
    return SimpleNamespace(settings=settings, lake=lake, manifest=manifest, graph=graph, store=GraphStore.open(lake))


def rows_in_order(lake: Lake, table: str) -> pd.DataFrame:
    """As the store reads them: file by file."""
    paths = sorted(pa.table(lake.open(table).get_add_actions(flatten=True))["path"].to_pylist())
    return pd.concat([pq.read_table(Path(lake.table_uri(table)) / path).to_pandas() for path in paths])


@pytest.mark.parametrize("name", LINKS)
def test_both_directions_hold_the_same_edges_in_order(built, name):
    forward, backward = (
        rows_in_order(built.lake, EdgeType(LINKS[name], reverse).table_name) for reverse in (False, True)
    )
    weighted = ["weight"] if name != "like" else []
    assert list(forward.columns) == list(backward.columns) == ["source", "target", "time", *weighted]
    for edges in (forward, backward):
        pd.testing.assert_frame_equal(
            edges.reset_index(drop=True),
            edges.sort_values(["source", "time", "target", *weighted], na_position="first").reset_index(drop=True),
        )
    turned = backward.rename(columns={"source": "target", "target": "source"})[forward.columns]
    order = ["source", "target", "time"]
    pd.testing.assert_frame_equal(
        forward.sort_values(order).reset_index(drop=True), turned.sort_values(order).reset_index(drop=True)
    )
    figures = next(r for r in built.manifest.relations if r.name == name)
    assert figures.link == LINKS[name]
    assert figures.edges == len(forward) > 0
    assert figures.max_degree == forward["source"].value_counts().max()
    assert figures.max_weight == (forward["weight"].max() if weighted else None)
    if weighted:
        assert forward["weight"].dtype == np.float32
    for reverse in (False, True):
        edge_type = EdgeType(LINKS[name], reverse)
        assert figures.edge_version(edge_type) == built.lake.version(edge_type.table_name)


def test_edges_hold_from_the_latest_of_their_own_time_and_their_ends(spark):
    edges = frame_of(
        spark,
        source=[0, 0, 1, 1],
        target=[0, 1, 0, 1],
        time=pa.array([5, 5, None, 5], pa.int64()),
        weight=pa.array([1, 2, 3, 4], pa.float32()),
    )
    timed = frame_of(spark, node_id=[0, 1], time=pa.array([7, None], pa.int64()))
    late = frame_of(spark, node_id=[0, 1], time=[6, 9])
    assert edges_of(from_later_end(edges, None, None)) == edges_of(edges)
    assert edges_of(from_later_end(edges, timed, None)) == [(0, 0, 7, 1), (0, 1, 7, 2), (1, 0, None, 3), (1, 1, 5, 4)]
    assert edges_of(from_later_end(edges, timed, late)) == [(0, 0, 7, 1), (0, 1, 9, 2), (1, 0, 6, 3), (1, 1, 9, 4)]


def test_figures_say_what_was_left_out(built):
    purchases = built.lake.read("nodes_purchases").to_pandas().dropna(subset=["fk_customer_id", "fk_product_id"])
    figures = {r.name: r for r in built.manifest.relations}
    assert figures["buys"].unweighted == (~purchases["raw_channel"].isin(["web", "store"])).sum() > 0
    assert figures["with"].cut == (purchases["fk_customer_id"].value_counts() > 14).sum() > 0
    assert [(r.kind, r.table, r.columns) for r in figures.values()] == [
        ("events", "purchases", ("customer_id", "product_id", "channel")),
        ("together", "purchases", ("customer_id", "product_id")),
        ("attribute", "products", ("brand",)),
    ]


def test_the_store_holds_relations_and_samplers_follow_them_by_name_alone(built):
    store = built.store
    for edge_type in [EdgeType(link, reverse) for link in LINKS.values() for reverse in (False, True)]:
        assert edge_type in store.edge_types()
        edges = rows_in_order(built.lake, edge_type.table_name)
        adjacency = store.adjacency(edge_type)
        np.testing.assert_array_equal(adjacency.neighbors, edges["target"])
        np.testing.assert_array_equal(
            adjacency.degrees, np.bincount(edges["source"], minlength=store.node_count(edge_type.source))
        )
    sampler = NeighborSampler(store, [{"customers.buys": 3}], table="customers")
    assert [path[-1].link.name for path in sampler.paths] == ["customers.buys"]
    relations = {link.name for link in LINKS.values()}
    for table in ("customers", "products"):
        assert relations.isdisjoint({name for hop in default_hops(built.graph, table) for name in hop})


def test_reports_show_relations_and_what_is_odd_about_the_rows(built):
    shown = {figure.name: figure for figure in relation_figures(built.manifest)}
    assert set(shown) == {link.name for link in LINKS.values()}
    buys = shown["customers.buys"]
    assert buys.mean_degree == pytest.approx(buys.count / 40)
    assert {figure.name for figure in edge_figures(built.manifest)}.isdisjoint(shown)
    tables = {figure.name: figure for figure in table_figures(built.manifest)}
    raw = {name: pd.read_parquet(table.source) for name, table in built.settings.tables.items()}
    assert tables["mailings"].duplicates == raw["mailings"].duplicated().sum() > 0
    touched = set(raw["purchases"]["customer_id"]) | set(raw["mailings"]["customer_id"])
    assert tables["customers"].isolated == len(set(raw["customers"]["customer_id"]) - touched)
    assert tables["mailings"].isolated is None and tables["mailings"].out_of_range is None


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"relations": {"customer_id": {"kind": "attribute", "table": "purchases", "column": "channel"}}}, SchemaError,
         r"relation 'customer_id': link purchases\.customer_id has the table edges_purchases_customer_id already"),
        ({"graph": {"checks": {"max_out_of_range_rate": 0.01}, "time_range": ["2024-01-01", "2024-01-20"]}}, DataError,
         r"(?m)^table 'purchases': \d+ of 600 rows have a time outside graph\.time_range \(.*at most 1% may\); "
         r"graph\.checks\.max_out_of_range_rate sets this$"),
    ],
)  # fmt: skip
def test_a_fault_is_told_before_anything_is_written(shop_content, spark, tmp_path, change, kind, says):
    content = shop_content | {"lake": {"uri": str(tmp_path / "lake")}} | change
    with pytest.raises(kind, match=says):
        build_graph(spark, Lake(content["lake"]["uri"]), build_settings(content))
    assert not (tmp_path / "lake").exists()
