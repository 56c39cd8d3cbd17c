"""What may be missing in the description of a table, for messages that say what a query can't find."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from typing import Final

from gnnscale.schema import GraphSchema, Table, ValueKind, is_called, key_column, plain_name

LIKE_TIME: Final = re.compile(r"date|time|stamp|(_at|_on|_ts|At)$", re.I)
LIKE_KEY: Final = re.compile(r"(_id|_key|_uuid|(?-i:[a-z]I[dD]))$", re.I)

MOST: Final = 3
"""Columns that a message names."""


def time_hint(table: Table) -> str:
    """Half a sentence: how a column that is called like a time, and holds text or numbers, becomes the table's time.

    Returns:
        Empty where there is none.
    """
    written = (ValueKind.TEXT, ValueKind.NUMBER)
    found = [name for name, kind in table.kinds.items() if kind in written and LIKE_TIME.search(name)]
    if not found:
        return ""
    column = shlex.quote(f"tables.{table.name}.time_column={found[0]}")
    return (
        f". {' and '.join(found[:MOST])} may hold times: say so with {column} and how they are written with "
        f"tables.{table.name}.time_format, as in '%d/%m/%Y %H:%M'"
    )


def key_hint(table: Table, linked: Collection[str], parent: Table) -> str:
    """Half a sentence: how a column that is called like a key becomes a link to another table.

    Args:
        table: that has no link to the parent.
        linked: its columns that are foreign keys already.
        parent: of the link that is missing.

    Returns:
        Empty where no column may be one.
    """
    kind = parent.kinds.get(parent.primary_key or "")
    known = {*linked, table.primary_key}
    found = [name for name, own in table.kinds.items() if name not in known and own is kind and LIKE_KEY.search(name)]
    if kind is None or not found:
        return ""
    return (
        f". {' or '.join(found[:MOST])} may hold keys of '{parent.name}': say so with "
        f"{shlex.quote(f'tables.{table.name}.foreign_keys.{found[0]}={parent.name}')}"
    )


def table_hint(graph: GraphSchema, name: str, column: str) -> str:
    """A sentence: how the keys in a column of another table become a table of their own.

    Args:
        graph: whose tables there are.
        name: of the table that is not there.
        column: of its key, as the query has it.

    Returns:
        Empty where no column is called like its rows or its key.
    """
    for table in graph.tables.values():
        linked = {link.column for link in graph.links if link.table == table.name}
        for own in sorted(table.column_names - linked - {table.primary_key, table.time_column}):
            if plain_name(own) in ("id", "key"):
                continue
            if plain_name(own) == plain_name(column) or is_called(own, name) or key_column(name, [own]):
                return (
                    f" Where {table.name}.{own} holds keys of what has no table, say so with "
                    f"tables.{name}.primary_key={own} and tables.{name}.keys_from=[{table.name}.{own}]"
                )
    return ""
