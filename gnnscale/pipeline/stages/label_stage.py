"""The label stage: event tables to labelled examples, on Spark."""

from __future__ import annotations

from typing import Any

from gnnscale.lake import find_source, source_state
from gnnscale.pipeline.preflight import check_model_on_graph
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.stage import Stage


class LabelStage(Stage):
    """Event tables to labelled examples."""

    name = "labels"
    help = "make labelled examples from event tables (Spark)"
    on_spark = True
    after = GraphStage

    def inputs(self) -> dict[str, Any]:
        """Graph, query and anchors."""
        return {
            "graph": self.upstream(GraphStage),
            "query": self.settings.query.model_dump(exclude_none=True, exclude_defaults=True),
            "anchors": self.settings.anchors.model_dump(mode="json"),
            **({"examples": self._examples_state()} if self.settings.query.examples else {}),
        }

    def outputs(self) -> list[str]:
        """The labels, and who is asked about at the end."""
        name = self.settings.query.name
        return [f"labels_{name}"] + ([f"population_{name}"] if self.work.query.where is not None else [])

    def make(self) -> str:
        """Label on Spark, or take the examples that were given."""
        from gnnscale.etl import TASK, build_labels, build_population, describe_labels, write_examples
        from gnnscale.inference import named_entities

        work = self.work
        # Who is asked about is looked for before anything is made for them, and so is what the model names.
        named_entities(work.lake, work.query)
        check_model_on_graph(self.settings, work.manifest, work.query)
        if self.settings.query.examples is None:
            build_labels(work.spark.open(), work.lake, self.settings, work.manifest)
        else:
            write_examples(work.lake, self.settings, work.manifest)
            if work.query.where is not None:
                build_population(work.spark.open(), work.lake, self.settings, work.manifest)
        record = self.work.lake.read_record(TASK.format(query=self.settings.query.name))
        assert record is not None
        return describe_labels(record)

    def _examples_state(self) -> list[str]:
        options = self.settings.lake.storage_options
        return source_state(find_source("examples", self.settings.query.examples or "", options), options)
