"""Names of a syntax tree to tables, columns and links of a graph, with the types checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gnnscale.query.bound import Aggregate, All, Any, Column, Condition, Not, Test, Value
from gnnscale.query.tree import Aggregation, ByColumn, ColumnName, Comparison, Expression, Junction, Literal, Negation
from gnnscale.query.window import Window
from gnnscale.schema import ColumnType, GraphSchema, Link, QueryError, Table, ValueKind, nearest

NUMERIC = ("SUM", "AVG", "MIN", "MAX")
TEXT_OPERATORS = ("LIKE", "CONTAINS", "STARTS WITH", "ENDS WITH")
ORDERINGS = ("<", "<=", ">", ">=")

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
        raise self.fail(f"{left} is no condition: compare it, as in {left} > 0", expression.position)

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
            raise self.fail(f"unknown table '{name.table}'.{nearest(name.table, self.graph.tables)}", name.position)
        return self.graph.tables[name.table]

    def row_column(self, name: ColumnName, own: Table) -> Column:
        """A column of ``own``, or of the one table that a foreign key of ``own`` names.

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
        return self._column(name, table, via)

    def aggregate(self, node: Aggregation, rule: WindowRule) -> Aggregate:
        """An aggregation over the events of the entity.

        Raises:
            QueryError: as in :meth:`condition`.
        """
        name = node.argument
        if not isinstance(name, ColumnName):
            raise self.fail("an aggregation can't stand inside another one", getattr(name, "position", node.position))
        link, via = self._event_table(name, node)
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
            column = self._column(name, self.table(name), via)
            own = {k.column: k for k in self.graph.links if k.table == event_table.name}
            reference = own.get(column.name) if via is None else None
            self._check_argument(node, column, reference, name)
        self._check_window(node, event_table, rule)
        where = self.condition(node.where, rule, event_table) if node.where is not None else None
        several = [k for k in self.graph.links if (k.table, k.parent) == (link.table, link.parent)]
        return Aggregate(node.function, link, column, where, node.window, reference, len(several) > 1)

    def _event_table(self, name: ColumnName, node: Aggregation) -> tuple[Link, Link | None]:
        """The link from the event table to the entity, and that to the column's table where it is another."""
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
                f"{node.function}({table.name}.{name.column} BY {direct[0].column})",
                name.position,
            )
        if table.name == self.entity.name:
            raise self.fail(
                f"'{table.name}' is the table of the entity itself: name its column without {node.function}, or "
                f"aggregate one of {self._event_table_names()}",
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
            raise self.fail(f"'{table.name}' is reached through {names}: one way is needed", name.position)
        raise self.fail(
            f"table '{table.name}' has no foreign key to '{self.entity.name}', and no event table that has one leads "
            f"to it. Tables that have: {self._event_table_names()}",
            name.position,
        )

    def _chosen(self, by: ByColumn, links: list[Link]) -> list[Link]:
        found = [link for link in links if link.column == by.name]
        if not found:
            known = sorted({link.column for link in links})
            raise self.fail(
                f"BY takes a foreign key to '{self.entity.name}', and '{by.name}' is none.{nearest(by.name, known)}",
                by.position,
            )
        return found

    def _event_table_names(self) -> str:
        return ", ".join(sorted({k.table for k in self.graph.links if k.parent == self.entity.name})) or "none"

    def _timed(self, table: str) -> bool:
        event_table = self.graph.table(table)
        return bool(event_table.time_column or event_table.time_from)

    def _column(self, name: ColumnName, table: Table, via: Link | None) -> Column:
        linked = {k.column for k in self.graph.links if k.table == table.name}
        known = table.column_names | linked
        if name.column not in known:
            raise self.fail(
                f"unknown column '{name.column}' of table '{table.name}'.{nearest(name.column, known)}",
                name.column_position,
            )
        if table.kind(name.column) is ValueKind.OTHER:
            raise self.fail(
                f"{table.name}.{name.column} holds lists or values of another kind, which are features alone: queries "
                "take numbers, text, times and truth values",
                name.column_position,
            )
        return Column(table.name, name.column, via, table.kind(name.column), table.meaning(name.column))

    def _check_argument(self, node: Aggregation, column: Column, reference: Link | None, name: ColumnName) -> None:
        if node.function in NUMERIC:
            kind = "a foreign key" if reference else _what(column)
            if reference or column.meaning not in (None, ColumnType.NUMERICAL):
                raise self.fail(
                    f"{node.function} needs a numerical column, and {column} is {kind}."
                    f"{self._numerical(column.table)} COUNT, COUNT_DISTINCT, FIRST and LAST take any column",
                    name.column_position,
                )

    def _numerical(self, table: str) -> str:
        known = self.graph.table(table)
        linked = {k.column for k in self.graph.links if k.table == table}
        columns = known.column_names - linked - {known.primary_key}
        names = sorted(c for c in columns if known.meaning(c) is ColumnType.NUMERICAL)
        return f" Numerical columns of {table}: {', '.join(names)}." if names else ""

    def _check_window(self, node: Aggregation, event_table: Table, rule: WindowRule) -> None:
        timed = self._timed(event_table.name)
        if node.window and not timed:
            raise self.fail(
                f"a window needs times, and table '{event_table.name}' has no time_column; leave the window out or "
                "declare the column",
                node.window.position,
            )
        rule(node)

    def _test(self, node: Comparison, rule: WindowRule, own: Table | None) -> Condition:
        left = self.operand(node.left, rule, own)
        if isinstance(left, Aggregate) and left.function == "LIST_DISTINCT" and node.operator != "IS NULL":
            raise self.fail(
                "a list can't be compared; count instead, as in "
                f"COUNT({left.event_table}.* WHERE {left.column} = ...) > 0",
                node.position,
            )
        values = tuple(self._value(node, literal, left) for literal in node.values)
        return Test(left, node.operator, values, node.negated)

    def _value(self, node: Comparison, literal: Literal, left: Column | Aggregate) -> Value:
        kind, value, operator = left.kind, literal.value, node.operator
        assert value is not None
        if operator in TEXT_OPERATORS:
            if kind not in (None, ValueKind.TEXT):
                raise self.fail(f"{operator} needs text, and {left} holds {_values(kind)}", node.position)
            if not isinstance(value, str):
                raise self.fail(f"{operator} needs text in quotes, not {literal}", literal.position)
            if operator == "LIKE" and "%" not in value:
                equal = "!=" if node.negated else "="
                raise self.fail(
                    f"LIKE {literal} has no %: write {equal} {literal}, or put % where any text may stand",
                    literal.position,
                )
            return value
        if kind is ValueKind.TIME:
            return self._time(literal, left)
        given = ValueKind.BOOLEAN if isinstance(value, bool) else ValueKind.NUMBER
        given = ValueKind.TEXT if isinstance(value, str) else given
        if kind not in (None, given):
            hint = " (write it without quotes)" if kind is ValueKind.NUMBER and given is ValueKind.TEXT else ""
            hint = f" (write '{value}')" if kind is ValueKind.TEXT else hint
            raise self.fail(f"{left} holds {_values(kind)}, and {literal} is {KINDS[given]}{hint}", literal.position)
        if operator in ORDERINGS and kind in (ValueKind.TEXT, ValueKind.BOOLEAN):
            raise self.fail(
                f"{operator} needs numbers or times, and {left} holds {_values(kind)}: compare with = != IN"
                + (" LIKE CONTAINS STARTS WITH ENDS WITH" if kind is ValueKind.TEXT else ""),
                node.position,
            )
        return value

    def _time(self, literal: Literal, left: Column | Aggregate) -> int:
        try:
            if not isinstance(literal.value, str):
                raise ValueError
            time = datetime.fromisoformat(literal.value)
        except ValueError:
            raise self.fail(
                f"{left} holds times, and {literal} is none: write '2024-01-31' or '2024-01-31 12:00:00' (UTC)",
                literal.position,
            ) from None
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


KINDS = {ValueKind.NUMBER: "a number", ValueKind.TEXT: "text", ValueKind.BOOLEAN: "a truth value"}


def _values(kind: ValueKind | None) -> str:
    names = {
        ValueKind.NUMBER: "numbers",
        ValueKind.TEXT: "text",
        ValueKind.TIME: "times",
        ValueKind.BOOLEAN: "TRUE and FALSE",
    }
    return names.get(kind or ValueKind.OTHER, "values of another kind")


def _what(column: Column) -> str:
    if column.meaning is ColumnType.CATEGORICAL and column.kind is ValueKind.TEXT:
        return "text"
    return str(column.meaning)


def future(fail: Callable[[str, int], QueryError], clause: str) -> WindowRule:
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


def past(fail: Callable[[str, int], QueryError]) -> WindowRule:
    """Windows of WHERE: they end at the anchor or earlier."""

    def rule(node: Aggregation) -> None:
        window: Window | None = node.window
        if window is not None and window.end > 0:
            raise fail(
                f"WHERE looks at the past, and its window ends at {window.end:+d}: end it at 0 or earlier, or write "
                "ASSUMING for what is taken as true of the future",
                window.position,
            )

    return rule
