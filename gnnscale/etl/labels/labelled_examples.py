"""Labelled examples of a query: who is asked about, when, and what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import Window as Partition
from pyspark.sql import functions as F

from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.etl.labels.class_lists import class_list, is_listed
from gnnscale.etl.labels.condition_columns import RAW, columns_of, condition_column, read_rows
from gnnscale.etl.labels.label_rule import Key, LabelInputs, before, find_rule
from gnnscale.etl.labels.time_split import split_by_time
from gnnscale.etl.labels.windows import Measure, aggregate_own_windows, aggregate_windows, fill_empty
from gnnscale.lake import Lake
from gnnscale.query import (
    DAY,
    GIVEN_PARTS,
    KNOWN_TIME,
    NEEDS_EVENTS,
    WINDOW,
    AnchorPlan,
    PredictiveQuery,
    Split,
    Window,
    bound,
    part_of,
    training_part_of,
)
from gnnscale.schema import GraphManifest, ValueKind

PAST = "past"
"""In place of a split: of the anchor whose labels are the past of the predictions, where no split has it."""

STATIC_SHARES = {Split.TEST: (0, 1), Split.VALIDATION: (1, 2), Split.TRAIN: (2, 10)}
"""Tenths of the entities that a query without windows gives to each split, by the hash of their node id."""


def label_frame(
    session: SparkSession, lake: Lake, query: PredictiveQuery, plan: AnchorPlan, manifest: GraphManifest
) -> DataFrame:
    """Every example of every labelled anchor, in one pass over each event table.

    Args:
        session: of Spark.
        lake: holds the graph.
        query: bound query.
        plan: its anchors.
        manifest: of the graph.

    Returns:
        Columns ``entity`` (node id), ``anchor_time`` (epoch seconds), ``target``, ``past`` and ``split``, and, where
        the query says when answers are known, ``known_time`` (epoch seconds; null for never); ``split`` is then
        ``late`` of examples whose answers were not known when validation, or the test, begins. Link
        prediction has ``targets`` (node ids, ascending) instead of target and past. ``past`` is the target of the
        window that ends at the anchor, null where there was none.

    Raises:
        DataError: the split goes by time, and there are fewer times than splits.
    """
    asked = asked_frame(session, lake, query, plan, manifest)
    return split_known(asked.where(F.col("split").isNull() | (F.col("split") != PAST)), query, plan)


def asked_frame(
    session: SparkSession, lake: Lake, query: PredictiveQuery, plan: AnchorPlan, manifest: GraphManifest
) -> DataFrame:
    """Whoever is asked about at each anchor, columns as of :func:`label_frame`; null answers are not known.

    Where entities are asked about at their own times, ``anchor_time`` is null without one, and ``split`` always. It is
    ``past`` of the rows of ``plan.past``, where no split has that anchor. ``known_time`` is what the row says, and may
    be before ``anchor_time``.
    """
    if query.pseudo_timed_tables:
        query = query.with_window(WINDOW)
    rule = find_rule(query)
    anchors = [plan.latest] if plan.static else list(asked_anchors(query, plan))
    past = rule.has_past and not plan.static
    measures = _measures(query, past)
    own_times = _own_times(session, lake, query, plan)
    frames = _aggregates(session, lake, query, measures, anchors, manifest, own_times)
    needed = _needed(query)
    base, own = _population(session, lake, query, plan, manifest, frames.get(needed or ""))
    for name, frame in frames.items():
        if name != needed:
            base = base.join(frame, ["entity"] if plan.own_times else ["entity", "anchor_time"], "left")
    values: dict[Key, Column] = {key: fill_empty(key[0].function, F.col(f"`{name}`")) for key, name in measures.items()}
    now: dict[bound.Operand, Column] = {**own}
    now |= {aggregate: value for (aggregate, window), value in values.items() if window == aggregate.window}
    for condition in (query.where, query.assuming):
        if condition is not None:
            base = base.where(condition_column(condition, now))
    target = query.expression
    if isinstance(target, bound.Column):
        own = {**own, target: class_list(query.graph, manifest, target, own[target])}
    targets = rule.targets(LabelInputs(query, values, own, past))
    return base.select("entity", "anchor_time", "split", *targets, *_known_time(query, now))


def asked_anchors(query: PredictiveQuery, plan: AnchorPlan) -> dict[int, str]:
    """Every anchor that is asked at, and its split: those of the plan and that of the predictions' past, ascending."""
    splits = {anchor: str(split) for anchor, split in plan.splits().items()}
    if plan.past is None or not find_rule(query).has_past:
        return splits
    return dict(sorted(({plan.past: PAST} | splits).items()))


def split_known(asked: DataFrame, query: PredictiveQuery, plan: AnchorPlan) -> DataFrame:
    """Examples of :func:`asked_frame` whose answers are known, each in its split.

    Raises:
        DataError: the split goes by time, and there are fewer times than splits.
    """
    known = asked.where(F.col(answer_column(asked)).isNotNull())
    if KNOWN_TIME in known.columns:
        told = F.col(KNOWN_TIME)
        known = known.withColumn(
            KNOWN_TIME, F.when(told.isNotNull(), F.greatest(told, F.col("anchor_time").cast("long")))
        )
    if plan.own_times is None:
        return known
    return split_by_time(known.where(F.col("anchor_time").isNotNull()), query, plan.own_times)


def answer_column(asked: DataFrame) -> str:
    """Name of the column that holds what came true."""
    return asked.columns[3]


def population_frame(
    session: SparkSession, lake: Lake, query: PredictiveQuery, anchor: int, manifest: GraphManifest
) -> DataFrame:
    """Who a query asks about at one anchor: column ``entity`` (node id).

    Args:
        session: of Spark.
        lake: holds the graph.
        query: bound query with a WHERE clause.
        anchor: epoch seconds; entities that are asked about at their own time are so there, those without here.
        manifest: of the graph.
    """
    keys = [(aggregate, aggregate.window) for aggregate in bound.aggregates(query.where)]
    measures: dict[Key, str] = {key: f"m{index}" for index, key in enumerate(keys)}
    figures = manifest.table(query.entity.name)
    keep = {NODE_ID: "entity", "time": "valid_from"} | ({"end_time": "valid_until"} if figures.has_end else {})
    base, values = read_rows(session, lake, query.graph, query.entity.name, keep, columns_of(query.where))
    base = base.withColumn("anchor_time", F.lit(anchor))
    own_times = None
    if query.asks_at_own_time:
        base = base.where(F.col("valid_from").isNull() | (F.col("valid_from") <= anchor))
        base = base.withColumn("anchor_time", F.coalesce("valid_from", "anchor_time"))
        own_times = base.select("entity", "anchor_time")
    base = _there(base, figures.has_end)
    for frame in _aggregates(session, lake, query, measures, [anchor], manifest, own_times).values():
        base = base.join(frame.drop("anchor_time"), "entity", "left")
    for (aggregate, _), name in measures.items():
        values[aggregate] = fill_empty(aggregate.function, F.col(name))
    assert query.where is not None
    return base.where(condition_column(query.where, values)).select("entity")


def _known_time(query: PredictiveQuery, values: Mapping[bound.Operand, Column]) -> list[Column]:
    """When the answer of a row is known, where the query says it.

    What is known at midnight is a date: the day may have ended when it was written down.
    """
    if query.known_after is None:
        return []
    if isinstance(query.known_after, bound.Column):
        known = F.ceil(F.unix_micros(values[query.known_after]) / 1_000_000).cast("long")
        known = known + F.when(known % DAY == 0, F.lit(DAY)).otherwise(F.lit(0)).cast("long")
    else:
        known = F.col("anchor_time").cast("long") + F.lit(round(query.known_after * DAY)).cast("long")
    return [known.alias(KNOWN_TIME)]


def _own_times(session: SparkSession, lake: Lake, query: PredictiveQuery, plan: AnchorPlan) -> DataFrame | None:
    """Columns ``entity`` and ``anchor_time``, where each entity is asked about at its own time; else None."""
    if plan.own_times is None:
        return None
    rows, _ = read_rows(session, lake, query.graph, query.entity.name, {NODE_ID: "entity", "time": "anchor_time"}, ())
    return rows


def _there(rows: DataFrame, has_end: bool) -> DataFrame:
    """Rows of entities that have come by their anchor, and have not ended."""
    rows = rows.where(F.col("valid_from").isNull() | (F.col("valid_from") <= F.col("anchor_time")))
    return (
        rows.where(F.col("valid_until").isNull() | (F.col("valid_until") > F.col("anchor_time"))) if has_end else rows
    )


def _measures(query: PredictiveQuery, past: bool) -> dict[Key, str]:
    """Every aggregate over every window that a label needs -> name of its column."""
    keys: list[Key] = []
    for aggregate in bound.aggregates(query.expression):
        windows: list[Window | None] = [aggregate.window]
        if aggregate.window is not None:
            windows += query.frame_windows(aggregate.window)
            windows += [before(aggregate.window)] if past else []
        keys += [(aggregate, window) for window in windows]
    keys += [(aggregate, aggregate.window) for aggregate in bound.aggregates(query.where, query.assuming)]
    return {key: f"m{index}" for index, key in enumerate(dict.fromkeys(keys))}


def _aggregates(
    session: SparkSession,
    lake: Lake,
    query: PredictiveQuery,
    measures: Mapping[Key, str],
    anchors: Sequence[int],
    manifest: GraphManifest,
    own_times: DataFrame | None,
) -> dict[str, DataFrame]:
    """Link from an event table -> its measures by entity and anchor; of one anchor an entity without the anchor."""
    frames = {}
    for link in dict.fromkeys(aggregate.link for aggregate, _ in measures):
        chosen = {key: name for key, name in measures.items() if key[0].link == link}
        frames[link.name] = _aggregate(session, lake, query, link.table, chosen, anchors, manifest, own_times)
    return frames


def _aggregate(
    session: SparkSession,
    lake: Lake,
    query: PredictiveQuery,
    table: str,
    measures: Mapping[Key, str],
    anchors: Sequence[int],
    manifest: GraphManifest,
    own_times: DataFrame | None,
) -> DataFrame:
    link = next(iter(measures))[0].link
    wanted: list[bound.Column] = []
    for aggregate, _ in measures:
        wanted += columns_of(aggregate.where)
        if aggregate.column is not None and not _names_rows(aggregate):
            wanted.append(aggregate.column)
    references = {a.reference.column for a, _ in measures if a.reference and _names_rows(a)} - {link.column}
    keep = {f"fk_{link.column}": "entity", "time": "time", NODE_ID: "number"}
    keep |= {f"fk_{column}": f"fk_{column}" for column in sorted(references)}
    if query.split_column is not None:
        keep[f"{RAW}{query.split_column}"] = "given"
    rows, values = read_rows(session, lake, query.graph, table, keep, wanted)
    if query.pseudo_timed_tables:
        part = part_of(F.col("number")) if query.split_column is None else given_part(F.col("given"), F.col("number"))
        rows = rows.withColumn("time", (part + 1).cast("long") * DAY + manifest.origin)
    found = []
    for (aggregate, window), name in measures.items():
        value = None
        if aggregate.reference is not None and _names_rows(aggregate):
            key = "entity" if aggregate.reference == link else f"fk_{aggregate.reference.column}"
            value = F.col(key)
        elif aggregate.column is not None:
            value = values[aggregate.column]
            if _gives_classes(aggregate, query):
                value = class_list(query.graph, manifest, aggregate.column, value)
            elif aggregate.function == "LIST_DISTINCT":
                value = value.cast("string")
            elif aggregate.function in ("MIN", "MAX") and aggregate.column.kind is not ValueKind.NUMBER:
                value = value.cast("double")
        where = condition_column(aggregate.where, values) if aggregate.where is not None else None
        if query.new_only and aggregate == query.expression and aggregate.reference is not None:
            if "first" not in rows.columns:
                rows = rows.withColumn("first", _is_first(f"fk_{aggregate.reference.column}"))
            where = F.col("first") if where is None else where & F.col("first")
        found.append(Measure(name, aggregate.function, value, where, window, _gives_classes(aggregate, query)))
    if own_times is not None:
        return aggregate_own_windows(rows.join(own_times, "entity"), found)
    return aggregate_windows(rows, found, anchors)


def _is_first(target: str) -> Column:
    """Whether an event is the first of its entity and target: in a window, that of what the entity had not had.

    What is not the first was had by then, and what was had by the anchor has its first event there.
    """
    order = Partition.partitionBy("entity", target).orderBy(F.asc_nulls_first("time"), "number")
    return F.row_number().over(order) == 1


def given_part(split: Column, number: Column) -> Column:
    """Part of each event by its given split; null where that is none, which no window holds."""
    part = F.when(split == str(Split.TRAIN), training_part_of(number))
    for name, aside in GIVEN_PARTS.items():
        part = part.when(split == str(name), F.lit(aside))
    return part


def _gives_classes(aggregate: bound.Aggregate, query: PredictiveQuery) -> bool:
    """Whether a row has several values of what is aggregated; conditions compare the text as it is."""
    target = aggregate == query.expression or aggregate.function == "LIST_DISTINCT"
    return target and aggregate.column is not None and is_listed(aggregate.column)


def _names_rows(aggregate: bound.Aggregate) -> bool:
    """Whether its values are rows of another table; a key without a row is none then, where counts take any key."""
    return aggregate.reference is not None and aggregate.function in ("LIST_DISTINCT", "FIRST", "LAST")


def _needed(query: PredictiveQuery) -> str | None:
    """A link without whose events, in a window, an entity makes no example."""
    if isinstance(query.expression, bound.Aggregate) and query.expression.function in NEEDS_EVENTS:
        return query.expression.link.name
    for condition in (query.where, query.assuming):
        for part in condition.parts if isinstance(condition, bound.All) else (condition,):
            if isinstance(part, bound.Test) and isinstance(part.left, bound.Aggregate) and _wants_an_event(part):
                return part.left.link.name
    return None


def _wants_an_event(test: bound.Test) -> bool:
    """Whether a count is compared with what no empty count passes."""
    assert isinstance(test.left, bound.Aggregate)
    if test.negated or test.left.function not in ("COUNT", "COUNT_DISTINCT") or len(test.values) != 1:
        return False
    least = test.values[0]
    if isinstance(least, str):
        return False
    return (test.operator == ">" and least >= 0) or (test.operator in (">=", "=") and least > 0)


def _population(
    session: SparkSession,
    lake: Lake,
    query: PredictiveQuery,
    plan: AnchorPlan,
    manifest: GraphManifest,
    needed: DataFrame | None,
) -> tuple[DataFrame, dict[bound.Operand, Column]]:
    """Entities that are there at each anchor, and their columns; those in ``needed``, where it is given."""
    figures = manifest.table(query.entity.name)
    keep = {NODE_ID: "entity", "time": "valid_from"} | ({"end_time": "valid_until"} if figures.has_end else {})
    wanted = columns_of(query.expression) + columns_of(query.where) + columns_of(query.assuming)
    wanted += [query.known_after] if isinstance(query.known_after, bound.Column) else []
    entities, own = read_rows(session, lake, query.graph, query.entity.name, keep, wanted)
    if plan.own_times is not None:
        base = entities.where(F.col("valid_from").isNull() | (F.col("valid_from") <= plan.latest))
        base = _there(base.withColumn("anchor_time", F.coalesce("valid_from", F.lit(plan.latest))), figures.has_end)
        base = base.withColumn("anchor_time", F.col("valid_from")).withColumn("split", F.lit(None).cast("string"))
        return (base if needed is None else base.join(needed, "entity")), own
    rows = list(asked_anchors(query, plan).items()) or [(plan.latest, str(Split.TRAIN))]
    asked = F.broadcast(session.createDataFrame(rows, "anchor_time long, split string"))
    base = entities.crossJoin(asked)
    if needed is not None:
        base = needed.join(asked, "anchor_time").join(entities, "entity")
    if query.pseudo_timed_tables:
        return base, own
    base = _there(base, figures.has_end)
    if plan.static:
        tenth = F.pmod(F.xxhash64(F.col("entity"), F.lit("split")), F.lit(10))
        split = F.lit(str(Split.TRAIN))
        for name, (low, high) in STATIC_SHARES.items():
            split = F.when((tenth >= low) & (tenth < high), str(name)).otherwise(split)
        base = base.withColumn("split", split)
    return base, own
