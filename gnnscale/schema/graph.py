"""The relational graph: every row of a table is a node, every foreign key an edge in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gnnscale.schema.errors import SchemaError, nearest
from gnnscale.schema.key_names import ends_like_key, is_called, likely_key, names_key
from gnnscale.schema.table import EdgeType, Link, Table, ValueKind


class GraphSchema:
    """Tables and the links between them.

    Args:
        tables: the tables, each name once.

    Raises:
        SchemaError: two tables of one name, or a foreign key to a table that is not there.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables: dict[str, Table] = {}
        for table in tables:
            if table.name in self.tables:
                raise SchemaError(f"two tables are named '{table.name}'")
            self.tables[table.name] = table
        self.links: list[Link] = []
        for table in tables:
            for column, parent in table.foreign_keys.items():
                self.add_link(table.name, column, parent)

    def table(self, name: str) -> Table:
        """The table of that name.

        Raises:
            SchemaError: there is none; the message names the nearest.
        """
        if name not in self.tables:
            raise SchemaError(f"unknown table '{name}'.{nearest(name, self.tables)}")
        return self.tables[name]

    def add_link(self, table: str, column: str, parent: str) -> Link:
        """Declare that ``table.column`` holds the primary key of ``parent``.

        Raises:
            SchemaError: a table is unknown, the parent has no primary key, or the column is linked already.
        """
        self.table(table)
        if not self.table(parent).primary_key:
            raise SchemaError(f"link {table}.{column}: table '{parent}' has no primary_key to point at")
        link = Link(table, column, parent)
        for other in self.links:
            if other.name == link.name and other != link:
                raise SchemaError(f"link {link.name} points at both '{other.parent}' and '{parent}'")
        if link not in self.links:
            self.links.append(link)
        return link

    def infer_links(self, columns: Mapping[str, Iterable[str]] | None = None) -> list[Link]:
        """Add the links that names give away: a column called like another table's primary key.

        A column ``customer_id`` also matches table ``customers`` (or ``customer``) with primary key ``id``; case and
        lines make no difference. Columns that ``keys_from`` names are links, too.

        Args:
            columns: all column names of each table; without it, those that the declarations name.

        Returns:
            The links that were added.

        Raises:
            SchemaError: a column matches the primary keys of two tables; declare it in ``foreign_keys``.
        """
        added = []
        for table in self.tables.values():
            linked = {link.column for link in self.links if link.table == table.name}
            for column in sorted(set((columns or {}).get(table.name, table.named_columns)) - linked):
                if column == table.primary_key:
                    continue
                parents = [
                    p.name
                    for p in self.tables.values()
                    if p is not table and p.primary_key and names_key(column, p.name, p.primary_key)
                ]
                if len(parents) > 1:
                    raise SchemaError(
                        f"column {table.name}.{column} could point at {' or '.join(parents)}: say which in foreign_keys"
                    )
                if parents:
                    added.append(self.add_link(table.name, column, parents[0]))
        known = {link.name for link in self.links}
        for table in self.tables.values():
            for name in table.keys_from:
                place, _, column = name.partition(".")
                if name not in known and place in self.tables and column in (columns or {}).get(place, ()):
                    added.append(self.add_link(place, column, table.name))
        return added

    def validate(self) -> None:
        """Check what can be checked without the rows.

        Raises:
            SchemaError: a table that no link reaches, a link or ``keys_from`` that names nothing.
        """
        if not self.links:
            raise SchemaError(
                f"the graph has no links: no column is a foreign key of another table; {self._advice(*self.tables)}"
            )
        ends = {end for link in self.links for end in (link.table, link.parent)}
        for table in self.tables.values():
            if table.name not in ends:
                raise SchemaError(
                    f"table '{table.name}' is linked to no other table: declare a foreign key in "
                    "foreign_keys, or take the table out of the recipe or its files out of the folder; "
                    f"{self._advice(table.name)}"
                )
            for name in table.keys_from:
                if self.link(name).parent != table.name:
                    raise SchemaError(
                        f"table '{table.name}': keys_from takes links that point at it, and {name} points at "
                        f"'{self.link(name).parent}'"
                    )

    def _advice(self, *names: str) -> str:
        """What is known of the keys of all tables, and the settings that say more of some."""
        keys = ", ".join(f"{t.name}: {t.primary_key or 'none'}" for t in self.tables.values())
        linked = {link.table for link in self.links}
        keyless = next((t for t in self.tables.values() if not t.primary_key and t.name not in linked), None)
        table = self.tables[names[0]]
        columns = [name for name in sorted(table.column_names - {table.primary_key}) if ends_like_key(name)]
        column = columns[0] if columns else "COLUMN"
        others = {name for other in self.tables.values() if other is not table for name in other.column_names}
        shared = next((name for name in columns if name in others), None)
        parents = [t.name for t in self.tables.values() if t.primary_key and t is not table]
        # A column that is called like a row of another table holds its keys, whatever it ends with.
        pairs = [(name, other) for other in parents for name in sorted(table.column_names) if is_called(name, other)]
        pairs += [(column, other) for other in parents]
        ways = [f"tables.{table.name}.foreign_keys.{pairs[0][0]}={pairs[0][1]}"] if pairs else []
        if keyless:
            no_times = [name for name in sorted(keyless.column_names) if keyless.kind(name) is not ValueKind.TIME]
            if own := likely_key(keyless.name, no_times):
                ways.insert(0, f"tables.{keyless.name}.primary_key={own}")
        if table.primary_key and shared:
            # What other tables have, too, is likelier the key.
            ways = [f"tables.{table.name}.primary_key={shared}", *ways]
        ways = ways or [f"tables.{table.name}.foreign_keys.column=table"]
        return f"the primary keys are taken to be {keys}; say what is so, as in {' or '.join(ways)}"

    def link(self, name: str) -> Link:
        """The link called ``table.column``.

        Raises:
            SchemaError: there is none; the message names the nearest.
        """
        for link in self.links:
            if link.name == name:
                return link
        raise SchemaError(f"unknown link '{name}'.{nearest(name, (link.name for link in self.links))}")

    def edge_types(self) -> list[EdgeType]:
        """Both directions of every link, in order of declaration."""
        return [EdgeType(link, reverse) for link in self.links for reverse in (False, True)]

    def edges_from(self, table: str, link: str) -> EdgeType:
        """The direction of ``link`` that leaves ``table`` (towards the parent where both do).

        Raises:
            SchemaError: the link is unknown or does not touch ``table``.
        """
        for edge_type in self.edge_types():
            if edge_type.link == self.link(link) and edge_type.source == table:
                return edge_type
        raise SchemaError(f"link '{link}' does not leave table '{table}'")
