"""The label stage: event tables to labelled examples, on Spark."""

from __future__ import annotations

from typing import Any

from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.stage import Stage


class LabelStage(Stage):
    """Event tables to labelled examples."""

    name = "labels"
    help = "event tables to labelled examples (Spark)"
    on_spark = True
    after = GraphStage

    def inputs(self) -> dict[str, Any]:
        """Graph, query and anchors."""
        return {
            "graph": self.upstream(GraphStage),
            "query": self.settings.query.model_dump(),
            "anchors": self.settings.anchors.model_dump(mode="json"),
        }

    def outputs(self) -> list[str]:
        """The labels, and who is asked about at the end."""
        name = self.settings.query.name
        return [f"labels_{name}"] + ([f"population_{name}"] if self.work.query.where is not None else [])

    def make(self) -> str:
        """Run on Spark."""
        from gnnscale.etl import TASK, build_labels, describe_labels

        build_labels(self.work.spark.open(), self.work.lake, self.settings, self.work.manifest)
        record = self.work.lake.read_record(TASK.format(query=self.settings.query.name))
        assert record is not None
        return describe_labels(record)
