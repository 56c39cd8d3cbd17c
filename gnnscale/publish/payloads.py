"""Rows of a lake's tables as octets: vectors as they are in memory, all else as compact JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_TIME: Final = struct.Struct("<q")
"""Before a vector: its anchor, epoch seconds."""

VECTORS: Final = "vectors"
ANSWERS: Final = "answers"


def vector_payloads(vectors: NDArray[np.float32], anchors: Sequence[int]) -> Iterator[bytes]:
    """Vectors, each with its anchor.

    Args:
        vectors: ``[rows, channels]``.
        anchors: epoch seconds ``[rows]``.
    """
    octets, width = np.ascontiguousarray(vectors, "<f4").tobytes(), 4 * vectors.shape[1]
    for row, anchor in enumerate(anchors):
        yield _TIME.pack(anchor) + octets[row * width : (row + 1) * width]


def read_vector(payload: bytes) -> tuple[int, NDArray[np.float32]]:
    """Anchor, and vector ``[channels]``; inverse of :func:`vector_payloads`."""
    return _TIME.unpack_from(payload)[0], np.frombuffer(payload, "<f4", offset=_TIME.size)


def answer_payload(columns: dict[str, list[Any]], anchor: int | None) -> bytes:
    """What was predicted for an entity.

    Args:
        columns: name -> value of each of its rows.
        anchor: epoch seconds; None where the answers have no time.
    """
    return json.dumps([anchor, *columns.values()], separators=(",", ":"), default=str).encode()


def read_payload(payload: bytes, layout: dict[str, Any]) -> dict[str, Any]:
    """A row as plain data: its columns, and ``anchor_time``.

    Args:
        payload: of :func:`vector_payloads` or :func:`answer_payload`.
        layout: as the table's state has it: ``kind``, and of answers their ``columns`` and whether they are ``lists``.
    """
    if layout["kind"] == VECTORS:
        anchor, vector = read_vector(payload)
        return {"vector": vector, "anchor_time": datetime.fromtimestamp(anchor, UTC)}
    anchor, *values = json.loads(payload)
    columns = dict(zip(layout["columns"], values, strict=True))
    if not layout["lists"]:
        columns = {name: value[0] for name, value in columns.items()}
    return {**columns, "anchor_time": None if anchor is None else datetime.fromtimestamp(anchor, UTC)}


def plain_columns(rows: pa.Table) -> dict[str, list[Any]]:
    """Columns as values that JSON holds, numbers of 32 bits with the digits that tell them apart."""
    found: dict[str, list[Any]] = {}
    for name in rows.column_names:
        column = rows[name]
        if pa.types.is_float32(column.type):
            # The shortest text of a float32 is the value; as a double it would have twice the digits.
            values = column.to_numpy()
            found[name] = [float(str(value)) for value in values]
        else:
            found[name] = column.to_pylist()
    return found
