"""Metrics of entity tasks equal their definitions, worked by hand, and say so where they are undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gnnscale.metrics.class_metrics import class_ranks
from gnnscale.metrics.metric import SMALLEST
from gnnscale.metrics.task_evaluation import (
    evaluate_task,
    headline_metric,
    selection_metric,
    task_metrics,
    validate_task,
)
from gnnscale.query import STATIC_LINK_PREDICTION
from gnnscale.query.task_spec import task_types
from gnnscale.schema import METRICS
from gnnscale.schema.errors import DataError
from tests.node_tasks import NODE_TASKS

BINARY, REGRESSION, FORECASTING, MULTICLASS, MULTILABEL = NODE_TASKS


def test_binary_by_hand():
    # ranked: .9 true, .6 false, .4 true, .4 false, .1 false
    found = evaluate_task(BINARY, [[0.9], [0.4], [0.6], [0.4], [0.1]], [[1], [1], [0], [0], [0]])
    # of 6 (true, false) pairs the true one leads in 3 + 1, and ties in 1
    assert found["auroc"] == pytest.approx((3 + 1 + 0.5) / 6)
    # precision at the first true is 1, at the tie two of four are true
    assert found["auprc"] == pytest.approx((1 + 2 / 4) / 2)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["f1"] == pytest.approx(2 * 1 / (2 + 2))
    probabilities = [0.9, 0.4, 0.4, 0.6, 0.9]
    assert found["log_loss"] == pytest.approx(-np.log(probabilities).mean())


def test_a_half_counts_as_true_and_bold_mistakes_stay_finite():
    found = evaluate_task(BINARY, [[0.5], [1.0]], [[1], [0]])
    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx((math.log(2) - math.log(SMALLEST)) / 2)


def test_regression_by_hand():
    found = evaluate_task(REGRESSION, [[1], [2], [6]], [[1], [4], [1]])
    assert found == pytest.approx({"mae": 7 / 3, "rmse": math.sqrt(29 / 3), "r2": 1 - 29 / 6})


def test_forecasting_by_hand():
    found = evaluate_task(FORECASTING, [[1, 0], [2, 5]], [[1, 2], [4, 5]])
    assert found == pytest.approx({"mae": 1, "rmse": math.sqrt(2), "mae_frame_1": 1, "mae_frame_2": 1})
    assert evaluate_task(FORECASTING, [[3, 0]], [[1, 0]])["mae_frame_1"] == 2


def test_multiclass_by_hand():
    scores = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1], [0.4, 0.3, 0.3]]
    found = evaluate_task(MULTICLASS, scores, [[0], [1], [1], [-1]])
    assert found["accuracy"] == 2 / 4
    # the true class stands at 1, 2, 1; the unseen one nowhere
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 + 0) / 4)
    # class 0: right once, called twice; class 1: right once of two; class 2: called once, never true
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.5, 0.2, 0.6]).mean(), rel=1e-5)


def test_equal_scores_rank_the_more_frequent_class_first():
    assert class_ranks(np.array([[0.2, 0.4, 0.4], [0.2, 0.4, 0.4]]), np.array([2, 1])).tolist() == [2, 1]


def test_multilabel_by_hand():
    scores = [[0.9, 0.6, 0.1], [0.2, 0.7, 0.4]]
    found = evaluate_task(MULTILABEL, scores, [[1, 0, 1], [0, 1, 0]])
    # row 1: hits at ranks 1 and 3; row 2: at rank 1
    assert found["map@3"] == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert found["recall@3"] == 1
    assert found["ndcg@3"] == pytest.approx(((1 + 1 / 2) / (1 + 1 / math.log2(3)) + 1) / 2)
    # class 0 and 1 are ordered right, class 2 is not
    assert found["auroc"] == pytest.approx((1 + 1 + 0) / 3)
    # three calls, two of them right, three true
    assert found["micro_f1"] == pytest.approx(2 * 2 / 6)
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_short_lists_cut_the_recall():
    values = np.zeros((1, 12))
    values[0, [0, 6, 11]] = 1
    found = evaluate_task(MULTILABEL, -np.arange(12)[None] / 12 + 1, values)
    assert (found["recall@5"], found["recall@10"]) == (1 / 3, 2 / 3)


def test_what_one_outcome_leaves_undefined():
    one_sided = evaluate_task(BINARY, [[0.2], [0.7]], [[0], [0]])
    assert math.isnan(one_sided["auroc"]) and math.isnan(one_sided["auprc"])
    assert one_sided["accuracy"] == 0.5
    assert math.isnan(evaluate_task(BINARY, [[0.2]], [[0]])["f1"])
    assert math.isnan(evaluate_task(REGRESSION, [[1], [2]], [[3], [3]])["r2"])
    unseen = evaluate_task(MULTICLASS, [[0.5, 0.5]], [[-1]])
    assert math.isnan(unseen["log_loss"]) and unseen["accuracy"] == unseen["mrr"] == 0
    nothing = evaluate_task(MULTILABEL, [[0.1, 0.2]], [[0, 0]])
    assert all(math.isnan(value) for value in nothing.values())


@pytest.mark.parametrize("task", NODE_TASKS)
def test_no_examples_leave_everything_undefined(task):
    width = 1 if task in (BINARY, REGRESSION) else 3
    found = evaluate_task(task, np.zeros((0, width)), np.zeros((0, 1 if task is MULTICLASS else width)))
    assert list(found) == [metric.name for metric in task_metrics(task, width)]
    assert all(math.isnan(value) for value in found.values())


def test_headlines_and_directions():
    names = [headline_metric(task, 4).name for task in NODE_TASKS]
    assert names == ["auroc", "mae", "mae", "accuracy", "map@4"]
    lower = {m.name for task in NODE_TASKS for m in task_metrics(task, 2) if not m.higher_is_better}
    assert lower == {"log_loss", "mae", "rmse", "mae_frame_1", "mae_frame_2"}
    lengths = [
        tuple(int(m.name.partition("@")[2]) for m in task_metrics(MULTILABEL, classes) if m.name.startswith("map@"))
        for classes in (30, 7, 5, 3)
    ]
    assert lengths == [(10, 5), (7, 5), (5,), (3,)]


def test_faults_are_named():
    with pytest.raises(DataError, match="don't fit values"):
        evaluate_task(BINARY, [[0.1, 0.9]], [[1]])
    with pytest.raises(DataError, match=r"probabilities must be in 0 .. 1: got -2 .. 3"):
        evaluate_task(MULTILABEL, [[-2, 3]], [[0, 1]])
    with pytest.raises(DataError, match="must be finite"):
        evaluate_task(REGRESSION, [[math.nan]], [[1]])
    with pytest.raises(DataError, match="static link prediction"):
        evaluate_task(STATIC_LINK_PREDICTION, [[1]], [[1]])


def test_every_metric_of_ours_is_one_that_a_task_type_is_judged_by():
    named = {name.partition("@")[0] for task in task_types() for name in task.metrics}
    assert named == set(METRICS.names())


@pytest.mark.parametrize("task", NODE_TASKS)
def test_validation_takes_the_formulas_of_the_evaluation(task):
    rng = np.random.default_rng(0)
    width = 1 if task in (BINARY, REGRESSION) else 12
    scores = rng.random((50, width)) / width
    values = rng.integers(0, 2, (50, 1 if task is MULTICLASS else width)).astype(float)
    found, whole = validate_task(task, scores, values), evaluate_task(task, scores, values)
    assert found == {name: whole[name] for name in found} and len(found) == len(task.validation)
    assert next(iter(found)) == selection_metric(task, width).name
    # What is not known counts nothing, and what is no number is undefined.
    more = np.concatenate([values, np.full_like(values[:1], math.nan)])
    assert validate_task(task, np.concatenate([scores, scores[:1]]), more) == pytest.approx(found)
    assert all(math.isnan(value) for value in validate_task(task, scores * math.nan, values).values())


def test_validation_ranks_as_many_classes_as_the_query_asks_for():
    assert selection_metric(MULTILABEL, 12, top=3).name == "map@3"
    assert selection_metric(MULTILABEL, 4, top=None).name == "map@4"
    assert selection_metric(MULTILABEL, 2, top=5).name == "map@2"
