"""What training asks of a sequence: at which of its positions, and for which later action.

After PinnerFormer (Pancha et al., KDD 2022, section 3.3) and SASRec (Kang and McAuley, ICDM 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.sequences.action_log import ActionLog, Positions, first_after, stretches
from gnnscale.config import NoOptions, Positive, Section
from gnnscale.sampling import draw, example_keys, mulhi, stream_key
from gnnscale.schema import SEQUENCE_OBJECTIVES, ConfigError

DAY = 86_400
TRIES = np.arange(8, dtype=np.uint64)
"""Draws of a positive, of which the first that may be one is taken."""


@dataclass(frozen=True, eq=False)
class KnownActions:
    """The actions that training may look at.

    Args:
        log: of all.
        limits: where those of each entity end, int64 ``[entities]``.
        until: last second that is known of, as ``log.times``; None without times.
        length: actions of a sequence at most.
        positive_codes: of the first column of ``log.codes``; empty where any action is something to predict.
    """

    log: ActionLog
    limits: Positions
    until: int | None
    length: int
    positive_codes: tuple[int, ...] = ()

    def may_be_positive(self, places: Positions) -> NDArray[np.bool_]:
        """Which actions are something to predict: they name a target, and are of a kind that counts."""
        named = self.log.targets_at(places) >= 0
        if self.positive_codes:
            named &= np.isin(self.log.codes_at(places)[..., 0], self.positive_codes)
        return named


@dataclass(frozen=True, eq=False)
class Windows:
    """Sequences of at most so many actions, by entity: where each ends, int64 ``[windows]``."""

    entities: NDArray[np.int64]
    ends: Positions

    def take(self, rows: NDArray[np.int64]) -> Windows:
        """Some of them."""
        return Windows(self.entities[rows], self.ends[rows])


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of some windows.

    Args:
        window: number of each within the batch, int64 ``[asked]``, ascending.
        place: the action at which it is asked, int64 ``[asked]``.
        positive: the later action that is the answer, int64 ``[asked]``.
    """

    window: NDArray[np.int64]
    place: Positions
    positive: Positions


class SequenceObjective(Protocol):
    """Which positions and positives train; a class of :data:`gnnscale.schema.SEQUENCE_OBJECTIVES`.

    Attributes:
        Options: what can be set of it.
        many: whether one sequence is asked at many positions, so that each may see those before it alone.
    """

    Options: ClassVar[type[Section]]
    many: ClassVar[bool]

    def __init__(self, options: Any) -> None: ...

    def windows(self, known: KnownActions) -> Windows:
        """The sequences of an epoch."""

    def ask(self, known: KnownActions, windows: Windows, seed: int, epoch: int) -> Asked:
        """What an epoch asks of some of them: a function of (seed, epoch, action)."""


class HorizonOptions(Section):
    """How far ahead positives are taken from.

    Args:
        days: after the action.
        actions: that come next at most; None for all of those days.
    """

    days: Positive = 28
    actions: Positive | None = None


class DenseOptions(HorizonOptions):
    """The same at many positions.

    Args:
        positions: drawn of a sequence in each epoch.
    """

    positions: Positive = 32


@SEQUENCE_OBJECTIVES.register("sasrec")
class EveryNextAction:
    """At every position, the action that comes next."""

    Options: ClassVar[type[Section]] = NoOptions
    many: ClassVar[bool] = True

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def windows(self, known: KnownActions) -> Windows:
        """All actions but the last of each entity, in sequences from the latest back."""
        return whole_windows(known)

    def ask(self, known: KnownActions, windows: Windows, seed: int, epoch: int) -> Asked:
        """The next action, where it may be one to predict."""
        window, place = places_of(known, windows)
        kept = known.may_be_positive(place + 1)
        return Asked(window[kept], place[kept], place[kept] + 1)


@SEQUENCE_OBJECTIVES.register("next_action")
class NextAction:
    """At the latest position alone, the action that comes next."""

    Options: ClassVar[type[Section]] = NoOptions
    many: ClassVar[bool] = False

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def windows(self, known: KnownActions) -> Windows:
        """Of each entity the latest sequence, which ends before its last action."""
        first, limits = known.log.indptr[:-1], known.limits
        entities = np.flatnonzero(limits - first >= 2)
        entities = entities[known.may_be_positive(limits[entities] - 1)]
        return Windows(entities, limits[entities] - 1)

    def ask(self, known: KnownActions, windows: Windows, seed: int, epoch: int) -> Asked:
        """The action at which the window ends."""
        return Asked(np.arange(len(windows.ends)), windows.ends - 1, windows.ends)


@SEQUENCE_OBJECTIVES.register("all_action")
class AllAction:
    """At the latest position whose days ahead are all known, any action of these days."""

    Options: ClassVar[type[Section]] = HorizonOptions
    many: ClassVar[bool] = False

    def __init__(self, options: HorizonOptions) -> None:
        self.options = options

    def windows(self, known: KnownActions) -> Windows:
        """Of each entity the sequence that ends there."""
        log, first = known.log, known.log.indptr[:-1]
        if log.times is None or known.until is None:
            ends = known.limits - _actions(self.options)
        else:
            latest = np.full(log.entities, known.until - self.options.days * DAY)
            ends = first_after(log.times, first, known.limits, latest)
        entities = np.flatnonzero((ends > first) & (ends < known.limits))
        return Windows(entities, ends[entities])

    def ask(self, known: KnownActions, windows: Windows, seed: int, epoch: int) -> Asked:
        """One of the actions of the days after."""
        window = np.arange(len(windows.ends))
        return draw_later(known, self.options, window, windows.entities, windows.ends - 1, seed, epoch)


@SEQUENCE_OBJECTIVES.register("dense_all_action")
class DenseAllAction:
    """At positions drawn at random, one random action of the days after each."""

    Options: ClassVar[type[Section]] = DenseOptions
    many: ClassVar[bool] = True

    def __init__(self, options: DenseOptions) -> None:
        self.options = options

    def windows(self, known: KnownActions) -> Windows:
        """All actions but the last of each entity, in sequences from the latest back."""
        return whole_windows(known)

    def ask(self, known: KnownActions, windows: Windows, seed: int, epoch: int) -> Asked:
        """Positions without a positive are left out."""
        window, place = places_of(known, windows)
        bits = draw(example_keys(stream_key(seed, epoch, "positions"), place), np.uint64(0))
        order = np.lexsort((bits, window))
        # Rank of each position within its window by its bits; the windows' own order stays.
        first = np.searchsorted(window, np.arange(len(windows.ends)))
        rank = np.empty(len(window), np.int64)
        rank[order] = np.arange(len(window)) - first[window[order]]
        kept = rank < self.options.positions
        window, place = window[kept], place[kept]
        return draw_later(known, self.options, window, windows.entities[window], place, seed, epoch)


def whole_windows(known: KnownActions) -> Windows:
    """All actions of each entity but the last, cut into sequences from the latest back."""
    counts = np.maximum(known.limits - known.log.indptr[:-1] - 1, 0)
    number = -(-counts // known.length)
    entities = np.repeat(np.arange(known.log.entities), number)
    back = np.arange(len(entities)) - np.repeat(np.cumsum(number) - number, number)
    return Windows(entities, known.limits[entities] - 1 - back * known.length)


def window_starts(known: KnownActions, windows: Windows) -> Positions:
    """Where each of some windows begins, int64 ``[windows]``."""
    return np.maximum(known.log.indptr[windows.entities], windows.ends - known.length)


def places_of(known: KnownActions, windows: Windows) -> tuple[NDArray[np.int64], Positions]:
    """All actions of some windows: the window's number within the batch, and the place."""
    return stretches(window_starts(known, windows), windows.ends)


def draw_later(
    known: KnownActions,
    options: HorizonOptions,
    window: NDArray[np.int64],
    entities: NDArray[np.int64],
    place: Positions,
    seed: int,
    epoch: int,
) -> Asked:
    """One action of the time after each of some, every one equally likely; those that have none are left out."""
    log, low, high = known.log, place + 1, known.limits[entities]
    if log.times is None:
        high = np.minimum(high, low + _actions(options))
    else:
        time = np.asarray(log.times[place]).astype(np.int64)
        # What has the same time as the action is not after it.
        low = first_after(log.times, low, high, time)
        high = first_after(log.times, low, high, time + options.days * DAY)
        if options.actions is not None:
            high = np.minimum(high, low + options.actions)
    some = np.flatnonzero(high > low)
    window, place, low, high = window[some], place[some], low[some], high[some]
    keys = example_keys(stream_key(seed, epoch, "later"), place)
    # [asked, tries]
    bits = draw(keys[:, None], TRIES)
    drawn = low[:, None] + mulhi(bits, (high - low).astype(np.uint64)[:, None]).astype(np.int64)
    allowed = known.may_be_positive(drawn)
    kept = np.flatnonzero(allowed.any(axis=1))
    return Asked(window[kept], place[kept], drawn[kept, allowed[kept].argmax(axis=1)])


def _actions(options: HorizonOptions) -> int:
    if options.actions is None:
        raise ConfigError("actions without times have no days ahead: set actions of training.objective")
    return options.actions
