"""Tables that nobody has described get their keys and times by the names of their columns."""

from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.config import build_graph_schema, build_settings
from gnnscale.config.discover import discover_tables
from gnnscale.lake import Lake
from gnnscale.schema import LakeError, SchemaError

AT = pa.array([datetime(2024, 1, 1)])
DAY = pa.array([date(2024, 1, 1)])


def lake_of(folder: Path, **tables: dict) -> Lake:
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return Lake(folder)


def test_parquet_csv_and_delta_are_found_and_what_gnnscale_made_is_not(tmp_path):
    lake = lake_of(tmp_path, users={"user_id": [1], "age": [30]})
    (tmp_path / "visits.csv").write_text("user_id,visited_at\n1,2024-01-31 12:00:00\n")
    (tmp_path / "notes.txt").write_text("nothing")
    lake.write("orders", pa.table({"order_id": [1], "user_id": [1], "ordered_at": AT}))
    for made in ("nodes_users", "ids_users", "edges_orders_user_id", "labels_q", "predictions_q", "holdout_q"):
        lake.write(made, pa.table({"id": [1]}))
    tables = discover_tables(lake)
    assert tables == {
        "orders": {
            "source": lake.table_uri("orders"),
            "primary_key": "order_id",
            "time_column": "ordered_at",
        },
        "users": {"source": str(tmp_path / "users.parquet"), "primary_key": "user_id"},
        "visits": {"source": str(tmp_path / "visits.csv"), "time_column": "visited_at"},
    }
    # They are a section of a configuration, from whose names links follow.
    content = {"recipe": "r", "lake": {"uri": "x"}, "query": {"name": "q", "text": "PREDICT"}, "tables": tables}
    graph = build_graph_schema(build_settings(content))
    graph.infer_links({"users": ["user_id"], "visits": ["user_id"], "orders": ["order_id", "user_id"]})
    assert {link.name for link in graph.links} == {"orders.user_id", "visits.user_id"}


KEYS = {
    "id": ("users", "id"),
    "singular": ("users", "user_id"),
    "plural": ("users", "users_id"),
    "without a line": ("users", "UserID"),
    "ies": ("companies", "company_id"),
    "es": ("boxes", "box_key"),
    "another's": ("users", "order_id"),
    "no key": ("users", "name"),
}


@pytest.mark.parametrize(("table", "column"), KEYS.values(), ids=KEYS)
def test_a_key_is_seen_by_its_name(tmp_path, table, column):
    found = discover_tables(lake_of(tmp_path, **{table: {column: [1], "x": [2]}}))[table]
    assert found.get("primary_key") == (None if column in ("order_id", "name") else column)


TIMES = {
    "the only one": ({"created": AT}, "created"),
    "a day": ({"start_date": DAY}, "start_date"),
    "one that says nothing": ({"birthday": DAY}, None),
    "a text": ({"created": ["2024-01-01"]}, None),
    "the likely one of several": ({"birthday": DAY, "joined": AT, "left": AT}, "joined"),
    "the one of two that is no end": ({"created_at": AT, "churned_at": AT}, "created_at"),
    "none": ({"x": [1]}, None),
}


@pytest.mark.parametrize(("columns", "expected"), TIMES.values(), ids=TIMES)
def test_a_time_is_seen_by_its_name(tmp_path, columns, expected):
    assert discover_tables(lake_of(tmp_path, rows=columns))["rows"].get("time_column") == expected


KEY = [1]
EVENTS = {
    "any name, in a table with a foreign key": ("events", {"user_id": KEY, "dt": AT}, "dt"),
    "of rows with a key, too": ("events", {"event_id": KEY, "user_id": KEY, "dt": AT}, "dt"),
    "an end that is all that is known of an event": ("events", {"user_id": KEY, "ended": AT}, "ended"),
    "any name, in a table without": ("shops", {"shop_id": KEY, "dt": AT}, None),
    "an end of rows with a key": ("shops", {"shop_id": KEY, "closed_at": AT}, None),
    "an end of rows with both keys": ("members", {"member_id": KEY, "user_id": KEY, "valid_until": DAY}, None),
    "a churn": ("members", {"member_id": KEY, "churned_at": AT}, None),
    "an end in camel case": ("members", {"member_id": KEY, "contractEndDate": DAY}, None),
    "what only sounds like an end": ("members", {"member_id": KEY, "attended_at": AT}, "attended_at"),
    "a birth": ("members", {"member_id": KEY, "user_id": KEY, "birthday": DAY}, None),
    "a likely one": ("shops", {"shop_id": KEY, "opened_at": AT}, "opened_at"),
}


@pytest.mark.parametrize(("table", "columns", "expected"), EVENTS.values(), ids=EVENTS)
def test_the_only_time_of_events_is_their_time_and_no_end_is(tmp_path, table, columns, expected):
    lake = lake_of(tmp_path, users={"user_id": KEY, "age": [30]}, **{table: columns})
    assert discover_tables(lake)[table].get("time_column") == expected


def test_a_foreign_key_that_is_declared_makes_events_of_a_table(tmp_path):
    lake = lake_of(tmp_path, users={"user_id": KEY}, events={"buyer": KEY, "dt": AT})
    assert "time_column" not in discover_tables(lake)["events"]
    assert discover_tables(lake, ["tables.events.foreign_keys.buyer=users"])["events"]["time_column"] == "dt"


@pytest.mark.parametrize("columns", [{"made_at": AT, "sent_at": AT}, {"birthday": DAY, "left": AT}])
def test_several_columns_that_could_be_the_time_must_be_told_apart(tmp_path, columns):
    lake = lake_of(tmp_path, rows=columns)
    first, second = columns
    with pytest.raises(SchemaError, match=rf"'rows'.*{first}, {second}.*tables\.rows\.time_column={first}"):
        discover_tables(lake)
    assert "time_column" not in discover_tables(lake, [f"tables.rows.time_column={second}"])["rows"]


def test_an_empty_lake_is_an_error_that_says_what_to_put_there(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(LakeError, match="neither a graph nor tables"):
            discover_tables(Lake(place))
