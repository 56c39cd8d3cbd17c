"""Baselines say what they promise, and trees find what the features hold."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.config import TreesSettings
from gnnscale.evaluation import BaselineInputs, TaskBaseline
from gnnscale.evaluation.baselines.baseline import node_baselines
from gnnscale.evaluation.baselines.earlier_answers import EarlierAnswers
from gnnscale.features import KnownAnswers
from gnnscale.metrics.task_evaluation import evaluate_task
from gnnscale.query import BINARY_CLASSIFICATION, STATIC_LINK_PREDICTION, TaskSpec
from gnnscale.schema.errors import DataError
from gnnscale.training import BoostedTrees
from tests.node_tasks import NODE_TASKS

NAN = np.nan
BINARY, REGRESSION, FORECASTING, MULTICLASS, MULTILABEL = NODE_TASKS
CLASSES = 4
FEW = {"learning_rate": 0.08, "min_rows": 20, "columns": 1.0, "rows": 1.0}
TREES = TreesSettings(rounds=20, **FEW)
"""Twenty trees that see all there is."""


def simple_baselines(task: TaskSpec, classes: int = 0) -> dict[str, TaskBaseline]:
    """Those that grow no trees."""
    return {name: b for name, b in node_baselines(task, classes).items() if name != "boosted_trees"}


def inputs(past: list[list[float]]) -> BaselineInputs:
    table = np.array(past, np.float32)
    return BaselineInputs(table, np.zeros((len(table), 0), np.float32))


def predicted(task: TaskSpec, values: list[list[float]], past: list[list[float]], classes: int = 0) -> dict:
    """Scores of every simple baseline, fitted on values."""
    train = np.array(values, np.float32)
    asked = inputs(past)
    fitted = {name: b.fit(inputs(values), train) for name, b in simple_baselines(task, classes).items()}
    scores = {name: baseline.predict(asked) for name, baseline in fitted.items()}
    assert {predicted.dtype for predicted in scores.values()} == {np.dtype(np.float32)}
    return {name: [pytest.approx(row) for row in predicted.tolist()] for name, predicted in scores.items()}


def test_binary():
    found = predicted(BINARY, [[1], [0], [0], [0]], [[1], [0], [NAN]])
    assert found == {"own_past": [[0.625], [0.125], [0.25]], "base_rate": [[0.25]] * 3}


def test_regression_and_forecasting():
    found = predicted(REGRESSION, [[0], [0], [6]], [[5], [NAN]])
    assert found == {"own_past": [[5], [2]], "global_mean": [[2]] * 2, "global_median": [[0]] * 2}
    found = predicted(FORECASTING, [[0, 3], [0, 5], [6, 4]], [[NAN, 8], [NAN, NAN]])
    assert found == {"own_past": [[2, 8], [2, 4]], "global_mean": [[2, 4]] * 2, "global_median": [[0, 4]] * 2}


def test_multiclass_puts_the_last_class_first_and_orders_the_rest_by_share():
    shares = [0.5, 0.25, 0.25, 0]
    found = predicted(MULTICLASS, [[0], [0], [1], [2]], [[2], [NAN], [-1]], CLASSES)
    assert found["own_past"] == [[0.25, 0.125, 0.625, 0], shares, shares]
    assert found["majority"] == [shares] * 3


def test_multilabel_puts_what_was_had_first():
    found = predicted(MULTILABEL, [[1, 1], [1, 0]], [[0, 1], [NAN, NAN]], 2)
    assert found == {"own_past": [[0.5, 0.75], [1, 0.5]], "popularity": [[1, 0.5]] * 2}


def learnable(task: TaskSpec, n: int, seed: int) -> tuple[BaselineInputs, np.ndarray]:
    """Examples whose values follow from the first feature, or the first feature of each pair; the past is noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    pairs = rng.normal(size=(n, CLASSES, 2)).astype(np.float32)
    pairs[rng.random(n) < 0.2] = NAN
    signal = np.nan_to_num(pairs[:, :, 0])
    values = {
        BINARY: features[:, :1] > 0,
        REGRESSION: np.exp(features[:, :1]),
        FORECASTING: features[:, :2],
        MULTICLASS: signal.argmax(axis=1)[:, None],
        MULTILABEL: signal > 0.3,
    }[task].astype(np.float32)
    past = values[rng.permutation(n)]
    past[rng.random(n) < 0.3] = NAN
    return BaselineInputs(past, features, pairs), values


@pytest.mark.parametrize(
    ("task", "validated"), [*((task, True) for task in NODE_TASKS), (REGRESSION, False), (MULTILABEL, False)]
)
def test_trees_find_what_the_features_hold(task, validated):
    train, test = learnable(task, 500, 0), learnable(task, 200, 1)
    validation = learnable(task, 150, 2) if validated else None
    scores = BoostedTrees(task, CLASSES, options=TREES).fit(*train, validation=validation).predict(test[0])
    assert scores.dtype == np.float32
    mine = evaluate_task(task, scores, test[1])
    for baseline in simple_baselines(task, CLASSES).values():
        theirs = evaluate_task(task, baseline.fit(*train).predict(test[0]), test[1])
        name = next(iter(mine))
        if name == "mae":
            assert mine[name] < theirs[name] / 2
        else:
            assert mine[name] > theirs[name] + 0.1
    again = BoostedTrees(task, CLASSES, options=TREES).fit(*train, validation=validation).predict(test[0])
    assert (scores == again).all()


@pytest.mark.parametrize("shift", [0, -1])
def test_trees_say_less_than_nothing_only_where_some_value_was(shift):
    inputs, values = learnable(REGRESSION, 400, 0)
    options = TreesSettings(**{"rounds": 60, **FEW})
    values = np.maximum(values - 2, 0) + np.float32(shift)
    trees = BoostedTrees(REGRESSION, options=options).fit(inputs, values)
    asked = learnable(REGRESSION, 4000, 1)[0]
    again = BoostedTrees(REGRESSION, options=options).read_text(trees.to_text())
    for found in (trees.predict(asked), again.predict(asked)):
        assert (found < 0).any() == (shift < 0) and (found >= 0).any()
    trees.least = -np.inf
    assert (trees.predict(asked) < 0).any()


def test_classes_that_trees_never_saw_get_their_share():
    train = learnable(MULTICLASS, 300, 0)
    validation = learnable(MULTICLASS, 100, 1)
    validation[1][:5] = -1
    scores = (
        BoostedTrees(MULTICLASS, CLASSES + 2, options=TreesSettings(rounds=5, **FEW))
        .fit(*train, validation=validation)
        .predict(train[0])
    )
    assert scores.shape == (300, CLASSES + 2) and (scores[:, CLASSES:] == 0).all()
    assert scores.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)


@pytest.mark.parametrize("task", [BINARY, MULTICLASS, MULTILABEL])
def test_one_outcome_in_training_is_all_that_trees_can_say(task):
    train, values = learnable(task, 50, 0)
    values[:] = 1
    scores = BoostedTrees(task, CLASSES).fit(train, values).predict(train)
    expected = {BINARY: [1], MULTICLASS: [0, 1, 0, 0], MULTILABEL: [1] * 4}[task]
    assert scores.tolist() == [expected] * 50


def test_pairs_beyond_the_cap_are_drawn_by_the_seed():
    train, (asked, values) = learnable(MULTILABEL, 800, 0), learnable(MULTILABEL, 200, 1)

    def scores(rows: int, seed: int = 0) -> np.ndarray:
        return BoostedTrees(MULTILABEL, CLASSES, seed, TREES, rows).fit(*train).predict(asked)

    few, other, whole = scores(400), scores(400, seed=1), scores(3200)
    assert (few != other).any() and (whole == scores(3200, seed=1)).all()
    usual = float(np.abs(values.mean(axis=0) - values).mean())
    assert all(float(np.abs(predicted - values).mean()) < usual / 2 for predicted in (few, other, whole))


def test_faults_are_named():
    with pytest.raises(DataError, match="no training examples"):
        simple_baselines(BINARY)["base_rate"].fit(inputs([[1]]).take(np.arange(0)), np.zeros((0, 1), np.float32))
    with pytest.raises(DataError, match="no training examples"):
        BoostedTrees(BINARY).fit(inputs([[1]]).take(np.arange(0)), np.zeros((0, 1), np.float32))
    with pytest.raises(DataError, match="features of each class"):
        BoostedTrees(MULTILABEL, 2).fit(inputs([[1, 0]] * 2), np.eye(2, dtype=np.float32))
    with pytest.raises(DataError, match="static link prediction"):
        simple_baselines(STATIC_LINK_PREDICTION)
    with pytest.raises(DataError, match="past and features"):
        BaselineInputs(np.zeros((2, 1), np.float32), np.zeros((3, 1), np.float32))


@pytest.mark.parametrize("task", [BINARY_CLASSIFICATION, REGRESSION])
def test_trees_do_without_columns_that_have_no_value(task: TaskSpec) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3)).astype(np.float32)
    features[:, 1] = np.nan
    values = (features[:, :1] > 0).astype(np.float32)
    inputs = BaselineInputs(np.full((200, 1), np.nan, np.float32), features)
    scores = BoostedTrees(task, options=TreesSettings(rounds=100, **FEW)).fit(inputs, values).predict(inputs)
    assert np.abs(scores - values).mean() < 0.1


def earlier(told: list[list[list[float]]]) -> BaselineInputs:
    table = np.array(told, np.float32)
    nothing = np.zeros((len(table), 0), np.float32)
    rows = np.arange(len(table))
    # Nothing is asked of the features, nor of the history, but the means.
    known = KnownAnswers(None, None, rows, rows.astype(np.int32), table, nothing)  # type: ignore[arg-type]
    return BaselineInputs(nothing, nothing, earlier=known)


def test_earlier_answers_go_by_the_key_that_fits_best():
    train = np.array([[1], [0], [1], [0]], np.float32)
    fitted = EarlierAnswers(BINARY).fit(
        earlier([[[0.5], [0.9]], [[0.5], [0.2]], [[0.4], [0.7]], [[0.6], [0.1]]]), train
    )
    assert fitted.link == 1
    told = earlier([[[0.9], [0.2]], [[0.1], [0.7]]]), np.array([[1], [0]], np.float32)
    judged = EarlierAnswers(BINARY).fit(
        earlier([[[0.5], [0.9]], [[0.5], [0.2]], [[0.4], [0.7]], [[0.6], [0.1]]]), train, told
    )
    assert judged.link == 0
    asked = earlier([[[0.1], [0.8]], [[0.1], [NAN]]])
    assert fitted.predict(asked).tolist() == [[pytest.approx(0.8)], [0.5]]
    spent = EarlierAnswers(REGRESSION).fit(earlier([[[9.0]], [[3.0]]]), np.array([[8], [2]], np.float32))
    assert spent.predict(earlier([[[7.0]], [[NAN]]])).tolist() == [[7], [5]]
    with pytest.raises(DataError, match="hold no earlier answers"):
        EarlierAnswers(BINARY).fit(inputs([[1]]), train[:1])


def test_earlier_answers_of_classes_leave_the_rest_to_the_shares():
    train = np.array([[0], [0], [1], [2], [3]], np.float32)
    told = [[[0.5, 0.2]]] * 5
    fitted = EarlierAnswers(MULTICLASS, CLASSES).fit(earlier(told), train)
    assert fitted.predict(earlier([[[0.5, 0.2]], [[0, 1]]])).tolist() == [
        pytest.approx([0.5, 0.2, 0.15, 0.15]),
        pytest.approx([0, 1, 0, 0]),
    ]
    unknown = fitted.predict(earlier([[[NAN, NAN]]]))
    assert unknown.tolist() == [pytest.approx([0.4, 0.2, 0.2, 0.2])]
