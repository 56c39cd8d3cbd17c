"""Which interactions methods learn from, which settings are chosen on, and which they are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.collaborative.hold_out import held_ranks
from gnnscale.collaborative.reading.log import InteractionLog, Part
from gnnscale.config import InteractionSettings
from gnnscale.schema import DataError

ENOUGH_USERS = 3_000
"""Users that settings and weights are chosen by, where there are as many."""


@dataclass(frozen=True, eq=False)
class Fold:
    """What is known at a time, and what came after it.

    Args:
        seen: weights of what methods learn from, float32 CSR ``[n_users, n_items]``.
        had: pairs that are left out of lists, CSR.
        truth: pairs that came true, none of them in ``had``, CSR.
    """

    seen: scipy.sparse.csr_matrix
    had: scipy.sparse.csr_matrix
    truth: scipy.sparse.csr_matrix


@dataclass(frozen=True, eq=False)
class InteractionSplit:
    """The folds of a log.

    Args:
        rule: how it was split: ``given``, ``time``, ``latest`` or ``random``.
        validation: on which settings and weights are chosen.
        test: which is looked at once; it knows what the validation fold had to foretell.
        whole: all weights, for predictions.
        had: all pairs that predictions leave out.
    """

    rule: str
    validation: Fold
    test: Fold
    whole: scipy.sparse.csr_matrix
    had: scipy.sparse.csr_matrix


def split_interactions(log: InteractionLog, settings: InteractionSettings) -> InteractionSplit:
    """Split a log as its recipe says.

    Raises:
        DataError: what the rule needs is not there, or a part is empty.
    """
    rule = settings.split
    if rule == "auto":
        rule = "given" if log.part is not None else "time" if log.time is not None else "random"
    if rule == "given":
        if log.part is None:
            raise DataError("a given split needs a column or files that tell the parts; see columns.split")
        part = log.part.copy()
    else:
        part = np.where(_held(log, rule, settings.test_share, settings.seed), Part.TEST, Part.TRAIN).astype(np.int8)
    if not (part == Part.VALIDATION).any():
        rest = part == Part.TRAIN
        later = "random" if rule == "given" and log.time is None else "latest" if rule == "given" else rule
        held = _held(_taken(log, rest), later, settings.validation_share, settings.seed + 1)
        part[np.flatnonzero(rest)[held]] = Part.VALIDATION
    elif rule == "given":
        part[_held_beside(log, part, settings.seed + 1)] = Part.VALIDATION
    train, known = part == Part.TRAIN, part != Part.TEST
    everything = np.ones(len(log), np.bool_)
    return InteractionSplit(
        rule,
        _fold(log, train, part == Part.VALIDATION, "validation"),
        _fold(log, known, part == Part.TEST, "test"),
        _weights(log, everything),
        _pairs(log, everything),
    )


def _held_beside(log: InteractionLog, part: NDArray[np.int8], seed: int) -> NDArray[np.int64]:
    """Rows of training that are held out too, where a given validation is of few users: one user more or less must not
    choose between settings.

    Of other users, drawn until there are enough, as many rows as those of the given validation have in the mean: the
    latest, or any where there are no times.
    """
    users, counts = np.unique(log.user[part == Part.VALIDATION], return_counts=True)
    rest = np.flatnonzero((part == Part.TRAIN) & log.is_target)
    others = np.setdiff1d(log.user[rest], users)
    wanted = ENOUGH_USERS - len(users)
    if wanted <= 0 or not len(others):
        return np.zeros(0, np.int64)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(others)[:wanted]
    rows = rest[np.isin(log.user[rest], chosen)]
    order = rng.random(len(rows)) if log.time is None else -log.time[rows].astype(np.float64)
    rank, count = held_ranks(log.user[rows], order)
    most = np.minimum(max(1, round(float(counts.mean()))), count - 1)
    return rows[rank < most]


def _taken(log: InteractionLog, rows: NDArray[np.bool_]) -> InteractionLog:
    time = None if log.time is None else log.time[rows]
    parts = (log.user[rows], log.item[rows], log.user_keys, log.item_keys, log.weight[rows], log.is_target[rows])
    return InteractionLog(*parts, time)


def _held(log: InteractionLog, rule: str, share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out."""
    if rule == "random":
        rank, count = held_ranks(log.user, np.random.default_rng(seed).random(len(log)))
        return np.asarray(rank < np.minimum(np.rint(count * share), count - 1))
    if log.time is None:
        raise DataError(f"split={rule} needs a column of times; name it: columns.time, or take split=random")
    if rule == "latest":
        rank, count = held_ranks(log.user, -log.time.astype(np.float64))
        return np.asarray(rank < np.minimum(np.maximum(np.rint(count * share), 1), count - 1))
    # No moment is in two parts.
    return np.asarray(log.time > np.quantile(log.time, 1 - share, method="lower"))


def _fold(log: InteractionLog, known: NDArray[np.bool_], after: NDArray[np.bool_], name: str) -> Fold:
    had = _pairs(log, known)
    truth = _pairs(log, after)
    truth = (truth - truth.multiply(had)).tocsr()
    truth.eliminate_zeros()
    seen = _weights(log, known)
    # Who was not there before has nothing to be scored by.
    truth = scipy.sparse.diags((np.diff(seen.indptr) > 0).astype(np.float32)) @ truth
    truth = scipy.sparse.csr_matrix(truth, dtype=np.float32)
    truth.eliminate_zeros()
    if not truth.nnz:
        raise DataError(f"the {name} part has no new interaction of a user that was there before")
    return Fold(seen, had, truth)


def _weights(log: InteractionLog, rows: NDArray[np.bool_]) -> scipy.sparse.csr_matrix:
    """Sum of the weights of each pair; what is not above 0 is left out."""
    shape = (len(log.user_keys), len(log.item_keys))
    place = log.user[rows], log.item[rows]
    matrix = scipy.sparse.coo_matrix((log.weight[rows], place), shape=shape).tocsr()
    if not _is_weighted(log):
        matrix.data[:] = 1.0
    matrix.data = np.maximum(matrix.data, 0)
    matrix.eliminate_zeros()
    return matrix


def _is_weighted(log: InteractionLog) -> bool:
    """Whether what was had twice counts twice: where rows all weigh the same, a pair is there or not."""
    return bool(len(log) and (log.weight != log.weight[0]).any())


def _pairs(log: InteractionLog, rows: NDArray[np.bool_]) -> scipy.sparse.csr_matrix:
    """Pairs of target events, each once."""
    chosen = rows & log.is_target
    shape = (len(log.user_keys), len(log.item_keys))
    place = log.user[chosen], log.item[chosen]
    matrix = scipy.sparse.coo_matrix((np.ones(int(chosen.sum()), np.float32), place), shape=shape).tocsr()
    matrix.data[:] = 1.0
    return matrix
