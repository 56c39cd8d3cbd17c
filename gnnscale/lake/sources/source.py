"""Where raw rows are: Delta, Parquet, CSV or JSON lines, by path, URI or the package that carries them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Final

import pyarrow.fs
from deltalake import DeltaTable

from gnnscale.lake.places import local_path, open_place
from gnnscale.schema import LakeError, Table


class SourceFormat(StrEnum):
    """How rows are stored."""

    DELTA = "delta"
    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"


ENDINGS: Final = {
    "parquet": SourceFormat.PARQUET,
    "parq": SourceFormat.PARQUET,
    "pq": SourceFormat.PARQUET,
    "csv": SourceFormat.CSV,
    "tsv": SourceFormat.CSV,
    "tab": SourceFormat.CSV,
    "json": SourceFormat.JSON,
    "jsonl": SourceFormat.JSON,
    "ndjson": SourceFormat.JSON,
}
"""How the names of files end; JSON is one object a line."""

COMPRESSED: Final = ("gz", "bz2", "zst", "lz4")
"""What may follow the ending of a file of text."""

MAGIC: Final = b"PAR1"
"""First bytes of a Parquet file, whatever its name is."""

WAREHOUSE: Final = "warehouse://"
"""What the place of a table in the configured warehouse begins with; its name there follows."""

CATALOG: Final = "catalog://"
"""What the place of a table in the catalog of Spark's session begins with; its name there follows."""

ALLOWED: Final = "Parquet, CSV, TSV and JSON lines (.gz, .bz2, .zst), folders of one of them, and Delta tables"


@dataclass(frozen=True)
class Source:
    """A place of raw rows, found to exist."""

    uri: str
    format: SourceFormat


NO_SOURCE: Final = Source("", SourceFormat.PARQUET)
"""Of a table whose rows follow from those of other tables."""


def table_source(table: Table, storage_options: dict[str, str] | None = None) -> Source:
    """Where a table's rows are: :data:`NO_SOURCE` where they follow from other tables' (``derived``, ``keys_from``).

    Raises:
        LakeError: as in :func:`find_source`.
    """
    if table.derived or (table.keys_from and not table.source):
        return NO_SOURCE
    return find_source(table.name, table.source, storage_options)


def find_source(table: str, location: str, storage_options: dict[str, str] | None = None) -> Source:
    """Resolve a table's ``source`` and see that it is there.

    Args:
        table: name of the table, for messages.
        location: a path, an object-store URI, or ``package://<package>/<path>``.
        storage_options: as delta-rs names them.

    Raises:
        LakeError: nothing is there, the package is not installed, or it is nothing that can be read.
    """
    if not location:
        raise LakeError(f"table '{table}' has no source; say where its rows are, or whose keys they are in keys_from")
    if location.startswith((WAREHOUSE, CATALOG)):
        frame = "spark.read.jdbc" if location.startswith(WAREHOUSE) else "spark.table"
        raise LakeError(
            f"table '{table}': {location} is read by recipes alone, whose graph stage copies it; give a path, or a "
            f"frame of {frame}"
        )
    if location.startswith("package://"):
        location = _package_file(table, location)
    try:
        path = local_path(location)
    except LakeError as error:
        raise LakeError(f"table '{table}': {error}") from None
    place = path if path is not None else location.rstrip("/")
    filesystem, inside = open_place(place, storage_options or {})
    info = _info(table, place, filesystem, inside)
    if info.type == pyarrow.fs.FileType.NotFound:
        raise LakeError(f"table '{table}': no file or folder at {place}")
    if info.type != pyarrow.fs.FileType.Directory:
        return Source(place, _file_format(table, place, filesystem, inside))
    return Source(place, _folder_format(table, place, filesystem, inside, storage_options))


def name_format(name: str) -> SourceFormat | None:
    """What a file holds by the end of its name, compressed or not; None for other names."""
    parts = name.lower().rsplit(".", 2)
    if len(parts) == 3 and parts[2] in COMPRESSED:
        found = ENDINGS.get(parts[1])
        return found if found is not SourceFormat.PARQUET else None
    return ENDINGS.get(parts[-1]) if len(parts) > 1 else None


def text_format(location: str) -> SourceFormat | None:
    """What a file of text holds, by the end of its name; None for other names."""
    found = name_format(location)
    return None if found is SourceFormat.PARQUET else found


def is_hidden(path: str) -> bool:
    """Whether a file of that path under a folder holds no rows by convention, as ``_SUCCESS`` and ``.crc`` files do."""
    *folders, name = path.split("/")
    hidden = any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in (*folders, name))
    return hidden or name.endswith("._COPYING_")


def is_read(path: str) -> bool:
    """Whether a file of that path under a folder may hold rows: not hidden, nor in folders that name no partition."""
    return not is_hidden(path) and all("=" in folder for folder in path.split("/")[:-1])


def is_parquet(filesystem: pyarrow.fs.FileSystem, path: str) -> bool:
    """Whether a file begins as Parquet does."""
    with filesystem.open_input_stream(path, compression=None) as stream:
        return bool(stream.read(len(MAGIC)) == MAGIC)


def files_under(filesystem: pyarrow.fs.FileSystem, folder: str) -> list[tuple[str, pyarrow.fs.FileInfo]]:
    """Files of a folder at any depth, by their paths under it, in order of these."""
    entries = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    found = [
        (entry.path.removeprefix(folder).lstrip("/"), entry)
        for entry in entries
        if entry.type == pyarrow.fs.FileType.File
    ]
    return sorted(found, key=lambda pair: pair[0])


def _info(table: str, place: str, filesystem: pyarrow.fs.FileSystem, inside: str) -> pyarrow.fs.FileInfo:
    try:
        return filesystem.get_file_info(inside)
    except (OSError, ValueError) as error:
        raise LakeError(f"table '{table}': {place} can't be reached: {str(error).splitlines()[0]}") from None


def _file_format(table: str, place: str, filesystem: pyarrow.fs.FileSystem, inside: str) -> SourceFormat:
    if found := name_format(place):
        return found
    if is_parquet(filesystem, inside):
        return SourceFormat.PARQUET
    raise LakeError(f"table '{table}': {place} is not known for what it is; allowed are {ALLOWED}")


def _folder_format(
    table: str, place: str, filesystem: pyarrow.fs.FileSystem, inside: str, storage_options: dict[str, str] | None
) -> SourceFormat:
    remote = "://" in place
    if _is_folder(filesystem, f"{inside}/_delta_log") or (
        remote and DeltaTable.is_deltatable(place, storage_options or None)
    ):
        # Files alone would give rows that the log has removed.
        return SourceFormat.DELTA
    names = files_under(filesystem, inside)
    for other, sign in (("an Iceberg table", r"^metadata/.*\.metadata\.json$"), ("a Hudi table", r"^\.hoodie/")):
        if any(re.search(sign, name) for name, _ in names):
            raise LakeError(f"table '{table}': {place} is {other}, whose files alone don't say which rows it holds")
    formats = _formats(name for name, _ in names)
    if len(formats) > 1:
        raise LakeError(
            f"table '{table}': folder {place} holds files of {' and '.join(sorted(formats))}; keep those of one table "
            "in a folder of their own"
        )
    return next(iter(formats), SourceFormat.PARQUET)


def _formats(names: Iterable[str]) -> set[SourceFormat]:
    """Formats of the files of a folder, by their names."""
    return {form for name in names if is_read(name) and (form := name_format(name)) is not None}


def _is_folder(filesystem: pyarrow.fs.FileSystem, path: str) -> bool:
    return bool(filesystem.get_file_info(path).type == pyarrow.fs.FileType.Directory)


def _package_file(table: str, location: str) -> str:
    package, _, path = location.removeprefix("package://").partition("/")
    try:
        return str(files(package).joinpath(path))
    except ModuleNotFoundError:
        raise LakeError(
            f"table '{table}': package '{package}' is not installed; install it with: pip install {package}"
        ) from None
