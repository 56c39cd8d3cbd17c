"""LightGBM's boosters: how they are grown, and how they are kept as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import TreesSettings

if TYPE_CHECKING:
    import lightgbm

Array = NDArray[np.float32]

FEW: Final = 5_000
"""Rows that one thread is fastest for: on a busy machine, several mostly wait for one another."""

LEAST_ROWS: Final = 5
"""Of a leaf, however few there are."""

Hear = Callable[[int, float], None]
"""Called with the number of trees and the loss of the rows that stop them, or NaN."""


def _silent(trees: int, loss: float) -> None:
    """Nothing."""


@dataclass(frozen=True, eq=False)
class TreeRows:
    """What trees learn from, or are judged by.

    Args:
        table: features ``[rows, features]``.
        values: what they tell, ``[rows]``.
        groups: rows of each ranking, one after the other, int64 ``[groups]``; None where rows stand by themselves.
    """

    table: Array
    values: Array
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.values)


def grow(
    objective: dict[str, Any],
    train: TreeRows,
    judge: TreeRows | None,
    options: TreesSettings,
    seed: int,
    categorical: Sequence[int] = (),
    hear: Hear = _silent,
) -> lightgbm.Booster:
    """Grow trees until the loss of the rows that judge them no longer falls; without any, a fixed number.

    Args:
        objective: LightGBM's, with its parameters.
        train: rows to learn from.
        judge: rows that tell when to stop; None to grow all of ``options.rounds``.
        options: of the trees.
        seed: of the rows and columns that each tree sees.
        categorical: places of features that are codes of categories.
        hear: called after each tree.
    """
    import lightgbm

    parameters = {
        "learning_rate": options.learning_rate,
        "num_leaves": options.leaves,
        # Of few rows, a leaf takes fewer, or there would be none.
        "min_data_in_leaf": min(options.min_rows, max(LEAST_ROWS, len(train) // 50)),
        "feature_fraction": options.columns,
        "bagging_fraction": options.rows,
        "bagging_freq": 1 if options.rows < 1 else 0,
        "lambda_l2": options.l2,
        "max_bin": options.bins,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "num_threads": 1 if len(train) <= FEW else 0,
        "verbosity": -1,
        **objective,
    }
    data = lightgbm.Dataset(train.table, train.values, group=train.groups, categorical_feature=list(categorical))
    watched: dict[str, Any] = {}

    def told(state: Any) -> None:
        results = state.evaluation_result_list or []
        hear(state.iteration + 1, float(results[0][2]) if results else float("nan"))

    callbacks: list[Callable[..., Any]] = [told]
    if judge is not None and len(judge):
        watched["valid_sets"] = [data.create_valid(judge.table, judge.values, group=judge.groups)]
        callbacks.append(lightgbm.early_stopping(options.patience, verbose=False))
    booster = lightgbm.train(parameters, data, options.rounds, callbacks=callbacks, **watched)
    # What comes after the best number of trees is not kept.
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration or None))


def mean_scores(boosters: Sequence[lightgbm.Booster], table: Array, raw: bool = False) -> NDArray[np.float64]:
    """Mean answers of boosters, float64 ``[rows]`` or ``[rows, classes]``.

    Args:
        boosters: at least one, grown on as many features.
        table: features ``[rows, features]``.
        raw: as sums over the trees, and not as probabilities.
    """
    threads = 1 if len(table) <= FEW else 0
    found = [booster.predict(table, raw_score=raw, num_threads=threads) for booster in boosters]
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def boosters_to_text(boosters: Sequence[Sequence[lightgbm.Booster]], beside: dict[str, Any]) -> str:
    """Boosters in LightGBM's text format, with what is known beside them, as JSON.

    Args:
        boosters: of each answer, which they are the mean of.
        beside: plain data.
    """
    return json.dumps({"boosters": [[own.model_to_string() for own in group] for group in boosters], "beside": beside})


def boosters_from_text(text: str) -> tuple[list[list[lightgbm.Booster]], dict[str, Any]]:
    """Inverse of :func:`boosters_to_text`.

    Raises:
        ValueError: the text is damaged.
    """
    import lightgbm

    try:
        content = json.loads(text)
        boosters = [[lightgbm.Booster(model_str=own) for own in group] for group in content["boosters"]]
        return boosters, dict(content["beside"])
    except (KeyError, TypeError, ValueError, lightgbm.basic.LightGBMError) as error:
        raise ValueError(f"the trees are damaged: {type(error).__name__}") from None
