"""Random walks as a configuration says."""

from __future__ import annotations

from gnnscale.batches import is_hidden
from gnnscale.config import Settings, WalkSettings
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import WalkRule, WalkSampler, plan_steps
from gnnscale.schema import ConfigError, GraphManifest
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


def query_walks(settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> WalkSettings:
    """Walks from a query's entities.

    Args:
        settings: ``sampling`` counts.
        manifest: of the graph.
        query: bound query.

    Raises:
        ConfigError: there are none, or they don't fit the graph or the query.
    """
    walks = settings.sampling.walks
    if walks is None:
        raise ConfigError("sampling.strategy=walk needs sampling.walks, whose cycle begins at the query's entity")
    path = plan_steps(manifest, query.entity.name, walks.cycle, walks.length)
    if is_hidden(path, query, manifest):
        raise ConfigError(f"sampling.walks.cycle={','.join(walks.cycle)} follows what the query hides")
    return walks


def query_walker(settings: Settings, store: GraphStore, query: PredictiveQuery) -> WalkSampler:
    """What walks from a query's entities, as :func:`query_walks` has it."""
    return walk_sampler(settings, store, query_walks(settings, store.manifest, query), query.entity.name)
