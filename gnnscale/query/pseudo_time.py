"""Events without times, given an order: what a query without a window is learned from.

"Which other items go with this user?" has no anchor to ask at. Every event is put into one of ten parts by its number,
as if the parts had come one a day: a model that sees the parts before learns to tell the next one. Inputs and labels
never share an event, and what is learned is how to complete what is known.
"""

from __future__ import annotations

from typing import Any, Final

from gnnscale.query.anchors import DAY, AnchorPlan, Split
from gnnscale.query.horizon import Horizon
from gnnscale.query.window import Window

PARTS: Final = 10
FIRST_ASKED: Final = 3
"""Part that the first training examples ask for; those before are seen only."""

PART: Final = "part"
"""Column of labels that says which part an example asks for, where there is no time to ask at."""

GIVEN_PARTS: Final = {Split.VALIDATION: PARTS - 2, Split.TEST: PARTS - 1}
"""Parts of events that a given split sets aside; those of training are in the parts before, by their numbers."""

WINDOW: Final = Window(0, 1, "days")


def part_of(number: Any) -> Any:
    """Part of an event, 0 to 9, from its node id: an array of integers, or a column of Spark; the same type comes back.

    Two linear congruential steps (the constants of the C standard's example), each of whose upper bits decide; every
    value stays below 2^53, so that integers and doubles of any engine agree.
    """
    for _ in range(2):
        mixed = ((number % 1_048_576) * 1_103_515_245 + 12_345) % 2_147_483_648
        number = (mixed - mixed % 2_048) / 2_048
    return (number - number % 32) / 32 % PARTS


def training_part_of(number: Any) -> Any:
    """Part of an event that a given split trains on, 0 to 7, from its node id; see :func:`part_of`."""
    return part_of(number) % (PARTS - len(GIVEN_PARTS))


def plan_pseudo_time(origin: int) -> AnchorPlan:
    """Anchors of a question that is learned from arrivals: one before each part.

    Args:
        origin: of the graph, in epoch seconds; the first part arrives a day later.
    """
    train = tuple(origin + part * DAY for part in range(FIRST_ASKED, PARTS - 2))
    at = [origin + part * DAY for part in (PARTS - 2, PARTS - 1, PARTS)]
    return AnchorPlan(train, at[0], at[1], at[2], Horizon((WINDOW,)))
