"""Trained networks of link tasks as one thing to embed with: vectors of targets, and vectors and pairs of entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import (
    BatchBuilder,
    BlockLoader,
    Examples,
    FeatureBlock,
    PairBatch,
    TargetBatch,
    Tensors,
    WalkLoader,
)
from gnnscale.nn import NOT_YET, BlockNetwork, BlockTowers, TargetRows, TwoBranchModel
from gnnscale.query import PredictiveQuery
from gnnscale.store import NodeFeatures
from gnnscale.training.block_link_task import target_rows


@dataclass(frozen=True, eq=False)
class EntityScores:
    """What a network says of some entities at an anchor.

    Args:
        vectors: float32 ``[entities, channels]``; the inner product with a target's is its score.
        counts: targets of each entity that have a score of their own instead, int64 ``[entities]``.
        targets: these, int64 ``[pairs]``.
        scores: theirs, float32 ``[pairs]``.
    """

    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]
    targets: NDArray[np.int64]
    scores: NDArray[np.float32]


class LinkPredictor(Protocol):
    """A trained network in evaluation mode with what makes its batches.

    Batches are made apart from what is computed of them, so that another thread can make them ahead. The last channel
    of every vector is a target's bias: an entity's is 1 there.
    """

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> Tensors:
        """Some targets, int64 ``[targets]``, at seconds after the graph's origin."""

    def encode_targets(self, batch: Any) -> NDArray[np.float32]:
        """Their vectors, ``[targets, channels]``."""

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> Tensors:
        """Some entities, int64 ``[entities]``, at seconds after the graph's origin."""

    def score_entities(self, batch: Any) -> EntityScores:
        """Their vectors and pairs."""


class TwoBranchPredictor:
    """The network of :class:`gnnscale.nn.TwoBranchModel`; see :class:`LinkPredictor`.

    Args:
        model: in evaluation mode.
        builder: of its batches.
        device: of the model.
    """

    def __init__(self, model: TwoBranchModel, builder: BatchBuilder, device: torch.device) -> None:
        self.model, self.builder, self.device = model, builder, device

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetBatch:
        """Some targets with their latest events."""
        return self.builder.build_targets(nodes, anchor)

    @torch.no_grad()
    def encode_targets(self, batch: TargetBatch) -> NDArray[np.float32]:
        """Tower vectors."""
        return _as_array(self.model.encode_targets(batch.to(self.device)))

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> PairBatch:
        """Some entities with their neighborhoods and the targets in them."""
        return self.builder.build(Examples.unlabelled(nodes, anchor))

    @torch.no_grad()
    def score_entities(self, batch: PairBatch) -> EntityScores:
        """Tower vectors, and scores of the targets in each entity's neighborhood."""
        scores = self.model(batch.to(self.device))
        counts = torch.bincount(batch.example, minlength=len(batch)).numpy()
        local, targets = _as_array(scores.local), batch.candidate_node.numpy()
        return EntityScores(_as_array(scores.entity), counts, targets, local)


@dataclass(frozen=True)
class TargetsThere(Tensors):
    """Some targets, and which of them are there at the anchor, bool ``[targets]``."""

    rows: TargetRows
    valid: Tensor


class TowersPredictor:
    """Two towers on blocks, of which no pair has a score of its own; see :class:`LinkPredictor`.

    Args:
        model: in evaluation mode.
        source: of blocks around entities.
        query: bound query.
        features: of all targets.
        device: of the model.
    """

    def __init__(
        self,
        model: BlockTowers,
        source: BlockLoader | WalkLoader,
        query: PredictiveQuery,
        features: NodeFeatures,
        device: torch.device,
    ) -> None:
        self.model, self.source, self.query, self.features, self.device = model, source, query, features, device

    @property
    def network(self) -> BlockNetwork:
        """The entities' tower."""
        network = self.model.entity.network
        assert isinstance(network, BlockNetwork)
        return network

    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> TargetsThere:
        """Some targets with their columns."""
        valid = self.features.is_valid_at(nodes, anchor)
        return TargetsThere(target_rows(self.features, nodes), torch.from_numpy(np.asarray(valid)))

    @torch.no_grad()
    def encode_targets(self, batch: TargetsThere) -> NDArray[np.float32]:
        """Tower vectors; the bias is 0, and low enough to come last for what is not there or not to be ranked."""
        batch = batch.to(self.device)
        there = batch.valid & self.model.ranked(batch.rows.nodes)
        bias = torch.zeros(len(there), 1, device=self.device).masked_fill(~there.unsqueeze(1), NOT_YET)
        return _as_array(torch.cat([self.model.encode_targets(batch.rows).float(), bias], dim=1))

    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> FeatureBlock:
        """Blocks around some entities, sampled as in the first epoch."""
        return self.source.around(nodes, np.full(len(nodes), anchor, np.int32), nodes)

    @torch.no_grad()
    def score_entities(self, batch: FeatureBlock) -> EntityScores:
        """Tower vectors alone."""
        return as_entity_scores(_as_array(self.model.entity(batch.to(self.device)).float()))


def as_entity_scores(vectors: NDArray[np.float32]) -> EntityScores:
    """Vectors of a tower, ``[entities, channels]``, with the channel of the bias, and no pairs."""
    none = np.zeros(0, np.int64)
    with_bias = np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1)
    return EntityScores(with_bias, np.zeros(len(vectors), np.int64), none, none.astype(np.float32))


def _as_array(values: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.cpu().numpy()
    return found
