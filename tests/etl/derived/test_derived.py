"""Derived tables: pairs equal those of a join of the rows with themselves, and say nothing before they are known."""

import numpy as np
import pandas as pd
import pytest

from gnnscale.config import build_tables, load_settings, table_graph
from gnnscale.etl.derived.derive_rows import derived_rows
from gnnscale.etl.derived.pair_rows import pair_positions
from gnnscale.pipeline.preflight import check_inputs
from gnnscale.schema import ConfigError, SchemaError
from tests.etl.relations.event_table import DAY, frame

OPENING = pd.Timestamp("2024-01-01", tz="UTC")


def lines(seed, rows=90, orders=9, items=7):
    """Lines of orders, with repeats, missing items and whole half days, so that times tie."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "order": np.where(rng.random(rows) < 0.05, None, rng.choice([f"o{i}" for i in range(orders)], rows)),
            "product": np.where(rng.random(rows) < 0.05, None, rng.choice([f"p{i}" for i in range(items)], rows)),
            "amount": rng.choice([-1.0, 1.0, 2.0, np.nan], rows, p=[0.2, 0.4, 0.3, 0.1]),
            "at": OPENING + pd.to_timedelta(rng.integers(0, 12, rows) * DAY // 2, unit="s"),
            "text": np.where(rng.random(rows) < 0.5, None, rng.choice(["red", "blue", "green"], rows)),
        }
    )


def tables(**derived):
    return {
        "products": {"derived": {"kind": "first_rows", "table": "lines", "key": "product", "values": ["text"]}},
        "lines": {"source": "lines.parquet", "time_column": "at", "foreign_keys": {"product": "products"}},
        "pairs": {
            "derived": {"kind": "pairs", "table": "lines", "group": "order", "item": "product", **derived},
            "foreign_keys": {"item": "products", "other": "products"},
        },
    }


def derive(spark, rows, table, **derived):
    """The derived table as pandas, from rows in two partitions."""
    graph = table_graph(build_tables(tables(**derived)), {})
    return derived_rows(graph.table(table), {"lines": frame(spark, rows)}, graph).toPandas()


def by_hand(rows, within=None, most=100, count=1):
    rows = rows.dropna(subset=["order", "product"]).drop_duplicates(["order", "product", "at"])
    reach = pd.Timedelta(days=within or 1000)
    found = []
    for _, own in rows.groupby("order"):
        own = own.sort_values(["at", "product"]).reset_index(drop=True)
        for i, row in own.iterrows():
            near = own[(own["at"] <= row["at"]) & (own["at"] >= row["at"] - reach)]
            if len(near) > most:
                continue
            found += [
                (one, other, row["at"])
                for name in near["product"][near.index < i]
                if name != row["product"]
                for one, other in ((name, row["product"]), (row["product"], name))
            ]
    frame = pd.DataFrame(found, columns=["item", "other", "at"]).sort_values("at", kind="stable")
    frame = frame[frame.groupby(["item", "other"]).cumcount() >= count - 1]
    return sorted(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("seed", "derived", "wanted"),
    [
        (0, {}, {}),
        (1, {"within_days": 1.5}, {"within": 1.5}),
        (2, {"max_group": 6, "min_count": 3}, {"most": 6, "count": 3}),
        (3, {"within_days": 2, "max_group": 4, "min_count": 2}, {"within": 2, "most": 4, "count": 2}),
    ],
)
def test_pairs_equal_a_self_join(spark, seed, derived, wanted):
    rows = lines(seed)
    found = derive(spark, rows, "pairs", **derived)
    found["at"] = found["at"].dt.tz_localize(spark.conf.get("spark.sql.session.timeZone")).dt.tz_convert("UTC")
    expected = by_hand(rows, **wanted)
    assert sorted(found.itertuples(index=False, name=None)) == expected and len(expected) > 5
    assert {(b, a, t) for a, b, t in expected} == set(expected)


def test_what_comes_later_changes_no_pair_of_before(spark):
    """With every bound at work, the pairs up to a time are those of the rows up to it."""
    rows, cut = lines(5, rows=120), OPENING + pd.Timedelta(days=3)
    options = {"within_days": 2, "max_group": 5, "min_count": 2}
    whole, part = (derive(spark, own, "pairs", **options) for own in (rows, rows[rows["at"] <= cut]))
    whole = whole[whole["at"] <= cut.tz_convert(spark.conf.get("spark.sql.session.timeZone")).tz_localize(None)]
    assert sorted(whole.itertuples(index=False)) == sorted(part.itertuples(index=False)) and len(part)


def test_pairs_of_rows_that_meet_conditions(spark):
    rows = lines(6)
    conditions = [
        {"column": "amount", "operator": ">", "value": 0},
        {"column": "product", "operator": "<", "value": "p5"},
    ]
    found = derive(spark, rows, "pairs", conditions=conditions)
    expected = by_hand(rows[(rows["amount"] > 0) & (rows["product"].fillna("z") < "p5")])
    assert sorted(found[["item", "other"]].itertuples(index=False, name=None)) == sorted(e[:2] for e in expected)


def test_positions_do_not_depend_on_the_batches(monkeypatch):
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 5, 60))
    times = rng.integers(0, 9, 60)
    times = times[np.lexsort((times, groups))]
    items = rng.integers(0, 6, 60)
    found = {}
    for size in (1, 7, 1 << 20):
        monkeypatch.setattr("gnnscale.etl.derived.pair_rows.BATCH", size)
        found[size] = np.concatenate([np.stack(p) for p in pair_positions(groups, items, times, 3, 20)], axis=1)
    assert found[1].shape[1] > 50
    assert all((pairs == found[1]).all() for pairs in found.values())


def test_first_rows_have_the_earliest_value_that_is_there(spark):
    rows = lines(7)
    found = derive(spark, rows, "products").set_index("product")["text"]
    known = rows.dropna(subset=["product"])
    texts = known.dropna(subset=["text"]).sort_values(["at", "text"]).groupby("product")["text"].first()
    assert set(found.index) == set(known["product"])
    assert found.dropna().to_dict() == texts.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": {"foreign_keys": {"item": "products"}}}, "foreign_keys must name the table of the items for both"),
        ({"pairs": {"source": "x.parquet"}}, "give source or derived, not both"),
        ({"pairs": {"time_column": "when"}}, "events at time_column 'at'"),
        ({"products": {"primary_key": "order"}}, "its primary_key is 'product'"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(change, message):
    content = tables()
    for table, keys in change.items():
        content[table] |= keys
    with pytest.raises(SchemaError, match=message):
        table_graph(build_tables(content), {})


def test_unknown_keys_of_derived_tables_name_the_nearest():
    with pytest.raises(ConfigError, match=r"'tables.pairs.derived.within_day'.*within_days"):
        build_tables(tables(within_day=3))


def test_conditions_with_several_values_go_with_in():
    with pytest.raises(SchemaError, match="several values go with 'in'"):
        table_graph(build_tables(tables(conditions=[{"column": "product", "value": ["a", "b"]}])), {})


def test_a_table_or_column_that_is_not_there_is_named(spark):
    rows = {"lines": frame(spark, lines(0))}
    for change, message in (({"table": "line"}, "no rows of its own"), ({"group": "ordr"}, "no column 'ordr'. Did")):
        graph = table_graph(build_tables(tables(**change)), {})
        with pytest.raises(SchemaError, match=message):
            derived_rows(graph.table("pairs"), rows, graph)


def retail(folder):
    """A few lines in the columns of Online Retail II."""
    rows = pd.DataFrame(
        {
            "Invoice": ["489434", "489434", "489435"],
            "StockCode": ["85048", "79323P", "POST"],
            "Description": ["GLASS BALL", "PINK CHERRY LIGHTS", "POSTAGE"],
            "Quantity": [12, 12, 1],
            "InvoiceDate": ["2009-12-01 07:45:00", "2009-12-01 07:45:00", "2009-12-01 07:46:00"],
            "Price": [6.95, 6.75, 18.0],
            "Customer ID": [13085.0, 13085.0, None],
            "Country": ["United Kingdom"] * 3,
        }
    )
    rows.to_parquet(folder / "lines.parquet")
    return f"tables.lines.source={folder / 'lines.parquet'}"


def test_the_recipe_of_a_shop_fits_the_columns_of_its_file(tmp_path, spark):
    settings = load_settings("co_purchase", [retail(tmp_path)])
    query = check_inputs(settings)
    assert query.ranks_own_table and query.target.name == "items" and query.entity_embeddings == "items_as_entity"
    graph = table_graph(settings.tables, {})
    frames = {"lines": spark.read.parquet(str(tmp_path / "lines.parquet"))}
    items = derived_rows(graph.table("items"), frames, graph).toPandas()
    assert sorted(items["StockCode"]) == ["79323P", "85048"]
    pairs = derived_rows(graph.table("bought_together"), frames, graph).toPandas()
    assert sorted(zip(pairs["item"], pairs["other"], strict=True)) == [("79323P", "85048"), ("85048", "79323P")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tables.bought_together.derived.item=Stock", "no column 'Stock'.*StockCode"),
        ("tables.bought_together.derived.table=line", "which has no rows.*lines"),
        ("tables.lines.time_column=null", "pairs are stamped, and 'lines' has no time_column"),
    ],
)
def test_what_does_not_fit_is_told_before_spark_starts(tmp_path, change, message):
    with pytest.raises(SchemaError, match=message):
        check_inputs(load_settings("co_purchase", [retail(tmp_path), change]))
