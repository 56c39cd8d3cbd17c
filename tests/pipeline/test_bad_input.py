"""Bad input: one clear message that names the thing, exit 2, and no table changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pyspark.sql import SparkSession

from gnnscale.cli.main import main
from tests.shop import edited_shop, make_shop

Edit = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_shop(tmp_path_factory.mktemp("bad"), seed=5)


def write_recipe(content: dict[str, Any], folder: Path) -> str:
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if key != "recipe"}))
    return str(path)


def fails(content: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """Run the graph and label stages, which must fail with exit 2 and leave the lake without a table."""
    recipe = write_recipe(content, folder)
    status = main(["graph", recipe, *overrides]) or main(["labels", recipe, *overrides])
    error = capsys.readouterr().err
    assert status == 2, error
    assert "Traceback" not in error
    assert error.count("error:") == 1
    tables = [p.parent.name for p in Path(content["lake"]["uri"]).glob("*/_delta_log")]
    assert tables == []
    return error.split("error:")[1]


def with_rows(shop: dict[str, Any], folder: Path, table: str, edit: Edit, **settings: Any) -> dict[str, Any]:
    return edited_shop(shop, folder, table, edit, **settings)


def test_a_missing_file(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_rows(shop, tmp_path, "products", lambda rows: rows)
    (tmp_path / "products.parquet").unlink()
    message = fails(content, tmp_path, capsys)
    assert "products" in message
    assert str(tmp_path / "products.parquet") in message


def test_a_foreign_key_that_matches_nothing(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_rows(
        shop, tmp_path, "purchases", lambda rows: rows.assign(customer_id="x" + rows["customer_id"].astype(str))
    )
    message = fails(content, tmp_path, capsys)
    assert "purchases.customer_id" in message
    assert "customers.customer_id" in message
    assert "matches 0 of" in message


def test_a_duplicate_primary_key(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_rows(shop, tmp_path, "customers", lambda rows: pd.concat([rows, rows.head(1)]))
    repeated = pd.read_parquet(content["tables"]["customers"]["source"])["customer_id"].iloc[-1]
    message = fails(content, tmp_path, capsys)
    assert "customers.customer_id is not unique" in message
    assert repeated in message


def test_an_unknown_column_in_the_query(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_rows(shop, tmp_path, "customers", lambda rows: rows)
    content["query"] = {**content["query"], "text": content["query"]["text"].replace(".product_id", ".produkt_id")}
    message = fails(content, tmp_path, capsys)
    assert "line 1, column 33: unknown column 'produkt_id'" in message
    assert "Did you mean 'product_id'?" in message
    assert message.splitlines()[-1].strip() == "^"


def test_a_time_column_that_does_not_parse(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows["bought_at"] = rows["bought_at"].astype(str)
        rows.iloc[7, rows.columns.get_loc("bought_at")] = "the day before yesterday"
        return rows

    message = fails(with_rows(shop, tmp_path, "purchases", spoil), tmp_path, capsys)
    assert "purchases.bought_at" in message
    assert "the day before yesterday" in message


def test_an_empty_test_window(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_rows(shop, tmp_path, "customers", lambda rows: rows)
    message = fails(content, tmp_path, capsys, "anchors.test=2031-05-01")
    assert "test window (2031-05-01 00:00:00, 2031-05-08 00:00:00]" in message
    assert "anchors.test" in message


def test_a_fault_leaves_an_earlier_graph_as_it_was(
    spark: SparkSession, shop: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_rows(shop, tmp_path, "customers", lambda rows: rows)
    recipe = write_recipe(content, tmp_path)
    assert main(["graph", recipe]) == 0
    before = {p: p.read_bytes() for p in Path(content["lake"]["uri"]).rglob("*.json")}
    rows = pd.read_parquet(tmp_path / "customers.parquet")
    pd.concat([rows, rows.head(2)]).to_parquet(tmp_path / "customers.parquet", index=False)
    assert main(["graph", recipe]) == 2
    after = {p: p.read_bytes() for p in Path(content["lake"]["uri"]).rglob("*.json")}
    assert before == after
