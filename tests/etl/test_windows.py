"""Aggregates over windows equal a reading in pandas: one entity, one anchor, one fact at a time."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.etl.labels import windows as subject
from gnnscale.etl.labels.windows import Measure, aggregate_windows, fill_empty
from gnnscale.query.syntax.parser import FUNCTIONS
from gnnscale.query.window import LONG_AGO, Window, shift

DAY = 86_400
START = 1_704_067_200  # 2024-01-01
ENTITIES = 4


def make_events(seed: int, rows: int, edges: Sequence[int]) -> pd.DataFrame:
    """Facts, every other one within a second of an edge; some are nobody's, undated or without a value."""
    rng = np.random.default_rng(seed)
    near = rng.choice(edges, rows) + rng.integers(-1, 2, rows)
    anywhere = rng.integers(min(edges) - 20 * DAY, max(edges) + 20 * DAY, rows)
    return pd.DataFrame(
        {
            "entity": pd.Series(rng.integers(0, ENTITIES, rows), dtype="Int64").mask(rng.random(rows) < 0.1),
            "time": pd.Series(np.where(np.arange(rows) % 2, near, anywhere), dtype="Int64").mask(
                rng.random(rows) < 0.05
            ),
            # Sums of multiples of 1/4 are exact in any order.
            "value": pd.Series(rng.integers(-8, 9, rows) / 4, dtype="Float64").mask(rng.random(rows) < 0.15),
            "kept": rng.random(rows) < 0.5,
        }
    )


def frame_of_facts(spark: SparkSession, events: pd.DataFrame) -> DataFrame:
    rows = [tuple(None if pd.isna(v) else v for v in row) for row in events.astype(object).itertuples(index=False)]
    return spark.createDataFrame(rows, "entity long, time long, value double, kept boolean")


Spec = tuple[str, bool, bool, Window | None]
"""Function, whether of a column, whether filtered, window."""


def measures_of(specs: Sequence[Spec]) -> list[Measure]:
    return [
        Measure(
            f"m{i}",
            function,
            F.col("value") if of_column else None,
            (F.col("value").isNotNull() & F.col("kept")) if filtered else None,
            window,
        )
        for i, (function, of_column, filtered, window) in enumerate(specs)
    ]


def found_values(
    spark: SparkSession,
    events: pd.DataFrame,
    specs: Sequence[Spec],
    anchors: Sequence[int],
    direct: float = subject.DIRECT,
) -> dict[tuple[int, int], tuple]:
    frame = aggregate_windows(frame_of_facts(spark, events), measures_of(specs), anchors, direct)
    rows = frame.collect()
    found = {(row["entity"], row["anchor_time"]): tuple(row[f"m{i}"] for i in range(len(specs))) for row in rows}
    assert len(found) == len(rows)
    return found


def expected_values(
    events: pd.DataFrame, specs: Sequence[Spec], anchors: Sequence[int]
) -> dict[tuple[int, int], tuple]:
    """The definition, in pandas."""
    owned = events[events["entity"].notna()]
    found = {}
    for anchor in anchors:
        for entity, group in owned.groupby("entity"):
            inside = [in_window(group, window, anchor) for *_, window in specs]
            if any(len(rows) for rows in inside):
                found[int(entity), anchor] = tuple(
                    one_value(rows[rows["value"].notna() & rows["kept"]] if filtered else rows, function, of_column)
                    for rows, (function, of_column, filtered, _) in zip(inside, specs, strict=True)
                )
    return found


def in_window(rows: pd.DataFrame, window: Window | None, anchor: int) -> pd.DataFrame:
    if window is None:
        return rows
    after = rows["time"].notna() if window.start is None else rows["time"] > shift(anchor, window.start, window.unit)
    return rows[(after & (rows["time"] <= shift(anchor, window.end, window.unit))).fillna(False)]


def one_value(rows: pd.DataFrame, function: str, of_column: bool) -> Any:
    """An aggregate of some facts; None where it has nothing to tell."""
    known = rows[rows["value"].notna()]
    values = known["value"].tolist()
    if function == "COUNT":
        return len(values) if of_column else len(rows)
    if function == "COUNT_DISTINCT":
        return len(set(values))
    if not values:
        return None
    if function in ("FIRST", "LAST"):
        dated = sorted(zip(known["time"].fillna(LONG_AGO).tolist(), values, strict=True))
        return dated[0 if function == "FIRST" else -1][1]
    whole: Any = {"SUM": sum, "MIN": min, "MAX": max, "LIST_DISTINCT": lambda v: sorted(set(v))}
    return sum(values) / len(values) if function == "AVG" else whole[function](values)


def check(
    spark: SparkSession,
    events: pd.DataFrame,
    specs: Sequence[Spec],
    anchors: Sequence[int],
) -> None:
    """Both ways to aggregate equal the definition, whichever would be taken."""
    expected = expected_values(events, specs, anchors)
    for direct in (0, 10**9):
        found = found_values(spark, events, specs, anchors, direct)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            assert found[key] == values, (key, specs, direct)


def regular(count: int, step: int) -> list[int]:
    return [START + i * step for i in range(count)]


ANCHORS = {
    "one": [START + 100 * DAY],
    "weekly": regular(9, 7 * DAY),
    "gaps": [START + day * DAY for day in (0, 7, 14, 30, 33, 100)],
    # A second between some and months between others: too many entries for a table.
    "odd": [START, START + 1, START + 61, START + 90 * DAY + 7, START + 170 * DAY + 1],
    # The ends of their months bring some together.
    "month ends": [START + day * DAY for day in (27, 28, 29, 30, 31, 59, 60, 61, 62)],
}
WINDOWS = [
    Window(0, 7),
    Window(0, 1),
    Window(-7, 0),
    Window(2, 5),
    Window(-90, 30),
    Window(None, 0),
    Window(None, 3, "weeks"),
    Window(0, 1, "months"),
    Window(-2, 0, "months"),
    Window(-1, 1, "months"),
    Window(0, 90, "minutes"),
    Window(-1, 1, "seconds"),
    None,
]
kinds = st.sampled_from([*((f, True) for f in FUNCTIONS), ("COUNT", False)])
specs = st.lists(
    st.builds(lambda kind, filtered, window: (*kind, filtered, window), kinds, st.booleans(), st.sampled_from(WINDOWS)),
    min_size=1,
    max_size=5,
)


def edges_of(specs: Sequence[Spec], anchors: Sequence[int]) -> list[int]:
    spans = [window.span(anchor) for *_, window in specs if window for anchor in anchors]
    return [edge for span in spans for edge in span if abs(edge) < -LONG_AGO] or list(anchors)


@pytest.mark.parametrize("name", ANCHORS)
def test_every_function_and_window_at_once_equals_the_definition(spark, name):
    anchors = ANCHORS[name]
    turn = list(ANCHORS).index(name)
    functions = [*((f, True) for f in FUNCTIONS), ("COUNT", False)]
    # Windows and filters take turns, so that over all anchors each function meets most of them.
    chosen = [(*f, (i + turn) % 2 == 0, WINDOWS[(i + 5 * turn) % len(WINDOWS)]) for i, f in enumerate(functions)]
    check(spark, make_events(turn, 150, edges_of(chosen, anchors)), chosen, anchors)


@given(st.sampled_from(sorted(ANCHORS)), specs, st.integers(0, 10**6), st.integers(1, 80))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_measures_over_any_anchors_equal_the_definition(spark, name, chosen, seed, rows):
    anchors = ANCHORS[name]
    check(spark, make_events(seed, rows, edges_of(chosen, anchors)), chosen, anchors)


def test_a_window_that_is_far_longer_than_the_step_is_aggregated_in_two_stages(spark):
    anchors = regular(60, DAY)
    long, short = [("SUM", True, False, Window(-90, 0))], [("SUM", True, False, Window(-7, 0))]
    for chosen, two_stages in ((long, True), (short, False)):
        spans = [subject._spans(window, anchors) for *_, window in chosen]
        assert (subject._repeats(spans) > subject.DIRECT) is two_stages
        events = make_events(5, 120, edges_of(chosen, anchors))
        assert found_values(spark, events, chosen, anchors) == expected_values(events, chosen, anchors)


def test_a_window_from_ever_on_at_many_anchors_is_aggregated_in_two_stages(spark):
    anchors = regular(40, 7 * DAY)
    chosen: list[Spec] = [("COUNT", False, False, Window(None, 0)), ("LAST", True, True, Window(None, -3))]
    assert subject._repeats([subject._spans(window, anchors) for *_, window in chosen]) > subject.DIRECT
    events = make_events(6, 100, edges_of(chosen, anchors))
    assert found_values(spark, events, chosen, anchors) == expected_values(events, chosen, anchors)


def test_the_plan_of_many_windows_takes_no_time(spark):
    # Windows that share their ends, such as timeframes, once made Spark's optimizer try every combination of them.
    events = make_events(7, 60, regular(12, DAY))
    chosen: list[Spec] = [("SUM", True, False, Window(7 * i, 7 * i + 7)) for i in range(9)]
    frame = aggregate_windows(frame_of_facts(spark, events), measures_of(chosen), regular(9, 7 * DAY))
    started = time.monotonic()
    frame._jdf.queryExecution().optimizedPlan()
    assert time.monotonic() - started < 15


def test_windows_are_open_at_their_start_and_closed_at_their_end(spark):
    events = pd.DataFrame(
        {"entity": [1] * 4, "time": [100, 101, 110, 111], "value": [1.0, 2.0, 3.0, 4.0], "kept": True}
    )
    chosen: list[Spec] = [("LIST_DISTINCT", True, False, Window(0, 10, "seconds"))]
    assert found_values(spark, events, chosen, [100]) == {(1, 100): ([2.0, 3.0],)}


def test_windows_that_overlap_each_get_the_fact(spark):
    events = pd.DataFrame({"entity": [1], "time": [15], "value": [2.0], "kept": [True]})
    chosen: list[Spec] = [("COUNT", False, False, Window(0, 10, "seconds"))]
    assert sorted(found_values(spark, events, chosen, [4, 5, 14, 15])) == [(1, 5), (1, 14)]


@pytest.mark.parametrize("anchors", [[START], regular(3, DAY)], ids=len)
def test_an_undated_fact_counts_where_there_is_no_window_alone(spark, anchors):
    events = pd.DataFrame({"entity": [1], "time": pd.array([None], "Int64"), "value": [2.0], "kept": [True]})
    chosen: list[Spec] = [("COUNT", False, False, w) for w in (None, Window(None, 0), Window(-1, 1), Window(0, 1))]
    assert found_values(spark, events, chosen, anchors) == {(1, anchor): (1, 0, 0, 0) for anchor in anchors}


def test_no_facts_make_no_rows(spark):
    events = make_events(0, 0, [START])
    assert found_values(spark, events, [("COUNT", False, False, Window(0, 7))], regular(3, DAY)) == {}


BOUNDS = {
    "even": regular(5, DAY),
    "one": [START],
    "uneven": [START, START + 3_600, START + DAY],
    "equal": [START, START, START + DAY, START + DAY],
    "all equal": [START, START, START],
    "far": [START, START + 1, START + 300 * DAY],
    "always": [LONG_AGO, LONG_AGO],
    "never": [-LONG_AGO, -LONG_AGO],
    "some always": [LONG_AGO, START, START + DAY, -LONG_AGO],
}


def test_bounds_below_a_time_are_counted(spark):
    edges = sorted({t for bounds in BOUNDS.values() for t in bounds if abs(t) < -LONG_AGO})
    times = sorted({edge + step for edge in edges for step in (-DAY, -3_600, -1, 0, 1, 3_600, DAY)})
    frame = spark.createDataFrame([(t,) for t in times], "time long")
    counts = {name: subject._count_below(F.col("time"), np.array(bounds)) for name, bounds in BOUNDS.items()}
    for row in frame.select("time", *(column.alias(name) for name, column in counts.items())).collect():
        for name, bounds in BOUNDS.items():
            assert row[name] == sum(bound < row["time"] for bound in bounds), (name, row["time"])


def test_counts_and_sums_over_nothing_are_zero_and_others_are_missing(spark):
    nothing = F.lit(None).cast("double")
    row = spark.range(1).select(*(fill_empty(f, nothing).alias(f) for f in FUNCTIONS)).first()
    assert {f for f in FUNCTIONS if row[f] == 0} == {"COUNT", "COUNT_DISTINCT", "SUM"}
    assert all(row[f] is None for f in FUNCTIONS if f not in ("COUNT", "COUNT_DISTINCT", "SUM"))
