"""Hops as exchanges: frontiers go to the tiles that hold their nodes, what is sampled there goes on and home.

A frontier entry is an example's position and identity, the slot in its frontier, the node and the anchor. Entries
travel in packed blocks to the tile of their node, where the kernel of the in-memory sampler draws; what it finds goes
to the shard of its example, and as entries of the next hop to their tiles. Draws are hashes of their keys, so a task
that Spark runs again, elsewhere or twice, gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.etl.ids.node_column import NodeColumn
from gnnscale.etl.subgraph_shards.row_blocks import Layout, deal_rows, unpack_rows
from gnnscale.etl.subgraph_shards.shard_seeds import Examples
from gnnscale.etl.subgraph_shards.tiles import Tiles
from gnnscale.sampling import Path, Rule, example_keys, sample_flat
from gnnscale.store import ALWAYS, Adjacency

ENTRY: Layout = [(np.int64, 1), (np.int64, 1), (np.int32, 1), (np.int32, 1), (np.int32, 1)]
"""Row, identity, slot, node, anchor."""

CHUNK_ENTRIES = 1 << 18
"""Entries that are sampled at a time."""

SEED_ROWS = 1 << 18


def found_layout(fanout: int) -> Layout:
    """Row, slot, nodes, times."""
    return [(np.int64, 1), (np.int32, 1), (np.int32, fanout), (np.int32, fanout)]


@dataclass(frozen=True)
class Entries:
    """A frontier in columns, each ``[entries]``: see above."""

    row: NDArray[np.int64]
    identity: NDArray[np.int64]
    slot: NDArray[np.int32]
    node: NDArray[np.int32]
    anchor: NDArray[np.int32]

    @property
    def columns(self) -> list[NDArray[np.int64] | NDArray[np.int32]]:
        """In the order of :data:`ENTRY`."""
        return [self.row, self.identity, self.slot, self.node, self.anchor]


@dataclass(frozen=True)
class Places:
    """Partitions that a frontier is cut into: one a tile, or several where many entries go.

    Args:
        first: int32 ``[tiles]``, first place of each tile.
        splits: int32 ``[tiles]``, places of each tile.
    """

    first: NDArray[np.int32]
    splits: NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.splits.sum())

    @classmethod
    def for_entries(cls, expected: NDArray[np.float64], least: int) -> Places:
        """Places that get about as many entries as the median tile, or ``least``.

        Args:
            expected: entries of each tile, ``[tiles]``.
        """
        share = max(float(np.median(expected)), float(least))
        splits = np.maximum(1, np.ceil(expected / share)).astype(np.int32)
        return cls((np.cumsum(splits) - splits).astype(np.int32), splits)

    def of(self, tiles: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Place of each entry, int32 ``[entries]``; all of an example that go to one tile go to one place."""
        places: NDArray[np.int32] = self.first[tiles] + (rows % self.splits[tiles]).astype(np.int32)
        return places

    def tile(self, place: int) -> int:
        """Tile that a place is of."""
        return int(np.searchsorted(self.first, place, side="right") - 1)


@dataclass(frozen=True)
class Hop:
    """One path of the neighborhood, as tasks sample it.

    Args:
        path: edge types from the seed.
        fanout: most neighbors a node.
        width: slots of its frontier, for each example.
        key: of its draws.
        rule: strategy and cap.
        tiles: of its last edge type.
        places: that its frontier is dealt to.
        ends: when the nodes reached cease to hold, epoch seconds; None where they don't.
        children: hops that go on from it.
    """

    path: Path
    fanout: int
    width: int
    key: np.uint64
    rule: Rule
    tiles: Tiles
    places: Places
    valid_until: NodeColumn | None
    children: tuple[int, ...]


def frontier_channel(hop: int) -> int:
    """Channel of entries that go to a hop's tiles."""
    return 2 * hop


def found_channel(hop: int) -> int:
    """Channel of what a hop has found, for shards."""
    return 2 * hop + 1


@dataclass(frozen=True)
class SeedDealer:
    """Examples to the frontiers of the first hops; takes batches of (start, stop)."""

    examples: Examples
    hops: tuple[Hop, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start, stop in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                seeds = self.examples.seeds(start, stop)
                nodes = seeds.nodes.astype(np.int32)
                entries = Entries(seeds.rows, seeds.identities, np.zeros_like(nodes), nodes, seeds.anchors)
                for index, hop in enumerate(self.hops):
                    if len(hop.path) == 1:
                        yield from _deal_entries(index, hop, entries)


@dataclass(frozen=True)
class HopSampler:
    """Entries of one place to what is sampled there, for shards and for the hops that go on."""

    index: int
    hops: tuple[Hop, ...]
    shard_rows: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        hop = self.hops[self.index]
        loaded: tuple[Adjacency, int] | None = None
        for place, entries in _gathered(batches):
            loaded = loaded or hop.tiles.load(hop.places.tile(place))
            yield from self._sample(hop, *loaded, entries)

    def _sample(self, hop: Hop, adjacency: Adjacency, first: int, entries: Entries) -> Iterator[pa.RecordBatch]:
        keys = example_keys(hop.key, entries.identity)
        slots = entries.slot.astype(np.int64)
        nodes, times = sample_flat(adjacency, entries.node, entries.anchor, keys, slots, hop.fanout, hop.rule, first)
        if hop.valid_until is not None:
            drop_ended_nodes(nodes, times, hop.valid_until, entries.anchor, hop.tiles.origin)
        some = np.flatnonzero((nodes >= 0).any(axis=1))
        found = deal_rows(
            found_channel(self.index),
            (entries.row[some] // self.shard_rows).astype(np.int32),
            [entries.row[some], entries.slot[some], nodes[some], times[some]],
        )
        if found is not None:
            yield found
        if hop.children:
            onward = _onward(entries, nodes)
            for child in hop.children:
                yield from _deal_entries(child, self.hops[child], onward)


def drop_ended_nodes(
    nodes: NDArray[np.int32],
    times: NDArray[np.int32],
    valid_until: NodeColumn,
    anchors: NDArray[np.int32],
    origin: int,
) -> None:
    """Leave slots empty, in place, whose node no longer holds at its entry's anchor.

    Args:
        nodes, times: ``[entries, fanout]``.
        ends: epoch seconds from when on each node no longer holds.
        anchors: seconds after the origin ``[entries]``.
        origin: epoch seconds.
    """
    limits = anchors.astype(np.int64)[:, None] + origin
    ended = (nodes >= 0) & (valid_until.array()[np.maximum(nodes, 0)] <= limits)
    nodes[ended] = -1
    times[ended] = ALWAYS


def _deal_entries(index: int, hop: Hop, entries: Entries) -> Iterator[pa.RecordBatch]:
    places = hop.places.of(hop.tiles.tile_of(entries.node), entries.row)
    dealt = deal_rows(frontier_channel(index), places, entries.columns)
    if dealt is not None:
        yield dealt


def _onward(entries: Entries, nodes: NDArray[np.int32]) -> Entries:
    """The next frontier: slot ``w * fanout + j`` is the j-th neighbor of slot w."""
    fanout = nodes.shape[1]
    where, neighbor = np.nonzero(nodes >= 0)
    return Entries(
        entries.row[where],
        entries.identity[where],
        entries.slot[where] * np.int32(fanout) + neighbor.astype(np.int32),
        nodes[where, neighbor],
        entries.anchor[where],
    )


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Entries]]:
    """A partition's entries, about ``CHUNK_ENTRIES`` at a time; all are of one place."""
    held: list[list[NDArray[np.int64]]] = []
    rows = place = 0
    for batch in batches:
        for index, count, block in zip(
            batch.column("place").to_pylist(), batch.column("rows").to_pylist(), batch.column("block"), strict=True
        ):
            place = index
            held.append(unpack_rows(block.as_buffer(), count, ENTRY))
            rows += count
            if rows >= CHUNK_ENTRIES:
                yield place, _concatenated(held)
                held, rows = [], 0
    if held:
        yield place, _concatenated(held)


def _concatenated(held: Sequence[Sequence[NDArray[np.int64]]]) -> Entries:
    return Entries(*(np.concatenate(columns) for columns in zip(*held, strict=True)))
