"""One column of a table's nodes by node id, in an array that the tasks of a host share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import build_once, name_folder, remove_older
from gnnscale.lake import Lake, open_folder, parquet_batches, table_files


@dataclass(frozen=True)
class NodeColumn:
    """What travels to tasks; the array stays where they run.

    Args:
        root: of the Delta table ``nodes_<table>``.
        files: its files at one version.
        storage_options: as delta-rs names them.
        column: int64 column of the table.
        rows: node ids there are.
        missing: what stands for null.
        cache: folder on a local disk.
    """

    root: str
    files: tuple[str, ...]
    storage_options: Mapping[str, str]
    column: str
    rows: int
    missing: int
    cache: str | None = None

    @classmethod
    def of_table(
        cls, lake: Lake, table: str, column: str, rows: int, missing: int, cache: str | None = None
    ) -> NodeColumn:
        """The column of ``nodes_<table>`` at its latest version."""
        files = tuple(table_files(lake.open(f"nodes_{table}")))
        return cls(lake.table_uri(f"nodes_{table}"), files, dict(lake.storage_options), column, rows, missing, cache)

    def array(self) -> NDArray[np.int64]:
        """Values by node id, int64 ``[rows]``, mapped."""
        folder = name_folder(self.cache, "column", f"{self.root}\n{self.column}", "\n".join(self.files))
        if folder not in _OPENED:
            build_once(folder, self._write)
            remove_older(folder)
            _OPENED[folder] = np.load(folder / "values.npy", mmap_mode="r")
        return _OPENED[folder]

    def _write(self, folder: Path) -> None:
        values = np.full(self.rows, self.missing, np.int64)
        filesystem, prefix = open_folder(self.root, self.storage_options)
        for path in self.files:
            for batch in parquet_batches(filesystem, prefix + path, ["node_id", self.column], use_threads=False):
                filled = batch.column(self.column).fill_null(self.missing)
                values[batch.column("node_id").to_numpy()] = filled.to_numpy(zero_copy_only=False)
        np.save(folder / "values.npy", values)


_OPENED: dict[Path, NDArray[np.int64]] = {}
"""What this process has mapped; files of a Delta table never change."""
