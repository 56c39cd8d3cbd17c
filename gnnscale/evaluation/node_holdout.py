"""The holdout of a node-level task against truth, with baselines learned from the same training examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.batches import AnswerShape, EntityExamples, read_answer_shape, read_entity_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.baseline import find_baselines
from gnnscale.evaluation.baselines.fitted_baselines import FittedBaselines
from gnnscale.evaluation.blend.node_blend import read_methods
from gnnscale.evaluation.comparison import BLEND, MODEL, NETWORK, Comparison
from gnnscale.evaluation.holdout import Holdout, match_answers, node_ids
from gnnscale.evaluation.score_comparison import MethodScores, compare_scores
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split
from gnnscale.schema import DataError
from gnnscale.store import GraphStore


@dataclass(frozen=True, eq=False)
class NodeHoldout(Holdout):
    """What the evaluation of a node-level task found.

    Args:
        shape: of the answers.
        examples: of each split.
        scores: of the model for the test examples, float32 ``[examples, scores]``.
        origin: of the graph, epoch seconds.
    """

    shape: AnswerShape
    examples: dict[Split, EntityExamples]
    scores: NDArray[np.float32]
    origin: int

    @property
    def asked(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Node ids and anchors of the examples."""
        test = self.examples[Split.TEST]
        return test.entities, test.anchors.astype(np.int64) + self.origin

    def has_classes(self, classes: Sequence[str]) -> bool:
        """Whether these are the labels' classes in their order."""
        return list(classes) == list(self.shape.classes)

    def judge(self, answers: pa.Table | None, query: PredictiveQuery, lake: Lake) -> Comparison:
        """A model's scores against the same truth, alone."""
        scores, own, test = self.scores, self.comparison, self.examples[Split.TEST]
        if answers is not None:
            scores = answer_scores(answers, lake, query, self.shape, *self.asked)
        methods, sampled = [MethodScores(MODEL, scores)], (own.level, own.resamples)
        return compare_scores(self.shape.task, methods, test.values, test.entities, MODEL, *sampled, top=query.top)


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
    anchors = test.anchors.astype(np.int64) + origin
    scores = answer_scores(lake.read(f"holdout_{name}"), lake, query, shape, test.entities, anchors)
    said = read_methods(lake, name, test, origin)
    if said is None:
        said = FittedBaselines(settings, lake, store, query).predict(test)
    # What the model is not, of network and blend, stands beside it.
    own = BLEND if settings.model.blend == "off" else NETWORK
    order = [own, *(baseline.name for baseline in find_baselines(shape.task))]
    names = [name for name in order if name in said]
    methods = [MethodScores(MODEL, scores), *(MethodScores(name, said[name]) for name in names)]
    comparison = compare_scores(
        shape.task,
        methods,
        test.values,
        test.entities,
        resamples=settings.evaluation.resamples,
        seed=settings.seed,
        top=query.top,
    )
    return NodeHoldout(comparison, shape, examples, scores, origin)


def answer_scores(
    answers: pa.Table,
    lake: Lake,
    query: PredictiveQuery,
    shape: AnswerShape,
    entities: NDArray[np.int64],
    anchors: NDArray[np.int64],
) -> NDArray[np.float32]:
    """A model's answers to the test examples, as rows of answers have them.

    Returns:
        float32 ``[examples, scores]``; classes that the answers leave out have no probability.

    Raises:
        DataError: an example has no answer, or one names a class that the labels don't have.
    """
    rows, example = match_answers(answers, lake, query, entities, anchors)
    scores = np.full((len(entities), shape.scores), 0.0 if shape.classes else np.nan, np.float32)
    column: NDArray[np.int64] = np.zeros(len(rows), np.int64)
    if "target" in shape.task.columns:
        column = node_ids(rows["target"], pa.array(shape.classes, pa.string()))
        if (column < 0).any():
            raise DataError("the answers name classes that the labels don't have")
    elif "frame" in shape.task.columns:
        column = rows["frame"].to_numpy().astype(np.int64) - 1
    scores[example, column] = rows[shape.task.columns[-1]].to_numpy()
    return scores
