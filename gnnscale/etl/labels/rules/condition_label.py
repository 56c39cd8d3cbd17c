"""Whether a condition held: 1 or 0."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from gnnscale.etl.labels.condition_columns import condition_column
from gnnscale.etl.labels.label_rule import LabelInputs, LabelRule, before
from gnnscale.query import bound
from gnnscale.schema import LABELS


class ConditionLabels(LabelRule):
    """The condition over its windows, and over those that end at the anchor."""

    def targets(self, inputs: LabelInputs) -> list[Column]:
        """Both as 1 or 0; null where a column of the entity that they hang on is missing."""
        condition = inputs.query.expression
        assert not isinstance(condition, bound.Column | bound.Aggregate)
        used = bound.aggregates(condition)
        current: dict[bound.Operand, Column] = {**inputs.own}
        current |= {a: inputs.values[a, a.window] for a in used}
        target = condition_column(condition, current, unknown=True).cast("double").alias("target")
        if not inputs.past:
            return [target, F.lit(None).cast("double").alias("past")]
        earlier: dict[bound.Operand, Column] = {**inputs.own}
        earlier |= {a: inputs.values[a, before(a.window) if a.window else None] for a in used}
        return [target, condition_column(condition, earlier, unknown=True).cast("double").alias("past")]

    def figures(self) -> list[Column]:
        """The share of true examples."""
        return [F.avg("target").alias("rate")]


LABELS.register("truth")(ConditionLabels())
