"""Tables that nobody has described get their keys and times by the names of their columns."""

import gzip
import shutil
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.config import build_graph_schema, build_settings
from gnnscale.config.discover import discover_tables
from gnnscale.lake import Lake, column_kinds, find_source, tell_once
from gnnscale.schema import LakeError, SchemaError

AT = pa.array([datetime(2024, 1, 1)])
DAY = pa.array([date(2024, 1, 1)])
OWN_COLUMNS = (
    *("key", "node_id", "time", "source", "target", "entity", "anchor_time", "split"),
    *("past", "method", "scores"),
)
"""Of tables that gnnscale writes."""


def lake_of(folder: Path, **tables: dict) -> Lake:
    folder.mkdir(exist_ok=True)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return Lake(folder)


def test_parquet_csv_and_delta_are_found_and_what_gnnscale_made_is_not(tmp_path):
    lake = lake_of(tmp_path, users={"user_id": [1], "age": [30]})
    (tmp_path / "visits.csv").write_text("user_id,visited_at\n1,2024-01-31 12:00:00\n")
    (tmp_path / "notes.txt").write_text("nothing")
    lake.write("orders", pa.table({"order_id": [1], "user_id": [1], "ordered_at": AT}))
    own = ("labels_q", "predictions_q", "holdout_q", "past_q", "methods_q", "features_q")
    for made in ("nodes_users", "ids_users", "edges_orders_user_id", *own):
        lake.write(made, pa.table({name: [1] for name in OWN_COLUMNS}))
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


def test_every_form_of_a_table_is_found_and_what_is_left_out_is_told(tmp_path, caplog):
    lake = lake_of(tmp_path, users={"user_id": [1]})
    (tmp_path / "users.csv").write_text("user_id\n2\n")
    lake.write("labels_crm", pa.table({"label_id": [1], "user_id": [1]}))
    for name in ("visits.tsv", "notes.csv.gz", "calls.jsonl", "order-items.ndjson"):
        text = '{"user_id": 1}\n' if "json" in name or "jsonl" in name else "user_id\n1\n"
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    for folder in ("days/day=1", "plain", "texts", "empty", "_aside"):
        (tmp_path / folder).mkdir(parents=True)
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "days" / "day=1" / "part.parquet")
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "plain" / "000000_0")
    (tmp_path / "texts" / "readme.txt").write_text("nothing")
    tell_once.cache_clear()
    found = discover_tables(lake)
    assert list(found) == ["calls", "days", "labels_crm", "notes", "order_items", "plain", "users", "visits"]
    assert found["users"]["source"].endswith("users.parquet")
    assert "users.csv is left out: table 'users' is taken from" in caplog.text


def test_a_lake_within_a_lake_is_no_table_and_needs_no_word(tmp_path, caplog):
    lake = lake_of(tmp_path, users={"user_id": [1]})
    inner = Lake(tmp_path / "interactions")
    for name in ("predictions_interactions", "newcomers_interactions"):
        inner.write(name, pa.table({"user": [1]}))
    inner.write_record("evaluation_interactions", {})
    tell_once.cache_clear()
    assert list(discover_tables(lake)) == ["users"]
    assert not caplog.text


KEYS = {
    "id": ("users", "id"),
    "singular": ("users", "user_id"),
    "plural": ("users", "users_id"),
    "without a line": ("users", "UserID"),
    "ies": ("companies", "company_id"),
    "es": ("boxes", "box_key"),
    "irregular": ("people", "person_id"),
    "in one word": ("driver_standings", "driverStandingsId"),
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


MILLIS = [1_706_659_200_000, 1_706_659_300_000]
NUMBERS = {
    "seconds": ({"timestamp": [881_250_949, 891_250_949]}, "timestamp"),
    "milliseconds": ({"createdAt": MILLIS}, "createdAt"),
    "a span": ({"watch_time": [5, 3_600]}, None),
    "another name": ({"phone": [1_706_659_200, 1_706_659_300]}, None),
}


@pytest.mark.parametrize(("columns", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_whole_numbers_are_times_where_name_and_value_say_so(tmp_path, columns, expected):
    assert discover_tables(lake_of(tmp_path, rows=columns))["rows"].get("time_column") == expected


def test_links_follow_from_plurals_and_words_without_lines(tmp_path):
    lake = lake_of(
        tmp_path,
        companies={"id": [1]},
        people={"id": [1]},
        driver_standings={"driverStandingsId": [1]},
        facts={"company_id": [1], "personId": [1], "driver_standings_id": [1]},
    )
    content = {"recipe": "r", "lake": {"uri": "x"}, "query": {"name": "q", "text": "PREDICT"}}
    graph = build_graph_schema(build_settings({**content, "tables": discover_tables(lake)}))
    columns = {"facts": ["company_id", "personId", "driver_standings_id"]}
    assert {link.parent for link in graph.infer_links(columns)} == {"companies", "people", "driver_standings"}


def test_keys_that_are_not_found_are_told_with_the_setting_that_says_them(tmp_path):
    lake = lake_of(tmp_path, users={"user_id": [1]}, products={"product": ["a"]}, tags={"tag": ["a"]})
    lake_of(tmp_path, sales={"user_id": [1], "item": ["a"]})
    content = {"recipe": "r", "lake": {"uri": "x"}, "query": {"name": "q", "text": "PREDICT"}}
    tables = discover_tables(lake)
    kinds = {name: column_kinds(find_source(name, table["source"])) for name, table in tables.items()}
    graph = build_graph_schema(build_settings({**content, "tables": tables}), kinds)
    graph.infer_links(kinds)
    with pytest.raises(
        SchemaError, match=r"products: none, .*users: user_id.*tables\.products\.primary_key=product or"
    ):
        graph.validate()


def test_of_a_log_that_names_rows_by_words_no_time_is_proposed_as_its_key(tmp_path):
    lake = lake_of(tmp_path, shows={"show_id": ["a"], "genre": ["b"]})
    lake_of(tmp_path, plays={"listener": ["x"], "show": ["a"], "played_at": AT})
    content = {"recipe": "r", "lake": {"uri": "x"}, "query": {"name": "q", "text": "PREDICT"}}
    tables = discover_tables(lake)
    kinds = {name: column_kinds(find_source(name, table["source"])) for name, table in tables.items()}
    graph = build_graph_schema(build_settings({**content, "tables": tables}), kinds)
    graph.infer_links(kinds)
    with pytest.raises(SchemaError, match=r"no links: .*say what is so, as in tables.plays.foreign_keys.show=shows$"):
        graph.validate()


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
    for place, says in ((tmp_path, "neither a graph nor tables"), (tmp_path / "none", "there is no folder .*none")):
        with pytest.raises(LakeError, match=says):
            discover_tables(Lake(place))


def test_a_table_without_rows_is_left_out_and_told(tmp_path, caplog):
    lake = lake_of(tmp_path, users={"user_id": [1]}, visits={"visit_id": [1], "user_id": [1], "visited_at": AT})
    pq.write_table(pa.table({"stay_id": pa.array([], pa.int64())}), tmp_path / "stays.parquet")
    (tmp_path / "bookings").mkdir()
    for name, rows in (("a", []), ("b", [7])):
        pq.write_table(pa.table({"booking_id": pa.array(rows, pa.int64())}), tmp_path / "bookings" / f"{name}.parquet")
    assert set(discover_tables(lake)) == {"users", "visits", "bookings"}
    assert "table 'stays' has no rows and is left out" in caplog.text and "bookings' has" not in caplog.text
    with pytest.raises(LakeError, match="has a row"):
        discover_tables(lake_of(tmp_path / "none", empty={"a": pa.array([], pa.int64())}))


def test_a_name_with_spaces_is_read_as_one_with_underscores_and_quoted_in_advice(tmp_path):
    times = {"Registered At": AT, "Born": AT}
    pq.write_table(pa.table({"animal_id": [1], **times}), tmp_path / "animals.parquet")
    assert discover_tables(Lake(tmp_path))["animals"]["time_column"] == "Registered At"
    pq.write_table(pa.table({"animal_id": [1], **times, "seen at": AT}), tmp_path / "animals.parquet")
    with pytest.raises(SchemaError, match=r"as in 'tables\.animals\.time_column=Registered At'$"):
        discover_tables(Lake(tmp_path))


def test_what_a_killed_run_has_not_committed_is_no_table(tmp_path, caplog):
    lake = lake_of(tmp_path, users={"user_id": [1, 2]}, orders={"order_id": [1], "user_id": [1], "ordered_at": AT})
    for name in ("ids_users", "nodes_users", "edges_orders_user_id"):
        lake.write(name, pa.table({column: [1] for column in OWN_COLUMNS}))
        shutil.rmtree(tmp_path / name / "_delta_log")
    # One file was being written.
    cut = tmp_path / "nodes_users" / "part-00000-cut.parquet"
    cut.write_bytes(b"PAR1")
    assert set(discover_tables(lake)) == {"users", "orders"} and not caplog.records
    shutil.rmtree(tmp_path / "nodes_users")
    cut.parent.mkdir()
    cut.write_bytes(b"PAR1")
    (tmp_path / "visits").mkdir()
    assert set(discover_tables(lake)) == {"users", "orders"}
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "nodes_users is left out: it is called like a table of gnnscale and has no whole file" in told
    assert "visits is left out: it has no files" in told
    # A user's own folder that is called like one of ours.
    pq.write_table(pa.table({"user_id": [1], "ordered_at": AT}), tmp_path / "labels.parquet")
    (tmp_path / "labels_crm").mkdir()
    pq.write_table(pa.table({"user_id": [1], "label": ["x"]}), tmp_path / "labels_crm" / "part-0.parquet")
    assert "labels_crm" in discover_tables(lake)
