"""Scores as probabilities: the curve rises, fits what came true, and cuts lists where it should."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from gnnscale.config import CalibrationSettings
from gnnscale.evaluation.blend.blend import Blend
from gnnscale.evaluation.blend.calibration import fit_calibration
from gnnscale.retrieval import Calibration
from gnnscale.schema import DataError


def lists(seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Falling scores, what came true, and how likely that was."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.normal(size=(count, 5)), axis=1).astype(np.float32)
    chance = 1 / (1 + np.exp(-(1.5 * scores - 1)))
    right = rng.random(scores.shape) < chance
    scores[:50, 3:], right[:50, 3:] = -np.inf, False
    return scores, right, chance


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_probabilities_are_those_that_things_come_true_with(method):
    scores, right, chance = lists(0)
    curve = fit_calibration(CalibrationSettings(method=method, even=False), scores, right)
    found, there = curve.probabilities(scores), np.isfinite(scores)
    assert np.abs(found - chance)[there].mean() < 0.02 and not found[~there].any()
    assert found[there].mean() == pytest.approx(right[there].mean(), abs=1e-3)
    assert (np.diff(found[there][np.argsort(scores[there])]) >= 0).all()


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_at_even_odds_a_half_is_where_right_and_wrong_are_as_frequent(method):
    scores, right, chance = lists(1)
    curve = fit_calibration(CalibrationSettings(method=method), scores, right)
    there, share = np.isfinite(scores), right[np.isfinite(scores)].mean()
    odds = chance / (1 - chance) * (1 - share) / share
    assert np.abs(curve.probabilities(scores) - odds / (1 + odds))[there].mean() < 0.025


def test_rows_below_the_least_probability_are_left_out():
    curve = Calibration("platt", (1.0, 0.0), least=0.5)
    scores = np.array([[2.0, 0.0, -0.1], [-1.0, -np.inf, -np.inf]], np.float32)
    targets = np.array([[4, 5, 6], [7, -1, -1]])
    assert curve.kept(targets, scores).tolist() == [[4, 5, -1], [-1, -1, -1]]


def test_a_score_that_says_the_contrary_is_worth_the_mean():
    scores, right, _ = lists(2)
    curve = fit_calibration(CalibrationSettings(method="platt", even=False), -scores, right)
    found = curve.probabilities(np.array([-3.0, 3.0], np.float32))
    np.testing.assert_allclose(found, right[np.isfinite(scores)].mean(), rtol=1e-5)


def test_lists_without_a_hit_are_named():
    with pytest.raises(DataError, match="none of 2 are right"):
        fit_calibration(CalibrationSettings(), np.ones((1, 2), np.float32), np.zeros((1, 2), np.bool_))


def test_a_blend_keeps_its_curve():
    curve = Calibration("isotonic", (0.0, 1.5), (0.25, 0.75), 0.5)
    blend = Blend.of(["network"], [1.0], calibration=curve)
    assert Blend.from_dict(json.loads(json.dumps(blend.to_dict()))) == blend
    assert curve.probabilities(np.array([-9, 0.75, 9], np.float32)).tolist() == [0.25, 0.5, 0.75]
    assert Calibration.from_dict(asdict(curve)) == curve
