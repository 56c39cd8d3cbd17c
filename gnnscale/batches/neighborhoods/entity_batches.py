"""Batches of the neighborhood network: the sampled neighborhood of each entity, path by path, as tensors.

Only slots that hold a node are kept, in the order of their parents: neighborhoods are of very different size, and what
is absent should cost nothing. Of many rows of one parent, all go into sums, and the latest are encoded one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.examples.entity_examples import EntityExamples
from gnnscale.batches.hops import default_hops, filled_hops, is_hidden
from gnnscale.batches.neighborhoods.window_sums import FlatHop, WindowSums
from gnnscale.batches.rows import HiddenColumns, RowFeatures, Tensors, gather_rows
from gnnscale.config import SamplingSettings
from gnnscale.features import EntityFeatures
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import Hop, NeighborSampler, Path, default_examples
from gnnscale.store import ALWAYS, GraphStore

DAY = 86_400
WEEK_OFFSET = 3
"""Days from a Monday to 1970-01-01."""
YEAR = 365.2425 * DAY

MOST_SLOTS: Final = 1 << 22
"""Slots that are sampled at once, with those that stay empty: where a table's links to itself make far more, seeds are
taken in turns."""


@dataclass(frozen=True)
class PathShape:
    """One path of the neighborhood.

    Args:
        name: of the path.
        parent: name of the path one link shorter, empty where that is the entity.
        table: that the path reaches.
        many: whether a parent can have several rows there; else it names at most one.
    """

    name: str
    parent: str
    table: str
    many: bool


@dataclass(frozen=True)
class Slots(Tensors):
    """The nodes along one path, by parent, and the latest first within a parent.

    Args:
        parent: index of the example, or of the slot along the path one link shorter, int64 ``[slots]``, ascending.
        row: which of ``features`` the slot holds, int64 ``[slots]``.
        features: of the rows, each once where a parent is looked up.
        age: days from when the slot's edge came to hold (its row, where a parent is looked up) to the anchor,
            float32 ``[slots]``; 0 where it always held.
        dated: whether the age is known, bool ``[slots]``.
        gap: days since the next older slot of the same parent, float32 ``[slots]``; -1 where there is none.
        opens: whether the slot's time differs from the next older one's, bool ``[slots]``: rows of one time are one
            visit.
    """

    parent: Tensor
    row: Tensor
    features: RowFeatures
    age: Tensor
    dated: Tensor
    gap: Tensor
    opens: Tensor

    def __len__(self) -> int:
        return len(self.parent)


@dataclass(frozen=True)
class EntityBatch(Batch):
    """Examples, each at its own anchor.

    Args:
        keys: hashes of entity and anchor, int64 ``[examples]``.
        features: of the entities.
        age: days from when the entity came to be to its anchor, float32 ``[examples]``; 0 where it always was.
        calendar: share of the week and of the year that is over at the anchor, float32 ``[examples, 2]``.
        sums: over windows before the anchor, float32 ``[examples, channels]``; see :class:`WindowSums`.
        class_sums: the same of each class, float32 ``[examples, classes, channels]``.
        known: point-in-time features, float32 ``[examples, features]``; NaN for what is not known.
        slots: of every path, in the order of :attr:`EntityBatchBuilder.paths`.
        edges: that were sampled.
    """

    keys: Tensor
    features: RowFeatures
    age: Tensor
    calendar: Tensor
    sums: Tensor
    class_sums: Tensor
    known: Tensor
    slots: tuple[Slots, ...]
    edges: int

    def __len__(self) -> int:
        return len(self.age)


class EntityBatchBuilder:
    """Samples and gathers; one a thread.

    Args:
        store: the graph.
        query: bound query, which says what is an entity and what must not be seen.
        sampling: strategy and fan-outs; fan-outs that are left out follow every link.
        seed: of the run.
        latest: rows of one parent that are encoded one by one.
        classes: of the answer, where it has any.
        features: of the entities, which are inputs too; None for none.

    Attributes:
        paths: of the neighborhood, shorter ones first.
        sums: what is summed over windows.
        features: of the entities.

    Raises:
        ConfigError: the fan-outs name a link that there is not, or that leads nowhere.
    """

    def __init__(
        self,
        store: GraphStore,
        query: PredictiveQuery,
        sampling: SamplingSettings,
        seed: int,
        latest: int = 128,
        classes: Sequence[str] = (),
        features: EntityFeatures | None = None,
    ) -> None:
        self.store = store
        self.features = features
        self.query = query
        table = query.entity.name
        self._ordered = sampling.strategy == "last"
        hops = sampling.entity_hops
        if not hops:
            hops = default_hops(query.graph, table, hidden_tables=query.hidden_tables)
            hops = filled_hops(hops, store.manifest) if self._ordered else hops
        limits: dict[str, Any] = {"cap": sampling.cap, "threads": sampling.threads}
        self._sampler = NeighborSampler(store, hops, sampling.neighbors, seed, table=table, **limits)
        self._derived = {relation.link for relation in store.manifest.relations}
        self._paths = tuple(p for p in self._sampler.paths if not is_hidden(p, query, store.manifest))
        self.paths = tuple(PathShape(_name(p), _name(p[:-1]), p[-1].target, self._is_many(p)) for p in self._paths)
        self._hidden = {
            t.name: HiddenColumns.of(t, {column for name, column in query.hidden_columns if name == t.name})
            for t in store.manifest.tables
        }
        self._latest = latest
        self.sums = WindowSums(store, self._paths, query.hidden_columns, classes)

    def build(self, examples: EntityExamples, epoch: int = 0, known: NDArray[np.float32] | None = None) -> EntityBatch:
        """One batch.

        Args:
            examples: at least one; their anchors may differ, and labels are not looked at.
            epoch: part of the sampling key.
            known: what :meth:`known` says of the examples; default: it is asked.
        """
        hops, edges = self._sample(examples, epoch)
        kept: dict[Path, NDArray[np.int64]] = {(): np.arange(len(examples))}
        slots = []
        for path in self._paths:
            kept[path], found = self._slots(path, hops[path], kept[path[:-1]])
            slots.append(found)
        times = self.store.features(self.query.entity.name).times[examples.entities]
        age, _ = _age(examples.anchors, times)
        at = self.store.manifest.origin + examples.anchors.astype(np.float64)
        calendar = np.stack([(at / DAY + WEEK_OFFSET) / 7 % 1, at / YEAR % 1], axis=1)
        return EntityBatch(
            keys=torch.from_numpy(default_examples(examples.entities, examples.anchors)),
            features=self._features(self.query.entity.name, examples.entities),
            age=torch.from_numpy(age),
            calendar=torch.from_numpy(calendar.astype(np.float32)),
            sums=torch.from_numpy(self.sums.example_sums(hops, len(examples))),
            class_sums=torch.from_numpy(self.sums.class_sums(hops, len(examples))),
            known=torch.from_numpy(self.known(examples) if known is None else known),
            slots=tuple(slots),
            edges=edges,
        )

    def known(self, examples: EntityExamples) -> NDArray[np.float32]:
        """Point-in-time features of the examples, float32 ``[examples, features]``."""
        if self.features is None:
            return np.zeros((len(examples), 0), np.float32)
        return self.features.compute(examples.entities, examples.anchors)

    def _sample(self, examples: EntityExamples, epoch: int) -> tuple[dict[Path, FlatHop], int]:
        """The slots that hold a node, by path, and the edges that were sampled."""
        step = max(1, MOST_SLOTS // self._sampler.slots)
        parts, edges = [], 0
        for start in range(0, len(examples), step):
            turn = slice(start, start + step)
            block = self._sampler.sample(examples.entities[turn], examples.anchors[turn], epoch)
            edges += block.edges()
            # Dense position -> index among the slots that hold a node.
            indices: dict[Path, NDArray[np.int64]] = {(): np.arange(len(block.seeds))}
            part: dict[Path, FlatHop] = {}
            for path in self._paths:
                part[path], indices[path] = self._flatten(block.hops[path], block.times, indices[path[:-1]])
            parts.append((len(block.seeds), part))
        return (parts[0][1] if len(parts) == 1 else self._joined(parts)), edges

    def _joined(self, parts: Sequence[tuple[int, dict[Path, FlatHop]]]) -> dict[Path, FlatHop]:
        """Slots of seeds that were taken in turns, each with the number of its seeds, as those of all."""
        joined = {}
        for path in self._paths:
            before, parents = path[:-1], 0
            shifted = []
            for seeds, part in parts:
                hop = part[path]
                shifted.append(replace(hop, parent=hop.parent + parents))
                parents += len(part[before].parent) if before else seeds
            joined[path] = FlatHop(
                *(np.concatenate([getattr(h, own.name) for h in shifted]) for own in fields(FlatHop))
            )
        return joined

    def _is_many(self, path: Path) -> bool:
        """Whether a parent can have several rows at the end of a path; a foreign key names one at most."""
        return path[-1].reverse or path[-1].link in self._derived

    def _flatten(
        self, hop: Hop, anchors: NDArray[np.int32], indices: NDArray[np.int64]
    ) -> tuple[FlatHop, NDArray[np.int64]]:
        """The slots that hold a node, and the index among them of each dense position (-1 where absent)."""
        fanout = hop.nodes.shape[-1]
        nodes, times = hop.nodes.reshape(-1), hop.times.reshape(-1)
        at = np.flatnonzero(nodes >= 0)
        parent = indices[at // fanout]
        if not self._ordered:
            order = np.lexsort((-times[at].astype(np.int64), parent))
            at, parent = at[order], parent[order]
        index = np.full(len(nodes), -1, np.int64)
        index[at] = np.arange(len(at))
        held, times = nodes[at].astype(np.int64), times[at]
        came = times if self._is_many(hop.path) else self.store.features(hop.table).times[held]
        age, dated = _age(anchors[at // (len(index) // len(anchors))], came)
        last = np.append(parent[1:] != parent[:-1], True)[: len(at)]
        opens = last | (np.append(times[1:], 0)[: len(at)] != times)
        return FlatHop(parent, held, age, dated, opens), index

    def _slots(self, path: Path, hop: FlatHop, kept: NDArray[np.int64]) -> tuple[NDArray[np.int64], Slots]:
        """The latest slots of each parent that is kept, and their index among all; ``kept`` is the parents'."""
        within = np.arange(len(hop.parent)) - np.searchsorted(hop.parent, hop.parent)
        index = np.full(int(max(kept.max(initial=0), hop.parent.max(initial=0))) + 1, -1, np.int64)
        index[kept] = np.arange(len(kept))
        parent = index[hop.parent]
        at = np.flatnonzero((parent >= 0) & (within < self._latest))
        nodes, age, parent = hop.nodes[at], hop.age[at], parent[at]
        many = self._is_many(path)
        rows, row = (nodes, np.arange(len(nodes))) if many else np.unique(nodes, return_inverse=True)
        follows = np.append(parent[1:] == parent[:-1], False)[: len(at)]
        gap = np.append(age[1:] - age[:-1], 0)[: len(at)]
        return at, Slots(
            parent=torch.from_numpy(parent),
            row=torch.from_numpy(row.astype(np.int64)),
            features=self._features(path[-1].target, rows),
            age=torch.from_numpy(age),
            dated=torch.from_numpy(hop.dated[at]),
            gap=torch.from_numpy(np.where(follows, np.maximum(gap, 0), -1).astype(np.float32)),
            opens=torch.from_numpy(hop.opens[at]),
        )

    def _features(self, table: str, nodes: NDArray[Any]) -> RowFeatures:
        return gather_rows(self.store.features(table), nodes, self._hidden[table])


def _age(anchors: NDArray[np.int32], times: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Days from the times to the anchors, 0 where a time is ``ALWAYS``; and whether it is not."""
    dated = times != ALWAYS
    age = np.where(dated, anchors.astype(np.int64) - times, 0)
    return (np.maximum(age, 0) / DAY).astype(np.float32), dated


def _name(path: Path) -> str:
    return "/".join(edge_type.table_name.removeprefix("edges_") for edge_type in path)
