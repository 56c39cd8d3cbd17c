"""Learning rates by step, worked by hand: a peak of 2, 4 steps of warm-up, 100 steps."""

from typing import get_args

import pytest

from gnnscale.config.sections.training import TrainingSettings
from gnnscale.training.schedule import SCHEDULES, learning_rate

RATES = {
    # step -> rate; in the warm-up a quarter of the peak more each step.
    "constant": {0: 0.5, 1: 1.0, 3: 2.0, 50: 2.0, 99: 2.0},
    # 2 (1 - t + 1/100)
    "linear": {0: 0.25 * 2.02, 3: 1.96, 25: 1.52, 50: 1.02, 100: 0.02},
    # 2 ((1 + cos pi t) / 2 + 1/100); cos of 60, 90 and 120 degrees
    "cosine": {0: 0.25 * 2.02, 50: 1.02, 100: 0.02},
    "step": {0: 0.5, 3: 2.0, 49: 2.0, 50: 0.2, 74: 0.2, 75: 0.02, 99: 0.02},
    # 2 sqrt(4 / (step + 1)): from the 4th step on, half of it at the 16th, a fifth at the 100th
    "inverse_sqrt": {0: 0.5, 3: 2.0, 15: 1.0, 35: 2 / 3, 99: 0.4},
}


@pytest.mark.parametrize("schedule", RATES)
def test_rates_are_those_worked_by_hand(schedule):
    settings = TrainingSettings(schedule=schedule, learning_rate=2.0, warmup_steps=4)
    found = {step: learning_rate(settings, settings.learning_rate, step, 100) for step in RATES[schedule]}
    assert found == pytest.approx(RATES[schedule], abs=1e-12)


def test_a_third_of_a_cosine_is_three_quarters():
    settings = TrainingSettings(learning_rate=2.0, warmup_steps=0)
    assert settings.schedule == "cosine"
    assert learning_rate(settings, settings.learning_rate, 20, 60) == pytest.approx(2 * (0.75 + 0.01))


def test_every_schedule_that_can_be_set_is_there():
    assert set(SCHEDULES) == set(get_args(TrainingSettings.model_fields["schedule"].annotation))
