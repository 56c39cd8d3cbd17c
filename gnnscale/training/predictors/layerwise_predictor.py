"""Networks whose vectors can be computed layer by layer, the state of each node once a layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches import CategoryCodes
from gnnscale.nn import NOT_YET, BlockNetwork
from gnnscale.query import PredictiveQuery
from gnnscale.training.predictors.link_predictor import LinkPredictor, ScoredEntities


class LayerwisePredictor(LinkPredictor):
    """A predictor over a :class:`gnnscale.nn.BlockNetwork`.

    Attributes:
        query: bound query.
    """

    query: PredictiveQuery

    @property
    @abstractmethod
    def network(self) -> BlockNetwork:
        """Whose layers they are."""

    @property
    @abstractmethod
    def layer_inputs(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, CategoryCodes]]:
        """Table -> features of all its nodes, ``[nodes, channels]``, and its categorical and multicategorical columns,
        where it has any."""

    @abstractmethod
    def are_ranked(self, nodes: NDArray[np.int64], anchor: int) -> NDArray[np.bool_]:
        """Which targets, int64 ``[targets]``, are ranked at seconds after the graph's origin, bool ``[targets]``."""


def with_target_bias(vectors: Tensor, ranked: Tensor) -> Tensor:
    """Vectors of targets with a bias behind: 0, and low enough to come last for what is not ranked.

    Args:
        vectors: ``[targets, channels]``.
        ranked: which are, bool ``[targets]``.
    """
    bias = torch.zeros(len(ranked), 1, device=ranked.device).masked_fill(~ranked.unsqueeze(1), NOT_YET)
    return torch.cat([vectors.float(), bias], dim=1)


def scored_by_vectors(vectors: Tensor) -> ScoredEntities:
    """Entities whose vectors, ``[entities, channels]``, are all there is to score by; that of the bias is added."""
    found = vectors.float()
    return without_pairs(torch.cat([found, torch.ones_like(found[:, :1])], dim=1))


def without_pairs(vectors: Tensor) -> ScoredEntities:
    """The same of vectors that have the channel of the bias, float32 ``[entities, channels]``."""
    none = torch.zeros(0, dtype=torch.int64, device=vectors.device)
    return ScoredEntities(vectors, none, none, none.to(vectors.dtype))
