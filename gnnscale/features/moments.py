"""What a moment itself tells: the season, the trend, the weekday and the hour."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.features.relation_names import DAY

YEAR: Final = 365.25
"""Days."""

SEASONS: Final = 1.25
"""Years that a table has to span before a season is told from a trend."""

WEEKDAYS: Final = 7


class Moments:
    """Columns of anchors alone, for rows that are each asked about at a time of their own.

    Args:
        origin: of the graph, epoch seconds.
        span: first and last time of the rows, epoch seconds; None without times.

    Attributes:
        categories: of each column, how many there are; 0 of numbers.
    """

    def __init__(self, origin: int, span: tuple[int, int] | None) -> None:
        self._origin = origin
        self._seasons = span is not None and span[1] - span[0] >= SEASONS * YEAR * DAY
        self.categories = (*[0] * (5 if self._seasons else 3), WEEKDAYS)

    def columns(self, anchors: NDArray[np.int32]) -> NDArray[np.float32]:
        """Numbers of N anchors, float32 ``[N, columns]``.

        Sine and cosine of the time of the year, where the rows span more than one, and of the day (UTC); years after
        the graph's origin; and the weekday, as a code from 1, Monday, on.

        Args:
            anchors: seconds after the graph's origin, int32 ``[N]``.
        """
        seconds = anchors.astype(np.int64) + self._origin
        turns = [seconds / (YEAR * DAY)] if self._seasons else []
        found = [wave(2 * np.pi * turn) for turn in (*turns, seconds / DAY) for wave in (np.sin, np.cos)]
        # The epoch began on a Thursday.
        found += [anchors / (YEAR * DAY), (seconds // DAY + 3) % WEEKDAYS + 1.0]
        return np.stack(found, axis=1).astype(np.float32)
