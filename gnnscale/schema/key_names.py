"""What names of columns and tables give away: which column is a table's key, and which names another's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

IRREGULAR: Final = {
    "people": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "indices": "index",
    "vertices": "vertex",
    "matrices": "matrix",
    "criteria": "criterion",
    "phenomena": "phenomenon",
    "media": "medium",
    "staff": "staff",
}
"""Plurals that no ending tells."""


def singulars(name: str) -> set[str]:
    """What one row of a table of that name may be called, without lines and in lower case: itself among them."""
    lower = plain_name(name)
    found = {lower, lower.removesuffix("s"), re.sub(r"ies$", "y", lower), re.sub(r"es$", "", lower)}
    found |= {re.sub(r"ves$", "f", lower), re.sub(r"ves$", "fe", lower), re.sub(r"ses$", "sis", lower)}
    for plural, singular in IRREGULAR.items():
        if lower.endswith(plural):
            found.add(lower.removesuffix(plural) + singular)
    return found - {""}


def plain_name(name: str) -> str:
    """A name in lower case and without lines: ``driverStandingsId`` and ``driver_standings_id`` are one."""
    return re.sub(r"[\W_]+", "", name.lower())


def key_column(table: str, columns: Iterable[str]) -> str | None:
    """The column that the names say is the primary key of a table; None where none does."""
    wanted = {"id", "key", *(f"{name}{end}" for name in singulars(table) for end in ("id", "key"))}
    return next((column for column in columns if plain_name(column) in wanted), None)


def likely_key(table: str, columns: Sequence[str]) -> str | None:
    """A column that may be the key of a table whose names don't say so: called like a row of it, or nearly."""
    plain = {plain_name(column): column for column in columns}
    for name in sorted(singulars(table)):
        for column in plain:
            if column == name or (column.startswith(name) and column.endswith(("id", "key", "no", "code", "number"))):
                return plain[column]
    ended = [column for column in columns if ends_like_key(column)]
    close = get_close_matches(f"{plain_name(table)}id", plain, n=1, cutoff=0.6)
    return plain[close[0]] if close else next(iter(ended), None)


def ends_like_key(column: str) -> bool:
    """Whether a column's name ends as those of keys do."""
    return re.search(r"(id|key|code|uuid|number|no)$", column, re.IGNORECASE) is not None


def names_something(column: str) -> bool:
    """Whether a column's name says that its values name something, so that those that are numbers are no amounts."""
    return re.search(r"(^|[\W_])(?i:id|uuid|guid)$|[a-z0-9](Id|ID)$", column) is not None


def is_called(column: str, table: str) -> bool:
    """Whether a column is called as a row of a table is: ``show`` or ``Show`` for ``shows``."""
    return plain_name(column) in singulars(table)


def names_key(column: str, parent: str, key: str) -> bool:
    """Whether a column's name gives away that it holds the primary key ``key`` of table ``parent``."""
    if plain_name(key) in ("id", "key"):
        return plain_name(column) in {f"{name}{plain_name(key)}" for name in singulars(parent)}
    return plain_name(column) == plain_name(key)
