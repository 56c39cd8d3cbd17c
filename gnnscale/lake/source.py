"""Where raw rows are: Delta, Parquet or CSV, by path, URI or the package that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
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
    if location.endswith((".csv", ".csv.gz")):
        return Source(location, SourceFormat.CSV)
    if location.endswith(".parquet") or (not remote and Path(location).is_file()):
        return Source(location, SourceFormat.PARQUET)
    is_delta = DeltaTable.is_deltatable(location, storage_options or None)
    return Source(location, SourceFormat.DELTA if is_delta else SourceFormat.PARQUET)


def column_kinds(source: Source, storage_options: dict[str, str] | None = None) -> dict[str, ValueKind]:
    """Columns of a source and what their values are, without reading its rows."""
    if source.format is SourceFormat.DELTA:
        schema = pa.schema(DeltaTable(source.uri, storage_options=storage_options or None).schema().to_arrow())
    else:
        schema = pyarrow.dataset.dataset(source.uri, format=str(source.format)).schema
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
