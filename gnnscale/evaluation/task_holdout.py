"""The holdout of an entity task against truth, with baselines learned from the same training examples."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.batches import AnswerShape, EntityExamples, read_answer_shape, read_entity_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.boosted_trees import BoostedTrees
from gnnscale.evaluation.baselines.class_features import ClassPath, class_features
from gnnscale.evaluation.baselines.count_features import CountFeatures
from gnnscale.evaluation.baselines.task_baselines import BaselineInputs, TaskBaseline, simple_baselines
from gnnscale.evaluation.task_comparison import MethodScores, TaskComparison, compare_task
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import FORECASTING, MULTILABEL_CLASSIFICATION, Aggregate, PredictiveQuery, Split
from gnnscale.sampling import permutation, stream_key
from gnnscale.schema import DataError
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""Training examples that baselines learn from; of more, a sample that the seed decides."""


@dataclass(frozen=True, eq=False)
class TaskHoldout:
    """What the evaluation found.

    Args:
        comparison: every method's metrics with intervals.
        shape: of the answers.
        examples: of each split.
        scores: of the model for the test examples, float32 ``[examples, scores]``.
    """

    comparison: TaskComparison
    shape: AnswerShape
    examples: dict[Split, EntityExamples]
    scores: NDArray[np.float32]


def evaluate_task_holdout(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery) -> TaskHoldout:
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
    baselines: dict[str, TaskBaseline] = {**simple_baselines(shape.task, len(shape.classes))}
    inputs = _Inputs(store, query, shape)
    if inputs.suits_trees:
        baselines["boosted_trees"] = BoostedTrees(shape.task, len(shape.classes), settings.seed)
    training = _sample(examples[Split.TRAIN], settings.seed)
    learned = inputs.of(training)
    judged = (inputs.of(examples[Split.VALIDATION]), examples[Split.VALIDATION].values)
    asked = inputs.of(test)
    methods = [MethodScores("model", scores)]
    for title, baseline in baselines.items():
        log.debug("baseline %s", title)
        methods.append(MethodScores(title, baseline.fit(learned, training.values, judged).predict(asked)))
    comparison = compare_task(
        shape.task,
        methods,
        test.values,
        test.entities,
        resamples=settings.evaluation.resamples,
        seed=settings.seed,
    )
    return TaskHoldout(comparison, shape, examples, scores)


def read_scores(
    lake: Lake, name: str, query: PredictiveQuery, shape: AnswerShape, test: EntityExamples
) -> NDArray[np.float32]:
    """The model's answers to the test examples, as the holdout table has them.

    Returns:
        float32 ``[examples, scores]``; classes past the query's TOP have no probability.

    Raises:
        DataError: an example has no answer.
    """
    rows = lake.read(f"holdout_{name}")
    keys = read_keys(lake, query.entity.name)
    entity = pc.index_in(rows["entity"], value_set=keys).to_numpy().astype(np.int64)
    place = np.full(len(keys), -1, np.int64)
    place[test.entities] = np.arange(len(test))
    example = place[entity]
    scores = np.full((len(test), shape.scores), 0.0 if shape.classes else np.nan, np.float32)
    column: NDArray[np.int64] = np.zeros(len(rows), np.int64)
    if shape.classes:
        column = pc.index_in(rows["target"], value_set=pa.array(shape.classes, pa.string())).to_numpy().astype(np.int64)
    elif shape.task is FORECASTING:
        column = rows["frame"].to_numpy().astype(np.int64) - 1
    values = rows["score" if "score" in rows.column_names else "value"].to_numpy()
    known = example >= 0
    scores[example[known], column[known]] = values[known]
    answered = np.zeros(len(test), bool)
    answered[example[known]] = True
    if not answered.all():
        raise DataError(f"holdout_{name} lacks {int((~answered).sum()):,} of {len(test):,} test examples")
    return scores


class _Inputs:
    """What baselines may know of examples: their past, counts of their events, and of each class among them."""

    def __init__(self, store: GraphStore, query: PredictiveQuery, shape: AnswerShape) -> None:
        self.store, self.shape = store, shape
        self.counts = CountFeatures(store, query.entity.name, query.hidden_columns, query.hidden_tables)
        self.path = _class_path(store, query) if shape.classes else None
        # For several classes at once, trees learn from pairs of example and class.
        self.suits_trees = shape.task is not MULTILABEL_CLASSIFICATION or self.path is not None

    def of(self, examples: EntityExamples) -> BaselineInputs:
        features = self.counts.compute(examples.entities, examples.anchors)
        pairs = None
        if self.path is not None:
            pairs = class_features(self.store, self.path, self.shape.classes, examples.entities, examples.anchors)
        return BaselineInputs(examples.past, features, pairs)


def _class_path(store: GraphStore, query: PredictiveQuery) -> ClassPath | None:
    target = query.expression
    if not isinstance(target, Aggregate) or target.column is None:
        return None
    known = [f.column for f in store.manifest.table(target.column.table).categorical]
    if target.column.name not in known:
        return None
    return ClassPath(target.link, target.column.name, target.column.via)


def _sample(examples: EntityExamples, seed: int) -> EntityExamples:
    if len(examples) <= MOST_ROWS:
        return examples
    return examples.take(np.sort(permutation(stream_key(seed, 0, "baselines"), len(examples))[:MOST_ROWS]))
