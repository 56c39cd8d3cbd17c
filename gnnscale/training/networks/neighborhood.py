"""The network of node-level tasks over an entity's neighborhood, path by path, with sums over windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnnscale.batches import (
    AnswerShape,
    EntityBatchBuilder,
    EntityExamples,
    NeighborhoodSource,
    SplitExamples,
)
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.nn import build_entity_model
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import permutation, plan_paths, stream_key
from gnnscale.schema import NETWORKS, GraphManifest
from gnnscale.training.networks.network import NodeNetwork
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.schedule import usual_rate

DAY = 86_400
YEAR = 365 * DAY
"""Seconds that training anchors have to span for the time of the year to be an input."""
CALIBRATION = 1_000
"""Training examples that the scale of the head's inputs is taken from."""
LEARNED, LEAST_RATE = 0.45, 5e-4
"""Peak of the learning rate times steps, and the least peak."""


@NETWORKS.register("neighborhood")
class NeighborhoodNetwork(NodeNetwork):
    """:class:`gnnscale.nn.entity_model.EntityModel` over batches that mix anchors; see :class:`NodeNetwork`."""

    automatic = True
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "sampling.strategy": ("last", "uniform", "weighted"),
        "training.source": ("memory",),
        "training.sampler": ("auto", "cpu"),
        "training.feature_type": ("fp32",),
        "training.cuda_graphs": (False,),
        "embedding.method": ("sampled",),
    }
    ignores = (
        *("model.group_columns", "model.id_channels", "model.tower_channels", "model.target_embedding"),
        *("model.sharded_lookup_rows", "model.new_targets", "model.max_target_neighbors", "sampling.target_hops"),
        *("training.negatives", "training.negative_power"),
    )

    def builder(self, classes: tuple[str, ...]) -> EntityBatchBuilder:
        """Of its batches.

        Args:
            classes: of the answers, where they have any.

        Raises:
            ConfigError: the fan-outs name a link that there is not, or that leads nowhere.
        """
        settings = self.settings
        features = self.features if settings.model.features else None
        own = settings.seed, settings.model.latest, classes, features
        return EntityBatchBuilder(self.store, self.query, settings.sampling, *own)

    def peak_rate(self, steps: int) -> float:
        """Less where there are more steps: of many, large ones learn the examples by heart within an epoch."""
        return min(usual_rate(steps), max(LEAST_RATE, LEARNED / steps))

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse fan-outs that don't fit; see :meth:`Network.check_graph`."""
        plan_paths(manifest, query.entity.name, settings.sampling.entity_hops)

    def node_source(
        self, lake: Lake, examples: SplitExamples[EntityExamples], shape: AnswerShape, device: torch.device | None
    ) -> NeighborhoodSource:
        """Neighborhoods of the examples."""
        training, seed = self.settings.training, self.settings.seed
        builder, size, most = self.builder(shape.classes), training.batch_size, training.max_examples
        return NeighborhoodSource(builder, examples.examples, examples.training, size, most, seed)

    def nodes_anywhere(self, shape: AnswerShape) -> NeighborhoodSource:
        """Neighborhoods of any entities."""
        nobody = np.zeros(0, np.int64)
        builder, nothing = self.builder(shape.classes), EntityExamples.unlabelled(nobody, 0)
        return NeighborhoodSource(builder, nothing, nobody, 1, None, self.settings.seed)

    def node_model(
        self, source: NeighborhoodSource, knowledge: NodeKnowledge, training: NDArray[np.int64] | None = None
    ) -> nn.Module:
        """One head over the neighborhood, its inputs scaled by a sample of the training examples."""
        settings = self.settings
        torch.manual_seed(settings.seed)
        manifest, shape, yearly = self.store.manifest, knowledge.shape, knowledge.yearly
        model = build_entity_model(settings, self.query, manifest, source.builder, shape, yearly)
        if training is not None:
            sample = permutation(stream_key(settings.seed, 0, "calibration"), len(training))[:CALIBRATION]
            model.calibrate(source.build(training[sample]))
        return model

    def reads_year(self, anchors: NDArray[np.int32]) -> bool:
        """Where they span a year."""
        return int(anchors.max()) - int(anchors.min()) >= YEAR
