"""Relations as a person declares them: edges that are derived from rows and join nodes of two tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gnnscale.schema.errors import SchemaError, nearest
from gnnscale.schema.graph import GraphSchema
from gnnscale.schema.table import EdgeType, Link, ValueKind

COMPARABLE = (ValueKind.NUMBER, ValueKind.TEXT, ValueKind.TIME, ValueKind.BOOLEAN)
"""Values that can be compared for equality; those of other kinds are not kept in the graph."""


@dataclass(frozen=True)
class EventRelation:
    """Edges from rows that name two nodes: who did what with which item.

    With ``aggregate`` ``pair``, one edge stands for all events of a pair (in one period): it weighs their sum and holds
    from the latest of them on, so that it is never visible before all that it sums has happened. A pair whose events
    go on is therefore hidden until the last of them, unless ``period_days`` cuts the sum into edges of their own.

    Args:
        name: of the relation.
        event_table: table whose rows are the events.
        source, target: its foreign keys; edges lead from the row that the one names to that of the other.
        weight_by: column whose value says what an event weighs.
        weights: value of ``weight_by``, as text -> weight, at least 0; with 0 the event makes no edge.
        default_weight: of values that ``weights`` does not name, and of null.
        weight: number column that holds an event's weight; what is not above 0 makes no edge.
        aggregate: ``pair`` for one edge per pair, whose weight is that of its events together (their number, where
            they have no weights); ``none`` for one edge per event.
        period_days: length of the periods, in days from the graph's origin; None for one that lasts for ever.
    """

    name: str
    event_table: str
    source: str
    target: str
    weight_by: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    default_weight: float = 0.0
    weight: str | None = None
    aggregate: Literal["pair", "none"] = "pair"
    period_days: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.source == self.target:
            raise _fault(self.name, f"source and target are both '{self.source}'; they must be two foreign keys")
        if self.weight and self.weight_by:
            raise _fault(self.name, "give weight or weight_by, not both")
        if bool(self.weight_by) != bool(self.weights):
            raise _fault(self.name, "weight_by and weights go together: the column, and what each of its values weighs")
        if self.default_weight and not self.weight_by:
            raise _fault(self.name, "default_weight needs weight_by and weights")
        if not any(self.weights.values()) and self.weights and not self.default_weight:
            raise _fault(self.name, "all weights are 0, so that no event would make an edge")
        if self.period_days and self.aggregate == "none":
            raise _fault(self.name, "period_days needs aggregate: pair")

    @property
    def table(self) -> str:
        """Table whose rows make the edges."""
        return self.event_table

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the edges are made from."""
        return (self.source, self.target, *(c for c in (self.weight_by, self.weight) if c))

    def link(self, graph: GraphSchema) -> Link:
        """Its place in the graph.

        Raises:
            SchemaError: it does not fit the tables.
        """
        source = _foreign_key(graph, self, "source", self.source)
        target = _foreign_key(graph, self, "target", self.target)
        if self.weight_by:
            _check_column(graph, self, "weight_by", self.weight_by)
        if self.weight:
            _check_column(graph, self, "weight", self.weight, (ValueKind.NUMBER,))
        if self.period_days:
            _check_times(graph, self, "period_days")
        return Link(source.parent, self.name, target.parent)


@dataclass(frozen=True)
class TogetherRelation:
    """Edges between items that occur together: in one basket, or with one customer within some days.

    Two rows of a group that name different items are one co-occurrence, from the time of the later row on. An edge
    weighs the co-occurrences of its pair (in one period) and holds from the latest of them on, so that it is never
    visible before all that it counts has happened. Both orders of a pair are edges.

    Args:
        name: of the relation.
        event_table: table whose rows name the items.
        group: its column; rows with the same value belong together. Of a foreign key, rows whose key matches.
        item: foreign key of ``event_table`` to the nodes that are joined.
        within_days: most days between two rows that occur together; None for any.
        min_count: fewest co-occurrences of an edge (in one period).
        max_neighbors: most edges that leave a node (in one period); those of largest weight stay, of equal ones the
            later, then those to the smaller node id. An edge may stay in one order of its pair only; the reverse
            direction holds the same edges turned round.
        max_group: a group with more rows takes part with its latest ones, as many as this; of equal times those of
            the larger node id. The rows of such a group that count depend on what comes after them.
        period_days: as in :class:`EventRelation`; a co-occurrence belongs to the period of its later row.
    """

    name: str
    event_table: str
    group: str
    item: str
    within_days: float | None = None
    min_count: int = 1
    max_neighbors: int | None = None
    max_group: int = 1000
    period_days: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.group == self.item:
            raise _fault(self.name, f"group and item are both '{self.group}'; a group must hold different items")

    @property
    def table(self) -> str:
        """Table whose rows make the edges."""
        return self.event_table

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the edges are made from."""
        return (self.group, self.item)

    def link(self, graph: GraphSchema) -> Link:
        """Its place in the graph.

        Raises:
            SchemaError: it does not fit the tables.
        """
        item = _foreign_key(graph, self, "item", self.item)
        _check_column(graph, self, "group", self.group)
        for key in ("within_days", "period_days"):
            if getattr(self, key) is not None:
                _check_times(graph, self, key)
        return Link(item.parent, self.name, item.parent)


@dataclass(frozen=True)
class AttributeRelation:
    """Edges between nodes of one table that have the same value in a column, such as products of one brand.

    They hold always, or where nodes have times from the later of the two.

    Args:
        name: of the relation.
        table: whose nodes are joined.
        column: whose values are compared; null is like nothing.
        max_group: a value that more nodes have makes no edges; None for no bound, which needs ``max_neighbors``.
        max_neighbors: most edges that leave a node, an even number. The nodes of a value stand in a ring in order of
            node id, which is that of a hash of their keys, and each is joined with the nearest on both sides: the
            edges are symmetric, and their number grows with that of the nodes. None joins all that have the value.
    """

    name: str
    table: str
    column: str
    max_group: int | None = 1000
    max_neighbors: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.max_neighbors is not None and self.max_neighbors % 2:
            raise _fault(
                self.name, f"max_neighbors is {self.max_neighbors}; a ring has as many on both sides: take an even one"
            )
        if self.max_group is None and self.max_neighbors is None:
            raise _fault(self.name, "a value of any size would join all its nodes: give max_group or max_neighbors")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the edges are made from."""
        return (self.column,)

    def link(self, graph: GraphSchema) -> Link:
        """Its place in the graph.

        Raises:
            SchemaError: it does not fit the tables.
        """
        _check_column(graph, self, "column", self.column)
        return Link(self.table, self.name, self.table)


Relation = EventRelation | TogetherRelation | AttributeRelation


def relation_links(relations: Sequence[Relation], graph: GraphSchema) -> list[Link]:
    """The place of every relation in the graph.

    Args:
        relations: as declared.
        graph: tables, with what their columns hold, and all links.

    Raises:
        SchemaError: a relation does not fit its tables, or has the name of a link or of another relation.
    """
    taken = {edge_type.table_name: f"link {edge_type.link.name}" for edge_type in graph.edge_types()}
    links = [relation.link(graph) for relation in relations]
    for link in links:
        for edge_type in (EdgeType(link, reverse) for reverse in (False, True)):
            other = taken.setdefault(edge_type.table_name, f"relation {link.name}")
            if other != f"relation {link.name}":
                raise _fault(link.column, f"{other} has the table {edge_type.table_name} already; take another name")
        if links.count(link) > 1:
            raise _fault(link.column, f"there are two of '{link.table}'")
    return links


def value_column(graph: GraphSchema, table: str, column: str) -> str:
    """The column of ``nodes_<table>`` by which rows with one value of ``column`` are known: of a link, the node id."""
    linked = any(link.table == table and link.column == column for link in graph.links)
    return f"{'fk' if linked else 'raw'}_{column}"


def _fault(name: str, message: str) -> SchemaError:
    return SchemaError(f"relation '{name}': {message}")


def _check_name(name: str) -> None:
    if not name.isidentifier():
        raise _fault(name, "its name must be letters, digits and underscores")


def _known_table(graph: GraphSchema, relation: Relation) -> str:
    if relation.table not in graph.tables:
        raise _fault(relation.name, f"there is no table '{relation.table}'.{nearest(relation.table, graph.tables)}")
    return relation.table


def _foreign_key(graph: GraphSchema, relation: Relation, key: str, column: str) -> Link:
    table = _known_table(graph, relation)
    links = {link.column: link for link in graph.links if link.table == table}
    if column not in links:
        raise _fault(relation.name, f"{key} '{column}' is no foreign key of '{table}'.{nearest(column, links)}")
    return links[column]


def _check_column(
    graph: GraphSchema, relation: Relation, key: str, column: str, allowed: Iterable[ValueKind] = COMPARABLE
) -> None:
    table = graph.table(_known_table(graph, relation))
    if column not in table.column_names:
        raise _fault(
            relation.name, f"{key}: table '{table.name}' has no column '{column}'.{nearest(column, table.column_names)}"
        )
    if column == table.primary_key:
        raise _fault(relation.name, f"{key} '{column}' is the primary key of '{table.name}': every row has its own")
    kind = table.kind(column)
    if kind is not None and kind not in tuple(allowed):
        raise _fault(relation.name, f"{key} '{column}' holds values of kind {kind}; allowed: {', '.join(allowed)}")


def _check_times(graph: GraphSchema, relation: Relation, key: str) -> None:
    table = graph.table(relation.table)
    if not (table.time_column or table.time_from):
        raise _fault(relation.name, f"{key} needs times, and the rows of '{table.name}' have none")
