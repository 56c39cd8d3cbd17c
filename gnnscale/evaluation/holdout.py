"""The holdout table of a query: what a model said of the test examples."""

from __future__ import annotations

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
class Holdout:
    """What an evaluation found.

    Args:
        comparison: every method's metrics with intervals.
    """

    comparison: Comparison

    def figures(self) -> dict[str, Any]:
        """What the record of the evaluation holds beside the comparison."""
        return {}


def read_answers(
    lake: Lake, name: str, query: PredictiveQuery, entities: NDArray[np.int64]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Rows of ``holdout_<query>`` that answer the test examples.

    Args:
        lake: holds the table.
        name: of the query.
        query: bound query.
        entities: node ids of the test examples, each once.

    Returns:
        The rows, and the example of each, int64 ``[rows]``.

    Raises:
        LakeError: there is no such table.
        DataError: an example has no answer.
    """
    rows = lake.read(f"holdout_{name}")
    keys = read_keys(lake, query.entity.name)
    entity = node_ids(rows["entity"], keys)
    place = np.full(len(keys), -1, np.int64)
    place[entities] = np.arange(len(entities))
    example = np.where(entity >= 0, place[entity], -1)
    known = example >= 0
    answered = np.zeros(len(entities), np.bool_)
    answered[example[known]] = True
    if not answered.all():
        raise DataError(f"holdout_{name} lacks {int((~answered).sum()):,} of {len(entities):,} test examples")
    return rows.filter(pa.array(known)), example[known]


def node_ids(column: pa.ChunkedArray, keys: pa.Array) -> NDArray[np.int64]:
    """Node id of each key; -1 for one that there is not."""
    found: NDArray[np.int64] = pc.fill_null(pc.index_in(column, value_set=keys), -1).to_numpy().astype(np.int64)
    return found
