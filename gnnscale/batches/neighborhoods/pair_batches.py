"""Batches of the two-branch model: sampled neighborhoods with their features, as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.hops import link_sampling
from gnnscale.batches.neighborhoods.candidates import CandidateBuilder, Candidates, known_pairs
from gnnscale.batches.rows import RowFeatures, Tensors, gather_rows
from gnnscale.config import SamplingSettings
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import Hop, NeighborSampler
from gnnscale.schema import ConfigError, TableManifest, nearest
from gnnscale.store import GraphStore


@dataclass(frozen=True)
class TargetBatch(Tensors):
    """Distinct targets at one anchor, with their latest events by anyone.

    Args:
        nodes: int64 ``[targets]``.
        features: of the targets.
        alive: whether the target is there at the anchor: come by then and not ended, bool ``[targets]``.
        present: which event slots are filled, bool ``[targets, fanout]``.
        event_age: days from each present event to the anchor, float32 ``[events]``.
    """

    nodes: Tensor
    features: RowFeatures
    valid: Tensor
    present: Tensor
    event_age: Tensor


@dataclass(frozen=True)
class ContextHop(Tensors):
    """A hop around the entities that is not its events, such as the campaigns that reached it.

    Args:
        path: link names from the entity.
        present: bool ``[examples, slots]``.
        age: days from the edge to the anchor, float32 ``[examples, slots]``; 0 where absent or always held.
        features: of the slots' rows, ``[examples * slots, ...]``; those of row 0 where absent.
    """

    path: tuple[str, ...]
    present: Tensor
    age: Tensor
    features: RowFeatures


@dataclass(frozen=True)
class PairBatch(Batch):
    """Examples of one anchor, ready for the model; layouts as in :class:`Candidates`, ages and gaps in days.

    Args:
        entities: node ids, int64 ``[examples]``.
        positives: how many targets came true, float32 ``[examples]``.
        targets: every target that the batch scores, each once.
        candidate_target, explore_target, negative_target: index of their target in ``targets``.
        negatives: node ids, int64 ``[negatives]``; empty where none are asked for.
        known: which negatives are none, bool ``[examples, negatives]``.
        edges: that were sampled, around entities and around targets.
    """

    entities: Tensor
    entity_features: RowFeatures
    context: tuple[ContextHop, ...]
    event_features: RowFeatures
    event_candidate: Tensor
    event_example: Tensor
    event_age: Tensor
    event_gap: Tensor
    event_opens: Tensor
    candidate_node: Tensor
    candidate_target: Tensor
    example: Tensor
    last_event: Tensor
    is_positive: Tensor
    groups: Tensor
    group_counts: tuple[int, ...]
    explore_target: Tensor
    explore_example: Tensor
    positives: Tensor
    targets: TargetBatch
    negatives: Tensor
    negative_target: Tensor
    known: Tensor
    edges: int

    def __len__(self) -> int:
        return len(self.entities)


def check_reach(query: PredictiveQuery, sampling: SamplingSettings) -> None:
    """See that neighborhoods reach a query's events and targets.

    Args:
        query: bound query.
        sampling: with fan-outs around entities and around targets.

    Raises:
        ConfigError: they do not.
    """
    entity, target = query.entity_link.name, query.target_link.name
    hops = sampling.entity_hops
    if len(hops) < 2 or entity not in hops[0] or target not in hops[1]:
        raise ConfigError(f"sampling.entity_hops must follow {entity} in hop 1 and {target} in hop 2")
    if hops[1][target] != 1:
        raise ConfigError(f"sampling.entity_hops: a row has one parent, so hop 2 takes {target}: 1")
    if not sampling.target_hops or target not in sampling.target_hops[0]:
        raise ConfigError(f"sampling.target_hops must follow {target} in hop 1")


def group_places(table: TableManifest, group_columns: Sequence[str]) -> list[int]:
    """Places of the columns that group candidates among the categorical ones of the targets.

    Args:
        table: of the targets.
        group_columns: their names.

    Raises:
        ConfigError: one is not there.
    """
    columns = [feature.column for feature in table.categorical]
    for column in group_columns:
        if column not in columns:
            raise ConfigError(
                f"model.group_columns: '{column}' is not a categorical column of '{table.name}'."
                + nearest(column, columns)
            )
    return [columns.index(column) for column in group_columns]


class BatchBuilder:
    """Samples and gathers; one a thread.

    Args:
        store: the graph.
        query: bound query, which says what is an entity, an event and a target.
        sampling: fan-outs and strategy; the first two hops must follow the query's links, as the default does.
        group_columns: categorical columns of the target that group candidates.
        seed: of the run.
        max_target_neighbors: most latest events of a target that are inputs; None for all that are sampled.

    Attributes:
        context_tables: link names from the entity -> table, of the hops that are not events.

    Raises:
        ConfigError: the fan-outs do not reach the query's events and targets.
    """

    def __init__(
        self,
        store: GraphStore,
        query: PredictiveQuery,
        sampling: SamplingSettings,
        group_columns: tuple[str, ...],
        seed: int,
        max_target_neighbors: int | None = None,
    ) -> None:
        self.store = store
        self._most_events = max_target_neighbors
        self.query = query
        sampling = link_sampling(query, sampling)
        limits: dict[str, Any] = {"cap": sampling.cap, "threads": sampling.threads}
        self._around_entity = NeighborSampler(
            store, sampling.entity_hops, sampling.neighbors, seed, table=query.entity.name, **limits
        )
        check_reach(query, sampling)
        self._around_target = NeighborSampler(
            store, sampling.target_hops, "last", seed, table=query.target.name, **limits
        )
        self.context_tables = self._context_paths()
        places = group_places(store.manifest.table(query.target.name), group_columns)
        codes = store.features(query.target.name).categorical[:, places]
        self._candidates = CandidateBuilder(np.asarray(codes))
        self._target_features = store.features(query.target.name)
        self._scratch = np.full(store.node_count(query.target.name), -1, np.int64)

    def build(self, examples: Examples, epoch: int = 0, negatives: NDArray[np.int64] | None = None) -> PairBatch:
        """One batch.

        Args:
            examples: of one anchor, at least one.
            epoch: part of the sampling key.
            negatives: targets to score for every example beside its own, int64 ``[negatives]``.
        """
        block = self._around_entity.sample(examples.entities, examples.anchors, epoch)
        entity_link, target_link = self.query.entity_link.name, self.query.target_link.name
        events, reached = latest_first(block.hop(entity_link), block.hop(entity_link, target_link))
        found = self._candidates.build(events, reached, examples)
        # What came to be within the window itself, or had ended, could not have been named at the anchor.
        valid = self._target_features.is_valid_at(found.explore_target, examples.anchors[found.explore_example])
        found = replace(found, explore_target=found.explore_target[valid], explore_example=found.explore_example[valid])
        if negatives is None:
            negatives = np.zeros(0, np.int64)
            known = np.zeros((len(examples), 0), bool)
        else:
            pairs = (found.example, found.target, found.explore_example, found.explore_target)
            known = known_pairs(negatives, len(examples), *pairs, self._scratch)
            known |= ~self._target_features.is_valid_at(negatives, int(examples.anchors[0]))
        parts = [found.target, found.explore_target, negatives]
        nodes, position = np.unique(np.concatenate(parts), return_inverse=True)
        candidate, explore, negative = np.split(position.astype(np.int64), np.cumsum([len(p) for p in parts[:-1]]))
        context = tuple(self._context(block.hop(*path), examples) for path in self.context_tables)
        around_targets = self.build_targets(nodes, int(examples.anchors[0]))
        return PairBatch(
            entities=torch.from_numpy(examples.entities),
            entity_features=self._features(self.query.entity.name, examples.entities),
            context=context,
            positives=torch.from_numpy(np.diff(examples.indptr)).float(),
            targets=around_targets,
            candidate_target=torch.from_numpy(candidate),
            negatives=torch.from_numpy(negatives),
            negative_target=torch.from_numpy(negative),
            known=torch.from_numpy(known),
            edges=block.edges() + len(around_targets.event_age),
            **self._candidate_tensors(found, explore),
        )

    def _context_paths(self) -> dict[tuple[str, ...], str]:
        events = self.query.entity_link.name
        paths = {}
        for path in self._around_entity.paths:
            names = tuple(edge_type.name for edge_type in path)
            if names[0] != events:
                paths[names] = path[-1].target
        return paths

    def _candidate_tensors(self, found: Candidates, explore: NDArray[np.int64]) -> dict[str, Any]:
        gap = torch.from_numpy(found.event_gap)
        return {
            "event_features": self._features(self.query.event_table.name, found.event_node),
            "event_candidate": torch.from_numpy(found.event_candidate),
            "event_example": torch.from_numpy(found.event_example),
            "event_age": days(found.event_age),
            "event_gap": torch.where(gap < 0, -1.0, days(found.event_gap)),
            "event_opens": torch.from_numpy(found.event_opens),
            "candidate_node": torch.from_numpy(found.target),
            "example": torch.from_numpy(found.example),
            "last_event": torch.from_numpy(found.last_event),
            "is_positive": torch.from_numpy(found.is_positive),
            "groups": torch.from_numpy(found.groups),
            "group_counts": found.group_counts,
            "explore_target": torch.from_numpy(explore),
            "explore_example": torch.from_numpy(found.explore_example),
        }

    def build_targets(self, nodes: NDArray[np.int64], anchor: int) -> TargetBatch:
        """Features and latest events of targets at one anchor (seconds after the graph's origin)."""
        block = self._around_target.sample(nodes, np.full(len(nodes), anchor, np.int32))
        hop = block.hop(self.query.target_link.name)
        present = hop.nodes >= 0
        if self._most_events is not None:
            age = np.where(present, -hop.times.astype(np.int64), np.iinfo(np.int64).max)
            order = np.argsort(age, axis=1, kind="stable")
            present &= np.argsort(order, axis=1) < self._most_events
        return TargetBatch(
            nodes=torch.from_numpy(nodes),
            features=self._features(self.query.target.name, nodes),
            valid=torch.from_numpy(self._target_features.is_valid_at(nodes, anchor)),
            present=torch.from_numpy(present),
            event_age=days(anchor - hop.times[present].astype(np.int64)),
        )

    def all_targets(self, anchor: int, size: int = 16_384) -> Iterator[TargetBatch]:
        """Every row of the target table in order, in batches of at most ``size``."""
        count = self.store.node_count(self.query.target.name)
        for start in range(0, count, size):
            yield self.build_targets(np.arange(start, min(count, start + size)), anchor)

    def _context(self, hop: Hop, examples: Examples) -> ContextHop:
        nodes = hop.nodes.reshape(len(examples), -1)
        present = nodes >= 0
        # An edge that always held has no age; its time is far in the past.
        dated = present & (hop.times.reshape(nodes.shape) >= 0)
        age = np.where(dated, examples.anchors[:, None].astype(np.int64) - hop.times.reshape(nodes.shape), 0)
        return ContextHop(
            path=tuple(edge_type.name for edge_type in hop.path),
            present=torch.from_numpy(present),
            age=days(age),
            features=self._features(hop.table, np.maximum(nodes, 0).ravel()),
        )

    def _features(self, table: str, nodes: NDArray[Any]) -> RowFeatures:
        return gather_rows(self.store.features(table), nodes)


def latest_first(events: Hop, targets: Hop) -> tuple[Hop, Hop]:
    """Events ``[batch, fanout]`` in descending order of time, absent ones last, and their targets in the same order."""
    order = np.argsort(-events.times.astype(np.int64), axis=1, kind="stable")
    if (order == np.arange(order.shape[1])).all():
        return events, targets

    def ordered(array: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(array, order.reshape(order.shape + (1,) * (array.ndim - 2)), axis=1)

    return (
        Hop(events.path, ordered(events.nodes), ordered(events.times)),
        Hop(targets.path, ordered(targets.nodes), ordered(targets.times)),
    )


def days(seconds: NDArray[np.int64]) -> Tensor:
    """Seconds as days, float32."""
    return torch.from_numpy((seconds / 86_400).astype(np.float32))
