"""Relations that features are made of: events that point at a table by one link or by two, and what they carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from gnnscale.schema import FeatureManifest, GraphManifest, Link

MOST_COLUMNS: Final = 12
"""Numerical, and categorical, columns of a relation that features are made of, the events' own first."""

MOST_CATEGORIES: Final = 40
"""A categorical column with more is no small one: shares of its categories tell of a few entities each."""

MOST_FROM_PARENTS: Final = 12
"""Relations of the rows that a table's rows name, nearest first; each makes some hundred features."""

LONGEST: Final = 3
"""Links of a way to what else such rows have, up and down, unless it leads back to the table."""

LATEST: Final = 1_024
"""Events that count of a row that others name, the latest: some are named by millions."""

MOST_BEHIND: Final = 1 << 20
"""Most events that one such row may have along two links for them to be read."""

SHARES: Final = 10
"""Categories of a small column whose shares are features: the most frequent ones."""

Hidden = Collection[tuple[str, str]]
"""(table, column) of what must not be used."""


@dataclass(frozen=True)
class EventColumn:
    """A column that events carry: their own, or that of a row that they name.

    Args:
        via: foreign key to the row that has it; None where the events have it themselves.
        place: of the column among those of its kind in its table.
        feature: how it is encoded.
        one_of_several: whether the events name several rows of that table, by other foreign keys.
    """

    via: Link | None
    place: int
    feature: FeatureManifest
    one_of_several: bool = False

    @property
    def name(self) -> str:
        """``column``; of a row that is named ``table.column``, after ``key>`` where several keys name that table."""
        if self.via is None:
            return self.feature.column
        name = f"{self.via.parent}.{self.feature.column}"
        return f"{self.via.column}>{name}" if self.one_of_several else name


@dataclass(frozen=True)
class Relation:
    """Events of the rows of a table, or of rows that those name.

    Args:
        path: links, each followed from the parent to the rows that name it: one, or two.
        numbers: numerical columns that are summed.
        categories: small categorical columns whose shares are taken.
        parents: links to other rows that the events name, which are counted once each.
        timed: whether the events have times.
        ups: foreign keys that are followed first, from the rows to those that they name: two at most, none where the
            path begins at the rows themselves.
    """

    path: tuple[Link, ...]
    numbers: tuple[EventColumn, ...] = ()
    categories: tuple[EventColumn, ...] = ()
    parents: tuple[Link, ...] = ()
    timed: bool = True
    ups: tuple[Link, ...] = ()

    @property
    def returns(self) -> bool:
        """Whether the path goes down by the key that it came up by, so that rows meet themselves."""
        return self.ups[-1:] == self.path[:1]

    @property
    def table(self) -> str:
        """Of the events."""
        return self.path[-1].table

    @cached_property
    def name(self) -> str:
        """The links' names, as in ``purchases.customer_id``, from the entity on; ``>`` follows one that goes up."""
        down = "/".join(link.name for link in self.path)
        return ">".join([*(link.column for link in self.ups), down])


def plan_relations(
    manifest: GraphManifest, table: str, hidden_columns: Hidden = (), hidden_tables: Collection[str] = ()
) -> tuple[Relation, ...]:
    """The relations of a table's rows: of every link that points at it, and of every link that points at those rows.

    Then the same of the rows that its rows name, or that those name: first the rows of the table that name the same
    one, such as the other loans of a loan's member, then the shortest other ways, up to :data:`MOST_FROM_PARENTS`.

    Args:
        manifest: of the graph.
        table: whose rows features are of.
        hidden_columns: columns that must not be used; a hidden foreign key is not followed.
        hidden_tables: tables that must not be used.
    """
    seen = _Seen(manifest, frozenset(hidden_columns), frozenset(hidden_tables))
    found = []
    for first in seen.links_to(table):
        found.append(seen.relation((first,)))
        found += [seen.relation((first, second)) for second in seen.links_to(first.table)]
    return (*found, *seen.from_parents(table))


def count_columns(
    manifest: GraphManifest, table: str, hidden: Hidden
) -> tuple[tuple[EventColumn, ...], tuple[EventColumn, ...]]:
    """The numerical and the categorical columns of a table that are not hidden."""
    figures = manifest.table(table)

    def kept(features: tuple[FeatureManifest, ...]) -> tuple[EventColumn, ...]:
        return tuple(EventColumn(None, i, f) for i, f in enumerate(features) if (table, f.column) not in hidden)

    return kept(figures.numerical), kept(figures.categorical)


def named_paths(
    manifest: GraphManifest, table: str, hidden_columns: Hidden = (), hidden_tables: Collection[str] = ()
) -> tuple[tuple[Link, ...], ...]:
    """Foreign keys of a table's rows, and each followed by those of the rows that it names, but not back to the table.

    Args:
        manifest: of the graph.
        table: whose rows are asked of.
        hidden_columns: columns that must not be used; a hidden foreign key is not followed.
        hidden_tables: tables that must not be used.
    """
    seen = _Seen(manifest, frozenset(hidden_columns), frozenset(hidden_tables))
    return tuple(seen.named_paths(table))


@dataclass(frozen=True)
class _Seen:
    """The graph without what is hidden."""

    manifest: GraphManifest
    columns: frozenset[tuple[str, str]]
    tables: frozenset[str]

    def _shows(self, link: Link) -> bool:
        ends = {link.table, link.parent}
        return not ends & self.tables and (link.table, link.column) not in self.columns

    def links_to(self, table: str) -> list[Link]:
        links = (figures.link for figures in self.manifest.links)
        return [link for link in links if link.parent == table and self._shows(link)]

    def links_of(self, table: str) -> list[Link]:
        links = (figures.link for figures in self.manifest.links)
        return [link for link in links if link.table == table and self._shows(link)]

    def from_parents(self, table: str) -> list[Relation]:
        found: list[tuple[bool, int, tuple[Link, ...], tuple[Link, ...]]] = []
        for ups in self.named_paths(table):
            firsts = [(link,) for link in self.links_to(ups[-1].parent)]
            paths = firsts + [(first, second) for (first,) in firsts for second in self.links_to(first.table)]
            for path in paths:
                back, length = path == ups[::-1], len(ups) + len(path)
                if (back or length <= LONGEST) and self._reach(path) <= MOST_BEHIND:
                    found.append((not back, length, ups, path))
        found.sort(key=lambda way: way[:2])
        return [replace(self.relation(path), ups=ups) for _, _, ups, path in found[:MOST_FROM_PARENTS]]

    def _reach(self, path: tuple[Link, ...]) -> int:
        """Most events that one row can have along a path of two links, as far as they count; 0 of one link."""
        degrees = {figures.link: figures.max_degree for figures in self.manifest.links}
        return min(degrees[path[0]], LATEST) * degrees[path[1]] if path[1:] else 0

    def named_paths(self, table: str) -> list[tuple[Link, ...]]:
        near = self.links_of(table)
        far = [(first, then) for first in near for then in self.links_of(first.parent) if then.parent != table]
        return [*((link,) for link in near), *far]

    def relation(self, path: tuple[Link, ...]) -> Relation:
        table = path[-1].table
        parents = tuple(link for link in self.links_of(table) if link != path[-1])
        numbers, categories = self._columns(table, None)
        named = Counter(link.parent for link in parents)
        for link in parents:
            more = self._columns(link.parent, link, named[link.parent] > 1)
            numbers, categories = numbers + more[0], categories + more[1]
        timed = any(self.manifest.table(link.table).time_range is not None for link in path)
        return Relation(path, numbers[:MOST_COLUMNS], categories[:MOST_COLUMNS], parents, timed)

    def _columns(
        self, table: str, via: Link | None, several: bool = False
    ) -> tuple[tuple[EventColumn, ...], tuple[EventColumn, ...]]:
        """Numerical columns whose sum means something (that of timestamps does not), and small categorical ones."""
        numbers, codes = count_columns(self.manifest, table, self.columns)
        kept = (
            [column for column in numbers if column.feature.type == "numerical"],
            [column for column in codes if len(column.feature.categories) <= MOST_CATEGORIES],
        )
        first, second = (tuple(replace(c, via=via, one_of_several=several) for c in part) for part in kept)
        return first, second
