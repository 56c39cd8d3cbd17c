"""Rows of several columns as packed blocks, one for each place that they go to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import DTypeLike, NDArray

BLOCKS = "channel int, place int, rows long, block binary"
"""What stages hand on: which column layout, where to, how many rows, and their bytes."""

_ALIGNMENT = 8

Layout = Sequence[tuple[DTypeLike, int]]
"""Type and values a row of each column; wider types first, so that every column is aligned."""


def deal_rows(channel: int, places: NDArray[np.int32], columns: Sequence[NDArray[Any]]) -> pa.RecordBatch | None:
    """Pack rows into one block for each place.

    Args:
        channel: tells the reader what the columns are.
        places: where each row goes, int32 ``[rows]``, from 0.
        columns: each ``[rows]`` or ``[rows, width]``, wider types first.

    Returns:
        Rows of :data:`BLOCKS`; None without rows.
    """
    if not len(places):
        return None
    order, offsets = _order_by_place(places, int(places.max()) + 1)
    moved = [column[order] for column in columns]
    found = np.flatnonzero(np.diff(offsets))
    blocks = []
    for place in found:
        part = slice(offsets[place], offsets[place + 1])
        block = b"".join(column[part].tobytes() for column in moved)
        blocks.append(block + bytes(-len(block) % _ALIGNMENT))
    counts = np.diff(offsets)[found]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(np.full(len(found), channel), pa.int32()),
            pa.array(found, pa.int32()),
            pa.array(counts, pa.int64()),
            pa.array(blocks, pa.binary()),
        ],
        ["channel", "place", "rows", "block"],
    )


def unpack_rows(block: pa.Buffer, rows: int, layout: Layout) -> list[NDArray[Any]]:
    """The columns of a block, as arrays over its bytes: ``[rows]``, or ``[rows, width]`` where the width is not 1."""
    columns, at = [], 0
    for dtype, width in layout:
        column = np.frombuffer(block, dtype, rows * width, at)
        columns.append(column if width == 1 else column.reshape(rows, width))
        at += column.nbytes
    return columns


@njit(nogil=True, cache=True)
def _order_by_place(places, count):  # type: ignore[no-untyped-def]
    offsets = np.zeros(count + 1, np.int64)
    for place in places:
        offsets[place + 1] += 1
    for place in range(count):
        offsets[place + 1] += offsets[place]
    cursor = offsets[:-1].copy()
    order = np.empty(len(places), np.int64)
    for i in range(len(places)):
        order[cursor[places[i]]] = i
        cursor[places[i]] += 1
    return order, offsets
