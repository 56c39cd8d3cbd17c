"""A class by its name, or several."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.labels.label_rule import CastLabels
from gnnscale.schema import LABELS


class ClassLabels(CastLabels):
    """The class."""

    kind: ClassVar[str] = "string"

    def figures(self) -> list[Column]:
        """About how many classes there are."""
        return [F.approx_count_distinct("target").alias("distinct")]

    def classes(self, labels: DataFrame) -> DataFrame | None:
        """The class of each example."""
        return labels.select("split", F.col("target").alias("value"))


class ClassListLabels(CastLabels):
    """The classes."""

    kind: ClassVar[str] = "array<string>"

    def figures(self) -> list[Column]:
        """How many classes an example has."""
        return [F.avg(F.size("target")).alias("targets")]

    def classes(self, labels: DataFrame) -> DataFrame | None:
        """Each class of each example."""
        return labels.select("split", F.explode("target").alias("value"))


LABELS.register("class")(ClassLabels())
LABELS.register("classes")(ClassListLabels())
