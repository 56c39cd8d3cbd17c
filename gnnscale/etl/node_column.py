"""One column of a table's nodes by node id, in an array that the tasks of a host share."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnnscale.etl.delta_files import open_folder
from gnnscale.etl.host_arrays import build_once
from gnnscale.lake import Lake


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
        actions = pa.table(lake.open(f"nodes_{table}").get_add_actions(flatten=True))
        files = tuple(sorted(unquote(path) for path in actions["path"].to_pylist()))
        return cls(lake.table_uri(f"nodes_{table}"), files, dict(lake.storage_options), column, rows, missing, cache)

    def array(self) -> NDArray[np.int64]:
        """Values by node id, int64 ``[rows]``, mapped."""
        name = hashlib.sha256("\n".join([self.root, self.column, *self.files]).encode()).hexdigest()[:20]
        if name not in _OPENED:
            parent = Path(self.cache or Path(tempfile.gettempdir()) / "gnnscale")
            folder = build_once(parent / f"column-{name}", self._write)
            _OPENED[name] = np.load(folder / "values.npy", mmap_mode="r")
        return _OPENED[name]

    def _write(self, folder: Path) -> None:
        values = np.full(self.rows, self.missing, np.int64)
        filesystem, prefix = open_folder(self.root, self.storage_options)
        for path in self.files:
            with pq.ParquetFile(filesystem.open_input_file(prefix + path)) as file:
                for batch in file.iter_batches(1 << 20, columns=["node_id", self.column], use_threads=False):
                    filled = batch.column(self.column).fill_null(self.missing)
                    values[batch.column("node_id").to_numpy()] = filled.to_numpy(zero_copy_only=False)
        np.save(folder / "values.npy", values)


_OPENED: dict[str, NDArray[np.int64]] = {}
"""What this process has mapped; files of a Delta table never change."""
