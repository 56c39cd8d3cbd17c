"""A graph of arrays on disk, as the store reads it, without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import EdgeType, FeatureManifest, GraphManifest, LinkManifest, TableManifest
from gnnscale.store import ALWAYS, GraphStore
from tests.gpu.graphs import csr


def write_graph(
    folder: Path,
    sizes: Mapping[str, int],
    links: Mapping[tuple[str, str, str], tuple[NDArray[np.int64], NDArray[np.int64]]],
    features: Mapping[str, tuple[FeatureManifest, ...]],
    times: Mapping[str, NDArray[np.int32]],
    numerical: Mapping[str, NDArray[np.float32]],
    categorical: Mapping[str, NDArray[np.int32]],
) -> GraphStore:
    """Write a graph and open it.

    Args:
        folder: empty.
        sizes: rows of each table.
        links: (table, column, parent) -> parent of each row (-1 for none), and when its edge begins.
        features: of tables.
        times: of the rows of tables, seconds after the origin; other tables have none.
        numerical, categorical: encoded columns of tables, ``[rows, columns]``.
    """
    tables = tuple(
        TableManifest(
            name,
            size,
            (int(times[name].min()), int(times[name].max())) if name in times else None,
            features.get(name, ()),
        )
        for name, size in sizes.items()
    )
    arrays: dict[str, NDArray[np.generic]] = {}
    ends = []
    for (table, column, parent), (parents, since) in links.items():
        rows = np.flatnonzero(parents >= 0)
        parents, since = parents[rows], since[rows]
        degrees = np.bincount(parents, minlength=sizes[parent])
        figures = len(rows), sizes[table] - len(rows), 0, sizes[parent], int((degrees > 0).sum()), int(degrees.max())
        link = LinkManifest(table, column, parent, *figures)
        ends.append(link)
        edges = {False: csr(rows, parents, since, sizes[table]), True: csr(parents, rows, since, sizes[parent])}
        for reverse, adjacency in edges.items():
            for part in ("indptr", "neighbors", "times"):
                arrays[f"{EdgeType(link.link, reverse).table_name}/{part}"] = getattr(adjacency, part)
    for name, size in sizes.items():
        arrays[f"nodes_{name}/numerical"] = numerical.get(name, np.zeros((size, 0), np.float32))
        arrays[f"nodes_{name}/categorical"] = categorical.get(name, np.zeros((size, 0), np.int32))
        arrays[f"nodes_{name}/times"] = times.get(name, np.full(size, ALWAYS, np.int32))
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array)
    return GraphStore(GraphManifest(tables, tuple(ends), 0, None), folder)
