"""The definition of a label in plain pandas: one anchor, one entity, one aggregate at a time.

Nothing of the language's own code is used here, and nothing is fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

Value = Callable[[pd.DataFrame], Any]


def shifted(anchor: int, count: int | None, unit: str = "days") -> pd.Timestamp:
    """The anchor (epoch seconds) plus ``count`` units; None is -INF. Months are of the calendar."""
    if count is None:
        return pd.Timestamp.min.tz_localize("UTC")
    at = pd.Timestamp(anchor, unit="s", tz="UTC")
    if unit == "months":
        return at + pd.DateOffset(months=count)
    return at + pd.Timedelta(count * {"weeks": 7}.get(unit, 1), unit={"weeks": "days"}.get(unit, unit))


def inside(facts: pd.DataFrame, anchor: int, start: int | None, end: int, unit: str = "days") -> pd.DataFrame:
    """Facts in ``(anchor + start, anchor + end]``."""
    return facts[(facts["when"] > shifted(anchor, start, unit)) & (facts["when"] <= shifted(anchor, end, unit))]


def alive(entities: pd.DataFrame, anchor: int) -> pd.DataFrame:
    """Rows that are there at the anchor: come by then, and not gone by then."""
    at = shifted(anchor, 0)
    if "when" in entities:
        entities = entities[entities["when"] <= at]
    if "left" in entities:
        entities = entities[entities["left"].isna() | (entities["left"] > at)]
    return entities


def ceiled(when: pd.Timestamp) -> int:
    """The second by which a row is there, in epoch seconds."""
    return math.ceil(when.value / 1_000_000_000)


def at_own_time(entities: pd.DataFrame) -> pd.DataFrame:
    """Rows that are there at their own time: all but those that are gone by then."""
    if "left" in entities:
        came = pd.to_datetime(entities["when"].map(ceiled), unit="s", utc=True)
        entities = entities[entities["left"].isna() | (entities["left"] > came)]
    return entities


def parents(rows: pd.DataFrame, parent: pd.DataFrame, key: str, name: str) -> pd.DataFrame:
    """Rows with the columns of the row that ``key`` names, as ``name.column``; missing where it names none."""
    return rows.join(parent.add_prefix(f"{name}."), on=key)


def each(entities: pd.DataFrame, facts: pd.DataFrame, key: str, value: Value) -> pd.Series:
    """``value`` of every entity's facts, also of those that have none; facts without a known entity are nobody's."""
    groups = dict(iter(facts.groupby(key)))
    return pd.Series([value(groups.get(k, facts.iloc[:0])) for k in entities.index], index=entities.index, dtype=object)


def holds(values: pd.Series, test: Callable[[Any], bool]) -> pd.Series:
    """Where the test holds of a value; never of a missing one."""
    return pd.Series([present(v) and bool(test(v)) for v in values], index=values.index, dtype=bool)


def known(values: pd.Series) -> pd.Series:
    """Without the missing ones."""
    return values[[present(v) for v in values]]


def present(value: Any) -> bool:
    """Whether there is a value."""
    return isinstance(value, list) or not pd.isna(value)


def rows(facts: pd.DataFrame) -> float:
    """COUNT(t.*)"""
    return float(len(facts))


def count(column: str) -> Value:
    """COUNT(t.column)"""
    return lambda facts: float(facts[column].notna().sum())


def kinds(column: str) -> Value:
    """COUNT_DISTINCT"""
    return lambda facts: float(len(set(facts[column].dropna())))


def total(column: str) -> Value:
    """SUM: 0 over nothing."""
    return lambda facts: float(sum(facts[column].dropna()))


def mean(column: str) -> Value:
    """AVG: missing over nothing."""
    return _over(column, lambda values: sum(values) / len(values))


def least(column: str) -> Value:
    """MIN"""
    return _over(column, min)


def most(column: str) -> Value:
    """MAX"""
    return _over(column, max)


def first(column: str) -> Value:
    """FIRST: of the rows with a value, the one of the earliest second (rounded up); the smallest among equals."""
    return _at_the_end(column, min)


def last(column: str) -> Value:
    """LAST: the one of the latest second; the largest among equals."""
    return _at_the_end(column, max)


def distinct(column: str) -> Value:
    """LIST_DISTINCT of values, as sorted texts; missing over nothing."""
    return _over(column, lambda values: sorted({text(v) for v in values}))


def text(value: Any) -> str:
    """A class: the text of a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) else str(value)


def texts(values: pd.Series) -> pd.Series:
    """The text of each present value."""
    return known(values).map(text)


def _over(column: str, value: Callable[[list[Any]], Any]) -> Value:
    def of(facts: pd.DataFrame) -> Any:
        values = list(facts[column].dropna())
        return value(values) if values else None

    return of


def _at_the_end(column: str, choose: Callable[[Any], Any]) -> Value:
    def of(facts: pd.DataFrame) -> Any:
        found = [
            (math.ceil(when.value / 1_000_000_000), v)
            for when, v in zip(facts["when"], facts[column], strict=True)
            if present(v)
        ]
        return choose(found)[1] if found else None

    return of
