"""Boosted trees of node-level tasks: from a table of features to a value, a class or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import TreesSettings
from gnnscale.query import TaskSpec
from gnnscale.schema import DataError
from gnnscale.training.trees.boosters import (
    Array,
    Hear,
    TreeRows,
    boosters_from_text,
    boosters_to_text,
    grow,
    mean_scores,
)
from gnnscale.training.trees.tree_loss import TreeLoss

CLASSES: Final = 30
"""Classes that multiclass trees tell apart, the most frequent ones: each costs a tree at every step."""

PAIRED: Final = 10
"""Classes whose pair features multiclass trees see."""

BLOCK: Final = 1 << 25
"""Cells of the features of (example, class) pairs that are scored at once: 128 MiB."""

UNJUDGED: Final = 100
"""Trees where no examples tell when to stop."""


class TreeInputs(Protocol):
    """What trees may know of N examples.

    Attributes:
        features: float32 ``[N, F]``.
        past: the target over the window that ends at the anchor, float32 ``[N, W]``; of no width where it is not told.
        pairs: features of each example and class, float32 ``[N, C, G]``; None for none.
    """

    @property
    def features(self) -> Array: ...

    @property
    def past(self) -> Array: ...

    @property
    def pairs(self) -> Array | None: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Grown:
    """Trees, and how they came about.

    Args:
        booster: LightGBM's.
        objective: that they were grown by.
        rounds: trees (of several classes: of each).
        rows: that they learned from.
    """

    booster: Any
    objective: dict[str, Any]
    rounds: int
    rows: int


class BoostedTrees:
    """Trees on features of examples and, where it is known, the entity's own past.

    Regression fits both the absolute and the squared error, and keeps what has the smaller mean absolute error on the
    validation examples (without any: the absolute). Forecasting does so for each frame. Multilabel is one model of
    (example, class) pairs, which see the features of the pair, the example and the class's training share.

    Args:
        task: a node-level task.
        classes: number of classes, C, of tasks that have any.
        seed: of the trees and of the rows that are drawn.
        options: of the trees.
        rows: most training rows or, for multilabel, pairs; of more, that many are drawn.
        loss: that they are grown by; default: the task's own.
    """

    def __init__(
        self,
        task: TaskSpec,
        classes: int = 0,
        seed: int = 0,
        options: TreesSettings | None = None,
        rows: int = 200_000,
        loss: TreeLoss | None = None,
    ) -> None:
        self.task, self.classes, self.seed, self.rows = task, classes, seed, rows
        self.options = options or TreesSettings()
        self.objectives = (loss or TreeLoss()).objectives(task)
        self.models: list[list[Any]] = []
        """Boosters of each column of the labels, whose answers are averaged; none where the answer is a constant."""
        self.shares: NDArray[np.float64] = np.zeros(0)
        self.told = np.zeros(0, np.int64)
        """Classes that the trees tell apart."""
        self.least = -np.inf
        """No value that is predicted is less: 0 where no value of the training examples was."""
        self._chosen_by: list[Grown | None] = []

    def fit(
        self,
        inputs: TreeInputs,
        values: Array,
        validation: tuple[TreeInputs, Array] | None = None,
        hear: Hear = lambda trees, loss: None,
    ) -> Self:
        """Grow trees until the loss of the validation examples no longer falls; without any, a fixed number.

        Args:
            inputs: of the training examples.
            values: labels, float32 ``[N, W]``; what is NaN is left out.
            validation: inputs and labels of the examples that tell when to stop.
            hear: called after each tree.

        Raises:
            DataError: there are no training examples, or a task with several classes comes without pair features.
        """
        if not len(values):
            raise DataError("there are no training examples to grow trees from")
        self.shares = np.nanmean(values, axis=0, dtype=np.float64)
        self.least = -np.inf if (values < 0).any() else 0.0
        if self.task.answer == "class":
            self.shares = (values.astype(np.int64) == np.arange(self.classes)).mean(axis=0)
        held = self._rows(*validation) if validation and len(validation[1]) else None
        train = self._rows(inputs, values)
        grown = [self._chosen(rows, held[i] if held else None, hear) for i, rows in enumerate(train)]
        self.models = [[own.booster] if own else [] for own in grown]
        self._chosen_by = grown
        return self

    def refit(self, inputs: TreeInputs, values: Array, hear: Hear = lambda trees, loss: None) -> Self:
        """Grow the trees again on more examples: as many as :meth:`fit` has kept, and more by as much as rows are.

        Args:
            inputs: of all examples, those that have told when to stop among them.
            values: labels, float32 ``[N, W]``.
            hear: called after each tree.
        """
        for i, rows in enumerate(self._rows(inputs, values)):
            before = self._chosen_by[i]
            if before is not None:
                rows = self._without_new(rows)
                rounds = max(1, round(before.rounds * len(rows) / before.rows))
                options = self.options.model_copy(update={"rounds": rounds})
                seeds = range(self.seed, self.seed + options.seeds)
                self.models[i] = [grow(before.objective, rows, None, options, seed, hear=hear) for seed in seeds]
        return self

    def predict(self, inputs: TreeInputs) -> Array:
        """Probabilities or values, float32 ``[N, V]`` in the layout of the task."""
        if self.task.answer == "classes":
            return self._predict_pairs(inputs)
        table, models = self._columns(inputs), self.models[0]
        if self.task.predicts_values:
            found = np.stack([mean_scores(own, table) for own in self.models], axis=1)
            return np.maximum(found, self.least).astype(np.float32)
        if self.task.answer == "truth":
            if not models:
                return np.full((len(inputs), 1), self.shares[0], np.float32)
            return mean_scores(models, table).astype(np.float32)[:, None]
        probabilities = np.tile(self.shares, (len(inputs), 1))
        if models:
            probabilities[:, self.told] = mean_scores(models, table) * self.shares[self.told].sum()
        return probabilities.astype(np.float32)

    def to_text(self) -> str:
        """The trees in LightGBM's text format, with the shares of the classes, as JSON."""
        beside = {"shares": self.shares.tolist(), "told": self.told.tolist()}
        return boosters_to_text(self.models, beside if np.isinf(self.least) else {**beside, "least": self.least})

    def read_text(self, text: str) -> Self:
        """Take the trees that :meth:`to_text` has written.

        Raises:
            ValueError: the text is damaged.
        """
        self.models, beside = boosters_from_text(text)
        self.shares = np.array(beside.get("shares", ()), np.float64)
        self.told = np.array(beside.get("told", ()), np.int64)
        self.least = float(beside.get("least", -np.inf))
        return self

    def _columns(self, inputs: TreeInputs) -> Array:
        """Features of the examples, the own past and, for multiclass, the pair features of the first classes."""
        parts = [inputs.features, inputs.past]
        if self.task.answer == "class" and inputs.pairs is not None:
            parts.append(inputs.pairs[:, :PAIRED].reshape(len(inputs), -1))
        return np.concatenate(parts, axis=1)

    def _rows(self, inputs: TreeInputs, values: Array) -> list[TreeRows]:
        """What each model learns from: of every column of the labels, or of all pairs."""
        if self.task.answer == "classes":
            cells = self._drawn(values.size)
            row, label = np.divmod(cells, values.shape[1])
            return [_known(self._pair_columns(inputs, row, label), values[row, label])]
        table, kept = self._columns(inputs), self._drawn(len(values))
        if self.task.answer == "class":
            # Classes are numbered by how frequent they are.
            kept = kept[(values[kept, 0] >= 0) & (values[kept, 0] < CLASSES)]
        return [_known(table[kept], values[kept, column]) for column in range(values.shape[1])]

    def _drawn(self, count: int) -> NDArray[np.int64]:
        if count <= self.rows:
            return np.arange(count)
        return np.sort(np.random.default_rng(self.seed).choice(count, self.rows, replace=False))

    def _chosen(self, train: TreeRows, judge: TreeRows | None, hear: Hear) -> Grown | None:
        """The trees of the objective that judges best; None where the training examples are all of one class."""
        if not self.task.predicts_values:
            self.told = np.unique(train.values).astype(np.int64)
            if len(self.told) < 2:
                return None
            train = self._without_new(train)
            # What training has not shown can't be judged.
            judge = judge and self._without_new(judge)
        objectives = self.objectives if judge else self.objectives[:1]
        found = [self._grown(objective, train, judge, hear) for objective in objectives]
        if judge is None or len(found) == 1:
            return found[0]
        table, values = judge.table, judge.values
        return min(found, key=lambda grown: float(np.abs(mean_scores([grown.booster], table) - values).mean()))

    def _without_new(self, rows: TreeRows) -> TreeRows:
        """Rows of the classes that the trees know, numbered without gaps, as LightGBM wants them."""
        if self.task.predicts_values:
            return rows
        seen = np.isin(rows.values, self.told)
        return TreeRows(rows.table[seen], np.searchsorted(self.told, rows.values[seen]).astype(np.float32))

    def _grown(self, objective: dict[str, Any], train: TreeRows, judge: TreeRows | None, hear: Hear) -> Grown:
        if self.task.answer == "class":
            objective = {**objective, "num_class": len(self.told)}
        options = self.options
        if judge is None or not len(judge):
            options = options.model_copy(update={"rounds": min(options.rounds, UNJUDGED)})
        booster = grow(objective, train, judge, options, self.seed, hear=hear)
        return Grown(booster, objective, booster.current_iteration(), len(train))

    def _pair_columns(self, inputs: TreeInputs, row: NDArray[np.int64], label: NDArray[np.int64]) -> Array:
        """Features of pairs, float32 ``[pairs, features]``: share and past of the class, pair, example."""
        if inputs.pairs is None:
            raise DataError(f"{self.task}: boosted trees need the features of each class")
        parts = [self.shares[label].astype(np.float32)[:, None]]
        if inputs.past.shape[1]:
            parts.append(inputs.past[row, label][:, None])
        return np.concatenate([*parts, inputs.pairs[row, label], inputs.features[row]], axis=1)

    def _predict_pairs(self, inputs: TreeInputs) -> Array:
        count, models = self.classes, self.models[0]
        if not models:
            return np.tile(self.shares, (len(inputs), 1)).astype(np.float32)
        probabilities = np.empty((len(inputs), count), np.float32)
        width = 2 + inputs.features.shape[1] + (inputs.pairs.shape[2] if inputs.pairs is not None else 0)
        step = max(1, BLOCK // (count * width))
        for start in range(0, len(inputs), step):
            rows = np.arange(start, min(start + step, len(inputs)))
            columns = self._pair_columns(inputs, np.repeat(rows, count), np.tile(np.arange(count), len(rows)))
            probabilities[rows] = mean_scores(models, columns).reshape(len(rows), count)
        return probabilities


def _known(table: Array, values: Array) -> TreeRows:
    """The rows whose value is known."""
    known = ~np.isnan(values)
    return TreeRows(table, np.ascontiguousarray(values)) if known.all() else TreeRows(table[known], values[known])
