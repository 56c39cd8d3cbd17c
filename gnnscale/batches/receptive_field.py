"""What a network may read around the nodes of a table, so that what it can't read need not be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gnnscale.sampling import Path
from gnnscale.schema import EdgeType


@dataclass(frozen=True)
class ReceptiveField:
    """What is read around the rows of a table.

    Args:
        table: of the rows.
        hops: edge type -> most neighbors that count, the latest, or None for all; and what is read around those.
    """

    table: str
    hops: Mapping[EdgeType, tuple[int | None, ReceptiveField]] = field(default_factory=dict)


def read_around(
    table: str,
    paths: Mapping[Path, int],
    last: bool,
    cap: int | None,
    behind: Mapping[Path, ReceptiveField] | None = None,
    path: Path = (),
) -> ReceptiveField:
    """What samples along some paths read.

    Args:
        table: at the end of ``path``.
        paths: with their fan-outs, from the seeds.
        last: whether only the latest neighbors are taken, as many as the fan-out; else any up to ``cap``.
        cap: only the latest so many edges of a node are candidates; None for all.
        behind: path -> what is read besides around the nodes at its end.
        path: from the seeds to the rows; default: the seeds themselves.
    """
    hops: dict[EdgeType, tuple[int | None, ReceptiveField]] = {}
    for child, fanout in paths.items():
        if child and child[:-1] == path:
            inner = read_around(child[-1].target, paths, last, cap, behind, child)
            hops[child[-1]] = (fanout if last else cap, inner)
    own = ReceptiveField(table, hops)
    # A path may lead on from the nodes that more is read of.
    return join_fields(own, behind[path]) if behind and path in behind else own


def join_fields(one: ReceptiveField, other: ReceptiveField) -> ReceptiveField:
    """All that is read of either."""
    hops = dict(one.hops)
    for edge_type, (limit, inner) in other.hops.items():
        known, deeper = hops.get(edge_type, (limit, inner))
        hops[edge_type] = (None if known is None or limit is None else max(known, limit), join_fields(deeper, inner))
    return ReceptiveField(one.table, hops)
