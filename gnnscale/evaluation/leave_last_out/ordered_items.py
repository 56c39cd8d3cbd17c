"""Users' items in order of time, from a file, and the last ones of each user apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches import ActionLog
from gnnscale.collaborative import read_interactions
from gnnscale.config import SequenceRecipeSettings
from gnnscale.sampling import permutation, stream_key
from gnnscale.schema import EPOCH_UNITS, DataError, epoch_unit, looks_like_epochs

PARTS = ("train", "validation", "test")
"""What rows of a user are, in their order."""


@dataclass(frozen=True, eq=False)
class OrderedItems:
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


def read_ordered_items(settings: SequenceRecipeSettings) -> OrderedItems:
    """Read a file and split it.

    Args:
        settings: where it is, its columns, and which users are evaluated.

    Raises:
        LakeError: there is no such file.
        DataError: a column is missing, parts are not in order of time, or no user has a row of each part.
    """
    read = read_interactions(settings.of_source())
    # Rows of equal time stay in the file's order.
    order = np.lexsort((read.user,) if read.time is None else (read.time, read.user))
    users = len(read.user_keys)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(read.user, minlength=users))])
    part = _last_rows(indptr) if read.part is None else read.part[order].astype(np.int64)
    times = None if read.time is None else _seconds(read.time[order])
    log = ActionLog(indptr, None, None, read.item[order], times)
    owner = np.repeat(np.arange(users), np.diff(indptr))
    falls = np.flatnonzero((np.diff(part) < 0) & (np.diff(owner) == 0))
    if len(falls):
        before, after = (PARTS[part[falls[0] + step]] for step in (0, 1))
        raise DataError(f"a user of {settings.source} has a {before} row before a {after} row")

    def first(kind: int) -> NDArray[np.int64]:
        """Where the rows of a part and of those after it begin."""
        return indptr[:-1] + np.bincount(owner[part < kind], minlength=users)

    validation, test = first(1), first(2)
    chosen = np.flatnonzero((validation > indptr[:-1]) & (test > validation) & (indptr[1:] > test))
    if not len(chosen):
        raise DataError(
            f"no user of {settings.source} has a row to train on, one to validate with and one to test with"
        )
    if settings.users is not None:
        drawn = permutation(stream_key(settings.seed, 0, "leave_last_out"), len(chosen))[: settings.users]
        chosen = np.sort(chosen[drawn])
    return OrderedItems(log, len(read.item_keys), validation, chosen, validation[chosen], test[chosen])


def _last_rows(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """The part of each row: the last of a user is the test's, the one before the validation's; of users of fewer than
    three rows all train."""
    parts = np.zeros(indptr[-1], np.int64)
    enough = np.diff(indptr) >= 3
    parts[indptr[1:][enough] - 1], parts[indptr[1:][enough] - 2] = 2, 1
    return parts


def _seconds(times: NDArray[np.int64]) -> NDArray[np.int32] | None:
    """Seconds since the first; None where numbers tell nothing but the order."""
    low, high = int(times.min()), int(times.max())
    if not looks_like_epochs(low, high):
        return None
    return ((times - low) // EPOCH_UNITS[epoch_unit(low, high)]).astype(np.int32)
