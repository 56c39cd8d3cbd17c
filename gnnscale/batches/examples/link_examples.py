"""Labelled examples of a query: who, asked when, and what came true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.lake import Lake
from gnnscale.query import DAY, PART, Split


@dataclass(frozen=True)
class Examples:
    """Examples in order of (anchor, entity).

    Args:
        entities: node ids, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``.
        indptr: int64 ``[examples + 1]``; targets of example i are ``targets[indptr[i] : indptr[i + 1]]``.
        targets: node ids, int64, ascending within an example.
    """

    entities: NDArray[np.int64]
    anchors: NDArray[np.int32]
    indptr: NDArray[np.int64]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.entities)

    @property
    def truth(self) -> Ragged:
        """Targets of each example, a row for each."""
        return Ragged(self.indptr, self.targets, checked=False)

    @classmethod
    def unlabelled(cls, entities: NDArray[np.int64], anchors: NDArray[np.int32] | int) -> Examples:
        """Examples without targets, to predict for; at one anchor, or at one each."""
        each = np.full(len(entities), anchors, np.int32)
        return cls(entities, each, np.zeros(len(entities) + 1, np.int64), np.zeros(0, np.int64))

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """The examples of these row numbers, in their order."""
        truth = self.truth.take(rows)
        return Examples(self.entities[rows], self.anchors[rows], truth.indptr, truth.values)


def read_examples(lake: Lake, query: str, split: Split, origin: int) -> Examples:
    """Read one split of ``labels_<query>``.

    Args:
        lake: where the label stage wrote.
        query: name of the query.
        split: which examples.
        origin: of the graph, in epoch seconds.
    """
    return examples_of(read_labels(lake, query, split), origin)


def read_labels(lake: Lake, query: str, split: Split | None = None) -> pa.Table:
    """``labels_<query>`` in order of (anchor or part, entity): of one split, or of all."""
    table = lake.read(f"labels_{query}")
    if split is not None:
        table = table.filter(pc.equal(table["split"], str(split)))
    time = PART if PART in table.column_names else "anchor_time"
    return table.sort_by([(time, "ascending"), ("entity", "ascending")])


def examples_of(table: pa.Table, origin: int) -> Examples:
    """Rows of the label stage as examples, in their order.

    Args:
        table: with ``entity``, ``targets`` and ``anchor_time``; ``part`` instead where events without times are asked
            for part by part.
        origin: of the graph, in epoch seconds.
    """
    table = table.combine_chunks()
    targets = table["targets"].combine_chunks()
    if isinstance(targets, pa.ChunkedArray):
        targets = pa.concat_arrays(targets.chunks) if targets.num_chunks else pa.array([], targets.type)
    counts = pc.fill_null(pc.list_value_length(targets), 0).to_numpy(zero_copy_only=False)
    if PART in table.column_names:
        anchors = table[PART].to_numpy().astype(np.int64) * DAY
    else:
        anchors = table["anchor_time"].to_numpy() - origin
    return Examples(
        table["entity"].to_numpy().astype(np.int64),
        anchors.astype(np.int32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        targets.flatten().to_numpy(zero_copy_only=False).astype(np.int64),
    )
