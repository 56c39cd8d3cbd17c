"""Tables as a person declares them: keys, times and what each column means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gnnscale.schema.derived_table import AT, ITEM, OTHER, DerivedRows, PairRows
from gnnscale.schema.errors import SchemaError, nearest
from gnnscale.schema.key_names import names_something
from gnnscale.schema.time_format import EPOCH_UNITS, spark_pattern


class ColumnType(StrEnum):
    """What a column means to a model."""

    NUMERICAL = "numerical"
    CATEGORICAL = "categorical"
    MULTICATEGORICAL = "multicategorical"
    TIMESTAMP = "timestamp"
    TEXT = "text"
    EMBEDDING = "embedding"
    IGNORE = "ignore"


class ValueKind(StrEnum):
    """What the values of a column are, whatever they mean: ``texts`` are lists of text, a vector one of floats."""

    NUMBER = "number"
    TEXT = "text"
    TIME = "time"
    BOOLEAN = "boolean"
    TEXTS = "texts"
    VECTOR = "vector"
    OTHER = "other"


MEANINGS = {
    ValueKind.NUMBER: ColumnType.NUMERICAL,
    ValueKind.TEXT: ColumnType.CATEGORICAL,
    ValueKind.BOOLEAN: ColumnType.CATEGORICAL,
    ValueKind.TIME: ColumnType.TIMESTAMP,
    ValueKind.TEXTS: ColumnType.MULTICATEGORICAL,
    ValueKind.VECTOR: ColumnType.EMBEDDING,
}
"""What a column means unless its table says otherwise, or its name that its numbers are no amounts."""

NESTED: Final = frozenset({ValueKind.TEXTS, ValueKind.VECTOR, ValueKind.OTHER})
"""Kinds whose values are no words, numbers or times: lists, and all else."""

SEPARATOR: Final = ","
"""Stands between the values of a multicategorical text column unless its table says otherwise."""

RESERVED: Final = "gnnscale|"
"""What the names of columns begin with that the graph build adds to raw rows; none of theirs may."""


def inferred_meaning(column: str, kind: ValueKind) -> ColumnType | None:
    """What a column means by its name and what its values are; None where a model has no use for it."""
    if kind is ValueKind.NUMBER and names_something(column):
        return ColumnType.CATEGORICAL
    return MEANINGS.get(kind)


@dataclass(frozen=True)
class Table:
    """One raw table.

    Args:
        name: what queries and outputs call it.
        source: where its rows are: a Delta table, a Parquet file or folder, or a CSV file (path or object-store URI),
            or ``package://<package>/<path>`` for a file that an installed package carries.
        primary_key: column that identifies a row; None for event tables, whose rows have no key.
        time_column: column that says when a row came to be known; None for tables that always hold.
        columns: meaning of the feature columns; a column not named here is inferred from its physical type.
        foreign_keys: column -> name of the table whose primary key it holds.
        keys_from: ``table.column`` names whose keys belong to this table too, for dimension tables that lack
            rows for some keys that event tables mention; such rows have only their key. With it, a table needs no
            source: its rows are those keys.
        time_from: foreign-key column through which rows take the parent's time, for tables that have no time of
            their own but did not hold before their parent did.
        display: columns whose values name a row to a person.
        end_time: column that says from when on a row no longer holds; null for rows that still do.
        kinds: every column and what its values are, where the rows have been looked at.
        separators: multicategorical text column -> what stands between its values, where that is not a comma.
        time_format: how ``time_column`` and ``end_time`` are written, where they are text or numbers: a pattern of
            ``strptime``, such as ``%d/%m/%Y %H:%M``, or ``seconds``, ``milliseconds``, ``microseconds`` or
            ``nanoseconds`` since 1970. Without it, text is ISO 8601, and the unit of numbers is told by their range.
        derived: how its rows follow from those of another table; it has no source then.
    """

    name: str
    source: str = ""
    primary_key: str | None = None
    time_column: str | None = None
    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    foreign_keys: Mapping[str, str] = field(default_factory=dict)
    keys_from: tuple[str, ...] = ()
    time_from: str | None = None
    display: tuple[str, ...] = ()
    end_time: str | None = None
    kinds: Mapping[str, ValueKind] = field(default_factory=dict)
    separators: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    derived: DerivedRows | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise SchemaError(f"table name '{self.name}' must be letters, digits and underscores")
        object.__setattr__(self, "columns", {name: ColumnType(kind) for name, kind in self.columns.items()})
        object.__setattr__(self, "kinds", {name: ValueKind(kind) for name, kind in self.kinds.items()})
        if self.time_format and self.time_format not in EPOCH_UNITS:
            try:
                spark_pattern(self.time_format)
            except SchemaError as error:
                raise SchemaError(f"table '{self.name}': {error}") from None
        if self.time_column and self.time_from:
            raise SchemaError(f"table '{self.name}': give time_column or time_from, not both")
        if self.time_from and self.time_from not in self.foreign_keys:
            raise SchemaError(
                f"table '{self.name}': time_from '{self.time_from}' is not one of its foreign keys."
                + nearest(self.time_from, self.foreign_keys)
            )
        if self.keys_from and not self.primary_key:
            raise SchemaError(f"table '{self.name}': keys_from needs a primary_key")
        if self.derived is not None:
            self._check_derived(self.derived)

    def _check_derived(self, rows: DerivedRows) -> None:
        if self.source:
            raise SchemaError(f"table '{self.name}': give source or derived, not both")
        if isinstance(rows, PairRows):
            if self.primary_key or self.time_column != AT:
                raise SchemaError(
                    f"table '{self.name}': its rows are events at time_column '{AT}', without a primary_key"
                )
            parents = self.foreign_keys.get(ITEM), self.foreign_keys.get(OTHER)
            if None in parents or parents[0] != parents[1]:
                raise SchemaError(
                    f"table '{self.name}': foreign_keys must name the table of the items for both, as in "
                    f"foreign_keys: {{{ITEM}: items, {OTHER}: items}}"
                )
        elif self.primary_key != rows.key:
            raise SchemaError(f"table '{self.name}': its primary_key is '{rows.key}', the key of its first rows")

    @property
    def named_columns(self) -> set[str]:
        """Every column that the declaration names; each must exist in the rows."""
        keys = {self.primary_key, self.time_column, self.end_time} - {None}
        return {*keys, *self.foreign_keys, *self.columns, *self.display}  # type: ignore[arg-type]

    def require_columns(self, found: Collection[str]) -> None:
        """See that the rows have every column that the declaration names.

        Raises:
            SchemaError: one is missing; the message names the nearest.
        """
        for column in sorted(self.named_columns - set(found)):
            raise SchemaError(f"table '{self.name}' has no column '{column}'.{nearest(column, found)}")

    def check_columns(self, found: Collection[str]) -> None:
        """See that the rows have every column that the declaration names, and none whose name the graph can't take.

        Raises:
            SchemaError: they have not.
        """
        seen: dict[str, str] = {}
        for column in found:
            if column.lower().startswith(RESERVED) or not column or "." in column or "`" in column:
                raise SchemaError(
                    f"table '{self.name}': a column can't be called '{column}'; rename it in the source "
                    f"(no dots or backticks, and nothing that begins with {RESERVED})"
                )
            if column.lower() in seen:
                raise SchemaError(
                    f"table '{self.name}' has columns '{seen[column.lower()]}' and '{column}': names differ in more "
                    "than upper and lower case; rename or remove one in the source"
                )
            seen[column.lower()] = column
        self.require_columns(found)

    @property
    def column_names(self) -> set[str]:
        """Every column, where the rows have been looked at; else those that the declaration names."""
        return set(self.kinds) or self.named_columns

    def kind(self, column: str) -> ValueKind | None:
        """What the column's values are; None where neither rows nor declaration say."""
        if column in self.kinds:
            return self.kinds[column]
        if column in (self.time_column, self.end_time):
            return ValueKind.TIME
        declared = {
            ColumnType.NUMERICAL: ValueKind.NUMBER,
            ColumnType.TIMESTAMP: ValueKind.TIME,
            ColumnType.TEXT: ValueKind.TEXT,
        }
        return declared.get(self.columns.get(column, ColumnType.IGNORE))

    def meaning(self, column: str) -> ColumnType | None:
        """What the column means to a model, were it an input; None where nothing tells."""
        declared = self.columns.get(column, ColumnType.IGNORE)
        if declared is not ColumnType.IGNORE:
            return declared
        kind = self.kind(column)
        return inferred_meaning(column, kind) if kind else None

    def use(self, column: str) -> ColumnType | None:
        """What the column is taken for: its meaning, or that it is left out; None where nothing tells."""
        return ColumnType.IGNORE if self.columns.get(column) is ColumnType.IGNORE else self.meaning(column)


@dataclass(frozen=True)
class Link:
    """A foreign key: ``table.column`` holds the primary key of ``parent``."""

    table: str
    column: str
    parent: str

    @property
    def name(self) -> str:
        """``table.column``, the name of the link in configuration and messages."""
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class EdgeType:
    """One direction of a link: edges that leave ``source`` nodes for ``target`` nodes.

    ``reverse`` is False from the row to the parent it names, True from the parent to the rows that name it.
    """

    link: Link
    reverse: bool

    @property
    def source(self) -> str:
        """Table that the edges leave."""
        return self.link.parent if self.reverse else self.link.table

    @property
    def target(self) -> str:
        """Table that the edges reach."""
        return self.link.table if self.reverse else self.link.parent

    @property
    def name(self) -> str:
        """What fan-outs call it: as its link.

        Backwards along a link that joins a table with itself, ``rev_`` goes before the link's name: both directions
        leave the same nodes there, and are followed apart.
        """
        return f"rev_{self.link.name}" if self.reverse and self.source == self.target else self.link.name

    @property
    def table_name(self) -> str:
        """Name of its table in the lake: ``edges_[rev_]<table>_<column>``."""
        return f"edges_{'rev_' if self.reverse else ''}{self.link.table}_{self.link.column}"


def twin_names(names: Iterable[str]) -> str | None:
    """Two names that are one to Spark, for which case makes no difference, as messages show them; None without any."""
    seen: dict[str, str] = {}
    for name in names:
        if other := seen.get(name.lower()):
            return f"'{name}'" if other == name else f"'{other}' and '{name}', which are one to Spark"
        seen[name.lower()] = name
    return None
