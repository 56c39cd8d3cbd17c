"""Shards back into blocks: columns of a file as tensors, with no loop over rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.lake import Lake, table_files
from gnnscale.sampling import Block, Hop
from gnnscale.sampling.block import Path
from gnnscale.schema import EdgeType, GraphManifest, LakeError
from gnnscale.schema.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class Shard:
    """Some examples of a shard.

    Args:
        block: what was sampled around them, as arrays over the columns.
        labels: the columns of the label stage, a row an example.
        features: path, or () for the seeds -> kind (``num``, ``cat``, ``vec``) -> encoded columns of its nodes,
            ``[examples, fan-out 1, ..., width]``. Empty where none were copied in.
    """

    block: Block
    labels: pa.Table
    features: dict[Path, dict[str, NDArray[Any]]] = field(default_factory=dict)

    def take(self, rows: NDArray[np.int64]) -> Block:
        """What was sampled around some of the examples, ``[rows]``, in their order."""
        block = self.block
        hops = {path: Hop(path, hop.nodes[rows], hop.times[rows]) for path, hop in block.hops.items()}
        return Block(block.table, block.seeds[rows], block.times[rows], hops)

    def tensors(self) -> dict[Path, tuple[Tensor, Tensor]]:
        """Nodes and times of each path, int32 ``[examples, fan-out 1, ...]``, without a copy."""
        return {path: (_tensor(hop.nodes), _tensor(hop.times)) for path, hop in self.block.hops.items()}


class ShardReader:
    """The files of ``shards_<query>``, one by one.

    Args:
        lake: where the shard stage wrote.
        query: name of the query.

    Raises:
        LakeError: there are no shards, or they are of another graph.
    """

    def __init__(self, lake: Lake, query: str) -> None:
        self._table = f"shards_{query}"
        record, manifest = lake.read_record(self._table), lake.read_record(MANIFEST_NAME)
        if record is None or manifest is None:
            raise LakeError(f"lake {lake.uri} holds no shards of '{query}'; run the shards stage first")
        self._manifest = GraphManifest.from_dict(manifest)
        self._entity = str(record["table"])
        self._paths = {hop["name"]: self._path(hop["path"]) for hop in record["hops"]}
        self._shapes = {hop["name"]: tuple(hop["fanouts"]) for hop in record["hops"]}
        opened = lake.open(self._table)
        self._filesystem = opened.to_pyarrow_dataset().filesystem
        #: Files in the order of the labels, for workers to share out.
        self.files = table_files(opened)

    def counts(self) -> list[int]:
        """Examples of every file, as their footers tell."""
        found = []
        for file in self.files:
            with pq.ParquetFile(self._filesystem.open_input_file(file)) as opened:
                found.append(opened.metadata.num_rows)
        return found

    def read(self, file: str) -> Iterator[Shard]:
        """The examples of one file, a row group at a time.

        Raises:
            LakeError: it is not a file of the table.
        """
        if file not in self.files:
            raise LakeError(f"{PurePosixPath(file).name} is no file of {self._table}")
        with pq.ParquetFile(self._filesystem.open_input_file(file)) as opened:
            for group in range(opened.num_row_groups):
                yield self._shard(opened.read_row_group(group, use_threads=False))

    def _shard(self, table: pa.Table) -> Shard:
        hops = {}
        for name, path in self._paths.items():
            nodes, times = (_array(table[f"{name}__{kind}"], self._shapes[name]) for kind in ("nodes", "times"))
            hops[path] = Hop(path, nodes, times)
        anchors = table["anchor_time"].to_numpy() - self._manifest.origin
        labels = [name for name in table.column_names if "__" not in name]
        seeds = table["entity"].to_numpy().astype(np.int64)
        block = Block(self._entity, seeds, anchors.astype(np.int32), hops)
        return Shard(block, table.select(labels), self._features(table))

    def _features(self, table: pa.Table) -> dict[Path, dict[str, NDArray[Any]]]:
        shapes: dict[Path, tuple[str, tuple[int, ...]]] = {(): ("seeds", ())}
        shapes |= {path: (name, self._shapes[name]) for name, path in self._paths.items()}
        found: dict[Path, dict[str, NDArray[Any]]] = {}
        for path, (name, shape) in shapes.items():
            for kind in ("num", "cat", "vec"):
                if f"{name}__{kind}" in table.column_names:
                    values = _array(table[f"{name}__{kind}"], (-1,))
                    found.setdefault(path, {})[kind] = values.reshape(table.num_rows, *shape, -1)
        return found

    def _path(self, names: list[str]) -> Path:
        known: dict[str, EdgeType] = {edge_type.table_name: edge_type for edge_type in self._manifest.edge_types}
        missing = [name for name in names if name not in known]
        if missing:
            raise LakeError(f"{self._table} follows {missing[0]}, which the graph lacks now; build the shards again")
        return tuple(known[name] for name in names)


def _array(column: pa.ChunkedArray, shape: tuple[int, ...]) -> NDArray[Any]:
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0) if lists.num_chunks else pa.array([], column.type)
    values: NDArray[Any] = lists.flatten().to_numpy(zero_copy_only=False)
    return values if shape == (-1,) else values.reshape(-1, *shape)


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())
