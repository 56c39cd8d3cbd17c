"""What an entity had done with each of its targets by some of its actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.rows import Tensors
from gnnscale.batches.sequences.action_log import ActionLog, Positions, stretches
from gnnscale.batches.sequences.positions import DAY, KnownActions

SHORTEST, RATIO, RATES = 2.0, 3, 5
"""Half-lives of the counts: in days 2, 6, 18, 54 and 162; of actions without times as many actions."""
REPEAT_FIGURES = RATES + 1
"""Columns of :attr:`RepeatedTargets.figures`."""
FEW_REPEATS = 0.05
"""Share of the actions that repeat an earlier one, below which it is best to leave out what was had, and from which on
it has a score of its own."""
SAMPLE = 4_096
"""Entities by which the share of repeats is estimated."""


@dataclass(frozen=True)
class RepeatedTargets(Tensors):
    """The distinct targets that each sequence's entity has had, filled up to the most of the batch.

    Args:
        rows: of ``SequenceBatch.items``, int64 ``[batch, targets]``; their number where there is none.
        had: whether it had each by the action that is asked about, bool ``[asked, targets]``.
        figures: by then, float32 ``[asked, targets, REPEAT_FIGURES]``: how often, each time weighed by half for every
            half-life that it lies back, and days since the latest (without times: actions); 0 of what it had not had.
    """

    rows: Tensor
    had: Tensor
    figures: Tensor


@dataclass(frozen=True, eq=False)
class RepeatedFigures:
    """The same as arrays, with node ids of targets, -1 where there is none, in the place of rows."""

    targets: NDArray[np.int64]
    had: NDArray[np.bool_]
    figures: NDArray[np.float32]

    def among(self, there: NDArray[np.bool_]) -> RepeatedFigures:
        """The same without targets that are not there, bool as ``had``."""
        return RepeatedFigures(self.targets, self.had & there, self.figures * there[..., None])

    def on(self, distinct: NDArray[np.int64]) -> RepeatedTargets:
        """As tensors, with rows among distinct ascending targets that hold all of these."""
        rows = np.where(self.targets < 0, len(distinct), np.searchsorted(distinct, self.targets))
        return RepeatedTargets(*(torch.from_numpy(array) for array in (rows, self.had, self.figures)))


def repeated_targets(
    log: ActionLog,
    entities: NDArray[np.int64],
    ends: Positions,
    asked: tuple[NDArray[np.int64], Positions],
    most: int,
) -> RepeatedFigures:
    """Figures of all targets that entities of some sequences have had.

    Args:
        log: of all actions.
        entities: of the sequences, int64 ``[batch]``.
        ends: where each ends.
        asked: sequence of each position, ascending, and the place of its action.
        most: actions before the end of a sequence that are read, and all from the first that is asked about.
    """
    starts = np.maximum(log.indptr[entities], ends - most)
    # Nobody is asked about an action that is not read.
    np.minimum.at(starts, asked[0], asked[1])
    first = np.concatenate([[0], np.cumsum(ends - starts)])
    row, places = stretches(starts, ends)
    named = log.targets_at(places)
    stamps = np.asarray(log.times[places], np.float64) / DAY if log.times is not None else places.astype(np.float64)
    kept = named >= 0
    catalogue = int(named.max(initial=0)) + 1
    pairs, inverse = np.unique(row[kept] * catalogue + named[kept], return_inverse=True)
    pair_row = pairs // catalogue
    slot_of = np.arange(len(pairs)) - np.searchsorted(pair_row, pair_row)
    slots = np.full(len(named), -1)
    slots[kept] = slot_of[inverse]
    width = int(slot_of.max(initial=-1)) + 1
    targets = np.full((len(entities), width), -1)
    targets[pair_row, slot_of] = pairs % catalogue
    window, place = asked
    order = np.lexsort((place, window))
    had = np.zeros((len(place), width), np.bool_)
    figures = np.zeros((len(place), width, REPEAT_FIGURES), np.float32)
    bounds = np.searchsorted(window, np.arange(len(entities) + 1))
    _figures(first, slots, stamps, bounds, order, place - starts[window], had, figures)
    return RepeatedFigures(targets, had, figures)


@njit(nogil=True, cache=True)
def _figures(first, slots, stamps, bounds, order, places, had, figures):  # type: ignore[no-untyped-def]
    """Fill ``had`` and ``figures``.

    Args:
        first: where each sequence's actions begin, int64 ``[batch + 1]``.
        slots: column of each action's target, -1 of one that names none.
        stamps: of the actions, float64.
        bounds: where each sequence's asked positions begin in ``order``, int64 ``[batch + 1]``.
        order: of the positions, by sequence and place.
        places: of the action that each asks about, from the first that is read.
    """
    width = had.shape[1]
    counts = np.zeros((width, RATES))
    latest = np.zeros(width)
    for sequence in range(len(first) - 1):
        counts[:] = 0.0
        latest[:] = -np.inf
        done = 0
        if first[sequence] == first[sequence + 1]:
            continue
        for number in range(bounds[sequence], bounds[sequence + 1]):
            position = order[number]
            # All actions up to the one that is asked about.
            while done <= places[position]:
                action = first[sequence] + done
                slot = slots[action]
                done += 1
                if slot < 0:
                    continue
                kept = _kept(stamps[action] - latest[slot])
                for rate in range(RATES - 1, -1, -1):
                    counts[slot, rate] = 1.0 + counts[slot, rate] * kept
                    kept = kept * kept * kept
                latest[slot] = stamps[action]
            now = stamps[first[sequence] + places[position]]
            for slot in range(width):
                if latest[slot] == -np.inf:
                    continue
                had[position, slot] = True
                kept = _kept(now - latest[slot])
                for rate in range(RATES - 1, -1, -1):
                    figures[position, slot, rate] = counts[slot, rate] * kept
                    kept = kept * kept * kept
                figures[position, slot, RATES] = now - latest[slot]


@njit(nogil=True, cache=True)
def _kept(past):  # type: ignore[no-untyped-def]
    """What is left after a time at the longest half-life; its third power is at the next."""
    return 0.5 ** (past / (SHORTEST * RATIO ** (RATES - 1)))


def share_of_repeated(known: KnownActions) -> float:
    """The share of the known actions whose entity had their target at an earlier time.

    By entities that are spread evenly; several rows of one time that name one target are one action, as they are where
    answers are blended. Only actions that are something to predict count.
    """
    log = known.log
    everyone = (
        np.unique(np.linspace(0, log.entities - 1, SAMPLE).astype(np.int64)) if log.entities else np.zeros(0, int)
    )
    first, ends = log.indptr[everyone], np.maximum(log.indptr[everyone], known.limits[everyone])
    row, places = stretches(np.maximum(first, ends - SAMPLE), ends)
    kept = known.may_be_positive(places)
    row, places = row[kept], places[kept]
    named = log.targets_at(places)
    stamps = places if log.times is None else np.asarray(log.times[places]).astype(np.int64)
    order = np.lexsort((stamps, named, row))
    pair = np.ones(len(order), np.bool_)
    pair[1:] = (np.diff(row[order]) != 0) | (np.diff(named[order]) != 0)
    event = pair.copy()
    event[1:] |= np.diff(stamps[order]) != 0
    return 1.0 - int(pair.sum()) / max(1, int(event.sum())) if len(order) else 0.0
