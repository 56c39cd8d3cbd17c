"""The feature stage: examples to point-in-time features, on Spark."""

from __future__ import annotations

from typing import Any

from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.stage import Stage


class FeatureStage(Stage):
    """Examples to a table of features, for models of one's own; optional."""

    name = "features"
    help = "compute point-in-time features of the examples, as a table (Spark)"
    on_spark = True
    after = LabelStage

    def inputs(self) -> dict[str, Any]:
        """Labels, the anchor of the predictions, and which candidates rankings have."""
        trees = self.settings.model.trees
        return {
            "labels": self.upstream(LabelStage),
            "latest": self.work.plan.latest,
            "candidates": [trees.own, trees.new] if self.work.query.task_type.predicts_links else [],
        }

    def outputs(self) -> list[str]:
        """The features."""
        return [f"features_{self.settings.query.name}"]

    def make(self) -> str:
        """Run on Spark."""
        from gnnscale.etl import FEATURES, build_features

        lake = self.work.lake
        rows = build_features(self.work.spark.open(), lake, self.settings, self.work.manifest)
        record = lake.read_record(FEATURES.format(query=self.settings.query.name))
        assert record is not None
        return f"{len(record['columns'])} features of {rows:,} rows"
