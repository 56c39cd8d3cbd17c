"""Anchor times: when a query is asked of the past, and which of those askings train, validate and test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gnnscale.query.horizon import Horizon
from gnnscale.query.window import shift
from gnnscale.schema import DataError

DAY = 86_400


class Split(StrEnum):
    """What the examples of an anchor are for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class OwnTimes:
    """That each entity is asked about at its own time, and where its time puts it; epoch seconds, UTC.

    Args:
        validation, test: entities from these times on validate and test; None leaves it to shares of the labels.
        start, end: entities before and after these times don't train; None for no bound.
    """

    validation: int | None = None
    test: int | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class AnchorPlan:
    """Anchor times in epoch seconds, UTC.

    Args:
        train: ascending; every training window ends at or before ``validation``.
        validation: its window ends at or before ``test``.
        test: anchor of the holdout.
        latest: anchor of the predictions.
        horizon: the windows after each anchor.
        static: whether the query has no window: everything is asked at ``latest``, and entities are split instead.
        data_end: last time of the events that labels are made of; None where nothing hangs on it.
        own_times: of a static query whose entities have times: each is asked about at its own, those without at
            ``latest``, and the split goes by time.
    """

    train: tuple[int, ...]
    validation: int
    test: int
    latest: int
    horizon: Horizon
    static: bool = False
    own_times: OwnTimes | None = None
    data_end: int | None = None

    @property
    def cut_short(self) -> tuple[int, int] | None:
        """Ends of the test window and of the data, where the window runs past the data's last day; else None."""
        if self.data_end is None:
            return None
        end = self.horizon.span(self.test)[1]
        return (end, self.data_end) if end > -(-self.data_end // DAY) * DAY else None

    def splits(self) -> dict[int, Split]:
        """Every labelled anchor and its split, ascending; empty for a static query."""
        if self.static:
            return {}
        plan = dict.fromkeys(self.train, Split.TRAIN)
        return {**plan, self.validation: Split.VALIDATION, self.test: Split.TEST}

    def of(self, split: Split) -> tuple[int, ...]:
        """Anchors of one split, ascending."""
        return {Split.TRAIN: self.train, Split.VALIDATION: (self.validation,), Split.TEST: (self.test,)}[split]


def plan_anchors(
    horizon: Horizon,
    time_range: tuple[int, int],
    test: datetime | None = None,
    validation: datetime | None = None,
    step_days: int | None = None,
    train: int = 26,
    start: datetime | None = None,
    end: datetime | None = None,
    latest: datetime | None = None,
    own_times: bool = False,
) -> AnchorPlan:
    """Choose anchors from the range of the events' times.

    Args:
        horizon: of the query.
        time_range: first and last time of an event, in epoch seconds.
        test: anchor of the test window; default: the last midnight whose window ends inside the data (the last full
            hour, minute or second for windows that are shorter than a day).
        validation: anchor of the validation window; default: the last one, whole steps before ``test``, whose window
            ends by then.
        step_days: days between anchors; default: the end of the window, rounded up to whole days.
        train: most training anchors.
        start, end: earliest and latest training anchor; default: as far as the data and the windows reach.
        latest: anchor of the predictions; default: the first midnight at or after the last event.
        own_times: whether a query without windows asks each entity at its own time; ``test`` and ``validation`` are
            then the times from which on entities test and validate, and ``start`` and ``end`` bound those that train.

    Raises:
        DataError: no event lies in the test window, none lies before the first training window, or windows overlap.
    """
    first, last = time_range
    if not horizon.windows:
        at = epoch_seconds(latest) if latest else -(-last // DAY) * DAY
        own = OwnTimes(*(epoch_seconds(t) if t else None for t in (validation, test, start, end)))
        if own_times and own.validation is not None and own.test is not None and own.validation >= own.test:
            raise DataError(
                f"anchors.validation ({show_time(own.validation)}) is not before anchors.test ({show_time(own.test)})"
            )
        return AnchorPlan((at,), at, at, at, horizon, static=True, own_times=own if own_times else None)
    step, unit = (step_days, "days") if step_days else _default_step(horizon)
    grain = _grain(horizon)
    test_at = epoch_seconds(test) if test else _last_inside(horizon, last, grain)
    begin, finish = horizon.span(test_at)
    if not first <= begin < last:
        raise DataError(
            f"the test window ({show_time(begin)}, {show_time(finish)}] holds no "
            f"event: times run from {show_time(first)} to {show_time(last)}. Set anchors.test to an earlier time"
        )
    if validation:
        validation_at = epoch_seconds(validation)
        if horizon.span(validation_at)[1] > test_at:
            raise DataError(
                f"the validation window of {show_time(validation_at)} ends at "
                f"{show_time(horizon.span(validation_at)[1])}, after the test anchor ({show_time(test_at)}). Set "
                "anchors.validation to an earlier time"
            )
    else:
        validation_at = _step_back(horizon, test_at, step, unit)
    newest = _step_back(horizon, validation_at, step, unit)
    earliest = max(first + 1, epoch_seconds(start)) if start else first + 1
    latest_train = epoch_seconds(end) if end else newest
    anchors: list[int] = []
    index = 0
    while len(anchors) < train and (at := shift(newest, -index * step, unit)) >= earliest:
        if at <= latest_train:
            anchors.append(at)
        index += 1
    if not anchors:
        raise DataError(
            f"no training anchor fits between the first event ({show_time(first)}) and the validation window, "
            f"which starts at {show_time(horizon.span(validation_at)[0])}: a later anchors.test or a shorter window "
            "would"
        )
    latest_at = epoch_seconds(latest) if latest else -(-last // grain) * grain
    return AnchorPlan(tuple(reversed(anchors)), validation_at, test_at, latest_at, horizon, data_end=last)


def _grain(horizon: Horizon) -> int:
    """Anchors stand on whole days, hours, minutes or seconds, whichever the windows' end fills."""
    end = horizon.span(0)[1]
    return next(grain for grain in (DAY, 3_600, 60, 1) if end >= grain)


def _default_step(horizon: Horizon) -> tuple[int, str]:
    amount, unit = horizon.reach
    if unit == "months":
        return amount, unit
    grain = _grain(horizon)
    return -(-shift(0, amount, unit) // grain) * grain, "seconds"


def _last_inside(horizon: Horizon, last: int, grain: int) -> int:
    amount, unit = horizon.reach
    at = shift(last, -amount, unit) // grain * grain
    # A month later than a month ago need not be now.
    while horizon.span(at + grain)[1] <= last:
        at += grain
    while horizon.span(at)[1] > last:
        at -= grain
    return at


def _step_back(horizon: Horizon, before: int, step: int, unit: str) -> int:
    """The last time, whole steps before ``before``, whose window ends by then."""
    index = 1
    while horizon.span(at := shift(before, -index * step, unit))[1] > before:
        index += 1
    return at


def epoch_seconds(time: datetime) -> int:
    """Whole seconds since 1970-01-01 UTC; a time without zone is UTC."""
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def show_time(seconds: int) -> str:
    """Epoch seconds as ``YYYY-MM-DD HH:MM:SS``, UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # before year 1 or after year 9999
        return f"{seconds:,} s from 1970"
