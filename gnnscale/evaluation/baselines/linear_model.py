"""A linear model on plain columns and earlier answers: what a careful analyst fits first."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gnnscale.evaluation.baselines.baseline import Array, BaselineInputs, NodeBaseline
from gnnscale.evaluation.baselines.simple_baselines import Constant
from gnnscale.evaluation.blend.node_space import losses, to_space
from gnnscale.features import AnswerHistory, KnownAnswers
from gnnscale.query import TaskSpec
from gnnscale.schema import BASELINES, DataError

MOST_ROWS: Final = 30_000
"""Training examples that it learns from, spread over all of them."""

MOST_CATEGORIES: Final = 40
"""Categories of a column that have a coefficient of their own; the rarer ones share one."""

PENALTIES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""Weights of the squared coefficients that are tried: of columns of unit variance, over the sum of the losses."""

OWN_PENALTY: Final = 10.0
"""That of the model of own columns alone, which says what an answer was expected to be."""

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """What numbers are learned as: themselves, or the logarithm of what they are over a unit, and one.

    Args:
        unit: None for themselves.
    """

    unit: float | None = None

    def forth(self, values: Table) -> Table:
        """Values as what is learned."""
        return values if self.unit is None else np.log1p(np.maximum(values, 0) / self.unit)

    def back(self, learned: Table) -> Table:
        """What was learned as values."""
        return learned if self.unit is None else np.expm1(learned) * self.unit


class LinearModel:
    """Ridge or logistic regression on a row's own columns, those of rows that it names, and earlier answers.

    Earlier answers are told twice along each way to other rows: their shrunk mean, and the shrunk mean of how far they
    were from what a model of the columns alone expects of them, so that a mechanic who gets the long jobs is not taken
    for a slow one. Numbers are learned as they are or, where none is negative, by their logarithms; that, and the
    weight of the penalty, are what fits the validation examples best.

    Args:
        task: a node-level task.
        classes: number of classes, C, of tasks that have any; beyond those that earlier answers tell of, it says what a
            constant would.
    """

    def __init__(self, task: TaskSpec, classes: int = 0) -> None:
        self.task = task
        self.otherwise = Constant.of_means(task, classes)
        self._fitted: _Fitted | None = None

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Learn.

        Raises:
            DataError: there are no training examples, or the inputs hold no earlier answers.
        """
        self.otherwise.fit(inputs, values)
        known = inputs.earlier
        if known is None:
            raise DataError("the examples hold no earlier answers")
        width = known.means.shape[2]
        rows = _spread(np.flatnonzero(_is_known(self.task, values, width)))
        if not len(rows):
            return self
        known, targets = known.take(rows), values[rows]
        judge = None
        if validation is not None and validation[0].earlier is not None:
            seen = np.flatnonzero(_is_known(self.task, validation[1], self.otherwise.answer.size))
            judge = (validation[0].take(seen), validation[1][seen]) if len(seen) else None
        with threadpool_limits(1), warnings.catch_warnings():
            # Of lbfgs, that it took all its steps: what it has by then is good enough.
            warnings.simplefilter("ignore")
            best = np.inf
            for scale in self._scales(targets):
                columns = _Columns(known, self._expected(known, targets, scale), scale)
                table = columns.of(known)
                for penalty in PENALTIES if judge else (100.0,):
                    fitted = _Fitted(columns, scale, _learn(self.task, table, targets, scale, penalty, width), targets)
                    cost = 0.0
                    if judge:
                        cost = losses(self.task, to_space(self.task, self._scores(judge[0], fitted)), judge[1]).mean()
                    if cost < best:
                        best, self._fitted = cost, fitted
        return self

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]``."""
        if self._fitted is None or not len(inputs):
            return self.otherwise.predict(inputs)
        with threadpool_limits(1):
            return self._scores(inputs, self._fitted)

    def _scales(self, targets: Array) -> tuple[Scale, ...]:
        if not self.task.predicts_values or (targets < 0).any() or not (targets > 0).any():
            return (Scale(),)
        return Scale(), Scale(float(np.median(targets[targets > 0])) / 10)

    def _expected(self, known: KnownAnswers, targets: Array, scale: Scale) -> AnswerHistory:
        """How far every answer was from what a model of the columns alone expects."""
        columns = _ColumnTable(known.columns, known.categories)
        width = known.means.shape[2]
        say = _learn(self.task, columns.of(known.columns), targets, scale, OWN_PENALTY, width)
        beyond = scale.forth(known.history.values).copy()
        for part, own in known.columns_of_answers():
            beyond[part] -= say(columns.of(own))
        return known.history.with_values(beyond)

    def _scores(self, inputs: BaselineInputs, fitted: _Fitted) -> Array:
        found, known = self.otherwise.predict(inputs), inputs.earlier
        assert known is not None
        said = fitted.say(known)
        width = said.shape[1]
        if self.task.answer == "class":
            # What is left of the classes that it tells goes to the others by their shares.
            said = said * found[:, :width].sum(axis=1, keepdims=True)
        found[:, :width] = said
        return found


class _ColumnTable:
    """Plain columns as numbers of unit variance.

    Args:
        columns: of the training examples, float32 ``[N, P]``.
        categories: of each column; see :attr:`KnownAnswers.categories`.
    """

    def __init__(self, columns: Array, categories: tuple[int, ...]) -> None:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        numbers = [place for place, count in enumerate(categories) if not count]
        codes = [place for place, count in enumerate(categories) if count]
        filled = SimpleImputer(add_indicator=True, keep_empty_features=True)
        told = OneHotEncoder(max_categories=MOST_CATEGORIES, handle_unknown="infrequent_if_exist", sparse_output=False)
        both = ColumnTransformer([("numbers", filled, numbers), ("codes", told, codes)])
        self._pipeline = make_pipeline(both, StandardScaler()).fit(columns.astype(np.float64))

    def of(self, columns: Array) -> Table:
        """float64 ``[N, numbers]``."""
        found: Table = self._pipeline.transform(columns.astype(np.float64))
        return found


class _Columns:
    """Plain columns, earlier answers, and how far they were from what was expected, of examples."""

    def __init__(self, known: KnownAnswers, beyond: AnswerHistory, scale: Scale) -> None:
        self._beyond = beyond
        self._scaled = None if scale.unit is None else known.history.with_values(scale.forth(known.history.values))
        told = self._told(known)
        self._table = _ColumnTable(told, (*known.categories, *[0] * (told.shape[1] - len(known.categories))))

    def of(self, known: KnownAnswers) -> Table:
        """float64 ``[N, numbers]``."""
        return self._table.of(self._told(known))

    def _told(self, known: KnownAnswers) -> Array:
        means = known.means if self._scaled is None else known.means_of(self._scaled)
        beyond = known.means_of(self._beyond)
        return np.concatenate([known.columns, *(part.reshape(len(known), -1) for part in (means, beyond))], axis=1)


@dataclass(frozen=True, eq=False)
class _Fitted:
    columns: _Columns
    scale: Scale
    answer: Callable[[Table], Table]
    targets: Array

    def say(self, known: KnownAnswers) -> Table:
        """What is answered, in the units of the answers; numbers within those of the training examples."""
        learned = self.answer(self.columns.of(known))
        return np.clip(self.scale.back(learned), np.nanmin(self.targets), np.nanmax(self.targets))


def _learn(
    task: TaskSpec, table: Table, targets: Array, scale: Scale, penalty: float, width: int
) -> Callable[[Table], Table]:
    """From a table to what is expected, ``[N, width]``: numbers as they are learned, or probabilities."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if task.predicts_values:
        ridge = Ridge(alpha=penalty).fit(table, scale.forth(targets.astype(np.float64)))
        return lambda rows: np.asarray(ridge.predict(rows), np.float64).reshape(len(rows), -1)
    if task.answer == "class":
        return _class_model(LogisticRegression(C=1 / penalty, max_iter=300), table, targets[:, 0].astype(int), width)
    models = [
        _class_model(LogisticRegression(C=1 / penalty, max_iter=300), table, column.astype(int), 2)
        for column in targets[:, :width].T
    ]
    return lambda rows: np.stack([model(rows)[:, 1] for model in models], axis=1)


def _class_model(model: Any, table: Table, targets: NDArray[np.int64], width: int) -> Callable[[Table], Table]:
    """Probabilities of ``width`` classes; of one that training never shows, 0."""
    shown = np.unique(targets)
    if len(shown) < 2:
        always = np.zeros(width)
        always[shown] = 1
        return lambda rows: np.tile(always, (len(rows), 1))
    model.fit(table, targets)

    def say(rows: Table) -> Table:
        found = np.zeros((len(rows), width))
        found[:, model.classes_] = model.predict_proba(rows)
        return found

    return say


def _is_known(task: TaskSpec, values: Array, classes: int) -> NDArray[np.bool_]:
    """Which examples have an answer, one of the first classes."""
    found = np.asarray(~np.isnan(values).all(axis=1), np.bool_)
    if task.answer == "class":
        found &= (values[:, 0] >= 0) & (values[:, 0] < classes)
    return found


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64)]


def _linear_model(task: TaskSpec, classes: int, seed: int) -> LinearModel:
    return LinearModel(task, classes)


BASELINES.register("linear_model")(
    NodeBaseline(
        "linear_model",
        "Linear model",
        "Ridge or logistic regression on the row's own columns, those of the rows that it names, and, along each way "
        "to other rows, the shrunk mean of their earlier answers and of how far those were from what the columns alone "
        "led to expect.",
        ("truth", "class", "classes", "value"),
        make=_linear_model,
        needs_earlier=True,
    )
)
