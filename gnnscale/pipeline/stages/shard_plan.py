"""What the shard stage samples for a query: the neighborhood that its network would be given."""

from __future__ import annotations

from gnnscale.batches import default_hops, link_sampling
from gnnscale.config import Settings
from gnnscale.etl import ShardPlan
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import Rule
from gnnscale.schema import ConfigError


def plan_shards(settings: Settings, query: PredictiveQuery) -> ShardPlan:
    """The plan that the configuration makes for a query.

    Raises:
        ConfigError: the query's facts have no times, so that each anchor would need a graph of its own.
    """
    if query.pseudo_timed_tables:
        raise ConfigError("shards hold what is known at a time, and the facts of a query without a window have none")
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
        features=settings.shards.features,
        hidden_tables=query.hidden_tables,
        hidden_columns=query.hidden_columns,
    )
