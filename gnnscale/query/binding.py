"""Names of a syntax tree to tables, columns and links of a graph, with the types checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gnnscale.query.bound import Aggregate, All, Any, Column, Condition, Not, Test
from gnnscale.query.hints import key_hint, table_hint, time_hint
from gnnscale.query.literals import Fail, bind_literal
from gnnscale.query.syntax.tree import Aggregation, ByColumn, ColumnName, Comparison, Expression, Junction, Negation
from gnnscale.query.syntax.writing import write, write_comparison, write_count, write_name, write_word
from gnnscale.query.window import Window
from gnnscale.schema import NESTED, ColumnType, GraphSchema, Link, QueryError, Table, ValueKind, nearest

NUMERIC = ("SUM", "AVG", "MIN", "MAX")
LISTED = ("FIRST", "LAST", "LIST_DISTINCT")
"""Aggregations whose values are those of the column."""

NEVER_MISSING = ("COUNT", "COUNT_DISTINCT", "SUM")
"""Aggregations that over nothing are 0."""

WindowRule = Callable[[Aggregation], None]
"""Refuses a window that does not fit the clause."""


class Binder:
    """Binds the parts of one query.

    Args:
        graph: tables and links.
        text: of the query, for messages.
        entity: the table that the query is about.
    """

    def __init__(self, graph: GraphSchema, text: str, entity: Table) -> None:
        self.graph, self.text, self.entity = graph, text, entity

    def fail(self, message: str, position: int) -> QueryError:
        """An error at a place of the query."""
        return QueryError(message, self.text, position)

    def condition(self, expression: Expression, rule: WindowRule, own: Table | None = None) -> Condition:
        """An expression that is true or false.

        Args:
            expression: of the tree.
            rule: for the windows of its aggregations.
            own: table whose rows it is about; default: the entity's. Aggregations are for the entity alone.

        Raises:
            QueryError: a name, a type or a window does not fit.
        """
        if isinstance(expression, Junction):
            parts = tuple(self.condition(part, rule, own) for part in expression.parts)
            return All(parts) if expression.operator == "AND" else Any(parts)
        if isinstance(expression, Negation):
            return Not(self.condition(expression.part, rule, own))
        if isinstance(expression, Comparison):
            return self._test(expression, rule, own)
        left = self.operand(expression, rule, own)
        if isinstance(left, Column) and left.kind is ValueKind.BOOLEAN:
            return Test(left, "=", (True,), False)
        raise self.fail(
            f"{write(expression)} is no condition: {write_comparison(expression, left.kind)}", expression.position
        )

    def operand(
        self, expression: ColumnName | Aggregation, rule: WindowRule, own: Table | None = None
    ) -> Column | Aggregate:
        """A column of a row (or of its parent), or an aggregation.

        Raises:
            QueryError: as in :meth:`condition`.
        """
        if isinstance(expression, ColumnName):
            return self.row_column(expression, own or self.entity)
        if own is not None:
            raise self.fail("an aggregation can't stand inside another one", expression.position)
        return self.aggregate(expression, rule)

    def table(self, name: ColumnName) -> Table:
        """The table that a name begins with.

        Raises:
            QueryError: there is none.
        """
        if name.table not in self.graph.tables:
            known = nearest(name.table, self.graph.tables)
            hint = table_hint(self.graph, name.table, name.column)
            raise self.fail(f"unknown table '{name.table}'.{known}{hint}", name.position)
        return self.graph.tables[name.table]

    def row_column(self, name: ColumnName, own: Table, lists: bool = False) -> Column:
        """A column of ``own``, or of the one table that a foreign key of ``own`` names.

        Args:
            name: of the column.
            own: table whose rows it is about.
            lists: whether a multicategorical column may hold arrays.

        Raises:
            QueryError: no such column, or the table is not reached by exactly one foreign key.
        """
        table = self.table(name)
        via = None
        if table.name != own.name:
            links = [k for k in self.graph.links if k.table == own.name and k.parent == table.name]
            if not links:
                parents = sorted({k.parent for k in self.graph.links if k.table == own.name})
                raise self.fail(
                    f"'{own.name}' has no foreign key to '{table.name}'. Columns may be of {own.name}"
                    + (f" and of {', '.join(parents)}" if parents else ""),
                    name.position,
                )
            if len(links) > 1:
                names = " and ".join(link.name for link in links)
                raise self.fail(f"{names} both lead to '{table.name}'", name.position)
            via = links[0]
        return self.column(name, table, via, lists)

    def aggregate(self, node: Aggregation, rule: WindowRule) -> Aggregate:
        """An aggregation over the events of the entity.

        Raises:
            QueryError: as in :meth:`condition`.
        """
        name = node.argument
        if not isinstance(name, ColumnName):
            raise self.fail("an aggregation can't stand inside another one", getattr(name, "position", node.position))
        link, via = self.event_table(name, node)
        event_table = self.graph.table(link.table)
        column, reference = None, None
        if name.column == "*":
            if node.function != "COUNT":
                raise self.fail(
                    f"{node.function} needs a column: only COUNT takes {name.table}.*", name.column_position
                )
        else:
            if via is not None and name.column == self.table(name).primary_key:
                # A parent's key is what the event table's foreign key holds.
                name, via = replace(name, table=event_table.name, column=via.column), None
            column = self.column(name, self.table(name), via, node.function in LISTED)
            own = {k.column: k for k in self.graph.links if k.table == event_table.name}
            reference = own.get(column.name) if via is None else None
            self._check_argument(node, column, reference, name)
        self._check_window(node, event_table, rule)
        where = self.condition(node.where, rule, event_table) if node.where is not None else None
        several = [k for k in self.graph.links if (k.table, k.parent) == (link.table, link.parent)]
        return Aggregate(node.function, link, column, where, node.window, reference, len(several) > 1)

    def event_table(self, name: ColumnName, node: Aggregation) -> tuple[Link, Link | None]:
        """The link from the event table to the entity, and that to the column's table where it is another.

        Raises:
            QueryError: there is no such link, or several.
        """
        table = self.table(name)
        to_entity = [k for k in self.graph.links if k.parent == self.entity.name]
        if node.by is not None:
            to_entity = self._chosen(node.by, to_entity)
        direct = [k for k in to_entity if k.table == table.name]
        others = [k for k in direct if k.column != name.column]
        if len(direct) == 2 and len(others) == 1:
            # The rows that one foreign key names are asked for those that the other names.
            direct = others
        if len(direct) == 1:
            return direct[0], None
        if direct:
            raise self.fail(
                f"{' and '.join(k.name for k in direct)} both link to '{self.entity.name}': say which counts, as in "
                f"{node.function}({write_name(table.name, name.column)} BY {write_word(direct[0].column)})",
                name.position,
            )
        if table.name == self.entity.name:
            raise self.fail(
                f"'{table.name}' is the table of the entity itself: "
                + (f"name its column without {node.function}, or " if name.column in self._askable() else "")
                + f"aggregate one of {self.event_table_names()}",
                name.position,
            )
        through = [
            (k, p)
            for k in to_entity
            for p in self.graph.links
            if p.table == k.table and p.parent == table.name and (node.window is None or self._timed(k.table))
        ]
        if len(through) == 1 and name.column != "*":
            return through[0]
        if through:
            names = " or ".join(sorted({k.table for k, _ in through}))
            if name.column == "*":
                raise self.fail(f"'{table.name}' are no events of '{self.entity.name}': count {names}", name.position)
            ways = " or ".join(p.name for _, p in through)
            raise self.fail(
                f"'{table.name}' is reached through {ways}: one way is needed, and no clause chooses one. Ask for a "
                f"column of {names} itself, or leave the other links out of the graph",
                name.position,
            )
        linked = {k.column for k in self.graph.links if k.table == table.name}
        raise self.fail(
            f"table '{table.name}' has no foreign key to '{self.entity.name}', and no event table that has one leads "
            f"to it. Tables that have: {self.event_table_names()}{self._farther(table, to_entity)}"
            f"{key_hint(table, linked, self.entity)}",
            name.position,
        )

    def _farther(self, table: Table, to_entity: Sequence[Link]) -> str:
        """What to say of a table that is a link further than a query can name."""
        for k in to_entity:
            for middle in (p.parent for p in self.graph.links if p.table == k.table):
                for last in (q for q in self.graph.links if q.table == middle and q.parent == table.name):
                    column = f"{middle}.{last.column}"
                    return f"; {k.table} leads to it through {middle}, a link too far: put {column} into {k.table}"
        return ""

    def _chosen(self, by: ByColumn, links: list[Link]) -> list[Link]:
        found = [link for link in links if link.column == by.name]
        if not found:
            known = sorted({link.column for link in links})
            raise self.fail(
                f"BY takes a foreign key to '{self.entity.name}', and '{by.name}' is none.{nearest(by.name, known)}",
                by.position,
            )
        return found

    def event_table_names(self) -> str:
        """The tables whose rows name the entity, for messages."""
        return ", ".join(sorted({k.table for k in self.graph.links if k.parent == self.entity.name})) or "none"

    def _askable(self) -> set[str]:
        """Columns of the entity that can stand by themselves: no key, and no time."""
        own = self.entity
        linked = {k.column for k in self.graph.links if k.table == own.name}
        columns = own.column_names - linked - {own.primary_key, own.time_column, own.end_time, None}
        return {name for name in columns if own.kind(name) not in {ValueKind.TIME, *NESTED}}

    def _timed(self, table: str) -> bool:
        event_table = self.graph.table(table)
        return bool(event_table.time_column or event_table.time_from)

    def column(self, name: ColumnName, table: Table, via: Link | None, lists: bool = False) -> Column:
        """A column of a table.

        Args:
            name: of the column.
            table: that has it.
            via: foreign key that leads to the table; None for none.
            lists: whether a multicategorical column may hold arrays.

        Raises:
            QueryError: there is none, or its values are no values of a query.
        """
        linked = {k.column for k in self.graph.links if k.table == table.name}
        known = table.column_names | linked
        if name.column not in known:
            raise self.fail(
                f"unknown column '{name.column}' of table '{table.name}'.{nearest(name.column, known)}",
                name.column_position,
            )
        meaning = table.meaning(name.column)
        is_key = name.column in linked or name.column == table.primary_key
        takes = is_key or (lists and meaning is ColumnType.MULTICATEGORICAL)
        if table.kind(name.column) in NESTED and not takes:
            way_out = "" if meaning else f". If it is declared multicategorical, LIST_DISTINCT({name}) takes its values"
            raise self.fail(
                f"{table.name}.{name.column} holds lists or values of another kind, which are features alone: queries "
                f"take numbers, text, times and truth values{way_out}",
                name.column_position,
            )
        return Column(table.name, name.column, via, table.kind(name.column), meaning)

    def _check_argument(self, node: Aggregation, column: Column, reference: Link | None, name: ColumnName) -> None:
        if node.function in NUMERIC:
            table = self.graph.table(column.table)
            is_time = column.name in (table.time_column, table.end_time)
            kind = "a foreign key" if reference else "a time of its rows" if is_time else _what(column)
            if reference or is_time or column.meaning not in (None, ColumnType.NUMERICAL):
                raise self.fail(
                    f"{node.function} needs a numerical column, and {column} is {kind}."
                    f"{self._numerical(column.table)} COUNT and COUNT_DISTINCT take any column",
                    name.column_position,
                )

    def _numerical(self, table: str) -> str:
        known = self.graph.table(table)
        linked = {k.column for k in self.graph.links if k.table == table}
        columns = known.column_names - linked - {known.primary_key, known.time_column, known.end_time}
        names = sorted(c for c in columns if known.meaning(c) is ColumnType.NUMERICAL)
        return f" Numerical columns of {table}: {', '.join(names)}." if names else ""

    def _check_window(self, node: Aggregation, event_table: Table, rule: WindowRule) -> None:
        timed = self._timed(event_table.name)
        if node.window and not timed:
            way_out = "declare the column"
            if node.function not in ("FIRST", "LAST"):
                way_out = f"leave the window out or {way_out}"
            raise self.fail(
                f"a window needs times, and table '{event_table.name}' has no time_column; {way_out}"
                f"{time_hint(event_table)}",
                node.window.position,
            )
        rule(node)

    def _test(self, node: Comparison, rule: WindowRule, own: Table | None) -> Condition:
        left = self.operand(node.left, rule, own)
        if isinstance(left, Aggregate) and left.function == "LIST_DISTINCT" and node.operator != "IS NULL":
            raise self.fail(
                f"a list can't be compared; count instead, as in {write_count(node)}",
                node.position,
            )
        if isinstance(left, Aggregate) and left.function in NEVER_MISSING and node.operator == "IS NULL":
            assert isinstance(node.left, Aggregation)
            events = ColumnName(left.event_table, "*", node.position, node.position)
            counted = write(replace(node.left, function="COUNT", argument=events))
            raise self.fail(
                f"{left.function} over nothing is 0, and never missing: ask for "
                f"{'some events' if node.negated else 'none'}, as in {counted} {'>' if node.negated else '='} 0",
                node.position,
            )
        values = tuple(bind_literal(self.fail, node, literal, left) for literal in node.values)
        return Test(left, node.operator, values, node.negated)


def _what(column: Column) -> str:
    if column.meaning is ColumnType.CATEGORICAL and column.kind is ValueKind.TEXT:
        return "text"
    return str(column.meaning)


def future(fail: Fail, clause: str) -> WindowRule:
    """Windows of a target or of ASSUMING: they start at the anchor or later."""

    def rule(node: Aggregation) -> None:
        window = node.window
        if window is not None and (window.start is None or window.start < 0):
            start = "-INF" if window.start is None else window.start
            raise fail(
                f"the window of {clause} starts at 0 or later, not at {start}: what is before the anchor is known",
                window.position,
            )

    return rule


def past(fail: Fail, static: bool = False) -> WindowRule:
    """Windows of WHERE: they end at the anchor or earlier.

    Args:
        fail: makes an error at a place of the query.
        static: whether the target has no window, so that there is no future to assume anything of.
    """
    assumed = "" if static else ", or write ASSUMING for what is taken as true of the future"

    def rule(node: Aggregation) -> None:
        window: Window | None = node.window
        if window is not None and window.end > 0:
            raise fail(
                f"WHERE looks at the past, and its window ends at {window.end:+d}: end it at 0 or earlier{assumed}",
                window.position,
            )

    return rule
