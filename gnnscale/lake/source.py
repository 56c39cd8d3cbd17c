"""Where raw rows are: Delta, Parquet, CSV or JSON lines, by path, URI or the package that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
from deltalake import DeltaTable

from gnnscale.schema import LakeError, ValueKind


class SourceFormat(StrEnum):
    """How rows are stored."""

    DELTA = "delta"
    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"


TEXT_ENDINGS: Final = {
    **dict.fromkeys((".csv", ".csv.gz"), SourceFormat.CSV),
    **dict.fromkeys(
        (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz"),
        SourceFormat.JSON,
    ),
}
"""How the names of files of text end, compressed or not; JSON is one object a line."""


@dataclass(frozen=True)
class Source:
    """A place of raw rows, found to exist."""

    uri: str
    format: SourceFormat


def find_source(table: str, location: str, storage_options: dict[str, str] | None = None) -> Source:
    """Resolve a table's ``source`` and see that it is there.

    Args:
        table: name of the table, for messages.
        location: a path, an object-store URI, or ``package://<package>/<path>``.

    Raises:
        LakeError: nothing is there, or the package is not installed.
    """
    if not location:
        raise LakeError(f"table '{table}' has no source")
    if location.startswith("package://"):
        location = _package_file(table, location)
    remote = urlparse(location).scheme not in ("", "file")
    if not remote:
        location = str(Path(location.removeprefix("file://")).absolute())
        if not Path(location).exists():
            raise LakeError(f"table '{table}': no file or folder at {location}")
    if found := text_format(location):
        return Source(location, found)
    if location.endswith(".parquet") or (not remote and Path(location).is_file()):
        return Source(location, SourceFormat.PARQUET)
    if DeltaTable.is_deltatable(location, storage_options or None):
        return Source(location, SourceFormat.DELTA)
    return Source(location, SourceFormat.PARQUET if remote else _folder_format(Path(location)))


def text_format(location: str) -> SourceFormat | None:
    """What a file of text holds, by the end of its name; None for other names."""
    return next((form for ending, form in TEXT_ENDINGS.items() if location.lower().endswith(ending)), None)


def _folder_format(folder: Path) -> SourceFormat:
    """What the files of a folder hold, by the name of the first one that counts."""
    names = sorted(p.name for p in folder.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))
    return (text_format(names[0]) if names else None) or SourceFormat.PARQUET


def column_kinds(source: Source, storage_options: dict[str, str] | None = None) -> dict[str, ValueKind]:
    """Columns of a source and what their values are, without reading its rows."""
    return arrow_kinds(read_schema(source, storage_options))


def read_schema(source: Source, storage_options: dict[str, str] | None = None) -> pa.Schema:
    """Columns of a source and their types, without reading its rows.

    Raises:
        LakeError: its first rows are not what its name says.
    """
    if source.format is SourceFormat.DELTA:
        return pa.schema(DeltaTable(source.uri, storage_options=storage_options or None).schema().to_arrow())
    try:
        return pyarrow.dataset.dataset(source.uri, format=str(source.format)).schema
    except pa.ArrowInvalid as error:
        raise LakeError(f"{source.uri} can't be read as {source.format}: {str(error).splitlines()[0]}") from None


def read_rows(source: Source, storage_options: dict[str, str] | None = None) -> pa.Table:
    """All rows of a source, in memory.

    Raises:
        LakeError: they are not what the source's name says.
    """
    if source.format is SourceFormat.DELTA:
        return DeltaTable(source.uri, storage_options=storage_options or None).to_pyarrow_table()
    try:
        return pyarrow.dataset.dataset(source.uri, format=str(source.format)).to_table()
    except pa.ArrowInvalid as error:
        raise LakeError(f"{source.uri} can't be read as {source.format}: {str(error).splitlines()[0]}") from None


def count_rows(source: Source, storage_options: dict[str, str] | None = None) -> int | None:
    """Rows of a source, where file footers or a table's log tell; None where the rows would have to be read."""
    if source.format is SourceFormat.PARQUET:
        return int(pyarrow.dataset.dataset(source.uri, format="parquet").count_rows())
    if source.format is SourceFormat.DELTA:
        return int(DeltaTable(source.uri, storage_options=storage_options or None).count())
    return None


def arrow_kinds(schema: pa.Schema) -> dict[str, ValueKind]:
    """Columns and what their values are."""
    return {field.name: _kind(field.type) for field in schema}


def _kind(physical: pa.DataType) -> ValueKind:
    if pa.types.is_dictionary(physical):
        physical = physical.value_type
    if pa.types.is_string(physical) or pa.types.is_large_string(physical) or pa.types.is_string_view(physical):
        return ValueKind.TEXT
    if pa.types.is_boolean(physical):
        return ValueKind.BOOLEAN
    if pa.types.is_timestamp(physical) or pa.types.is_date(physical):
        return ValueKind.TIME
    numeric = pa.types.is_integer(physical) or pa.types.is_floating(physical) or pa.types.is_decimal(physical)
    return ValueKind.NUMBER if numeric else ValueKind.OTHER


def source_state(source: Source, storage_options: dict[str, str] | None = None) -> list[str]:
    """What changes when the rows do: the version of a Delta table, else size and time of every file."""
    if source.format is SourceFormat.DELTA:
        return [source.uri, str(DeltaTable(source.uri, storage_options=storage_options or None).version())]
    if urlparse(source.uri).scheme:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(source.uri)
    else:
        filesystem, path = pyarrow.fs.LocalFileSystem(), source.uri
    info = filesystem.get_file_info(path)
    if info.type == pyarrow.fs.FileType.Directory:
        files = filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
    else:
        files = [info]
    return [source.uri, *sorted(f"{f.path} {f.size} {f.mtime_ns}" for f in files)]


def _package_file(table: str, location: str) -> str:
    package, _, path = location.removeprefix("package://").partition("/")
    try:
        return str(files(package).joinpath(path))
    except ModuleNotFoundError:
        raise LakeError(
            f"table '{table}': package '{package}' is not installed; install it with: pip install {package}"
        ) from None
