"""Intervals come from drawing entities again, differences are paired, and verdicts follow the better direction."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from gnnscale.evaluation import Comparison
from gnnscale.evaluation.score_comparison import MethodScores, compare_scores
from gnnscale.metrics import draw_metrics, entity_weights
from gnnscale.metrics.task_evaluation import evaluate_task
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    REGRESSION,
    TaskSpec,
)
from gnnscale.schema.errors import DataError
from tests.node_tasks import NODE_TASKS

N, CLASSES = 80, 7


def examples(task: TaskSpec, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, many of them tied, and values of some task."""
    rng = np.random.default_rng(seed)
    if task is BINARY_CLASSIFICATION:
        return rng.integers(0, 6, (N, 1)) / 5, rng.integers(0, 2, (N, 1))
    if task is REGRESSION:
        return rng.normal(size=(N, 1)), 1e6 + rng.normal(size=(N, 1))
    if task is FORECASTING:
        return rng.normal(size=(N, 3)), rng.normal(size=(N, 3))
    if task is MULTICLASS_CLASSIFICATION:
        return rng.dirichlet(np.ones(CLASSES), N), rng.integers(-1, CLASSES, (N, 1))
    return rng.integers(0, 6, (N, CLASSES)) / 5, rng.integers(0, 2, (N, CLASSES)) * rng.integers(0, 2, (N, 1))


@pytest.mark.parametrize("task", NODE_TASKS)
def test_a_drawn_metric_equals_the_metric_of_the_drawn_examples(task):
    scores, values = examples(task)
    weights = np.concatenate([np.ones((1, N)), *entity_weights(np.arange(N), 4, seed=1)])
    drawn = draw_metrics(task, scores, values)(weights)
    for draw, counts in enumerate(weights):
        rows = np.repeat(np.arange(N), counts.astype(int))
        expected = evaluate_task(task, scores[rows], values[rows])
        assert {name: drawn[name][draw] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert len({round(value, 9) for value in drawn[next(iter(drawn))]}) > 1


def test_draws_without_both_outcomes_are_undefined_and_left_out():
    scores, values = np.array([[0.9], [0.2], [0.1]]), np.array([[1], [0], [0]])
    drawn = draw_metrics(BINARY_CLASSIFICATION, scores, values)(np.array([[0.0, 2, 1], [1, 1, 1]]))
    assert math.isnan(drawn["auroc"][0]) and drawn["auroc"][1] == 1
    found = compare_scores(BINARY_CLASSIFICATION, [MethodScores("model", scores)], values)
    assert (found.result("model").intervals["auroc"].low, found.result("model").intervals["auroc"].high) == (1, 1)


def test_an_entity_is_drawn_with_all_its_examples():
    entities = np.array([7, 3, 7, 3, 9])
    weights = np.concatenate(list(entity_weights(entities, 200, seed=0)))
    assert weights.shape == (200, 5)
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, 1] == weights[:, 3]).all()
    assert (weights[:, [0, 1, 4]].sum(axis=1) == 3).all()
    assert (weights == np.concatenate(list(entity_weights(entities, 200, seed=0)))).all()


def regression(**scores: Any) -> Comparison:
    values = np.random.default_rng(0).normal(size=(300, 1))
    noise = np.random.default_rng(1).normal(size=(300, 1))
    methods = [MethodScores(name, values + size * noise) for name, size in scores.items()]
    return compare_scores(REGRESSION, methods, values, resamples=200)


def test_verdicts_follow_the_direction_of_the_metric():
    found = regression(model=1.0, worse=1.5, same=-1.0, better=0.5)
    for metric in ("mae", "rmse", "r2"):
        verdicts = [found.verdict(name, metric) for name in found.methods]
        assert verdicts == ["ties", "loses", "ties", "beats"]
        assert [found.better(name, metric) for name in found.methods] == [None, "model", None, "better"]
        assert found.verdict("model", metric, other="worse") == "beats"
    # Each method less the reference, as it stands.
    assert found.result("worse").differences["r2"].mean < 0 < found.result("worse").differences["mae"].mean
    assert [found.best("mae"), found.best("r2", ["model", "worse"])] == ["better", "model"]


def test_differences_are_paired():
    # the errors of both go together, so that the difference is far more certain than either
    found = regression(model=1.0, worse=1.05)
    own, gap = found.result("worse").intervals["mae"], found.result("worse").differences["mae"].interval
    assert found.verdict("worse") == "loses"
    assert gap.high - gap.low < (own.high - own.low) / 10


def test_intervals_hold_the_middle_of_the_draws_and_narrow_with_examples():
    rng = np.random.default_rng(0)
    widths = []
    for n in (100, 1600):
        values = rng.normal(size=(n, 1))
        found = compare_scores(REGRESSION, [MethodScores("model", np.zeros((n, 1)))], values)
        interval = found.result("model").intervals["mae"]
        assert interval.low < found.result("model").metrics["mae"] < interval.high
        # the standard error of a mean of |z|, whose deviation is about 0.6
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.6 / math.sqrt(n), rel=0.25)
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0] / 3


@pytest.mark.parametrize("task", NODE_TASKS)
def test_rows_are_flat_and_json(task):
    methods = [MethodScores(name, examples(task, seed)[0]) for seed, name in enumerate(("model", "own_past"))]
    found = compare_scores(task, methods, examples(task)[1], np.arange(N) // 2, resamples=20)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["rows"] == found.rows() and [row["method"] for row in record["rows"]] == ["model", "own_past"]
    assert (record["examples"], record["entities"], record["headline"]) == (N, N // 2, found.metrics[0].name)
    for metric in found.metrics:
        keys = {metric.name, *(f"{metric.name}_{part}" for part in ("low", "high", "difference", "verdict"))}
        assert keys <= set(record["rows"][1])
        assert record["rows"][0][f"{metric.name}_difference"] == 0


def test_what_is_undefined_is_none():
    methods = [MethodScores(name, np.full((4, 1), 0.5)) for name in ("model", "base_rate")]
    found = compare_scores(BINARY_CLASSIFICATION, methods, np.zeros((4, 1)), resamples=10)
    assert found.verdict("base_rate") == "undefined" and found.best("auroc") is None
    row = found.rows()[1]
    assert row["auroc"] is row["auroc_low"] is row["auroc_difference"] is None
    empty = [MethodScores("model", np.zeros((0, 1)))]
    found = compare_scores(REGRESSION, empty, np.zeros((0, 1)), resamples=10)
    assert found.rows()[0]["mae"] is None and found.examples == 0


def test_faults_are_named():
    one, two = MethodScores("model", np.zeros((3, 1))), MethodScores("own_past", np.zeros((2, 1)))
    values = np.zeros((3, 1))
    with pytest.raises(DataError, match=r"same examples: got model \[3, 1\], own_past \[2, 1\]"):
        compare_scores(REGRESSION, [one, two], values)
    with pytest.raises(DataError, match="Did you mean 'model'"):
        compare_scores(REGRESSION, [one], values, reference="modle")
    with pytest.raises(DataError, match="different names"):
        compare_scores(REGRESSION, [one, one], values)
    with pytest.raises(DataError, match="Did you mean 'mae'"):
        compare_scores(REGRESSION, [one], values).verdict("model", "mea")
    with pytest.raises(DataError, match=r"entities must be \[3\]"):
        compare_scores(REGRESSION, [one], values, entities=[1, 2])
