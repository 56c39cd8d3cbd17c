"""Rows of another table that events name."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql import Column
from pyspark.sql import functions as F

from gnnscale.etl.labels.label_rule import LabelInputs, LabelRule
from gnnscale.schema import LABELS


class LinkLabels(LabelRule):
    """Their node ids, ascending; what an entity had before is known from the graph."""

    has_past: ClassVar[bool] = False

    def targets(self, inputs: LabelInputs) -> list[Column]:
        """One array."""
        aggregate = inputs.query.aggregate
        found = inputs.values[aggregate, aggregate.window]
        single = aggregate.function != "LIST_DISTINCT"
        return [(F.when(found.isNotNull(), F.array(found)) if single else found).alias("targets")]

    def figures(self) -> list[Column]:
        """How many targets an example has."""
        return [F.avg(F.size("targets")).alias("targets")]


LABELS.register("links")(LinkLabels())
