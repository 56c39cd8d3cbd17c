"""Windows of training, validation and test never overlap, whatever the data, window and step."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.query.anchors import DAY, Split, epoch_seconds, plan_anchors, show_time
from gnnscale.query.horizon import Horizon
from gnnscale.query.window import LONG_AGO, Window
from gnnscale.schema import DataError

HOUR = 3_600
START = 1_704_067_200
WEEK = Horizon((Window(0, 7),))
SIXTY = (START, START + 60 * DAY)


def window(unit: str, longest: int) -> st.SearchStrategy[Window]:
    return st.builds(
        lambda start, length: Window(start, start + length, unit),
        st.integers(0, longest // 2),
        st.integers(1, longest),
    )


windows = st.one_of(window("months", 6), window("weeks", 9), window("days", 60), window("hours", 1_440))
horizons = st.lists(windows, min_size=1, max_size=3).map(lambda found: Horizon(tuple(found)))
seconds = st.one_of(window("minutes", 200), window("seconds", 9_000)).map(lambda found: Horizon((found,)))


@given(
    st.one_of(horizons, seconds),
    st.none() | st.integers(1, 40),
    st.integers(1, 30),
    st.integers(START, START + 400 * DAY),
    st.integers(1, 900 * DAY),
    st.none() | st.integers(0, 900 * 24),
    st.none() | st.integers(0, 900 * 24),
)
def test_training_ends_before_validation_and_validation_before_test(
    horizon, step, train, first, span, test, validation
):
    last = first + span
    test_at, validation_at = (
        None if hours is None else datetime.fromtimestamp(first, UTC) + timedelta(hours=hours)
        for hours in (test, validation)
    )
    try:
        plan = plan_anchors(horizon, (first, last), test_at, validation_at, step, train)
    except DataError:
        return
    assert 1 <= len(plan.train) <= train
    assert list(plan.train) == sorted(set(plan.train))
    assert all(horizon.span(anchor)[1] <= plan.validation for anchor in plan.train)
    assert horizon.span(plan.validation)[1] <= plan.test
    assert first < plan.train[0]
    assert first <= horizon.span(plan.test)[0] < last
    end = horizon.span(0)[1]
    grain = DAY if end >= DAY else HOUR if end >= HOUR else 60 if end >= 60 else 1
    if test_at is None:
        assert plan.test % grain == 0
        # The last one: its window ends inside the data, and that of the next anchor does not.
        assert horizon.span(plan.test)[1] <= last < horizon.span(plan.test + grain)[1]
    else:
        assert plan.test == epoch_seconds(test_at)
    if validation_at is not None:
        assert plan.validation == epoch_seconds(validation_at)
    assert plan.latest % grain == 0 and last <= plan.latest < last + grain


def test_a_week_over_sixty_days():
    plan = plan_anchors(WEEK, (START + 60, START + 60 * DAY - 1))
    days = [(t - START) // DAY for t in (*plan.train, plan.validation, plan.test, plan.latest)]
    assert days == [3, 10, 17, 24, 31, 38, 45, 52, 60]
    assert plan.splits() == {
        **dict.fromkeys(plan.train, Split.TRAIN),
        plan.validation: Split.VALIDATION,
        plan.test: Split.TEST,
    }
    assert list(plan.splits()) == sorted(plan.splits())
    assert [plan.of(split) for split in Split] == [plan.train, (plan.validation,), (plan.test,)]
    assert not plan.static


def test_months_step_by_months():
    first, last = epoch_seconds(datetime(2023, 1, 1)), epoch_seconds(datetime(2024, 3, 31, 12))
    plan = plan_anchors(Horizon((Window(0, 1, "months"),)), (first, last), train=4)
    assert show_time(plan.test) == "2024-02-29 00:00:00"
    assert [show_time(t)[:10] for t in (*plan.train, plan.validation)] == [
        "2023-09-29",
        "2023-10-29",
        "2023-11-29",
        "2023-12-29",
        "2024-01-29",
    ]


def test_a_month_that_ends_at_the_last_fact_is_inside_the_data():
    # A month before April 30 is March 30, and a month after March 31 is April 30 too.
    first, last = epoch_seconds(datetime(2023, 1, 1)), epoch_seconds(datetime(2024, 4, 30))
    plan = plan_anchors(Horizon((Window(0, 1, "months"),)), (first, last))
    assert show_time(plan.test) == "2024-03-31 00:00:00"


def test_a_window_that_ends_a_second_late_takes_another_step():
    for length, steps in ((DAY, 1), (DAY + 1, 2)):
        plan = plan_anchors(Horizon((Window(0, length, "seconds"),)), SIXTY, step_days=1)
        assert plan.test - plan.validation == plan.validation - plan.train[-1] == steps * DAY


def test_the_window_that_reaches_farthest_counts():
    assumed = Horizon((Window(0, 2), Window(10, 14), Window(1, 1 + 5 * 24, "hours")))
    assert assumed.span(START) == (START, START + 14 * DAY)
    assert assumed.reach == (14, "days")
    assert Horizon((Window(0, 31), Window(0, 1, "months"))).reach == (31, "days")
    plan = plan_anchors(assumed, (START, START + 90 * DAY))
    assert plan.test == START + 76 * DAY
    assert plan.validation == plan.test - 14 * DAY and plan.train[-1] == plan.test - 28 * DAY


def test_windows_shorter_than_a_day_stand_on_hours_minutes_or_seconds():
    last = START + 20 * DAY + 5 * HOUR + 6 * 60 + 7
    for unit, size in (("hours", HOUR), ("minutes", 60), ("seconds", 1)):
        plan = plan_anchors(Horizon((Window(0, 1, unit),)), (START, last), train=3)
        assert plan.test == (last - size) // size * size
        assert plan.test - plan.validation == plan.validation - plan.train[-1] == size
        assert plan.latest == -(-last // size) * size


def test_steps_count_days_between_training_anchors():
    plan = plan_anchors(WEEK, SIXTY, step_days=2, train=3)
    assert [b - a for a, b in zip(plan.train, plan.train[1:], strict=False)] == [2 * DAY] * 2
    # Eight days is the first multiple of the step that holds the window.
    assert plan.test - plan.validation == plan.validation - plan.train[-1] == 8 * DAY


def test_every_anchor_can_be_set():
    plan = plan_anchors(
        WEEK,
        SIXTY,
        test=datetime(2024, 2, 20, 12),
        validation=datetime(2024, 2, 1),
        step_days=1,
        start=datetime(2024, 1, 10),
        end=datetime(2024, 1, 13),
        latest=datetime(2024, 3, 3, tzinfo=UTC),
    )
    assert show_time(plan.test) == "2024-02-20 12:00:00"
    assert show_time(plan.validation) == "2024-02-01 00:00:00"
    assert [show_time(t)[:10] for t in plan.train] == ["2024-01-10", "2024-01-11", "2024-01-12", "2024-01-13"]
    assert show_time(plan.latest) == "2024-03-03 00:00:00"


def test_the_last_training_anchors_are_those_that_count():
    plan = plan_anchors(WEEK, SIXTY, step_days=1, train=2, end=datetime(2024, 1, 20))
    assert [show_time(t)[:10] for t in plan.train] == ["2024-01-19", "2024-01-20"]


@pytest.mark.parametrize("days", [-6, 0, 3])
def test_a_validation_window_that_ends_after_the_test_anchor_is_an_error(days):
    test = datetime(2024, 2, 20)
    with pytest.raises(DataError, match=r"validation window of .* after the test anchor.*anchors\.validation"):
        plan_anchors(WEEK, SIXTY, test=test, validation=test + timedelta(days=days))


def test_a_query_without_windows_is_asked_once():
    plan = plan_anchors(Horizon(()), (START + 5, START + 10 * DAY + 1))
    assert plan.static and plan.splits() == {}
    assert plan.train == (plan.validation,) == (plan.test,) == (plan.latest,) == (START + 11 * DAY,)
    assert plan.horizon.span(plan.test) == (plan.test, plan.test)
    # A fact at midnight is known then.
    assert plan_anchors(Horizon(()), (START, START + 10 * DAY)).latest == START + 10 * DAY
    set_at = plan_anchors(Horizon(()), (0, 0), latest=datetime(2024, 1, 1))
    assert set_at.test == START


@pytest.mark.parametrize("test", [datetime(2025, 1, 1), datetime(2023, 1, 1), datetime(2024, 3, 1)])
def test_a_test_window_without_events_is_an_error_that_names_the_times(test):
    with pytest.raises(DataError, match=r"the test window \(20.*holds no event: times run from 2024-01-01 00:00:00"):
        plan_anchors(WEEK, SIXTY, test=test)


def test_a_window_longer_than_the_data_is_an_error():
    with pytest.raises(DataError, match=r"is as long as the data, from 2024-01-01 .* Ask for a shorter one"):
        plan_anchors(Horizon((Window(0, 90),)), SIXTY)


def test_no_training_anchor_is_an_error_that_names_the_validation_window():
    with pytest.raises(
        DataError, match=r"no training anchor fits.*which starts at 2024-01-02.*a later anchors.test or a"
    ):
        plan_anchors(WEEK, (START, START + 15 * DAY + HOUR))
    # No test is late enough for training from then on.
    with pytest.raises(DataError, match=r"no training anchor fits.*: a shorter window would"):
        plan_anchors(WEEK, SIXTY, start=datetime(2024, 3, 1))


@pytest.mark.parametrize(("amount", "unit"), [(10**9, "days"), (10**9, "weeks"), (1_200, "months")])
def test_the_longest_window_that_a_query_can_say_is_an_error_too(amount, unit):
    with pytest.raises(DataError):
        plan_anchors(Horizon((Window(0, amount, unit),)), SIXTY)


def test_any_time_can_be_shown():
    assert show_time(START) == "2024-01-01 00:00:00"
    assert show_time(-1) == "1969-12-31 23:59:59"
    assert "from 1970" in show_time(LONG_AGO)


def days_of(anchors):
    return [(anchor - START) // DAY for anchor in anchors]


def test_several_anchors_validate_and_test_and_no_split_overlaps_another():
    plan = plan_anchors(WEEK, SIXTY, validation_count=2, test_count=3)
    assert days_of(plan.tests) == [39, 46, 53] and days_of(plan.validations) == [25, 32]
    assert days_of(plan.train) == [4, 11, 18] and (plan.test, plan.validation) == (plan.tests[-1], plan.validations[-1])
    assert plan.of(Split.TEST) == plan.tests and plan.of(Split.VALIDATION) == plan.validations
    assert list(plan.splits().values()) == ["train"] * 3 + ["validation"] * 2 + ["test"] * 3
    assert list(plan.splits()) == sorted(plan.splits())


@given(
    days=st.integers(60, 400),
    length=st.integers(1, 15),
    step=st.none() | st.integers(1, 20),
    tests=st.integers(1, 4),
    validations=st.integers(1, 4) | st.just("auto"),
    rows=st.none() | st.floats(1, 2_000),
)
def test_windows_of_a_split_end_before_the_next_one_begins(days, length, step, tests, validations, rows):
    horizon = Horizon((Window(0, length),))
    try:
        plan = plan_anchors(
            horizon,
            (START, START + days * DAY),
            step_days=step,
            test_count=tests,
            validation_count=validations,
            rows=rows,
        )
    except DataError:
        return
    assert len(plan.tests) == tests and (validations == "auto" or len(plan.validations) == validations)
    for earlier, later in ((plan.train, plan.validations), (plan.validations, plan.tests)):
        assert horizon.span(earlier[-1])[1] <= later[0], "a window of one split overlaps another's"
    assert all(at >= START and horizon.span(at)[1] <= START + days * DAY for at in plan.tests)


def test_lists_of_anchors_are_taken_as_they_are():
    tests, validations = [datetime(2024, 2, 20), datetime(2024, 2, 15)], [datetime(2024, 2, 1)]
    plan = plan_anchors(WEEK, SIXTY, test=tests, validation=validations)
    assert [show_time(at)[:10] for at in plan.tests] == ["2024-02-15", "2024-02-20"]
    assert [show_time(at)[:10] for at in plan.validations] == ["2024-02-01"]
    with pytest.raises(DataError, match=r"after the test anchor .2024-02-15"):
        plan_anchors(WEEK, SIXTY, test=tests, validation=[datetime(2024, 2, 1), datetime(2024, 2, 10)])
    with pytest.raises(DataError, match=r"no event.*fewer or later times, or anchors.test_count lower"):
        plan_anchors(WEEK, SIXTY, test_count=20)
    with pytest.raises(DataError, match=r"anchors.test are 2 times, and a query without a window is split at one"):
        plan_anchors(Horizon(()), SIXTY, test=tests, own_times=True)


def test_few_examples_an_anchor_give_more_of_them():
    year = (START, START + 700 * DAY)
    assert len(plan_anchors(WEEK, year).validations) == 1 and len(plan_anchors(WEEK, year).train) == 26
    many = plan_anchors(WEEK, year, rows=1_000.0)
    assert (len(many.validations), len(many.train)) == (1, 26)
    some = plan_anchors(WEEK, year, rows=300.0)
    assert (len(some.validations), len(some.train)) == (2, 67), "two validate 600, and 67 train 20,100"
    few = plan_anchors(WEEK, year, rows=14.0)
    assert len(few.validations) == 8 and few.train[0] - START <= 7 * DAY, "eight at most, and all that are left"
    short = plan_anchors(WEEK, (START, START + 100 * DAY), rows=14.0)
    assert len(short.validations) == 3, "a quarter of the 13 before the test"
    assert len(plan_anchors(WEEK, year, rows=14.0, train=5, validation_count=1).train) == 5
    assert len(plan_anchors(WEEK, year, rows=14.0, train_examples=500).train) == 36
