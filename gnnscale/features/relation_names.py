"""Names of the features of a relation, in the order in which the kernel writes them."""

from __future__ import annotations

from typing import Final

from gnnscale.features.relation import SHARES, Relation

DAY: Final = 86_400
"""Seconds."""

WINDOWS: Final = (7, 14, 28, 56, 90, 180)
"""Days that events are counted over, beside all of the past. Twice each of :data:`TRENDS` is one, too."""

HALF_LIVES: Final = (14, 30, 60, 90, 180)
"""Days after which an event counts half, in decayed counts and sums."""

TRENDS: Final = (0, 1, 2, 4)
"""Windows that are compared with the window of twice their length, by their places."""

LONG: Final = (2, 4, 6)
"""Windows of means and distinct rows, by their places; the last is all of the past."""

PERIODS: Final = (*(f"{days}d" for days in WINDOWS), "all")

SHARE_HALF_LIFE: Final = 3
"""Place of the half-life of shares of categories."""

Names = list[tuple[str, bool]]
"""Each with whether it says something of events that have no times."""


def relation_names(relation: Relation) -> Names:
    """Names of the features of a relation, such as ``count(purchases.customer_id, 28d)``."""
    own = relation.name
    names: Names = [(f"{kind}({own}, {p})", _timeless(kind, p)) for kind in ("count", "active_days") for p in PERIODS]
    names += [(f"{what}({own})", False) for what in EVENT_FIGURES]
    names += [(f"{kind}({own}, half {h}d)", False) for kind in ("count", "active_days") for h in HALF_LIVES]
    names += [(f"per_day({own}, {PERIODS[w]})", False) for w in LONG]
    names += [(f"trend({own}, {WINDOWS[w]}d)", False) for w in TRENDS]
    names += [(f"day_trend({own}, {WINDOWS[w]}d)", False) for w in TRENDS]
    for link in relation.parents:
        names += [(f"distinct({own}, {link.column}, {PERIODS[w]})", PERIODS[w] == "all") for w in LONG]
    for column in relation.numbers:
        what = f"{own}, {column.name}"
        names += [(f"sum({what}, {p})", p == "all") for p in PERIODS]
        names += [(f"sum({what}, half {h}d)", False) for h in HALF_LIVES]
        names += [(f"mean({what}, {PERIODS[w]})", PERIODS[w] == "all") for w in LONG]
        names += [(f"mean({what}, half {h}d)", False) for h in HALF_LIVES]
        names += [(f"per_day({what}, {PERIODS[w]})", False) for w in LONG]
        names += [(f"trend({what}, {WINDOWS[w]}d)", False) for w in TRENDS]
    for column in relation.categories:
        known = column.feature.categories[:SHARES]
        names += [(f"share({own}, {column.name}={value})", True) for value in known]
    return names


EVENT_FIGURES: Final = (
    "now",
    "days_since_last",
    "days_since_first",
    "gap_mean",
    "gap_deviation",
    "last_gap",
    "since_last_over_gap",
)
"""Events stamped exactly at the anchor; and of distinct days with events: days since, and days between."""


def _timeless(kind: str, period: str) -> bool:
    return kind == "count" and period == "all"
