"""Ranked answers, written a partition of entities at a time while the search goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.inference import TIMESTAMP
from gnnscale.lake import Lake, PartFiles, WrittenFile
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.ranking.calibration import Calibration
from gnnscale.retrieval.ranking.rank_batch import Ranked
from gnnscale.schema import LakeError

KIND = "answers"
"""Kind of run that the files of predictions are of."""

Rank = Callable[[NDArray[np.int64]], Ranked]
"""Lists of entities, by their node ids ``[rows]``."""


@dataclass(frozen=True)
class Answers:
    """A table of ranked targets at some anchors.

    Args:
        lake: gets the table.
        table: its name.
        query: whose answers these are.
        timed: whether rows tell their anchor; not where events were taken without their times.
        entity_keys, target_keys: in order of node id.
        explored: whether a column says which targets were drawn at random.
        fingerprint: of all that the answers depend on, and of how they are cut into files.
        calibration: from scores to probabilities; None for no such column.
    """

    lake: Lake
    table: str
    query: str
    timed: bool
    entity_keys: pa.Array
    target_keys: pa.Array
    explored: bool
    fingerprint: str
    calibration: Calibration | None = None

    def write(
        self,
        anchor: int,
        entities: NDArray[np.int64],
        partition_rows: int,
        rank: Rank,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> list[str]:
        """Write the lists of some entities at one anchor; :meth:`commit` makes them the table.

        Partitions that a run which was killed has finished are not made again.

        Args:
            anchor: epoch seconds.
            entities: node ids, ascending; the others have no rows.
            partition_rows: entities of a file.
            rank: makes lists.
            advance: called with the number of entities that are done.

        Returns:
            Names of the files.
        """
        parts = self._parts
        there = parts.sizes()
        names = []
        # An empty table has one file, without rows.
        for start in range(0, max(1, len(entities)), partition_rows):
            rows = entities[start : start + partition_rows]
            names.append(f"{parts.prefix}{anchor}-{start:010d}.parquet")
            if names[-1] not in there:
                parts.write(names[-1], self.rows(rank(rows), rows, anchor))
            advance(len(rows))
        return names

    def remove_unfinished(self) -> None:
        """Remove what runs of other inputs have left behind."""
        self._parts.remove_unfinished()

    def commit(self, written: Mapping[int, Sequence[str]]) -> int:
        """Make files the table, at once.

        Args:
            written: anchor (epoch seconds) -> names of its files.

        Returns:
            Rows of the table.

        Raises:
            LakeError: files that were written are gone.
        """
        parts = self._parts
        sizes = parts.sizes()
        names = [name for files in written.values() for name in files]
        if gone := [name for name in names if name not in sizes]:
            raise LakeError(
                f"{len(gone)} files of {self.table} are gone, such as {gone[0]}: does another run write it?"
            )
        files = []
        for anchor, own in written.items():
            time = f"{datetime.fromtimestamp(anchor, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
            bounds = {"anchor_time": time} if self.timed else {}
            files += [WrittenFile(name, sizes[name], parts.count_rows(name), bounds, bounds) for name in own]
        none = np.zeros((0, 1), np.int64)
        empty = Ranked(none, none.astype(np.float32), none.astype(bool), none[:, 0])
        parts.commit(self.rows(empty, none[:, 0], 0).schema, files)
        return sum(file.rows for file in files)

    def rows(self, ranked: Ranked, entities: NDArray[np.int64], anchor: int) -> pa.Table:
        """Lists of entities as rows of the table."""
        curve, targets = self.calibration, ranked.targets
        if curve is not None:
            targets = curve.kept(targets, ranked.scores)
        found, told = Neighbors(targets, ranked.scores), anchor if self.timed else None
        table = ranked_table(found, self.entity_keys.take(pa.array(entities)), self.target_keys, told)
        if self.explored:
            table = table.append_column("explored", pa.array(ranked.explored[targets >= 0]))
        if curve is not None:
            table = table.append_column("probability", pa.array(curve.probabilities(ranked.scores)[targets >= 0]))
        return table

    @property
    def _parts(self) -> PartFiles:
        return PartFiles(self.lake, self.table, KIND, self.query, self.fingerprint)


def ranked_table(found: Neighbors, entity_keys: pa.Array, target_keys: pa.Array, anchor: int | None) -> pa.Table:
    """Rankings as rows: entity, target (keys), rank (from 1), score, anchor_time; absent targets (-1) make none.

    Args:
        found: of each entity, ``[entities, k]``.
        entity_keys: of the entities, in the same order.
        target_keys: of all targets.
        anchor: epoch seconds; None for no time.
    """
    time = None if anchor is None else datetime.fromtimestamp(anchor, UTC)
    entities, k = found.targets.shape
    present = found.targets.ravel() >= 0
    rows = np.repeat(np.arange(entities), k)[present]
    return pa.table(
        {
            "entity": entity_keys.take(pa.array(rows)),
            "target": target_keys.take(pa.array(found.targets.ravel()[present])),
            "rank": pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), entities)[present]),
            "score": pa.array(found.scores.ravel()[present]),
            "anchor_time": pa.repeat(pa.scalar(time, TIMESTAMP), len(rows)),
        }
    )
