"""Validation figures against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.batches import AnswerShape
from gnnscale.metrics import validate_task
from gnnscale.query import BINARY_CLASSIFICATION, FORECASTING, MULTICLASS_CLASSIFICATION, MULTILABEL_CLASSIFICATION
from gnnscale.training import ModelSelection
from gnnscale.training.objectives.node_validation import selection_of

NAN = np.nan


def floats(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_binary() -> None:
    shape = AnswerShape(BINARY_CLASSIFICATION)
    # Three of the four pairs of a true and a false one are in order; the unknown one is left out.
    found = validate_task(
        shape.task, floats([[0.9], [0.4], [0.5], [0.1], [0.9]]), floats([[1], [1], [0], [0], [NAN]]), None
    )
    assert found["auroc"] == pytest.approx(0.75)
    # One class alone can't be told apart, as in the evaluation.
    assert np.isnan(validate_task(shape.task, floats([[0.9]]), floats([[1]]), None)["auroc"])


def test_values_leave_unknown_ones_out() -> None:
    shape = AnswerShape(FORECASTING, frames=2)
    found = validate_task(shape.task, floats([[1, 2], [3, 5]]), floats([[0, NAN], [3, 1]]), None)
    assert found["mae"] == pytest.approx((1 + 0 + 4) / 3)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 0 + 16) / 3))
    assert not selection_of(shape, None).maximize


def test_classes_that_training_lacks_are_wrong() -> None:
    shape = AnswerShape(MULTICLASS_CLASSIFICATION, ("a", "b", "c"))
    scores = floats([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [1, 0, 0]])
    found = validate_task(shape.task, scores, floats([[0], [2], [-1]]), None)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["log_loss"] == pytest.approx(-(np.log(0.7) + np.log(0.4)) / 2, rel=1e-4)


def test_multilabel_ranks_the_classes() -> None:
    shape = AnswerShape(MULTILABEL_CLASSIFICATION, ("a", "b", "c"))
    scores = floats([[0.9, 0.8, 0.1], [0.2, 0.9, 0.5], [0.1, 0.2, 0.3]])
    values = floats([[1, 0, 1], [1, 0, 1], [0, 0, 0]])
    # First: hit, miss = 1 / 2. Second: miss, hit = (1 / 2) / 2. Third has no class.
    found = validate_task(shape.task, scores, values, 2)
    assert found["map@2"] == pytest.approx((0.5 + 0.25) / 2)
    # Of a, both true ones are above the false one; of c, one of the two is.
    assert found["auroc"] == pytest.approx((1 + 0.5) / 2)
    assert selection_of(shape, 2).metric == "map@2" and selection_of(shape, None).metric == "map@3"


def test_what_is_undefined_never_beats_a_number() -> None:
    for kept in (ModelSelection("auroc"), ModelSelection("mae", maximize=False)):
        number, undefined = {kept.metric: 0.5}, {kept.metric: NAN}
        assert kept.better(number, undefined)
        assert not kept.better(undefined, number) and not kept.better(undefined, undefined)
        assert not kept.better(number, number)
        assert kept.better({kept.metric: 0.6}, number) is kept.maximize
