"""The holdout table of a query: what a model said of the test examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.evaluation.comparison import Comparison
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import DataError


@dataclass(frozen=True, eq=False)
class Holdout(ABC):
    """What an evaluation found.

    Args:
        comparison: every method's metrics with intervals.
    """

    comparison: Comparison

    def figures(self) -> dict[str, Any]:
        """What the record of the evaluation holds beside the comparison."""
        return {}

    @property
    @abstractmethod
    def asked(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Node ids and anchors, epoch seconds, of the examples, each int64 ``[examples]``."""

    @property
    def since(self) -> int | None:
        """First anchor of the examples, epoch seconds; None without examples."""
        _, anchors = self.asked
        return int(anchors.min()) if len(anchors) else None

    def has_classes(self, classes: Sequence[str]) -> bool:
        """Whether a model of these classes, in this order, answers as the labels do; of rankings, any."""
        return True

    @abstractmethod
    def judge(self, answers: pa.Table | None, query: PredictiveQuery, lake: Lake) -> Comparison:
        """A model's answers to the same examples against the same truth, alone, in draws that no run's seed decides.

        Args:
            answers: rows as of ``holdout_<query>``; None for those of the model that was evaluated.
            query: bound query.
            lake: holds the keys.

        Raises:
            DataError: an example has no answer.
        """


def match_answers(
    rows: pa.Table,
    lake: Lake,
    query: PredictiveQuery,
    entities: NDArray[np.int64],
    anchors: NDArray[np.int64] | None = None,
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Rows, as of ``holdout_<query>``, that answer the test examples.

    Args:
        rows: of any entities.
        lake: holds the keys.
        query: bound query.
        entities: node ids of the test examples, each once an anchor.
        anchors: epoch seconds of each, int64; None where rows have none, and entities stand once.

    Returns:
        The rows, and the example of each, int64 ``[rows]``.

    Raises:
        DataError: an example has no answer.
    """
    entity = node_ids(rows["entity"], read_keys(lake, query.entity.name))
    if anchors is None:
        asked, given = entities, entity
    else:
        # (anchor, entity) as one number
        times, code = np.unique(anchors, return_inverse=True)
        told = pc.cast(rows["anchor_time"], pa.timestamp("s", "UTC"), safe=False).cast(pa.int64()).to_numpy()
        place = np.searchsorted(times, told).clip(max=max(0, len(times) - 1))
        width = max(int(entities.max(initial=0)), int(entity.max(initial=0))) + 1
        asked = code * width + entities
        there = (entity >= 0) & (times[place] == told) if len(times) else np.zeros(len(entity), np.bool_)
        given = np.where(there, place * width + entity, -1)
    order = np.argsort(asked, kind="stable")
    at = np.searchsorted(asked, given, sorter=order).clip(max=max(0, len(asked) - 1))
    known = (given >= 0) & (asked[order[at]] == given) if len(asked) else np.zeros(len(given), np.bool_)
    example = order[at[known]] if len(asked) else np.zeros(0, np.int64)
    answered = np.zeros(len(entities), np.bool_)
    answered[example] = True
    if not answered.all():
        raise DataError(f"the answers lack {int((~answered).sum()):,} of {len(entities):,} test examples")
    return rows.filter(pa.array(known)), example


def node_ids(column: pa.ChunkedArray, keys: pa.Array) -> NDArray[np.int64]:
    """Node id of each key; -1 for one that there is not."""
    found: NDArray[np.int64] = pc.fill_null(pc.index_in(column, value_set=keys), -1).to_numpy().astype(np.int64)
    return found
