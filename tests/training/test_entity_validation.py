"""Validation figures against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.batches import AnswerShape
from gnnscale.query import BINARY_CLASSIFICATION, FORECASTING, MULTICLASS_CLASSIFICATION, MULTILABEL_CLASSIFICATION
from gnnscale.training.entity_validation import kept_metric, measure

NAN = np.nan


def floats(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_binary() -> None:
    shape = AnswerShape(BINARY_CLASSIFICATION)
    # Three of the four pairs of a true and a false one are in order; the unknown one is left out.
    found = measure(shape, floats([[0.9], [0.4], [0.5], [0.1], [0.9]]), floats([[1], [1], [0], [0], [NAN]]), None)
    assert found["auroc"] == pytest.approx(0.75)
    # One class alone can't be told apart, as in the evaluation.
    assert np.isnan(measure(shape, floats([[0.9]]), floats([[1]]), None)["auroc"])


def test_values_leave_unknown_ones_out() -> None:
    shape = AnswerShape(FORECASTING, frames=2)
    found = measure(shape, floats([[1, 2], [3, 5]]), floats([[0, NAN], [3, 1]]), None)
    assert found["mae"] == pytest.approx((1 + 0 + 4) / 3)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 0 + 16) / 3))
    assert not kept_metric(shape, None).maximize


def test_classes_that_training_lacks_are_wrong() -> None:
    shape = AnswerShape(MULTICLASS_CLASSIFICATION, ("a", "b", "c"))
    scores = floats([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [1, 0, 0]])
    found = measure(shape, scores, floats([[0], [2], [-1]]), None)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["log_loss"] == pytest.approx(-(np.log(0.7) + np.log(0.4)) / 2, rel=1e-4)


def test_multilabel_ranks_the_classes() -> None:
    shape = AnswerShape(MULTILABEL_CLASSIFICATION, ("a", "b", "c"))
    scores = floats([[0.9, 0.8, 0.1], [0.2, 0.9, 0.5], [0.1, 0.2, 0.3]])
    values = floats([[1, 0, 1], [1, 0, 1], [0, 0, 0]])
    # First: hit, miss = 1 / 2. Second: miss, hit = (1 / 2) / 2. Third has no class.
    found = measure(shape, scores, values, 2)
    assert found["map@2"] == pytest.approx((0.5 + 0.25) / 2)
    # Of a, both true ones are above the false one; of c, one of the two is.
    assert found["auroc"] == pytest.approx((1 + 0.5) / 2)
    assert kept_metric(shape, 2).metric == "map@2" and kept_metric(shape, None).metric == "map@3"
