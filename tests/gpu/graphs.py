"""Seeded graphs for the tests of the GPU's sampler, made of NumPy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.sampling import Rule
from gnnscale.sampling.backends.numpy_backend import NumpyBackend
from gnnscale.sampling.backends.triton.neighbor_kernel import AdjacencyTensors
from gnnscale.sampling.backends.triton.placement import place_array
from gnnscale.sampling.keys import example_keys, stream_key
from gnnscale.schema import EdgeType, GraphManifest, LinkManifest, RelationManifest, TableManifest
from gnnscale.store import Adjacency
from gnnscale.store.features import NEVER
from gnnscale.store.graph_store import GraphStore

CUSTOMERS, PURCHASES, PRODUCTS = 40, 900, 30
DAY = 86_400


def csr(
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    times: NDArray[np.int64],
    nodes: int,
    quanta: NDArray[np.uint64] | None = None,
    base: int = 0,
) -> Adjacency:
    """Edges as the store holds them: sorted by (source, time, target).

    Args:
        sources, targets, times: ``[edges]``.
        nodes: rows of the sources' table.
        quanta: weights ``[edges]``, quantised; None without.
        base: what the running sum of weights begins at, modulo 2**64.
    """
    order = np.lexsort((targets, times, sources))
    indptr = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(sources, minlength=nodes), out=indptr[1:])
    cumulative = None
    if quanta is not None:
        steps = np.concatenate([np.array([base], np.uint64), quanta[order]])
        cumulative = np.cumsum(steps, dtype=np.uint64)
    return Adjacency(indptr, targets[order].astype(np.int32), times[order].astype(np.int32), cumulative)


def random_graph(seed: int, nodes: int, edges: int, weighted: bool = False, base: int = 0) -> Adjacency:
    """Degrees from none to many times the mean; several edges share a time, and some always hold."""
    rng = np.random.default_rng(seed)
    sources = (nodes * rng.random(edges) ** 2).astype(np.int64)
    times = rng.integers(-20, 60, edges)
    times[rng.random(edges) < 0.1] = np.iinfo(np.int32).min
    quanta = None
    if weighted:
        quanta = rng.choice(np.array([1, 2, 3, 2**31, 2**32 - 1], np.uint64), edges)
    return csr(sources, rng.integers(0, nodes, edges), times, nodes, quanta, base)


def tensors_of(adjacency: Adjacency, device: torch.device, place: str = "device") -> AdjacencyTensors:
    """The graph where the kernel reads it."""
    arrays = {name: getattr(adjacency, name) for name in ("indptr", "neighbors", "times", "cumulative")}
    placed = {n: place_array(a, place, device) for n, a in arrays.items() if a is not None}  # type: ignore[arg-type]
    return AdjacencyTensors(**placed)


def expected(
    adjacency: Adjacency,
    frontier: NDArray[np.int32],
    anchors: NDArray[np.int32],
    keys: NDArray[np.uint64],
    fanout: int,
    rule: Rule,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The reference's nodes and times, ``[batch, width, fanout]``."""
    nodes, times = (np.full((*frontier.shape, fanout), -77, np.int32) for _ in range(2))
    NumpyBackend().fill_neighbors(adjacency, frontier, anchors, keys, rule, nodes, times)
    return nodes, times


def keys_of(count: int, seed: int = 0) -> NDArray[np.uint64]:
    """Keys of so many examples."""
    return example_keys(stream_key(seed, 0, "test"), np.arange(count))


def shop_store(folder: Path) -> GraphStore:
    """A store over arrays in a folder: purchases of products by customers, and products that resemble one another."""
    rng = np.random.default_rng(7)
    customers = (CUSTOMERS * rng.random(PURCHASES) ** 2).astype(np.int64)
    products = rng.integers(0, PRODUCTS, PURCHASES)
    times = rng.integers(0, 60 * DAY, PURCHASES)
    rows = np.arange(PURCHASES)
    left, right = rng.integers(0, PRODUCTS, (2, 400))
    always = np.full(400, np.iinfo(np.int32).min)
    quanta = rng.integers(1, 2**32, 400, dtype=np.uint64)
    links = [LinkManifest("purchases", f"{p}_id", f"{p}s", PURCHASES, 0, 0, 1, 1, 1) for p in ("customer", "product")]
    relation = RelationManifest("products", "similar", "products", 400, 400, max_weight=1.0)
    sizes = {"customers": CUSTOMERS, "purchases": PURCHASES, "products": PRODUCTS}
    tables = tuple(TableManifest(name, size, None, (), has_end=name != "customers") for name, size in sizes.items())
    edges = {}
    for link, parents in zip(links, (customers, products), strict=True):
        edges[EdgeType(link.link, False)] = csr(rows, parents, times, PURCHASES)
        edges[EdgeType(link.link, True)] = csr(parents, rows, times, sizes[link.parent])
    edges[EdgeType(relation.link, False)] = csr(left, right, always, PRODUCTS, quanta)
    edges[EdgeType(relation.link, True)] = csr(right, left, always, PRODUCTS, quanta)
    arrays: dict[str, NDArray] = {}
    for edge_type, adjacency in edges.items():
        for name in ("indptr", "neighbors", "times", "cumulative"):
            if getattr(adjacency, name) is not None:
                arrays[f"{edge_type.table_name}/{name}"] = getattr(adjacency, name)
    for name, size in sizes.items():
        arrays[f"nodes_{name}/numerical"] = rng.standard_normal((size, 5), np.float32)
        arrays[f"nodes_{name}/categorical"] = np.zeros((size, 0), np.int32)
        arrays[f"nodes_{name}/times"] = np.zeros(size, np.int32)
        if name != "customers":
            ends = rng.integers(0, 70 * DAY, size)
            arrays[f"nodes_{name}/valid_until"] = np.where(rng.random(size) < 2 / 3, ends, NEVER).astype(np.int32)
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array)
    return GraphStore(GraphManifest(tables, tuple(links), 0, None, (relation,)), folder)
