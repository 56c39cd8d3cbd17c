"""What random walks do: how many, how far, along which edge types, and how many nodes they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gnnscale.sampling.block import Path
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import ConfigError, GraphManifest, nearest

STEPS = ("uniform", "weighted")


@dataclass(frozen=True)
class WalkRule:
    """Random walks from a seed, and the nodes they visit most (Ying et al., PinSage, 2018: section 3.1).

    Args:
        walks: from each seed.
        length: steps of a walk, each along one edge type; default: once around the cycle.
        top: nodes that a seed gets.
        strategy: of a step: ``uniform``, or ``weighted`` in proportion to the edges' weights, and as ``uniform``
            along edges that have no weight.
        restart: chance that a walk which has gone around the cycle goes on from its seed, in ``[0, 1)``.
        cap: only the latest so many edges of a node are walked; None for all.

    Raises:
        ConfigError: an unknown strategy, a number under 1, or a chance outside ``[0, 1)``.
    """

    walks: int = 200
    length: int | None = None
    top: int = 50
    strategy: Literal["uniform", "weighted"] = "uniform"
    restart: float = 0.0
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STEPS:
            raise ConfigError(f"unknown strategy of walks '{self.strategy}'.{nearest(self.strategy, STEPS)}")
        for name, value in (("number", self.walks), ("length", self.length), ("top", self.top), ("cap", self.cap)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} of walks is {value}; at least 1")
        if not 0 <= self.restart < 1:
            raise ConfigError(f"restart of walks is {self.restart}; at least 0 and less than 1")

    @property
    def step(self) -> Rule:
        """How one edge is taken: a step is a hop of fan-out 1."""
        return Rule(self.strategy, self.cap)


def plan_steps(manifest: GraphManifest, table: str, cycle: Sequence[str], length: int | None) -> Path:
    """The edge type of every step of a walk.

    Args:
        manifest: tables and edge types of the graph.
        table: that seeds are rows of.
        cycle: names of edge types (see :attr:`gnnscale.schema.EdgeType.name`), in the order in which they are walked.
        length: steps; past the cycle's end they go around it again.

    Returns:
        ``length`` edge types; as many as the cycle has where it is None.

    Raises:
        ConfigError: an unknown table; a link that does not leave the table before it; a cycle that is empty, or does
            not come back where its walks go around again; a walk too short to reach the last table.
    """
    names = [t.name for t in manifest.tables]
    if table not in names:
        raise ConfigError(f"unknown table '{table}'.{nearest(table, names)}")
    if not cycle:
        raise ConfigError("the cycle of walks is empty; name at least one link")
    path: Path = ()
    for number, name in enumerate(cycle, start=1):
        source = path[-1].target if path else table
        leaving = {edge_type.name: edge_type for edge_type in manifest.edge_types if edge_type.source == source}
        if name not in leaving:
            raise ConfigError(f"step {number} of walks: no link '{name}' leaves '{source}'.{nearest(name, leaving)}")
        path = (*path, leaving[name])
    length = len(path) if length is None else length
    last = path[-1].target
    if length > len(path) and last != table:
        raise ConfigError(
            f"walks of length {length} go around their cycle of {len(path)}, which starts at '{table}' and ends at "
            f"'{last}'; end it at '{table}', or at most {len(path)} steps"
        )
    steps = tuple(path[i % len(path)] for i in range(length))
    if all(edge_type.target != last for edge_type in steps):
        raise ConfigError(f"walks of length {length} don't reach '{last}', the last table of their cycle")
    return steps
