from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from gnnscale.metrics.intervals import bootstrap_interval, paired_difference
from gnnscale.schema.errors import DataError


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(300):
        interval = bootstrap_interval(rng.exponential(1.0, size=80), level=0.9, resamples=300, seed=trial)
        inside += interval.low <= 1.0 <= interval.high
    assert 0.82 <= inside / 300 <= 0.94  # a percentile interval of skewed data covers a little too little


def test_agrees_with_scipy() -> None:
    values = np.random.default_rng(2).beta(1, 5, size=500)
    ours = bootstrap_interval(values, resamples=4000)
    peer = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=3)
    assert ours.low == pytest.approx(peer.confidence_interval.low, abs=0.001)
    assert ours.high == pytest.approx(peer.confidence_interval.high, abs=0.001)


def test_a_seed_fixes_the_interval_and_another_moves_it() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


def test_a_lower_level_is_narrower() -> None:
    values = np.random.default_rng(0).random(50)
    wide, narrow = bootstrap_interval(values, level=0.99), bootstrap_interval(values, level=0.5)
    assert wide.low < narrow.low < values.mean() < narrow.high < wide.high


def test_pairing_takes_out_what_both_share() -> None:
    rng = np.random.default_rng(3)
    hardness = rng.normal(0, 5, size=400)
    a, b = hardness + 0.2 + rng.normal(0, 0.1, 400), hardness + rng.normal(0, 0.1, 400)
    difference = paired_difference(a, b)
    assert difference.mean == pytest.approx(np.mean(a - b))
    assert 0.15 < difference.interval.low < difference.mean < difference.interval.high < 0.25
    assert difference.interval.excludes_zero
    assert not paired_difference(a, a).interval.excludes_zero


def test_one_value_and_none() -> None:
    assert bootstrap_interval([0.3]).low == bootstrap_interval([0.3]).high == pytest.approx(0.3)
    nothing = bootstrap_interval([])
    assert math.isnan(nothing.low)
    assert not nothing.excludes_zero
    assert math.isnan(paired_difference([], []).mean)


def test_faults_are_named() -> None:
    with pytest.raises(DataError, match="finite"):
        bootstrap_interval([1.0, math.nan])
    with pytest.raises(DataError, match="level"):
        bootstrap_interval([1.0], level=95)
    with pytest.raises(DataError, match="resamples"):
        bootstrap_interval([1.0], resamples=0)
    with pytest.raises(DataError, match="as many"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match="flat"):
        bootstrap_interval([[1.0]])
