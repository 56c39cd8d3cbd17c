"""Networks of link tasks as one thing to embed and to rank with: vectors of targets, vectors and pairs of entities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import Batch, Tensors


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


@dataclass(frozen=True, eq=False)
class ScoredEntities:
    """The same on a device.

    Args:
        vectors: ``[entities, channels]``.
        example: entity of each pair, int64 ``[pairs]``, ascending.
        target: its target, int64 ``[pairs]``.
        score: its score, ``[pairs]``.
    """

    vectors: Tensor
    example: Tensor
    target: Tensor
    score: Tensor


class LinkPredictor(ABC):
    """A network in evaluation mode with what makes its batches.

    Batches are made apart from what is computed of them, so that another thread can make them ahead. The last channel
    of every vector is a target's bias: an entity's is 1 there.

    Args:
        device: of the network.
    """

    targets_at_once: ClassVar[int] = 16_384
    """Targets that go through the network at once: of most networks each is a few numbers."""
    entities_at_once: ClassVar[int] = 128
    """Entities that go through it at once in validation, where there are few targets."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def target_batch(self, nodes: NDArray[np.int64], anchor: int) -> Tensors:
        """Some targets, int64 ``[targets]``, at seconds after the graph's origin."""

    @abstractmethod
    def entity_batch(self, nodes: NDArray[np.int64], anchor: int) -> Batch:
        """Some entities, int64 ``[entities]``, at seconds after the graph's origin."""

    @abstractmethod
    def target_vectors(self, batch: Any) -> Tensor:
        """Vectors of targets ``[targets, channels]`` from their batch on the device; of what is not there at the anchor
        the bias is :data:`gnnscale.nn.NOT_YET`, so that it comes last."""

    @abstractmethod
    def entity_scores(self, batch: Any) -> ScoredEntities:
        """Vectors and pairs of entities from their batch on the device."""

    @torch.no_grad()
    def encode_targets(self, batch: Tensors) -> NDArray[np.float32]:
        """Vectors of a batch of targets, ``[targets, channels]``."""
        return _as_array(self.target_vectors(batch.to(self.device)))

    @torch.no_grad()
    def score_entities(self, batch: Tensors) -> EntityScores:
        """Vectors and pairs of a batch of entities."""
        found = self.entity_scores(batch.to(self.device))
        counts = torch.bincount(found.example, minlength=len(found.vectors)).cpu().numpy()
        return EntityScores(_as_array(found.vectors), counts, found.target.cpu().numpy(), _as_array(found.score))


def as_entity_scores(vectors: NDArray[np.float32]) -> EntityScores:
    """Vectors of a tower, ``[entities, channels]``, with the channel of the bias, and no pairs."""
    none = np.zeros(0, np.int64)
    with_bias = np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1)
    return EntityScores(with_bias, np.zeros(len(vectors), np.int64), none, none.astype(np.float32))


def _as_array(values: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.cpu().numpy()
    return found
