"""Importance sampling by random walks: the nodes that temporal walks from a seed visit most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnscale.arrays import share_rows
from gnnscale.sampling.keys import UInt64, default_examples, draw, example_keys, stream_key
from gnnscale.sampling.neighbor_sampler import as_seeds, drop_ended, only_table
from gnnscale.sampling.paths import Path
from gnnscale.sampling.sampler_backend import find_backend
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.sampling.walks import numba_walks as walks_compiled
from gnnscale.sampling.walks import numpy_walks as walks_reference
from gnnscale.sampling.walks.walk_rule import WalkRule, plan_steps
from gnnscale.schema import ConfigError, nearest
from gnnscale.store import ALWAYS, Adjacency, GraphStore, NodeFeatures

COUNT_BACKENDS: dict[str, Callable[..., None]] = {
    "numba": walks_compiled.count_visits,
    "numpy": walks_reference.count_visits,
}
_ROWS = 256
"""Seeds whose walks are in memory at once, a thread."""

Step = tuple[Adjacency, NodeFeatures]
"""Edges of one step, and features of the nodes that they reach."""


@dataclass(frozen=True)
class Trails:
    """Where walks went.

    Args:
        path: edge type of each step.
        nodes: int32 ``[batch, walks, length]``, node after each step; -1 from where a walk has come to an end.
        times: int32, same shape: seconds after the graph's origin of the edge walked, ``ALWAYS`` where none.
    """

    path: Path
    nodes: NDArray[np.int32]
    times: NDArray[np.int32]


@dataclass(frozen=True)
class Walks:
    """The nodes that walks from each seed visit most, most visited first; of equal ones the lower id first.

    Args:
        table: that ``nodes`` are rows of.
        seeds: int64 ``[batch]``.
        times: int32 ``[batch]``, anchor of each seed in seconds after the graph's origin.
        nodes: int32 ``[batch, top]``, -1 where absent; never the seed itself.
        counts: int32 ``[batch, top]``, visits, 0 where absent.
    """

    table: str
    seeds: NDArray[np.int64]
    times: NDArray[np.int32]
    nodes: NDArray[np.int32]
    counts: NDArray[np.int32]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which slots hold a node, ``[batch, top]``."""
        return self.nodes >= 0

    def weights(self) -> NDArray[np.float32]:
        """Visits as shares of those of all nodes kept, float32 ``[batch, top]``; 0 where absent.

        The importance alpha of :class:`gnnscale.nn.ImportanceConv`: visit counts over their L1 norm (PinSage,
        section 3.1). A row sums to 1, or to 0 where no node was visited.
        """
        totals = self.counts.sum(axis=1, keepdims=True, dtype=np.int64)
        return (self.counts / np.maximum(totals, 1)).astype(np.float32)


class WalkSampler:
    """Random walks, each a function of (seed, epoch, example, walk, step) alone.

    More or longer walks keep the beginnings of those there were.

    Args:
        store: the graph.
        cycle: names of edge types in the order in which they are walked, such as those from an item to the purchases
            that name it, to their buyers, to what these bought, to the items bought.
        rule: number and length of walks, and nodes to keep.
        seed: of the run.
        table: table that seeds are rows of; may be left out where the graph has one table.
        backend: ``numba``, or ``numpy`` for the reference.
        threads: that share the seeds of a batch; the sample is the same whatever their number.

    Raises:
        ConfigError: an unknown table, link or backend, threads under 1, or steps that :func:`plan_steps` refuses.
    """

    def __init__(
        self,
        store: GraphStore,
        cycle: Sequence[str],
        rule: WalkRule | None = None,
        seed: int = 0,
        table: str | None = None,
        backend: str = "numba",
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise ConfigError(f"sampling threads is {threads}; at least 1")
        if backend not in COUNT_BACKENDS:
            raise ConfigError(f"unknown sampling backend '{backend}'.{nearest(backend, COUNT_BACKENDS)}")
        self.store = store
        self.rule = rule or WalkRule()
        self.seed = seed
        self.table = table or only_table(store)
        self.path = plan_steps(store.manifest, self.table, cycle, self.rule.length)
        self.target = plan_steps(store.manifest, self.table, cycle, None)[-1].target
        self.threads = threads
        self._round = len(cycle)
        self._stream = "walk/" + "/".join(edge_type.table_name for edge_type in self.path[: self._round])
        self._step, self._count = find_backend(backend).fill_neighbors, COUNT_BACKENDS[backend]

    def keeping(self, top: int) -> Self:
        """The same walks, of whose nodes the ``top`` most visited are kept."""
        other = copy(self)
        other.rule = replace(self.rule, top=top)
        return other

    @property
    def visits(self) -> int:
        """Most visits that count, of all walks from a seed."""
        return self.rule.walks * sum(edge_type.target == self.target for edge_type in self.path)

    def sample(
        self,
        seeds: ArrayLike,
        times: ArrayLike | None = None,
        epoch: int = 0,
        examples: NDArray[np.int64] | None = None,
    ) -> Walks:
        """The most visited nodes of the cycle's last table.

        A visit is a step that ends in that table, on another node than the walk's seed.

        Args:
            seeds: node ids, int ``[batch]``.
            times: anchors in seconds after the graph's origin, int ``[batch]``; default: all edges count.
            epoch: part of the key.
            examples: identity of each seed's example, int64 ``[batch]``; default: a hash of seed and time, so that
                a seed's walks do not depend on its batch.

        Raises:
            SchemaError: a seed is not a node of the table.
        """
        seeds, anchors = as_seeds(self.store, self.table, seeds, times)
        keys = self._keys(seeds, anchors, epoch, examples)
        shape = (len(seeds), self.rule.top)
        found = Walks(self.target, seeds, anchors, np.empty(shape, np.int32), np.empty(shape, np.int32))
        share_rows(len(seeds), self.threads, partial(self._fill, found, keys))
        return found

    def trails(
        self,
        seeds: ArrayLike,
        times: ArrayLike | None = None,
        epoch: int = 0,
        examples: NDArray[np.int64] | None = None,
    ) -> Trails:
        """Every step of the walks that :meth:`sample` counts; arguments as there."""
        seeds, anchors = as_seeds(self.store, self.table, seeds, times)
        keys = self._keys(seeds, anchors, epoch, examples)
        return Trails(self.path, *self._follow(seeds, anchors, keys))

    def _keys(
        self, seeds: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int, examples: NDArray[np.int64] | None
    ) -> UInt64:
        if examples is None:
            examples = default_examples(seeds, anchors)
        return example_keys(stream_key(self.seed, epoch, self._stream), examples)

    def _follow(
        self, seeds: NDArray[np.int64], anchors: NDArray[np.int32], keys: UInt64
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        steps = [(self.store.adjacency(e), self.store.features(e.target)) for e in self.path]
        return follow(steps, self._round, seeds, anchors, keys, self.rule, self._step)

    def _fill(self, found: Walks, keys: UInt64, rows: slice) -> None:
        """Walk from some seeds and count into their rows."""
        visits = [i for i, edge_type in enumerate(self.path) if edge_type.target == self.target]
        own = found.seeds.astype(np.int32) if self.table == self.target else np.full(len(found.seeds), -1, np.int32)
        for start in range(rows.start, rows.stop, _ROWS):
            part = slice(start, min(rows.stop, start + _ROWS))
            nodes, _ = self._follow(found.seeds[part], found.times[part], keys[part])
            # [rows, walks, visits of a walk] -> [rows, visits]
            visited = nodes[:, :, visits].reshape(len(nodes), -1)
            self._count(visited, own[part], found.nodes[part], found.counts[part])


def follow(
    steps: Sequence[Step],
    around: int,
    seeds: NDArray[np.int64],
    anchors: NDArray[np.int32],
    keys: UInt64,
    rule: WalkRule,
    fill_neighbors: Callable[..., None],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Walk from each seed, along edges stamped at or before its anchor.

    A step is a hop of fan-out 1, with a key of its own. A walk ends where no edge leads on by the anchor, and at a node
    that no longer holds then: what has ended is not visited, and leads nowhere.

    Args:
        steps: edges and reached nodes of each step.
        around: steps of the cycle; after so many a walk may restart, also one that came to an end.
        seeds: ``[batch]``.
        anchors: ``[batch]``.
        keys: ``[batch]``, one an example.
        rule: number of walks, chance of a restart, how an edge is taken.
        fill_neighbors: backend of a hop, as :meth:`gnnscale.sampling.SamplerBackend.fill_neighbors`.

    Returns:
        Nodes and edge times, each int32 ``[batch, walks, length]``.
    """
    batch, walks, length = len(seeds), rule.walks, len(steps)
    nodes, times = np.full((batch, walks, length), -1, np.int32), np.full((batch, walks, length), ALWAYS, np.int32)
    # [batch, 1] and [walks] -> [batch * walks]
    walk_keys = draw(keys[:, None], np.arange(walks, dtype=np.uint64)).reshape(-1)
    starts, limits = np.repeat(seeds.astype(np.int32), walks), np.repeat(anchors, walks)
    # Bits are under this in a share of restart, to 2**-53.
    threshold = np.uint64(int(rule.restart * 2**64))
    hop_rule: Rule = rule.step
    shape = (batch * walks, 1, 1)
    at = starts.copy()
    for i, (adjacency, features) in enumerate(steps):
        if i and i % around == 0 and rule.restart:
            at = np.where(draw(walk_keys, np.uint64(2 * i + 1)) < threshold, starts, at)
        reached, stamps = np.empty(shape, np.int32), np.empty(shape, np.int32)
        step_keys = draw(walk_keys, np.uint64(2 * i))
        fill_neighbors(adjacency, at[:, None], limits, step_keys, hop_rule, reached, stamps)
        drop_ended(reached, stamps, features, limits)
        at = reached.reshape(-1)
        nodes[:, :, i], times[:, :, i] = at.reshape(batch, walks), stamps.reshape(batch, walks)
    return nodes, times
