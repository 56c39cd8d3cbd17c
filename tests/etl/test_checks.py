"""Figures of tables and links equal pandas, and faulty rows are refused before anything is written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnscale.config import build_settings
from gnnscale.etl.checks.checks import check_links, check_tables, check_windows
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.sources.raw_tables import END
from gnnscale.lake import Lake
from gnnscale.query.anchors import AnchorPlan, show_time
from gnnscale.query.horizon import Horizon
from gnnscale.query.window import Window
from gnnscale.schema import DataError, GnnscaleError, Link, SchemaError, Table
from tests.etl.frames import raw_table
from tests.shop import edited_shop


def test_rows_and_range_of_times_are_counted(spark):
    raw = {
        "timed": raw_table(spark, Table("timed"), [5, None, -2], x=[1, 2, 3]),
        "keyed": raw_table(spark, Table("keyed", primary_key="k"), k=["a", "b"]),
    }
    figures = check_tables(raw)
    assert (figures["timed"].rows, figures["timed"].time_range) == (3, (-2, 5))
    assert (figures["keyed"].rows, figures["keyed"].time_range) == (2, None)


def test_rows_that_end_before_they_begin_are_told(spark, caplog):
    table = Table("t", time_column="since", end_time="until")
    some = raw_table(spark, table, [5, 5, 5], since=[5, 5, 5], until=[4, 6, None], **{END: [4, 6, None]})
    check_tables({"t": some})
    assert "t.until is before t.since in 1 of 2 rows, which are never there" in caplog.text
    with pytest.raises(DataError, match=r"t\.until is before t\.since in all 1 rows that have it"):
        check_tables({"t": raw_table(spark, table, [5, 5], since=[5, 5], until=[4, None], **{END: [4, None]})})


def test_link_figures_are_counted(spark):
    raw = {
        "parents": raw_table(spark, Table("parents", primary_key="k"), k=["a", "b", "c"]),
        "rows": raw_table(spark, Table("rows"), k=["a", "a", "b", None, "x", "y", "a", None]),
    }
    (found,) = check_links(raw, [Link("rows", "k", "parents")], {"parents": 3}, 0.5)
    assert (found.edges, found.nulls, found.dangling) == (4, 2, 2)
    assert (found.parents, found.parents_matched, found.max_degree) == (3, 2, 3)
    assert found.match_rate == 4 / 6
    with pytest.raises(DataError, match=r"rows\.k matches 4 of 6 keys in parents\.k \(66\.7%; at least 70%.*'[xy]'"):
        check_links(raw, [Link("rows", "k", "parents")], {"parents": 3}, 0.7)


def test_the_shops_figures_equal_pandas(shop):
    purchases = shop.raw["purchases"]
    sizes = {name: len(frame) for name, frame in shop.raw.items()}
    known = set(shop.raw["products"]["product_id"]) | set(purchases["product_id"].dropna())
    assert len(known) > sizes["products"]
    sizes["products"] = len(known)
    assert {t.name: t.rows for t in shop.manifest.tables} == sizes
    parents = {"customers": "customer_id", "products": "product_id", "campaigns": "campaign_id"}
    assert len(shop.manifest.links) == 4
    for link in shop.manifest.links:
        keys = known if link.parent == "products" else set(shop.raw[link.parent][parents[link.parent]])
        column = shop.raw[link.table][link.column]
        matched = column[column.isin(keys)]
        assert link.edges == len(matched) > 0
        assert link.nulls == column.isna().sum()
        assert link.dangling == len(column) - link.edges - link.nulls
        assert link.parents == len(keys)
        assert link.parents_matched == matched.nunique()
        assert link.max_degree == matched.value_counts().max()
    by_customer = next(link for link in shop.manifest.links if link.link.name == "purchases.customer_id")
    by_product = next(link for link in shop.manifest.links if link.link.name == "purchases.product_id")
    assert by_customer.dangling > 0 and by_product.nulls > 0
    assert by_product.max_degree > 2 * by_product.edges / by_product.parents_matched


DAY = 86_400


@pytest.mark.parametrize(
    ("days", "split"),
    [([15, 25, 35], None), ([5, 21, 31], "train"), ([15, 20, 31], "validation"), ([6, 25, 30], "test")],
)
def test_every_split_needs_a_fact_in_one_of_its_windows(spark, days, split):
    plan = AnchorPlan((5 * DAY, 10 * DAY), 20 * DAY, 30 * DAY, 40 * DAY, Horizon((Window(0, 1), Window(0, 5))))
    # A fact at the anchor is before the window, and one at its end inside.
    events = raw_table(spark, Table("facts"), [day * DAY for day in days], x=days)
    if split is None:
        return check_windows(events, plan)
    first = {"train": 5, "validation": 20, "test": 30}[split]
    last = 15 if split == "train" else first + 5
    with pytest.raises(DataError, match=f"no row of 'facts' is in a {split} window") as caught:
        check_windows(events, plan)
    assert f"from {show_time(first * DAY)} to {show_time(last * DAY)}" in str(caught.value)


def test_times_that_reach_further_than_a_graph_holds_are_an_error(spark):
    raw = {
        "old": raw_table(spark, Table("old"), [0], x=[1]),
        "new": raw_table(spark, Table("new"), [2**31 - 2], x=[1]),
    }
    check_tables(raw)
    raw["new"] = raw_table(spark, Table("new"), [2**31 - 1], x=[1])
    with pytest.raises(DataError, match=r"from 1970-01-01 00:00:00 in 'old' to 2038-01-19 03:14:07 in 'new'"):
        check_tables(raw)


def small(content: dict) -> dict:
    """The shop without campaigns and mailings."""
    kept = {name: table for name, table in content["tables"].items() if name not in ("campaigns", "mailings")}
    hops = {
        "entity_hops": [{"purchases.customer_id": 4}, {"purchases.product_id": 1}],
        "target_hops": [{"purchases.product_id": 4}],
    }
    return {**content, "tables": kept, "sampling": hops}


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[3, 5]]])


def without(column: str):
    return lambda frame: frame.drop(columns=column)


def with_column(column: str, value):
    return lambda frame: frame.assign(**{column: value(frame)})


FAULTS = {
    "duplicate key": (
        "customers",
        twice,
        DataError,
        r"primary key customers\.customer_id is not unique: 2 values.*'c0",
    ),
    "null key": (
        "customers",
        with_column("customer_id", lambda f: f["customer_id"].where(f["customer_id"] != "c003", None)),
        DataError,
        r"primary key customers\.customer_id is null in 1 rows",
    ),
    "no match": (
        "purchases",
        with_column("customer_id", lambda f: "x" + f["customer_id"]),
        DataError,
        r"foreign key purchases\.customer_id matches 0 of 600 keys in customers\.customer_id \(0\.0%.*'x",
    ),
    "too few match": (
        "purchases",
        with_column("customer_id", lambda f: np.where(np.arange(len(f)) % 3, "x", f["customer_id"])),
        DataError,
        r"purchases\.customer_id matches .* at least 50% must",
    ),
    "all null": (
        "purchases",
        with_column("customer_id", lambda f: pd.Series([None] * len(f), dtype="string", index=f.index)),
        DataError,
        r"purchases\.customer_id matches 0 of 0",
    ),
    "text to numbers": (
        "purchases",
        with_column("customer_id", lambda f: np.arange(len(f))),
        DataError,
        r"purchases\.customer_id is bigint and customers\.customer_id is string",
    ),
    "empty table": ("customers", lambda f: f.iloc[:0], DataError, "table 'customers' has no rows"),
    "missing key": ("customers", without("customer_id"), SchemaError, "'customers' has no column 'customer_id'"),
    "missing time": ("purchases", without("bought_at"), SchemaError, "'purchases' has no column 'bought_at'"),
    "missing link": ("purchases", without("product_id"), SchemaError, "'products' is linked to no other table"),
    "bad time": (
        "purchases",
        with_column("bought_at", lambda f: f["bought_at"].astype(str).where(f["quantity"] > 1, "never")),
        DataError,
        r"time column purchases\.bought_at: .*'never'",
    ),
    "too short": (
        "purchases",
        with_column("bought_at", lambda f: f["bought_at"].iloc[0]),
        DataError,
        "window .* is as long as the data, from",
    ),
}


@pytest.mark.parametrize(("table", "edit", "kind", "says"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_rows_is_named_and_nothing_is_written(spark, shop_content, tmp_path, table, edit, kind, says):
    settings = build_settings(edited_shop(small(shop_content), tmp_path, table, edit))
    lake = Lake(settings.lake.uri)
    with pytest.raises(kind, match=says):
        build_graph(spark, lake, settings)
    assert not Path(lake.uri).exists()


def test_a_fault_in_the_query_is_told_before_anything_is_written(spark, shop_content, tmp_path):
    content = small({**shop_content, "lake": {"uri": str(tmp_path / "lake")}})
    query = {"name": "q", "text": shop_content["query"]["text"].replace("customers", "custmers")}
    settings = build_settings({**content, "query": query})
    with pytest.raises(GnnscaleError, match="Did you mean 'customers'"):
        build_graph(spark, Lake(settings.lake.uri), settings)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("column", ["gnnscale|id", "a.b"])
def test_a_column_name_that_is_taken_or_has_dots_is_an_error_that_names_it(spark, shop_content, tmp_path, column):
    settings = build_settings(
        edited_shop(small(shop_content), tmp_path, "customers", lambda frame: frame.assign(**{column: 1.5}))
    )
    with pytest.raises(SchemaError, match=f"'{re.escape(column)}'"):
        build_graph(spark, Lake(settings.lake.uri), settings)


def test_a_time_that_is_none_is_told_from_a_long_history(spark):
    year = 365 * DAY
    races = raw_table(spark, Table("races"), [-20 * year, 0, 10 * year, 30 * year, 54 * year], x=range(5))
    assert check_tables({"races": races})["races"].time_range == (-20 * year, 54 * year)
    ended = raw_table(spark, Table("orders"), [50 * year, 51 * year, 52 * year, 8_030 * year], x=range(4))
    with pytest.raises(DataError, match=r"in 'orders', and those of 'races' lie more than 66 years before the last"):
        check_tables({"races": races, "orders": ended})
    with pytest.raises(DataError, match=r"those of 'orders' lie more than 66 years before the last: one of them is no"):
        check_tables({"orders": ended})
