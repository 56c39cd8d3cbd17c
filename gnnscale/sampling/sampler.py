"""Temporal neighbor sampling over a heterogeneous graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnscale.sampling import compiled, reference
from gnnscale.sampling.block import Block, Hop, Path
from gnnscale.sampling.keys import default_examples, example_keys, hop_key
from gnnscale.sampling.paths import Fanouts, plan_paths
from gnnscale.sampling.rule import Rule, Strategy
from gnnscale.schema import ConfigError, SchemaError
from gnnscale.schema.errors import nearest
from gnnscale.store import GraphStore
from gnnscale.store.adjacency import ALWAYS
from gnnscale.store.features import NodeFeatures

BACKENDS = {"numba": compiled.sample_neighbors, "numpy": reference.sample_neighbors}
END_OF_TIME = np.int32(np.iinfo(np.int32).max)


class NeighborSampler:
    """Fixed-fan-out neighborhoods, each a function of (seed, epoch, example) alone.

    Args:
        store: the graph.
        fanouts: one entry a hop: a number for every edge type that leaves the frontier, or link name -> number,
            which follows only the links it names.
        strategy: ``uniform`` without replacement, ``last`` for the most recent, or ``weighted`` by the edges' weights;
            see :class:`Rule`.
        seed: of the run.
        table: table that seeds are rows of; may be left out where the graph has one table.
        backend: ``numba``, or ``numpy`` for the reference.
        cap: only the latest so many edges of a node count; default: all.

    Raises:
        ConfigError: an unknown strategy, backend or link, a fan-out under 1, a cap under the largest fan-out, or no
            table where there are several.
    """

    def __init__(
        self,
        store: GraphStore,
        fanouts: Fanouts,
        strategy: Strategy = "uniform",
        seed: int = 0,
        table: str | None = None,
        backend: str = "numba",
        cap: int | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise ConfigError(f"unknown sampling backend '{backend}'.{nearest(backend, BACKENDS)}")
        self.store = store
        self.rule = Rule(strategy, cap)
        self.seed = seed
        self.table = table or _only_table(store)
        self.paths = plan_paths(store.manifest, self.table, fanouts)
        self.rule.check_fanouts(self.paths)
        self._sample = BACKENDS[backend]

    def sample(
        self,
        seeds: ArrayLike,
        times: ArrayLike | None = None,
        epoch: int = 0,
        examples: NDArray[np.int64] | None = None,
    ) -> Block:
        """Sample around seeds.

        Args:
            seeds: node ids, int ``[batch]``.
            times: anchors in seconds after the graph's origin, int ``[batch]``; default: all edges count.
            epoch: part of the key.
            examples: identity of each seed's example, int64 ``[batch]``; default: a hash of seed and time, so that
                a seed's sample does not depend on its batch.

        Raises:
            SchemaError: a seed is not a node of the table.
        """
        seeds = np.asarray(seeds, np.int64)
        anchors = np.full(len(seeds), END_OF_TIME) if times is None else np.asarray(times, np.int32)
        count = self.store.node_count(self.table)
        if seeds.size and (seeds.min() < 0 or seeds.max() >= count):
            raise SchemaError(
                f"seeds of '{self.table}' must be in 0 .. {count - 1}, not {seeds.min()} .. {seeds.max()}"
            )
        if examples is None:
            examples = default_examples(seeds, anchors)
        hops: dict[Path, Hop] = {}
        for path, fanout in self.paths.items():
            keys = example_keys(hop_key(self.seed, epoch, path), examples)
            parent = hops[path[:-1]].nodes if len(path) > 1 else seeds[:, None].astype(np.int32)
            width = int(np.prod(parent.shape[1:]))
            frontier = np.ascontiguousarray(parent.reshape(len(seeds), width))
            adjacency = self.store.adjacency(path[-1])
            nodes, stamps = self._sample(adjacency, frontier, anchors, keys, fanout, self.rule)
            drop_ended(nodes, stamps, self.store.features(path[-1].target), anchors)
            shape = (*parent.shape, fanout) if len(path) > 1 else (len(seeds), fanout)
            hops[path] = Hop(path, nodes.reshape(shape), stamps.reshape(shape))
        return Block(self.table, seeds, anchors, hops)


def drop_ended(
    nodes: NDArray[np.int32], stamps: NDArray[np.int32], features: NodeFeatures, anchors: NDArray[np.int32]
) -> None:
    """Leave slots empty, in place, whose node no longer holds at its seed's anchor.

    Args:
        nodes, stamps: ``[batch, ...]``, as sampled; what an ended node leads to is not sampled either.
        features: of the nodes' table.
        anchors: ``[batch]``.
    """
    if features.ends is None:
        return
    limits = anchors.reshape(-1, *([1] * (nodes.ndim - 1)))
    ended = (nodes >= 0) & (features.ends[nodes] <= limits) & (limits < END_OF_TIME)
    nodes[ended] = -1
    stamps[ended] = ALWAYS


def _only_table(store: GraphStore) -> str:
    names = [table.name for table in store.manifest.tables]
    if len(names) > 1:
        raise ConfigError(f"the graph has several tables; say which the seeds are of: table= one of {', '.join(names)}")
    return names[0]
