"""Tables of Spark's catalog by their names of three parts: the same graph as of the same rows in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gnnscale.config import build_settings
from gnnscale.pipeline import Pipeline, PipelineContext
from gnnscale.schema import LakeError
from tests.pipeline.test_warehouse import ORDERS, assert_same_as_files, recipe, run, shop_frames

NAMES = {"customers": "spark_catalog.shop.customers", "orders": "spark_catalog.shop.orders"}


def fill_catalog(spark: Any, folder: Path, orders: list[tuple]) -> None:
    """Tables of a schema of the session's catalog, whose files are in a folder."""
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS shop LOCATION '{folder / 'shop'}'")
    for name, frame in shop_frames(spark, orders).items():
        frame.write.mode("overwrite").option("path", str(folder / "shop" / name)).saveAsTable(f"shop.{name}")


@pytest.fixture
def catalog(spark: Any, tmp_path: Path) -> Any:
    fill_catalog(spark, tmp_path, ORDERS)
    yield spark
    spark.sql("DROP SCHEMA IF EXISTS shop CASCADE")


def test_graph_and_labels_are_those_of_the_same_rows_in_files(catalog: Any, tmp_path: Path) -> None:
    content = recipe(tmp_path / "names", {**NAMES, "orders": f"catalog://{NAMES['orders']}"})
    lake, _ = run(content, ["graph", "labels"])
    assert lake.read("_copies/orders").num_rows == len(ORDERS)
    assert_same_as_files(lake, tmp_path)

    # The same rows are the same graph; one more is another.
    versions = {name: lake.version(name) for name in ("_copies/orders", "nodes_orders")}
    assert run(content, ["graph"])[1] == ["graph"]
    assert {name: lake.version(name) for name in versions} == versions
    fill_catalog(catalog, tmp_path, [*ORDERS, (28, 1, 2.0, "2024-01-29 12:00:00")])
    grown, _ = run(content, ["graph"])
    assert grown.read("nodes_orders").num_rows == len(ORDERS) + 1


def test_a_table_that_is_not_there_is_named(catalog: Any, tmp_path: Path) -> None:
    content = recipe(tmp_path, {**NAMES, "orders": "spark_catalog.shop.ordrs"})
    said = "table 'orders': Spark's catalog has no table 'spark_catalog.shop.ordrs' that may be read, nor is it a file"
    with pytest.raises(LakeError, match=said):
        run(content, ["graph"])


def test_what_is_a_file_is_no_name_of_a_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.of.march").mkdir()
    given = {"orders.of.march": False, "orders.of.april": True, "shop.orders.csv": False, "shop.orders.csv.gz": False}
    for source, is_name in given.items():
        settings = build_settings(recipe(tmp_path, {"customers": "customers.parquet", "orders": source}))
        assert settings.tables["orders"].source == ("catalog://" if is_name else "") + source


def test_a_dry_run_copies_nothing_and_says_what_is_missing(tmp_path: Path) -> None:
    content = recipe(tmp_path, {**NAMES})
    with pytest.raises(LakeError, match=r"'customers': lake .* has no copy of catalog://spark_catalog.shop.customers"):
        Pipeline(PipelineContext(build_settings(content), Console(quiet=True), read_only=True))
    assert not (tmp_path / "lake").exists()
