"""The sampling rule in plain NumPy: slow, short, and what every other backend must equal bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64, below, draw, mulhi
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import SAMPLERS
from gnnscale.store import ALWAYS, Adjacency


@SAMPLERS.register("numpy")
class NumpyBackend:
    """The reference.

    Floyd's algorithm (Bentley and Floyd, 1987) takes a uniform subset. Weighted draws are successive sampling, whose
    samples follow the same law as the largest keys u^(1/w) of Efraimidis and Spirakis (2006).
    """

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
        """As :meth:`gnnscale.sampling.SamplerBackend.fill_neighbors`."""
        batch, width, fanout = nodes.shape
        nodes[:], times[:] = -1, ALWAYS
        for b in range(batch):
            for w in range(width):
                node = frontier[b, w]
                if node < 0:
                    continue
                for j, position in enumerate(_choose(adjacency, node, anchors[b], keys[b], w, fanout, rule)):
                    nodes[b, w, j] = adjacency.neighbors[position]
                    times[b, w, j] = adjacency.times[position]


def _choose(
    adjacency: Adjacency, node: np.int32, anchor: np.int32, key: np.uint64, slot: int, fanout: int, rule: Rule
) -> list[int]:
    """Positions of the edges that one frontier node gets; ``slot`` is its position in the frontier."""
    low, end = int(adjacency.indptr[node]), int(adjacency.indptr[node + 1])
    high = low + int(np.searchsorted(adjacency.times[low:end], anchor, side="right"))
    if rule.cap is not None:
        low = max(low, high - rule.cap)
    count = high - low
    if rule.strategy == "last" or count <= fanout:
        return [high - 1 - j for j in range(min(count, fanout))]
    slots = np.uint64(slot * fanout) + np.arange(fanout, dtype=np.uint64)
    bits = draw(np.full(fanout, key, np.uint64), slots)
    if rule.strategy == "weighted" and adjacency.cumulative is not None:
        return [low + position for position in _successive(bits, adjacency.cumulative[low : high + 1])]
    return [low + position for position in _floyd(bits, count)]


def _floyd(bits: UInt64, count: int) -> list[int]:
    chosen: list[int] = []
    for top, random in enumerate(bits, start=count - len(bits)):
        position = int(below(random, np.asarray(top + 1, np.uint64)))
        chosen.append(top if position in chosen else position)
    return chosen


def _successive(bits: UInt64, cumulative: UInt64) -> list[int]:
    """Draws in proportion to weight, without replacement.

    Candidates are intervals of integers that lie end to end, as wide as their weights. A draw is an integer below the
    total width of those not yet drawn; drawn intervals, in order of start, push it past themselves; it then lies in an
    interval that was not drawn, and in each with a chance in proportion to its width. No draw is ever rejected.
    """
    # Right even where the running sum over a whole table has passed 2**64.
    bounds = (cumulative - cumulative[0]).tolist()
    chosen: list[int] = []
    for random in bits:
        left = bounds[-1] - sum(bounds[i + 1] - bounds[i] for i in chosen)
        place = int(mulhi(random, np.asarray(left, np.uint64)))
        for i in sorted(chosen):
            if place < bounds[i]:
                break
            place += bounds[i + 1] - bounds[i]
        chosen.append(int(np.searchsorted(bounds, place, side="right")) - 1)
    return chosen
