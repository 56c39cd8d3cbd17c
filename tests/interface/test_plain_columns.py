"""Whatever a frame keeps its values in, Spark is given plain columns with the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.interface.table_inputs import MemoryTable, read_input
from gnnscale.lake import Lake

WORDS = ["x", None, "y", "x"]

COLUMNS: dict[str, tuple[Any, pa.DataType, list[Any]]] = {
    "pandas categorical": (pd.DataFrame({"c": pd.Categorical(WORDS)}), pa.large_string(), WORDS),
    "pandas intervals": (
        pd.DataFrame({"c": pd.cut([1, 9, float("nan")], [0, 5, 10])}),
        pa.large_string(),
        ["(0, 5]", "(5, 10]", None],
    ),
    "polars categorical": (pl.DataFrame({"c": pl.Series(WORDS, dtype=pl.Categorical)}), pa.string(), WORDS),
    "polars enum": (pl.DataFrame({"c": pl.Series(WORDS, dtype=pl.Enum(["x", "y"]))}), pa.string(), WORDS),
    "polars text": (pl.DataFrame({"c": WORDS}), pa.string(), WORDS),
    "polars lists of text": (
        pl.DataFrame({"c": [["x", None], None, [], ["y"]]}),
        pa.large_list(pa.string()),
        [["x", None], None, [], ["y"]],
    ),
    "polars lists of categories": (
        pl.DataFrame({"c": pl.Series([["x"], None, ["y", "x"]], dtype=pl.List(pl.Categorical))}),
        pa.large_list(pa.string()),
        [["x"], None, ["y", "x"]],
    ),
    "polars arrays of text": (
        pl.DataFrame({"c": pl.Series([["x", "y"], None], dtype=pl.Array(pl.String, 2))}),
        pa.list_(pa.string()),
        [["x", "y"], None],
    ),
    "polars structs": (
        pl.DataFrame({"c": [{"a": "x", "b": 1}, None]}),
        pa.struct({"a": pa.string(), "b": pa.int64()}),
        [{"a": "x", "b": 1}, None],
    ),
    "polars bytes": (pl.DataFrame({"c": [b"x", None]}), pa.binary(), [b"x", None]),
    "nothing": (pl.DataFrame({"c": [None, None]}), pa.string(), [None, None]),
    "a slice of lists": (
        pa.table({"c": pa.array([["x"], ["y", "z"], None, ["x"]], pa.list_(pa.string_view()))}).slice(1, 2),
        pa.list_(pa.string()),
        [["y", "z"], None],
    ),
    "a dictionary of text views in chunks": (
        pa.table({"c": pa.chunked_array([pa.DictionaryArray.from_arrays([0, 1], ["x", "y"])] * 2)}),
        pa.string(),
        ["x", "y", "x", "y"],
    ),
    "a half": (pa.table({"c": pa.array([0.5], pa.float16())}), pa.float32(), [0.5]),
}


@pytest.mark.parametrize(("given", "kind", "values"), COLUMNS.values(), ids=COLUMNS)
def test_columns_are_plain_and_keep_their_values(
    given: Any, kind: pa.DataType, values: list[Any], tmp_path: Path
) -> None:
    table = read_input("rows", given, {})
    assert isinstance(table, MemoryTable) and table.table["c"].to_pylist() == values
    assert table.schema == pa.schema({"c": kind}) and not table.schema.field("c").metadata
    assert pq.read_table(table.store(Lake(tmp_path)))["c"].to_pylist() == values
