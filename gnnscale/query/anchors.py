"""Anchor times: when a query is asked of the past, and which of those askings train, validate and test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

from gnnscale.query.horizon import Horizon
from gnnscale.query.window import shift
from gnnscale.schema import DataError

DAY = 86_400

KNOWN_TIME: Final = "known_time"
"""Column of ``labels_<query>``: when the answer of a row is known, epoch seconds; null for never."""

TRAIN: Final = 26
"""Training anchors where nothing is known of how many examples one has; more where it has few."""

MOST_TRAIN: Final = 520
"""Training anchors that are never passed by themselves: each costs a pass over the events."""

ENOUGH: Final = 500
"""Validation examples that are enough to choose weights by; of fewer, the choice is mostly chance."""

MOST_VALIDATION: Final = 8
"""Validation anchors that are never passed by themselves: training would end long before the test."""

MOST_SHARE: Final = 4
"""Of the anchors before the test, one in so many at most validates by itself."""

Times = datetime | Sequence[datetime] | None
"""One time, several, or none."""


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
        train: ascending; every training window ends at or before the first validation anchor.
        validation: the last one; every validation window ends at or before the first test anchor.
        test: the last anchor of the holdout.
        latest: anchor of the predictions.
        horizon: the windows after each anchor.
        static: whether the query has no window: everything is asked at ``latest``, and entities are split instead.
        data_end: last time of the events that labels are made of; None where nothing hangs on it.
        own_times: of a static query whose entities have times: each is asked about at its own, those without at
            ``latest``, and the split goes by time.
        earlier_validation, earlier_test: those before the last one, ascending.
        rows: about how many examples an anchor has; None where that is not known.
        past: anchor whose window ends at ``latest``: its labels are what is known as the past there; None where the
            query's windows end at several times, or there are none.
    """

    train: tuple[int, ...]
    validation: int
    test: int
    latest: int
    horizon: Horizon
    static: bool = False
    own_times: OwnTimes | None = None
    data_end: int | None = None
    earlier_validation: tuple[int, ...] = ()
    earlier_test: tuple[int, ...] = ()
    rows: float | None = None
    past: int | None = None

    @property
    def validations(self) -> tuple[int, ...]:
        """Every anchor that validates, ascending."""
        return (*self.earlier_validation, self.validation)

    @property
    def tests(self) -> tuple[int, ...]:
        """Every anchor of the holdout, ascending."""
        return (*self.earlier_test, self.test)

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
        return {anchor: split for split in Split for anchor in self.of(split)}

    def of(self, split: Split) -> tuple[int, ...]:
        """Anchors of one split, ascending."""
        return {Split.TRAIN: self.train, Split.VALIDATION: self.validations, Split.TEST: self.tests}[split]


def plan_anchors(
    horizon: Horizon,
    time_range: tuple[int, int],
    test: Times = None,
    validation: Times = None,
    step_days: int | None = None,
    train: int | Literal["auto"] = "auto",
    start: datetime | None = None,
    end: datetime | None = None,
    latest: datetime | None = None,
    own_times: bool = False,
    validation_count: int | Literal["auto"] = "auto",
    test_count: int = 1,
    train_examples: int = 20_000,
    rows: float | None = None,
) -> AnchorPlan:
    """Choose anchors from the range of the events' times.

    Args:
        horizon: of the query.
        time_range: first and last time of an event, in epoch seconds.
        test: anchor of the (last) test window, or all of them; default: the last midnight whose window ends inside the
            data (the last full hour, minute or second for windows that are shorter than a day).
        validation: anchor of the (last) validation window, or all of them; default: the last one, whole steps before
            the first test anchor, whose window ends by then.
        step_days: days between anchors; default: the end of the window, rounded up to whole days.
        train: most training anchors; ``auto`` takes as many as give ``train_examples``, and never under 26.
        start, end: earliest and latest training anchor; default: as far as the data and the windows reach.
        latest: anchor of the predictions; default: the first midnight at or after the last event.
        own_times: whether a query without windows asks each entity at its own time; ``test`` and ``validation`` are
            then the times from which on entities test and validate, and ``start`` and ``end`` bound those that train.
        validation_count, test_count: anchors of a split, a step apart, the last of which is given or found; ``auto``
            takes more than one where one has few examples.
        train_examples: training examples that are enough.
        rows: about how many examples an anchor has; None where that is not known.

    Raises:
        DataError: no event lies in the test windows, none lies before the first training window, or windows of
            different splits overlap.
    """
    first, last = time_range
    if not horizon.windows:
        return _static_plan(horizon, last, test, validation, start, end, latest, own_times)
    step, unit = (step_days, "days") if step_days else _default_step(horizon)
    grain = _grain(horizon)
    tests = _several(test) or (_last_inside(horizon, last, grain),)
    tests = _back_from(tests[0], test_count, step, unit) if len(tests) == 1 else tests
    _check_inside(horizon, tests, first, last)
    validations = _several(validation) or (_step_back(horizon, tests[0], step, unit),)
    if len(validations) == 1:
        before = _count_back(validations[0], first, step, unit)
        wanted = _validation_count(rows, before) if validation_count == "auto" else validation_count
        validations = _back_from(validations[0], wanted, step, unit)
    _check_before(horizon, validations, tests[0])
    newest = _step_back(horizon, validations[0], step, unit)
    earliest = max(first + 1, epoch_seconds(start)) if start else first + 1
    latest_train = epoch_seconds(end) if end else newest
    most = _train_count(rows, train_examples) if train == "auto" else train
    anchors: list[int] = []
    index = 0
    while len(anchors) < most and (at := shift(newest, -index * step, unit)) >= earliest:
        if at <= latest_train:
            anchors.append(at)
        index += 1
    if not anchors:
        # Of a test at the last event, or of this one where it is later.
        latest_newest = _step_back(horizon, _step_back(horizon, max(last, tests[0]), step, unit), step, unit)
        later = "a later anchors.test or " if tests[0] < last and latest_newest >= earliest else ""
        raise DataError(
            f"no training anchor fits between the first event ({show_time(first)}) and the validation window, "
            f"which starts at {show_time(horizon.span(validations[0])[0])}: {later}a shorter window would"
        )
    return AnchorPlan(
        tuple(reversed(anchors)),
        validations[-1],
        tests[-1],
        epoch_seconds(latest) if latest else -(-last // grain) * grain,
        horizon,
        data_end=last,
        earlier_validation=validations[:-1],
        earlier_test=tests[:-1],
        rows=rows,
    )


def _validation_count(rows: float | None, before: int) -> int:
    """Validation anchors that are enough, where one has so many examples, and there are so many anchors up to it."""
    return 1 if not rows else max(1, min(math.ceil(ENOUGH / rows), before // MOST_SHARE, MOST_VALIDATION))


def _train_count(rows: float | None, examples: int) -> int:
    """Training anchors that give so many examples, where one has so many."""
    return TRAIN if not rows else min(max(TRAIN, math.ceil(examples / rows)), MOST_TRAIN)


def _static_plan(
    horizon: Horizon,
    last: int,
    test: Times,
    validation: Times,
    start: datetime | None,
    end: datetime | None,
    latest: datetime | None,
    own_times: bool,
) -> AnchorPlan:
    """The plan of a query without windows, which is asked once, or of each entity at its own time."""
    begins: list[int | None] = []
    for name, given in (("validation", validation), ("test", test)):
        times = _several(given)
        if len(times) > 1:
            raise DataError(
                f"anchors.{name} are {len(times)} times, and a query without a window is split at one: set one time"
            )
        begins.append(times[0] if times else None)
    at = epoch_seconds(latest) if latest else -(-last // DAY) * DAY
    own = OwnTimes(*begins, *(epoch_seconds(t) if t else None for t in (start, end)))
    if own_times and own.validation is not None and own.test is not None and own.validation >= own.test:
        raise DataError(
            f"anchors.validation ({show_time(own.validation)}) is not before anchors.test ({show_time(own.test)})"
        )
    return AnchorPlan((at,), at, at, at, horizon, static=True, own_times=own if own_times else None)


def _several(times: Times) -> tuple[int, ...]:
    """Times in epoch seconds, ascending, each once."""
    if times is None:
        return ()
    given = [times] if isinstance(times, datetime) else times
    return tuple(sorted({epoch_seconds(time) for time in given}))


def _back_from(last: int, count: int, step: int, unit: str) -> tuple[int, ...]:
    """So many anchors, whole steps apart, ascending to the last."""
    return tuple(shift(last, -index * step, unit) for index in reversed(range(count)))


def _count_back(last: int, first: int, step: int, unit: str) -> int:
    """Anchors after the first event, whole steps back from the last; as many as could ever be of use."""
    count = 0
    while count <= MOST_TRAIN and shift(last, -count * step, unit) > first:
        count += 1
    return count


def _check_before(horizon: Horizon, validations: Sequence[int], test: int) -> None:
    for at in validations:
        if horizon.span(at)[1] > test:
            raise DataError(
                f"the validation window of {show_time(at)} ends at {show_time(horizon.span(at)[1])}, after the test "
                f"anchor ({show_time(test)}). Set anchors.validation to an earlier time"
            )


def _check_inside(horizon: Horizon, tests: Sequence[int], first: int, last: int) -> None:
    for at in tests:
        begin, finish = horizon.span(at)
        if begin < first and finish - begin >= last - first:
            raise DataError(
                f"the target's window ({show_time(begin)}, {show_time(finish)}] is as long as the data, from "
                f"{show_time(first)} to {show_time(last)}: nothing would be left to learn from. Ask for a shorter one"
            )
        if not first <= begin < last:
            earlier = "an earlier time" if at == tests[-1] else "fewer or later times, or anchors.test_count lower"
            raise DataError(
                f"the test window ({show_time(begin)}, {show_time(finish)}] holds no "
                f"event: times run from {show_time(first)} to {show_time(last)}. Set anchors.test to {earlier}"
            )


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
