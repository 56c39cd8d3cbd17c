"""Small random tables as the graph stage leaves them, for the tests of relations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from gnnscale.schema import GraphSchema, Table, ValueKind

DAY = 86_400
ORIGIN = 1_700_000_000

GRAPH = GraphSchema(
    [
        Table("users", primary_key="user"),
        Table("items", primary_key="item", kinds={"item": ValueKind.NUMBER, "brand": ValueKind.TEXT}),
        Table(
            "events",
            time_column="at",
            foreign_keys={"user": "users", "item": "items"},
            kinds={
                "user": ValueKind.NUMBER,
                "item": ValueKind.NUMBER,
                "at": ValueKind.TIME,
                "basket": ValueKind.TEXT,
                "what": ValueKind.TEXT,
                "price": ValueKind.NUMBER,
                "tags": ValueKind.OTHER,
            },
        ),
    ]
)


def random_events(seed: int, rows: int = 120, users: int = 7, items: int = 6, days: int = 12) -> pd.DataFrame:
    """``nodes_events``: few users and items and whole days, so that pairs repeat and times tie; some keys are null."""
    rng = np.random.default_rng(seed)
    price = rng.choice([-1.0, 0.0, np.nan, 0.1, 0.7, 1e-3, 3.25, np.inf], rows)
    return pd.DataFrame(
        {
            "node_id": rng.permutation(rows),
            "time": ORIGIN + rng.integers(0, days, rows) * DAY // 2,
            "fk_user": pd.array(np.where(rng.random(rows) < 0.05, None, rng.integers(0, users, rows)), "Int64"),
            "fk_item": pd.array(np.where(rng.random(rows) < 0.05, None, rng.integers(0, items, rows)), "Int64"),
            "raw_basket": np.where(rng.random(rows) < 0.05, None, rng.choice(["a", "b", "c"], rows)),
            "raw_what": np.where(rng.random(rows) < 0.1, None, rng.choice(["view", "cart", "buy", "odd"], rows)),
            "raw_price": price,
        }
    )


def frame(spark: SparkSession, rows: pd.DataFrame, partitions: int = 2) -> DataFrame:
    """The rows as Spark has them, with missing values as nulls."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    return spark.createDataFrame(table).repartition(partitions)


def edges_of(edges: DataFrame) -> list[tuple[Any, ...]]:
    """Rows as sorted tuples."""
    return sorted((tuple(row) for row in edges.collect()), key=repr)


def expected(rows: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The same of a pandas frame; a weight is rounded to 32 bits."""
    kinds = {"weight": lambda value: float(np.float32(value))}
    return sorted(
        (
            tuple(None if pd.isna(row[column]) else kinds.get(column, int)(row[column]) for column in columns)
            for row in rows.to_dict("records")
        ),
        key=repr,
    )
