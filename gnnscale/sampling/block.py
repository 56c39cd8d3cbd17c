"""A sampled neighborhood: dense tensors of fixed shape, -1 where a neighbor is absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.paths import Path

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData


@dataclass(frozen=True)
class Hop:
    """The nodes that one path reaches.

    Args:
        path: edge types from the seed; the last one's target is the nodes' table.
        nodes: int32 ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
        times: int32, same shape: seconds after the graph's origin of the edge that reached each node.
    """

    path: Path
    nodes: NDArray[np.int32]
    times: NDArray[np.int32]

    @property
    def table(self) -> str:
        """Table that the nodes are rows of."""
        return self.path[-1].target


@dataclass(frozen=True)
class Block:
    """Seeds and everything that was sampled around them.

    Args:
        seeds: int64 ``[batch]``, node ids of ``table``.
        times: int32 ``[batch]``, anchor of each seed in seconds after the graph's origin.
        hops: one for each path, shorter paths first.
    """

    table: str
    seeds: NDArray[np.int64]
    times: NDArray[np.int32]
    hops: dict[Path, Hop]

    def hop(self, *names: str) -> Hop:
        """The hop along the edge types of these names (``table.column``), in this order from the seed.

        Raises:
            KeyError: no such path was sampled.
        """
        for path, hop in self.hops.items():
            if tuple(edge_type.name for edge_type in path) == names:
                return hop
        raise KeyError(names)

    def edges(self) -> int:
        """Edges that were sampled: slots that hold a node."""
        return sum(int(np.count_nonzero(hop.nodes >= 0)) for hop in self.hops.values())

    def to_hetero_data(self, features: Mapping[str, NDArray[Any]] | None = None) -> HeteroData:
        """The block as a PyG graph; see :func:`gnnscale.sampling.to_hetero_data`."""
        from gnnscale.sampling.hetero_data import to_hetero_data

        return to_hetero_data(self, features)
