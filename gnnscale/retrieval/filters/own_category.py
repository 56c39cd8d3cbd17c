"""Categories of nodes as codes that tables share, for a filter by category and for the diversity cap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.retrieval.filters.read_filters import read_columns


def read_categories(lake: Lake, columns: Sequence[tuple[str, str]]) -> list[NDArray[np.int32]]:
    """Codes of the values of one column of each table; the same text is the same code in all of them.

    Args:
        lake: holds nodes and ids of the tables.
        columns: table and column.

    Returns:
        For each, int32 ``[nodes]``; -1 where the value is missing.

    Raises:
        LakeError: a table is missing.
        DataError: a column is missing.
    """
    tables = [read_columns(lake, f"nodes_{table}", ["node_id", f"raw_{column}"]) for table, column in columns]
    texts = [rows[1].cast(pa.string()) for rows in tables]
    values = pa.chunked_array([chunk for column in texts for chunk in column.chunks], pa.string()).unique().drop_null()
    found = []
    for (table, _), rows, text in zip(columns, tables, texts, strict=True):
        codes = np.full(len(read_keys(lake, table)), -1, np.int32)
        codes[rows["node_id"].to_numpy()] = pc.fill_null(pc.index_in(text, value_set=values), -1).to_numpy()
        found.append(codes)
    return found
