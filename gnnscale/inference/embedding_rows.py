"""Rows of ``embeddings_<table>`` and ``pairs_<query>``, as Arrow tables."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

TIMESTAMP = pa.timestamp("us", tz="UTC")

EMBEDDINGS = pa.schema([("node_id", pa.int64()), ("anchor_time", TIMESTAMP), ("vector", pa.list_(pa.float32()))])
"""Columns of ``embeddings_<table>`` as Delta has them: it knows neither lists of a fixed size nor half floats."""

PAIRS = pa.schema(
    [
        ("entity", pa.int64()),
        ("anchor_time", TIMESTAMP),
        ("targets", pa.list_(pa.int64())),
        ("scores", pa.list_(pa.float32())),
    ]
)
"""Columns of ``pairs_<query>``."""


def vector_rows(nodes: NDArray[np.int64], anchor: int, vectors: NDArray[np.float32]) -> pa.Table:
    """Vectors as rows of ``embeddings_<table>``; within the file their list has a fixed size.

    Args:
        nodes: node ids ``[rows]``.
        anchor: epoch seconds.
        vectors: ``[rows, channels]``.
    """
    values = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    vector = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
    return pa.table({"node_id": nodes, "anchor_time": anchor_times(anchor, len(nodes)), "vector": vector})


def with_fixed_size(rows: pa.Table) -> pa.Table:
    """Rows of a table as they were written: Delta gives vectors back as lists of any size."""
    if "vector" not in rows.column_names or not rows.num_rows:
        return rows
    vector = pa.concat_arrays(rows["vector"].chunks)
    fixed = pa.FixedSizeListArray.from_arrays(vector.flatten(), len(vector.flatten()) // rows.num_rows)
    return rows.set_column(rows.column_names.index("vector"), "vector", fixed)


def pair_rows(
    entities: NDArray[np.int64],
    anchor: int,
    counts: NDArray[np.int64],
    targets: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> pa.Table:
    """Scored pairs as rows of ``pairs_<query>``.

    Args:
        entities: node ids ``[rows]``.
        anchor: epoch seconds.
        counts: pairs of each entity ``[rows]``.
        targets: node ids ``[pairs]``.
        scores: ``[pairs]``.
    """
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.table(
        {
            "entity": entities,
            "anchor_time": anchor_times(anchor, len(entities)),
            "targets": pa.ListArray.from_arrays(offsets, pa.array(targets)),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(scores)),
        }
    )


def anchor_times(anchor: int, rows: int) -> pa.Array:
    """One anchor (epoch seconds) as the column of so many rows."""
    return pa.repeat(pa.scalar(datetime.fromtimestamp(anchor, UTC), TIMESTAMP), rows)
