"""One direction of a link as CSR: whose neighbors, in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ALWAYS = np.iinfo(np.int32).min
"""Time of an edge that always holds: before every anchor."""

MOST_NODES = 2**31 - 1
"""Most rows of a table and most edges of a node: node ids have 32 bits, and so have the draws among neighbors."""


@dataclass(frozen=True)
class Adjacency:
    """CSR of one edge type; its arrays are kept as views that can't be written.

    Args:
        indptr: int64 ``[nodes + 1]``.
        neighbors: int32 ``[edges]``, ascending in time within a source.
        times: int32 ``[edges]``, seconds after the graph's origin; ``ALWAYS`` for edges that always hold.
        cumulative: uint64 ``[edges + 1]``, running sum from 0 of the weights of all edges, as :func:`quantise` gives
            them; None where edges have no weight.
    """

    indptr: NDArray[np.int64]
    neighbors: NDArray[np.int32]
    times: NDArray[np.int32]
    cumulative: NDArray[np.uint64] | None = None

    def __post_init__(self) -> None:
        """Keep plain views that can't be written: what is compiled for one graph is then fit for all."""
        for name, array in vars(self).copy().items():
            if array is not None:
                view = array.view(np.ndarray) if isinstance(array, np.memmap) else array.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Neighbors of each source, int64 ``[nodes]``."""
        return np.diff(self.indptr)

    @classmethod
    def open(cls, folder: Path) -> Adjacency:
        """Map the arrays of a folder; processes of one host share the pages."""
        names = ("indptr", "neighbors", "times", "cumulative")
        return cls(**{n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in names if (folder / f"{n}.npy").exists()})


def quantise(weights: NDArray[np.floating[Any]], max_weight: float) -> NDArray[np.uint64]:
    """Weights as integers, so that draws in proportion to them are exact and the same on every machine.

    ``max(1, floor(weight / max_weight * (2**32 - 1)))`` in float64, in this order: IEEE 754 leaves it no choice.

    Args:
        weights: over 0 and at most ``max_weight``.
        max_weight: largest weight of the edge table.

    Returns:
        uint64, same shape, from 1 to 2**32 - 1.
    """
    scaled = np.floor(weights.astype(np.float64) / max_weight * (2**32 - 1))
    return np.maximum(scaled, 1).astype(np.uint64)


def relative_times(column: pa.Array, origin: int) -> NDArray[np.int32]:
    """Epoch seconds as int32 seconds after ``origin``, null as ``ALWAYS``.

    Raises:
        DataError: a time is more than 68 years from the origin.
    """
    filled = column.fill_null(origin).to_numpy(zero_copy_only=False) - origin
    if filled.size and (abs(int(filled.min())) >= 2**31 - 1 or int(filled.max()) >= 2**31 - 1):
        raise DataError(f"times reach more than 68 years from {origin} (epoch seconds), past what 32 bits hold")
    return np.where(column.is_null().to_numpy(zero_copy_only=False), ALWAYS, filled).astype(np.int32)
