"""A power-law graph for the benchmarks of sampling and training, as the store holds it and as PyG takes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.etl.edges.edge_blocks import EdgeColumns, merge
from gnnscale.schema import GraphManifest, RelationManifest, TableManifest
from gnnscale.store import GraphStore

if TYPE_CHECKING:
    from torch_geometric.data import Data

TABLE = "nodes"
FANOUT_NAME = "nodes.joined"
DONE = "done"
YEAR = 365 * 86_400


def graph_in(folder: Path, nodes: int, edges: int, skew: float = 0.6, channels: int = 64) -> GraphStore:
    """:func:`make_graph`'s, of a folder in which another benchmark of the same sizes may have made it."""
    made = folder / f"{nodes}-{edges}-{skew}-{channels}"
    if not (made / DONE).exists():
        shutil.rmtree(made, ignore_errors=True)
        store = make_graph(made, nodes, edges, skew, channels)
        (made / DONE).touch()
        return store
    degree = int(np.diff(np.load(next(made.glob("edges_*/indptr.npy")), mmap_mode="r")).max())
    return _store(made, nodes, edges, degree)


def make_graph(folder: Path, nodes: int, edges: int, skew: float = 0.6, channels: int = 64) -> GraphStore:
    """One table of nodes joined with itself, stamped at random within a year.

    Both ends of an edge are drawn by a power law: the node of rank r with a chance that falls as ``r ** -skew``. Ids
    are in no order of rank, so that what is popular does not lie together in memory.

    Args:
        folder: gets the arrays.
        nodes, edges: their number.
        skew: exponent, under 1; 0 is uniform.
        channels: floats of a node.
    """
    rng = np.random.default_rng(0)
    ids = rng.permutation(nodes).astype(np.int32)

    def drawn() -> NDArray[np.int32]:
        ranks = (nodes * rng.random(edges, np.float32).astype(np.float64) ** (1 / (1 - skew))).astype(np.int64)
        found: NDArray[np.int32] = ids[np.minimum(ranks, nodes - 1)]
        return found

    columns = EdgeColumns.of(drawn(), drawn(), rng.integers(0, YEAR, edges), None, 0)
    ordered = merge([columns])
    indptr = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(ordered.source, minlength=nodes), out=indptr[1:])
    store = _store(folder, nodes, edges, int(np.diff(indptr).max()))
    joined = store.edges_from(TABLE)[0].table_name
    arrays = {
        f"{joined}/indptr": indptr,
        f"{joined}/neighbors": ordered.targets(),
        f"{joined}/times": (ordered.stamps() - 1).astype(np.int32),
        "nodes_nodes/numerical": rng.standard_normal((nodes, channels), np.float32),
        "nodes_nodes/categorical": np.zeros((nodes, 0), np.int32),
        "nodes_nodes/times": np.zeros(nodes, np.int32),
    }
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array)
    return store


def _store(folder: Path, nodes: int, edges: int, degree: int) -> GraphStore:
    relation = RelationManifest(TABLE, "joined", TABLE, edges, degree, 0, 0)
    return GraphStore(GraphManifest((TableManifest(TABLE, nodes, None, ()),), (), 0, None, (relation,)), folder)


def pyg_graph(store: GraphStore) -> Data:
    """The same edges and features: PyG samples along edges that end in a node, so ours are turned around."""
    from torch_geometric.data import Data

    adjacency = store.adjacency(store.edges_from(TABLE)[0])
    source = np.repeat(np.arange(store.node_count(TABLE)), adjacency.degrees)
    edges = torch.from_numpy(np.stack([adjacency.neighbors.astype(np.int64), source]))
    features = torch.from_numpy(np.array(store.features(TABLE).numerical))
    return Data(x=features, edge_index=edges, num_nodes=store.node_count(TABLE))
