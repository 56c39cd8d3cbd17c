"""Blocks as heterogeneous graphs of PyG.

A block unfolds into trees: a node stands once for each slot that it was sampled into, so that every seed's neighborhood
is its own, at its own anchor (what PyG calls disjoint).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import HeteroData

from gnnscale.sampling.paths import Path
from gnnscale.schema import EdgeType

if TYPE_CHECKING:
    from gnnscale.sampling.block import Block

PyGEdgeType = tuple[str, str, str]


def pyg_edge_type(edge_type: EdgeType) -> PyGEdgeType:
    """PyG's name of an edge type, ``(table, [rev_]<table>_<column>, table)``.

    Messages run from the neighbors to the nodes that they were sampled for, against the direction of the sampling: what
    a product gathers from the purchases that name it runs along ``purchases_product_id``.
    """
    along = EdgeType(edge_type.link, not edge_type.reverse)
    return along.source, along.table_name.removeprefix("edges_"), along.target


@dataclass(frozen=True)
class Trees:
    """Blocks as one graph; seeds come first among the nodes of their table, then hop after hop.

    Args:
        nodes: table -> node ids, int64 ``[instances]``.
        examples: table -> row of the block that each belongs to, int64 ``[instances]``.
        edges: edge type -> instances of neighbor and of its parent, int64 ``[2, edges]``, hop after hop.
        nodes_a_hop: table -> instances of the seeds and of each hop.
        edges_a_hop: edge type -> edges of each hop.
    """

    nodes: dict[str, NDArray[np.int64]]
    examples: dict[str, NDArray[np.int64]]
    edges: dict[PyGEdgeType, NDArray[np.int64]]
    nodes_a_hop: dict[str, list[int]]
    edges_a_hop: dict[PyGEdgeType, list[int]]

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Trees:
        """Unfold blocks, of which no two have seeds of one table."""
        depth = max((len(path) for block in blocks for path in block.hops), default=0)
        nodes: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
        examples: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
        edges: dict[PyGEdgeType, list[NDArray[np.int64]]] = defaultdict(list)
        nodes_a_hop: dict[str, list[int]] = defaultdict(lambda: [0] * (depth + 1))
        edges_a_hop: dict[PyGEdgeType, list[int]] = defaultdict(lambda: [0] * depth)
        # Block and path -> instance of each slot, -1 where absent.
        instances: list[dict[Path, NDArray[np.int64]]] = []
        for block in blocks:
            assert block.table not in nodes
            rows = np.arange(len(block.seeds))
            instances.append({(): rows})
            nodes[block.table].append(block.seeds)
            examples[block.table].append(rows)
            nodes_a_hop[block.table][0] = len(rows)
        for hop_number in range(1, depth + 1):
            for block, own in zip(blocks, instances, strict=True):
                for path, hop in block.hops.items():
                    if len(path) != hop_number:
                        continue
                    at = np.nonzero(hop.nodes >= 0)
                    start = sum(nodes_a_hop[hop.table])
                    children = np.arange(start, start + len(at[0]))
                    own[path] = np.full(hop.nodes.shape, -1, np.int64)
                    own[path][at] = children
                    nodes[hop.table].append(hop.nodes[at].astype(np.int64))
                    examples[hop.table].append(at[0])
                    nodes_a_hop[hop.table][hop_number] += len(children)
                    name = pyg_edge_type(path[-1])
                    # The parent of a slot is the slot of one dimension less.
                    edges[name].append(np.stack([children, own[path[:-1]][at[:-1]]]))
                    edges_a_hop[name][hop_number - 1] += len(children)
        return cls(
            {table: np.concatenate(parts) for table, parts in nodes.items()},
            {table: np.concatenate(parts) for table, parts in examples.items()},
            {name: np.concatenate(parts, axis=1) for name, parts in edges.items()},
            dict(nodes_a_hop),
            dict(edges_a_hop),
        )


def to_hetero_data(block: Block, features: Mapping[str, NDArray[Any] | Tensor] | None = None) -> HeteroData:
    """A block as a graph that any PyG network takes.

    Args:
        block: sampled.
        features: table -> of all its nodes, ``[nodes, ...]``; those of the sampled ones become ``x``.

    Returns:
        For each table ``n_id`` (node ids), ``batch`` (row of the block), ``num_sampled_nodes`` and, where given, ``x``;
        for each edge type ``edge_index`` and ``num_sampled_edges``; for the seeds, which come first, ``batch_size`` and
        ``seed_time``.
    """
    trees = Trees.of([block])
    data = HeteroData()
    for table, nodes in trees.nodes.items():
        data[table].n_id = torch.from_numpy(nodes)
        data[table].num_nodes = len(nodes)
        data[table].batch = torch.from_numpy(trees.examples[table])
        data[table].num_sampled_nodes = trees.nodes_a_hop[table]
        if features is not None and table in features:
            data[table].x = torch.as_tensor(features[table][nodes])
    for name, edges in trees.edges.items():
        data[name].edge_index = torch.from_numpy(edges)
        data[name].num_sampled_edges = trees.edges_a_hop[name]
    data[block.table].batch_size = len(block.seeds)
    data[block.table].seed_time = torch.from_numpy(block.times)
    return data
