"""Shards back into blocks: columns of a file as tensors, with no loop over rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.lake import Lake, open_parquet, read_groups, table_files
from gnnscale.sampling import Block, Hop, Path
from gnnscale.schema import MANIFEST_NAME, EdgeType, GraphManifest, LakeError


@dataclass(frozen=True)
class Shard:
    """Some examples of a shard.

    Args:
        block: what was sampled around them, as arrays over the columns.
        labels: the columns of the label stage, a row an example.
        features: path, or () for the seeds -> kind (``num``, ``cat``, ``lists``, ``vec``) -> encoded columns of its
            nodes, ``[examples, fan-out 1, ..., width]``. Empty where none were copied in.
    """

    block: Block
    labels: pa.Table
    features: dict[Path, dict[str, NDArray[Any]]] = field(default_factory=dict)

    def select(self, rows: NDArray[np.int64]) -> Shard:
        """Some of the examples, in the order of ``rows``."""
        block = self.block
        hops = {path: Hop(path, hop.nodes[rows], hop.times[rows]) for path, hop in block.hops.items()}
        features = {path: {kind: a[rows] for kind, a in kinds.items()} for path, kinds in self.features.items()}
        taken = Block(block.table, block.seeds[rows], block.times[rows], hops)
        return Shard(taken, self.labels.take(rows), features)

    @classmethod
    def merge(cls, parts: Sequence[tuple[NDArray[np.int64], Shard]]) -> Shard:
        """Examples of several shards as one.

        Args:
            parts: at which positions of the result the examples of each shard stand, and the shard.
        """
        positions, shards = zip(*parts, strict=True)
        order = np.argsort(np.concatenate(positions), kind="stable")

        def joined(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
            found: NDArray[Any] = np.concatenate(list(arrays))[order]
            return found

        blocks = [shard.block for shard in shards]
        hops = {
            path: Hop(path, joined(b.hops[path].nodes for b in blocks), joined(b.hops[path].times for b in blocks))
            for path in blocks[0].hops
        }
        features = {
            path: {kind: joined(s.features[path][kind] for s in shards) for kind in kinds}
            for path, kinds in shards[0].features.items()
        }
        block = Block(blocks[0].table, joined(b.seeds for b in blocks), joined(b.times for b in blocks), hops)
        return cls(block, pa.concat_tables([s.labels for s in shards]).take(order), features)

    def tensors(self) -> dict[Path, tuple[Tensor, Tensor]]:
        """Nodes and times of each path, int32 ``[examples, fan-out 1, ...]``, without a copy."""
        return {path: (_tensor(hop.nodes), _tensor(hop.times)) for path, hop in self.block.hops.items()}


@dataclass(frozen=True)
class RowGroup:
    """Examples of a file that are read together: its name, the group's number within it, and its rows."""

    file: str
    number: int
    rows: int


class ShardReader:
    """The files of ``shards_<query>``, one by one.

    Args:
        lake: where the shard stage wrote.
        query: name of the query.

    Attributes:
        table: of the seeds.
        paths: edge types from a seed to each hop.
        manifest: of the graph that the shards are of.

    Raises:
        LakeError: there are no shards, or they are of another graph.
    """

    def __init__(self, lake: Lake, query: str) -> None:
        self._table = f"shards_{query}"
        record, manifest = lake.read_record(self._table), lake.read_record(MANIFEST_NAME)
        if record is None or manifest is None:
            raise LakeError(f"lake {lake.uri} holds no shards of '{query}'; run the shards stage first")
        self.manifest = GraphManifest.from_dict(manifest)
        self._entity = str(record["table"])
        self._paths = {hop["name"]: self._path(hop["path"]) for hop in record["hops"]}
        self.table, self.paths = self._entity, tuple(self._paths.values())
        self._shapes = {hop["name"]: tuple(hop["fanouts"]) for hop in record["hops"]}
        opened = lake.open(self._table)
        self._filesystem = opened.to_pyarrow_dataset().filesystem
        #: Files in the order of the labels, for workers to share out.
        self.files = table_files(opened)

    def groups(self) -> list[RowGroup]:
        """The row groups of all files, in the order of the labels."""
        found = []
        for file in self.files:
            with open_parquet(self._filesystem, file, self._table) as opened:
                footer = opened.metadata
                found += [RowGroup(file, i, footer.row_group(i).num_rows) for i in range(footer.num_row_groups)]
        return found

    def labels(self) -> pa.Table:
        """The columns of the label stage for all examples, in their order, without what was sampled."""
        tables = []
        for file in self.files:
            with open_parquet(self._filesystem, file, self._table) as opened:
                names = [name for name in opened.schema_arrow.names if "__" not in name]
                tables.append(read_groups(opened, names))
        return pa.concat_tables(tables)

    def read_group(self, group: RowGroup) -> Shard:
        """The examples of one row group."""
        with open_parquet(self._filesystem, group.file, self._table) as opened:
            return self._shard(read_groups(opened, groups=[group.number]))

    def read(self, file: str) -> Iterator[Shard]:
        """The examples of one file, a row group at a time.

        Raises:
            LakeError: it is not a file of the table.
        """
        if file not in self.files:
            raise LakeError(f"{PurePosixPath(file).name} is no file of {self._table}")
        with open_parquet(self._filesystem, file, self._table) as opened:
            for group in range(opened.num_row_groups):
                yield self._shard(read_groups(opened, groups=[group]))

    def _shard(self, table: pa.Table) -> Shard:
        hops = {}
        for name, path in self._paths.items():
            nodes, times = (_array(table[f"{name}__{kind}"], self._shapes[name]) for kind in ("nodes", "times"))
            hops[path] = Hop(path, nodes, times)
        anchors = table["anchor_time"].to_numpy() - self.manifest.origin
        labels = [name for name in table.column_names if "__" not in name]
        seeds = table["entity"].to_numpy().astype(np.int64)
        block = Block(self._entity, seeds, anchors.astype(np.int32), hops)
        return Shard(block, table.select(labels), self._features(table))

    def _features(self, table: pa.Table) -> dict[Path, dict[str, NDArray[Any]]]:
        shapes: dict[Path, tuple[str, tuple[int, ...]]] = {(): ("seeds", ())}
        shapes |= {path: (name, self._shapes[name]) for name, path in self._paths.items()}
        found: dict[Path, dict[str, NDArray[Any]]] = {}
        for path, (name, shape) in shapes.items():
            for kind in ("num", "cat", "lists", "vec"):
                if f"{name}__{kind}" in table.column_names:
                    values = _array(table[f"{name}__{kind}"], (-1,))
                    found.setdefault(path, {})[kind] = values.reshape(table.num_rows, *shape, -1)
        return found

    def _path(self, names: list[str]) -> Path:
        known: dict[str, EdgeType] = {edge_type.table_name: edge_type for edge_type in self.manifest.edge_types}
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
