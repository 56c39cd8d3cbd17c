"""The curve from scores of lists to probabilities, by the validation examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from gnnscale.arrays import Flags
from gnnscale.config import CalibrationSettings
from gnnscale.retrieval import Calibration
from gnnscale.schema import DataError

LOOSE = 1e6
"""Inverse strength of the penalty of the logistic curve: as good as none."""


def fit_calibration(wanted: CalibrationSettings, scores: NDArray[np.float32], right: Flags) -> Calibration:
    """The curve that fits lists whose truth is known.

    Args:
        wanted: which curve.
        scores: of the lists' targets, ``[N, K]``, -inf where there is none.
        right: which came true, bool ``[N, K]``.

    Raises:
        DataError: all of them came true, or none did.
    """
    there = np.isfinite(scores)
    x, y = scores[there].astype(np.float64), right[there]
    if y.all() or not y.any():
        raise DataError(
            f"retrieval.calibration needs lists of the validation examples with right and wrong targets, and "
            f"{'all' if y.all() else 'none'} of {len(y):,} are right"
        )
    share = y.mean()
    weight = np.where(y, 0.5 / share, 0.5 / (1 - share)) if wanted.even else np.ones(len(y))
    if wanted.method == "platt":
        curve = LogisticRegression(C=LOOSE).fit(x[:, None], y, weight)
        # A score that says nothing, or the contrary, is worth the mean.
        scale = max(0.0, float(curve.coef_[0, 0]))
        mean = float((weight * y).sum() / weight.sum())
        shift = float(curve.intercept_[0]) if scale else float(np.log(mean / (1 - mean)))
        return Calibration("platt", (scale, shift), least=wanted.least)
    steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y, weight)
    return Calibration(
        "isotonic", tuple(steps.X_thresholds_.tolist()), tuple(steps.y_thresholds_.tolist()), wanted.least
    )
