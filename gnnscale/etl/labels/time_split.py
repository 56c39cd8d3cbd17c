"""Splits of examples that each have a time of their own: the oldest train, the latest test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.query import DAY, KNOWN_TIME, OwnTimes, PredictiveQuery, Split
from gnnscale.schema import DataError

SHARES: Final = (0.8, 0.9)
"""Shares of the examples that are older than those of validation, and than those of the test."""

GRAINS: Final = (DAY, 3_600, 60, 1)
"""Splits begin at a midnight, a full hour, minute or second, whichever is the first that tells enough times apart."""

ENOUGH: Final = 20
"""Distinct days (hours, minutes) that are enough to cut between."""


LATE: Final = "late"
"""In place of a split: of examples whose answers came to be known too late to be learned from."""


def split_by_time(known: DataFrame, query: PredictiveQuery, own: OwnTimes) -> DataFrame:
    """The examples, each in its split by its ``anchor_time``; those that the bounds of training leave out are dropped.

    Where it is told when answers are known, those of training that are not before validation begins are ``late``, and
    those of validation that are not before the test begins: whoever stood there could not have learned from them.

    Args:
        known: columns ``anchor_time`` (epoch seconds) and ``split``, which is replaced, and ``known_time`` perhaps.
        query: bound query, for messages.
        own: where the splits begin, as far as that is set.

    Raises:
        DataError: there are fewer times than splits.
    """
    validation, test = own.validation, own.test
    if validation is None or test is None:
        validation, test = _begin(known, query, validation, test)
    time = F.col("anchor_time")
    trains = F.lit(True) if own.start is None else time >= own.start
    trains = trains if own.end is None else trains & (time <= own.end)
    split = F.when(time >= test, str(Split.TEST)).when(time >= validation, str(Split.VALIDATION))
    split = split.when(trains, str(Split.TRAIN))
    found = known.withColumn("split", split).where(F.col("split").isNotNull())
    if KNOWN_TIME not in found.columns:
        return found
    begin = F.when(F.col("split") == str(Split.TRAIN), validation).when(F.col("split") == str(Split.VALIDATION), test)
    in_time = begin.isNull() | F.coalesce(F.col(KNOWN_TIME) < begin, F.lit(False))
    return found.withColumn("split", F.when(in_time, F.col("split")).otherwise(F.lit(LATE)))


def _begin(known: DataFrame, query: PredictiveQuery, validation: int | None, test: int | None) -> tuple[int, int]:
    """First second of validation and of the test, by the shares of the examples."""
    times: list[tuple[int, int]] = []
    for grain in GRAINS:
        cell = F.floor(F.col("anchor_time") / grain) * grain
        rows = known.groupBy(cell.cast("long").alias("time")).count().collect()
        times = sorted((row["time"], row["count"]) for row in rows)
        if len(times) >= ENOUGH:
            break
    if test is not None:
        # Validation is what is left of it among the older ones.
        times = [pair for pair in times if pair[0] < test]
        begin = _cut(times, SHARES[0] / SHARES[1], 1, len(times) - 1)
        return (times[begin][0] if begin is not None else test), test
    if validation is not None:
        older = [pair for pair in times if pair[0] < validation]
        newer = times[len(older) :]
        begin = _cut(newer, 0.5, 1, len(newer) - 1)
        if begin is not None:
            return validation, newer[begin][0]
    first = _cut(times, SHARES[0], 1, len(times) - 2)
    last = None if first is None else _cut(times, SHARES[1], first + 1, len(times) - 1)
    if validation is not None or first is None or last is None:
        raise DataError(
            f"the rows of '{query.entity.name}' whose target is known have too few times to be split by them: "
            f"{len(times)}. Set anchors.validation and anchors.test, or label examples with a column split"
        )
    return times[first][0], times[last][0]


def _cut(times: Sequence[tuple[int, int]], share: float, least: int, most: int) -> int | None:
    """The first time before which there is a share of the examples, by its place from ``least`` to ``most``."""
    if most < least:
        return None
    wanted, before = share * sum(count for _, count in times), 0
    for place, (_, count) in enumerate(times[: most + 1]):
        if place >= least and before >= wanted:
            return place
        before += count
    return most
