"""The graph in memory: arrays made once from the lake and mapped by every worker of a host."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gnnscale.arrays import build_once, name_folder, remove_older
from gnnscale.schema import MANIFEST_NAME, DataError, EdgeType, GraphManifest, LakeError
from gnnscale.store.adjacency import MOST_NODES, Adjacency
from gnnscale.store.edge_runs import split_runs, write_adjacency
from gnnscale.store.features import NodeFeatures, write_features

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs

    from gnnscale.lake import Lake

log = logging.getLogger(__name__)


class GraphStore:
    """Topology and features of the graph that a lake holds.

    Use :meth:`open`. Arrays are memory-mapped; opening again, or in another process, costs nothing.
    """

    def __init__(self, manifest: GraphManifest, folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder
        self._adjacency: dict[str, Adjacency] = {}
        self._features: dict[str, NodeFeatures] = {}

    @classmethod
    def open(cls, lake: Lake, cache: str | Path | None = None, edges: bool = True) -> GraphStore:
        """Map the lake's graph, building the arrays where this version of it was not mapped before.

        Args:
            lake: where the graph stage wrote.
            cache: folder on a local disk; default: ``_store`` in a local lake, else the temporary folder.
            edges: whether neighbors are mapped; without them there are features alone, which is what training from
                shards needs.

        Raises:
            LakeError: the lake holds no graph.
            DataError: its tables are not as the graph stage leaves them, or past what 32 bits number.
        """
        record = lake.read_record(MANIFEST_NAME)
        if record is None:
            raise LakeError(f"lake {lake.uri} holds no graph; run the graph stage first")
        manifest = GraphManifest.from_dict(record)
        _check_sizes(manifest)
        # The lake's address is part of the name: two lakes may share one cache.
        folder = name_folder(lake.cache_folder(cache), "graph", lake.uri, json.dumps(record, sort_keys=True))
        store = cls(manifest, folder)
        for table in manifest.tables:
            version = f"nodes_{table.name}"
            store._build(version, lambda path, t=table: build_features(lake, manifest, t.name, path))  # type: ignore[misc]
        for edge_type in store.edge_types() if edges else []:
            store._build(edge_type.table_name, lambda path, e=edge_type: _build_edges(lake, manifest, e, path))  # type: ignore[misc]
        remove_older(folder)
        return store

    def edge_types(self) -> list[EdgeType]:
        """Both directions of every link and relation."""
        return self.manifest.edge_types

    def edges_from(self, table: str) -> list[EdgeType]:
        """Edge types that leave nodes of ``table``."""
        return [edge_type for edge_type in self.edge_types() if edge_type.source == table]

    def node_count(self, table: str) -> int:
        """Rows of the table."""
        return self.manifest.table(table).rows

    def adjacency(self, edge_type: EdgeType) -> Adjacency:
        """Neighbors along one edge type."""
        name = edge_type.table_name
        if name not in self._adjacency:
            self._adjacency[name] = Adjacency.open(self.folder / name)
        return self._adjacency[name]

    def features(self, table: str) -> NodeFeatures:
        """Encoded features of one table."""
        if table not in self._features:
            self._features[table] = NodeFeatures.open(self.folder / f"nodes_{table}")
        return self._features[table]

    def categories(self, table: str, node: int) -> dict[str, str]:
        """The categorical columns of one node that have a value: column -> value."""
        codes = self.features(table).categorical[node]
        columns = self.manifest.table(table).categorical
        return {f.column: f.categories[code - 1] for f, code in zip(columns, codes, strict=True) if code > 0}

    def _build(self, name: str, build: Callable[[Path], None]) -> None:
        build_once(self.folder / name, build)
        log.debug("mapped %s", self.folder / name)


def build_features(lake: Lake, manifest: GraphManifest, table: str, folder: Path) -> None:
    """Write the arrays that :meth:`NodeFeatures.open` maps, from ``nodes_<table>`` at the manifest's version."""
    figures = manifest.table(table)
    columns = ["node_id", "time", *(["end_time"] if figures.has_end else []), *(f.encoded for f in figures.features)]
    filesystem, paths = _files(lake, f"nodes_{table}", figures.version)
    write_features(folder, _batches(filesystem, f"nodes_{table}", paths, columns), figures, manifest.origin)


def _check_sizes(manifest: GraphManifest) -> None:
    for table in manifest.tables:
        if table.rows > MOST_NODES:
            raise DataError(f"table '{table.name}' has {table.rows:,} rows; at most {MOST_NODES:,}")
    for edge_type in manifest.edge_types:
        degree = manifest.edges(edge_type).max_degree
        if degree > MOST_NODES:
            raise DataError(f"'{edge_type.link.name}' has a node of {degree:,} edges; at most {MOST_NODES:,}")


def _build_edges(lake: Lake, manifest: GraphManifest, edge_type: EdgeType, folder: Path) -> None:
    figures = manifest.edges(edge_type)
    name = edge_type.table_name
    filesystem, paths = _files(lake, name, figures.edge_version(edge_type))
    runs = [partial(_batches, filesystem, name, files) for files in split_runs(paths)]
    nodes = manifest.table(edge_type.source).rows
    write_adjacency(folder, runs, nodes, figures.edges, manifest.origin, name, figures.max_weight)


def _files(lake: Lake, table: str, version: int) -> tuple[pa.fs.FileSystem, list[str]]:
    """Files of a table in order of name, which is the order that the graph stage sorted their rows in."""
    from gnnscale.lake import table_files

    opened = lake.open(table, version)
    filesystem = opened.to_pyarrow_dataset().filesystem
    return filesystem, table_files(opened)


def _batches(
    filesystem: pa.fs.FileSystem, table: str, paths: Sequence[str], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Rows file by file."""
    from gnnscale.lake import parquet_batches

    for path in paths:
        yield from parquet_batches(filesystem, path, columns, table)
