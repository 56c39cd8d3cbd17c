"""PyG's side of sampling: a sampler for its loaders, and blocks as heterogeneous graphs.

A block unfolds into trees: a node stands once for each slot that it was sampled into, so that every seed's neighborhood
is its own, at its own anchor (what PyG calls disjoint).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
)
from torch_geometric.sampler.neighbor_sampler import edge_sample

from gnnscale.sampling.block import Block, Path
from gnnscale.sampling.neighbor_sampler import END_OF_TIME, NeighborSampler
from gnnscale.sampling.paths import Fanouts
from gnnscale.sampling.sampling_rule import Strategy
from gnnscale.schema import EdgeType, GraphManifest, SchemaError
from gnnscale.store import GraphStore

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


def describe_graph(manifest: GraphManifest, features: Mapping[str, NDArray[Any] | Tensor]) -> HeteroData:
    """What PyG's loaders need of a graph beside a sampler: tables, features and edge types, without the edges.

    Args:
        manifest: of the graph.
        features: table -> of all its nodes, ``[nodes, ...]``.
    """
    data = HeteroData()
    for table in manifest.tables:
        data[table.name].num_nodes = table.rows
        if table.name in features:
            data[table.name].x = torch.as_tensor(features[table.name])
    for edge_type in manifest.edge_types:
        data[pyg_edge_type(edge_type)].edge_index = torch.empty(2, 0, dtype=torch.int64)
    return data


class PyGSampler(BaseSampler):
    """The sampler in PyG's ``NodeLoader`` and ``LinkLoader``.

    Give it as their ``node_sampler`` or ``link_sampler``, with the graph from :func:`describe_graph`. Times are seconds
    after the graph's origin. A sample depends on seed, epoch and ``input_id``, not on batches or worker processes.

    Args:
        store: the graph.
        fanouts: one entry a hop, as :class:`NeighborSampler` takes them.
        strategy: ``uniform``, ``last`` or ``weighted``.
        seed: of the run.
        cap: only the latest so many edges of a node count; default: all.
        threads: that share the seeds of a batch.

    Attributes:
        epoch: part of the key; set it before the loader is iterated.
    """

    def __init__(
        self,
        store: GraphStore,
        fanouts: Fanouts | Mapping[str, Fanouts],
        strategy: Strategy = "uniform",
        seed: int = 0,
        cap: int | None = None,
        threads: int = 1,
    ) -> None:
        self.store = store
        self.epoch = 0
        self._fanouts = fanouts
        self._options: dict[str, Any] = {"strategy": strategy, "seed": seed, "cap": cap, "threads": threads}
        self._samplers: dict[str, NeighborSampler] = {}

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> HeteroSamplerOutput:
        """Sample around nodes of one table.

        Raises:
            SchemaError: the loader does not say which table.
        """
        if index.input_type is None:
            raise SchemaError("a graph of named tables needs input_nodes=('<table>', nodes)")
        examples = index.input_id.numpy() if index.input_id is not None else None
        block = self._sample(index.input_type, index.node, index.time, examples)
        output = self._output([block])
        output.metadata = (index.input_id, index.time)
        return output

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> HeteroSamplerOutput:
        """Sample around both ends of links; negatives are PyG's own.

        Raises:
            SchemaError: the loader does not say which edge type.
        """
        if index.input_type is None:
            raise SchemaError("a graph of named tables needs edge_label_index=(edge type, links)")
        counts = {table.name: table.rows for table in self.store.manifest.tables}
        times = None
        if index.time is not None:
            known = {name: self.store.features(name).times for name in {index.input_type[0], index.input_type[2]}}
            times = {name: torch.from_numpy(np.asarray(array).astype(np.int64)) for name, array in known.items()}

        def sample(seeds: dict[str, Tensor], seed_times: dict[str, Tensor] | None) -> HeteroSamplerOutput:
            return self._output([self._sample(t, s, (seed_times or {}).get(t)) for t, s in seeds.items()])

        found: HeteroSamplerOutput = edge_sample(index, sample, counts, True, times, neg_sampling)
        return found

    def _sample(
        self, table: str, nodes: Tensor, times: Tensor | None, examples: NDArray[np.int64] | None = None
    ) -> Block:
        if table not in self._samplers:
            fanouts = self._fanouts[table] if isinstance(self._fanouts, Mapping) else self._fanouts
            self._samplers[table] = NeighborSampler(self.store, fanouts, table=table, **self._options)
        anchors = None if times is None else np.minimum(times.numpy(), END_OF_TIME)
        return self._samplers[table].sample(nodes.numpy(), anchors, self.epoch, examples)

    def _output(self, blocks: Sequence[Block]) -> HeteroSamplerOutput:
        trees = Trees.of(blocks)
        return HeteroSamplerOutput(
            node={table: torch.from_numpy(nodes) for table, nodes in trees.nodes.items()},
            row={name: torch.from_numpy(edges[0]) for name, edges in trees.edges.items()},
            col={name: torch.from_numpy(edges[1]) for name, edges in trees.edges.items()},
            edge=dict.fromkeys(trees.edges),
            batch={table: torch.from_numpy(rows) for table, rows in trees.examples.items()},
            num_sampled_nodes=trees.nodes_a_hop,
            num_sampled_edges=trees.edges_a_hop,
        )
