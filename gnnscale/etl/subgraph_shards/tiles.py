"""The graph cut into tiles: consecutive nodes with their edges, each loaded by the task that samples there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnnscale.etl.edges.edge_blocks import EdgeColumns, merge
from gnnscale.etl.edges.edge_readers import epoch_seconds
from gnnscale.lake import Lake, open_folder, open_parquet, read_groups, table_files
from gnnscale.schema import DataError, EdgeType, GraphManifest
from gnnscale.store import ALWAYS, Adjacency, quantise

TILE_EDGES = 1 << 22
"""Edges of a tile, where one node has no more."""


@dataclass(frozen=True)
class Group:
    """A row group of an edge file: which sources it holds."""

    path: str
    group: int
    first: int
    last: int
    edges: int


@dataclass(frozen=True)
class Tiles:
    """One edge type's edges, as tasks load them.

    Args:
        root: of the edge table.
        groups: of all its files.
        bounds: int64 ``[tiles]``, first node of each tile; the first is 0.
        edges: int64 ``[tiles]``, about how many edges each has.
        nodes: of the table that the edges leave.
        origin: epoch seconds that times count from.
        max_weight: largest weight; None where edges have none.
        storage_options: as delta-rs names them.
    """

    root: str
    groups: tuple[Group, ...]
    bounds: NDArray[np.int64]
    edges: NDArray[np.int64]
    nodes: int
    origin: int
    max_weight: float | None
    storage_options: Mapping[str, str]

    @classmethod
    def of(cls, lake: Lake, manifest: GraphManifest, edge_type: EdgeType, tile_edges: int = TILE_EDGES) -> Tiles:
        """Cut an edge table at its row groups, so that a tile has about ``tile_edges`` edges."""
        figures = manifest.edges(edge_type)
        opened = lake.open(edge_type.table_name, figures.edge_version(edge_type))
        paths = table_files(opened)
        root = lake.table_uri(edge_type.table_name)
        groups = _read_groups(root, paths, lake.storage_options)
        bounds, edges = _cut(groups, tile_edges)
        nodes = manifest.table(edge_type.source).rows
        return cls(root, groups, bounds, edges, nodes, manifest.origin, figures.max_weight, dict(lake.storage_options))

    def tile_of(self, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Tile of each node, int32 ``[nodes]``."""
        tiles: NDArray[np.int32] = (np.searchsorted(self.bounds, nodes, side="right") - 1).astype(np.int32)
        return tiles

    def load(self, tile: int) -> tuple[Adjacency, int]:
        """CSR of a tile, and the node that its row 0 is of."""
        low = int(self.bounds[tile])
        high = int(self.bounds[tile + 1]) if tile + 1 < len(self.bounds) else self.nodes
        filesystem, prefix = open_folder(self.root, self.storage_options)
        wanted: dict[str, list[Group]] = {}
        for group in self.groups:
            if group.last >= low and group.first < high:
                wanted.setdefault(group.path, []).append(group)
        columns = ["source", "target", "time", *(["weight"] if self.max_weight is not None else [])]
        parts = []
        for path, groups in wanted.items():
            with open_parquet(filesystem, prefix + path) as file:
                table = read_groups(file, columns, [group.group for group in groups])
                _check_bounds(table["source"], groups)
            parts += [self._edges(batch, low, high) for batch in table.to_batches()]
        runs = {path.rpartition("part-")[0] for path in wanted}
        edges = merge(parts) if len(runs) > 1 else _joined(parts)
        return self._adjacency(edges, low, high - low), low

    def shares(self, bounds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of the edges that leave nodes between bounds, about; float ``[bounds]``, the last to the end."""
        spread = np.zeros(len(bounds) + 1)
        edges = np.append(bounds, np.iinfo(np.int64).max).astype(np.float64)
        for group in self.groups:
            # Within a row group, as though its edges were spread evenly over its sources.
            below = np.clip((edges - group.first) / (group.last + 1 - group.first), 0, 1)
            spread += group.edges * below
        shares: NDArray[np.float64] = np.diff(spread) / max(1.0, float(spread[-1] - spread[0]))
        return shares

    def _edges(self, batch: pa.RecordBatch, low: int, high: int) -> EdgeColumns:
        start, stop = np.searchsorted(batch.column("source").to_numpy(), [low, high])
        batch = batch.slice(start, stop - start)
        times, timeless = epoch_seconds(batch.column("time"), self.origin)
        weight = batch.column("weight").to_numpy() if self.max_weight is not None else None
        sources, targets = (batch.column(name).to_numpy().astype(np.int64) for name in ("source", "target"))
        return EdgeColumns.of(sources, targets, times, timeless, self.origin, weight)

    def _adjacency(self, edges: EdgeColumns, low: int, rows: int) -> Adjacency:
        local = edges.source.astype(np.int64) - low
        indptr = np.zeros(rows + 1, np.int64)
        np.cumsum(np.bincount(local, minlength=rows), out=indptr[1:])
        stamps = edges.stamps() - 1
        if stamps.size and stamps.max() >= 2**31 - 1:
            raise DataError(f"{self.root} has edges more than 68 years after {self.origin} (epoch seconds)")
        times = np.where(stamps < 0, np.int64(ALWAYS), stamps).astype(np.int32)
        cumulative = None
        if edges.weight is not None:
            cumulative = np.zeros(len(edges) + 1, np.uint64)
            np.cumsum(quantise(edges.weight, self.max_weight or 1.0), out=cumulative[1:])
        return Adjacency(indptr, edges.targets(), times, cumulative)


def _joined(parts: Sequence[EdgeColumns]) -> EdgeColumns:
    if not parts:
        return EdgeColumns(np.empty(0, np.uint32), np.empty(0, np.uint64))
    weights = [part.weight for part in parts if part.weight is not None]
    return EdgeColumns(
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.payload for part in parts]),
        np.concatenate(weights) if weights else None,
    )


def _check_bounds(sources: pa.ChunkedArray, groups: Sequence[Group]) -> None:
    """Whether groups that tiles were cut by hold the sources that their footer, which has no checksum, tells of."""
    start = 0
    for group in groups:
        if (sources[start].as_py(), sources[start + group.edges - 1].as_py()) != (group.first, group.last):
            raise pa.ArrowInvalid(f"row group {group.group} has other sources than its footer says")
        start += group.edges


def _read_groups(root: str, paths: Sequence[str], storage_options: Mapping[str, str]) -> tuple[Group, ...]:
    filesystem, prefix = open_folder(root, storage_options)

    def groups(path: str) -> list[Group]:
        with filesystem.open_input_file(prefix + path) as file:
            footer = pq.read_metadata(file)
        column = footer.schema.names.index("source")
        found = []
        for index in range(footer.num_row_groups):
            group = footer.row_group(index)
            figures = group.column(column).statistics
            if figures is None or not figures.has_min_max:
                raise DataError(f"{root}/{path} lacks statistics of its sources; build the graph again")
            found.append(Group(path, index, figures.min, figures.max, group.num_rows))
        return found

    with ThreadPoolExecutor(16) as threads:
        return tuple(group for found in threads.map(groups, paths) for group in found)


def _cut(groups: Sequence[Group], tile_edges: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds between row groups; a node whose edges lie in several stays whole."""
    bounds, edges = [0], [0]
    last = -1
    for group in sorted(groups, key=lambda g: (g.first, g.last)):
        start = group.first if group.first > last else group.first + 1
        # A node that fills whole row groups is not cut.
        if edges[-1] and edges[-1] + group.edges > tile_edges and bounds[-1] < start <= group.last:
            bounds.append(start)
            edges.append(0)
        edges[-1] += group.edges
        last = max(last, group.last)
    return np.array(bounds, np.int64), np.array(edges, np.int64)
