"""Text of interactions: one a line with any separator, or the lists of the papers, a user and all its items a line."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

from gnnscale.schema import DataError

SEPARATORS: Final = ("::", "\t", ",", ";", "|", " ")
"""What may stand between values, the surest sign first."""

PLACES: Final = ("user", "item", "rating", "time")
"""What the columns of a file without names are."""


def is_list_text(head: str) -> bool:
    """Whether the first lines are lists: whole numbers between blanks, not always as many.

    Args:
        head: the beginning of the file.
    """
    lines = [line.split() for line in head.splitlines()[:200] if line.strip()]
    numbers = all(word.isdigit() for words in lines for word in words)
    return bool(lines) and numbers and len({len(words) for words in lines}) > 1


def read_lists(path: Path) -> pa.Table:
    """Columns ``user`` and ``item``, int64, of a file of lists.

    Raises:
        DataError: a word is no whole number.
    """
    users, items, counts = [], [], []
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                words = np.array(line.split(), np.int64)
            except ValueError:
                raise DataError(f"{path}, line {number}: only whole numbers may stand in a list") from None
            if len(words) > 1:
                users.append(words[0])
                items.append(words[1:])
                counts.append(len(words) - 1)
    flat = np.concatenate(items) if items else np.zeros(0, np.int64)
    return pa.table({"user": np.repeat(np.array(users, np.int64), counts), "item": flat})


def read_text(path: Path, head: str) -> pa.Table:
    """The columns of a file with an interaction a line.

    Names are those of the first line, without the type that RecBole writes behind them (``user_id:token``); a file
    whose first line holds numbers has ``user``, ``item``, ``rating`` and ``time`` in this order.

    Raises:
        DataError: no separator is found, or lines differ in their number of values.
    """
    first = head.split("\n", 1)[0].rstrip("\r")
    separator = next((sign for sign in SEPARATORS if len(first.split(sign)) > 1), None)
    if separator is None:
        raise DataError(f"{path}: the first line has no two values: {first[:60]!r}")
    words = [word.strip().strip('"') for word in first.split(separator)]
    named = not any(re.fullmatch(r"-?\d+(\.\d+)?", word) for word in words[:2])
    names = [word.partition(":")[0] for word in words] if named else [*PLACES, *(f"column_{i}" for i in range(99))]
    source: Path | io.BytesIO = path
    if len(separator) > 1:
        source, separator = io.BytesIO(path.read_bytes().replace(separator.encode(), b"\t")), "\t"
    try:
        return pyarrow.csv.read_csv(
            source,
            pyarrow.csv.ReadOptions(column_names=names[: len(words)], skip_rows=int(named)),
            pyarrow.csv.ParseOptions(delimiter=separator),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from None
