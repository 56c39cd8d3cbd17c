"""A lake of users, items and one relation between them, drawn at random and cut into many files and row groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.etl.edges.edge_blocks import EdgeColumns, merge
from gnnscale.etl.edges.edge_sort import edge_schema, write_edge_file
from gnnscale.lake import Lake
from gnnscale.lake.delta_files import WrittenFile, commit_files, open_folder
from gnnscale.schema import EdgeType, GraphManifest
from gnnscale.schema.manifest import MANIFEST_NAME, RelationManifest, TableManifest
from gnnscale.schema.table import Link

ORIGIN = 1_700_000_000
SPAN = 100_000
"""Seconds after the origin that edges are from."""

BUYS = Link("users", "buys", "items")


@dataclass(frozen=True)
class DrawnLake:
    """The lake, and its edges as they were before anything sorted or packed them.

    Args:
        users, items: ends of each edge, int64 ``[edges]``.
        times: seconds after the origin, -1 for an edge that always holds, int64 ``[edges]``.
        weights: float32 ``[edges]``; None where edges have none.
        ends: when items cease to hold, in seconds after the origin, -1 for never, int64 ``[items]``; None: none does.
    """

    lake: Lake
    manifest: GraphManifest
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.int64]
    weights: NDArray[np.float32] | None
    ends: NDArray[np.int64] | None

    def label(self, query: str, users: NDArray[np.int64], anchors: NDArray[np.int64]) -> None:
        """Write examples of a query; anchors in seconds after the origin."""
        columns = {"entity": users, "anchor_time": anchors + ORIGIN, "label": np.arange(len(users), dtype=np.float64)}
        self.lake.write(f"labels_{query}", pa.table(columns))


def draw_lake(
    folder: Path,
    weighted: bool = False,
    ends: bool = False,
    users: int = 150,
    items: int = 90,
    edges: int = 4_000,
    hub_share: float = 0.3,
    row_group: int = 40,
) -> DrawnLake:
    """Draw it; the last ten users have no edge, item 40 takes ``hub_share`` of the edges."""
    rng = np.random.default_rng(8)
    source = rng.integers(0, users - 10, edges)
    target = np.where(rng.random(edges) < hub_share, 40, rng.integers(0, items, edges))
    times = np.where(rng.random(edges) < 0.05, -1, rng.integers(0, SPAN, edges))
    weights = rng.choice(np.array([0.5, 1, 2, 20], np.float32), edges) if weighted else None
    until = np.where(rng.random(items) < 0.5, rng.integers(0, SPAN, items), -1) if ends else None
    lake = Lake(folder / "lake")
    for reverse in (False, True):
        name = EdgeType(BUYS, reverse).table_name
        ends_of = (target, source) if reverse else (source, target)
        write_edges(lake, name, EdgeColumns.of(*ends_of, times + ORIGIN, times < 0, ORIGIN, weights), row_group)
    _write_nodes(lake, "users", users, None)
    _write_nodes(lake, "items", items, until)
    tables = (
        TableManifest("users", users, (ORIGIN, ORIGIN + SPAN), ()),
        TableManifest("items", items, (ORIGIN, ORIGIN + SPAN), (), has_end=ends),
    )
    heaviest = float(weights.max()) if weights is not None else None
    degree = int(np.bincount(source).max())
    relation = RelationManifest("users", "buys", "items", edges, degree, max_weight=heaviest)
    manifest = GraphManifest(tables, (), ORIGIN, None, (relation,))
    lake.write_record(MANIFEST_NAME, manifest.to_dict())
    return DrawnLake(lake, manifest, source, target, times, weights, until)


def write_edges(lake: Lake, name: str, edges: EdgeColumns, row_group: int, files: int = 3) -> None:
    """Sort edges and commit them in files of many row groups."""
    edges = merge([edges])
    filesystem, root = open_folder(lake.table_uri(name), {}, make=True)
    written = []
    for number, part in enumerate(np.array_split(np.arange(len(edges)), files)):
        path = f"part-{number:06d}-drawn.parquet"
        held = edges.weight[part] if edges.weight is not None else None
        own = EdgeColumns(edges.source[part], edges.payload[part], held)
        write_edge_file(filesystem, root + path, own, ORIGIN, row_group)
        written.append(WrittenFile(path, filesystem.get_file_info(root + path).size, len(own)))
    commit_files(lake.table_uri(name), edge_schema(edges.weight is not None), written, "overwrite", {})


def _write_nodes(lake: Lake, table: str, rows: int, until: NDArray[np.int64] | None) -> None:
    columns = {"node_id": pa.array(np.arange(rows)), "time": pa.nulls(rows, pa.int64())}
    if until is not None:
        columns["end_time"] = pa.array(until + ORIGIN, mask=until < 0)
    lake.write(f"nodes_{table}", pa.table(columns))
