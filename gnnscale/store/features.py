"""Encoded features of a table in memory: floats, codes, lists of codes and vectors, row = node id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import CodeListWriter, Ragged, create_array, open_code_lists
from gnnscale.schema import DataError, TableManifest
from gnnscale.store.adjacency import ALWAYS, relative_times

if TYPE_CHECKING:
    import pyarrow as pa

NEVER = np.iinfo(np.int32).max
"""End of a node that holds for good, and time of a node that is never there."""


@dataclass(frozen=True)
class NodeFeatures:
    """Features of all nodes of a table.

    Args:
        numerical: float32 ``[nodes, numerical columns]``, in the manifest's order.
        categorical: int32 ``[nodes, categorical columns]``; code 0 is missing or unknown.
        times: int32 ``[nodes]``, seconds after the graph's origin; ``NEVER`` for nodes whose key the table has no
            longer.
        ends: int32 ``[nodes]``, from when on a node no longer holds, ``NEVER`` where it always will; None for tables
            whose rows don't end.
        multicategorical: codes of each multicategorical column, in the manifest's order.
        embedded: vectors of each text and embedding column, float16 ``[nodes, dims]``, in the manifest's order. Encoded
            values are within 10 of zero, where half precision errs by less than a thousandth of them.
    """

    numerical: NDArray[np.float32]
    categorical: NDArray[np.int32]
    times: NDArray[np.int32]
    valid_until: NDArray[np.int32] | None = None
    multicategorical: tuple[Ragged, ...] = ()
    embedded: tuple[NDArray[np.float16], ...] = ()

    @classmethod
    def open(cls, folder: Path) -> NodeFeatures:
        """Map the arrays of a folder."""
        names = ("numerical", "categorical", "times", "valid_until")
        plain = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in names if (folder / f"{n}.npy").exists()}
        lists = len(list(folder.glob("multicategorical_*_codes.npy")))
        vectors = len(list(folder.glob("embedded_*.npy")))
        return cls(
            **plain,
            multicategorical=tuple(open_code_lists(folder, f"multicategorical_{i}") for i in range(lists)),
            embedded=tuple(np.load(folder / f"embedded_{i}.npy", mmap_mode="r") for i in range(vectors)),
        )

    def is_valid_at(self, nodes: NDArray[Any], anchors: NDArray[Any] | int) -> NDArray[np.bool_]:
        """Which nodes hold at their anchors: there by then, and not yet ended.

        Args:
            nodes: node ids, int.
            anchors: seconds after the graph's origin, of a shape that broadcasts with ``nodes``.
        """
        there: NDArray[np.bool_] = self.times[nodes] <= anchors
        return there if self.valid_until is None else there & (self.valid_until[nodes] > anchors)


def write_features(folder: Path, batches: Iterator[pa.RecordBatch], table: TableManifest, origin: int) -> None:
    """Stream ``nodes_<table>`` into the arrays that :meth:`NodeFeatures.open` maps.

    Nodes whose key the table has no longer have no row: they are never there, and their features are zeros.

    Raises:
        DataError: node ids are not 0 to rows - 1, each once but for those that are gone.
    """
    floats, codes = (table.rows, len(table.numerical)), (table.rows, len(table.categorical))
    numerical = create_array(folder / "numerical.npy", np.float32, floats)
    categorical = create_array(folder / "categorical.npy", np.int32, codes)
    times = create_array(folder / "times.npy", np.int32, (table.rows,))
    valid_until = create_array(folder / "valid_until.npy", np.int32, (table.rows,)) if table.has_end else None
    lists = [CodeListWriter(folder, f"multicategorical_{i}", table.rows) for i in range(len(table.multicategorical))]
    vectors = [
        create_array(folder / f"embedded_{i}.npy", np.float16, (table.rows, feature.dims))
        for i, feature in enumerate(table.embedded)
    ]
    import pyarrow.compute as pc

    seen = np.zeros(table.rows, bool)
    for batch in batches:
        ids = batch.column("node_id").to_numpy()
        if ids.size and (ids.min() < 0 or ids.max() >= table.rows or seen[ids].any()):
            raise DataError(f"nodes_{table.name} has a node id twice or out of range; build the graph again")
        seen[ids] = True
        for index, feature in enumerate(table.numerical):
            numerical[ids, index] = batch.column(feature.encoded).to_numpy()
        for index, feature in enumerate(table.categorical):
            categorical[ids, index] = batch.column(feature.encoded).to_numpy()
        for writer, feature in zip(lists, table.multicategorical, strict=True):
            writer.add(ids, batch.column(feature.encoded))
        for array, feature in zip(vectors, table.embedded, strict=True):
            values = batch.column(feature.encoded).flatten().to_numpy(zero_copy_only=False)
            array[ids] = values.reshape(len(ids), feature.dims)
        # In a graph whose times are further apart than 32 bits tell, what is older counts as of the origin.
        times[ids] = relative_times(pc.max_element_wise(batch.column("time"), origin, skip_nulls=False), origin)
        if valid_until is not None:
            column = batch.column("end_time")
            # An end in the year 9999 means never.
            seconds = column.fill_null(origin + NEVER).to_numpy(zero_copy_only=False) - origin
            valid_until[ids] = np.clip(seconds, ALWAYS, NEVER)
    absent = np.flatnonzero(~seen)
    if len(absent) != table.deleted:
        raise DataError(
            f"nodes_{table.name} lacks {len(absent):,} of {table.rows:,} node ids, and {table.deleted:,} keys are "
            "gone; build the graph again"
        )
    times[absent] = NEVER
    if valid_until is not None:
        valid_until[absent] = NEVER
    for writer in lists:
        writer.close()
    if valid_until is not None:
        valid_until.flush()
    for array in (numerical, categorical, times, *vectors):
        array.flush()
