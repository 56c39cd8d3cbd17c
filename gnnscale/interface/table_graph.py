"""A graph of tables that a person has at hand: what they mean, and how they are linked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gnnscale.config import (
    ColumnSettings,
    TableSettings,
    build_tables,
    describe_tables,
    table_graph,
    tell_written_times,
)
from gnnscale.interface.graph_query import Query
from gnnscale.interface.graph_words import graph_page, graph_text
from gnnscale.interface.table_inputs import TableInput, mentioned_table, read_input
from gnnscale.lake import Lake
from gnnscale.schema import ColumnType, ConfigError, GraphSchema, Link, SchemaError, Table, ValueKind, nearest


class Graph:
    """Tables, their keys and times, and the links between them; :meth:`from_tables` makes one.

    Nothing is read but columns and their types, for which files of text are looked through, and the first rows of whole
    numbers that may be times; rows are, when a query is fitted.

    Attributes:
        schema: tables and links, as queries are bound to them.
    """

    def __init__(
        self,
        inputs: Mapping[str, TableInput],
        tables: Mapping[str, TableSettings],
        inferred: Mapping[str, Mapping[str, str]],
        storage_options: Mapping[str, str],
    ) -> None:
        self._inputs, self._tables, self._inferred = dict(inputs), dict(tables), inferred
        self.storage_options = dict(storage_options)
        kinds = {name: table.kinds for name, table in inputs.items()}
        self.schema, self._found = _linked(tables, kinds)
        links = self.schema.links
        self._categories = {name: _categories(inputs[name], t, links) for name, t in self.schema.tables.items()}
        for name, columns in self._categories.items():
            meant = dict.fromkeys(columns, ColumnSettings(type=ColumnType.CATEGORICAL))
            if meant:
                self._tables[name] = tables[name].model_copy(update={"columns": {**tables[name].columns, **meant}})
        self.schema, self._found = _linked(self._tables, kinds)
        self.schema.validate()

    @classmethod
    def from_tables(
        cls,
        tables: Mapping[str, Any],
        *,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Graph:
        """Describe tables by their columns.

        A primary key is a column ``id``, ``<table>_id`` or that with the table's name in the singular; a column called
        like another table's primary key is a link to it. A time column is the only one whose name says that a row came
        to be, or in a table with a foreign key the only column of times, unless its name tells, of rows with a key, of
        an end or a birth. ``print(graph)`` tells what was found.

        Args:
            tables: name -> pandas, polars, Arrow or Spark frame; path or URI of Parquet, CSV or JSON lines (also
                gzipped, also a folder) or of a Delta table; or a name in the catalog of the active Spark session.
            settings: name of a table -> what is known of it: ``primary_key``, ``time_column``, ``foreign_keys``
                (column -> table), ``columns`` (column -> type) and whatever else section ``tables`` of a recipe takes.
                What stands here is not inferred; None says that there is none. A table that was not given, with
                ``primary_key`` and ``keys_from``, has a row for each key that others mention.
            storage_options: of object stores, as delta-rs names them.

        Raises:
            ConfigError: no mapping of names, settings of a table that was not given, or an unknown key in them.
            SchemaError: a column that is named does not exist, one has a name that the graph can't take, several could
                be the time, or tables are not linked.
            LakeError: nothing is at a path.
        """
        settings, options = settings or {}, storage_options or {}
        _check_mappings(tables, settings)
        inputs = {name: read_input(name, given, options) for name, given in tables.items()}
        for name, said in settings.items():
            if name not in tables and not said.get("keys_from"):
                raise ConfigError(f"settings of unknown table '{name}'.{nearest(str(name), tables)}")
            if name not in tables:
                inputs[name] = mentioned_table(name, said, inputs)
        inferred = describe_tables({name: {**table.kinds, **table.epochs} for name, table in inputs.items()}, settings)
        for name, table in inputs.items():
            tell_written_times(name, table.first_rows, settings.get(name, {}))
        content = {name: {"source": "", **inferred[name], **settings.get(name, {})} for name in inputs}
        return cls(inputs, build_tables(content), inferred, options)

    def query(self, text: str, name: str | None = None) -> Query:
        """A question to the graph, parsed and bound.

        Args:
            text: such as ``PREDICT COUNT(orders.*, 0, 28, days) = 0 FOR EACH customers.customer_id``.
            name: that its tables in a lake carry; default: made from the text.

        Raises:
            QueryError: the text can't be read, or does not fit the graph; with line, column and caret.
        """
        return Query(self, text, name)

    def store(self, lake: Lake) -> dict[str, dict[str, Any]]:
        """Write to a lake what is a frame.

        Args:
            lake: gets Parquet files of frames under ``_sources``; what it has already is not written again.

        Returns:
            Section ``tables`` of a configuration.

        Raises:
            LakeError: a frame of Spark can't be read.
        """
        return {name: {**table, "source": self._inputs[name].store(lake)} for name, table in self.describe().items()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Section ``tables`` of a configuration, before it is known where the rows will be."""
        return {name: table.model_dump(mode="json", exclude_unset=True) for name, table in self._tables.items()}

    def inferred(self, table: str) -> Mapping[str, str]:
        """What was found out about a table by its columns: ``primary_key`` and ``time_column``."""
        return self._inferred[table]

    def is_category_by_type(self, table: str, column: str) -> bool:
        """Whether a column is taken for categories because its type says so."""
        return column in self._categories[table]

    def is_inferred(self, link: str) -> bool:
        """Whether a link, ``table.column``, was found by the column's name."""
        return link in self._found

    @property
    def inputs(self) -> Sequence[TableInput]:
        """The tables as they were given."""
        return tuple(self._inputs.values())

    def __repr__(self) -> str:
        return graph_text(self)

    def _repr_html_(self) -> str:
        return graph_page(self)


def _linked(
    tables: Mapping[str, TableSettings], kinds: Mapping[str, Mapping[str, ValueKind]]
) -> tuple[GraphSchema, set[str]]:
    """The schema of tables, and the names of the links that were found by names of columns."""
    schema = table_graph(tables, kinds)
    for table in schema.tables.values():
        table.check_columns(kinds[table.name])
    return schema, {link.name for link in schema.infer_links(kinds)}


def _categories(given: TableInput, table: Table, links: Sequence[Link]) -> list[str]:
    """Columns that are categories by their type, of which nothing else is known, and which would be something else."""
    known = {table.primary_key, table.time_column, table.end_time, *table.columns}
    known |= {link.column for link in links if link.table == table.name}
    free = [column for column in given.kinds if column in given.categories and column not in known]
    return [column for column in free if table.meaning(column) is not ColumnType.CATEGORICAL]


def _check_mappings(tables: Any, settings: Any) -> None:
    if not isinstance(tables, Mapping):
        raise ConfigError(f"tables are a mapping of names to tables, and not a {type(tables).__name__}")
    if not tables:
        raise ConfigError("there are no tables: give a mapping of names to tables, at least one")
    for name in tables:
        if not isinstance(name, str) or not name.isidentifier():
            raise SchemaError(f"table name {name!r} must be text of letters, digits and underscores")
    if not isinstance(settings, Mapping):
        raise ConfigError(f"settings are a mapping of tables to what is known of them, and not {settings!r}")
    for name, said in settings.items():
        if not isinstance(said, Mapping):
            raise ConfigError(f"settings of table '{name}' are a mapping of keys to values, and not {said!r}")
