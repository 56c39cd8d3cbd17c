"""The graph in memory: arrays made once from the lake and mapped by every worker of a host."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from gnnscale.lake import Lake
from gnnscale.schema import EdgeType, GraphManifest, LakeError
from gnnscale.schema.manifest import MANIFEST_NAME
from gnnscale.store.adjacency import Adjacency, write_adjacency
from gnnscale.store.features import NodeFeatures, write_features

log = logging.getLogger(__name__)

LAYOUT = 2
"""Number of what the arrays hold; those of another are built again."""


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
    def open(cls, lake: Lake, cache: str | Path | None = None) -> GraphStore:
        """Map the lake's graph, building the arrays where this version of it was not mapped before.

        Args:
            lake: where the graph stage wrote.
            cache: folder on a local disk; default: ``_store`` in a local lake, else the temporary folder.

        Raises:
            LakeError: the lake holds no graph.
        """
        record = lake.read_record(MANIFEST_NAME)
        if record is None:
            raise LakeError(f"lake {lake.uri} holds no graph; run the graph stage first")
        manifest = GraphManifest.from_dict(record)
        # The lake's address is part of the key: two lakes may share one cache.
        key = hashlib.sha256(json.dumps([lake.uri, record, LAYOUT], sort_keys=True).encode()).hexdigest()[:16]
        folder = Path(cache) if cache else _default_cache(lake)
        store = cls(manifest, folder / key)
        for table in manifest.tables:
            version = f"nodes_{table.name}"
            store._build(version, lambda path, t=table: _build_features(lake, manifest, t.name, path))  # type: ignore[misc]
        for edge_type in store.edge_types():
            store._build(edge_type.table_name, lambda path, e=edge_type: _build_edges(lake, manifest, e, path))  # type: ignore[misc]
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
        target = self.folder / name
        if target.is_dir():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self.folder))
        try:
            build(partial)
            os.replace(partial, target)
        except OSError:
            # Another process finished the same arrays first.
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        log.debug("mapped %s", target)


def _default_cache(lake: Lake) -> Path:
    return Path(lake.uri) / "_store" if lake.local else Path(tempfile.gettempdir()) / "gnnscale"


def _build_features(lake: Lake, manifest: GraphManifest, table: str, folder: Path) -> None:
    figures = manifest.table(table)
    columns = ["node_id", "time", *(["end_time"] if figures.ends else []), *(f.encoded for f in figures.features)]
    batches = _batches(lake, f"nodes_{table}", figures.version, columns)
    write_features(folder, batches, figures, manifest.origin)


def _build_edges(lake: Lake, manifest: GraphManifest, edge_type: EdgeType, folder: Path) -> None:
    link = manifest.edges(edge_type)
    name = edge_type.table_name
    nodes = manifest.table(edge_type.source).rows
    columns = ["source", "target", "time", *(["weight"] if link.max_weight is not None else [])]
    batches = _batches(lake, name, link.edge_version(edge_type), columns)
    write_adjacency(folder, batches, nodes, link.edges, manifest.origin, name, link.max_weight)


def _batches(lake: Lake, table: str, version: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Rows file by file in order of file names, which is the order that the graph stage sorted them in."""
    opened = lake.open(table, version)
    filesystem = opened.to_pyarrow_dataset().filesystem
    paths = pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist()
    for path in sorted(paths):
        with pq.ParquetFile(filesystem.open_input_file(unquote(path))) as file:
            yield from file.iter_batches(batch_size=1 << 20, columns=columns)
