"""A number, or a number for each of some windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pyspark.sql import Column
from pyspark.sql import functions as F

from gnnscale.etl.labels.label_checks import beyond
from gnnscale.etl.labels.label_rule import CastLabels, LabelInputs, LabelRule
from gnnscale.schema import LABELS


class ValueLabels(CastLabels):
    """The number."""

    kind: ClassVar[str] = "double"

    def targets(self, inputs: LabelInputs) -> list[Column]:
        """The target over its window, and over the one before, null where that is too large to be an input."""
        target, past = super().targets(inputs)
        return [target, _sound(past).alias("past")]

    def figures(self) -> list[Column]:
        """Mean, deviation and how many are zero, or one."""
        return [*_figures(F.col("target")), F.avg((F.col("target") == 1).cast("double")).alias("one")]

    def beyond(self) -> Column | None:
        """Numbers that are too large."""
        return beyond(F.col("target"))


class FrameLabels(LabelRule):
    """The number of each window to come; the past repeats that of the window that ends at the anchor."""

    def targets(self, inputs: LabelInputs) -> list[Column]:
        """Arrays; a frame without a value leaves nothing to learn from."""
        now = [value.cast("double") for value in inputs.now()]
        then = inputs.then()
        past = F.lit(None).cast("double") if then is None else _sound(then.cast("double"))
        whole = F.when(_all_present(now), F.array(*now)).alias("target")
        return [whole, F.when(past.isNotNull(), F.array(*[past] * len(now))).alias("past")]

    def figures(self) -> list[Column]:
        """Of the first frame: mean, deviation and how many are zero."""
        return _figures(F.col("target")[0])

    def beyond(self) -> Column | None:
        """Frames among whose numbers one is too large."""
        return F.exists("target", beyond)


def _sound(value: Column) -> Column:
    return F.when(~beyond(value), value)


def _figures(value: Column) -> list[Column]:
    return [
        F.avg(value).alias("mean"),
        F.stddev_pop(value).alias("deviation"),
        F.avg((value == 0).cast("double")).alias("zero"),
    ]


def _all_present(columns: Sequence[Column]) -> Column:
    present = F.lit(True)
    for column in columns:
        present = present & column.isNotNull()
    return present


LABELS.register("value")(ValueLabels())
LABELS.register("values")(FrameLabels())
