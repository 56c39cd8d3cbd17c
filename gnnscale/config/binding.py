"""The configured query against the graph as it was built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from gnnscale.config.load import build_graph_schema
from gnnscale.config.sections.settings import Settings
from gnnscale.lake import Lake
from gnnscale.query import (
    NEEDS_EVENTS,
    Aggregate,
    AnchorPlan,
    Horizon,
    LeftOut,
    PredictiveQuery,
    aggregates,
    plan_anchors,
    plan_pseudo_time,
    shift,
    show_time,
)
from gnnscale.schema import (
    NESTED,
    SEPARATOR,
    ColumnType,
    ConfigError,
    DataError,
    GraphManifest,
    GraphSchema,
    QueryError,
    ValueKind,
    nearest,
)

MANY: Final = 50
"""Classes that are too many where they are more than half of the rows."""

FEW: Final = 5
"""Classes that are too many where nearly every row has one of its own."""

MOST_SECONDS: Final = 2**31 - 1
"""Between a time and the graph's origin: times have 32 bits in memory."""

AHEAD: Final = 2 * 366 * 86_400
"""Seconds that are left for anchors after the last row, where rows are further apart than that."""

TimeRanges = Mapping[str, tuple[int, int] | None]


def bind_query(settings: Settings, manifest: GraphManifest) -> PredictiveQuery:
    """The query, bound to the links and columns that were found when the graph was built.

    Raises:
        QueryError: the query does not fit the graph.
    """
    graph = build_graph_schema(settings, {table.name: table.kinds for table in manifest.tables})
    for link in manifest.links:
        graph.add_link(link.table, link.column, link.parent)
    query = configured_query(settings, graph)
    _refuse_unique(query, manifest)
    if settings.query.split is None:
        return query
    query = query.with_split(settings.query.split)
    _check_split(query, settings.query.split, manifest)
    return query


def configured_query(settings: Settings, graph: GraphSchema) -> PredictiveQuery:
    """The query of a configuration with what that says of its answers, bound to tables.

    Args:
        settings: of the run; what ``query.split`` says needs a graph that is built.
        graph: tables and links.

    Raises:
        QueryError: the query does not fit the tables.
        ConfigError: what is said beside it does not fit the query.
    """
    query = PredictiveQuery(graph, settings.query.text)
    if settings.query.new_only:
        query = query.with_new_only()
    if settings.query.known_after is not None:
        if settings.query.examples is not None:
            raise ConfigError("query.known_after is for the examples that a query makes, not for query.examples")
        query = query.with_known_after(settings.query.known_after)
    if settings.evaluation.headline or settings.evaluation.baselines:
        query = query.judged_by(settings.evaluation.headline, settings.evaluation.baselines)
    return query


def _check_split(query: PredictiveQuery, column: str, manifest: GraphManifest) -> None:
    """See that a column of the events can tell their split, and that no network sees it.

    Raises:
        ConfigError: there is no such column, it is no text, or it is a feature.
    """
    table = query.event_table
    if table.kinds.get(column) is not ValueKind.TEXT:
        known = [name for name, kind in table.kinds.items() if kind is ValueKind.TEXT]
        why = "is no text" if column in table.kinds else f"is not there.{nearest(column, known)}"
        raise ConfigError(f"query.split={column}: column '{column}' of '{table.name}' {why}")
    if any(feature.column == column for feature in manifest.table(table.name).features):
        raise ConfigError(
            f"query.split={column}: the network would see it. Set tables.{table.name}.columns.{column}=ignore"
        )


def _refuse_unique(query: PredictiveQuery, manifest: GraphManifest) -> None:
    """See that a target's classes come again: what differs in nearly every row can't be learned.

    Raises:
        QueryError: they don't.
    """
    column = query.class_column
    if column is None:
        return
    figures = manifest.table(column.table)
    feature = next((f for f in figures.categorical if f.column == column.name), None)
    if feature is None:
        return
    values, rows = len(feature.categories), figures.rows * (1 - feature.missing)
    if (values >= MANY and values > rows / 2) or values >= max(FEW, 0.95 * rows):
        raise QueryError(
            f"{column} has a value of its own in nearly every row ({values:,} of {rows:,.0f}), so that there is "
            "nothing to learn a class from: predict a column whose values come again, or a condition on this one",
            query.text,
            query.target_position,
        )


def graph_origin(time_ranges: TimeRanges) -> int:
    """The first time of any row, in epoch seconds, which times in memory count from; 0 without times.

    Where rows are more than 68 years apart, the time that far before the last one, less two years that are left for
    anchors after it; what is older counts as of then.
    """
    spans = [span for span in time_ranges.values() if span]
    first, last = min((span[0] for span in spans), default=0), max((span[1] for span in spans), default=0)
    return first if last - first < MOST_SECONDS else last - MOST_SECONDS + AHEAD


def plan_query_anchors(
    settings: Settings, query: PredictiveQuery, time_ranges: TimeRanges, rows: Mapping[str, int] | None = None
) -> AnchorPlan:
    """Anchors of the query over its events' times, as the configuration says.

    Args:
        settings: section ``anchors`` counts.
        query: whose windows are placed.
        time_ranges: table -> first and last time of its rows, in epoch seconds; None without times.
        rows: table -> its rows, by which the number of anchors is chosen where the configuration leaves it; without it
            one validates. Whoever needs more of the plan than ``test`` and ``latest`` gives it.

    Raises:
        DataError: the event table has no time, or no window fits.
    """
    if query.pseudo_timed_tables:
        return plan_pseudo_time(graph_origin(time_ranges))
    names = query.timed_event_tables or list(time_ranges)
    spans = [span for name in names if (span := time_ranges[name])]
    if query.timed_event_tables and len(spans) < len(names):
        missing = next(name for name in names if time_ranges[name] is None)
        raise DataError(f"no row of '{missing}' has a time")
    origin = graph_origin(time_ranges)
    if query.is_static:
        known = (min(s for s, _ in spans), max(e for _, e in spans)) if spans else (0, 0)
    else:
        known = (max(origin, min(s for s, _ in spans)), min(e for _, e in spans))
    horizon = Horizon(()) if query.is_static else query.horizon
    expected = None if rows is None or query.is_static else _expected_examples(query, time_ranges, rows)
    own_times, wanted = query.asks_at_own_time, settings.anchors.model_dump()
    plan = plan_anchors(horizon, known, own_times=own_times, rows=expected, **wanted)
    if not query.is_static:
        plan = replace(plan, past=_past_anchor(query, plan.latest))
    named = {"train": plan.train[0], "validation": plan.validations[0], "test": plan.tests[0], "latest": plan.latest}
    for name, anchor in named.items():
        if fault := anchor_fault(anchor, time_ranges):
            raise DataError(f"{name} anchor: {fault}; set section anchors to times nearer to those of the events")
    return plan


def _past_anchor(query: PredictiveQuery, latest: int) -> int | None:
    """The anchor whose target window ends at the anchor of the predictions; None where windows differ."""
    windows = {aggregate.window for aggregate in aggregates(query.expression)}
    window = windows.pop() if len(windows) == 1 else None
    return None if window is None else shift(latest, -window.end, window.unit)


def _expected_examples(query: PredictiveQuery, time_ranges: TimeRanges, rows: Mapping[str, int]) -> float:
    """About how many examples an anchor has at most: the entities that have an event where one is needed.

    An aggregate that is missing over nothing makes no example without an event in its window, and WHERE is taken to
    want one in each of its windows. Events are taken to be spread evenly over time and entities.
    """
    entities = rows[query.entity.name]
    wanted = aggregates(query.where, query.assuming)
    target = query.expression
    if isinstance(target, Aggregate) and target.function in NEEDS_EVENTS:
        wanted = [*wanted, target]
    expected = float(entities)
    for aggregate in wanted:
        span, window = time_ranges[aggregate.event_table], aggregate.window
        if span is None or window is None or window.start is None or not entities:
            continue
        begin, end = window.span(span[1])
        share = min(1.0, (end - begin) / max(1, span[1] - span[0]))
        expected = min(expected, entities * -math.expm1(-rows[aggregate.event_table] * share / entities))
    return max(1.0, expected)


def anchor_fault(anchor: int, time_ranges: TimeRanges) -> str:
    """Why nothing can be asked of a graph at an anchor; empty where it can.

    Args:
        anchor: epoch seconds.
        time_ranges: table -> first and last time of its rows, in epoch seconds; None without times.
    """
    origin = graph_origin(time_ranges)
    if abs(anchor - origin) >= MOST_SECONDS:
        return f"{show_time(anchor)} is over 68 years from the times of the graph, which begin at {show_time(origin)}"
    if anchor < origin and any(span[0] < origin for span in time_ranges.values() if span):
        return f"{show_time(anchor)} is before {show_time(origin)}, since when times of this graph are told apart"
    return ""


def count_unknown(lake: Lake, query: PredictiveQuery) -> LeftOut | None:
    """How many rows make no example because the column that the target asks for is missing.

    Args:
        lake: holds the graph.
        query: bound query.

    Returns:
        None where one column of the entities can't tell.
    """
    column = query.deciding_column
    if column is None:
        return None
    stored = f"multi_{column.name}" if column.kind in NESTED else f"raw_{column.name}"
    values = lake.read(f"nodes_{query.entity.name}", [stored])[stored]
    return LeftOut((str(column),), len(values), count_missing(values, query))


def count_missing(values: pa.ChunkedArray, query: PredictiveQuery) -> int:
    """Values of the column that a target asks for which are none: null, NaN, or lists without a value.

    Args:
        values: of the column, as they came.
        query: bound query that the column decides.
    """
    column = query.deciding_column
    assert column is not None
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return int(pc.sum(pc.equal(pc.fill_null(pc.list_value_length(values), 0), 0)).as_py() or 0)
    if column.meaning is ColumnType.MULTICATEGORICAL:
        separator = query.entity.separators.get(column.name, SEPARATOR)
        parts = (text.split(separator) if text is not None else () for text in values.cast(pa.string()).to_pylist())
        return sum(not any(part.strip(" ") for part in found) for found in parts)
    return int(pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0)
