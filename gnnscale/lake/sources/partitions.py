"""Values of columns that the names of folders tell, as in ``day=2024-01-31/part-0.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa

from gnnscale.lake.words import WordKind, WordKinds, read_words

NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"
"""What stands for null in the name of a folder."""

Partition = tuple[tuple[str, Any], ...]
"""Column -> value, of one file."""


def path_partition(path: str) -> tuple[tuple[str, str | None], ...]:
    """What the folders of a path tell, as text; signs that a file system may not take are escaped there."""
    told = []
    for folder in path.strip("/").split("/")[:-1]:
        name, sign, value = folder.partition("=")
        if sign:
            told.append((unquote(name), None if value == NULL_FOLDER else unquote(value)))
    return tuple(told)


def read_partitions(
    told: Sequence[tuple[tuple[str, str | None], ...]],
) -> tuple[list[Partition], dict[str, pa.DataType]]:
    """Values of the files of a folder in the narrowest type that all of a column are written in.

    Args:
        told: of every file, as :func:`path_partition` gives it.

    Returns:
        The values of every file, and the type of every column.
    """
    words: dict[str, WordKinds] = {}
    kinds = tuple(kind for kind in WordKind if kind is not WordKind.TRUTH)
    for partition in set(told):
        for name, text in partition:
            # Months and days are numbers, whatever stands before them.
            words.setdefault(name, WordKinds(kinds, with_zeros=True)).see(pa.array([text], pa.string()))
    found = {name: seen.found() for name, seen in words.items()}
    values = {
        partition: tuple(
            (name, read_words(found[name], pa.array([text], pa.string()))[0].as_py()) for name, text in partition
        )
        for partition in set(told)
    }
    return [values[partition] for partition in told], {name: kind.type for name, kind in found.items()}


def is_told(path: str, partition: Partition) -> bool:
    """Whether a path under its root tells Spark the values of a partition as they are.

    Spark takes escaped bytes for letters, and reads nothing from folders of other names.
    """
    if not path.isascii() or "%" in path:
        return False
    told = dict(path_partition(path))
    return told.keys() == dict(partition).keys() and all(_is_text_of(told[name], value) for name, value in partition)


def _is_text_of(text: str | None, value: Any) -> bool:
    if text is None or value is None:
        return text is value
    plain = isinstance(value, str | int | date) and not isinstance(value, bool)
    return plain and (text == str(value) or (isinstance(value, int) and text.lstrip("0") == str(value)))
