"""The shard stage: examples to sampled subgraphs, on Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError

if TYPE_CHECKING:
    from gnnscale.etl import ShardPlan


class ShardStage(Stage):
    """Examples to sampled subgraphs, for training where the graph does not fit; optional."""

    name = "shards"
    help = "sample subgraph shards of the examples, for training on graphs larger than memory (Spark)"
    on_spark = True
    after = LabelStage

    def inputs(self) -> dict[str, Any]:
        """Labels, sampling and seed."""
        return {
            "labels": self.upstream(LabelStage),
            "sampling": self.settings.sampling.model_dump(exclude={"threads"}),
            "shards": {**self.settings.shards.model_dump(), "features": with_features(self.settings)},
            "seed": self.settings.seed,
        }

    def outputs(self) -> list[str]:
        """The shards."""
        return [f"shards_{self.settings.query.name}"]

    def make(self) -> str:
        """Run on Spark."""
        from gnnscale.etl import build_shards

        plan = plan_shards(self.settings, self.work.query)
        examples = build_shards(self.work.spark.open(), self.work.lake, self.work.manifest, plan)
        return f"neighborhoods of {examples:,} examples"


def with_features(settings: Settings) -> bool:
    """Whether shards hold the columns of their nodes: where they should, and where the training reads nothing else."""
    return settings.shards.features or settings.training.source == "shards"


def plan_shards(settings: Settings, query: PredictiveQuery) -> ShardPlan:
    """The plan that the configuration makes for a query.

    Raises:
        ConfigError: the query's event tables have no times, so that each anchor would need a graph of its own.
    """
    from gnnscale.batches import default_hops, link_sampling
    from gnnscale.etl import ShardPlan
    from gnnscale.sampling import Rule

    if query.pseudo_timed_tables:
        raise ConfigError("shards hold what is known at a time, and the events of a query without a window have none")
    sampling = settings.sampling
    if query.task_type.predicts_links:
        hops = link_sampling(query, sampling).entity_hops
    else:
        hops = sampling.entity_hops or default_hops(query.graph, query.entity.name, hidden_tables=query.hidden_tables)
    lake = Lake(settings.lake.uri)
    return ShardPlan(
        settings.query.name,
        query.entity.name,
        hops,
        Rule(sampling.neighbors, sampling.cap),
        settings.seed,
        settings.shards.epoch,
        settings.shards.file_mb << 20,
        settings.shards.tile_edges,
        cache=lake.cache_folder(settings.lake.cache),
        features=with_features(settings),
        hidden_tables=query.hidden_tables,
        hidden_columns=query.hidden_columns,
    )
