"""Both ends of a link match by value or not at all, whatever their types, in checks, ids, edges and predictions."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from gnnscale.config import bind_query, build_settings
from gnnscale.etl.checks.checks import check_links, check_tables
from gnnscale.etl.checks.isolated import count_isolated
from gnnscale.etl.checks.key_checks import check_keys
from gnnscale.etl.graph.extend import extend_graph
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.label_stage import build_labels
from gnnscale.etl.labels.own_examples import write_examples
from gnnscale.etl.nodes.write_nodes import number_keys, raw_keys
from gnnscale.inference import query_population, read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import DataError, Link, Table
from tests.etl.frames import raw_table

D38, D10 = pa.decimal128(38, 0), pa.decimal128(10, 2)
BIG = 1_234_567_890_123_456_704
UUIDS = [uuid.UUID(int=i * 7919).bytes for i in range(4)]


DAYS = [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3), date(1950, 1, 1)]
NOONS = [datetime(2024, 1, i, 12) for i in (1, 2, 3, 4)]
ZONED = [noon.replace(tzinfo=UTC) for noon in NOONS]


@pytest.mark.parametrize(
    ("keys", "named", "matched"),
    [
        ([1.0, 2.0, 3.0], [1, 2, 9, None], [1, 2]),
        (pa.array([1.0, 2.0, 3.0], pa.float32()), pa.array([1, 2, 9, None], pa.int32()), [1, 2]),
        ([1, 2, 3], [1.0, 2.0, 9.5, float("nan")], [1, 2]),
        (pa.array([1, 2, 3], D38), pa.array([1, 2, Decimal("1.4"), None], D10), [1, 2]),
        ([1, 2, 3], pa.array([1, 2, Decimal("1.4"), None], D10), [1, 2]),
        ([BIG, BIG + 1, BIG + 2], pa.array([BIG, BIG + 2, BIG - 1, None], D38), [BIG, BIG + 2]),
        (pa.array([BIG, BIG + 1, BIG + 2], D38), [BIG, BIG + 2, BIG - 1, None], [BIG, BIG + 2]),
        (pa.array([1, 2, 3], D10), [1.0, 2.0, 1.4, float("nan")], [1, 2]),
        (pa.array(UUIDS[:3], pa.binary()), pa.array([*UUIDS[:2], UUIDS[3], None]), UUIDS[:2]),
        (DAYS[:3], [*DAYS[:2], DAYS[3], None], DAYS[:2]),
        (NOONS[:3], [*ZONED[:2], ZONED[3], None], ZONED[:2]),
    ],
    ids=[
        "double",
        "float",
        "to-long",
        "decimal",
        "fraction",
        "wide",
        "wider",
        "double-decimal",
        "binary",
        "date",
        "time",
    ],
)
def test_checks_and_ids_agree_on_what_matches(spark, tmp_path, keys, named, matched):
    raw = {
        "parents": raw_table(spark, Table("parents", primary_key="k"), k=keys),
        "rows": raw_table(spark, Table("rows"), fk=named, number=range(len(named))),
    }
    link = Link("rows", "fk", "parents")
    check_keys(raw, [link])
    assert check_tables(raw)["parents"].rows == 3
    (found,) = check_links(raw, [link], {"parents": 3}, 0.1)
    assert (found.edges, found.dangling, found.nulls, found.parents_matched) == (2, 1, 1, 2)
    with pytest.raises(DataError, match=r"rows\.fk matches 2 of 3 keys .*, such as "):
        check_links(raw, [link], {"parents": 3}, 0.9)
    assert count_isolated(raw, [found, found])["parents"] == 1
    lake = Lake(tmp_path)
    ids = raw_keys(
        lake, raw["parents"], number_keys(lake, "parents", raw["parents"].frame, "k", 3, str(tmp_path / "c")), 3
    )
    physical = raw["rows"].frame.schema["fk"].dataType
    rows = raw["rows"].frame.select("number", ids.find(F.col("fk"), physical).alias("node")).toArrow().to_pydict()
    nodes = [node for _, node in sorted(zip(rows["number"], rows["node"], strict=True))]
    known = read_keys(lake, "parents").to_pylist()
    assert len(known) == 3 and None not in known
    assert nodes[2:] == [None, None]
    assert [known[node] for node in nodes[:2]] == matched


@pytest.mark.parametrize(
    ("keys", "named", "message"),
    [
        ([1, 2], [1.0, 2.0**53], r"foreign key rows\.fk: 1 values are no exact keys, such as 9007199254740992\.0"),
        ([1, 2], [1.0, 2.0**53], r"a column of double holds whole numbers below 9,007,199,254,740,992"),
        ([1, 2], pa.array([1.0, 2.0**24], pa.float32()), r"rows\.fk: 1 values .*float holds .* below 16,777,216"),
        ([1.0, 2.5], [1, 2], r"primary key parents\.k: 1 values are no exact keys, such as 2\.5"),
        ([1.0, 2.0**60], [1, 2], r"primary key parents\.k: 1 values are no exact keys"),
    ],
)
def test_inexact_keys_are_refused_by_name(spark, keys, named, message):
    raw = {
        "parents": raw_table(spark, Table("parents", primary_key="k"), k=keys),
        "rows": raw_table(spark, Table("rows"), fk=named),
    }
    with pytest.raises(DataError, match=message):
        check_keys(raw, [Link("rows", "fk", "parents")])


def lake_content(folder):
    """Users by a float (as pandas makes of a column with a null), items by binary, shops by decimal, days by date."""
    rng, start = np.random.default_rng(0), datetime(2024, 1, 1, tzinfo=UTC)
    tables = {
        "users": {"user_id": pa.array(range(1, 13), pa.float64()), "age": pa.array(range(20, 32))},
        "items": {"item_id": pa.array(UUIDS), "price": pa.array([1.5, 2.5, 3.5, 4.5])},
        "shops": {"shop_id": pa.array([BIG, BIG + 1, BIG + 2], D38), "size": pa.array([1, 2, 3])},
        "days": {
            "day": pa.array([(start + timedelta(i)).date() for i in range(60)]),
            "holiday": pa.array([i % 7 == 0 for i in range(60)]),
        },
    }
    times = [start + timedelta(days=i / 4) for i in range(240)]
    users = [float(u) for u in rng.integers(1, 13, 240)]
    users[::24] = [float("nan"), None] * 5
    # Who comes later.
    users[5] = 13.0
    tables["events"] = {
        "user_id": pa.array(users),
        "item_id": pa.array([UUIDS[i] for i in rng.integers(0, 4, 240)]),
        "shop_id": pa.array([BIG + int(i) for i in rng.integers(0, 3, 240)]),
        "day": pa.array([time.date() for time in times]),
        "amount": pa.array(rng.random(240)),
        "at": pa.array(times),
    }
    (folder / "raw").mkdir()
    keys = {"users": "user_id", "items": "item_id", "shops": "shop_id", "days": "day"}
    sections = {}
    for name, columns in tables.items():
        (folder / "raw" / name).mkdir()
        pq.write_table(pa.table(columns), folder / "raw" / name / "part-0.parquet")
        sections[name] = {"source": str(folder / "raw" / name)}
        sections[name] |= {"primary_key": keys[name]} if name in keys else {"time_column": "at"}
    content = {
        "recipe": "kinds",
        "lake": {"uri": str(folder / "lake")},
        "tables": sections,
        "query": {"name": "q", "text": "PREDICT SUM(events.amount, 0, 7, days) FOR EACH users.user_id"},
    }
    return content, {name: pa.table(columns) for name, columns in tables.items()}


def test_a_graph_of_keys_of_every_kind(spark, tmp_path):
    content, raw = lake_content(tmp_path)
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    manifest = build_graph(spark, lake, settings)
    events = raw["events"].to_pandas()
    links = {link.link.name: link for link in manifest.links}
    assert (links["events.user_id"].edges, links["events.user_id"].dangling, links["events.user_id"].nulls) == (
        229,
        1,
        10,
    )
    assert {links[f"events.{key}"].edges for key in ("item_id", "shop_id", "day")} == {240}
    for table, key in (("users", "user_id"), ("items", "item_id"), ("shops", "shop_id"), ("days", "day")):
        known = read_keys(lake, table).to_pylist()
        edges = lake.read(f"edges_events_{key}").to_pandas()
        named = lake.read("nodes_events").to_pandas().set_index("node_id")
        assert len(edges) == links[f"events.{key}"].edges
        # The sums of each parent's events are those of the raw rows.
        amounts = named["raw_amount"].loc[edges["source"]].to_numpy()
        got = dict.fromkeys(known, 0.0)
        for target, amount in zip(edges["target"], amounts, strict=True):
            got[known[target]] += amount
        want = events[events[key] != 13.0].dropna(subset=[key]).groupby(key)["amount"].sum()
        assert {k: pytest.approx(v) for k, v in want.items()} == {k: v for k, v in got.items() if v}
        nodes = lake.read(f"nodes_{table}").sort_by("node_id")
        assert nodes["key"].to_pylist() == known
    assert read_keys(lake, "users").type == pa.int64()
    assert sum(build_labels(spark, lake, settings, manifest).values()) > 50

    def asked(text):
        query = PredictiveQuery(bind_query(settings, manifest).graph, text)
        return [read_keys(lake, query.entity.name)[int(n)].as_py() for n in query_population(lake, query, "q")]

    assert asked("PREDICT SUM(events.amount, 0, 7, days) FOR users.user_id IN (3, 5)") in ([3, 5], [5, 3])
    assert asked(f"PREDICT SUM(events.amount, 0, 7, days) FOR shops.shop_id = {BIG + 1}") == [BIG + 1]
    assert asked("PREDICT SUM(events.amount, 0, 7, days) FOR days.day = '2024-01-03'") == [date(2024, 1, 3)]
    assert asked(f"PREDICT SUM(events.amount, 0, 7, days) FOR items.item_id = '{UUIDS[2].hex()}'") == [UUIDS[2]]

    assert PredictiveQuery(
        bind_query(settings, manifest).graph,
        "PREDICT LIST_DISTINCT(events.item_id, 0, 7, days) RANK TOP 2 FOR EACH users.user_id",
    ).task_type.predicts_links

    # A person's own examples name the same keys, whatever their type.
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (10, 20, 30)]
    given = pa.table({"user_id": [1.0, 2.0, 3.0], "anchor_time": days, "target": [1.0, 2.0, 3.0]})
    pq.write_table(given, tmp_path / "examples.parquet")
    own = build_settings(content | {"query": {**content["query"], "examples": str(tmp_path / "examples.parquet")}})
    write_examples(lake, own, manifest)
    known = read_keys(lake, "users").to_pylist()
    assert [known[n] for n in lake.read("labels_q").sort_by("anchor_time")["entity"].to_pylist()] == [1, 2, 3]

    # A user that came later is found by the row that named it before, and by new ones.
    pq.write_table(pa.table({"user_id": [13.0], "age": [40]}), tmp_path / "raw" / "users" / "part-1.parquet")
    more = raw["events"].slice(1, 3).set_column(0, "user_id", pa.array([13.0, 1.0, float("nan")]))
    later = pa.array([time + timedelta(days=60) for time in more["at"].to_pylist()], more["at"].type)
    pq.write_table(more.set_column(5, "at", later), tmp_path / "raw" / "events" / "part-1.parquet")
    extended = extend_graph(spark, lake, settings)
    (link,) = [link for link in extended.links if link.link.name == "events.user_id"]
    assert (link.edges, link.dangling, link.nulls, link.parents) == (232, 0, 11, 13)
    edges = lake.read("edges_events_user_id").to_pandas()
    assert (edges["target"] == read_keys(lake, "users").to_pylist().index(13)).sum() == 2
