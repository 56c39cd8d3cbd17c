"""Windows of training, validation and test never overlap, whatever the data, window and step."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.query.anchors import DAY, Split, epoch_seconds, plan_anchors, show_time
from gnnscale.query.tree import Window
from gnnscale.schema import DataError

HOUR = 3_600
START = 1_704_067_200


@given(
    st.integers(0, 30 * 24),
    st.integers(1, 60 * 24),
    st.none() | st.integers(1, 40),
    st.integers(1, 30),
    st.integers(START, START + 400 * DAY),
    st.integers(1, 900 * DAY),
    st.none() | st.integers(0, 900 * 24),
)
def test_training_ends_before_validation_and_validation_before_test(start, length, step, train, first, span, test):
    window = Window(start * HOUR, (start + length) * HOUR, 0)
    at = None if test is None else datetime.fromtimestamp(first + test * HOUR, UTC)
    last = first + span
    try:
        plan = plan_anchors(window, (first, last), at, step, train)
    except DataError:
        return
    assert 1 <= len(plan.train) <= train
    assert list(plan.train) == sorted(set(plan.train))
    assert all(anchor + window.end <= plan.validation for anchor in plan.train)
    assert plan.validation + window.end <= plan.test
    assert first < plan.train[0]
    assert first <= plan.test + window.start < last
    if at is None:
        assert plan.test % DAY == 0 and plan.test + window.end <= last
        assert plan.test + window.end > last - DAY
    else:
        assert plan.test == epoch_seconds(at)
    assert plan.latest % DAY == 0 and last < plan.latest <= last + DAY


def test_a_week_over_sixty_days():
    plan = plan_anchors(Window(0, 7 * DAY, 0), (START + 60, START + 60 * DAY - 1))
    days = [(t - START) // DAY for t in (*plan.train, plan.validation, plan.test, plan.latest)]
    assert days == [3, 10, 17, 24, 31, 38, 45, 52, 60]
    assert plan.splits() == {
        **dict.fromkeys(plan.train, Split.TRAIN),
        plan.validation: Split.VALIDATION,
        plan.test: Split.TEST,
    }
    assert list(plan.splits()) == sorted(plan.splits())


def test_steps_count_days_between_training_anchors():
    plan = plan_anchors(Window(0, 7 * DAY, 0), (START, START + 60 * DAY), step_days=2, train=3)
    assert [b - a for a, b in zip(plan.train, plan.train[1:], strict=False)] == [2 * DAY] * 2
    # Eight days is the first multiple of the step that holds the window.
    assert plan.test - plan.validation == plan.validation - plan.train[-1] == 8 * DAY


def test_latest_and_test_can_be_set():
    test, latest = datetime(2024, 2, 20, 12), datetime(2024, 3, 3, tzinfo=UTC)
    plan = plan_anchors(Window(0, 7 * DAY, 0), (START, START + 60 * DAY), test=test, latest=latest)
    assert show_time(plan.test) == "2024-02-20 12:00:00"
    assert show_time(plan.latest) == "2024-03-03 00:00:00"


@pytest.mark.parametrize("test", [datetime(2025, 1, 1), datetime(2023, 1, 1), datetime(2024, 3, 1)])
def test_a_test_window_without_events_is_an_error_that_names_the_times(test):
    with pytest.raises(DataError, match=r"the test window \(20.*holds no event: times run from 2024-01-01 00:00:00"):
        plan_anchors(Window(0, 7 * DAY, 0), (START, START + 60 * DAY), test=test)


def test_a_window_longer_than_the_data_is_an_error():
    with pytest.raises(DataError, match="holds no event"):
        plan_anchors(Window(0, 90 * DAY, 0), (START, START + 60 * DAY))


def test_no_training_anchor_is_an_error_that_names_the_validation_window():
    with pytest.raises(DataError, match=r"no training anchor fits.*which starts at 2024-01-02"):
        plan_anchors(Window(0, 7 * DAY, 0), (START, START + 15 * DAY + HOUR))


@pytest.mark.parametrize("unit", [DAY, 7 * DAY])
def test_the_longest_window_that_a_query_can_say_is_an_error_too(unit):
    with pytest.raises(DataError):
        plan_anchors(Window(0, 10**9 * unit, 0), (START, START + 60 * DAY))
