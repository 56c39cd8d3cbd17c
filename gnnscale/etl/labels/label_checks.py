"""What labels must be to be learned from, and what is said of those that teach little."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.query import KNOWN_TIME, PredictiveQuery, Split, bound
from gnnscale.schema import DataError

log = logging.getLogger(__name__)

LARGEST: Final = 1e30
"""Largest size of a value that is learned: the spread of what is larger leaves the range of 32 bits."""

FEW: Final = 10
"""Examples of an answer under which it is said that there are hardly any."""


def beyond(value: Column) -> Column:
    """Whether a number is too large to learn, or none: infinite or NaN. Null is not."""
    return F.isnan(value) | (F.abs(value) > LARGEST)


def check_sizes(labels: DataFrame, faulty: Column | None, query: PredictiveQuery) -> None:
    """See that every target is a number that can be learned.

    Args:
        labels: of a query, with column ``target``.
        faulty: which rows are not so; None where the task has no such rows.
        query: whose labels they are.

    Raises:
        DataError: one is infinite, NaN or over ``LARGEST``.
    """
    if faulty is None:
        return
    row = labels.where(faulty).agg(F.count(F.lit(1)), F.first(F.col("target").cast("string"))).first()
    if row is not None and row[0]:
        raise DataError(
            f"{row[0]:,} targets of '{query.text}' are larger than {LARGEST:g}, such as {row[1]}: no network learns "
            "them. Mend the values in the source, or "
            + ("make them null there" if query.is_static else "leave them out with a WHERE inside the aggregate")
        )


def warn_of_early_answers(asked: DataFrame, query: PredictiveQuery) -> None:
    """Say how many answers are known before their rows are there, by the column that tells.

    Args:
        asked: from :func:`gnnscale.etl.labels.labelled_examples.asked_frame`.
        query: bound query.
    """
    if not isinstance(query.known_after, bound.Column):
        return
    has_time = F.col(asked.columns[3]).isNotNull() & F.col("anchor_time").isNotNull() & F.col(KNOWN_TIME).isNotNull()
    early = F.col(KNOWN_TIME) < F.col("anchor_time").cast("long")
    counts = (
        asked.where(has_time).agg(F.count(F.when(early, True)).alias("early"), F.count(F.lit(1)).alias("all")).first()
    )
    assert counts is not None
    if counts["early"]:
        log.warning(
            "%s of %s rows of '%s' have a '%s' before their own time: their answers count as known from their own time "
            "on. Where that column tells something else, name another one in query.known_after",
            *(f"{counts['early']:,}", f"{counts['all']:,}", query.entity.name, query.known_after.name),
        )


def warn_of_little(record: Mapping[str, Any]) -> None:
    """Say where the training examples have one answer alone, or one of them hardly ever.

    Args:
        record: of the label stage.
    """
    train = record["splits"][str(Split.TRAIN)]
    count = train["examples"]
    if "rate" in train:
        true = round(train["rate"] * count)
        least, answer = min((true, "true"), (count - true, "false"))
        if least < FEW:
            many = "none" if not least else f"only {least:,}"
            log.warning(
                "%s of the %s training examples %s %s: %s. A longer window, more anchors or another condition would "
                "give more",
                *(many, f"{count:,}", "is" if least < 2 else "are", answer),
                "there is nothing to tell apart" if not least else "too few to learn much from",
            )
    elif train.get("deviation") == 0:
        log.warning(
            "all %s training examples have the target %g: there is nothing to learn", f"{count:,}", train["mean"]
        )
    elif 0 < train.get("one", 0) < 1 and round(train["zero"] * count) + round(train["one"] * count) == count:
        log.warning(
            "all %s training examples have the target 0 or 1, and are taken as amounts, of which 0 may be best for "
            "everybody: for the chance of a 1, put '= 1' after what PREDICT asks for",
            f"{count:,}",
        )
    elif len(record["classes"]) == 1:
        log.warning(
            "all %s training examples are of class '%s': there is nothing to tell apart",
            *(f"{count:,}", record["classes"][0]),
        )
