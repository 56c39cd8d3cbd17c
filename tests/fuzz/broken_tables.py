"""A shop whose tables are broken in ways that are drawn, and what is right for it."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake

USERS, ITEMS, EVENTS, DAYS = 12, 8, 240, 60
START = pd.Timestamp("2024-01-01")
QUERY = "PREDICT COUNT(events.*, 0, 7, days) FOR EACH users.user_id"
WINDOW = 7 * 86_400
QUESTIONS = (
    QUERY,
    "PREDICT COUNT(events.*, 0, 7, days) = 0 FOR EACH users.user_id WHERE COUNT(events.*, -30, 0, days) > 0",
    "PREDICT SUM(events.amount, 0, 7, days) FOR EACH users.user_id",
    "PREDICT AVG(events.amount, 0, 14, days) FOR EACH users.user_id",
    "PREDICT FIRST(events.item_id, 0, 7, days) RANK TOP 2 FOR EACH users.user_id",
    "PREDICT LIST_DISTINCT(events.item_id, 0, 7, days) RANK TOP 3 FOR EACH users.user_id",
    "PREDICT users.age FOR EACH users.user_id",
    "PREDICT users.city FOR EACH users.user_id",
)
"""One of every kind of task; the first is the one whose labels are counted."""


@dataclass
class Shop:
    """Tables as Arrow, how each is written, and what may be said of them.

    Args:
        tables: name -> rows.
        form: table -> how it is written.
        refusable: what may be refused; without any, the shop must be taken.
        refused: what must be.
        user_keys: keys of the users as whole numbers or text, in the rows' order.
        event_users: of each event its user as such, None for no one.
        event_times: epoch seconds of each event.
    """

    tables: dict[str, pa.Table]
    user_keys: list[object]
    event_users: list[object]
    event_times: np.ndarray
    form: dict[str, str] = field(default_factory=dict)
    refusable: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def column(self, table: str, name: str, values: pa.Array | None) -> None:
        """Put a column in the place of another, or leave it out."""
        rows = self.tables[table]
        place = rows.column_names.index(name) if name in rows.column_names else -1
        if values is None:
            self.tables[table] = rows.drop_columns([name])
        elif place < 0:
            self.tables[table] = rows.append_column(name, values)
        else:
            self.tables[table] = rows.set_column(place, name, values)

    def plain(self, table: str, name: str) -> list:
        """The values of a column."""
        return self.tables[table][name].to_pylist()


def sound_shop(rng: np.random.Generator) -> Shop:
    """Users, items and events with nothing wrong."""
    users, items = np.arange(1, USERS + 1), np.arange(1, ITEMS + 1)
    bought, what = rng.choice(users, EVENTS), rng.choice(items, EVENTS)
    seconds = np.sort(rng.integers(0, DAYS * 86_400, EVENTS)) + int(START.timestamp())
    tables = {
        "users": pa.table(
            {"user_id": users, "age": rng.integers(18, 80, USERS), "city": rng.choice(["a", "b"], USERS)}
        ),
        "items": pa.table({"item_id": items, "price": rng.gamma(2.0, 5.0, ITEMS).round(2)}),
        "events": pa.table(
            {
                "user_id": bought,
                "item_id": what,
                "amount": rng.gamma(2.0, 3.0, EVENTS).round(2),
                "created_at": pa.array(seconds * 1_000_000, pa.timestamp("us")),
            }
        ),
    }
    return Shop(tables, users.tolist(), bought.tolist(), seconds)


Break = Callable[[Shop, np.random.Generator], None]
BREAKS: dict[str, Break] = {}


def breaks(function: Break) -> Break:
    """Register a way to break a shop, by its name."""
    BREAKS[function.__name__] = function
    return function


def _cast_keys(shop: Shop, table: str, column: str, kind: pa.DataType) -> None:
    if not pa.types.is_integer(shop.tables[table].schema.field(column).type):
        return
    known = shop.tables[table][column]
    cast = known.cast(kind, safe=False)
    if not cast.cast(known.type, safe=False).equals(known):
        # Keys that it can't hold match by value or not at all.
        shop.refusable.add(column)
    shop.column(table, column, cast)


@breaks
def float_primary_keys(shop, rng):
    _cast_keys(shop, "users", "user_id", pa.float64())


@breaks
def float32_foreign_keys(shop, rng):
    _cast_keys(shop, "events", "user_id", pa.float32())


@breaks
def unsigned_keys(shop, rng):
    _cast_keys(shop, "events", "user_id", pa.uint64())


@breaks
def small_keys(shop, rng):
    _cast_keys(shop, "users", "user_id", pa.int8())


@breaks
def decimal_keys(shop, rng):
    if pa.types.is_integer(shop.tables["events"].schema.field("user_id").type):
        values = [None if v is None else decimal.Decimal(v) for v in shop.plain("events", "user_id")]
        shop.column("events", "user_id", pa.array(values, pa.decimal128(24, 2)))


@breaks
def large_keys(shop, rng):
    """Neighbors that a double can't tell apart."""
    if all(pa.types.is_int64(shop.tables[t].schema.field("user_id").type) for t in ("users", "events")):
        far = 2**60

        def moved(values: list) -> list:
            return [None if v is None else v + far for v in values]

        for table in ("users", "events"):
            shop.column(table, "user_id", pa.array(moved(shop.plain(table, "user_id")), pa.int64()))
        shop.user_keys, shop.event_users = moved(shop.user_keys), moved(shop.event_users)


@breaks
def text_keys(shop, rng):
    kinds = [shop.tables[t].schema.field("user_id").type for t in ("users", "events")]
    if all(pa.types.is_integer(kind) for kind in kinds):
        marks = ["ä", " b", 'q"', "c,d", "0", "x\ty", "'", "%", "[1]", "#", "ß", "NULL", "-1"]

        def named(values: list) -> list:
            return [None if v is None else f"{marks[int(v) % len(marks)]}{v}" for v in values]

        for table in ("users", "events"):
            shop.column(table, "user_id", pa.array(named(shop.plain(table, "user_id")), pa.string()))
        shop.user_keys, shop.event_users = named(shop.user_keys), named(shop.event_users)


@breaks
def null_foreign_keys(shop, rng):
    lost = rng.random(EVENTS) < 0.2
    _events_of(shop, lost, None)


@breaks
def dangling_foreign_keys(shop, rng):
    if pa.types.is_integer(shop.tables["events"].schema.field("user_id").type):
        _events_of(shop, rng.random(EVENTS) < 0.2, 99)
        shop.event_users = [None if user == 99 else user for user in shop.event_users]


def _events_of(shop: Shop, which: np.ndarray, user: object) -> None:
    values = shop.plain("events", "user_id")
    if len(values) != len(which):
        return
    kind = shop.tables["events"].schema.field("user_id").type
    shop.column("events", "user_id", pa.array([user if w else v for w, v in zip(which, values, strict=True)], kind))
    shop.event_users = [user if w else v for w, v in zip(which, shop.event_users, strict=True)]


@breaks
def repeated_primary_key(shop, rng):
    shop.tables["users"] = pa.concat_tables([shop.tables["users"], shop.tables["users"].slice(0, 1)])
    shop.refused.add("users.user_id")


@breaks
def null_primary_key(shop, rng):
    values = shop.plain("users", "user_id")
    shop.column("users", "user_id", pa.array([None, *values[1:]], shop.tables["users"].schema.field("user_id").type))
    shop.refused.add("users.user_id")


@breaks
def no_rows(shop, rng):
    shop.tables["items"] = shop.tables["items"].slice(0, 0)
    shop.refused.add("items")


@breaks
def infinite_numbers(shop, rng):
    odd = [float("inf"), float("-inf"), float("nan"), 1e300, -1e300, 5e-324, None]
    count = shop.tables["events"].num_rows
    shop.column("events", "amount", pa.array([odd[i] for i in rng.integers(0, len(odd), count)], pa.float64()))


@breaks
def columns_of_nothing(shop, rng):
    for table in ("users", "events"):
        shop.column(table, "nothing", pa.nulls(shop.tables[table].num_rows, pa.float64()))
        shop.column(table, "always", pa.array(["one"] * shop.tables[table].num_rows))


@breaks
def nested_columns(shop, rng):
    count = shop.tables["events"].num_rows
    shop.column("events", "place", pa.array([{"x": 1, "y": [1, 2]}] * count))
    shop.column("users", "tags", pa.array([["a", "b"]] * shop.tables["users"].num_rows))


@breaks
def flags_and_decimals(shop, rng):
    count = shop.tables["events"].num_rows
    shop.column("events", "gift", pa.array([None if v < 0.3 else bool(v > 0.6) for v in rng.random(count)]))
    shop.column("events", "tax", pa.array([decimal.Decimal("1.25")] * count, pa.decimal128(38, 10)))


@breaks
def long_texts(shop, rng):
    texts = ["", " ", "x" * 5_000, "\u202eabc", "line\nbreak", 'said ""yes"", twice', "\\", "émoji 😀"]
    shop.column("items", "words", pa.array([texts[i] for i in rng.integers(0, 8, shop.tables["items"].num_rows)]))


def _times(shop: Shop, kind: pa.DataType) -> None:
    column = shop.tables["events"]["created_at"]
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        shop.column("events", "created_at", column.cast(kind, safe=False))


@breaks
def nanoseconds(shop, rng):
    _times(shop, pa.timestamp("ns"))


@breaks
def milliseconds(shop, rng):
    _times(shop, pa.timestamp("ms"))


@breaks
def zoned_times(shop, rng):
    _times(shop, pa.timestamp("us", tz="UTC"))


@breaks
def whole_days(shop, rng):
    _times(shop, pa.date32())
    if pa.types.is_date(shop.tables["events"].schema.field("created_at").type):
        shop.event_times = shop.event_times // 86_400 * 86_400


@breaks
def times_as_text(shop, rng):
    if pa.types.is_timestamp(shop.tables["events"].schema.field("created_at").type):
        words = [f"{dt.datetime.fromtimestamp(t, dt.UTC):%Y-%m-%d %H:%M:%S}" for t in shop.event_times]
        if len(words) == shop.tables["events"].num_rows:
            shop.column("events", "created_at", pa.array(words))
            shop.refusable.add("events")


@breaks
def epoch_milliseconds(shop, rng):
    if pa.types.is_timestamp(shop.tables["events"].schema.field("created_at").type):
        shop.column("events", "created_at", pa.array(shop.event_times * 1000))
        shop.refusable.add("created_at")


@breaks
def missing_times(shop, rng):
    values = shop.plain("events", "created_at")
    kind = shop.tables["events"].schema.field("created_at").type
    shop.column("events", "created_at", pa.array([None, None, *values[2:]], kind))
    shop.refusable.add("created_at")


@breaks
def ancient_times(shop, rng):
    column = shop.tables["events"].schema.field("created_at").type
    if pa.types.is_timestamp(column) and column.unit == "us":
        values = shop.plain("events", "created_at")
        shop.column("events", "created_at", pa.array([*values[:5], values[5].replace(year=1801), *values[6:]], column))
        shop.refusable.add("events")
        shop.event_times[5] = int(values[5].replace(year=1801, tzinfo=dt.UTC).timestamp())


@breaks
def names_like_ours(shop, rng):
    count = shop.tables["events"].num_rows
    for name in ("node_id", "key", "time", "raw_amount", "fk_user_id"):
        shop.column("events", name, pa.array(rng.integers(0, 9, count)))
    shop.refusable.add("events")


@breaks
def odd_names(shop, rng):
    count = shop.tables["users"].num_rows
    for name in ("first name", "größe", "Ω", "select", "x-y"):
        shop.column("users", name, pa.array(rng.integers(0, 9, count)))


@breaks
def names_that_break(shop, rng):
    shop.column("users", str(rng.choice(["a.b", "`", "", "_time", "A" * 400])), shop.tables["users"]["age"])
    shop.refusable.add("users")


@breaks
def no_link(shop, rng):
    shop.column("events", "user_id", None)
    shop.refused.add("users")


def _form(table: str, form: str) -> Break:
    def written(shop: Shop, rng: np.random.Generator) -> None:
        shop.form[table] = form

    return written


for _table in ("users", "items", "events"):
    for _form_name in ("csv", "csv.gz", "tsv", "jsonl", "folder", "delta", "partitioned"):
        BREAKS[f"{_table}_as_{_form_name}"] = _form(_table, _form_name)
    for _form_name in ("truncated", "empty", "garbage"):
        BREAKS[f"{_table}_{_form_name}"] = _form(_table, _form_name)


def write_shop(shop: Shop, folder: Path) -> Mapping[str, str]:
    """Write the tables; name -> path."""
    return {name: str(_write(shop, name, rows, folder)) for name, rows in shop.tables.items()}


def _write(shop: Shop, name: str, rows: pa.Table, folder: Path) -> Path:
    form = shop.form.get(name, "parquet")
    nested = any(pa.types.is_nested(f.type) for f in rows.schema)
    repeated = len(set(rows.column_names)) < rows.num_columns
    if form in ("csv", "csv.gz", "tsv", "jsonl") and (nested or repeated):
        form = "parquet"
    if form in ("csv", "csv.gz", "tsv", "jsonl"):
        # Text has no types: what is empty, and what looks like something else, reads otherwise.
        shop.refusable.add(name)
        return _write_text(rows, folder / f"{name}.{form}", form)
    if form == "folder":
        (folder / name).mkdir()
        half = rows.num_rows // 2
        pq.write_table(rows.slice(0, half), folder / name / "part-0.parquet")
        pq.write_table(rows.slice(half), folder / name / "part-1")
        (folder / name / "_SUCCESS").touch()
        return folder / name
    if form in ("delta", "partitioned"):
        return _write_delta(shop, name, rows, folder / name, form)
    path = folder / f"{name}.parquet"
    pq.write_table(rows, path)
    if form in ("truncated", "empty", "garbage"):
        whole = path.read_bytes()
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "garbage": b"\x93\xff" * 99}[form])
        shop.refused.add(name)
    return path


def _write_text(rows: pa.Table, path: Path, form: str) -> Path:
    frame = rows.to_pandas(integer_object_nulls=True)
    if form == "jsonl":
        frame.to_json(path, orient="records", lines=True, date_format="iso")
        return path
    text = frame.to_csv(index=False, sep="\t" if form == "tsv" else ",")
    path.write_bytes(gzip.compress(text.encode()) if form == "csv.gz" else text.encode())
    return path


def _write_delta(shop: Shop, name: str, rows: pa.Table, path: Path, form: str) -> Path:
    try:
        if form == "partitioned":
            marks = pa.array(["é" if i % 2 else "b/c" for i in range(rows.num_rows)])
            write_deltalake(str(path), rows.append_column("mark", marks), partition_by=["mark"])
        else:
            write_deltalake(str(path), rows)
    except Exception:  # Delta itself does not take it: types or names that it has no place for
        pq.write_table(rows, path.with_suffix(".parquet"))
        return path.with_suffix(".parquet")
    return path
