"""The baseline that learns: gradient-boosted trees on counts (scikit-learn's histogram trees, as LightGBM's)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from gnnscale.evaluation.baselines.baseline import Array, BaselineInputs, NodeBaseline
from gnnscale.query import TaskSpec
from gnnscale.schema import BASELINES, DataError

Set = tuple[Array, Array]
"""Features ``[N, F]`` and targets ``[N]``."""

CLASSES: Final = 30
"""Classes that multiclass trees tell apart, the most frequent ones: each costs a tree at every step."""

PAIRED: Final = 10
"""Classes whose pair features multiclass trees see."""

BLOCK: Final = 1 << 25
"""Cells of the features of (example, class) pairs that are scored at once: 128 MiB."""

FEW: Final = 5_000
"""Rows that one thread is fastest for: on a busy machine, several mostly wait for one another."""


class BoostedTrees:
    """Trees on the features of :class:`BaselineInputs` and the entity's own past.

    Regression fits both the absolute and the squared error, and keeps what has the smaller mean absolute error on the
    validation examples (without any: the absolute). Forecasting does so for each frame. Multilabel is one model of
    (example, class) pairs, which see the features of the pair, the example and the class's training share.

    Args:
        task: a node-level task.
        classes: number of classes, C, of tasks that have any.
        seed: of the trees and of the rows that are drawn.
        steps: most trees (multiclass: of each class); the validation examples stop them earlier.
        rows: most training rows or, for multilabel, pairs; of more, that many are drawn.
    """

    def __init__(self, task: TaskSpec, classes: int = 0, seed: int = 0, steps: int = 300, rows: int = 200_000) -> None:
        self.task = task
        self.classes = classes
        self.seed = seed
        self.steps = steps
        self.rows = rows
        self.models: list[Any] = []
        self.shares: NDArray[np.float64] = np.zeros(0)

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Grow trees until the loss of the validation examples rises; without any, a fixed number.

        Raises:
            DataError: there are no training examples, or a task with classes comes without pair features.
        """
        if not len(values):
            raise DataError("there are no training examples to grow trees from")
        if self.task.answer == "classes":
            self._fit_pairs(inputs, values, validation)
            return self
        table, kept = self._columns(inputs), self._drawn(len(values))
        held = (self._columns(validation[0]), validation[1]) if validation and len(validation[1]) else None
        self.shares = values.mean(axis=0, dtype=np.float64)
        if self.task.answer == "class":
            self.shares = (values.astype(np.int64) == np.arange(self.classes)).mean(axis=0)
            kept = kept[self._told_apart(values[kept, 0])]
            if held:
                known = self._told_apart(held[1][:, 0])
                held = held[0][known], held[1][known]
        for column in range(values.shape[1]):
            train = table[kept], values[kept, column]
            judge = (held[0], held[1][:, column]) if held else None
            self.models.append(self._regressor(train, judge) if self._regresses else self._classifier(train, judge))
        return self

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]``."""
        with _threads(len(inputs)):
            return self._scores(inputs)

    def _scores(self, inputs: BaselineInputs) -> Array:
        if self.task.answer == "classes":
            return self._predict_pairs(inputs)
        table = self._columns(inputs)
        if self._regresses:
            return np.stack([model.predict(table) for model in self.models], axis=1).astype(np.float32)
        if self.task.answer == "truth":
            if self.models[0] is None:
                return np.full((len(inputs), 1), self.shares[0], np.float32)
            return _probability(self.models[0], table)[:, None]
        probabilities = np.tile(self.shares, (len(inputs), 1))
        model = self.models[0]
        if model is not None:
            seen = model.classes_.astype(np.int64)
            probabilities[:, seen] = model.predict_proba(table) * self.shares[seen].sum()
        return probabilities.astype(np.float32)

    @property
    def _regresses(self) -> bool:
        return self.task.predicts_values

    def _columns(self, inputs: BaselineInputs) -> Array:
        """Features of the examples, the own past and, for multiclass, the pair features of the first classes."""
        parts = [inputs.features, inputs.past]
        if self.task.answer == "class" and inputs.pairs is not None:
            parts.append(inputs.pairs[:, :PAIRED].reshape(len(inputs), -1))
        return np.concatenate(parts, axis=1)

    def _told_apart(self, labels: Array) -> NDArray[np.int64]:
        """Rows whose class the trees tell apart; classes are numbered by how frequent they are."""
        return np.flatnonzero((labels >= 0) & (labels < CLASSES))

    def _drawn(self, count: int) -> NDArray[np.int64]:
        if count <= self.rows:
            return np.arange(count)
        return np.sort(np.random.default_rng(self.seed).choice(count, self.rows, replace=False))

    def _classifier(self, train: Set, judge: Set | None) -> Any:
        """A classifier, or None where the training examples are all of one class."""
        if len(np.unique(train[1])) < 2:
            return None
        if judge:
            # what training has not shown can't be judged
            seen = np.isin(judge[1], train[1])
            judge = (judge[0][seen], judge[1][seen]) if seen.any() else None
        return self._grown(HistGradientBoostingClassifier, train, judge)

    def _regressor(self, train: Set, judge: Set | None) -> Any:
        absolute = self._grown(HistGradientBoostingRegressor, train, judge, loss="absolute_error")
        if judge is None:
            return absolute
        squared = self._grown(HistGradientBoostingRegressor, train, judge, loss="squared_error")
        return min((absolute, squared), key=lambda model: float(np.abs(model.predict(judge[0]) - judge[1]).mean()))

    def _grown(self, kind: Any, train: Set, judge: Set | None, **settings: Any) -> Any:
        model = kind(
            learning_rate=0.08,
            max_iter=self.steps if judge else min(self.steps, 100),
            max_leaf_nodes=15,
            min_samples_leaf=20,
            early_stopping=judge is not None,
            n_iter_no_change=15,
            random_state=self.seed,
            **settings,
        )
        # Scikit-learn can't bin a column without a single value; as a constant it tells as little.
        train = (np.where(np.isnan(train[0]).all(axis=0), np.float32(0), train[0]), train[1])
        with _threads(len(train[1])):
            return model.fit(*train, X_val=judge[0], y_val=judge[1]) if judge else model.fit(*train)

    def _fit_pairs(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None
    ) -> None:
        self.shares = values.mean(axis=0, dtype=np.float64)
        train = self._drawn_pairs(inputs, values)
        judge = self._drawn_pairs(*validation) if validation and len(validation[1]) else None
        self.models = [self._classifier(train, judge)]

    def _drawn_pairs(self, inputs: BaselineInputs, values: Array) -> Set:
        cells = self._drawn(values.size)
        row, label = np.divmod(cells, values.shape[1])
        return self._pair_columns(inputs, row, label), values[row, label]

    def _pair_columns(self, inputs: BaselineInputs, row: NDArray[np.int64], label: NDArray[np.int64]) -> Array:
        """Features of pairs, float32 ``[pairs, 2 + G + F]``: share and past of the class, pair, example."""
        if inputs.pairs is None:
            raise DataError(f"{self.task}: boosted trees need the features of each class")
        own = np.stack([self.shares[label].astype(np.float32), inputs.past[row, label]], axis=1)
        return np.concatenate([own, inputs.pairs[row, label], inputs.features[row]], axis=1)

    def _predict_pairs(self, inputs: BaselineInputs) -> Array:
        count, model = self.classes, self.models[0]
        if model is None:
            return np.tile(self.shares, (len(inputs), 1)).astype(np.float32)
        probabilities = np.empty((len(inputs), count), np.float32)
        width = 2 + inputs.features.shape[1] + (inputs.pairs.shape[2] if inputs.pairs is not None else 0)
        step = max(1, BLOCK // (count * width))
        for start in range(0, len(inputs), step):
            rows = np.arange(start, min(start + step, len(inputs)))
            columns = self._pair_columns(inputs, np.repeat(rows, count), np.tile(np.arange(count), len(rows)))
            probabilities[rows] = _probability(model, columns).reshape(len(rows), count)
        return probabilities


def _probability(model: Any, table: Array) -> Array:
    """Probability of true, float32 ``[rows]``."""
    return model.predict_proba(table)[:, 1].astype(np.float32)


def _threads(rows: int) -> AbstractContextManager[object]:
    return threadpool_limits(1, user_api="openmp") if rows <= FEW else nullcontext()


def _boosted_trees(task: TaskSpec, classes: int, seed: int) -> BoostedTrees:
    return BoostedTrees(task, classes, seed)


BASELINES.register("boosted_trees")(
    NodeBaseline(
        "boosted_trees",
        "Boosted trees",
        "Gradient-boosted trees on counts, sums and recency of events up to the anchor, the entity's columns and "
        "its own past, stopped by the validation examples.",
        make=_boosted_trees,
        # For several classes at once, trees learn from pairs of example and class.
        needs_pairs=("classes",),
    )
)
