"""Tables of a database by JDBC: the same graph as from files, copied once, and faults in one line without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from gnnscale.config import build_settings, load_settings
from gnnscale.etl import copy_to_lake
from gnnscale.lake import Lake
from gnnscale.pipeline import Pipeline, PipelineContext
from gnnscale.schema import ConfigError, GnnscaleError, LakeError

SECRET = "hunter2"
QUERY = "PREDICT COUNT(orders.*, 0, 7, days) > 0 FOR EACH customers.customer_id"
ORDERS = [(i, i % 4, 1.5 * i, f"2024-01-{1 + i:02d} 12:00:00") for i in range(28)]
COLUMNS = "order_id int, customer_id int, amount double, ordered_at string"


def shop_frames(spark: Any, orders: list[tuple]) -> dict[str, Any]:
    """A table of customers and one of orders."""
    return {
        "customers": spark.createDataFrame([(i, "ab"[i % 2]) for i in range(4)], "customer_id int, segment string"),
        "orders": spark.createDataFrame(orders, COLUMNS).selectExpr(
            "* except (ordered_at)", "timestamp(ordered_at) ordered_at"
        ),
    }


def database(spark: Any, name: str, orders: list[tuple]) -> dict[str, Any]:
    """An embedded database in Spark's own JVM, with a table of customers and one of orders."""
    url = f"jdbc:derby:memory:{name}"
    # Derby knows columns in lower case only where they are quoted, as Spark does.
    for table, frame in shop_frames(spark, orders).items():
        frame.write.mode("overwrite").jdbc(f"{url};create=true", f"shop_{table}", properties={"user": "me"})
    return {"url": url, "options": {"user": "me", "password": SECRET, "fetchsize": 10}}


def recipe(folder: Path, sources: dict[str, str], **sections: Any) -> dict[str, Any]:
    tables = {
        "customers": {"source": sources["customers"], "primary_key": "customer_id"},
        "orders": {"source": sources["orders"], "time_column": "ordered_at", "primary_key": "order_id"},
    }
    return {
        "recipe": "warehouse",
        "lake": {"uri": str(folder / "lake")},
        "tables": tables,
        "query": {"name": "active", "text": QUERY},
        **sections,
    }


def run(content: dict[str, Any], names: list[str]) -> tuple[Lake, list[str]]:
    work = PipelineContext(build_settings(content), Console(quiet=True))
    with Pipeline(work) as pipeline:
        skipped = [stage.name for stage in pipeline.plan(names) if stage.current]
        pipeline.run(names)
    return work.lake, skipped


FROM_WAREHOUSE = {"customers": "warehouse://shop_customers", "orders": "warehouse://shop_orders"}


def assert_same_as_files(lake: Lake, folder: Path) -> None:
    """Graph and labels of a lake are those of the rows that it has copied, written to files."""
    sources = {}
    for name in FROM_WAREHOUSE:
        sources[name] = str(folder / f"{name}.parquet")
        pq.write_table(lake.read(f"_copies/{name}"), sources[name])
    of_files, _ = run(recipe(folder / "files", sources), ["graph", "labels"])
    for table in ("nodes_customers", "nodes_orders", "edges_orders_customer_id", "labels_active"):
        assert lake.read(table).equals(of_files.read(table)), table


def test_graph_and_labels_are_those_of_the_same_rows_in_files(spark, tmp_path):
    warehouse = database(spark, "same", ORDERS)
    asked = {**FROM_WAREHOUSE, "customers": "warehouse://(SELECT * FROM shop_customers) AS c"}
    content = recipe(tmp_path / "jdbc", asked, warehouse=warehouse)
    lake, _ = run(content, ["graph", "labels"])
    assert_same_as_files(lake, tmp_path)
    assert lake.read("labels_active").num_rows > 0
    kept = list((tmp_path / "jdbc").rglob("*.json"))
    assert kept and not any(SECRET in path.read_text() for path in kept)

    # Nothing has changed there: nothing is written, and later stages need no database.
    versions = {name: lake.version(name) for name in ("_copies/orders", "nodes_orders")}
    again, _ = run(content, ["graph"])
    assert {name: again.version(name) for name in versions} == versions
    assert run({**content, "warehouse": {**warehouse, "driver": "org.none.Driver"}}, ["labels"])[1] == ["labels"]
    # One more order is one more row, and another graph.
    database(spark, "same", [*ORDERS, (28, 1, 2.0, "2024-01-29 12:00:00")])
    settings = build_settings(content)
    copy_to_lake(spark, lake, settings, "orders")
    assert lake.read("_copies/orders").num_rows == len(ORDERS) + 1
    with Pipeline(PipelineContext(settings, Console(quiet=True))) as pipeline:
        assert not pipeline.plan(["graph"])[0].current


def test_a_dry_run_copies_nothing_and_says_what_is_missing(spark, tmp_path):
    content = recipe(tmp_path, FROM_WAREHOUSE, warehouse={"url": "jdbc:derby:memory:never"})
    with pytest.raises(LakeError, match=r"'customers': lake .* has no copy of warehouse://shop_customers yet"):
        Pipeline(PipelineContext(build_settings(content), Console(quiet=True), read_only=True))
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": "jdbc:derby:memory:nowhere"}, "table 'customers' can't be read: .*connect"),
        (
            {"url": f"jdbc:postgresql://me:{SECRET}@host/db?password={SECRET}"},
            r"'customers': Spark has no JDBC driver for jdbc:postgresql://me:\*\*\*@host/db\?password=\*\*\*; give",
        ),
        (
            {"driver": "org.none.Driver"},
            "'customers': Spark has no class org.none.Driver .warehouse.driver.; give its JAR",
        ),
    ],
)
def test_faults_are_one_line_without_secrets(spark, tmp_path, changed, said):
    warehouse = {**database(spark, "faults", ORDERS), **changed}
    with pytest.raises(LakeError, match=said) as caught:
        run(recipe(tmp_path, FROM_WAREHOUSE, warehouse=warehouse), ["graph"])
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_named(spark, tmp_path):
    sources = {**FROM_WAREHOUSE, "orders": "warehouse://shop_ordrs"}
    content = recipe(tmp_path, sources, warehouse=database(spark, "misspelt", ORDERS))
    with pytest.raises(LakeError, match=r"table 'orders' can't be read:.*shop_ordrs.* does not exist"):
        run(content, ["graph"])


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({}, "tables.customers.source=warehouse://shop_customers needs section warehouse"),
        ({"warehouse": {"url": "postgresql://host/db"}}, "warehouse.url"),
        ({"warehouse": {"url": "jdbc:x:y", "options": {"dbTable": "t"}}}, "option 'dbTable' is said elsewhere"),
        ({"warehouse": {"url": "jdbc:x:y", "pasword": "p"}}, "unknown configuration key 'warehouse.pasword'"),
    ],
)
def test_settings_of_a_warehouse_are_checked(tmp_path, sections, said):
    with pytest.raises(ConfigError, match=said) as caught:
        build_settings(recipe(tmp_path, FROM_WAREHOUSE, **sections))
    assert "\n" not in str(caught.value)


def test_a_password_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_PASSWORD", SECRET)
    options = {"user": "me", "password": "${oc.env:WAREHOUSE_PASSWORD}"}
    content = recipe(tmp_path, FROM_WAREHOUSE, warehouse={"url": "jdbc:derby:memory:env", "options": options})
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "recipe"}))
    settings = load_settings(str(path))
    assert settings.warehouse is not None and settings.warehouse.options["password"] == SECRET


def test_a_graph_in_python_takes_frames_and_says_so():
    import gnnscale as gs

    with pytest.raises(GnnscaleError, match=r"'orders': warehouse://shop_orders is read by recipes .*spark.read.jdbc"):
        gs.Graph.from_tables({"orders": "warehouse://shop_orders"})
