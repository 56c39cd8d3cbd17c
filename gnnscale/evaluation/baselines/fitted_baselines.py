"""The baselines of a node-level task, fitted on the training examples of a query."""

from __future__ import annotations

import logging
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches import AnswerShape, EntityExamples, read_answer_shape, read_entity_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import BaselineInputs, TaskBaseline, node_baselines
from gnnscale.features import ClassFeatures, EntityFeatures
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""Training examples that baselines learn from, and validation examples that tell when trees stop and what fits best; of
more, a sample that the seed decides."""

BLOCK = 65_536
"""Examples whose features are held at once."""


class FittedBaselines:
    """Baselines of one query over one graph.

    Args:
        settings: names the query; the seed counts.
        lake: holds the labels.
        store: the graph.
        query: bound query of a node-level task.
        names: of the baselines; default: all of the task, but those that go by the past where no example tells it.
        past: whether they see what was true over the window that ends at the anchor, where that is known.

    Raises:
        LakeError: there are no labels.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        store: GraphStore,
        query: PredictiveQuery,
        names: Collection[str] | None = None,
        past: bool = True,
    ) -> None:
        name, origin = settings.query.name, store.manifest.origin
        self.shape = read_answer_shape(lake, name)
        self._inputs = _Inputs(settings, lake, store, query, self.shape, past)
        pairs = self._inputs.classes is not None
        self.baselines: dict[str, TaskBaseline] = {}
        if names is not None and not names:
            return
        training, judges = (
            read_entity_examples(lake, name, split, origin) for split in (Split.TRAIN, Split.VALIDATION)
        )
        tells = names is not None or any(not np.isnan(part.past).all() for part in (training, judges))
        earlier = self._inputs.entity.tells_answers
        found = node_baselines(self.shape.task, len(self.shape.classes), settings.seed, pairs, tells, earlier)
        self.baselines = {n: b for n, b in found.items() if names is None or n in names}
        training, judges = (_sample(examples, settings.seed) for examples in (training, judges))
        learned, judged = self._inputs.of(training), (self._inputs.of(judges), judges.values)
        for title, baseline in self.baselines.items():
            log.debug("baseline %s", title)
            self.baselines[title] = baseline.fit(learned, training.values, judged)

    def predict(self, examples: EntityExamples) -> dict[str, NDArray[np.float32]]:
        """Name of each baseline -> its scores, float32 ``[examples, scores]`` in the layout of the task."""
        width = self.shape.scores
        found = {name: np.zeros((len(examples), width), np.float32) for name in self.baselines}
        for start in range(0, len(examples) if found else 0, BLOCK):
            rows = np.arange(start, min(len(examples), start + BLOCK))
            inputs = self._inputs.of(examples.take(rows))
            for name, baseline in self.baselines.items():
                found[name][rows] = baseline.predict(inputs)
        return found


class _Inputs:
    """What baselines may know of examples: their past, features of the entity, and of each class among its events."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        store: GraphStore,
        query: PredictiveQuery,
        shape: AnswerShape,
        past: bool,
    ) -> None:
        self.labels, self.past = shape.labels, past
        self.entity = EntityFeatures.of_query(lake, settings.query.name, store, query, settings.sampling.threads)
        self.classes = ClassFeatures.find(store, query, shape.classes) if shape.classes else None

    def of(self, examples: EntityExamples) -> BaselineInputs:
        features = self.entity.compute(examples.entities, examples.anchors)
        pairs = None if self.classes is None else self.classes.compute(examples.entities, examples.anchors)
        past = examples.past
        if not self.past or past.shape[1] != self.labels:
            past = np.full((len(examples), self.labels), np.nan, np.float32)
        earlier = self.entity.known_answers(examples.entities, examples.anchors, features)
        return BaselineInputs(past, features, pairs, earlier)


def _sample(examples: EntityExamples, seed: int) -> EntityExamples:
    if len(examples) <= MOST_ROWS:
        return examples
    return examples.take(np.sort(permutation(stream_key(seed, 0, "baselines"), len(examples))[:MOST_ROWS]))
