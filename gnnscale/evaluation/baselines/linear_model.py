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
from gnnscale.evaluation.blend.node_space import has_answer, losses, to_space
from gnnscale.features import AnswerHistory, KnownAnswers
from gnnscale.query import TaskSpec
from gnnscale.schema import BASELINES, DataError

MOST_ROWS: Final = 30_000
"""Training examples that it learns from, spread over all of them."""

MOST_CATEGORIES: Final = 40
"""Categories of a column that have a coefficient of their own; the rarer ones share one."""

PENALTIES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""Weights of the squared coefficients that are tried, over the sum of the losses; numbers have unit variance."""

PENALTY: Final = 10.0
"""That of the model of plain columns alone, and of all where no validation example decides."""

STEPS: Final = 300
"""Most of a logistic regression."""

Matrix = Any
"""Design matrix ``[N, inputs]``, a NumPy array or a sparse one of SciPy."""

Values = NDArray[np.float64]

Predict = Callable[[Matrix], Values]
"""From a design matrix to predictions ``[N, K]``: transformed numbers, or probabilities."""


@dataclass(frozen=True)
class TargetTransform:
    """What numbers are learned as: themselves, or ``log(1 + value / unit)``.

    Args:
        unit: None for themselves.
    """

    unit: float | None = None

    def transform(self, values: Values) -> Values:
        """Values as what is learned."""
        return values if self.unit is None else np.log1p(np.maximum(values, 0) / self.unit)

    def inverse_transform(self, values: Values) -> Values:
        """What was learned as values."""
        return values if self.unit is None else np.expm1(values) * self.unit


class LinearModel:
    """Ridge or logistic regression on a row's own columns, those of rows that it names, and earlier answers.

    Earlier answers are there twice along each foreign key: their shrunk mean, and the shrunk mean of their residuals to
    a model of the columns alone, so that a mechanic who gets the long jobs is not taken for a slow one. Numbers are
    learned as they are or, where none is negative, by their logarithms; that, and the weight of the penalty, are what
    fits the validation examples best.

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
        self._fitted = None
        self.otherwise.fit(inputs, values)
        if inputs.earlier is None:
            raise DataError("the examples hold no earlier answers")
        rows = _spread(np.flatnonzero(has_answer(self.task, values, inputs.earlier.means.shape[2])))
        if len(rows):
            judge = None if validation is None else self._judge(*validation)
            # A BLAS adds up in another order with other threads.
            with threadpool_limits(1):
                self._fitted = self._best(inputs.earlier.take(rows), values[rows], judge)
        return self

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]``."""
        found = self.otherwise.predict(inputs)
        if self._fitted is None or not len(inputs):
            return found
        assert inputs.earlier is not None
        with threadpool_limits(1):
            return self._scores(self._fitted.inputs.matrix(inputs.earlier), found, self._fitted)

    def _judge(self, inputs: BaselineInputs, values: Array) -> tuple[BaselineInputs, Array] | None:
        known = np.flatnonzero(has_answer(self.task, values))
        return (inputs.take(known), values[known]) if len(known) and inputs.earlier is not None else None

    def _best(self, known: KnownAnswers, values: Array, judge: tuple[BaselineInputs, Array] | None) -> _Fitted:
        """The transform and the penalty that fit the validation examples best."""
        columns = _PlainColumns(known.columns, known.categories)
        found: list[_Fitted] = []
        least = np.inf
        for transform in self._transforms(values):
            targets = _Targets(self.task, values, transform, known.means.shape[2])
            inputs = _Inputs.of(columns, targets, known)
            matrix = inputs.matrix(known)
            if judge is None:
                return _Fitted(inputs, targets, targets.fit(matrix, PENALTY))
            assert judge[0].earlier is not None
            judged, usual = inputs.matrix(judge[0].earlier), self.otherwise.predict(judge[0])
            for penalty in PENALTIES:
                fitted = _Fitted(inputs, targets, targets.fit(matrix, penalty))
                spaced = to_space(self.task, self._scores(judged, usual, fitted))
                cost = losses(self.task, spaced, judge[1]).mean()
                if not found or cost < least:
                    found, least = [fitted], cost
        return found[0]

    def _transforms(self, values: Array) -> tuple[TargetTransform, ...]:
        if not self.task.predicts_values or (values < 0).any() or not (values > 0).any():
            return (TargetTransform(),)
        return TargetTransform(), TargetTransform(float(np.median(values[values > 0])) / 10)

    def _scores(self, matrix: Matrix, usual: Array, fitted: _Fitted) -> Array:
        """Predictions as scores ``[N, V]``, those of classes that it does not tell as ``usual`` has them."""
        found, predicted = usual.copy(), fitted.predict(matrix)
        width = predicted.shape[1]
        if self.task.answer == "class":
            # What is left of the classes that it tells goes to the others by their shares.
            predicted = predicted * usual[:, :width].sum(axis=1, keepdims=True)
        found[:, :width] = predicted
        return found


@dataclass(frozen=True, eq=False)
class _Targets:
    """What is learned of training examples, and how."""

    task: TaskSpec
    values: Array
    transform: TargetTransform
    width: int
    """Columns of an earlier answer, and of what is predicted."""

    def fit(self, matrix: Matrix, penalty: float) -> Predict:
        """Learn from a design matrix of the training examples."""
        from sklearn.linear_model import Ridge

        if self.task.predicts_values:
            ridge = Ridge(alpha=penalty).fit(matrix, self.transform.transform(self.values.astype(np.float64)))
            return lambda rows: np.asarray(ridge.predict(rows), np.float64).reshape(rows.shape[0], -1)
        if self.task.answer == "class":
            return _fit_classes(matrix, self.values[:, 0].astype(np.int64), self.width, penalty)
        columns = self.values[:, : self.width].astype(np.int64).T
        models = [_fit_classes(matrix, column, 2, penalty) for column in columns]
        return lambda rows: np.stack([predict(rows)[:, 1] for predict in models], axis=1)

    def inverse(self, predicted: Values) -> Values:
        """Predictions in the units of the answers; numbers within those of the training examples."""
        if not self.task.predicts_values:
            return predicted
        return np.clip(self.transform.inverse_transform(predicted), np.nanmin(self.values), np.nanmax(self.values))


@dataclass(frozen=True, eq=False)
class _Fitted:
    inputs: _Inputs
    targets: _Targets
    model: Predict

    def predict(self, matrix: Matrix) -> Values:
        return self.targets.inverse(self.model(matrix))


class _PlainColumns:
    """Columns as a design matrix: numbers of unit variance, and one place for each of the more frequent categories.

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
        filled = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())
        one_hot = OneHotEncoder(max_categories=MOST_CATEGORIES, handle_unknown="infrequent_if_exist")
        both = ColumnTransformer([("numbers", filled, numbers), ("codes", one_hot, codes)])
        self._transformer = both.fit(_finite(columns))

    def matrix(self, columns: Array) -> Matrix:
        """Of N rows."""
        return self._transformer.transform(_finite(columns))


@dataclass(frozen=True, eq=False)
class _Inputs:
    """All inputs as a design matrix: plain columns, earlier answers, and their residuals.

    Args:
        columns: the plain ones.
        answers: as they are learned.
        residuals: of the same answers to a model of the plain columns.
        means: how the means of both are filled and scaled.
    """

    columns: _PlainColumns
    answers: AnswerHistory
    residuals: AnswerHistory
    means: _PlainColumns

    @classmethod
    def of(cls, columns: _PlainColumns, targets: _Targets, known: KnownAnswers) -> Self:
        """For training examples and what they know."""
        transformed = targets.transform.transform(known.history.values)
        predict = targets.fit(columns.matrix(known.columns), PENALTY)
        residuals = transformed.copy()
        for part, own in known.columns_of_answers():
            residuals[part] -= predict(columns.matrix(own))
        histories = known.history.with_values(transformed), known.history.with_values(residuals)
        means = _means(known, histories)
        return cls(columns, *histories, _PlainColumns(means, (0,) * means.shape[1]))

    def matrix(self, known: KnownAnswers) -> Matrix:
        """Of N examples."""
        from scipy.sparse import hstack, issparse

        parts = [
            self.columns.matrix(known.columns),
            self.means.matrix(_means(known, (self.answers, self.residuals))),
        ]
        return hstack(parts, format="csr") if any(map(issparse, parts)) else np.hstack(parts)


def _means(known: KnownAnswers, histories: tuple[AnswerHistory, ...]) -> Array:
    return np.concatenate([known.means_of(history).reshape(len(known), -1) for history in histories], axis=1)


def _fit_classes(matrix: Matrix, codes: NDArray[np.int64], width: int, penalty: float) -> Predict:
    """Probabilities of ``width`` classes; of one that training never shows, 0."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    shown = np.unique(codes)
    if len(shown) < 2:
        always = np.zeros(width)
        always[shown] = 1
        return lambda rows: np.tile(always, (rows.shape[0], 1))
    with warnings.catch_warnings():
        # What it has after so many steps is good enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=1 / penalty, max_iter=STEPS).fit(matrix, codes)

    def predict(rows: Matrix) -> Values:
        found = np.zeros((rows.shape[0], width))
        found[:, model.classes_] = model.predict_proba(rows)
        return found

    return predict


def _finite(columns: Array) -> Values:
    """Numbers past the range of 32 bits are as good as unknown."""
    return np.where(np.isfinite(columns), columns, np.nan).astype(np.float64)


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
        "Ridge or logistic regression on the row's own columns, those of the rows that it names, and, along each "
        "foreign key, the shrunk mean of earlier answers and of their residuals to a model of the columns alone.",
        ("truth", "class", "classes", "value"),
        make=_linear_model,
        needs_earlier=True,
    )
)
