"""Names of the features of a relation, in the order in which the kernel writes them."""

from __future__ import annotations

from typing import Final, NamedTuple

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

BRIEF: Final = (28, 60, 90)
"""Days of the windows and half-lives that are kept of rows that others name."""


class FeatureName(NamedTuple):
    """A feature of a relation.

    Args:
        text: such as ``count(purchases.customer_id, 28d)``.
        timeless: whether it says something of events that have no times.
        brief: whether it is kept of the events of rows that the entity's rows name.
    """

    text: str
    timeless: bool = False
    brief: bool = False


def kept_features(relation: Relation) -> tuple[list[int], list[str]]:
    """Places of the features that are kept of a relation among those that the kernel writes, and their names."""
    kept = [
        (place, name.text)
        for place, name in enumerate(relation_names(relation))
        if (relation.timed or name.timeless) and (name.brief or not relation.ups)
    ]
    return [place for place, _ in kept], [text for _, text in kept]


def relation_names(relation: Relation) -> list[FeatureName]:
    """Names of all features of a relation, in the order in which the kernel writes them."""
    own = relation.name
    names = [
        FeatureName(f"{kind}({own}, {p})", kind == "count" and p == "all", p in _BRIEF_PERIODS)
        for kind in ("count", "active_days")
        for p in PERIODS
    ]
    names += [FeatureName(f"{what}({own})", brief=what != "now") for what in EVENT_FIGURES]
    names += [
        FeatureName(f"{kind}({own}, half {h}d)", brief=h in BRIEF)
        for kind in ("count", "active_days")
        for h in HALF_LIVES
    ]
    names += [FeatureName(f"per_day({own}, {PERIODS[w]})") for w in LONG]
    names += [FeatureName(f"trend({own}, {WINDOWS[w]}d)", brief=WINDOWS[w] == BRIEF[0]) for w in TRENDS]
    names += [FeatureName(f"day_trend({own}, {WINDOWS[w]}d)") for w in TRENDS]
    for link in relation.parents:
        periods = (PERIODS[w] for w in LONG)
        names += [FeatureName(f"distinct({own}, {link.column}, {p})", p == "all", p == "all") for p in periods]
    for column in relation.numbers:
        names += _names_of_number(f"{own}, {column.name}")
    for column in relation.categories:
        known = column.feature.categories[:SHARES]
        names += [FeatureName(f"share({own}, {column.name}={value})", True, True) for value in known]
    return names


def _names_of_number(what: str) -> list[FeatureName]:
    names = [FeatureName(f"sum({what}, {p})", p == "all", p in _BRIEF_PERIODS) for p in PERIODS]
    names += [FeatureName(f"sum({what}, half {h}d)") for h in HALF_LIVES]
    names += [FeatureName(f"mean({what}, {PERIODS[w]})", PERIODS[w] == "all", True) for w in LONG]
    names += [FeatureName(f"mean({what}, half {h}d)", brief=h in BRIEF) for h in HALF_LIVES]
    names += [FeatureName(f"per_day({what}, {PERIODS[w]})") for w in LONG]
    names += [FeatureName(f"trend({what}, {WINDOWS[w]}d)") for w in TRENDS]
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

_BRIEF_PERIODS: Final = (*(f"{days}d" for days in BRIEF), "all")
