"""The label stage: examples of a query in the lake, and what they say at a glance."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.config import Settings, bind_query, plan_query_anchors
from gnnscale.etl.labels.label_checks import check_sizes, warn_of_early_answers, warn_of_little
from gnnscale.etl.labels.label_rule import find_rule
from gnnscale.etl.labels.labelled_examples import PAST, asked_frame, population_frame, split_known
from gnnscale.etl.labels.left_out import count_left_out
from gnnscale.etl.labels.time_split import LATE
from gnnscale.etl.spark.write_tables import read_table, write_table
from gnnscale.lake import Lake
from gnnscale.query import DAY, PART, AnchorPlan, LeftOut, PredictiveQuery, Split, bound, show_time
from gnnscale.schema import DataError, GraphManifest, QueryError

log = logging.getLogger(__name__)

TASK: Final = "task_{query}"
"""Record that says what kind of labels a query has."""

POPULATION: Final = "population_{query}"
"""Table of the entities that WHERE lets through at the anchor of the predictions."""

PAST_TABLE: Final = "past_{query}"
"""Table of what was true of entities over the window that ends at the anchor of the predictions."""

MAX_CLASSES: Final = 1_000


def build_labels(session: SparkSession, lake: Lake, settings: Settings, manifest: GraphManifest) -> dict[str, int]:
    """Write ``labels_<query>``, record ``task_<query>`` and, where there is a WHERE, ``population_<query>``.

    Where examples tell what was true over the window that ends at their anchor, ``past_<query>`` has that of the anchor
    of the predictions.

    Where events are taken without times, labels have ``part`` in place of ``anchor_time``.

    See :func:`~gnnscale.etl.labels.labelled_examples.label_frame` for the columns. The record holds the task, its
    classes (of the training split, the most frequent first), the number of timeframes, figures of each split, and what
    is left out because its answer, or when to ask for it, is not known.

    Returns:
        Split -> number of examples.

    Raises:
        QueryError: WHERE or ASSUMING leave a split without examples.
        DataError: a split has no example for another reason.
    """
    query = bind_query(settings, manifest)
    plan = plan_query_anchors(settings, query, manifest.time_ranges, manifest.rows)
    if manifest.fit_until is not None and not plan.static and not query.pseudo_timed_tables:
        _warn_of_statistics(manifest.fit_until, plan.validations[0], plan.tests[0])
    if plan.cut_short is not None:
        log.warning(
            "the test window ends at %s, and the data at %s: its labels lack what is missing. Set anchors.test to an "
            "earlier time",
            *map(show_time, plan.cut_short),
        )
    table = f"labels_{settings.query.name}"
    everyone = asked_frame(session, lake, query, plan, manifest).cache()
    asked = everyone.where(F.col("split").isNull() | (F.col("split") != PAST))
    left_out = count_left_out(asked, query)
    warn_of_early_answers(asked, query)
    labels = split_known(asked, query, plan)
    counts = {row["split"]: row["count"] for row in labels.groupBy("split").count().collect()}
    # Written sorted in one file while few, so that the same labels are the same bytes.
    few = sum(counts.values()) < 5_000_000
    left_out = replace(left_out, late=counts.pop(LATE, 0))
    for split in Split:
        if not counts.get(split):
            raise _nothing(query, plan, split, left_out.late, nobody=asked.isEmpty())
    check_sizes(labels, find_rule(query).beyond(), query)
    order = ["anchor_time", "entity"]
    if query.pseudo_timed_tables:
        # Parts come one a day in memory; nobody asked at a day.
        part = ((F.col("anchor_time") - manifest.origin) / DAY).cast("int").alias(PART)
        labels, order = labels.select("entity", part, "split", "targets"), [PART, "entity"]
    ordered = labels.repartition(1) if few else labels.repartitionByRange(*order)
    write_table(lake, table, ordered.sortWithinPartitions(*order))
    if plan.past is not None and find_rule(query).has_past:
        known = everyone.where((F.col("anchor_time") == plan.past) & F.col("target").isNotNull())
        past = known.select("entity", F.col("target").alias("past"))
        write_table(lake, PAST_TABLE.format(query=settings.query.name), past.repartition(1).sort("entity"))
    everyone.unpersist()
    if query.where is not None:
        build_population(session, lake, settings, manifest)
    written = read_table(session, lake, table)
    learned = written.where(F.col("split") != LATE)
    record = {
        "task": str(query.task_type),
        "classes": _classes(written, query),
        "frames": query.frames,
        "splits": {str(split): {"examples": counts[split]} for split in Split},
    }
    if query.known_after is not None:
        record["known_after"] = str(query.known_after)
    if left_out.asked:
        record["left_out"] = left_out.to_dict()
    if plan.own_times is not None:
        spans = learned.groupBy("split").agg(F.min("anchor_time").alias("first"), F.max("anchor_time").alias("last"))
        for row in spans.collect():
            record["splits"][row["split"]] |= {"first": row["first"], "last": row["last"]}  # type: ignore[index]
        if manifest.fit_until is not None:
            begin = (record["splits"][str(s)]["first"] for s in (Split.VALIDATION, Split.TEST))  # type: ignore[index]
            _warn_of_statistics(manifest.fit_until, *begin)
    for row in learned.groupBy("split").agg(*find_rule(query).figures()).collect():
        record["splits"][row["split"]] |= {  # type: ignore[index]
            name: value for name, value in row.asDict().items() if name != "split" and value is not None
        }
    lake.write_record(TASK.format(query=settings.query.name), record)
    warn_of_little(record)
    return {str(split): counts[split] for split in Split}


def build_population(session: SparkSession, lake: Lake, settings: Settings, manifest: GraphManifest) -> None:
    """Write ``population_<query>``: the entities that WHERE lets through at the anchor of the predictions."""
    query = bind_query(settings, manifest)
    latest = plan_query_anchors(settings, query, manifest.time_ranges).latest
    asked = population_frame(session, lake, query, latest, manifest)
    write_table(lake, POPULATION.format(query=settings.query.name), asked.repartition(1).sort("entity"))


def describe_labels(record: Mapping[str, Any]) -> str:
    """The record of the label stage in a few words."""
    splits = record["splits"]
    counts = ", ".join(f"{splits[str(split)]['examples']:,} {split}" for split in Split) + " examples"
    left = LeftOut(**record.get("left_out", {})).in_words()
    return f"{_figures_in_words(record, counts)}{f'; {left}' if left else ''}"


def _figures_in_words(record: Mapping[str, Any], counts: str) -> str:
    splits = record["splits"]
    train = splits[str(Split.TRAIN)]
    if "rate" in train:
        return counts + f"; true for {train['rate']:.1%} of the training examples"
    if "mean" in train:
        return counts + f"; mean {train['mean']:.4g}, deviation {train['deviation']:.4g}, zero for {train['zero']:.1%}"
    if "targets" in train:
        classes = f" of {len(record['classes']):,} classes" if record["classes"] else ""
        return counts + f"; {train['targets']:.3g} targets an example{classes}"
    return counts + f"; {len(record['classes']):,} classes"


def _warn_of_statistics(fit_until: int, validation: int, test: int) -> None:
    if fit_until > validation:
        log.warning(
            "statistics of the columns (means, categories) count rows up to %s, after the %s anchor: build the graph "
            "with graph.fit_until=%s (and --force, now that it is there) to keep evaluation free of them",
            show_time(fit_until),
            "test" if fit_until > test else "validation",
            show_time(validation),
        )


def _nothing(query: PredictiveQuery, plan: AnchorPlan, split: Split, late: int, nobody: bool) -> DataError | QueryError:
    clause = next((word for word in ("WHERE", "ASSUMING") if word in query.positions), None)
    if clause is not None and nobody:
        # Other anchors would be of no use.
        when = "" if plan.static else f" at any of the {len(plan.splits())} anchors"
        message = f"{clause} lets no {query.entity.name} row through{when}: widen the condition"
        return QueryError(message, query.text, query.positions[clause])
    let_through = f" that {clause} lets through" if clause else ""
    if plan.static:
        message = f"no {query.entity.name} row{let_through} has a known target in the {split} split"
        if plan.own_times is not None and not late:
            message += ", which goes by their times. Set anchors.validation and anchors.test"
        if late:
            after = query.known_after
            known = after.name if isinstance(after, bound.Column) else f"{after:g}"
            message += f"; {late:,} answers are known too late to be learned from, as query.known_after={known} tells"
    else:
        anchors = plan.of(split)
        message = (
            f"no {query.entity.name} row{let_through} has a target in a {split} window: anchors "
            f"{show_time(anchors[0])} to {show_time(anchors[-1])}. Set anchors.test or anchors.train"
        )
    if clause is None:
        return DataError(message)
    return QueryError(f"{message}; widen the condition", query.text, query.positions[clause])


def _classes(labels: DataFrame, query: PredictiveQuery) -> list[str]:
    values = find_rule(query).classes(labels)
    if values is None:
        return []
    counted = values.where(F.col("split") == str(Split.TRAIN)).groupBy("value").count()
    rows = counted.orderBy(F.desc("count"), "value").limit(MAX_CLASSES).collect()
    return [row["value"] for row in rows]
