"""Embeddings and pair scores of one anchor, read from the lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import create_array
from gnnscale.lake import Lake
from gnnscale.retrieval.index.metric import Metric
from gnnscale.schema import ConfigError, DataError, LakeError


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


def check_metric(pairs: PairScores, metric: Metric) -> None:
    """Refuse to compare scores of pairs with what they can't be compared with.

    Raises:
        ConfigError: there are pairs, and the tower's scores are no inner products.
    """
    if metric is not Metric.INNER_PRODUCT and pairs.counts.any():
        raise ConfigError(f"scores of pairs are inner products; retrieval.index.metric is {metric}")


def count_vectors(lake: Lake, table: str, anchor: int) -> int:
    """Vectors of one anchor (epoch seconds) in ``embeddings_<table>``.

    Raises:
        LakeError: the table has no row of that anchor.
    """
    rows = _count(lake, f"embeddings_{table}", _of(anchor, None), None)
    if not rows:
        raise _missing(table, anchor)
    return rows


def _count(lake: Lake, name: str, wanted: pc.Expression, version: int | None) -> int:
    return sum(batch.num_rows for batch in lake.batches(name, ["node_id", "anchor_time"], wanted, version))


def read_vectors(
    lake: Lake,
    table: str,
    anchor: int,
    file: Path | None = None,
    nodes: tuple[int, int] | None = None,
    version: int | None = None,
) -> NDArray[np.float32]:
    """Vectors of one anchor (epoch seconds) in order of node id, float32 ``[nodes, channels]``.

    Rows are read a batch at a time, and put where they belong.

    Args:
        lake: holds ``embeddings_<table>``.
        table: whose nodes they are of.
        anchor: epoch seconds.
        file: keeps the vectors, which are then mapped; default: memory does.
        nodes: node ids from the first up to the second, of which alone files are read; default: all.
        version: of the table; default: the latest.

    Raises:
        LakeError: the table has no row of that anchor.
        DataError: node ids are not 0 to n - 1, or those of ``nodes``, or a vector holds NaN or differs in length.
    """
    name = f"embeddings_{table}"
    wanted = _of(anchor, nodes)
    rows = _count(lake, name, wanted, version)
    if not rows:
        raise _missing(table, anchor)
    first, last = nodes or (0, rows)
    if rows != last - first:
        raise DataError(f"{name} lacks node ids or has some twice")
    vectors: NDArray[np.float32] | None = None
    seen = np.zeros(rows, bool)
    for batch in lake.batches(name, ["node_id", "vector", "anchor_time"], wanted, version):
        ids, lists = batch["node_id"].to_numpy(), batch["vector"]
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        if vectors is None:
            vectors = _room(file, (rows, int(lengths[0])))
        if (lengths != vectors.shape[1]).any():
            least, most = min(lengths.min(), vectors.shape[1]), max(lengths.max(), vectors.shape[1])
            raise DataError(f"{name} has vectors of {least} to {most} channels")
        positions = ids - first
        if positions.min() < 0 or positions.max() >= rows or seen[positions].any() or len(np.unique(ids)) < len(ids):
            raise DataError(f"{name} lacks node ids or has some twice")
        values = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), -1)
        if not np.isfinite(values).all():
            bad = int(ids[np.flatnonzero(~np.isfinite(values).all(1))[0]])
            raise DataError(f"{name}: the vector of node {bad} is not finite")
        vectors[positions], seen[positions] = values, True
    assert vectors is not None  # there are rows
    return vectors


def _of(anchor: int, nodes: tuple[int, int] | None) -> pc.Expression:
    wanted = pc.field("anchor_time") == _time(anchor)
    if nodes is not None:
        wanted &= (pc.field("node_id") >= nodes[0]) & (pc.field("node_id") < nodes[1])
    return wanted


def _missing(table: str, anchor: int) -> LakeError:
    time = f"{_time(anchor).as_py():%Y-%m-%d %H:%M:%S}"
    return LakeError(f"embeddings_{table} has no rows of anchor {time}; run the embed stage again")


def read_some_vectors(lake: Lake, table: str, anchor: int, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Vectors of some nodes (ascending ids) at one anchor, float32 ``[nodes, channels]``.

    Raises:
        LakeError: the table has no row of one of them at that anchor.
    """
    wanted = (pc.field("anchor_time") == _time(anchor)) & pc.field("node_id").isin(pa.array(nodes))
    found = list(lake.batches(f"embeddings_{table}", ["node_id", "vector", "anchor_time"], wanted))
    if not found:
        raise _missing(table, anchor)
    rows = pa.Table.from_batches(found).sort_by("node_id").combine_chunks()
    if rows["node_id"].to_pylist() != nodes.tolist():
        time = _time(anchor).as_py()
        raise LakeError(f"embeddings_{table} lacks nodes at anchor {time:%Y-%m-%d %H:%M:%S}; run the embed stage again")
    values = pa.concat_arrays(rows["vector"].chunks).flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values, np.float32).reshape(len(nodes), -1)


def read_sample(lake: Lake, table: str, anchor: int, nodes: int, count: int, seed: int) -> NDArray[np.float32]:
    """Vectors of some of so many nodes, drawn at random, at one anchor; see :func:`read_some_vectors`."""
    drawn = np.random.default_rng(seed).permutation(nodes)[:count]
    return read_some_vectors(lake, table, anchor, np.sort(drawn))


def _room(file: Path | None, shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.empty(shape, np.float32) if file is None else create_array(file, np.float32, shape)


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
    time = _time(anchor)
    rows = lake.read(table)
    rows = rows.filter(pc.equal(rows["anchor_time"], time))
    if rows.num_rows == 0:
        raise LakeError(f"{table} has no rows of anchor {time.as_py():%Y-%m-%d %H:%M:%S}; run the embed stage again")
    return rows


def _time(anchor: int) -> pa.Scalar:
    return pa.scalar(datetime.fromtimestamp(anchor, UTC), pa.timestamp("us", tz="UTC"))
