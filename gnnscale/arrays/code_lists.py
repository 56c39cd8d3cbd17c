"""Files of a list of codes for every row of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays.array_file import create_array
from gnnscale.arrays.ragged import Ragged

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1 << 20
"""Rows that are put in order at once."""


def open_code_lists(folder: Path, name: str) -> Ragged:
    """Map what :class:`CodeListWriter` wrote: int32 codes from 1 on, ascending and distinct within a row."""
    indptr, codes = (np.load(folder / f"{name}_{part}.npy", mmap_mode="r") for part in ("offsets", "codes"))
    return Ragged(indptr, codes, checked=False)


class CodeListWriter:
    """Takes the lists of a column in any order of rows and writes them in that of the rows.

    Args:
        folder: gets ``<name>_offsets.npy`` and ``<name>_codes.npy``.
        name: of the arrays.
        rows: of the table.
    """

    def __init__(self, folder: Path, name: str, rows: int) -> None:
        self._folder, self._name = folder, name
        self._came = folder / f"{name}_as_it_came.bin"
        self._file = self._came.open("wb")
        self._starts, self._lengths = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self._count = 0

    def add(self, rows: NDArray[Any], lists: pa.Array) -> None:
        """Lists of some rows, int ``[n]`` and array<int> of ``n``; each row must be added once."""
        import pyarrow.compute as pc

        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        codes = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
        codes.tofile(self._file)
        self._lengths[rows] = lengths
        self._starts[rows] = self._count + np.cumsum(lengths) - lengths
        self._count += len(codes)

    def close(self) -> None:
        """Write the arrays."""
        self._file.close()
        offsets = np.concatenate([[0], np.cumsum(self._lengths)])
        np.save(self._folder / f"{self._name}_offsets.npy", offsets)
        codes = create_array(self._folder / f"{self._name}_codes.npy", np.int32, (self._count,))
        came = np.memmap(self._came, np.int32, mode="r", shape=(self._count,)) if self._count else codes
        for start in range(0, len(self._starts), ROWS):
            part = slice(start, start + ROWS)
            low, high = offsets[start], offsets[min(start + ROWS, len(self._starts))]
            codes[low:high] = came[
                np.arange(low, high) + np.repeat(self._starts[part] - offsets[:-1][part], self._lengths[part])
            ]
        codes.flush()
        self._came.unlink()
