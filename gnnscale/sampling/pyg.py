"""A sampler for the loaders of PyG, and what they need of a graph beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

from gnnscale.sampling.block import Block
from gnnscale.sampling.hetero_data import Trees, pyg_edge_type
from gnnscale.sampling.neighbor_sampler import END_OF_TIME, NeighborSampler
from gnnscale.sampling.paths import Fanouts
from gnnscale.sampling.sampling_rule import Strategy
from gnnscale.schema import GraphManifest, SchemaError
from gnnscale.store import GraphStore


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
