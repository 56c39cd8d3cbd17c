"""The oracle itself, on frames small enough to be worked by hand."""

import pandas as pd
import pytest

from tests.query_labels import oracle

ANCHOR = 1_706_659_200  # 2024-01-31 00:00:00 UTC


def at(*times: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(times), format="ISO8601", utc=True))


FACTS = pd.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", None, "x"],
        "kind": ["q", "p", None, None, "p", "p"],
        "value": [1.5, None, 0.25, None, 4.0, 4.0],
        "when": at(
            "2024-01-31 00:00:00",
            "2024-01-31 00:00:00.000001",
            "2024-02-01 00:00:00",
            "2024-02-01 00:00:00.5",
            "2024-02-01",
            "2024-02-01",
        ),
    }
)
USERS = pd.DataFrame(
    {
        "when": at("2024-01-31", "2024-01-31 00:00:00.000001", "2023-01-01", "2023-01-01"),
        "left": at("2024-01-31 00:00:00.5", "2025-01-01", "2024-01-31", "2030-01-01").where([True, True, True, False]),
    }
).set_axis(["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("count", "unit", "moment"),
    [
        (-3, "seconds", "2024-01-30 23:59:57"),
        (90, "minutes", "2024-01-31 01:30:00"),
        (-1, "hours", "2024-01-30 23:00:00"),
        (7, "days", "2024-02-07"),
        (2, "weeks", "2024-02-14"),
        (1, "months", "2024-02-29"),
        (3, "months", "2024-04-30"),
        (-2, "months", "2023-11-30"),
        (0, "months", "2024-01-31"),
    ],
)
def test_moments(count, unit, moment):
    assert oracle.shifted(ANCHOR, count, unit) == pd.Timestamp(moment, tz="UTC")


def test_windows_leave_their_start_out_and_take_their_end_in():
    assert list(oracle.inside(FACTS, ANCHOR, 0, 1).index) == [1, 2, 4, 5]
    assert list(oracle.inside(FACTS, ANCHOR, None, 0).index) == [0]
    assert list(oracle.inside(FACTS, ANCHOR, 0, 1, "seconds").index) == [1]


def test_entities_are_there_from_their_time_on_until_they_leave():
    assert list(oracle.alive(USERS, ANCHOR).index) == ["a", "d"]
    assert list(oracle.alive(USERS, ANCHOR + 1).index) == ["b", "d"]


def test_a_row_without_a_parent_has_missing_columns():
    parent = pd.DataFrame({"size": ["big", None]}, index=["a", "b"])
    joined = oracle.parents(FACTS, parent, "user_id", "users")
    assert [v if oracle.present(v) else None for v in joined["users.size"]] == ["big", "big", "big", None, None, None]


@pytest.mark.parametrize(
    ("value", "of_a", "of_b", "of_d"),
    [
        (oracle.rows, 3, 1, 0),
        (oracle.count("value"), 2, 0, 0),
        (oracle.count("kind"), 2, 0, 0),
        (oracle.kinds("kind"), 2, 0, 0),
        (oracle.total("value"), 1.75, 0, 0),
        (oracle.mean("value"), 0.875, None, None),
        (oracle.least("value"), 0.25, None, None),
        (oracle.most("value"), 1.5, None, None),
        (oracle.first("value"), 1.5, None, None),
        (oracle.last("value"), 0.25, None, None),
        (oracle.first("kind"), "q", None, None),
        (oracle.last("kind"), "p", None, None),
        (oracle.distinct("kind"), ["p", "q"], None, None),
    ],
)
def test_aggregates(value, of_a, of_b, of_d):
    found = oracle.each(USERS.loc[["a", "b", "d"]], FACTS, "user_id", value)
    assert found.to_dict() == {"a": of_a, "b": of_b, "d": of_d}


def test_times_of_one_second_are_equal_and_the_value_decides():
    facts = pd.DataFrame(
        {
            "user_id": ["a"] * 4,
            "kind": ["m", "b", "z", "k"],
            "when": at(
                "2024-01-31 00:00:00.1", "2024-01-31 00:00:01", "2024-01-31 00:00:00.9", "2024-01-31 00:00:01.1"
            ),
        }
    )
    users = pd.DataFrame(index=["a"])
    assert oracle.each(users, facts, "user_id", oracle.first("kind"))["a"] == "b"
    assert oracle.each(users, facts, "user_id", oracle.last("kind"))["a"] == "k"
    assert oracle.each(users, facts[:3], "user_id", oracle.last("kind"))["a"] == "z"


def test_no_comparison_holds_of_a_missing_value():
    values = pd.Series([1.0, None, 3.0], dtype=object)
    assert list(oracle.holds(values, lambda v: v > 1)) == [False, False, True]
    assert list(oracle.holds(values, lambda v: v != 1)) == [False, False, True]
    assert list(~oracle.holds(values, lambda v: v > 1)) == [True, True, False]


def test_texts_of_values():
    assert [oracle.text(v) for v in (True, False, 3.0, 4, "x")] == ["true", "false", "3", "4", "x"]
    assert list(oracle.known(pd.Series([None, "a", [], ["b"]], dtype=object))) == ["a", [], ["b"]]
