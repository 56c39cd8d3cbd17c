"""The linear model takes the parts of an answer apart, and sees nothing that was not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnnscale.evaluation import BaselineInputs
from gnnscale.evaluation.baselines.earlier_answers import EarlierAnswers
from gnnscale.evaluation.baselines.linear_model import LinearModel
from gnnscale.features import AnswerHistory, EntityFeatures
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    TaskSpec,
)
from gnnscale.schema import DataError, FeatureManifest, Link
from tests.array_graph import write_graph

DAY = 86_400
JOBS, MECHANICS, TEST = 3_000, 20, 2_400
KINDS = tuple("abcdef")
BY_MECHANIC = ((Link("jobs", "mechanic_id", "mechanics"),),)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """Jobs whose outcome is the sum of what mechanic and kind add; slow mechanics get the short ones."""
    rng = np.random.default_rng(4)
    mechanic = rng.integers(0, MECHANICS, JOBS)
    slow, long = np.linspace(-1, 1, MECHANICS), np.linspace(-2, 2, len(KINDS))
    # Whom a job goes to hangs on how long it is.
    chance = np.exp(-2 * np.outer(slow, long))
    kind = np.array([rng.choice(len(KINDS), p=chance[own] / chance[own].sum()) for own in mechanic])
    return {
        "mechanic": mechanic,
        "kind": kind,
        "km": rng.normal(size=JOBS).astype(np.float32),
        "score": slow[mechanic] + long[kind] + 0.5 * rng.normal(size=JOBS),
        "noise": rng.random(JOBS),
        "time": np.sort(rng.integers(0, 300 * DAY, JOBS)).astype(np.int32),
    }


@pytest.fixture(scope="module")
def features(drawn, tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("workshop")
    columns = {"jobs": (FeatureManifest("km", "numerical"), FeatureManifest("kind", "categorical", categories=KINDS))}
    store = write_graph(
        folder,
        {"jobs": JOBS, "mechanics": MECHANICS},
        {("jobs", "mechanic_id", "mechanics"): (drawn["mechanic"], drawn["time"])},
        columns,
        {"jobs": drawn["time"]},
        {"jobs": drawn["km"][:, None]},
        {"jobs": (drawn["kind"] + 1).astype(np.int32)[:, None]},
    )

    def of(values: np.ndarray, known: np.ndarray | None = None) -> EntityFeatures:
        names = tuple(f"answer={i}" for i in range(values.shape[1]))
        since = drawn["time"] + DAY if known is None else known
        history = AnswerHistory(store, BY_MECHANIC, np.arange(JOBS), since.astype(np.int32), values, names)
        return EntityFeatures(store, "jobs", history=history)

    return of


def asked(features: EntityFeatures, rows: np.ndarray, times: np.ndarray) -> BaselineInputs:
    found = features.compute(rows, times[rows])
    past = np.full((len(rows), 1), np.nan, np.float32)
    return BaselineInputs(past, found, earlier=features.known_answers(rows, times[rows], found))


def answers(task: TaskSpec, drawn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels ``[jobs, W]``, answers of the history, and what the best that anyone could say would cost."""
    score, noise = drawn["score"], drawn["noise"]
    if task.answer == "value":
        values = np.exp(score)
        return values[:, None], values[:, None], np.abs(values)
    if task.answer == "class":
        codes = np.digitize(score, [-1.5, 1.5])
        return codes[:, None].astype(float), np.eye(3)[codes], score
    true = (noise < 1 / (1 + np.exp(-2 * score))).astype(float)
    values = true[:, None] if task.answer == "truth" else np.stack([true, 1 - true], axis=1)
    return values, values, score


@pytest.mark.parametrize(
    ("task", "classes", "least"),
    [
        (REGRESSION, 0, 0.55),
        (BINARY_CLASSIFICATION, 0, 0.75),
        (MULTICLASS_CLASSIFICATION, 3, 0.70),
        (MULTILABEL_CLASSIFICATION, 2, 0.75),
    ],
)
def test_it_tells_the_mechanic_from_the_kind(drawn, features, task: TaskSpec, classes: int, least: float) -> None:
    values, told, _ = answers(task, drawn)
    values = values.astype(np.float32)
    of, times = features(told), drawn["time"]
    train, judge, test = np.arange(1_800), np.arange(1_800, TEST), np.arange(TEST, JOBS)
    known = asked(of, train, times), values[train], (asked(of, judge, times), values[judge])
    inputs = asked(of, test, times)

    def cost(model: LinearModel | EarlierAnswers) -> float:
        said = model.fit(*known).predict(inputs)
        if task.predicts_values:
            return float(np.abs(said - values[test]).mean())
        right = np.take_along_axis(said, values[test].astype(int), 1) if task.answer == "class" else said
        right = right if task.answer == "class" else np.where(values[test] > 0.5, said, 1 - said)
        assert ((said >= 0) & (said <= 1)).all()
        return float(-np.log(right.clip(1e-5)).mean())

    # Of earlier answers alone, a slow mechanic with short jobs is like any other.
    assert cost(LinearModel(task, classes)) < least * cost(EarlierAnswers(task, classes))


def test_what_comes_later_changes_nothing_that_is_said(drawn, features) -> None:
    values, told, _ = answers(BINARY_CLASSIFICATION, drawn)
    times = drawn["time"]
    moment = int(times[TEST])
    before, after = features(told), features(np.where((times + DAY > moment)[:, None], 1e6, told))
    train, rows = np.arange(1_800), np.arange(TEST, TEST + 50)
    model = LinearModel(BINARY_CLASSIFICATION)
    model.fit(asked(before, train, times), values[train].astype(np.float32))
    said = model.predict(asked(before, rows, np.full(JOBS, moment, np.int32)))
    # The same model, whose expectations are of other values from then on.
    other = LinearModel(BINARY_CLASSIFICATION)
    other.fit(asked(after, train, times), values[train].astype(np.float32))
    np.testing.assert_allclose(other.predict(asked(after, rows, np.full(JOBS, moment, np.int32))), said, rtol=1e-6)


@pytest.mark.parametrize("largest", [1.0, 1e30])
def test_rows_that_have_keys_alone(drawn, tmp_path: Path, largest: float) -> None:
    times, mechanic = drawn["time"], drawn["mechanic"]
    links = {("jobs", "mechanic_id", "mechanics"): (mechanic, times)}
    store = write_graph(tmp_path, {"jobs": JOBS, "mechanics": MECHANICS}, links, {}, {"jobs": times}, {}, {})
    told = np.linspace(-1, 1, MECHANICS)[mechanic][:, None]
    told[5] = largest
    history = AnswerHistory(store, BY_MECHANIC, np.arange(JOBS), times + np.int32(DAY), told, ("answer",))
    features = EntityFeatures(store, "jobs", history=history)
    test, values = np.arange(TEST, JOBS), told.astype(np.float32)
    said = LinearModel(REGRESSION).fit(asked(features, np.arange(TEST), times), values[:TEST])
    found = said.predict(asked(features, test, times))
    # One answer at the end of what can be learned spoils the means, but makes no NaN.
    assert np.isfinite(found).all() and (largest > 1 or np.abs(found - values[test]).mean() < 0.1)


def test_without_a_history_or_a_known_label(drawn, features) -> None:
    values, told, _ = answers(REGRESSION, drawn)
    inputs = asked(features(told), np.arange(40), drawn["time"])
    with pytest.raises(DataError, match="hold no earlier answers"):
        LinearModel(REGRESSION).fit(replace(inputs, earlier=None), values[:40].astype(np.float32))
    # Classes are no numbers that training bounds: probabilities sum to 1, whatever it has shown.
    codes = np.resize([1, 2], 40)[:, None].astype(np.float32)
    model = LinearModel(MULTICLASS_CLASSIFICATION, 4).fit(inputs, np.minimum(codes, 0))
    assert model.predict(inputs).tolist() == [[1, 0, 0, 0]] * 40
    history = features(np.eye(3)[np.resize([0, 1, 2], JOBS)])
    inputs = asked(history, np.arange(40), drawn["time"])
    said = LinearModel(MULTICLASS_CLASSIFICATION, 4).fit(inputs, codes).predict(inputs)
    assert said.sum(axis=1) == pytest.approx(1) and (said[:, [0, 3]] == 0).all()
    # What was learned before is forgotten.
    assert model.fit(inputs, codes).fit(inputs, codes - 5).predict(inputs).tolist() == [[0, 0, 0, 0]] * 40
    # Of classes that nobody has seen there is nothing but the shares.
    unseen = np.full((40, 1), 2, np.float32)
    one = LinearModel(MULTICLASS_CLASSIFICATION, 4).fit(asked(features(told), np.arange(40), drawn["time"]), unseen)
    assert one.predict(inputs).tolist() == [[0, 0, 1, 0]] * 40
    # All of one kind.
    only = LinearModel(BINARY_CLASSIFICATION).fit(inputs, np.ones((40, 1), np.float32))
    assert (only.predict(inputs) == 1).all()
