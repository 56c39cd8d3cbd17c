"""A window is counted from its anchor in fixed units or in months of the calendar."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.query.window import LONG_AGO, UNIT_SECONDS, UNITS, Window, shift

DAY = 86_400
FIRST, LAST = -62_135_596_800, 253_402_300_799  # the years 1 and 9999
times = st.integers(-(10**9), 6 * 10**9)  # 1938 to 2160
months = st.integers(-600, 600)
windows = st.builds(
    lambda start, length, unit: Window(start, start + length, unit),
    st.integers(-400, 400),
    st.integers(1, 400),
    st.sampled_from(UNITS),
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_units_have_their_usual_lengths():
    assert UNIT_SECONDS == {"seconds": 1, "minutes": 60, "hours": 3600, "days": DAY, "weeks": 7 * DAY}


@given(times, st.integers(-(10**9), 10**9), st.sampled_from(sorted(UNIT_SECONDS)))
def test_a_fixed_unit_is_always_as_long(time, amount, unit):
    assert shift(time, amount, unit) - time == amount * UNIT_SECONDS[unit]


@given(times, months)
def test_months_are_those_of_the_calendar(time, amount):
    # Periods of pandas know no days, so that the day is cut by their own length of the month.
    whole = pd.Timestamp(time, unit="s")
    month = whole.to_period("M") + amount
    expected = whole.replace(year=month.year, month=month.month, day=min(whole.day, month.days_in_month))
    assert shift(time, amount, "months") == expected.value // 10**9
    assert expected == whole + pd.DateOffset(months=amount)


@pytest.mark.parametrize(
    ("start", "amount", "end"),
    [
        ("2024-01-31 12:30:05", 1, "2024-02-29 12:30:05"),
        ("2023-01-31", 1, "2023-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2024-03-31 23:59:59", -1, "2024-02-29 23:59:59"),
        ("1900-01-30", 1, "1900-02-28"),
        ("2000-01-30", 1, "2000-02-29"),
        ("2024-05-31", 1, "2024-06-30"),
        ("2024-12-15", 1, "2025-01-15"),
        ("2024-01-15", -1, "2023-12-15"),
        ("1970-01-01", -1, "1969-12-01"),
    ],
)
def test_the_day_is_cut_to_the_last_of_its_month(start, amount, end):
    assert shift(at(start), amount, "months") == at(end)


@given(times, times, months)
def test_a_later_time_is_never_moved_before_an_earlier_one_by_more_than_the_cut_day(one, other, amount):
    early, late = sorted((one, other))
    moved = shift(early, amount, "months"), shift(late, amount, "months")
    # On different days whose month is cut to one, only the time of day tells them apart.
    assert moved[0] // DAY <= moved[1] // DAY


@given(st.integers(-10_000, 60_000), st.integers(0, 400), months)
def test_anchors_at_one_time_of_day_keep_their_order(day, apart, amount):
    assert shift(day * DAY, amount, "months") <= shift((day + apart) * DAY, amount, "months")


@given(times, st.integers(-100, 100), st.integers(1, 100))
def test_more_months_are_later(time, amount, more):
    assert shift(time, amount, "months") < shift(time, amount + more, "months")


@given(st.integers(-(10**18), 10**18), st.integers(-(10**9), 10**9))
def test_no_number_of_months_leaves_the_calendar_by_an_error(time, amount):
    moved = shift(time, amount, "months")
    assert moved in (LONG_AGO, -LONG_AGO) or FIRST <= moved <= LAST


def test_months_past_the_calendar_end_later_than_all_or_before_all():
    assert shift(0, 10**9, "months") == -LONG_AGO
    assert shift(0, -(10**9), "months") == LONG_AGO
    assert shift(0, 8029 * 12 + 11, "months") == at("9999-12-01")
    assert shift(0, 8029 * 12 + 12, "months") == -LONG_AGO
    assert shift(0, -1969 * 12, "months") == at("0001-01-01")
    assert shift(0, -1969 * 12 - 1, "months") == LONG_AGO


@given(windows, st.integers(-10_000, 60_000).map(lambda day: day * DAY))
def test_a_window_starts_before_it_ends_and_neighbors_touch(window, anchor):
    start, end = window.span(anchor)
    assert start < end
    assert window.moved(window.length).span(anchor)[0] == end
    assert window.moved(-window.end).span(anchor)[1] == anchor
    assert window.moved(3).moved(-3) == window


def test_a_window_from_ever_on_starts_before_all_times():
    window = Window(None, -2, "weeks")
    assert window.span(at("2024-01-31")) == (LONG_AGO, at("2024-01-17"))
    assert LONG_AGO < FIRST
    assert window.moved(2) == Window(None, 0, "weeks")
    with pytest.raises(TypeError, match="no length"):
        _ = window.length


def test_where_a_window_stands_in_a_text_does_not_matter():
    assert Window(0, 7, "days", 5) == Window(0, 7, "days", 9)
    assert hash(Window(0, 7, "days", 5)) == hash(Window(0, 7, "days", 9))
    assert Window(0, 7, "days") != Window(0, 1, "weeks")


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window(0, 7), "(anchor, +7] days"),
        (Window(-30, 0, "weeks"), "(-30, anchor] weeks"),
        (Window(None, 3, "months"), "(-INF, +3] months"),
        (Window(-2, -1, "hours"), "(-2, -1] hours"),
    ],
)
def test_a_window_is_shown_with_signs(window, text):
    assert str(window) == text
