"""What samples one hop: backends that give the same neighbors on the same keys."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import SAMPLERS
from gnnscale.store import Adjacency


class SamplerBackend(Protocol):
    """One way to sample a hop. Made without arguments; several threads may call it at once, each for other seeds."""

    def fill_neighbors(
        self,
        adjacency: Adjacency,
        frontier: NDArray[np.int32],
        anchors: NDArray[np.int32],
        keys: UInt64,
        rule: Rule,
        nodes: NDArray[np.int32],
        times: NDArray[np.int32],
    ) -> None:
        """Neighbors of each frontier node whose edge is stamped at or before its anchor.

        Candidates are those edges, or the latest ``rule.cap`` of them. Where there are at most ``fanout``, all of them,
        latest first. Else ``last`` takes the latest; ``uniform`` a uniform subset without replacement; ``weighted``
        draws one after the other, each in proportion to weight among the edges not yet drawn. Which ones follows from
        the keys alone, and is what the backend ``numpy`` takes, bit for bit.

        Args:
            adjacency: of the edge type to follow.
            frontier: ``[batch, width]``, -1 where absent.
            anchors: ``[batch]``.
            keys: ``[batch]``, one an example.
            rule: strategy and cap.
            nodes, times: get neighbors and times of edges, ``[batch, width, fanout]``, -1 and ``ALWAYS`` where absent.
        """


def find_backend(name: str) -> SamplerBackend:
    """The backend of a name.

    Raises:
        ConfigError: there is none, or it lacks what it runs on.
    """
    found: SamplerBackend = SAMPLERS.find(name)()
    return found
