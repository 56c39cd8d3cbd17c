"""Paths and URIs: what is on a local disk, and the file system that anything else is in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs
from deltalake.fs import DeltaStorageHandler

from gnnscale.schema import LakeError

SCHEMES: Final = ("s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl", "hdfs", "viewfs")
"""Of URIs that a table or a lake may be at."""

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def local_path(place: str) -> str | None:
    """The absolute path of a place on a local disk; None for a URI of an object store.

    ``~`` is the home folder, ``dbfs:`` is where Databricks mounts it, and ``..`` is resolved.

    Raises:
        LakeError: the URI is of a scheme that can't be read, or DBFS is not mounted.
    """
    if place.startswith("dbfs:"):
        if not Path("/dbfs").is_dir():
            raise LakeError(f"{place}: DBFS is read where it is mounted at /dbfs, and there is no such folder here")
        return _absolute("/dbfs/" + place.removeprefix("dbfs:").lstrip("/"))
    if place.startswith(("file:/", "FILE:/")):
        path = re.sub(r"^file:(//(localhost)?)?(?=/)", "", place, flags=re.IGNORECASE)
        # Many write paths into URIs as they are, with spaces and signs that a URI would escape.
        return _absolute(path if Path(path).exists() or not Path(unquote(path)).exists() else unquote(path))
    if found := _URI.match(place):
        if found[1].lower() not in SCHEMES:
            raise LakeError(
                f"{place}: '{found[1]}' can't be read; allowed are paths, file:, dbfs:, {', '.join(SCHEMES)}"
            )
        return None
    return _absolute(place)


def open_folder(path: str, storage_options: Mapping[str, str], make: bool = False) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a table's root, and what goes before a file's path in it.

    Args:
        path: a folder or an object-store URI.
        storage_options: as delta-rs names them.
        make: whether to make a local folder that is not there.
    """
    if "://" not in path:
        local = pyarrow.fs.LocalFileSystem()
        if make:
            local.create_dir(path, recursive=True)
        return local, path.rstrip("/") + "/"
    return pyarrow.fs.PyFileSystem(_StorageHandler(path, dict(storage_options) or None)), ""


def open_place(place: str, storage_options: Mapping[str, str]) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a file or folder, and its path there.

    Args:
        place: an absolute path or an object-store URI.
        storage_options: as delta-rs names them.
    """
    found = _URI.match(place)
    if found is None:
        return pyarrow.fs.LocalFileSystem(), place
    if found[1].lower() in ("hdfs", "viewfs"):
        filesystem, path = pyarrow.fs.FileSystem.from_uri(place)
        return filesystem, path
    bucket, _, path = place[found.end() :].partition("/")
    root = f"{found[0]}{bucket}"
    return pyarrow.fs.PyFileSystem(_StorageHandler(root, dict(storage_options) or None)), path.strip("/")


def _absolute(path: str) -> str:
    path = os.path.expanduser(path) if path.startswith("~") else path
    absolute = Path(path).absolute()
    # A folder behind a link has another parent than the path before it says.
    return str(absolute.resolve() if ".." in absolute.parts else absolute)


class _StorageHandler(DeltaStorageHandler):
    """delta-rs's, whose streams take nothing but bytes where pyarrow hands them buffers."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        """A stream that writes one object, which is there when it is closed."""
        return pa.PythonFile(_BytesStream(self._handler.open_output_stream(path, metadata)), "w")


class _BytesStream:
    """A writable stream that turns what it gets into bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def write(self, data: Any) -> int:
        return int(self._stream.write(bytes(data)))

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()

    def tell(self) -> int:
        return int(self._stream.tell())
