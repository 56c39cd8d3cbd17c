"""From files to one table of interactions, whatever their form."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import pyarrow as pa
import scipy.sparse

from gnnscale.collaborative.reading.log import PART_WORDS
from gnnscale.collaborative.reading.text import is_list_text, read_lists, read_text
from gnnscale.lake import find_source, local_path, name_format, read_rows
from gnnscale.schema import DataError

HEAD: Final = 1 << 16
"""Bytes that tell what form a text has."""

PART: Final = "split"
"""Column that says which file a row was in."""


def read_source(location: str, test: str | None, storage_options: dict[str, str] | None = None) -> pa.Table:
    """All rows of a source; with files for its parts, column ``split`` says which part a row is of.

    Args:
        location: a file, or a folder.
        test: file of the test part.
        storage_options: as delta-rs names them.

    Raises:
        LakeError: there is nothing.
        DataError: it can't be read as interactions.
    """
    if test is not None:
        return _joined({"train": _read_one(location, storage_options), "test": _read_one(test, storage_options)})
    folder = local_path(location)
    parts = _part_files(Path(folder)) if folder is not None and Path(folder).is_dir() else {}
    if "train" in parts and "test" in parts:
        return _joined({name: _read_one(str(path), storage_options) for name, path in parts.items()})
    return _read_one(location, storage_options)


def _part_files(folder: Path) -> dict[str, Path]:
    """Files of a folder by the part that their names tell: ``train.txt``, ``gowalla.test.csv``."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        words = path.name.lower().replace("-", ".").replace("_", ".").split(".")[:-1]
        for word in words:
            if word == "train" or word in PART_WORDS:
                name = "train" if word == "train" else PART_WORDS[word].name.lower()
                if name in found:
                    raise DataError(f"{folder} has two files of the {name} part: {found[name].name} and {path.name}")
                found[name] = path
    return found


def _joined(parts: dict[str, pa.Table]) -> pa.Table:
    tables = [table.append_column(PART, pa.array([name] * len(table))) for name, table in parts.items()]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise DataError(f"the files of the parts don't fit together: {str(error).splitlines()[0]}") from None


def _read_one(location: str, storage_options: dict[str, str] | None) -> pa.Table:
    path = local_path(location)
    file = Path(path) if path is not None else None
    if file is not None and file.is_file() and name_format(file.name) is None:
        return _read_matrix(file) if file.suffix == ".npz" else _read_plain(file)
    return read_rows(find_source("interactions", location, storage_options), storage_options)


def _read_matrix(file: Path) -> pa.Table:
    try:
        matrix = scipy.sparse.load_npz(file).tocoo()
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} holds no sparse matrix: {str(error).splitlines()[0]}") from None
    return pa.table({"user": matrix.row.astype("int64"), "item": matrix.col.astype("int64"), "rating": matrix.data})


def _read_plain(file: Path) -> pa.Table:
    with file.open("rb") as stream:
        head = stream.read(HEAD).decode(errors="replace")
    if not head.strip():
        raise DataError(f"{file} is empty")
    return read_lists(file) if is_list_text(head) else read_text(file, head)
