"""Where raw rows are: Delta, Parquet or CSV, by path, URI or the package that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlparse

from deltalake import DeltaTable

from gnnscale.schema.errors import LakeError


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


def _package_file(table: str, location: str) -> str:
    package, _, path = location.removeprefix("package://").partition("/")
    try:
        return str(files(package).joinpath(path))
    except ModuleNotFoundError:
        raise LakeError(
            f"table '{table}': package '{package}' is not installed; install it with: pip install {package}"
        ) from None
