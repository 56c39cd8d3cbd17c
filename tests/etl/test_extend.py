"""A graph that was extended equals one that is built in full from the same sources."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from gnnscale.config import build_settings
from gnnscale.etl.edges.edge_batches import read_runs
from gnnscale.etl.graph.extend import extend_graph
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.graph.graph_update import update_graph
from gnnscale.etl.sources.new_rows import NotGrownError
from gnnscale.etl.spark.session import open_session
from gnnscale.lake import Lake
from gnnscale.schema import EdgeType, GraphManifest
from gnnscale.store import GraphStore
from gnnscale.store.features import NEVER
from tests.conftest import SPARK
from tests.shop import make_shop, with_relations

pytestmark = pytest.mark.slow

OPENING = pd.Timestamp("2024-01-01", tz="UTC")
FACTS = ("purchases", "mailings")
HELD_BACK = "c003"
"""Key of a customer who buys from the start and whose row comes only with the first extension."""


def day(number: float) -> pd.Timestamp:
    """So many days after the opening."""
    return OPENING + pd.Timedelta(days=number)


@dataclass
class Growing:
    """A shop whose sources grow: purchases and products are folders, the rest Delta tables."""

    folder: Path
    content: dict[str, Any]
    raw: dict[str, pd.DataFrame]

    def lake(self, name: str = "lake") -> Lake:
        return Lake(self.folder / name)

    def settings(self, name: str = "lake"):
        return build_settings({**self.content, "lake": {"uri": str(self.folder / name)}})

    def add(self, table: str, rows: pd.DataFrame, name: str) -> None:
        source = Path(self.content["tables"][table]["source"])
        if table in ("purchases", "products"):
            source.mkdir(exist_ok=True)
            rows.to_parquet(source / f"{name}.parquet", index=False)
        else:
            write_deltalake(str(source), pa.Table.from_pandas(rows, preserve_index=False), mode="append")

    def first_days(self) -> None:
        """New customers and products, a late purchase, unknown keys, and mailings of campaigns old and new."""
        more = self.raw["purchases"].query("@day(28) <= bought_at < @day(34)").copy()
        more.iloc[0, more.columns.get_loc("bought_at")] = day(22.5)
        customer = more.columns.get_loc("customer_id")
        named = more.columns.get_loc("product_id")
        more.iloc[1:3, customer] = "c900"
        more.iloc[3, customer] = "ghost"
        more.iloc[4, named] = "p900"
        more.iloc[5, named] = "p901"
        self.add("purchases", more, "day-28")
        customers = self.raw["customers"]
        comers = pd.concat([customers.query("customer_id == @HELD_BACK"), customers.head(1)])
        self.add("customers", comers.assign(customer_id=[HELD_BACK, "c900"], since=day(29)), "")
        # Of a list that is empty or null, Parquet would not know the type.
        product = self.raw["products"][self.raw["products"]["tags"].str.len() > 0].dropna().head(1)
        self.add("products", product.assign(product_id="p901", since=day(30)), "day-28")
        self.add("campaigns", pd.DataFrame({"campaign_id": [7], "kind": ["A"], "starts": [day(29).date()]}), "")
        mailings = pd.DataFrame({"customer_id": ["c900", "c001"], "campaign_id": [7, 1], "medium": ["post", "mail"]})
        self.add("mailings", mailings, "")

    def last_days(self) -> None:
        """What is left, and one more of everything."""
        self.add("purchases", self.raw["purchases"].query("bought_at >= @day(34)"), "day-34")
        self.add("customers", self.raw["customers"].head(1).assign(customer_id="c901", since=day(35)), "")
        self.add("mailings", pd.DataFrame({"customer_id": ["c901"], "campaign_id": [7], "medium": ["post"]}), "")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Growing:
    """The shop after 28 days, its graph built in full; the tests make it grow one after the other."""
    folder = tmp_path_factory.mktemp("growing")
    content = with_relations(make_shop(folder / "made", customers=12, products=10, purchases=150, days=40))
    raw = {name: pd.read_parquet(table["source"]) for name, table in content["tables"].items()}
    (folder / "shop" / "sources").mkdir(parents=True)
    tables = {}
    for name, table in content["tables"].items():
        tables[name] = {**table, "source": str(folder / "shop" / "sources" / name)}
        if name in ("customers", "products"):
            tables[name]["time_column"] = "since"
            raw[name] = raw[name].assign(since=OPENING + pd.to_timedelta(np.arange(len(raw[name])), unit="h"))
    relations = {"buys": content["relations"]["buys"]}
    content = {**content, "tables": tables, "relations": relations, "graph": {"fit_until": "2024-01-22"}}
    shop = Growing(folder / "shop", content, raw)
    for name, rows in raw.items():
        if name == "purchases":
            rows = rows.query("bought_at < @day(28)")
        if name == "customers":
            rows = rows.query("customer_id != @HELD_BACK")
        shop.add(name, rows, "day-00")
    build_graph(open_session(SPARK, "gnnscale tests"), shop.lake(), shop.settings())
    return shop


def ids(lake: Lake, table: str) -> dict[Any, int]:
    rows = lake.read(f"ids_{table}").to_pydict()
    return dict(zip(rows["key"], rows["node_id"], strict=True))


def nodes(lake: Lake, manifest: GraphManifest, table: str) -> pd.DataFrame:
    rows = lake.read(f"nodes_{table}", version=manifest.table(table).version).to_pandas()
    return rows.sort_values("node_id").reset_index(drop=True)


def by_content(rows: pd.DataFrame) -> pd.DataFrame:
    """Facts in an order that does not depend on their ids."""
    values = rows.drop(columns="node_id").map(repr)
    return rows.iloc[np.lexsort([values[name] for name in values.columns])].reset_index(drop=True)


def same_numbers(one: tuple[Lake, GraphManifest], other: tuple[Lake, GraphManifest]) -> dict[str, np.ndarray]:
    """Table -> id in ``one`` of each id in ``other``: ids of facts may differ, for late ones are numbered last."""
    found = {}
    for table in one[1].tables:
        left, right = nodes(*one, table.name), nodes(*other, table.name)
        if table.name in FACTS:
            left, right = by_content(left), by_content(right)
        else:
            assert ids(one[0], table.name) == ids(other[0], table.name)
            np.testing.assert_array_equal(left["node_id"], right["node_id"])
        pd.testing.assert_frame_equal(left.drop(columns="node_id"), right.drop(columns="node_id"))
        numbers = np.full(table.rows, -1)
        numbers[right["node_id"]] = left["node_id"]
        found[table.name] = numbers
    return found


def assert_same_edges(one: tuple[Lake, GraphManifest], other: tuple[Lake, GraphManifest], numbers: dict) -> None:
    for edge_type in one[1].edge_types:
        left, right = (
            lake.read(edge_type.table_name, version=manifest.edges(edge_type).edge_version(edge_type)).to_pandas()
            for lake, manifest in (one, other)
        )
        right["source"] = numbers[edge_type.source][right["source"]].astype(np.int32)
        right["target"] = numbers[edge_type.target][right["target"]].astype(np.int32)
        order = list(left.columns)
        left, right = (rows.sort_values(order).reset_index(drop=True) for rows in (left, right))
        pd.testing.assert_frame_equal(left, right)


def figures(manifest: GraphManifest) -> dict[str, Any]:
    """All that the manifest says, but for versions and the share of missing values, which undated rows count in."""
    content = manifest.to_dict()
    for part in (*content["tables"], *content["links"], *content["relations"]):
        part.pop("version"), part.pop("reverse_version", None)
    for table in content["tables"]:
        for feature in table["features"]:
            feature.pop("missing")
    return content


def rebuilt(spark: SparkSession, shop: Growing, name: str) -> tuple[Lake, GraphManifest]:
    """The same sources built in full, in a copy of the lake."""
    shutil.copytree(shop.folder / "lake", shop.folder / name)
    return shop.lake(name), build_graph(spark, shop.lake(name), shop.settings(name))


def test_two_extensions_equal_a_full_build_bit_for_bit(spark, shop):
    lake = shop.lake()
    before = GraphManifest.from_dict(lake.read_record("graph"))
    known = {table: ids(lake, table) for table in ("customers", "products", "campaigns")}
    assert all(link.dangling for link in before.links if link.column == "customer_id")
    shop.first_days()
    one = lake, extend_graph(spark, lake, shop.settings())
    other = rebuilt(spark, shop, "first")
    numbers = same_numbers(one, other)
    assert_same_edges(one, other, numbers)
    assert figures(one[1]) == figures(other[1])
    for table, keys in known.items():
        assert keys.items() <= ids(lake, table).items()
    assert {"p900", "p901"} <= ids(lake, "products").keys()
    bought = nodes(*one, "purchases")
    resolved = bought[bought["raw_customer_id"] == HELD_BACK]
    assert (resolved["fk_customer_id"] == ids(lake, "customers")[HELD_BACK]).all() and len(resolved) > 0
    assert read_runs(lake, "edges_rev_purchases_customer_id") == {0, 1}

    # What an extension that failed has left is taken back by the next.
    lake.write("nodes_purchases", lake.read("nodes_purchases").slice(0, 5), mode="append")
    shop.last_days()
    one = lake, extend_graph(spark, lake, shop.settings(), max_runs=1)
    other = rebuilt(spark, shop, "last")
    numbers = same_numbers(one, other)
    assert_same_edges(one, other, numbers)
    assert figures(one[1]) == figures(other[1])
    assert read_runs(lake, "edges_rev_purchases_customer_id") == {0}
    left, right = GraphStore.open(one[0]), GraphStore.open(other[0])
    for edge_type in left.edge_types():
        assert_same_adjacency(left, right, edge_type, numbers)
    for table in left.manifest.tables:
        mine, theirs = left.features(table.name), right.features(table.name)
        own = numbers[table.name]
        np.testing.assert_array_equal(mine.times[own], theirs.times)
        np.testing.assert_array_equal(mine.numerical[own], theirs.numerical)
        np.testing.assert_array_equal(mine.categorical[own], theirs.categorical)


def assert_same_adjacency(left: GraphStore, right: GraphStore, edge_type: EdgeType, numbers: dict) -> None:
    mine, theirs = left.adjacency(edge_type), right.adjacency(edge_type)
    source = numbers[edge_type.source][np.repeat(np.arange(len(theirs.degrees)), theirs.degrees)]
    target = numbers[edge_type.target][theirs.neighbors]
    order = np.lexsort([target, theirs.times, source])
    counts = np.bincount(source, minlength=len(theirs.degrees))
    np.testing.assert_array_equal(mine.indptr, np.concatenate([[0], np.cumsum(counts)]))
    np.testing.assert_array_equal(mine.neighbors, target[order])
    np.testing.assert_array_equal(mine.times, theirs.times[order])


def overwritten_customers(shop: Growing) -> None:
    rows = shop.raw["customers"].query("customer_id not in ['c001', @HELD_BACK]")
    write_deltalake(
        shop.content["tables"]["customers"]["source"],
        pa.Table.from_pandas(rows, preserve_index=False),
        mode="overwrite",
    )


def changed_file(shop: Growing) -> None:
    shop.add("purchases", shop.raw["purchases"].query("bought_at < @day(20)"), "day-00")


def updated_customer(shop: Growing) -> None:
    shop.add("customers", shop.raw["customers"].query("customer_id == 'c001'"), "")


def early_purchase(shop: Growing) -> None:
    shop.add("purchases", shop.raw["purchases"].head(1).assign(bought_at=day(-1)), "early")


def other_column(shop: Growing) -> None:
    shop.add("purchases", shop.raw["purchases"].head(1).assign(quantity="many"), "other")


REASONS = {
    overwritten_customers: "customers': its table has not only grown: version",
    changed_file: "purchases': 1 of its files have changed, such as day-00.parquet",
    updated_customer: "customers': 1 new rows have a key that is there already",
    early_purchase: "purchases': a new row is of 2023-12-31",
    other_column: "purchases': column 'quantity' was bigint and is string",
}


@pytest.mark.parametrize("change", REASONS, ids=lambda change: change.__name__)
def test_what_is_no_growth_is_told(spark, shop, tmp_path, change):
    sources, kept, before = shop.folder / "sources", tmp_path / "kept", shop.lake().read_record("graph")
    shutil.copytree(sources, kept)
    try:
        change(shop)
        with pytest.raises(NotGrownError, match=REASONS[change]):
            extend_graph(spark, shop.lake(), shop.settings())
        assert shop.lake().read_record("graph") == before
    finally:
        shutil.rmtree(sources)
        shutil.copytree(kept, sources)


def test_nothing_new_and_another_configuration_are_no_growth(spark, shop):
    with pytest.raises(NotGrownError, match="nothing new"):
        extend_graph(spark, shop.lake(), shop.settings())
    other = build_settings({**shop.settings().model_dump(), "graph": {"max_categories": 3}})
    with pytest.raises(NotGrownError, match="another configuration"):
        extend_graph(spark, shop.lake(), other)


def test_keys_that_are_gone_keep_their_ids_and_are_never_there(spark, shop):
    before = GraphManifest.from_dict(shop.lake().read_record("graph"))
    known = ids(shop.lake(), "customers")
    overwritten_customers(shop)
    update = update_graph(spark, shop.lake(), shop.settings())
    assert update.added is None and "has not only grown" in update.reason
    table = update.manifest.table("customers")
    deleted = known.keys() - set(shop.lake().read("nodes_customers")["key"].to_pylist())
    assert "c001" in deleted
    assert (table.deleted, table.rows) == (len(deleted), before.table("customers").rows)
    assert ids(shop.lake(), "customers") == known
    store, node = GraphStore.open(shop.lake()), known["c001"]
    features = store.features("customers")
    assert features.times[node] == NEVER and not features.is_valid_at(np.array([node]), NEVER - 1).any()
    assert (features.numerical[node] == 0).all() and (features.categorical[node] == 0).all()
    for edge_type in store.edges_from("customers"):
        assert store.adjacency(edge_type).degrees[node] == 0
        assert node not in store.adjacency(EdgeType(edge_type.link, not edge_type.reverse)).neighbors
    link = next(link for link in update.manifest.links if link.link.name == "purchases.customer_id")
    assert link.parents == table.rows - table.deleted
