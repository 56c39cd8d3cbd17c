"""Labelled examples of a node-level task: who, asked when, and the value or classes that came true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.batches.examples.link_examples import read_labels
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split, TaskSpec, find_task
from gnnscale.schema import LakeError
from gnnscale.store import ALWAYS, GraphStore

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AnswerShape:
    """What an answer consists of.

    Args:
        task: kind of question.
        classes: of the training split, most frequent first; empty where answers are values.
        frames: values an answer; 1 but for forecasting.
    """

    task: TaskSpec
    classes: tuple[str, ...] = ()
    frames: int = 1

    @property
    def labels(self) -> int:
        """Columns of the labels."""
        return len(self.classes) if self.task.answer == "classes" else self.frames

    @property
    def scores(self) -> int:
        """Columns of the predictions."""
        return len(self.classes) or self.frames


@dataclass(frozen=True)
class EntityExamples:
    """Examples in order of (anchor, entity).

    Args:
        entities: node ids, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``.
        values: float32 ``[examples, labels]``: 0 or 1, a value, a value a frame, the index of a class (-1 for one that
            the training split does not have), or 0 and 1 for each class. NaN where nothing is known.
        past: the same over the window that ends at the anchor, NaN where unknown.
    """

    entities: NDArray[np.int64]
    anchors: NDArray[np.int32]
    values: Floats
    past: Floats

    def __len__(self) -> int:
        return len(self.entities)

    @classmethod
    def unlabelled(cls, entities: NDArray[np.int64], anchors: NDArray[np.int32] | int) -> EntityExamples:
        """Examples without labels, to predict for; at one anchor, or at one each."""
        nothing = np.zeros((len(entities), 0), np.float32)
        return cls(entities.astype(np.int64), np.full(len(entities), anchors, np.int32), nothing, nothing)

    def take(self, rows: NDArray[np.int64]) -> EntityExamples:
        """The examples of these row numbers, in their order."""
        return EntityExamples(self.entities[rows], self.anchors[rows], self.values[rows], self.past[rows])


def asked_examples(
    store: GraphStore, query: PredictiveQuery, nodes: NDArray[np.int64], anchor: int, there: bool = True
) -> EntityExamples:
    """Entities to predict for, each when the query asks about it.

    Args:
        store: the graph.
        query: bound query.
        nodes: node ids, int64 ``[entities]``.
        anchor: of the predictions, in seconds after the graph's origin. Where a query asks each entity at its own time,
            it is that of entities without one.
        there: whether those that are not there when they are asked about, or came after the anchor, are left out.
    """
    features = store.features(query.entity.name)
    times, anchors = features.times[nodes], np.full(len(nodes), anchor, np.int32)
    if query.asks_at_own_time:
        anchors = np.where((times == ALWAYS) | (times > anchor), anchors, times).astype(np.int32)
    if there:
        kept = features.is_valid_at(nodes, anchors)
        nodes, anchors = nodes[kept], anchors[kept]
    return EntityExamples.unlabelled(nodes, anchors)


def read_answer_shape(lake: Lake, query: str) -> AnswerShape:
    """Read record ``task_<query>``.

    Raises:
        LakeError: the label stage did not run.
    """
    record = lake.read_record(f"task_{query}")
    if record is None:
        raise LakeError(f"lake {lake.uri} holds no labels of query '{query}'; run the labels stage first")
    return AnswerShape(find_task(record["task"]), tuple(record["classes"]), int(record["frames"]))


def read_entity_examples(lake: Lake, query: str, split: Split, origin: int) -> EntityExamples:
    """Read one split of ``labels_<query>``.

    Args:
        lake: where the label stage wrote.
        query: name of the query.
        split: which examples.
        origin: of the graph, in epoch seconds.

    Raises:
        LakeError: the label stage did not run.
    """
    shape = read_answer_shape(lake, query)
    return entity_examples_of(read_labels(lake, query, split), origin, shape)


def known_past(
    lake: Lake, query: str, shape: AnswerShape, entities: NDArray[np.int64], anchor: int, latest: int
) -> Floats | None:
    """What was true of entities over the window that ends at an anchor, as ``EntityExamples.past`` has it.

    Args:
        lake: where the label stage wrote.
        query: name of the query.
        shape: of its answers.
        entities: node ids, int64 ``[entities]``.
        anchor: epoch seconds.
        latest: anchor of the predictions, epoch seconds.

    Returns:
        float32 ``[entities, labels]``, NaN of entities that nothing is known of; None where the label stage has not
        looked at that anchor.
    """
    labels = lake.read(f"labels_{query}", ["entity", "anchor_time", "past"])
    if labels["past"].null_count == len(labels):
        return np.full((len(entities), shape.labels), np.nan, np.float32)
    rows = labels.filter(pc.equal(labels["anchor_time"], anchor))
    if anchor == latest and lake.exists(f"past_{query}"):
        rows = lake.read(f"past_{query}")
    if not rows.num_rows:
        return None
    order = np.argsort(known := rows["entity"].to_numpy())
    values = label_values(rows["past"], shape)
    if shape.task.answer == "values":
        # Of every frame the past is that of the window that ends at the anchor.
        values = np.repeat(values[:, :1], shape.labels, axis=1)
    place = np.searchsorted(known, entities, sorter=order).clip(max=len(known) - 1)
    found = order[place]
    return np.where((known[found] == entities)[:, None], values[found], np.nan).astype(np.float32)


def entity_examples_of(table: pa.Table, origin: int, shape: AnswerShape) -> EntityExamples:
    """Rows of the label stage as examples, in their order.

    Args:
        table: with ``entity``, ``anchor_time``, ``target``, and ``past`` where it is known.
        origin: of the graph, in epoch seconds.
        shape: of the answers.
    """
    past = table["past"] if "past" in table.column_names else pa.nulls(len(table), table.schema.field("target").type)
    return EntityExamples(
        table["entity"].to_numpy().astype(np.int64),
        (table["anchor_time"].to_numpy() - origin).astype(np.int32),
        label_values(table["target"], shape),
        label_values(past, shape),
    )


def label_values(column: pa.ChunkedArray | pa.Array, shape: AnswerShape) -> Floats:
    """A column of answers as the network learns them, float32 ``[rows, labels]``; NaN for null.

    Args:
        column: ``target`` or ``past`` of the label stage.
        shape: of the answers.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if shape.task.answer == "class":
        codes = pc.fill_null(pc.index_in(array, value_set=pa.array(shape.classes, pa.string())), -1)
        values = np.where(_is_null(array), np.nan, codes.to_numpy(zero_copy_only=False))
        return values.astype(np.float32)[:, None]
    if shape.task.answer in ("truth", "value"):
        return array.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
    values = np.zeros((len(array), shape.labels), np.float32)
    counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    row, items = np.repeat(np.arange(len(array)), counts), array.flatten()
    if shape.task.answer == "values":
        # [rows, frames]; a row that is null has no items.
        frame = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        values[row, frame] = items.cast(pa.float64()).to_numpy(zero_copy_only=False)
    else:
        codes = pc.fill_null(pc.index_in(items, value_set=pa.array(shape.classes, pa.string())), -1)
        code = codes.to_numpy(zero_copy_only=False)
        values[row[code >= 0], code[code >= 0]] = 1
    values[_is_null(array)] = np.nan
    return values


def _is_null(array: pa.Array) -> NDArray[np.bool_]:
    null: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return null
