"""What a person may give as a table: frames of several libraries, files, Delta tables and names of a catalog."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gnnscale.config import epoch_kinds, first_rows, with_epochs
from gnnscale.interface.plain_columns import arrow_table, dictionary_columns, pandas_table, plain_table
from gnnscale.lake import Lake, arrow_kinds, count_rows, find_source, name_format, open_rows, read_schema
from gnnscale.schema import LakeError, SchemaError, ValueKind, nearest, twin_names

if TYPE_CHECKING:
    from gnnscale.etl import DataFrame

SOURCES = "_sources"
"""Folder of a lake that keeps what was given as frames; the name of a file tells its content."""


class TableInput(ABC):
    """One table as it was given.

    Attributes:
        name: of the table.
        form: what it is, in a few words.
    """

    name: str
    form: str

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns and their types, in order."""

    @property
    def rows(self) -> int | None:
        """Number of rows, where that is known without reading them."""
        return None

    @property
    def kinds(self) -> dict[str, ValueKind]:
        """Columns and what their values are."""
        return arrow_kinds(self.schema)

    @property
    def epochs(self) -> Mapping[str, ValueKind]:
        """Columns of whole numbers that are times by their names and values."""
        return {}

    @property
    def first_rows(self) -> pa.Table | None:
        """Some rows, where they can be had without Spark."""
        return None

    @property
    def categories(self) -> frozenset[str]:
        """Columns whose type says that they hold categories, whatever the values are."""
        return dictionary_columns(self.schema)

    def values(self, column: str) -> pa.ChunkedArray | None:
        """A column, where it is in memory."""
        return None

    @abstractmethod
    def store(self, lake: Lake) -> str:
        """See that Spark can read the rows: written to the lake, where they are in memory or in a plan.

        Returns:
            Where they are: the same place for the same content.
        """


@dataclass(frozen=True)
class StoredTable(TableInput):
    """A table that is a file, a folder or a Delta table already."""

    name: str
    location: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def form(self) -> str:  # type: ignore[override]
        """Its format and its place."""
        return f"{self._source.format} {self.location}"

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types, in order."""
        return self._schema

    @property
    def rows(self) -> int | None:
        """Number of rows of Parquet and Delta."""
        return count_rows(self._source, dict(self.storage_options))

    @property
    def epochs(self) -> Mapping[str, ValueKind]:
        """By the first rows."""
        return with_epochs(open_rows(self._source, self.storage_options), self.first_rows)

    @cached_property
    def first_rows(self) -> pa.Table | None:
        """Those that come first."""
        return first_rows(open_rows(self._source, self.storage_options))

    def store(self, lake: Lake) -> str:
        """Where it is."""
        return self.location if self.location.startswith("package://") else self._source.uri

    @cached_property
    def _source(self) -> Any:
        return find_source(self.name, self.location, dict(self.storage_options))

    @cached_property
    def _schema(self) -> pa.Schema:
        return read_schema(self._source, dict(self.storage_options))


@dataclass(frozen=True, eq=False)
class MemoryTable(TableInput):
    """Rows in memory."""

    name: str
    form: str
    table: pa.Table
    categories: frozenset[str] = frozenset()

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types, in order."""
        return self.table.schema

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def values(self, column: str) -> pa.ChunkedArray:
        """A column."""
        return self.table[column]

    @property
    def epochs(self) -> Mapping[str, ValueKind]:
        """By all rows."""
        return epoch_kinds(self.table)

    @property
    def first_rows(self) -> pa.Table:
        """All."""
        return self.table

    def store(self, lake: Lake) -> str:
        """Write a Parquet file, unless the lake has one of the same content."""
        buffer = pa.BufferOutputStream()
        pq.write_table(self.table, buffer)
        content = buffer.getvalue()
        path = f"{SOURCES}/{self.name}/{hashlib.sha256(content).hexdigest()[:24]}.parquet"
        if not lake.has_file(path):
            lake.remove_folder(f"{SOURCES}/{self.name}")
            lake.write_bytes(path, content)
        return f"{lake.uri}/{path}"


@dataclass(frozen=True, eq=False)
class SparkTable(TableInput):
    """A frame of a Spark session; its rows never come to this process."""

    name: str
    form: str
    frame: DataFrame

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns and their types, in order."""
        from gnnscale.etl import frame_schema

        return frame_schema(self.frame)

    def store(self, lake: Lake) -> str:
        """Let Spark write Parquet files, unless the lake has those of the same content."""
        from gnnscale.etl import frame_digest, write_frame

        path = f"{SOURCES}/{self.name}/{frame_digest(self.frame)}"
        if not lake.has_file(f"{path}/_SUCCESS"):
            lake.remove_folder(f"{SOURCES}/{self.name}")
            write_frame(self.frame, f"{lake.uri}/{path}")
        return f"{lake.uri}/{path}"


@dataclass(frozen=True)
class MentionedTable(TableInput):
    """A table whose rows are the keys that other tables mention."""

    name: str
    form: str
    key: pa.Field

    @property
    def schema(self) -> pa.Schema:
        """The key."""
        return pa.schema([self.key])

    def store(self, lake: Lake) -> str:
        """Nowhere."""
        return ""


def mentioned_table(name: str, said: Mapping[str, Any], inputs: Mapping[str, TableInput]) -> MentionedTable:
    """A table that was not given, made of keys that others mention.

    Args:
        name: of the table.
        said: its settings, ``primary_key`` and ``keys_from`` among them.
        inputs: the tables that were given.

    Raises:
        SchemaError: the keys have no name, or are those of no column.
    """
    links = said["keys_from"]
    links = [links] if isinstance(links, str) else list(links)
    place, _, column = str(links[0]).partition(".")
    known = {f"{table}.{found}" for table, given in inputs.items() for found in given.schema.names}
    if links[0] not in known:
        raise SchemaError(f"table '{name}': keys_from '{links[0]}' is no column.{nearest(str(links[0]), known)}")
    if not said.get("primary_key"):
        raise SchemaError(f"table '{name}': keys_from needs a primary_key")
    key = pa.field(said["primary_key"], inputs[place].schema.field(column).type)
    return MentionedTable(name, f"keys of {', '.join(links)}", key)


def read_input(name: str, given: Any, storage_options: Mapping[str, str]) -> TableInput:
    """What was given for a table.

    Args:
        name: of the table.
        given: a pandas, polars, Arrow or Spark frame; a path or URI of Parquet, CSV or JSON lines (also gzipped, also a
            folder of them) or of a Delta table; or a name of the catalog of the Spark session that there is.
        storage_options: of object stores, as delta-rs names them.

    Raises:
        SchemaError: a frame has a column that can't be kept, or this is no table.
        LakeError: nothing is at the path, and the name is in no catalog.
    """
    table = _input(name, given, storage_options)
    _refuse_twins(name, table.schema.names)
    return table


def _input(name: str, given: Any, storage_options: Mapping[str, str]) -> TableInput:
    library = type(given).__module__.partition(".")[0]
    if isinstance(given, str | Path):
        return _named_input(name, str(given), storage_options)
    if library == "pyspark" and hasattr(given, "schema"):
        return SparkTable(name, "Spark frame", given)
    if library == "pandas" and hasattr(given, "columns"):
        return _memory_table(name, "pandas frame", pandas_table(name, given))
    if library == "polars" and hasattr(given, "collect"):
        raise SchemaError(f"table '{name}' is a lazy polars frame; give what its collect() returns")
    if library == "polars" and hasattr(given, "dtypes"):
        # Arrow would be given their addresses.
        for column, kind in zip(given.columns, given.dtypes, strict=True):
            if str(kind) == "Object":
                raise SchemaError(
                    f"table '{name}': column '{column}' holds Python objects, which no table of a lake has"
                )
    if hasattr(given, "__arrow_c_stream__"):
        form = {"pyarrow": "Arrow table"}.get(library, f"{library} frame")
        return _memory_table(name, form, arrow_table(name, given))
    raise SchemaError(
        f"table '{name}' is a {type(given).__module__}.{type(given).__qualname__}; allowed are pandas, polars, Arrow "
        "and Spark frames, paths, and names of a Spark catalog"
    )


def _memory_table(name: str, form: str, table: pa.Table) -> MemoryTable:
    return MemoryTable(name, form, plain_table(name, table), dictionary_columns(table.schema))


def _named_input(name: str, given: str, storage_options: Mapping[str, str]) -> TableInput:
    is_path = "/" in given or given.startswith("~") or name_format(given) is not None
    if is_path or Path(given).exists():
        table = StoredTable(name, given, storage_options)
        # What is not there is reported here, and not when the columns are first asked for.
        assert table.schema is not None
        return table
    from gnnscale.etl import catalog_frame
    from gnnscale.pipeline import active_session

    session = active_session()
    if session is None:
        raise LakeError(
            f"table '{name}': no file or folder at {Path(given).absolute()}, and no Spark session whose catalog could "
            f"have '{given}'"
        )
    frame = catalog_frame(session, given)
    if frame is None:
        raise LakeError(f"table '{name}': neither a file or folder at {Path(given).absolute()} nor a table '{given}'")
    return SparkTable(name, f"table {given} of Spark's catalog", frame)


def _refuse_twins(name: str, columns: Sequence[str]) -> None:
    if both := twin_names(columns):
        raise SchemaError(f"table '{name}' has two columns called {both}; rename one, or leave it out")
