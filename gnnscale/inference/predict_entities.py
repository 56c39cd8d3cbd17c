"""Predictions of node-level tasks: each entity's value, class or classes, as Delta tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.batches import EntityExamples, asked_examples, read_entity_examples
from gnnscale.config import Settings
from gnnscale.inference.embedding_rows import TIMESTAMP
from gnnscale.inference.population import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split
from gnnscale.schema import DataError
from gnnscale.store import GraphStore
from gnnscale.training import NodePredictor, load_node_model

log = logging.getLogger(__name__)

JUDGED = 20_000_000
"""Rows of a holdout up to which it has every class of every example."""

Answer = Callable[[EntityExamples, NDArray[np.float32], bool], NDArray[np.float32]]
"""The answers to some examples, float32 ``[examples, scores]``, from what the network says of them; the last argument
tells whether they are the test examples."""


def predict(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    latest: int,
    nodes: NDArray[np.int64] | None = None,
    device: torch.device | None = None,
    advance: Callable[[int], None] = lambda rows: None,
    query: PredictiveQuery | None = None,
    answer: Answer = lambda examples, scores, tested: scores,
) -> dict[str, int]:
    """Write ``predictions_<query>`` at the latest anchor and ``holdout_<query>`` for the labelled test examples.

    Columns are entity (key of its table), anchor_time, and by task: score, a probability; value; frame (from 1) and
    value; or target (a class), rank (from 1) and score. Predictions have the classes that the query asks for, and the
    holdout has all of them, as far as :data:`JUDGED` rows go: who judges it needs the probabilities of the others, too.

    Args:
        settings: names the query; ``embedding.batch_size`` entities are scored at once.
        lake: holds the graph, the labels and the model.
        store: of the graph.
        latest: anchor of the predictions, epoch seconds; where entities are asked about at their own times, of those
            without one.
        nodes: node ids of the entities to predict for; default: all. Those that are not there at the anchor are left
            out.
        device: for the model; default: the CPU.
        advance: called with the number of entities that are done.
        query: bound query; default: the configuration's.
        answer: what is said; default: what the network says.

    Returns:
        Table -> entities in it.

    Raises:
        LakeError: there is no model or no labels, or the model does not fit.
    """
    name, origin = settings.query.name, store.manifest.origin
    predictor = load_node_model(settings, lake, store, device, query=query)
    entity, top = predictor.query.entity.name, predictor.query.top
    nodes = np.arange(store.node_count(entity)) if nodes is None else np.asarray(nodes, np.int64)
    wanted = {
        f"holdout_{name}": read_entity_examples(lake, name, Split.TEST, origin),
        f"predictions_{name}": asked_examples(store, predictor.query, nodes, latest - origin),
    }
    keys = read_keys(lake, entity)
    tables = {}
    for table, examples in wanted.items():
        scores = score_in_batches(predictor, examples, settings.embedding.batch_size, advance)
        tested = table.startswith("holdout_")
        found = answer(examples, scores, tested)
        most = judged_classes(len(examples), top) if tested else top
        tables[table] = answer_table(predictor, examples, found, keys, origin, most)
    for table, rows in tables.items():
        lake.write(table, rows, metadata={"query": name})
        log.info("%s: %s rows", table, f"{rows.num_rows:,}")
    return {table: len(examples) for table, examples in wanted.items()}


def judged_classes(examples: int, top: int | None) -> int | None:
    """Classes of an example that it is judged by: more than the query asks for where memory allows; None for all."""
    return top if top is None else max(top, JUDGED // max(1, examples))


def answer_table(
    predictor: NodePredictor,
    examples: EntityExamples,
    scores: NDArray[np.float32],
    keys: pa.Array,
    origin: int,
    top: int | None,
) -> pa.Table:
    """Predictions as rows; layouts as in :func:`predict`.

    Args:
        predictor: knows the answers' shape.
        examples: who was asked about, and when.
        scores: ``[examples, scores]``.
        keys: of the entities' table in order of node id.
        origin: of the graph, in epoch seconds.
        top: classes an example; default: all.
    """
    shape = predictor.knowledge.shape
    count, width = scores.shape
    if shape.task.predicts_classes:
        width = min(top or width, width)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :width]
        answer = {
            "target": pa.array(shape.classes, pa.large_string()).take(pa.array(order.ravel())),
            "rank": pa.array(np.tile(np.arange(1, width + 1, dtype=np.int32), count)),
            "score": pa.array(np.take_along_axis(scores, order, axis=1).ravel()),
        }
    elif shape.task.answer == "values":
        frames = np.tile(np.arange(1, width + 1, dtype=np.int32), count)
        answer = {"frame": pa.array(frames), "value": pa.array(scores.ravel())}
    else:
        (column,) = shape.task.columns
        answer = {column: pa.array(scores[:, 0])}
    if pa.types.is_string(keys.type):
        # Texts of all rows together may take more than 32 bits count.
        keys = keys.cast(pa.large_string())
    times = [datetime.fromtimestamp(int(a) + origin, UTC) for a in examples.anchors]
    row = pa.array(np.repeat(np.arange(count), width))
    return pa.table(
        {
            "entity": keys.take(pa.array(np.repeat(examples.entities, width))),
            **answer,
            "anchor_time": pa.array(times, TIMESTAMP).take(row),
        }
    )


def score_in_batches(
    predictor: NodePredictor,
    examples: EntityExamples,
    size: int,
    advance: Callable[[int], None] = lambda rows: None,
) -> NDArray[np.float32]:
    """Probabilities or values, float32 ``[examples, scores]``.

    Args:
        predictor: the model.
        examples: who is asked about, and when.
        size: examples that are scored at once.
        advance: called with the number of examples that are done.

    Raises:
        DataError: an answer is no finite number.
    """
    parts = [np.zeros((0, predictor.knowledge.shape.scores), np.float32)]
    for start in range(0, len(examples), size):
        rows = np.arange(start, min(len(examples), start + size))
        parts.append(predictor.predict(examples.take(rows)))
        advance(len(rows))
    scores = np.concatenate(parts)
    if not np.isfinite(scores).all():
        count = int((~np.isfinite(scores)).any(axis=1).sum())
        raise DataError(
            f"the model's answers for {count:,} of {len(scores):,} entities are no finite numbers; train it again"
        )
    return scores
