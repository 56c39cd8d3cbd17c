"""Shards as files: fixed-length integer arrays beside the labels, readable into tensors without a loop over rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from gnnscale.etl.subgraph_shards.exchange import Hop, found_layout
from gnnscale.etl.subgraph_shards.node_features import KINDS, CopiedFeatures
from gnnscale.etl.subgraph_shards.row_blocks import unpack_rows
from gnnscale.etl.subgraph_shards.shard_seeds import Examples
from gnnscale.lake import open_folder, parquet_writer
from gnnscale.sampling import Path
from gnnscale.store import ALWAYS

FILES = "place long, path string, size long, rows long"
MARKER = -1
"""Channel of rows that say no more than that a shard is to be written."""

ROW_GROUP_BYTES = 32 << 20

SEEDS = "seeds"
"""What features of the seeds are called by."""

Copied = tuple[tuple[str, CopiedFeatures], ...]
"""Features to copy in: of the seeds first, then of each hop by its path's name; empty where none are."""


def path_name(path: Path) -> str:
    """What columns of a path are called by: its edge tables, from the seed on."""
    return "__".join(edge_type.table_name.removeprefix("edges_") for edge_type in path)


def shard_schema(examples: Examples, hops: tuple[Hop, ...], features: Copied = ()) -> pa.Schema:
    """Columns of a shard: those of the labels, nodes and times of each hop, and features that are copied in."""
    fields = list(examples.schema)
    for hop in hops:
        fields += [pa.field(f"{path_name(hop.path)}__{kind}", pa.list_(pa.int32())) for kind in ("nodes", "times")]
    for name, copied in features:
        fields += [pa.field(f"{name}__{kind}", pa.list_(KINDS[kind])) for kind in copied.widths]
    return pa.schema(fields)


@dataclass(frozen=True)
class ShardWriter:
    """What was found for a shard's examples to one file.

    Args:
        root: of the table ``shards_<query>``.
        storage_options: as delta-rs names them.
        examples: whose labels stand beside.
        hops: of the neighborhood.
        shard_rows: examples of a shard.
        job: part of the files' names.
        features: that are copied in.
    """

    root: str
    storage_options: Mapping[str, str]
    examples: Examples
    hops: tuple[Hop, ...]
    shard_rows: int
    job: str
    features: Copied = ()

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrays: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        shard = -1
        for batch in batches:
            for channel, place, count, block in zip(
                batch.column("channel").to_pylist(),
                batch.column("place").to_pylist(),
                batch.column("rows").to_pylist(),
                batch.column("block"),
                strict=True,
            ):
                if shard < 0:
                    shard, arrays = place, self._empty(place)
                if channel != MARKER:
                    self._fill(arrays, shard, channel // 2, count, block.as_buffer())
        if shard >= 0:
            yield self._write(shard, arrays)

    def _rows(self, shard: int) -> tuple[int, int]:
        return shard * self.shard_rows, min(len(self.examples), (shard + 1) * self.shard_rows)

    def _empty(self, shard: int) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        start, stop = self._rows(shard)
        shapes = [(stop - start, hop.width * hop.fanout) for hop in self.hops]
        return [(np.full(shape, -1, np.int32), np.full(shape, ALWAYS, np.int32)) for shape in shapes]

    def _fill(
        self,
        arrays: list[tuple[NDArray[np.int32], NDArray[np.int32]]],
        shard: int,
        index: int,
        count: int,
        block: pa.Buffer,
    ) -> None:
        fanout = self.hops[index].fanout
        row, slot, nodes, times = unpack_rows(block, count, found_layout(fanout))
        _place(
            row - shard * self.shard_rows,
            slot,
            nodes.reshape(count, fanout),
            times.reshape(count, fanout),
            *arrays[index],
        )

    def _write(self, shard: int, arrays: list[tuple[NDArray[np.int32], NDArray[np.int32]]]) -> pa.RecordBatch:
        start, stop = self._rows(shard)
        labels = self.examples.read(start, stop).cast(self.examples.schema)
        schema = shard_schema(self.examples, self.hops, self.features)
        filesystem, root = open_folder(self.root, self.storage_options, make=True)
        path = f"part-{shard:06d}-{self.job}-{uuid.uuid4().hex[:8]}.parquet"
        step = max(1, ROW_GROUP_BYTES // max(1, example_bytes(self.hops, self.features)))
        with (
            filesystem.open_output_stream(root + path) as sink,
            parquet_writer(sink, schema, compression="lz4", use_dictionary=labels.column_names) as writer,
        ):
            for low in range(0, stop - start, step):
                part = slice(low, min(low + step, stop - start))
                columns: list[Any] = labels.slice(part.start, part.stop - part.start).columns
                for pair in arrays:
                    columns += [_lists(array[part]) for array in pair]
                seeds = columns[labels.column_names.index("entity")].to_numpy()[:, None]
                reached = (seeds, *(nodes[part] for nodes, _ in arrays))
                for (_, copied), nodes in zip(self.features, reached, strict=False):
                    columns += [_lists(values) for values in copied.gather(nodes).values()]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        size = filesystem.get_file_info(root + path).size
        return pa.RecordBatch.from_pydict({"place": [shard], "path": [path], "size": [size], "rows": [stop - start]})


def example_bytes(hops: tuple[Hop, ...], features: Copied) -> int:
    """Bytes of one example's arrays."""
    slots = [hop.width * hop.fanout for hop in hops]
    copied = [4 * sum(features.widths.values()) for _, features in features]
    return sum(8 * count for count in slots) + sum(
        width * count for width, count in zip(copied, (1, *slots), strict=False)
    )


def _lists(array: NDArray[Any]) -> pa.Array:
    rows, width = array.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32) if width else np.zeros(rows + 1, np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(array.ravel()))


@njit(nogil=True, cache=True)
def _place(row, slot, nodes, times, all_nodes, all_times):  # type: ignore[no-untyped-def]
    fanout = nodes.shape[1]
    for i in range(len(row)):
        at = slot[i] * fanout
        for j in range(fanout):
            all_nodes[row[i], at + j] = nodes[i, j]
            all_times[row[i], at + j] = times[i, j]
