"""A graph as a person reads it: tables, types, keys, times, links, and what was inferred from what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from gnnscale.config import possible_ends

if TYPE_CHECKING:
    from gnnscale.interface.table_graph import Graph
    from gnnscale.interface.table_inputs import TableInput


@dataclass(frozen=True)
class ColumnLine:
    """A column: its values' kind, what it means to a model, and its part in the graph."""

    name: str
    kind: str
    meaning: str
    part: str


def graph_text(graph: Graph) -> str:
    """The graph as lines of text."""
    blocks = [_title(graph)]
    for given in graph.inputs:
        lines = list(_columns(graph, given))
        widths = [max(len(getattr(line, part)) for line in lines) for part in ("name", "kind", "meaning")]
        blocks.append(f"{given.name}: {_size(given)}")
        for line in lines:
            cells = zip((line.name, line.kind, line.meaning), widths, strict=True)
            blocks.append("  " + "  ".join([*(f"{text:<{width}}" for text, width in cells), line.part]).rstrip())
    return "\n".join(blocks)


def graph_page(graph: Graph) -> str:
    """The graph as HTML, for a notebook."""
    parts = [f"<p><b>{escape(_title(graph))}</b></p>"]
    for given in graph.inputs:
        rows = "".join(
            f"<tr><td>{escape(line.name)}</td><td>{escape(line.kind)}</td><td>{escape(line.meaning)}</td>"
            f"<td>{escape(line.part)}</td></tr>"
            for line in _columns(graph, given)
        )
        head = "<tr><th>column</th><th>values</th><th>meaning</th><th>part in the graph</th></tr>"
        parts.append(f"<p><b>{escape(given.name)}</b>: {escape(_size(given))}</p><table>{head}{rows}</table>")
    return "".join(parts)


def _title(graph: Graph) -> str:
    tables, links = len(graph.inputs), len(graph.schema.links)
    return f"Graph of {tables} {'table' if tables == 1 else 'tables'} and {links} {'link' if links == 1 else 'links'}"


def _size(given: TableInput) -> str:
    return f"{given.rows:,} rows, {given.form}" if given.rows is not None else given.form


def _columns(graph: Graph, given: TableInput) -> Iterator[ColumnLine]:
    table, inferred = graph.schema.table(given.name), graph.inferred(given.name)
    links = {link.column: link for link in graph.schema.links if link.table == given.name}
    ends = possible_ends(table)
    for column, kind in given.kinds.items():
        part = []
        meaning = "" if column not in table.columns else f"{table.columns[column]}"
        if column == table.primary_key:
            part.append(f"primary key, {_source('primary_key' in inferred)}")
        if column in (table.time_column, table.end_time):
            which = "time of the row" if column == table.time_column else "end of the row"
            part.append(f"{which}, {_source(column == inferred.get('time_column'))}")
        elif column in ends:
            part.append(f"the end of the row? (tables.{table.name}.end_time={column})")
        if column in links:
            part.append(f"-> {links[column].parent}, {_source(graph.is_inferred(links[column].name))}")
        if graph.is_category_by_type(given.name, column):
            part.append("categories, by type")
        if not part and not meaning:
            found = table.meaning(column)
            meaning = f"{found}" if found else "left out"
        yield ColumnLine(column, f"{kind}", meaning, "; ".join(part))


def _source(inferred: bool) -> str:
    return "by name" if inferred else "as declared"
