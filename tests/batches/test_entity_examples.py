"""Labels of entity tasks as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.batches import EntityExamples, read_entity_examples
from gnnscale.lake import Lake
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    TaskSpec,
)
from gnnscale.query.anchors import Split
from gnnscale.schema import LakeError
from tests.entity_shop import TYPES

NAN = np.nan
CLASSES = ("b", "a", "c")
CASES: dict[TaskSpec, tuple[list[Any], list[list[float]]]] = {
    BINARY_CLASSIFICATION: ([1.0, 0.0, None], [[1], [0], [NAN]]),
    REGRESSION: ([2.5, -1.0, None], [[2.5], [-1], [NAN]]),
    FORECASTING: ([[1.0, None], [3.0, 4.0], None], [[1, NAN], [3, 4], [NAN, NAN]]),
    MULTICLASS_CLASSIFICATION: (["a", "new", None], [[1], [-1], [NAN]]),
    MULTILABEL_CLASSIFICATION: ([["c", "new", "b"], [], None], [[1, 0, 1], [0, 0, 0], [NAN] * 3]),
}


def write(lake: Lake, task: TaskSpec, targets: list[Any]) -> None:
    rows = {
        "entity": pa.array([7, 5, 6, 1]),
        "anchor_time": pa.array([200, 200, 300, 100]),
        "split": ["train", "train", "train", "test"],
        # In the order of (anchor, entity) the second row comes first.
        "target": pa.array([targets[1], targets[0], targets[2], targets[0]], TYPES[task]),
        "past": pa.array([None, targets[1], targets[0], None], TYPES[task]),
    }
    lake.write("labels_q", pa.table(rows))
    classes = CLASSES if str(task).startswith("multi") else ()
    lake.write_record("task_q", {"task": str(task), "classes": classes, "frames": 2 if task == FORECASTING else 1})


@pytest.mark.parametrize("task", CASES)
def test_targets_become_columns_of_floats(tmp_path: Path, task: TaskSpec) -> None:
    targets, expected = CASES[task]
    lake = Lake(tmp_path)
    write(lake, task, targets)
    examples = read_entity_examples(lake, "q", Split.TRAIN, origin=50)
    assert examples.entities.tolist() == [5, 7, 6]
    assert examples.anchors.tolist() == [150, 150, 250]
    np.testing.assert_array_equal(examples.values, np.array(expected, np.float32))
    np.testing.assert_array_equal(examples.past, np.array([expected[1], expected[2], expected[0]], np.float32))
    assert len(read_entity_examples(lake, "q", Split.TEST, 0)) == 1
    assert read_entity_examples(lake, "q", Split.VALIDATION, 0).values.shape == (0, len(expected[0]))


def test_taking_rows_keeps_their_order() -> None:
    examples = EntityExamples(
        np.arange(3), np.arange(3, dtype=np.int32), np.eye(3, dtype=np.float32), -np.eye(3, dtype=np.float32)
    )
    taken = examples.take(np.array([2, 0]))
    assert (taken.entities == [2, 0]).all() and (taken.anchors == [2, 0]).all()
    assert (taken.values == np.eye(3)[[2, 0]]).all() and (taken.past == -np.eye(3)[[2, 0]]).all()


def test_missing_labels_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="run the labels stage first"):
        read_entity_examples(Lake(tmp_path), "q", Split.TRAIN, 0)
