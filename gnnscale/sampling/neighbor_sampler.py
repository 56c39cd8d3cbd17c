"""Temporal neighbor sampling over a heterogeneous graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnscale.arrays import prefetched, reused_array, share_rows
from gnnscale.sampling.block import Block, Hop
from gnnscale.sampling.keys import hop_key
from gnnscale.sampling.numba_keys import default_examples_of, example_keys_of
from gnnscale.sampling.paths import Fanouts, Path, plan_paths
from gnnscale.sampling.sampler_backend import find_backend
from gnnscale.sampling.sampling_rule import Rule, Strategy
from gnnscale.schema import ConfigError, SchemaError
from gnnscale.store import ALWAYS, GraphStore, NodeFeatures

END_OF_TIME = np.int32(np.iinfo(np.int32).max)

LEAST_SLOTS = 40_000
"""Slots that a thread is woken for; two threads were as fast as one at twice as many, and half as fast at 20,000."""

HANDED_SLOTS, SHARED_SLOTS = 160_000, 1_000_000
"""Slots of the whole blocks that a thread is handed at once, and of a block that threads had better share.

Two threads that made blocks of 1.4 M slots each did 100 M edges/s, and together at one of them 110 M; at blocks of
170,000 slots it was 114 M and 85 M.
"""


class NeighborSampler:
    """Fixed-fan-out neighborhoods, each a function of (seed, epoch, example) alone.

    Args:
        store: the graph.
        fanouts: one entry a hop: a number for every edge type that leaves the frontier, or name of an edge
            type -> number, which follows only those it names; see :func:`gnnscale.sampling.plan_paths`.
        strategy: ``uniform`` without replacement, ``last`` for the most recent, or ``weighted`` by the edges' weights;
            see :class:`Rule`.
        seed: of the run.
        table: table that seeds are rows of; may be left out where the graph has one table.
        backend: ``numba``, ``triton`` for a GPU, ``numpy`` for the reference, or another of the registry
            :data:`gnnscale.schema.SAMPLERS`. Blocks stay on a GPU with :class:`GPUNeighborSampler`.
        cap: only the latest so many edges of a node count; default: all.
        threads: that share the seeds of a batch; the sample is the same whatever their number.

    Attributes:
        slots: of one seed, along all paths, with those that stay empty.

    Raises:
        ConfigError: an unknown strategy, backend or link, a fan-out or a number of threads under 1, a cap under the
            largest fan-out, or no table where there are several.
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
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise ConfigError(f"sampling threads is {threads}; at least 1")
        self.store = store
        self.rule = Rule(strategy, cap)
        self.seed = seed
        self.table = table or only_table(store)
        self.fanouts = fanouts
        self.paths = plan_paths(store.manifest, self.table, fanouts)
        self.rule.check_fanouts(self.paths)
        self.threads = threads
        self._backend = find_backend(backend)
        slots: dict[Path, int] = {(): 1}
        for path, fanout in self.paths.items():
            slots[path] = slots[path[:-1]] * fanout
        self.slots = sum(slots.values())

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
        seeds, anchors = as_seeds(self.store, self.table, seeds, times)
        if examples is None:
            examples = default_examples_of(seeds, anchors)
        hops: dict[Path, Hop] = {}
        for path, fanout in self.paths.items():
            before = hops[path[:-1]].nodes.shape[1:] if len(path) > 1 else ()
            shape = (len(seeds), *before, fanout)
            hops[path] = Hop(path, reused_array(shape, np.int32), reused_array(shape, np.int32))
        block = Block(self.table, seeds, anchors, hops)
        least = math.ceil(LEAST_SLOTS / self.slots)
        share_rows(len(seeds), self.threads, lambda rows: self._fill(block, examples, epoch, rows), least)
        return block

    def sample_each(self, batches: Iterable[ArrayLike], epoch: int = 0) -> Iterator[Block]:
        """Sample around batches of seeds that have no times, ahead of who takes the blocks.

        Of several threads each makes whole blocks, where these are not large: they help then at every size.

        Args:
            batches: of seeds, each as :meth:`sample` takes it; the first is taken at once, and its size decides whether
                threads make whole blocks or share each.
            epoch: part of the key.

        Returns:
            The blocks in the batches' order.

        Raises:
            SchemaError: a seed is not a node of the table.
        """
        batches = iter(batches)
        first = list(itertools.islice(batches, 1))
        every = itertools.chain(first, batches)
        if self.threads == 1 or sum(map(np.size, first)) * self.slots >= SHARED_SLOTS:
            return (self.sample(seeds, None, epoch) for seeds in every)
        jobs = (partial(self._sample_all, some, epoch) for some in self._enough(every))
        return itertools.chain.from_iterable(prefetched(jobs, 2 * self.threads, self.threads))

    def _enough(self, batches: Iterable[ArrayLike]) -> Iterator[list[ArrayLike]]:
        """Batches together, as many as a thread is worth being handed."""
        some: list[ArrayLike] = []
        for seeds in batches:
            some.append(seeds)
            if sum(map(np.size, some)) * self.slots >= HANDED_SLOTS:
                yield some
                some = []
        if some:
            yield some

    def _sample_all(self, batches: list[ArrayLike], epoch: int) -> list[Block]:
        return [self.sample(seeds, None, epoch) for seeds in batches]

    def _fill(self, block: Block, examples: NDArray[np.int64], epoch: int, rows: slice) -> None:
        """Sample all hops of some seeds into their rows of a block."""
        anchors = block.times[rows]
        count = len(anchors)
        for path, hop in block.hops.items():
            keys = example_keys_of(hop_key(self.seed, epoch, path), examples[rows])
            parent = block.hops[path[:-1]].nodes[rows] if len(path) > 1 else block.seeds[rows].astype(np.int32)
            nodes, stamps = hop.nodes[rows], hop.times[rows]
            width = math.prod(hop.nodes.shape[1:-1])
            frontier, shape = parent.reshape(count, width), (count, width, hop.nodes.shape[-1])
            adjacency = self.store.adjacency(path[-1])
            # Reshaped rows of a contiguous array are views.
            self._backend.fill_neighbors(
                adjacency, frontier, anchors, keys, self.rule, nodes.reshape(shape), stamps.reshape(shape)
            )
            drop_ended(nodes, stamps, self.store.features(path[-1].target), anchors)


def drop_ended(
    nodes: NDArray[np.int32], stamps: NDArray[np.int32], features: NodeFeatures, anchors: NDArray[np.int32]
) -> None:
    """Leave slots empty, in place, whose node no longer holds at its seed's anchor.

    Args:
        nodes, stamps: ``[batch, ...]``, as sampled; what an ended node leads to is not sampled either.
        features: of the nodes' table.
        anchors: ``[batch]``.
    """
    if features.valid_until is None:
        return
    limits = anchors.reshape(-1, *([1] * (nodes.ndim - 1)))
    ended = (nodes >= 0) & (features.valid_until[nodes] <= limits) & (limits < END_OF_TIME)
    nodes[ended] = -1
    stamps[ended] = ALWAYS


def as_seeds(
    store: GraphStore, table: str, seeds: ArrayLike, times: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Seeds and their anchors as arrays ``[batch]``; without times all edges count.

    Raises:
        SchemaError: a seed is not a node of the table.
    """
    nodes = np.asarray(seeds, np.int64)
    anchors = np.full(len(nodes), END_OF_TIME) if times is None else np.asarray(times, np.int32)
    count = store.node_count(table)
    if nodes.size and (nodes.min() < 0 or nodes.max() >= count):
        raise SchemaError(f"seeds of '{table}' must be in 0 .. {count - 1}, not {nodes.min()} .. {nodes.max()}")
    return nodes, anchors


def only_table(store: GraphStore) -> str:
    """Name of the table of a graph that has one.

    Raises:
        ConfigError: it has several.
    """
    names = [table.name for table in store.manifest.tables]
    if len(names) > 1:
        raise ConfigError(f"the graph has several tables; say which the seeds are of: table= one of {', '.join(names)}")
    return names[0]
