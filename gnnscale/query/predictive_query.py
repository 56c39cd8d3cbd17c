"""A query bound to a graph: every name exists and the question can be answered."""

from __future__ import annotations

from enum import StrEnum

from gnnscale.query.parse import parse
from gnnscale.query.tree import Aggregation, ColumnName, Window
from gnnscale.schema.errors import QueryError, nearest
from gnnscale.schema.graph import Graph
from gnnscale.schema.table import Link, Table


class TaskType(StrEnum):
    """What kind of answer a query asks for."""

    TEMPORAL_LINK_PREDICTION = "temporal link prediction"


class PredictiveQuery:
    """A predictive query, parsed and bound.

    Args:
        graph: tables and links; links must be declared or inferred already.
        text: the query.

    Raises:
        QueryError: the text can't be read, or a name in it does not fit the graph; with line, column and caret.
    """

    def __init__(self, graph: Graph, text: str) -> None:
        self.graph = graph
        self.text = text
        tree = parse(text)
        self.top = tree.top
        self.entity: Table = self._bind_entity(tree.entity)
        self.facts: Table = self._bind_facts(tree.target)
        self.window: Window = tree.target.window
        self.entity_link: Link = self._link_to_entity(tree.target)
        self.target_link: Link = self._bind_target(tree.target.column)

    @property
    def task_type(self) -> TaskType:
        """The task that the query's form implies."""
        return TaskType.TEMPORAL_LINK_PREDICTION

    @property
    def target(self) -> Table:
        """The table whose rows are ranked."""
        return self.graph.table(self.target_link.parent)

    def explain(self) -> str:
        """The query in plain words: task, entity, target and window."""
        days = self.window.length / 86_400
        return (
            f"{self.task_type}: for each row of {self.entity.name}, rank the {self.top} rows of {self.target.name} "
            f"most likely to be named by its {self.facts.name} stamped later than anchor "
            f"{self.window.start / 86_400:+g} d and no later than anchor {self.window.end / 86_400:+g} d "
            f"({days:g} days)"
        )

    def _fail(self, message: str, position: int) -> QueryError:
        return QueryError(message, self.text, position)

    def _bind_table(self, name: ColumnName) -> Table:
        if name.table not in self.graph.tables:
            close = nearest(name.table, self.graph.tables)
            raise self._fail(f"unknown table '{name.table}'.{close}", name.position)
        return self.graph.tables[name.table]

    def _bind_entity(self, name: ColumnName) -> Table:
        table = self._bind_table(name)
        if name.column != table.primary_key:
            key = table.primary_key or "no primary key"
            raise self._fail(
                f"FOR EACH takes the primary key of a table; that of '{table.name}' is {key}, not '{name.column}'",
                name.column_position,
            )
        return table

    def _bind_facts(self, target: Aggregation) -> Table:
        table = self._bind_table(target.column)
        if not (table.time_column or table.time_from):
            raise self._fail(
                f"a window needs times, and table '{table.name}' has no time_column", target.window.position
            )
        if target.window.start < 0:
            raise self._fail("a target's window starts at 0 or later", target.window.position)
        return table

    def _link_to_entity(self, target: Aggregation) -> Link:
        links = [k for k in self.graph.links if k.table == self.facts.name and k.parent == self.entity.name]
        if len(links) == 1:
            return links[0]
        if links:
            names = " and ".join(link.name for link in links)
            raise self._fail(f"{names} both link to '{self.entity.name}'", target.column.position)
        known = sorted({k.table for k in self.graph.links if k.parent == self.entity.name})
        raise self._fail(
            f"table '{self.facts.name}' has no foreign key to '{self.entity.name}'. "
            f"Tables that have: {', '.join(known) or 'none'}",
            target.column.position,
        )

    def _bind_target(self, name: ColumnName) -> Link:
        links = {link.column: link for link in self.graph.links if link.table == self.facts.name}
        if name.column in links:
            return links[name.column]
        if name.column in self.facts.named_columns:
            allowed = ", ".join(sorted(links)) or "none"
            raise self._fail(
                f"RANK needs a foreign key, and '{name}' is not one. Foreign keys of '{name.table}': {allowed}",
                name.column_position,
            )
        columns = self.facts.named_columns | links.keys()
        raise self._fail(
            f"unknown column '{name.column}' of table '{name.table}'.{nearest(name.column, columns)}",
            name.column_position,
        )
