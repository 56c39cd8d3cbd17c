"""A trained network on blocks as a predictor of entity tasks: the same blocks around any entities."""

from __future__ import annotations

import numpy as np
from torch import nn

from gnnscale.batches import AnswerShape, EntityExamples, FeatureBlock
from gnnscale.config import Settings
from gnnscale.query import PredictiveQuery
from gnnscale.store import GraphStore
from gnnscale.training.block_task import build_network
from gnnscale.training.block_task_builder import memory_source


class EntityBlocks:
    """Blocks around the entities of examples, sampled as in training.

    Args:
        settings: as the network was trained with.
        store: of the graph.
        query: bound query.
    """

    def __init__(self, settings: Settings, store: GraphStore, query: PredictiveQuery) -> None:
        self.query = query
        self.source = memory_source(settings, store, query)

    def build(self, examples: EntityExamples, epoch: int = 0) -> FeatureBlock:
        """One batch; labels are not looked at."""
        return self.source.around(examples.entities, examples.anchors, np.arange(len(examples)), epoch)


def build_block_predictor(
    settings: Settings, store: GraphStore, query: PredictiveQuery, shape: AnswerShape
) -> tuple[nn.Module, EntityBlocks]:
    """The network with fresh weights, and what makes its blocks.

    Args:
        settings: as it was trained with.
        store: of the graph.
        query: bound query.
        shape: of the answers.
    """
    blocks = EntityBlocks(settings, store, query)
    return build_network(settings, blocks.source, shape.scores), blocks
