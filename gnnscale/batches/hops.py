"""Which links a neighborhood follows where the configuration does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnnscale.config import SamplingSettings
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import Path
from gnnscale.schema import EdgeType, GraphManifest, GraphSchema, Link

FANOUTS = (1024, 16, 0)
"""Neighbors along each link that points at a table reached, per hop; the last hop only looks parents up."""

TARGET_FANOUT = 48
"""Latest events that are sampled around a target of a link task."""


def default_hops(
    graph: GraphSchema, table: str, fanouts: Sequence[int] = FANOUTS, hidden_tables: frozenset[str] = frozenset()
) -> tuple[dict[str, int], ...]:
    """Fan-outs that follow every link around the rows of a table.

    Each hop looks up the parents that the rows reached before it name, one each, and takes up to its fan-out of the
    rows that name those reached. A hop that would reach nothing ends the sequence.

    Args:
        graph: tables and links.
        table: that seeds are rows of.
        fanouts: neighbors along a link against its direction, one entry a hop; with 0 the hop only looks parents up.
        hidden_tables: never entered.

    Returns:
        Name of an edge type -> fan-out, one mapping a hop, as ``sampling.entity_hops`` takes them.

    Raises:
        SchemaError: there is no such table.
    """
    graph.table(table)
    hops: list[dict[str, int]] = []
    # Tables reached, each with the link that rows were reached against: going back along it gives the same parent.
    frontier: set[tuple[str, Link | None]] = {(table, None)}
    for fanout in fanouts:
        hop: dict[str, int] = {}
        reached: set[tuple[str, Link | None]] = set()
        for source, back in frontier:
            for link in graph.links:
                if link.table == source and link.parent not in hidden_tables and link != back:
                    hop[link.name] = max(1, hop.get(link.name, 0))
                    reached.add((link.parent, None))
                if link.parent == source and link.table not in hidden_tables and fanout > 0:
                    hop[EdgeType(link, reverse=True).name] = fanout
                    reached.add((link.table, link))
        if not hop:
            break
        hops.append({name: hop[name] for name in sorted(hop)})
        frontier = reached
    return tuple(hops)


def filled_hops(hops: Sequence[Mapping[str, int]], manifest: GraphManifest) -> tuple[dict[str, int], ...]:
    """Fan-outs no larger than what a row of a graph can fill, for samples of the latest: others hang on their slots.

    Args:
        hops: name of an edge type -> fan-out, one mapping a hop.
        manifest: of the graph.
    """
    most = {own.name: max(1, manifest.edges(own).max_degree) for own in manifest.edge_types if own.reverse}
    return tuple({name: min(fanout, most.get(name, fanout)) for name, fanout in hop.items()} for hop in hops)


def is_hidden(path: Path, query: PredictiveQuery, manifest: GraphManifest) -> bool:
    """Whether a path enters a hidden table, or follows a foreign key or edges made of what is hidden."""
    tables, columns = query.hidden_tables, query.hidden_columns
    derived = {r.link for r in manifest.relations if r.is_made_of(tables, columns)}
    return any(e.target in tables or (e.link.table, e.link.column) in columns or e.link in derived for e in path)


def link_sampling(query: PredictiveQuery, sampling: SamplingSettings) -> SamplingSettings:
    """The sampling of a link task, with the fan-outs that are left out filled in: events and what they name.

    Args:
        query: bound query of a link task.
        sampling: as configured.
    """
    changes = {}
    if not sampling.entity_hops:
        changes["entity_hops"] = default_hops(query.graph, query.entity.name, (FANOUTS[0], 0), query.hidden_tables)
    if not sampling.target_hops:
        changes["target_hops"] = ({query.target_link.name: TARGET_FANOUT},)
    return sampling.model_copy(update=changes)
