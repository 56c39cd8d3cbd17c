"""Paths from a seed, and fan-outs as paths: which edge types a neighborhood follows, hop by hop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnnscale.schema import ConfigError, EdgeType, GraphManifest, nearest

Path = tuple[EdgeType, ...]
"""Edge types from a seed to a hop's nodes."""

Fanouts = Sequence[int | Mapping[str, int]]


def plan_paths(manifest: GraphManifest, table: str, fanouts: Fanouts) -> dict[Path, int]:
    """Every path that fan-outs lead along from the rows of a table.

    Args:
        manifest: tables and edge types of the graph.
        table: that seeds are rows of.
        fanouts: one entry a hop: a number for every edge type that leaves the frontier, or name of an edge type (see
            :attr:`gnnscale.schema.EdgeType.name`) -> number, which follows only those it names.

    Returns:
        Edge types from a seed -> most neighbors along the last of them; shorter paths first.

    Raises:
        ConfigError: an unknown table or link, a fan-out under 1, or a hop that leads nowhere.
    """
    names = [t.name for t in manifest.tables]
    if table not in names:
        raise ConfigError(f"unknown table '{table}'.{nearest(table, names)}")
    known = {edge_type.name for edge_type in manifest.edge_types}
    derived = {relation.link for relation in manifest.relations}
    paths: dict[Path, int] = {}
    frontiers: list[Path] = [()]
    for hop, choice in enumerate(fanouts, start=1):
        if isinstance(choice, Mapping):
            for name in choice:
                if name not in known:
                    raise ConfigError(f"fan-outs of hop {hop}: unknown link '{name}'.{nearest(name, known)}")
        reached = {}
        for path in frontiers:
            source = path[-1].target if path else table
            for edge_type in (e for e in manifest.edge_types if e.source == source):
                fanout = choice.get(edge_type.name) if isinstance(choice, Mapping) else choice
                # Straight back to the parent that a row was reached from is that parent again.
                known_end = edge_type.link not in derived and _turns_back(path, edge_type)
                if fanout is not None and not (isinstance(choice, Mapping) and known_end):
                    if fanout < 1:
                        raise ConfigError(f"fan-outs of hop {hop}: {edge_type.name} is {fanout}; at least 1")
                    reached[(*path, edge_type)] = fanout
        if not reached:
            raise ConfigError(f"fan-outs of hop {hop}: no link of {choice} leaves the tables reached before it")
        paths |= reached
        frontiers = list(reached)
    return paths


def _turns_back(path: Path, edge_type: EdgeType) -> bool:
    return bool(path) and path[-1].link == edge_type.link and path[-1].reverse and not edge_type.reverse
