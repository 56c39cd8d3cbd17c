"""A trained model of a node-level task with the baselines that its answers are made of."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches import EntityExamples
from gnnscale.config import Settings
from gnnscale.evaluation.blend.blend import Blend, save_blend
from gnnscale.evaluation.blend.node_blend import NodeBlender
from gnnscale.inference import AnswerModel, score_in_batches
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.store import GraphStore
from gnnscale.training import load_node_model


class BlendedAnswerModel(AnswerModel):
    """Values or classes for entities, from the network and the baselines of its blend.

    Baselines are fitted on the labels of the lake when an answer is first asked for.
    """

    def scores(self, examples: EntityExamples) -> NDArray[np.float32]:
        """Probabilities or values, float32 ``[examples, scores]``."""
        network = super().scores(examples)
        if self.settings.model.blend == "off" or self.blend is None or Blend.from_dict(self.blend).is_network:
            return network
        return self._blender.combine(examples, network, self.latest)

    @cached_property
    def _blender(self) -> NodeBlender:
        assert self.blend is not None
        return NodeBlender(self.settings, self.lake, self.store, self.query, Blend.from_dict(self.blend))


class FittedAnswers:
    """Finds the blend of a trained model, keeps it beside the model, and answers by it.

    Args:
        settings: as the model was trained with; with ``model.blend=off`` the network's answers stay as they are.
        lake: holds labels and model.
        store: of the graph.
        query: bound query of a node-level task.
        latest: anchor of the predictions, epoch seconds.

    Attributes:
        blend: what was found.
    """

    def __init__(self, settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, latest: int) -> None:
        self._off, self._latest = settings.model.blend == "off", latest
        self._blender = NodeBlender(settings, lake, store, query)
        examples = self._blender.validation_examples()
        predictor = load_node_model(settings, lake, store, query=query, held_out=True)
        network = score_in_batches(predictor, examples, settings.embedding.batch_size)
        self.blend = self._blender.fit(examples, network)
        save_blend(lake, settings.query.name, self.blend)

    def __call__(self, examples: EntityExamples, network: NDArray[np.float32], tested: bool) -> NDArray[np.float32]:
        """The answers to some examples; of the test's, every method's are written too.

        Args:
            examples: who is asked about, and when.
            network: its scores, float32 ``[examples, scores]``.
            tested: whether they are the test examples.
        """
        if tested:
            blended = self._blender.write_methods(examples, network)
            return network if self._off else blended
        return network if self._off else self._blender.combine(examples, network, self._latest)
