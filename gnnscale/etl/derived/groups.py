"""Rows in groups, as arrays: how a partition that holds whole groups is laid out."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

log = logging.getLogger(__name__)


def group_codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each row, equal where the values are; ``[rows]``. Values must not be null."""
    encoded = values.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def group_bounds(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and number of rows of each group; both ``[groups]``.

    Args:
        codes: ``[rows]``, those of a group side by side.
    """
    opens = np.flatnonzero(np.diff(codes, prepend=-1))
    return opens, np.diff(opens, append=len(codes))


def count_large(rows: DataFrame, column: str, most: int | None, prefix: str) -> int:
    """Groups of more than ``most`` rows.

    Args:
        rows: with a column that says which group each is of.
        column: its name; null is no group.
        most: rows; None for no bound.
        prefix: how the log begins, where there are any.
    """
    if most is None:
        return 0
    sizes = rows.where(F.col(column).isNotNull()).groupBy(column).count()
    row = sizes.agg(F.count(F.when(F.col("count") > most, True)).alias("large"), F.max("count").alias("max")).first()
    assert row is not None
    if row["large"]:
        log.warning(
            "%s: %s of more than %s rows (the largest has %s)", prefix, *(f"{n:,}" for n in (row[0], most, row[1]))
        )
    large: int = row["large"]
    return large
