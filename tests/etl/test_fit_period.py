"""Up to when rows count for the statistics of columns."""

from __future__ import annotations

import logging

import pytest

from gnnscale.etl.nodes.fit_period import TimedRows, default_period, fit_periods

DAY = 86_400
YEAR = 365 * DAY


def test_one_table_leaves_out_the_last_fifth_of_its_time() -> None:
    for first, last in ((0, 100 * DAY), (-7, 12), (5, 5)):
        table = TimedRows(1000, first, last)
        assert default_period({"events": table}) == table.period == last - (last - first) // 5
    assert default_period({}) == 0


def test_a_few_old_rows_hardly_move_it() -> None:
    orders = TimedRows(4000, 34 * YEAR, 36 * YEAR)
    shops = TimedRows(10, 0, 30 * YEAR)
    common, own = fit_periods({"orders": orders, "shops": shops}, None)
    assert 0 <= orders.period - common < 2 * DAY
    assert own == {"orders": common, "shops": common}


def test_rows_count_by_their_number() -> None:
    # By 80 days 800 of the one and 100 of the other have come, which is three quarters of all.
    one, other = TimedRows(1000, 0, 100), TimedRows(200, 60, 100)
    found = default_period({"one": one, "other": other})
    assert 1000 * found / 100 + 200 * (found - 60) / 40 >= 960
    assert 1000 * (found - 1) / 100 + 200 * (found - 61) / 40 < 960


def test_a_table_that_begins_late_has_a_period_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    log, reviews = TimedRows(1_000_000, 0, 10 * YEAR), TimedRows(50, 9 * YEAR, 10 * YEAR)
    with caplog.at_level(logging.INFO):
        common, own = fit_periods({"log": log, "reviews": reviews}, None)
    assert own == {"log": common, "reviews": reviews.period} and common < 9 * YEAR < reviews.period
    (line,) = caplog.messages
    assert line == (
        "'reviews' begins late, 1978-12-30 00:00:00: statistics of its columns count what is known by "
        "1979-10-18 00:00:00"
    )


def test_what_is_given_stands() -> None:
    log, reviews = TimedRows(1000, 0, 10 * YEAR), TimedRows(50, 9 * YEAR, 10 * YEAR)
    assert fit_periods({"log": log, "reviews": reviews}, 8 * YEAR) == (8 * YEAR, {"log": 8 * YEAR, "reviews": 8 * YEAR})
