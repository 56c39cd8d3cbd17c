"""The holdout of a node-level task against truth, with baselines learned from the same training examples."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.batches import AnswerShape, EntityExamples, read_answer_shape, read_entity_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import BaselineInputs, node_baselines
from gnnscale.evaluation.comparison import MODEL
from gnnscale.evaluation.holdout import Holdout, node_ids, read_answers
from gnnscale.evaluation.score_comparison import MethodScores, compare_scores
from gnnscale.features import ClassFeatures, EntityFeatures
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""Training examples that baselines learn from; of more, a sample that the seed decides."""


@dataclass(frozen=True, eq=False)
class NodeHoldout(Holdout):
    """What the evaluation of a node-level task found.

    Args:
        shape: of the answers.
        examples: of each split.
        scores: of the model for the test examples, float32 ``[examples, scores]``.
    """

    shape: AnswerShape
    examples: dict[Split, EntityExamples]
    scores: NDArray[np.float32]


def evaluate_nodes(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery) -> NodeHoldout:
    """Compare ``holdout_<query>`` with what came true and with the baselines.

    Raises:
        LakeError: a table is missing.
        DataError: the holdout table lacks examples.
    """
    name, origin = settings.query.name, store.manifest.origin
    shape = read_answer_shape(lake, name)
    examples = {split: read_entity_examples(lake, name, split, origin) for split in Split}
    test = examples[Split.TEST]
    scores = read_scores(lake, name, query, shape, test)
    inputs = _Inputs(settings, store, query, shape)
    baselines = node_baselines(shape.task, len(shape.classes), settings.seed, pairs=inputs.classes is not None)
    training = _sample(examples[Split.TRAIN], settings.seed)
    learned = inputs.of(training)
    judged = (inputs.of(examples[Split.VALIDATION]), examples[Split.VALIDATION].values)
    asked = inputs.of(test)
    methods = [MethodScores(MODEL, scores)]
    for title, baseline in baselines.items():
        log.debug("baseline %s", title)
        methods.append(MethodScores(title, baseline.fit(learned, training.values, judged).predict(asked)))
    comparison = compare_scores(
        shape.task,
        methods,
        test.values,
        test.entities,
        resamples=settings.evaluation.resamples,
        seed=settings.seed,
    )
    return NodeHoldout(comparison, shape, examples, scores)


def read_scores(
    lake: Lake, name: str, query: PredictiveQuery, shape: AnswerShape, test: EntityExamples
) -> NDArray[np.float32]:
    """The model's answers to the test examples, as the holdout table has them.

    Returns:
        float32 ``[examples, scores]``; classes past the query's TOP have no probability.

    Raises:
        DataError: an example has no answer.
    """
    rows, example = read_answers(lake, name, query, test.entities)
    scores = np.full((len(test), shape.scores), 0.0 if shape.classes else np.nan, np.float32)
    column: NDArray[np.int64] = np.zeros(len(rows), np.int64)
    if "target" in shape.task.columns:
        column = node_ids(rows["target"], pa.array(shape.classes, pa.string()))
    elif "frame" in shape.task.columns:
        column = rows["frame"].to_numpy().astype(np.int64) - 1
    scores[example, column] = rows[shape.task.columns[-1]].to_numpy()
    return scores


class _Inputs:
    """What baselines may know of examples: their past, features of the entity, and of each class among its events."""

    def __init__(self, settings: Settings, store: GraphStore, query: PredictiveQuery, shape: AnswerShape) -> None:
        hidden = query.hidden_columns, query.hidden_tables
        self.entity = EntityFeatures(store, query.entity.name, *hidden, threads=settings.sampling.threads)
        self.classes = ClassFeatures.find(store, query, shape.classes) if shape.classes else None

    def of(self, examples: EntityExamples) -> BaselineInputs:
        features = self.entity.compute(examples.entities, examples.anchors)
        pairs = None if self.classes is None else self.classes.compute(examples.entities, examples.anchors)
        return BaselineInputs(examples.past, features, pairs)


def _sample(examples: EntityExamples, seed: int) -> EntityExamples:
    if len(examples) <= MOST_ROWS:
        return examples
    return examples.take(np.sort(permutation(stream_key(seed, 0, "baselines"), len(examples))[:MOST_ROWS]))
