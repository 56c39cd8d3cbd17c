"""What the graph stage leaves beside its tables: statistics, encodings, counts and versions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from gnnscale.schema.errors import LakeError
from gnnscale.schema.table import ColumnType, EdgeType, Link, ValueKind

MANIFEST_NAME = "graph"

_PREFIXES = {
    ColumnType.CATEGORICAL: "cat",
    ColumnType.MULTICATEGORICAL: "multi",
    ColumnType.TEXT: "emb",
    ColumnType.EMBEDDING: "emb",
}


@dataclass(frozen=True)
class FeatureManifest:
    """How one column became a feature.

    Args:
        column: name in the raw table.
        type: its :class:`~gnnscale.schema.table.ColumnType`.
        log: whether a numerical column is taken as sign(x) log(1 + |x|), because it is skewed.
        mean, std: of a numerical column over the training period; std is never 0.
        categories: values of a categorical or multicategorical column, most frequent first; code i + 1 stands for the
            i-th. A category that is missing or was not seen in the training period has code 0; a multicategorical
            row leaves such values out.
        missing: share of rows without a value in the training period.
        separator: stands between the values of a multicategorical text column; empty where rows hold arrays.
        dims: length of the vectors of a text or embedding column.
        means, stds: of each dimension of an embedding column over the training period, ``dims`` each; no std is 0.
            Empty for text, whose vectors are of length 1 or 0.
        late: whether its values seem to be known only after the row's own time, at which they are inputs; never of what
            is declared to be a feature.
    """

    column: str
    type: str
    log: bool = False
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()
    missing: float = 0.0
    separator: str = ""
    dims: int = 0
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    late: bool = False

    @property
    def encoded(self) -> str:
        """Name of its column in ``nodes_<table>``."""
        return f"{_PREFIXES.get(ColumnType(self.type), 'num')}_{self.column}"


@dataclass(frozen=True)
class TableManifest:
    """Figures of one table.

    Args:
        rows: node ids there are: one for each row, and those of keys that the table has no longer.
        time_range: first and last time of a row, in epoch seconds; None without times.
        features: in column order.
        version: of ``nodes_<name>``.
        kinds: every raw column and what its values are.
        ends: whether rows may cease to hold.
        duplicates: rows that repeat an earlier one in every column, estimated for tables of some million rows; None
            where the build did not count them.
        out_of_range: rows whose time is outside ``graph.time_range``; None where that is not set.
        isolated: rows that no link joins with another; None where rows have no primary key.
        deleted: ids that stay reserved for keys that the table had when an earlier graph was built, and has no longer.
    """

    name: str
    rows: int
    time_range: tuple[int, int] | None
    features: tuple[FeatureManifest, ...]
    version: int = 0
    kinds: dict[str, ValueKind] = field(default_factory=dict)
    has_end: bool = False
    duplicates: int | None = None
    out_of_range: int | None = None
    isolated: int | None = None
    deleted: int = 0

    @property
    def numerical(self) -> tuple[FeatureManifest, ...]:
        """Features held as float columns ``num_<column>``."""
        return self._of(ColumnType.NUMERICAL, ColumnType.TIMESTAMP)

    @property
    def categorical(self) -> tuple[FeatureManifest, ...]:
        """Features held as integer columns ``cat_<column>``."""
        return self._of(ColumnType.CATEGORICAL)

    @property
    def multicategorical(self) -> tuple[FeatureManifest, ...]:
        """Features held as columns ``multi_<column>`` of sorted distinct codes."""
        return self._of(ColumnType.MULTICATEGORICAL)

    @property
    def embedded(self) -> tuple[FeatureManifest, ...]:
        """Features held as columns ``emb_<column>`` of vectors: text and embeddings."""
        return self._of(ColumnType.TEXT, ColumnType.EMBEDDING)

    def _of(self, *types: ColumnType) -> tuple[FeatureManifest, ...]:
        return tuple(f for f in self.features if f.type in types)


@dataclass(frozen=True)
class LinkManifest:
    """Figures of one link.

    Args:
        edges: rows whose key matches a parent.
        nulls: rows without a key.
        dangling: rows whose key matches no parent.
        parents_matched: parents that at least one row names.
        max_degree: most rows that name one parent.
        version, reverse_version: of the Delta tables that hold the two directions.
        max_weight: None: the edges of a link have no weight.
        degree_quantiles: share in percent -> least number of rows that name a parent such that this share of the
            parents, those that no row names among them, have no more; exact. None where the build did not count them.
        early: rows that are older than the parent that they name, and are seen from its time on; None where either has
            no times of its own, or the build did not count them.
    """

    table: str
    column: str
    parent: str
    edges: int
    nulls: int
    dangling: int
    parents: int
    parents_matched: int
    max_degree: int
    version: int = 0
    reverse_version: int = 0
    max_weight: float | None = None
    degree_quantiles: dict[str, int] | None = None
    early: int | None = None

    @property
    def link(self) -> Link:
        """The link that the figures are of."""
        return Link(self.table, self.column, self.parent)

    @property
    def match_rate(self) -> float:
        """Share of the rows that have a key whose key matches a parent."""
        keyed = self.edges + self.dangling
        return self.edges / keyed if keyed else 0.0

    @property
    def parent_match_rate(self) -> float:
        """Share of the parents that at least one row names."""
        return self.parents_matched / self.parents if self.parents else 0.0

    @property
    def rows(self) -> int:
        """Rows of the table that holds the key."""
        return self.edges + self.dangling + self.nulls

    @property
    def null_rate(self) -> float:
        """Share of the rows that have no key."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def mean_degree(self) -> float:
        """Rows that name a parent, on average over all parents."""
        return self.edges / self.parents if self.parents else 0.0

    def edge_version(self, edge_type: EdgeType) -> int:
        """Version of the Delta table that holds one direction."""
        return self.reverse_version if edge_type.reverse else self.version


@dataclass(frozen=True)
class RelationManifest:
    """Figures of a relation: edges that are derived from rows and lie between nodes of two tables.

    It stands beside links as ``Link(source, name, target)``, so that samplers and stores treat both alike.

    Args:
        source, target: tables whose nodes the edges join.
        name: of the relation; fan-outs call it ``<source>.<name>``.
        edges: their number, in one direction.
        max_degree: most edges that leave one source node.
        version, reverse_version: of the Delta tables that hold the two directions.
        max_weight: largest weight of an edge; None where edges have no weight.
        kind: how its edges are derived: ``events``, ``together`` or ``attribute``.
        table: whose rows they are derived from.
        columns: of that table, from whose values they are derived.
        cut: groups (or values) with more rows than ``max_group``, which took part in part (or not at all).
        unweighted: events that make no edge because they weigh nothing.
    """

    source: str
    name: str
    target: str
    edges: int
    max_degree: int
    version: int = 0
    reverse_version: int = 0
    max_weight: float | None = None
    kind: str = ""
    table: str = ""
    columns: tuple[str, ...] = ()
    cut: int = 0
    unweighted: int = 0

    @property
    def link(self) -> Link:
        """The relation as a link."""
        return Link(self.source, self.name, self.target)

    def is_made_of(self, tables: Collection[str], columns: Collection[tuple[str, str]]) -> bool:
        """Whether its edges would tell of rows of these tables, or of values of these (table, column)."""
        return self.table in tables or any((self.table, column) in columns for column in self.columns)

    def edge_version(self, edge_type: EdgeType) -> int:
        """Version of the Delta table that holds one direction."""
        return self.reverse_version if edge_type.reverse else self.version


@dataclass(frozen=True)
class GraphManifest:
    """The graph as built: its tables and links, and the time up to which statistics were fit."""

    tables: tuple[TableManifest, ...]
    links: tuple[LinkManifest, ...]
    origin: int
    fit_until: int | None
    relations: tuple[RelationManifest, ...] = ()

    def table(self, name: str) -> TableManifest:
        """Figures of the table of that name."""
        return next(t for t in self.tables if t.name == name)

    def edges(self, edge_type: EdgeType) -> LinkManifest | RelationManifest:
        """Figures of the link or relation that an edge type is a direction of."""
        known: tuple[LinkManifest | RelationManifest, ...] = (*self.links, *self.relations)
        return next(figures for figures in known if figures.link == edge_type.link)

    @property
    def edge_types(self) -> list[EdgeType]:
        """Both directions of every link, then of every relation."""
        links = [figures.link for figures in self.links] + [figures.link for figures in self.relations]
        return [EdgeType(link, reverse) for link in links for reverse in (False, True)]

    @property
    def time_ranges(self) -> dict[str, tuple[int, int] | None]:
        """Table -> first and last time of its rows."""
        return {table.name: table.time_range for table in self.tables}

    @property
    def rows(self) -> dict[str, int]:
        """Table -> its rows."""
        return {table.name: table.rows for table in self.tables}

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GraphManifest:
        """Inverse of :meth:`to_dict`.

        Raises:
            LakeError: the data are no graph's.
        """
        try:
            return cls._from_dict(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LakeError(
                f"record '{MANIFEST_NAME}' of the lake is no graph of this version ({type(error).__name__}: {error}); "
                "remove it, and the graph is built again"
            ) from None

    @classmethod
    def _from_dict(cls, data: dict[str, Any]) -> GraphManifest:
        tables = []
        for t in data["tables"]:
            features = tuple(_feature(f) for f in t["features"])
            span = tuple(t["time_range"]) if t["time_range"] else None
            kinds = {name: ValueKind(kind) for name, kind in t.get("kinds", {}).items()}
            tables.append(TableManifest(**{**t, "features": features, "time_range": span, "kinds": kinds}))
        links = tuple(LinkManifest(**link) for link in data["links"])
        relations = tuple(
            RelationManifest(**{**relation, "columns": tuple(relation.get("columns", ()))})
            for relation in data.get("relations", ())
        )
        return cls(tuple(tables), links, data["origin"], data["fit_until"], relations)


def _feature(data: dict[str, Any]) -> FeatureManifest:
    # JSON has no tuples, and a record of before has none of the newer fields.
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list | tuple) else v for n, v in data.items()}
    return FeatureManifest(**values)
