"""Examples as the label stage wrote them, by their position in the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnnscale.lake import Lake, open_folder, open_parquet, read_groups, table_files
from gnnscale.sampling import default_examples
from gnnscale.schema import DataError


@dataclass(frozen=True)
class Seeds:
    """Seeds of consecutive examples.

    Args:
        rows: positions of the examples in their table, int64 ``[seeds]``.
        nodes: int64 ``[seeds]``.
        anchors: seconds after the graph's origin, int32 ``[seeds]``.
    """

    rows: NDArray[np.int64]
    nodes: NDArray[np.int64]
    anchors: NDArray[np.int32]

    @property
    def identities(self) -> NDArray[np.int64]:
        """What draws of each example are keyed by, int64 ``[seeds]``."""
        return default_examples(self.nodes, self.anchors)


@dataclass(frozen=True)
class Examples:
    """The table ``labels_<query>`` at one version.

    Args:
        root: of the table.
        groups: (file, row group, rows), in order of file names.
        origin: epoch seconds that anchors of seeds count from.
        storage_options: as delta-rs names them.
        schema: of the table.
    """

    root: str
    groups: tuple[tuple[str, int, int], ...]
    origin: int
    storage_options: Mapping[str, str]
    schema: pa.Schema

    @classmethod
    def of_table(cls, lake: Lake, table: str, origin: int) -> Examples:
        """The table at its latest version."""
        opened = lake.open(table)
        paths = table_files(opened)
        filesystem, prefix = open_folder(lake.table_uri(table), lake.storage_options)
        groups = []
        for path in paths:
            with filesystem.open_input_file(prefix + path) as file:
                footer = pq.read_metadata(file)
            groups += [(path, index, footer.row_group(index).num_rows) for index in range(footer.num_row_groups)]
        schema = pa.schema(opened.schema().to_arrow())
        return cls(lake.table_uri(table), tuple(groups), origin, dict(lake.storage_options), schema)

    def __len__(self) -> int:
        return sum(rows for _, _, rows in self.groups)

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Examples ``start`` to ``stop - 1``."""
        filesystem, prefix = open_folder(self.root, self.storage_options)
        parts, first = [], 0
        for path, group, rows in self.groups:
            low, high = max(start, first), min(stop, first + rows)
            if low < high:
                with open_parquet(filesystem, prefix + path) as file:
                    part = read_groups(file, columns or None, [group])
                parts.append(part.slice(low - first, high - low))
            first += rows
        return pa.concat_tables(parts)

    def seeds(self, start: int, stop: int) -> Seeds:
        """Seeds of examples ``start`` to ``stop - 1``.

        Raises:
            DataError: an anchor is more than 68 years from the graph's origin.
        """
        table = self.read(start, stop, ["entity", "anchor_time"])
        anchors = table["anchor_time"].to_numpy() - self.origin
        if anchors.size and np.abs(anchors).max() >= 2**31 - 1:
            raise DataError(f"an anchor of {self.root} is more than 68 years from {self.origin} (epoch seconds)")
        nodes = table["entity"].to_numpy().astype(np.int64)
        return Seeds(np.arange(start, stop, dtype=np.int64), nodes, anchors.astype(np.int32))
