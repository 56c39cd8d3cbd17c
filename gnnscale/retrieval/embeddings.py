"""Embeddings and pair scores of one anchor, read from the lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.lake import Lake
from gnnscale.schema import DataError, LakeError


@dataclass(frozen=True)
class PairScores:
    """Scores of the targets inside each entity's neighborhood.

    Args:
        indptr: int64 ``[entities + 1]``.
        targets: node ids, int64 ``[pairs]``, no repeats within an entity.
        scores: float32 ``[pairs]``.
    """

    indptr: NDArray[np.int64]
    targets: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pairs of each entity."""
        return np.diff(self.indptr)


def read_vectors(lake: Lake, table: str, anchor: int) -> NDArray[np.float32]:
    """Vectors of one anchor (epoch seconds) in order of node id, float32 ``[nodes, channels]``.

    Raises:
        LakeError: the table has no row of that anchor.
        DataError: node ids are not 0 to n - 1, or a vector holds NaN or differs in length.
    """
    rows = _at(lake, f"embeddings_{table}", anchor).sort_by("node_id").combine_chunks()
    ids = rows["node_id"].to_numpy()
    if (ids != np.arange(len(ids))).any():
        raise DataError(f"embeddings_{table} lacks node ids or has some twice")
    column = pa.concat_arrays(rows["vector"].chunks)
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if (lengths != lengths[0]).any():
        raise DataError(f"embeddings_{table} has vectors of {lengths.min()} to {lengths.max()} channels")
    vectors = column.flatten().to_numpy().astype(np.float32, copy=False).reshape(len(ids), -1)
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise DataError(f"embeddings_{table}: the vector of node {bad} is not finite")
    return np.ascontiguousarray(vectors)


def read_pairs(lake: Lake, query: str, anchor: int) -> PairScores:
    """Pair scores of one anchor, in order of entity.

    Raises:
        LakeError: the table has no row of that anchor.
    """
    rows = _at(lake, f"pairs_{query}", anchor).sort_by("entity").combine_chunks()
    targets, scores = (pa.concat_arrays(rows[name].chunks) for name in ("targets", "scores"))
    counts = pc.list_value_length(targets).to_numpy(zero_copy_only=False)
    return PairScores(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        targets.flatten().to_numpy(zero_copy_only=False).astype(np.int64),
        scores.flatten().to_numpy(zero_copy_only=False).astype(np.float32),
    )


def _at(lake: Lake, table: str, anchor: int) -> pa.Table:
    time = pa.scalar(datetime.fromtimestamp(anchor, UTC), pa.timestamp("us", tz="UTC"))
    rows = lake.read(table)
    rows = rows.filter(pc.equal(rows["anchor_time"], time))
    if rows.num_rows == 0:
        raise LakeError(f"{table} has no rows of anchor {time.as_py():%Y-%m-%d %H:%M:%S}; run the embed stage again")
    return rows
