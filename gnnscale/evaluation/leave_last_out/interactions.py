"""Users' items in order of time, from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.batches import ActionLog
from gnnscale.config import LeaveLastOutSettings
from gnnscale.lake import find_source, open_rows
from gnnscale.sampling import permutation, stream_key
from gnnscale.schema import DataError, nearest

PARTS = ("train", "context", "validation", "test")
"""What rows of a user are, in their order."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """What every user had, in order.

    Args:
        log: users are entities, and items targets.
        items: number of all.
        train: where the rows that train end, int64 ``[users]``.
        users: that are evaluated, int64.
        validation, test: place of their row of each, int64, as ``users``.
    """

    log: ActionLog
    items: int
    train: NDArray[np.int64]
    users: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def read_interactions(settings: LeaveLastOutSettings, seed: int = 0) -> Interactions:
    """Read a file and split it.

    Args:
        settings: where it is, and its columns.
        seed: of the order that users are taken in, where not all are evaluated.

    Raises:
        LakeError: there is no such file.
        DataError: a column is missing or empty, a part is unknown, or no user has a row of each part.
    """
    table = open_rows(find_source("interactions", settings.source), {}).table()
    said = {settings.user, settings.item, settings.time, settings.position, settings.part}
    others = [name for name in table.column_names if name not in said]
    wanted = [name or (others.pop(0) if others else "") for name in (settings.user, settings.item)]
    if not all(wanted) or not table.num_rows:
        known = ", ".join(table.column_names)
        raise DataError(f"{settings.source} has {table.num_rows:,} rows of {known}; a user and an item are needed")
    user, item = (_codes(table, name) for name in wanted)
    part = _parts(table, settings.part)
    time = None if settings.time is None else _seconds(table, settings.time)
    order = time if settings.position is None else _column(table, settings.position).to_numpy()
    # Rows of equal time stay in the file's order.
    sort = np.lexsort((user,)) if order is None else np.lexsort((order, user))
    users = int(user.max()) + 1
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=users))])
    part = part[sort] if part is not None else _last_rows(indptr)
    times = None if time is None else (time[sort] - time.min()).astype(np.int32)
    log = ActionLog(indptr, None, None, item[sort], times)
    return _split(log, int(item.max()) + 1, part, settings, seed)


def _split(
    log: ActionLog, items: int, part: NDArray[np.int64], settings: LeaveLastOutSettings, seed: int
) -> Interactions:
    indptr, users = log.indptr, np.arange(log.entities)
    owner = np.repeat(users, np.diff(indptr))
    falls = np.flatnonzero((np.diff(part) < 0) & (np.diff(owner) == 0))
    if len(falls):
        raise DataError(f"a row of part '{PARTS[part[falls[0]]]}' comes before one of '{PARTS[part[falls[0] + 1]]}'")

    def first(kind: int) -> NDArray[np.int64]:
        """Where the rows of a part and of those after it begin."""
        return indptr[:-1] + np.bincount(owner[part < kind], minlength=log.entities)

    train, validation, test = first(1), first(2), first(3)
    whole = (test > validation) & (indptr[1:] > test) & (validation > indptr[:-1])
    chosen = np.flatnonzero(whole)
    if not len(chosen):
        raise DataError(f"no user of {settings.source} has rows to train on, one to validate with and one to test with")
    if settings.users is not None:
        chosen = np.sort(chosen[permutation(stream_key(seed, 0, "leave_last_out"), len(chosen))[: settings.users]])
    return Interactions(log, items, train, chosen, validation[chosen], test[chosen])


def _last_rows(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """The part of each row: the last of a user is the test's, the one before the validation's; of users of fewer than
    three rows all train."""
    parts = np.zeros(indptr[-1], np.int64)
    enough = np.diff(indptr) >= 3
    parts[indptr[1:][enough] - 1], parts[indptr[1:][enough] - 2] = 3, 2
    return parts


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        known = table.column_names
        raise DataError(f"interactions have no column '{name}'.{nearest(name, known)} They have {', '.join(known)}")
    column = table[name]
    if column.null_count:
        raise DataError(f"column '{name}' of the interactions has {column.null_count:,} rows without a value")
    return column


def _codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Values of a column as numbers from 0 on, in the order of the values."""
    column = _column(table, name)
    values = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks]) if _is_coded(column) else column
    codes = np.unique(values.to_numpy(), return_inverse=True)[1]
    found: NDArray[np.int64] = codes.astype(np.int64)
    return found


def _is_coded(column: pa.ChunkedArray) -> bool:
    return pa.types.is_dictionary(column.type)


def _seconds(table: pa.Table, name: str) -> NDArray[np.int64]:
    column = _column(table, name)
    if pa.types.is_temporal(column.type):
        column = pc.cast(pc.cast(column, pa.timestamp("s"), safe=False), pa.int64())
    try:
        return np.asarray(column.to_numpy()).astype(np.int64)
    except (ValueError, TypeError):
        raise DataError(f"column '{name}' of the interactions holds {column.type}, which is no time") from None


def _parts(table: pa.Table, name: str | None) -> NDArray[np.int64] | None:
    if name is None:
        return None
    values: list[Any] = pc.unique(_column(table, name)).to_pylist()
    for value in values:
        if value not in PARTS:
            raise DataError(f"column '{name}' of the interactions has '{value}'; allowed: {', '.join(PARTS)}")
    column = pc.index_in(_column(table, name).cast(pa.string()), pa.array(PARTS))
    return np.asarray(column.to_numpy()).astype(np.int64)
