"""A graph is described by the columns of its tables, whatever holds them, and says what it took for what."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

import gnnscale as gs
from gnnscale.config import build_settings
from gnnscale.interface.graph_query import override_words
from gnnscale.lake import Lake
from gnnscale.pipeline import check_inputs
from gnnscale.schema import ConfigError, LakeError, QueryError, SchemaError

TEXT = "PREDICT SUM(orders.amount, 0, 7, days) FOR EACH users.user_id"

USERS = pd.DataFrame({"user_id": ["a", "b"], "age": [30, 40], "member": [True, False]})
ORDERS = pd.DataFrame(
    {
        "user_id": ["a", "a", "b"],
        "amount": [1.5, 2.0, 4.0],
        "ordered_at": pd.to_datetime(["2024-01-01 10:00:00", "2024-01-02 11:30:00", "2024-01-09 12:00:00"]),
    }
)


def written(folder: Path, name: str, write: Callable[[Path], Any]) -> str:
    path = folder / name
    write(path)
    return str(path)


def as_json(frame: pd.DataFrame) -> str:
    return frame.assign(ordered_at=frame["ordered_at"].astype(str)).to_json(orient="records", lines=True)


def gzipped(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


FORMS: dict[str, Callable[[Path], Any]] = {
    "pandas": lambda folder: ORDERS,
    "pandas with an index": lambda folder: ORDERS.set_index("user_id"),
    "polars": lambda folder: pl.from_pandas(ORDERS),
    "Arrow": lambda folder: pa.Table.from_pandas(ORDERS),
    "Parquet": lambda folder: written(folder, "orders.parquet", ORDERS.to_parquet),
    "folder of Parquet": lambda folder: str(Path(written(folder, "part-0.parquet", ORDERS.to_parquet)).parent),
    "CSV": lambda folder: written(folder, "orders.csv", lambda path: ORDERS.to_csv(path, index=False)),
    "gzipped CSV": lambda folder: written(folder, "orders.csv.gz", lambda path: ORDERS.to_csv(path, index=False)),
    "JSON lines": lambda folder: written(folder, "orders.jsonl", lambda path: path.write_text(as_json(ORDERS))),
    "gzipped JSON lines": lambda folder: written(folder, "orders.json.gz", lambda path: gzipped(path, as_json(ORDERS))),
    "Delta": lambda folder: written(folder, "orders", lambda path: write_deltalake(path, pa.Table.from_pandas(ORDERS))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_makes_the_same_graph(form: str, tmp_path: Path) -> None:
    graph = gs.Graph.from_tables({"users": USERS, "orders": FORMS[form](tmp_path)})
    orders = graph.schema.table("orders")
    assert orders.time_column == "ordered_at" and orders.primary_key is None
    assert {name: str(kind) for name, kind in orders.kinds.items()} == {
        "user_id": "text",
        "amount": "number",
        "ordered_at": "time",
    }
    assert graph.schema.table("users").primary_key == "user_id"
    assert [(link.name, link.parent) for link in graph.schema.links] == [("orders.user_id", "users")]
    assert graph.query(TEXT).task_type == "regression"


def test_a_graph_says_what_it_took_for_what() -> None:
    graph = gs.Graph.from_tables(
        {"users": USERS, "orders": ORDERS}, settings={"users": {"columns": {"age": "categorical"}}}
    )
    lines = repr(graph).splitlines()
    assert lines[0] == "Graph of 2 tables and 1 link"
    assert "users: 2 rows, pandas frame" in lines and "orders: 3 rows, pandas frame" in lines
    shown = {line.split()[0]: line for line in lines[1:] if line.startswith("  ")}
    assert shown["user_id"].endswith("-> users, by name")
    assert shown["ordered_at"].split()[1] == "time" and shown["ordered_at"].endswith("time of the row, by name")
    assert shown["age"].split() == ["age", "number", "categorical"]
    assert "primary key, by name" in repr(graph)
    page = graph._repr_html_()
    assert page.count("<table>") == 2 and "primary key, by name" in page and "-&gt; users, by name" in page


def test_a_column_that_may_be_an_end_is_pointed_out_until_that_is_said() -> None:
    users = USERS.assign(closed_at=pd.Timestamp("2024-03-01"))
    hint = "the end of the row? (tables.users.end_time=closed_at)"
    assert hint in repr(gs.Graph.from_tables({"users": users, "orders": ORDERS}))
    said = gs.Graph.from_tables({"users": users, "orders": ORDERS}, settings={"users": {"end_time": "closed_at"}})
    assert hint not in repr(said) and "end of the row, as declared" in repr(said)


@pytest.mark.parametrize("described", [{}, {"time_format": "%d/%m/%Y"}, {"columns": {"ordered_at": "categorical"}}])
def test_text_that_reads_like_days_is_pointed_out(described: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    written = ORDERS.assign(ordered_at=["26/10/2024", None, "3/1/2024"], code=["1/2", "x", None], no=["20240131"] * 3)
    if "time_format" in described:
        described = described | {"time_column": "ordered_at"}
    gs.Graph.from_tables({"users": USERS, "orders": written}, settings={"orders": described})
    told = [record.getMessage() for record in caplog.records]
    if described:
        assert not told
    else:
        (line,) = told
        assert line.startswith(
            "column 'ordered_at' of 'orders' is text, such as '26/10/2024', and taken for categories"
        )
        assert line.endswith("tables.orders.time_column=ordered_at and tables.orders.time_format='%d/%m/%Y'")


def test_text_that_reads_like_iso_times_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    written = USERS.assign(joined=["2024-01-31", "2024-02-01T12:00:00Z"], code="2024-1")
    gs.Graph.from_tables({"users": written, "orders": ORDERS})
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("column 'joined' of 'users' is text, such as '2024-01-31', and taken for categories")
    assert line.endswith("say tables.users.time_column=joined")


def test_no_tables_are_told() -> None:
    with pytest.raises(ConfigError, match="there are no tables: give a mapping of names to tables"):
        gs.Graph.from_tables({})


@pytest.mark.parametrize("name", ["", "My churn", "1st", "x" * 101])
def test_a_name_that_tables_can_not_carry_is_told(name: str) -> None:
    graph = gs.Graph.from_tables({"users": USERS, "orders": ORDERS})
    words = "is none that tables can carry: lower-case letters, digits and underscores, a letter first, 100 at most"
    with pytest.raises(ConfigError, match=words):
        graph.query("PREDICT COUNT(orders.*, 0, 7, days) = 0 FOR EACH users.user_id", name=name)
    content = {"recipe": "r", "lake": {"uri": "l"}, "tables": {}, "query": {"name": name, "text": "PREDICT"}}
    with pytest.raises(ConfigError, match=words):
        build_settings(content)


def test_what_is_said_of_a_table_is_not_inferred() -> None:
    orders = ORDERS.rename(columns={"user_id": "buyer"}).assign(sent_at=ORDERS["ordered_at"])
    with pytest.raises(SchemaError, match="several columns of times"):
        gs.Graph.from_tables({"users": USERS, "orders": orders})
    graph = gs.Graph.from_tables(
        {"users": USERS, "orders": orders},
        settings={"orders": {"time_column": "sent_at", "foreign_keys": {"buyer": "users"}}},
    )
    shown = repr(graph)
    assert (
        "time of the row, as declared" in shown
        and "-> users, as declared" in shown
        and "-> users, by name" not in shown
    )


@pytest.mark.parametrize(
    ("tables", "settings", "error", "says"),
    [
        ({}, {"order": {}}, ConfigError, "settings of unknown table 'order'. Did you mean 'orders'"),
        ({}, {"orders": {"time": "x"}}, ConfigError, "unknown configuration key 'tables.orders.time'"),
        ({}, {"orders": {"time_column": "orderd_at"}}, SchemaError, "no column 'orderd_at'. Did you mean 'ordered_at'"),
        ({"orders": "/nowhere/orders.parquet"}, {}, LakeError, "no file or folder at /nowhere/orders.parquet"),
        ({"orders": "shop.orders"}, {}, LakeError, "'orders': n"),
        ({"orders": 7}, {}, SchemaError, "table 'orders' is a builtins.int; allowed are pandas"),
        ({"orders": ORDERS.drop(columns="user_id")}, {}, SchemaError, "the graph has no links"),
        (
            {"orders": ORDERS.assign(took=pd.to_timedelta([1, 2, 3], unit="s"))},
            {},
            SchemaError,
            "column 'took' is of type duration",
        ),
        ({"orders": ORDERS.assign(mixed=[1, "a", None])}, {}, SchemaError, "mixed"),
    ],
)
def test_a_fault_is_an_error_with_the_text_of_the_command_line(
    tables: dict[str, Any], settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as raised:
        gs.Graph.from_tables({"users": USERS, "orders": ORDERS, **tables}, settings=settings)
    assert says in str(raised.value) and isinstance(raised.value, gs.GnnscaleError)


def test_a_query_is_explained_and_its_faults_are_pointed_at() -> None:
    graph = gs.Graph.from_tables({"users": USERS, "orders": ORDERS})
    query = graph.query(TEXT, name="spend")
    assert query.name == "spend" and "the sum of orders.amount in the 7 days after the anchor" in query.explain()
    assert graph.query(TEXT).name == graph.query(TEXT + " ").name
    assert TEXT in repr(query) and "regression" in repr(query)
    with pytest.raises(QueryError, match="Did you mean 'amount'"):
        graph.query(TEXT.replace("amount", "amont"))


def test_a_frame_is_written_once_and_again_where_it_has_changed(tmp_path: Path) -> None:
    lake = gs.Lake(tmp_path / "lake")
    first = gs.Graph.from_tables({"users": USERS, "orders": ORDERS}).store(lake)
    stamp = Path(first["orders"]["source"]).stat().st_mtime_ns
    again = gs.Graph.from_tables({"users": USERS.copy(), "orders": ORDERS.copy()}).store(lake)
    assert again == first and Path(first["orders"]["source"]).stat().st_mtime_ns == stamp
    other = gs.Graph.from_tables({"users": USERS, "orders": ORDERS[:2]}).store(lake)
    assert other["users"] == first["users"] and other["orders"]["source"] != first["orders"]["source"]
    # What no graph is built from any more is not kept.
    assert [path.name for path in Path(lake.uri, "_sources", "orders").iterdir()] == [
        Path(other["orders"]["source"]).name
    ]
    pd.testing.assert_frame_equal(pd.read_parquet(other["orders"]["source"]), ORDERS[:2], check_dtype=False)


def test_frames_are_described_without_torch_ray_or_spark() -> None:
    code = (
        "import sys, pandas as pd, gnnscale as gs;"
        "users = pd.DataFrame({'user_id': [1]}); orders = pd.DataFrame({'user_id': [1], 'at': [pd.Timestamp(0)]});"
        "graph = gs.Graph.from_tables({'users': users, 'orders': orders}, settings={'orders': {'time_column': 'at'}});"
        "graph.query('PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id').explain(); repr(graph);"
        "print([name for name in ('torch', 'ray', 'pyspark', 'py4j', 'mlflow', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


FAULTS: dict[str, dict[str, Any]] = {
    "a mode that there is not": {"mode": "fsat"},
    "a key that there is not": {"overrides": {"training.epoch": 2}},
    "a value out of range": {"overrides": ["training.epochs=0"]},
    "no key=value": {"overrides": "training.epochs"},
    "no text": {"overrides": 2},
    "another lake": {"overrides": {"lake.uri": "elsewhere"}},
    "another name": {"overrides": "query.name=other"},
    "another question": {"overrides": {"query": {"text": "PREDICT 1"}}},
    "other rows": {"overrides": {"tables.orders.source": "other.parquet"}},
    "examples that are no table": {"examples": 5},
}


@pytest.mark.parametrize("arguments", FAULTS.values(), ids=FAULTS)
def test_a_faulty_fit_writes_nothing(arguments: dict[str, Any], tmp_path: Path) -> None:
    query = gs.Graph.from_tables({"users": USERS, "orders": ORDERS}).query(TEXT)
    with pytest.raises(gs.GnnscaleError):
        query.fit(tmp_path / "lake", **arguments)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("name", ["My Q", "", "1st", "next-week", 5])
def test_a_name_that_no_table_can_carry_is_told_where_it_is_given(name: Any) -> None:
    graph = gs.Graph.from_tables({"users": USERS, "orders": ORDERS})
    with pytest.raises(ConfigError, match="query name"):
        graph.query(TEXT, name=name)


def test_overrides_are_a_mapping_or_text() -> None:
    expected = ["training.epochs=2"]
    assert override_words("training.epochs=2") == override_words(expected) == expected
    assert override_words({"training.epochs": 2, "model.hidden": [8, 16]}) == [*expected, "model.hidden=[8, 16]"]


ORDERS_TWICE = pd.concat([ORDERS, ORDERS["amount"]], axis=1)

UNREADABLE: dict[str, tuple[Any, str]] = {
    "two columns of a name": (ORDERS_TWICE, "two columns called 'amount'"),
    "two columns of a name in Arrow": (
        pa.table([[1], [2]], names=["amount", "amount"]),
        "two columns called 'amount'",
    ),
    "names that are one to Spark": (ORDERS.assign(Amount=1), "'amount' and 'Amount', which are one to Spark"),
    "an index called like a column": (ORDERS.set_index("user_id", drop=False), "user_id, already exists"),
    "a sparse column": (ORDERS.assign(amount=pd.arrays.SparseArray([0, 0, 1])), "column 'amount': Sparse"),
    "an integer over 64 bits": (ORDERS.assign(amount=[2**70, 1, 2]), "column 'amount': Python int too large"),
    "an object": (ORDERS.assign(amount=[object()] * 3), "column 'amount'"),
    "a column of pandas": (ORDERS["amount"], "table 'orders'"),
    "a column of polars": (pl.Series("amount", [1.0]), "table 'orders'"),
    "an integer of 128 bits": (pl.DataFrame({"amount": pl.Series([1], dtype=pl.Int128)}), "column 'amount'"),
    "objects in polars": (pl.DataFrame({"amount": pl.Series([object()], dtype=pl.Object)}), "column 'amount'"),
    "a lazy frame": (pl.from_pandas(ORDERS).lazy(), "lazy polars frame; give what its collect"),
    "periods": (ORDERS.assign(month=pd.period_range("2024-01", periods=3, freq="M")), "column 'month' is of type"),
    "a type of an extension": (
        pa.table({"key": pa.array([b"1" * 16], pa.uuid())}),
        "column 'key' is of type extension<arrow.uuid>",
    ),
    "times of a day in lists": (
        pa.table({"hours": pa.array([[1]], pa.list_(pa.time32("s")))}),
        "column 'hours' is of type time32",
    ),
}


@pytest.mark.parametrize(("orders", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_frame_that_no_table_of_a_lake_can_be_is_an_error_that_names_it(orders: Any, says: str) -> None:
    with pytest.raises(SchemaError) as raised:
        gs.Graph.from_tables({"users": USERS, "orders": orders})
    assert says in str(raised.value) and "'orders'" in str(raised.value)


@pytest.mark.parametrize(
    ("tables", "settings"),
    [
        ([USERS, ORDERS], None),
        ({1: USERS, "orders": ORDERS}, None),
        ({"my users": USERS, "orders": ORDERS}, None),
        ({"users": USERS, "orders": ORDERS}, {"orders": None}),
        ({"users": USERS, "orders": ORDERS}, {"orders": "amount"}),
        ({"users": USERS, "orders": ORDERS}, ["orders"]),
        ({"users": USERS, "orders": ORDERS}, {1: {}}),
    ],
)
def test_tables_and_settings_are_mappings_of_names(tables: Any, settings: Any) -> None:
    with pytest.raises(gs.GnnscaleError, match=r"mapping|table name|unknown table"):
        gs.Graph.from_tables(tables, settings=settings)


@pytest.mark.parametrize("column", ["amount.net", "gnnscale|time"])
def test_a_column_that_the_graph_can_not_take_is_told_before_spark_runs(column: str, tmp_path: Path) -> None:
    orders = ORDERS.rename(columns={"amount": column})
    with pytest.raises(SchemaError, match="a column can't be called"):
        gs.Graph.from_tables({"users": USERS, "orders": orders})
    paths = {
        name: written(tmp_path, f"{name}.parquet", f.to_parquet) for name, f in (("users", USERS), ("orders", orders))
    }
    tables = {name: {"source": path} for name, path in paths.items()}
    tables["users"]["primary_key"] = "user_id"
    query = {"name": "q", "text": "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id"}
    settings = build_settings({"recipe": "r", "lake": {"uri": "x"}, "query": query, "tables": tables})
    with pytest.raises(SchemaError, match="a column can't be called"):
        check_inputs(settings)


def test_a_column_of_categories_is_categorical_whatever_its_values(tmp_path: Path) -> None:
    frame = ORDERS.assign(
        shop=pd.Categorical([1, 2, 1]), rank=pd.Categorical([3, 1, 2]), kind=pd.Categorical(list("aba"))
    )
    users = USERS.assign(user_id=pd.Categorical([1, 2]))
    orders = frame.assign(user_id=pd.Categorical([1, 1, 2]))
    for given in (orders, pa.Table.from_pandas(orders)):
        settings = {"orders": {"columns": {"rank": "numerical"}}}
        graph = gs.Graph.from_tables({"users": users, "orders": given}, settings=settings)
        table = graph.schema.table("orders")
        assert {column: str(meaning) for column, meaning in table.columns.items()} == {
            "rank": "numerical",
            "shop": "categorical",
        }
        assert graph.schema.table("users").columns == {} and len(graph.schema.links) == 1
        told = {line.split()[0]: line.split(maxsplit=1)[1] for line in repr(graph).splitlines() if line[0] == " "}
        assert told["shop"].split() == ["number", "categorical", "categories,", "by", "type"]
        assert told["rank"].split() == ["number", "numerical"]
        assert graph.store(gs.Lake(tmp_path / "lake"))["orders"]["columns"]["shop"] == {"type": "categorical"}


def test_a_log_alone_is_a_graph_and_its_numbers_are_times() -> None:
    log = pd.DataFrame({"user": [1, 2], "item": ["a", "b"], "timestamp": [1_706_659_200_000, 1_706_659_300_000]})
    settings: dict[str, dict[str, Any]] = {
        "users": {"primary_key": "user", "keys_from": ["log.user"]},
        "items": {"primary_key": "item", "keys_from": ["log.item"]},
    }
    graph = gs.Graph.from_tables({"log": log}, settings=settings)
    assert graph.inferred("log") == {"time_column": "timestamp"}
    assert {link.name: link.parent for link in graph.schema.links} == {"log.user": "users", "log.item": "items"}
    query = graph.query("PREDICT LIST_DISTINCT(log.item, 0, 7) RANK TOP 1 FOR EACH users.user")
    assert query.bound.target.name == "items"
    settings["users"]["keys_from"] = ["log.usr"]
    with pytest.raises(
        SchemaError, match=r"table 'users': keys_from 'log\.usr' is no column\. Did you mean 'log\.user'"
    ):
        gs.Graph.from_tables({"log": log}, settings=settings)


def test_nanoseconds_of_a_frame_are_kept_to_the_microsecond_above(tmp_path: Path) -> None:
    at = pa.array([1_000_000_000, 1_000_000_001], pa.timestamp("ns"))
    orders = pa.table({"order_id": [1, 2], "user_id": [1, 2], "at": at})
    graph = gs.Graph.from_tables({"users": USERS, "orders": orders})
    stored = pq.read_table(graph.store(Lake(tmp_path))["orders"]["source"])
    assert [moment.microsecond for moment in stored["at"].to_pylist()] == [0, 1]
