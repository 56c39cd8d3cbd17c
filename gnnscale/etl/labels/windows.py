"""Aggregates of events over the windows of many anchors, in one pass.

An event counts for the anchors whose window holds it: a range of indices into the sorted anchors, found by arithmetic.
It is repeated for each of them and aggregated by entity and anchor. Where windows are so long that an event counts for
many anchors, events that count for the same ones are aggregated first, so that partial sums are repeated instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import and_

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.query import LONG_AGO, UNIT_SECONDS, Window

LOOKUP = 100_000
"""Most entries of the table that finds the anchors of a time where these are not evenly spaced."""


DIRECT = 16
"""Up to so many anchors an event counts for, repeating events costs less than aggregating them first."""

Span = tuple[np.ndarray, np.ndarray]
"""Start and end of a window at each anchor, int64 ``[anchors]``."""


@dataclass(frozen=True)
class Measure:
    """One aggregate over one window.

    Args:
        name: of its column in the result.
        function: upper case.
        value: what is aggregated; None counts rows.
        where: which events count; None for all.
        window: None for every time.
        listed: whether a value is an array of values.
    """

    name: str
    function: str
    value: Column | None
    where: Column | None
    window: Window | None
    listed: bool = False


def aggregate_windows(
    events: DataFrame, measures: Sequence[Measure], anchors: Sequence[int], direct: float = DIRECT
) -> DataFrame:
    """Every measure for every entity and anchor that has an event in a window of one of them.

    Args:
        events: columns ``entity`` (null where nobody's), ``time`` (epoch seconds) and what the measures speak of.
        measures: at least one.
        anchors: ascending, in epoch seconds.
        direct: anchors that an event may count for on average before events are aggregated first; results are the same.

    Returns:
        Columns entity, anchor_time and one for each measure; null where a measure has nothing to tell (a count is 0).

    Raises:
        ValueError: anchors that are not ascending, whose events would count for others.
    """
    if any(later <= earlier for earlier, later in pairwise(anchors)):
        raise ValueError(f"anchors are not ascending: {list(anchors)}")
    windows = list(dict.fromkeys(m.window for m in measures))
    spans = [_spans(window, anchors) for window in windows]
    near = _locate(events, windows, spans)
    lowest = F.least(*(F.col(f"lo{i}") for i in range(len(windows)))) if len(windows) > 1 else F.col("lo0")
    highest = F.greatest(*(F.col(f"hi{i}") for i in range(len(windows)))) if len(windows) > 1 else F.col("hi0")
    holds = {window: F.col("index").between(F.col(f"lo{i}"), F.col(f"hi{i}")) for i, window in enumerate(windows)}
    if _repeats(spans) > direct:
        keys = [f"{end}{i}" for i in range(len(windows)) for end in ("lo", "hi")]
        near = near.groupBy("entity", *keys).agg(*(column for m in measures for column in _partial(m, m.where)))
        combined = [column for m in measures for column in _merge(m, holds[m.window])]
    else:
        wheres = [holds[m.window] if m.where is None else holds[m.window] & m.where for m in measures]
        combined = [c for m, where in zip(measures, wheres, strict=True) for c in _partial(m, where)]
    spread = near.withColumn("index", F.explode(F.sequence(lowest, highest)))
    held = [F.when(condition, 1).otherwise(0) for condition in holds.values()]
    inside = (F.greatest(*held) if len(held) > 1 else held[0]) == 1
    spread = spread.where(inside).groupBy("entity", "index").agg(*combined)
    times = F.split(F.lit(",".join(map(str, anchors))), ",").cast("array<bigint>")
    at = F.element_at(times, F.col("index") + 1).alias("anchor_time")
    return spread.select("entity", at, *(_final(m).alias(m.name) for m in measures))


def aggregate_own_windows(events: DataFrame, measures: Sequence[Measure]) -> DataFrame:
    """Every measure for every entity that has an event, where each entity has one anchor of its own.

    Args:
        events: columns ``entity``, ``time`` and ``anchor_time`` (of the entity), both in epoch seconds, and what the
            measures speak of.
        measures: at least one.

    Returns:
        Columns entity and one for each measure, as of :func:`aggregate_windows`.
    """
    wheres = []
    for m in measures:
        parts = [] if m.where is None else [m.where]
        if m.window is not None:
            parts.append(F.col("time") <= _moved(m.window.end, m.window.unit))
            if m.window.start is not None:
                parts.append(F.col("time") > _moved(m.window.start, m.window.unit))
        wheres.append(reduce(and_, parts) if parts else None)
    found = [column for m, where in zip(measures, wheres, strict=True) for column in _partial(m, where)]
    return events.groupBy("entity").agg(*found).select("entity", *(_final(m).alias(m.name) for m in measures))


def _moved(amount: int, unit: str) -> Column:
    """The entity's anchor moved by some units, in epoch seconds."""
    anchor = F.col("anchor_time")
    if unit != "months":
        return anchor + F.lit(amount * UNIT_SECONDS[unit])
    return F.unix_seconds(F.timestamp_seconds(anchor) + F.make_ym_interval(F.lit(0), F.lit(amount)))


def _locate(events: DataFrame, windows: Sequence[Window | None], spans: Sequence[Span]) -> DataFrame:
    """Events in a window of an anchor, with the first and last such anchor of each window: ``lo<i>`` and ``hi<i>``."""
    time = F.col("time")
    ranges, inside = [], F.lit(False)
    for i, (window, (starts, ends)) in enumerate(zip(windows, spans, strict=True)):
        low, high = _count_below(time, ends), _count_below(time, starts) - 1
        ranges += [low.alias(f"lo{i}"), high.alias(f"hi{i}")]
        known = time.isNotNull() & (time > int(starts[0])) & (time <= int(ends[-1]))
        inside = inside | (known if window else F.lit(True))
    located = events.where(F.col("entity").isNotNull() & inside).select("*", *ranges)
    # One comparison, where a disjunction would have the optimiser weigh every combination of its parts.
    longest = [F.col(f"hi{i}") - F.col(f"lo{i}") for i in range(len(windows))]
    return located.where((F.greatest(*longest) if len(longest) > 1 else longest[0]) >= 0)


def _repeats(spans: Sequence[Span]) -> float:
    """For how many anchors an event counts, on average over the time that the windows cover."""
    starts = np.concatenate([np.maximum(s, e.max() - 100 * (e.max() - e.min() + 1)) for s, e in spans])
    ends = np.concatenate([e for _, e in spans])
    return float((ends - starts).sum() / max(1, ends.max() - starts.min()))


def fill_empty(function: str, value: Column) -> Column:
    """What an aggregate is where it has no event: 0 for counts and sums, else missing."""
    if function in ("COUNT", "COUNT_DISTINCT"):
        return F.coalesce(value, F.lit(0).cast("long"))
    return F.coalesce(value, F.lit(0.0)) if function == "SUM" else value


def _spans(window: Window | None, anchors: Sequence[int]) -> Span:
    if window is None:
        return np.full(len(anchors), LONG_AGO), np.full(len(anchors), -LONG_AGO)
    pairs = [window.span(anchor) for anchor in anchors]
    return np.array([start for start, _ in pairs]), np.array([end for _, end in pairs])


def _count_below(time: Column, bounds: np.ndarray) -> Column:
    """How many of the ascending bounds are below a time; LONG_AGO is below all, and -LONG_AGO below none."""
    known = bounds[(bounds > LONG_AGO) & (bounds < -LONG_AGO)]
    always = int((bounds <= LONG_AGO).sum())
    if len(known) == 0:
        return F.lit(always)
    first, steps = int(known[0]), np.diff(known)
    if len(known) == 1:
        count = F.when(time <= first, 0).otherwise(1)
    else:
        # Bounds that calendar months bring together stay apart by the day's seconds; equal ones need no entry.
        positive = steps[steps > 0]
        grain = math.gcd(*(int(step) for step in positive)) if len(positive) else 1
        cells = (int(known[-1]) - first) // grain + 1
        cell = F.when(time <= first, 0).otherwise(
            F.least(F.floor((time - (first + 1)) / F.lit(grain)) + 1, F.lit(cells))
        )
        if (steps == grain).all():
            count = cell
        elif cells <= LOOKUP:
            below = np.searchsorted(known, first + grain * np.arange(cells), side="right")
            table = F.split(F.lit(",".join(map(str, [0, *below.tolist()]))), ",").cast("array<int>")
            count = F.element_at(table, (cell + 1).cast("int"))
        else:
            count = sum(((time > int(bound)).cast("int") for bound in known[1:]), (time > first).cast("int"))
    return (count + F.lit(always)).cast("int")


def _parts(m: Measure) -> list[str]:
    return [f"{m.name}|sum", f"{m.name}|count"] if m.function == "AVG" else [f"{m.name}|part"]


def _partial(m: Measure, where: Column | None) -> list[Column]:
    value = F.lit(1) if m.value is None else m.value
    if where is not None:
        value = F.when(where, value)
    names = _parts(m)
    if m.function == "COUNT":
        return [F.count(value).alias(names[0])]
    if m.function == "SUM":
        return [F.sum(value.cast("double")).alias(names[0])]
    if m.function == "AVG":
        return [F.sum(value.cast("double")).alias(names[0]), F.count(value).alias(names[1])]
    if m.function in ("MIN", "MAX"):
        return [(F.min if m.function == "MIN" else F.max)(value).alias(names[0])]
    if m.function in ("FIRST", "LAST"):
        # Among events of one time, the smallest value is first and the largest last.
        dated = F.when(value.isNotNull(), F.struct(F.col("time"), value.alias("value")))
        return [(F.min if m.function == "FIRST" else F.max)(dated).alias(names[0])]
    return [F.collect_set(value).alias(names[0])]


def _merge(m: Measure, where: Column) -> list[Column]:
    names = _parts(m)
    parts = {name: F.when(where, F.col(f"`{name}`")) for name in names}
    if m.function in ("COUNT", "SUM", "AVG"):
        return [F.sum(part).alias(name) for name, part in parts.items()]
    if m.function in ("MIN", "FIRST"):
        return [F.min(parts[names[0]]).alias(names[0])]
    if m.function in ("MAX", "LAST"):
        return [F.max(parts[names[0]]).alias(names[0])]
    return [F.array_distinct(F.flatten(F.collect_list(parts[names[0]]))).alias(names[0])]


def _final(m: Measure) -> Column:
    part = F.col(f"`{_parts(m)[0]}`")
    if m.function == "COUNT":
        return fill_empty(m.function, part)
    if m.function == "AVG":
        return part / F.col(f"`{_parts(m)[1]}`")
    if m.function in ("FIRST", "LAST"):
        return part["value"]
    if m.function == "COUNT_DISTINCT":
        return fill_empty(m.function, F.size(part).cast("long"))
    if m.function == "LIST_DISTINCT":
        values = F.array_distinct(F.flatten(part)) if m.listed else part
        return F.when(F.size(values) > 0, F.array_sort(values))
    return part
