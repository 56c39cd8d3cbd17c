"""Anchor times: when a query is asked of the past, and which of those askings train, validate and test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gnnscale.query.tree import Window
from gnnscale.schema.errors import DataError

DAY = 86_400


class Split(StrEnum):
    """What the examples of an anchor are for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class AnchorPlan:
    """Anchor times in epoch seconds, UTC.

    Args:
        train: ascending; every training window ends at or before ``validation``.
        validation: its window ends at or before ``test``.
        test: anchor of the holdout.
        latest: anchor of the predictions.
        window: of the query, after each anchor.
    """

    train: tuple[int, ...]
    validation: int
    test: int
    latest: int
    window: Window

    def splits(self) -> dict[int, Split]:
        """Every labelled anchor and its split, ascending."""
        plan = dict.fromkeys(self.train, Split.TRAIN)
        return {**plan, self.validation: Split.VALIDATION, self.test: Split.TEST}


def plan_anchors(
    window: Window,
    time_range: tuple[int, int],
    test: datetime | None = None,
    step_days: int | None = None,
    train: int = 26,
    latest: datetime | None = None,
) -> AnchorPlan:
    """Choose anchors from the range of the facts' times.

    Args:
        window: of the query.
        time_range: first and last time of a fact, in epoch seconds.
        test: anchor of the test window; default: the last midnight whose window ends inside the data.
        step_days: days between anchors; default: the window's end, rounded up to days.
        train: most training anchors.
        latest: anchor of the predictions; default: the first midnight after the last fact.

    Raises:
        DataError: no fact lies in the test window, or none lies before the first training window.
    """
    first, last = time_range
    step = step_days * DAY if step_days else -(-window.end // DAY) * DAY
    test_at = epoch_seconds(test) if test else (last - window.end) // DAY * DAY
    if not first <= test_at + window.start < last:
        raise DataError(
            f"the test window ({show_time(test_at + window.start)}, {show_time(test_at + window.end)}] holds no "
            f"event: times run from {show_time(first)} to {show_time(last)}. Set anchors.test to an earlier time"
        )
    gap = -(-window.end // step) * step
    validation = test_at - gap
    newest = validation - gap
    anchors = [newest - i * step for i in range(train) if newest - i * step > first]
    if not anchors:
        raise DataError(
            f"no training anchor fits between the first event ({show_time(first)}) and the validation window, "
            f"which starts at {show_time(validation + window.start)}: a later anchors.test or a shorter window would"
        )
    latest_at = epoch_seconds(latest) if latest else last // DAY * DAY + DAY
    return AnchorPlan(tuple(reversed(anchors)), validation, test_at, latest_at, window)


def epoch_seconds(time: datetime) -> int:
    """Whole seconds since 1970-01-01 UTC; a time without zone is UTC."""
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def show_time(seconds: int) -> str:
    """Epoch seconds as ``YYYY-MM-DD HH:MM:SS``, UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # before year 1 or after year 9999
        return f"{seconds:,} s from 1970"
