"""The graph in the lake equals the raw tables, joined by pandas."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.config import build_settings
from gnnscale.etl.edges.edge_readers import scan_files
from gnnscale.etl.edges.edge_sort import write_sorted_edges
from gnnscale.etl.edges.write_edges import UNDATED, LinkEdges
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.ids.node_column import NodeColumn
from gnnscale.etl.nodes.fit_period import TimedRows, default_period
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.lake import Lake
from gnnscale.schema import EdgeType, GraphManifest
from tests.shop import edited_shop, make_shop, with_relations

KEYS = {"customers": "customer_id", "products": "product_id", "campaigns": "campaign_id"}


def whole_seconds(times: pd.Series) -> pd.Series:
    """Epoch seconds, rounded up, worked out in integers."""
    micros = pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]").astype("int64")
    return -(-micros // 1_000_000)


@pytest.mark.parametrize("table", KEYS)
def test_ids_are_dense_and_cover_every_key(shop, table):
    ids = shop.ids(table)
    assert sorted(ids.values()) == list(range(len(ids)))
    keys = set(shop.raw[table][KEYS[table]])
    if table == "products":
        keys |= set(shop.raw["purchases"]["product_id"].dropna())
    assert set(ids) == keys
    nodes = shop.nodes(table)
    assert dict(zip(nodes["key"], nodes["node_id"], strict=True)) == ids


def test_facts_are_numbered_in_order_of_time(shop):
    nodes = shop.nodes("purchases")
    assert nodes["node_id"].tolist() == list(range(600))
    assert nodes["time"].is_monotonic_increasing
    assert sorted(nodes["time"]) == sorted(whole_seconds(shop.raw["purchases"]["bought_at"]))


def test_purchases_are_the_raw_rows_under_node_ids(shop):
    raw = shop.raw["purchases"]
    features = {f.column: f for f in shop.manifest.table("purchases").features}
    amount = features["amount"]
    assert amount.log
    logged = np.sign(raw["amount"]) * np.log1p(raw["amount"].abs())
    codes = {name: code for code, name in enumerate(features["channel"].categories, start=1)}
    expected = pd.DataFrame(
        {
            "time": whole_seconds(raw["bought_at"]),
            "fk_customer_id": raw["customer_id"].map(shop.ids("customers")),
            "fk_product_id": raw["product_id"].map(shop.ids("products")),
            "num_quantity": (raw["quantity"] - features["quantity"].mean) / features["quantity"].std,
            "num_amount": ((logged - amount.mean) / amount.std).clip(-10, 10).fillna(0.0),
            "cat_channel": raw["channel"].map(codes).fillna(0).astype(int),
        }
    )
    nodes = shop.nodes("purchases")
    assert set(nodes.columns) == {"node_id", *expected.columns, *(f"raw_{column}" for column in raw.columns)}
    found = nodes[expected.columns]
    order = ["time", "num_amount", "num_quantity"]
    columns = list(expected.columns)
    expected = expected.sort_values(order).reset_index(drop=True)
    found = found.sort_values(order).reset_index(drop=True)
    np.testing.assert_allclose(
        found[columns].to_numpy(float), expected[columns].to_numpy(float), rtol=1e-5, atol=1e-5, equal_nan=True
    )


def raw_values(values: pd.Series) -> list:
    return [None if pd.isna(v) else v for v in values]


@pytest.mark.parametrize("table", ["customers", "purchases", "campaigns"])
def test_every_value_is_kept_as_it_came(shop, table):
    raw, nodes = shop.raw[table], shop.nodes(table)
    key = KEYS.get(table)
    kept = [column for column in raw.columns if column != key]
    assert {c for c in nodes.columns if c.startswith("raw_")} == {f"raw_{column}" for column in kept}
    for column in kept:
        values = raw[column]
        if column in ("bought_at", "starts"):
            values = pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
        if key:
            found = dict(zip(nodes["key"], raw_values(nodes[f"raw_{column}"]), strict=True))
            assert found == dict(zip(raw[key], raw_values(values), strict=True))
        else:
            # Facts have no key: the values are those of the rows, each as often.
            assert Counter(raw_values(nodes[f"raw_{column}"])) == Counter(raw_values(values))


def test_kinds_of_all_columns_are_in_the_manifest(shop):
    kinds = {t.name: {c: str(k) for c, k in t.kinds.items()} for t in shop.manifest.tables}
    assert kinds["customers"] == {"customer_id": "text", "region": "text", "age": "number", "note": "text"}
    assert kinds["campaigns"] == {"campaign_id": "number", "kind": "text", "starts": "time"}
    assert {name: set(columns) for name, columns in kinds.items()} == {n: set(f.columns) for n, f in shop.raw.items()}
    assert not any(table.has_end for table in shop.manifest.tables)


def test_statistics_leave_out_the_last_fifth_of_the_time(shop):
    raw = shop.raw["purchases"]
    timed = {t.name: TimedRows(t.rows, *t.time_range) for t in shop.manifest.tables if t.time_range}
    assert len(timed) > 1 and shop.manifest.fit_until == default_period(timed)
    period = raw[whole_seconds(raw["bought_at"]) <= shop.manifest.fit_until]
    assert 0 < len(period) < len(raw)
    features = {f.column: f for f in shop.manifest.table("purchases").features}
    assert features["quantity"].mean == pytest.approx(period["quantity"].mean())
    assert features["quantity"].std == pytest.approx(period["quantity"].std(ddof=0))
    assert features["amount"].mean == pytest.approx(np.log1p(period["amount"]).mean())
    counts = period["channel"].value_counts()
    assert set(features["channel"].categories) == set(counts.index)
    assert counts[list(features["channel"].categories)].is_monotonic_decreasing
    assert "kiosk" in set(raw["channel"]) - set(features["channel"].categories)


def test_a_query_is_told_of_the_latest_that_statistics_know(spark, shop, tmp_path, caplog):
    """Campaigns that begin after the others' period count by one of their own, which no warning may miss."""

    def late(rows: pd.DataFrame) -> pd.DataFrame:
        starts = pd.to_datetime(rows["starts"])
        return rows.assign(starts=(starts.max() + pd.Timedelta(days=40) + (starts - starts.min()) / 40).dt.floor("h"))

    settings = build_settings(edited_shop(shop.content, tmp_path, "campaigns", late))
    with caplog.at_level("INFO"):
        manifest = build_graph(spark, Lake(settings.lake.uri), settings)
    timed = {t.name: TimedRows(t.rows, *t.time_range) for t in manifest.tables if t.time_range}
    assert manifest.fit_until == timed["campaigns"].period > default_period(timed)
    assert "'campaigns' begins late" in caplog.text


def test_a_period_that_precedes_a_table_is_told(spark, tmp_path, caplog):
    content = make_shop(tmp_path)
    settings = build_settings({**content, "graph": {"fit_until": "2020-01-01"}})
    manifest = build_graph(spark, Lake(settings.lake.uri), settings)
    assert "statistics of the columns of 'purchases' count 0 of its 600 rows" in caplog.text
    channel = next(f for f in manifest.table("purchases").features if f.column == "channel")
    assert channel.categories == ()


def test_rows_that_only_facts_mention_have_a_key_and_nothing_else(shop):
    mentioned = set(shop.raw["purchases"]["product_id"].dropna()) - set(shop.raw["products"]["product_id"])
    nodes = shop.nodes("products")
    bare = nodes[nodes["key"].isin(mentioned)]
    assert len(bare) == len(mentioned) > 0
    assert (bare[["cat_category", "cat_brand", "num_price"]] == 0).all(axis=None)
    assert bare["time"].isna().all()


def test_display_names_a_row_to_a_person(shop):
    raw = shop.raw["products"].set_index("product_id")
    for row in shop.nodes("products").itertuples():
        category = raw["category"].get(row.key)
        expected = row.key if pd.isna(category) else f"{category}, {row.key}"
        assert row.display == expected


def test_columns_that_are_ignored_or_keys_are_no_features(shop):
    assert [f.column for f in shop.manifest.table("customers").features] == ["region", "age"]
    assert [f.column for f in shop.manifest.table("purchases").features] == ["quantity", "amount", "channel"]
    assert [f.column for f in shop.manifest.table("mailings").features] == ["medium"]


def test_mailings_hold_from_the_start_of_their_campaign(shop):
    starts = dict(
        zip(shop.raw["campaigns"]["campaign_id"], whole_seconds(shop.raw["campaigns"]["starts"]), strict=True)
    )
    keys = {node: key for key, node in shop.ids("campaigns").items()}
    nodes = shop.nodes("mailings")
    assert len(nodes) == len(shop.raw["mailings"])
    assert nodes["time"].tolist() == [starts[keys[parent]] for parent in nodes["fk_campaign_id"]]


def edge_types(shop) -> list[EdgeType]:
    return [EdgeType(link.link, reverse) for link in shop.manifest.links for reverse in (False, True)]


def test_both_directions_of_every_link_equal_a_join_in_order(shop):
    for edge_type in edge_types(shop):
        link = edge_type.link
        children = shop.nodes(link.table)[["node_id", f"fk_{link.column}", "time"]]
        children = children.dropna(subset=[f"fk_{link.column}"])
        parents = shop.nodes(link.parent).set_index("node_id")["time"]
        later = np.fmax(children["time"].to_numpy(float), children[f"fk_{link.column}"].map(parents).to_numpy(float))
        joined = pd.DataFrame(
            {"child": children["node_id"], "parent": children[f"fk_{link.column}"].astype(int), "time": later}
        )
        source, target = ("parent", "child") if edge_type.reverse else ("child", "parent")
        joined = joined.rename(columns={source: "source", target: "target"})
        joined = joined.sort_values(["source", "time", "target"])[["source", "target", "time"]]
        opened = shop.lake.open(edge_type.table_name)
        # Files in order of their names are in order of (source, time): that is how the store reads them.
        paths = sorted(pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist())
        found = pd.concat(
            [pq.read_table(Path(shop.lake.table_uri(edge_type.table_name)) / p).to_pandas() for p in paths]
        )
        np.testing.assert_array_equal(found[["source", "target", "time"]].to_numpy(float), joined.to_numpy(float))


def test_an_edge_holds_from_its_later_end_and_always_where_neither_has_a_time(spark, tmp_path):
    lake = Lake(tmp_path)
    children = {"node_id": [0, 1, 2, 3], "fk_k": pa.array([0, 0, 1, None], pa.int64()), "time": [5, None, 7, 9]}
    lake.write("nodes_facts", pa.table(children))
    lake.write("nodes_parents", pa.table({"node_id": [0, 1], "time": pa.array([6, None], pa.int64())}))
    files = ParquetScan.of_table(lake, "nodes_facts", tasks=2)
    parents = NodeColumn.of_table(lake, "parents", "time", 2, UNDATED, str(tmp_path / "cache"))

    def edges(times: NodeColumn | None, reverse: bool) -> list[tuple]:
        scan = scan_files(spark, files, LinkEdges(files, "k", 5, times))
        written = write_sorted_edges(lake, "edges", scan, 5, reverse)
        assert written.edges == 3
        return [tuple(row.values()) for row in lake.read("edges").to_pylist()]

    assert edges(parents, False) == [(0, 0, 6), (1, 0, 6), (2, 1, 7)]
    assert edges(None, False) == [(0, 0, 5), (1, 0, None), (2, 1, 7)]
    assert edges(None, True) == [(0, 1, None), (0, 0, 5), (1, 2, 7)]


def test_the_manifest_says_the_versions_and_the_origin(shop):
    for table in shop.manifest.tables:
        assert table.version == shop.lake.version(f"nodes_{table.name}")
    for edge_type in edge_types(shop):
        link = next(link for link in shop.manifest.links if link.link == edge_type.link)
        assert link.edge_version(edge_type) == shop.lake.version(edge_type.table_name)
    times = [shop.nodes(t.name)["time"].min() for t in shop.manifest.tables]
    assert shop.manifest.origin == min(t for t in times if not math.isnan(t))
    first, last = shop.manifest.table("purchases").time_range
    seconds = whole_seconds(shop.raw["purchases"]["bought_at"])
    assert (first, last) == (seconds.min(), seconds.max())
    assert shop.manifest.table("customers").time_range is None


def with_ends(content: dict, folder: Path) -> dict:
    """The recipe with customers that leave: some at a fraction of a second, most not at all."""
    leaves = pd.to_datetime([None, "2024-01-20", "2024-02-01 12:00:00.25", None] * 3, format="ISO8601")[:10]
    content = edited_shop(
        content, folder, "customers", lambda rows: rows.assign(left=leaves.as_unit("us")), end_time="left"
    )
    return {**content, "graph": {"fit_until": "2024-01-31"}}


def test_order_of_rows_partitions_and_query_do_not_change_the_graph(spark, tmp_path):
    lakes = []
    for name in ("one", "other"):
        content = with_ends(
            make_shop(tmp_path / name, customers=10, products=8, purchases=90, days=40), tmp_path / name
        )
        kept = {table: content["tables"][table] for table in ("customers", "products", "purchases")}
        content = {**content, "tables": kept, "sampling": {"entity_hops": [], "target_hops": []}}
        content = with_relations(content)
        if name == "other":
            text = "PREDICT SUM(purchases.amount, 0, 3) > 5 FOR EACH customers.customer_id"
            content |= {"query": {"name": "other", "text": text}, "anchors": {"step_days": 2}}
            for table in kept.values():
                pd.read_parquet(table["source"]).sample(frac=1, random_state=9).to_parquet(table["source"], index=False)
        settings = build_settings(content)
        before = spark.conf.get("spark.sql.shuffle.partitions")
        spark.conf.set("spark.sql.shuffle.partitions", "2" if name == "one" else "3")
        try:
            lake = Lake(settings.lake.uri)
            lakes.append((lake, build_graph(spark, lake, settings)))
        finally:
            spark.conf.set("spark.sql.shuffle.partitions", before)
    (one, manifest), (other, again) = lakes
    assert manifest.fit_until == again.fit_until == int(pd.Timestamp("2024-01-31", tz="UTC").timestamp())
    assert {t.name: (t.rows, t.time_range, t.kinds, t.has_end) for t in manifest.tables} == {
        t.name: (t.rows, t.time_range, t.kinds, t.has_end) for t in again.tables
    }
    assert one.tables() == other.tables()
    assert manifest.relations == again.relations and all(relation.edges for relation in manifest.relations)
    for table in one.tables():
        by = "node_id" if not table.startswith("edges") else "source"
        # A relation may have several edges of one pair.
        keys = [(by, "ascending")] + ([("target", "ascending"), ("time", "ascending")] if by == "source" else [])
        left, right = one.read(table).sort_by(keys).to_pandas(), other.read(table).sort_by(keys).to_pandas()
        pd.testing.assert_frame_equal(left, right[left.columns], rtol=1e-6)
    check_ends(one, manifest, pd.read_parquet(tmp_path / "one" / "customers.parquet"))


def check_ends(lake: Lake, manifest: GraphManifest, raw: pd.DataFrame) -> None:
    """Ends are whole seconds, rounded up as times are; rows that have none stay open."""
    assert {t.name for t in manifest.tables if t.has_end} == {"customers"}
    nodes = lake.read("nodes_customers").to_pandas().set_index("key")["end_time"]
    assert nodes.notna().sum() == raw["left"].notna().sum() > 0
    ended = raw.dropna(subset=["left"]).set_index("customer_id")["left"]
    assert nodes.dropna().astype(int).to_dict() == whole_seconds(ended).to_dict()
    assert "end_time" not in lake.read("nodes_products").column_names
