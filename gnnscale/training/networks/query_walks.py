"""Random walks as a configuration says."""

from __future__ import annotations

from gnnscale.batches import is_hidden
from gnnscale.config import Settings, WalkSettings
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import WalkRule, WalkSampler
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore


def walk_sampler(settings: Settings, store: GraphStore, walks: WalkSettings, table: str) -> WalkSampler:
    """Walks from the nodes of a table.

    Args:
        settings: ``sampling`` and the seed count.
        store: of the graph.
        walks: how many, how far, and which way.
        table: where they begin.
    """
    rule = WalkRule(walks.number, walks.length, walks.top, walks.step, walks.restart, settings.sampling.cap)
    return WalkSampler(store, walks.cycle, rule, settings.seed, table, threads=settings.sampling.threads)


def query_walker(settings: Settings, store: GraphStore, query: PredictiveQuery) -> WalkSampler:
    """Walks from a query's entities.

    Args:
        settings: ``sampling`` counts.
        store: of the graph.
        query: bound query.

    Raises:
        ConfigError: there are none, or they don't fit the graph or the query.
    """
    walks = settings.sampling.walks
    if walks is None:
        raise ConfigError("sampling.strategy=walk needs sampling.walks, whose cycle begins at the query's entity")
    walker = walk_sampler(settings, store, walks, query.entity.name)
    if is_hidden(walker.path, query, store.manifest):
        raise ConfigError(f"sampling.walks.cycle={','.join(walks.cycle)} follows what the query hides")
    return walker
