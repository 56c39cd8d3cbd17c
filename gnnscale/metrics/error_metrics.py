"""Metrics of values in the unit of the target: scores and values are ``[N, frames]``."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gnnscale.metrics.metric import Draws, Floats, Metric, ScoreMetric
from gnnscale.metrics.weighted_draws import ratio
from gnnscale.schema import METRICS


def _evaluate(scores: Floats, values: Floats) -> dict[str, float]:
    # Half a second, which processes that rank need not wait.
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    frames = {
        f"mae_frame_{f}": mean_absolute_error(values[:, f - 1], scores[:, f - 1]) for f in range(1, scores.shape[1] + 1)
    }
    flat = values.ravel()
    return {
        "mae": mean_absolute_error(flat, scores.ravel()),
        "rmse": root_mean_squared_error(flat, scores.ravel()),
        # without any spread there is nothing to explain
        "r2": r2_score(flat, scores.ravel()) if np.ptp(flat) > 0 else math.nan,
        **frames,
    }


def _prepare(scores: Floats, values: Floats) -> Draws:
    gaps = np.abs(scores - values)  # [N, frames]
    frames = gaps.shape[1]
    # around the mean, so that large values with a small spread keep their digits
    true = values - (values.mean() if values.size else 0.0)
    sums = np.stack([gaps.sum(axis=1), (gaps**2).sum(axis=1), true.sum(axis=1), (true**2).sum(axis=1)], axis=1)

    def draws(weights: Floats) -> dict[str, Floats]:
        absolute, squared, first, second = (weights @ sums).T
        total = weights.sum(axis=1)
        cells = total * frames
        spread = second - ratio(first**2, cells)
        # rounding leaves a spread a little above zero where all values drawn are one
        spread[spread <= 1e-9 * second] = 0.0
        each = ratio(weights @ gaps, total[:, None])
        return {
            "mae": ratio(absolute, cells),
            "rmse": np.sqrt(ratio(squared, cells)),
            "r2": 1 - ratio(squared, spread),
            **{f"mae_frame_{f + 1}": each[:, f] for f in range(frames)},
        }

    return draws


MAE: Final = METRICS.register("mae")(
    ScoreMetric(
        Metric(
            "mae",
            "MAE",
            "Mean absolute error, in the unit of the target; over all frames, where there are several.",
            higher_is_better=False,
        ),
        _evaluate,
        _prepare,
    )
)

RMSE: Final = METRICS.register("rmse")(
    ScoreMetric(
        Metric(
            "rmse",
            "RMSE",
            "Root of the mean squared error: large errors weigh more than in the MAE.",
            higher_is_better=False,
        ),
        _evaluate,
        _prepare,
    )
)

R2: Final = METRICS.register("r2")(
    ScoreMetric(
        Metric("r2", "R²", "Share of the variance explained; 0 is as good as the mean of the test examples."),
        _evaluate,
        _prepare,
    )
)

MAE_FRAME: Final = METRICS.register("mae_frame")(
    ScoreMetric(
        Metric("mae_frame_{column}", "MAE, frame {column}", "The MAE of frame {column} alone.", higher_is_better=False),
        _evaluate,
        _prepare,
        columns=True,
    )
)
