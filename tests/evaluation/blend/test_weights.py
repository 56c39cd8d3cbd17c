"""Weights go to what makes the loss small, and little is believed of few entities."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.evaluation.blend.weights import mean_and_error, search_weights

RNG = np.random.default_rng(0)


def squared(methods: np.ndarray, truth: np.ndarray):
    """Squared error of the weighted sum of methods, ``[methods, N]``."""
    return lambda weights: (weights @ methods - truth) ** 2


def of_noise(count: int, *spreads: float) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and methods that miss it by noise of their own."""
    rng = np.random.default_rng(count)
    truth = rng.normal(size=count)
    return np.stack([truth + rng.normal(size=count) * spread for spread in spreads]), truth


def test_independent_methods_share_the_weight_as_their_variances_want():
    methods, truth = of_noise(20_000, 1.0, 0.5)
    found = search_weights(squared(methods, truth), 2, np.arange(20_000))
    # The best weights are as 1 / variance: 0.2 and 0.8, within a step.
    assert found.weights == pytest.approx([0.2, 0.8], abs=0.05)
    assert found.loss < found.single.min() and found.single == pytest.approx([1, 0.25], rel=0.05)


def test_a_method_that_adds_nothing_gets_nothing():
    methods, truth = of_noise(5_000, 0.5, 5.0)
    copy = np.concatenate([methods, methods[:1] * 1.0])
    found = search_weights(squared(copy, truth), 3, np.arange(5_000))
    assert found.weights.tolist() == [1, 0, 0], "of two that are the same the first is taken"


def test_few_entities_stay_near_the_best_single_method():
    methods, truth = of_noise(20_000, 0.5, 0.5)
    many = search_weights(squared(methods, truth), 2, np.arange(20_000)).weights
    # The same examples, all of 25 entities.
    few = search_weights(squared(methods, truth), 2, np.arange(20_000) % 25).weights
    assert many.min() > 0.4 and few.min() == pytest.approx(0.2 * many.min(), abs=0.02)
    assert few.sum() == pytest.approx(1) and many.sum() == pytest.approx(1)


def test_one_entity_decides_nothing_but_which_method_stands_alone():
    methods, truth = of_noise(100, 0.5, 0.5)
    found = search_weights(squared(methods, truth), 2, np.zeros(100, np.int64))
    assert sorted(found.weights) == [0, 1] and found.weights.argmax() == found.single.argmin()


def test_the_error_of_a_mean_draws_entities_whole():
    values, owner = RNG.normal(size=600), np.repeat(np.arange(60), 10)
    mean, error = mean_and_error(values, owner, 60)
    draws = np.array([values.reshape(60, 10)[RNG.integers(0, 60, 60)].mean() for _ in range(4_000)])
    assert mean == pytest.approx(values.mean()) and error == pytest.approx(draws.std(), rel=0.1)
    # Rows that repeat one entity's value tell nothing more.
    again = mean_and_error(np.repeat(values, 3), np.repeat(np.arange(600), 3), 600)
    assert again[1] == pytest.approx(mean_and_error(values, np.arange(600), 600)[1])
