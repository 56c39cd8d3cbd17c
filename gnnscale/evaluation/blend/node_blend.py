"""The blend of a node-level task: fitted on the validation examples, applied to any others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import EntityExamples, known_past, read_answer_shape, read_entity_examples
from gnnscale.config import Settings
from gnnscale.evaluation.baselines.fitted_baselines import FittedBaselines
from gnnscale.evaluation.blend.blend import Blend, Member
from gnnscale.evaluation.blend.node_space import Scores, blend_scores, calibrate, has_answer, losses, to_space
from gnnscale.evaluation.blend.weights import Weights, search_weights
from gnnscale.evaluation.comparison import BLEND, NETWORK
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split, TaskSpec
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

MOST_CELLS: Final = 4_000_000
"""Scores of one method that weights are searched by; of more, a sample of the examples that the seed decides."""

MOST_ROWS: Final = 20_000
"""Examples that weights are searched by."""

METHODS: Final = "methods_{query}"
"""Table of what every method says of the test examples."""


class NodeBlender:
    """Network and baselines of one query.

    Args:
        settings: names the query; the seed counts.
        lake: holds the labels.
        store: the graph.
        query: bound query of a node-level task.
        blend: of the model; None where it is still to be fitted, for which all baselines are.

    Raises:
        LakeError: there are no labels.
    """

    def __init__(
        self, settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, blend: Blend | None = None
    ) -> None:
        self.settings, self.lake, self.store, self.query = settings, lake, store, query
        self.task: TaskSpec = read_answer_shape(lake, settings.query.name).task
        self.origin = store.manifest.origin
        self.blend = blend
        names = None if blend is None else blend.baselines
        self.baselines = FittedBaselines(settings, lake, store, query, names)
        self._without_past: FittedBaselines | None = None

    def validation_examples(self) -> EntityExamples:
        """Those that weights are searched by: their answers are known."""
        found = read_entity_examples(self.lake, self.settings.query.name, Split.VALIDATION, self.origin)
        rows = np.flatnonzero(has_answer(self.task, found.values))
        most = max(1, min(MOST_ROWS, MOST_CELLS // max(1, self.baselines.shape.scores)))
        if len(rows) > most:
            key = stream_key(self.settings.seed, 0, "blend/examples")
            rows = np.sort(rows[permutation(key, len(rows))[:most]])
        return found.take(rows)

    def fit(self, examples: EntityExamples, network: Scores) -> Blend:
        """Find the weights.

        Args:
            examples: from :meth:`validation_examples`.
            network: its scores of them, float32 ``[examples, scores]``.
        """
        scores = {**self.baselines.predict(examples), NETWORK: network}
        self.blend = fit_blend(self.task, scores, examples.values, examples.entities)
        log.info("blend by %s examples of validation: %s", f"{len(examples):,}", self.blend.in_words())
        return self.blend

    def combine(self, examples: EntityExamples, network: Scores, latest: int) -> Scores:
        """Scores of the blend for examples without labels, all of one anchor but where each has its own time.

        Args:
            examples: who is asked about, and when.
            network: its scores, float32 ``[examples, scores]``.
            latest: anchor of the predictions, epoch seconds.

        Returns:
            float32 ``[examples, scores]``.
        """
        assert self.blend is not None
        if self.blend.is_network or not len(examples):
            return network
        shape, anchor = self.baselines.shape, int(examples.anchors[0]) + self.origin
        past = known_past(self.lake, self.settings.query.name, shape, examples.entities, anchor, latest)
        if past is None:
            # What is not known when they are asked, they must not have learned from.
            if self._without_past is None:
                self._without_past = FittedBaselines(
                    self.settings, self.lake, self.store, self.query, self.blend.baselines, past=False
                )
            said = self._without_past.predict(examples)
        else:
            said = self.baselines.predict(replace(examples, past=past))
        return blend_scores(self.task, self.blend.members, {**said, NETWORK: network})

    def write_methods(self, examples: EntityExamples, network: Scores) -> Scores:
        """Keep what every method says of the test examples, so that no baseline has to be fitted again.

        Returns:
            Scores of the blend.
        """
        assert self.blend is not None
        scores = {**self.baselines.predict(examples), NETWORK: network}
        scores[BLEND] = blend_scores(self.task, self.blend.members, scores)
        name = METHODS.format(query=self.settings.query.name)
        table = methods_table(examples, scores, self.origin)
        self.lake.write(name, table, metadata={"query": self.settings.query.name})
        return scores[BLEND]


def fit_blend(task: TaskSpec, scores: Mapping[str, Scores], values: Scores, entities: NDArray[np.int64]) -> Blend:
    """The weights of methods by what they said of examples whose answers are known.

    Args:
        task: a node-level task.
        scores: name of each method -> float32 ``[N, V]``; of equally good ones the first is taken.
        values: what came true, float32 ``[N, W]``.
        entities: of each example, int64 ``[N]``.
    """
    names = list(scores)
    spaced = np.stack([to_space(task, scores[name]) for name in names])  # [methods, N, V]
    tuned = [(1.0, 0.0)] * len(names)
    if task.answer == "truth":
        tuned = [calibrate(logits, values) for logits in spaced]
        spaced = spaced * np.array([scale for scale, _ in tuned])[:, None, None]
        spaced += np.array([shift for _, shift in tuned])[:, None, None]

    def loss_of(weights: Weights) -> NDArray[np.float64]:
        used = np.flatnonzero(weights)
        return losses(task, np.tensordot(weights[used], spaced[used], axes=1), values)

    metric = "mean absolute error" if task.predicts_values else "log loss"
    if not len(values):
        return Blend((Member(NETWORK, 1.0),), metric)
    found = search_weights(loss_of, len(names), entities)
    figures = {name: float(loss) for name, loss in zip(names, found.single, strict=True)} | {BLEND: found.loss}
    members = [
        Member(name, float(weight), *pair)
        for name, weight, pair in zip(names, found.weights, tuned, strict=True)
        if weight > 0
    ]
    members.sort(key=lambda member: -member.weight)
    return Blend(tuple(members), metric, figures, len(values), len(np.unique(entities)))


def methods_table(examples: EntityExamples, scores: Mapping[str, Scores], origin: int) -> pa.Table:
    """What methods say as rows: ``method``, ``entity`` (node id), ``anchor_time`` (epoch seconds) and ``scores``."""
    parts = []
    for name, found in scores.items():
        indptr = np.arange(len(found) + 1, dtype=np.int64) * found.shape[1]
        lists = pa.LargeListArray.from_arrays(pa.array(indptr), pa.array(found.astype(np.float32).ravel()))
        columns = {
            "method": pa.array([name] * len(found), pa.string()),
            "entity": pa.array(examples.entities),
            "anchor_time": pa.array(examples.anchors.astype(np.int64) + origin),
            "scores": lists.cast(pa.list_(pa.float32())),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def read_methods(lake: Lake, query: str, examples: EntityExamples, origin: int) -> dict[str, Scores] | None:
    """What every method said of the test examples.

    Args:
        lake: holds ``methods_<query>``.
        query: name of the query.
        examples: of the test.
        origin: of the graph, epoch seconds.

    Returns:
        Name -> float32 ``[examples, scores]``; None where the table is missing or of other examples.
    """
    if not lake.exists(METHODS.format(query=query)):
        return None
    rows = lake.read(METHODS.format(query=query)).combine_chunks()
    names = rows["method"].to_numpy(zero_copy_only=False)
    entity, anchor = rows["entity"].to_numpy(), rows["anchor_time"].to_numpy()
    lists = rows["scores"].combine_chunks()
    lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
    whole = Ragged(lists.offsets.to_numpy(), lists.values.to_numpy(), checked=False)
    order = np.lexsort((examples.entities, examples.anchors))
    found: dict[str, Scores] = {}
    # A table has no order of its own.
    for name in sorted(set(names)):
        own = np.flatnonzero(names == name)
        own = own[np.lexsort((entity[own], anchor[own]))]
        same = len(own) == len(examples) and np.array_equal(entity[own], examples.entities[order])
        if not same or not np.array_equal(anchor[own] - origin, examples.anchors[order]):
            return None
        scores = whole.take(own).values.reshape(len(own), -1)
        found[str(name)] = np.empty_like(scores)
        found[str(name)][order] = scores
    return found
