"""Rows of the lake's tables as they go into a store, a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from gnnscale.arrays import key_text
from gnnscale.inference import TIMESTAMP, Refreshed, rows_after
from gnnscale.lake import Lake, open_parquet, table_files
from gnnscale.publish.payloads import vector_payloads
from gnnscale.schema import DataError

BATCH: Final = 16_384
"""Rows of a table that are held at once."""

BESIDE: Final = frozenset({"entity", "anchor_time", "rank", "frame"})
"""Columns of predictions that are no part of an answer: the order of its rows says what the last two do."""

ORDERED: Final = frozenset({"rank", "frame"})


def column_type(lake: Lake, table: str, column: str) -> pa.DataType:
    """Type of a column of a table, as its rows are read."""
    return lake.open(table).to_pyarrow_dataset().schema.field(column).type


def last_anchor(lake: Lake, table: str, version: int) -> int:
    """The latest anchor of ``embeddings_<table>``, epoch seconds."""
    times = [pc.max(batch["anchor_time"]) for batch in lake.batches(table, ["anchor_time"], version=version)]
    return max((int(time.as_py().timestamp()) for time in times), default=0)


def count_channels(lake: Lake, table: str, version: int) -> int:
    """Length of the vectors of a table; 0 where it has no rows."""
    first = next(lake.batches(table, ["vector"], version=version, batch_rows=1), None)
    return 0 if first is None else len(first["vector"][0])


def embedding_rows(lake: Lake, table: str, version: int, keys: pa.Array, anchor: int) -> Iterator[tuple[str, bytes]]:
    """Vectors of ``embeddings_<table>`` at one anchor.

    Args:
        lake: holds the table.
        table: its name.
        version: of it.
        keys: of its nodes, in order of node id.
        anchor: epoch seconds.
    """
    texts, time = key_text(keys), pa.scalar(datetime.fromtimestamp(anchor, UTC), TIMESTAMP)
    columns = ["node_id", "vector", "anchor_time"]
    for batch in lake.batches(table, columns, ds.field("anchor_time") == time, version, BATCH):
        found = texts.take(batch["node_id"]).to_pylist()
        yield from zip(found, vector_payloads(_matrix(batch["vector"]), [anchor] * len(found)), strict=True)


def refreshed_rows(lake: Lake, last: Refreshed, query: str, after: int) -> Iterator[tuple[str, bytes]]:
    """Vectors that runs of the refresh wrote.

    Args:
        lake: holds the table.
        last: its state.
        query: name of its query.
        after: number of a run; rows of later ones are given, 0 for all.
    """
    for batch in _refreshed(lake, last, query, after, ["entity", "anchor_time", "vector"]):
        found = key_text(batch["entity"]).to_pylist()
        yield from zip(found, vector_payloads(_matrix(batch["vector"]), _anchors(batch)), strict=True)


def _refreshed(lake: Lake, last: Refreshed, query: str, after: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    rows = rows_after(lake, last, query, after, columns) if after else None
    if rows is not None:
        return iter(rows.to_batches(BATCH))
    return lake.batches(last.table, [*columns, "run"], ds.field("run") > after, last.version, BATCH)


def has_pairs(lake: Lake, table: str, version: int) -> bool:
    """Whether any entity has scored targets in ``pairs_<query>`` or ``refreshed_<query>``: of towers, none has."""
    found = lake.batches(table, ["targets"], version=version, batch_rows=BATCH)
    return any(len(batch["targets"].flatten()) > 0 for batch in found)


PAIRS_LAYOUT: Final = {"kind": "answers", "columns": ["target", "score"], "lists": True}


def pair_rows(
    lake: Lake, table: str, version: int, entities: pa.Array, targets: pa.Array, anchor: int
) -> Iterator[tuple[str, bytes]]:
    """Scores of targets of ``pairs_<query>`` at one anchor, by the entities' keys.

    Args:
        lake: holds the table.
        table: its name.
        version: of it.
        entities, targets: keys, in order of node id.
        anchor: epoch seconds.
    """
    texts, time = key_text(entities), pa.scalar(datetime.fromtimestamp(anchor, UTC), TIMESTAMP)
    tokens = _tokens(pa.chunked_array([targets]))
    columns = ["entity", "targets", "scores"]
    for batch in lake.batches(table, [*columns, "anchor_time"], ds.field("anchor_time") == time, version, BATCH):
        yield from _pairs(texts.take(batch["entity"]).to_pylist(), batch, tokens, [anchor] * batch.num_rows)


def refreshed_pairs(
    lake: Lake, last: Refreshed, query: str, targets: pa.Array, after: int
) -> Iterator[tuple[str, bytes]]:
    """The same of scores of pairs, with the targets' keys in order of node id; see :func:`refreshed_rows`."""
    tokens = _tokens(pa.chunked_array([targets]))
    for batch in _refreshed(lake, last, query, after, ["entity", "anchor_time", "targets", "scores"]):
        yield from _pairs(key_text(batch["entity"]).to_pylist(), batch, tokens, _anchors(batch))


def _pairs(
    keys: list[str], batch: pa.RecordBatch, tokens: list[str], anchors: list[int]
) -> Iterator[tuple[str, bytes]]:
    """Entities' scored targets, the targets' keys as JSON has them."""
    stops = np.cumsum(pc.list_value_length(batch["targets"]).to_numpy()).tolist()
    targets = [tokens[node] for node in batch["targets"].flatten().to_pylist()]
    scores = _tokens(pa.chunked_array([batch["scores"].flatten()]))
    for key, anchor, start, stop in zip(keys, anchors, [0, *stops[:-1]], stops, strict=True):
        yield key, f"[{anchor},[{','.join(targets[start:stop])}],[{','.join(scores[start:stop])}]]".encode()


def answer_layout(schema: pa.Schema) -> dict[str, Any]:
    """How the payloads of a table of predictions are read, by its columns."""
    columns = [name for name in schema.names if name not in BESIDE]
    return {"kind": "answers", "columns": columns, "lists": bool(ORDERED & set(schema.names))}


def answer_rows(lake: Lake, table: str, version: int) -> Iterator[tuple[str, bytes]]:
    """Answers of ``predictions_<query>``, each of consecutive rows.

    Args:
        lake: holds the table.
        table: its name.
        version: of it.

    Raises:
        DataError: rows of an entity lie apart.
    """
    seen: list[int] = []
    waiting: pa.Table | None = None
    for batch in _file_batches(lake, table, version):
        rows = pa.concat_tables([waiting, batch]).combine_chunks() if waiting is not None else batch
        starts = _starts(rows["entity"])
        # The last entity's rows may go on in the next batch.
        yield from _answers(rows.slice(0, starts[-1]), starts[:-1], seen)
        waiting = rows.slice(starts[-1])
    if waiting is not None:
        yield from _answers(waiting, [0], seen)
    # Eight octets an entity, where their keys would be many.
    if len(np.unique(np.array(seen, np.int64))) < len(seen):
        raise DataError(f"rows of an entity lie apart in {table}, as no stage writes it; run that again")


def _answers(rows: pa.Table, starts: list[int], seen: list[int]) -> Iterator[tuple[str, bytes]]:
    """Answers of whole entities.

    Args:
        rows: of them.
        starts: first row of each.
        seen: gets a hash of each key.
    """
    columns = [_tokens(rows[name]) for name in rows.column_names if name not in BESIDE]
    keys = key_text(_one(rows["entity"])).take(pa.array(starts, pa.int64())).to_pylist()
    times = rows["anchor_time"].take(pa.array(starts, pa.int64())).cast(pa.int64()).to_pylist()
    for key, time, start, stop in zip(keys, times, starts, [*starts[1:], rows.num_rows], strict=True):
        seen.append(hash(key))
        anchor = "null" if time is None else str(time // 1_000_000)
        values = [f"[{','.join(column[start:stop])}]" for column in columns]
        yield key, f"[{','.join([anchor, *values])}]".encode()


def _tokens(column: pa.ChunkedArray) -> list[str]:
    """Values as JSON writes them; numbers of 32 bits with as few digits as tell them apart."""
    if pa.types.is_floating(column.type):
        text = column.cast(pa.string())
        # Arrow writes whole numbers as such, and readers should get numbers of one type.
        whole = pc.match_substring_regex(text, r"^-?\d+$")
        found: list[str] = pc.if_else(whole, pc.binary_join_element_wise(text, "", ".0"), text).to_pylist()
        return ["null" if value is None else value for value in found]
    if pa.types.is_integer(column.type):
        found = column.cast(pa.string()).to_pylist()
        return ["null" if value is None else value for value in found]
    values = column.to_pylist() if pa.types.is_boolean(column.type) else key_text(_one(column)).to_pylist()
    return [json.dumps(value) for value in values]


def _starts(entities: pa.ChunkedArray) -> list[int]:
    keys = _one(entities)
    changes = pc.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy(zero_copy_only=False)
    return [0, *(np.flatnonzero(changes) + 1).tolist()]


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _matrix(vectors: pa.Array) -> np.ndarray[Any, np.dtype[np.float32]]:
    found: np.ndarray[Any, np.dtype[np.float32]] = vectors.flatten().to_numpy().reshape(len(vectors), -1)
    return found


def _anchors(batch: pa.RecordBatch) -> list[int]:
    found: list[int] = pc.divide(batch["anchor_time"].cast(pa.int64()), 1_000_000).to_pylist()
    return found


def _file_batches(lake: Lake, table: str, version: int) -> Iterator[pa.Table]:
    """All rows, in order of the files' names, in which they were written."""
    opened = lake.open(table, version)
    filesystem = opened.to_pyarrow_dataset().filesystem
    for path in table_files(opened):
        with open_parquet(filesystem, path, table) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])
