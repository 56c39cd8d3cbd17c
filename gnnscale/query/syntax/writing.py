"""A syntax tree as text of the language again, so that a message can show a form that is read as it stands."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gnnscale.query.syntax.tree import Aggregation, ColumnName, Comparison, Expression, Junction, Negation
from gnnscale.query.window import Window
from gnnscale.schema import ValueKind

_PLAIN: Final = re.compile(r"[^\W\d]\w*")
_KEYWORDS: Final = frozenset(
    (
        *("PREDICT", "FORECAST", "TIMEFRAMES", "CLASSIFY", "RANK", "TOP", "FOR", "EACH", "WHERE", "ASSUMING", "AND"),
        *("OR", "NOT", "IN", "LIKE", "CONTAINS", "STARTS", "ENDS", "WITH", "IS", "NULL", "TRUE", "FALSE"),
    )
)


def write(expression: Expression) -> str:
    """An expression as a query has it.

    Args:
        expression: of the tree.
    """
    if isinstance(expression, ColumnName):
        return write_name(expression.table, expression.column)
    if isinstance(expression, Aggregation):
        argument = write(expression.argument)
        where = f" WHERE {write(expression.where)}" if expression.where is not None else ""
        return f"{expression.function}({argument}{where}{write_window(expression.window)})"
    if isinstance(expression, Negation):
        return f"NOT ({write(expression.part)})"
    if isinstance(expression, Junction):
        return f" {expression.operator} ".join(_nested(part) for part in expression.parts)
    return _comparison(expression)


def write_name(table: str, column: str) -> str:
    """``table.column``, each quoted where it has to be."""
    return f"{write_word(table)}.{column if column == '*' else write_word(column)}"


def write_window(window: Window | None) -> str:
    """What follows the argument of an aggregation; nothing without a window."""
    if window is None:
        return ""
    return f", {'-INF' if window.start is None else window.start}, {window.end}, {window.unit}"


def write_comparison(expression: Expression, kind: ValueKind | None) -> str:
    """How an expression that is no condition becomes one.

    Args:
        expression: a column or an aggregation.
        kind: what its values are.
    """
    if isinstance(expression, Aggregation) and expression.function == "LIST_DISTINCT":
        return f"count instead, as in {write(replace(expression, function='COUNT'))} > 0"
    values = {ValueKind.TEXT: "= 'word'", ValueKind.TIME: "> '2024-01-31'", ValueKind.BOOLEAN: "= TRUE"}
    return f"compare it, as in {write(expression)} {values.get(kind or ValueKind.NUMBER, '> 0')}"


def write_count(node: Comparison) -> str:
    """What a comparison of a list means, as a count of the events that hold the value."""
    listed = node.left
    assert isinstance(listed, Aggregation) and isinstance(listed.argument, ColumnName)
    operator = node.operator if len(node.values) > 1 else "="
    compared = replace(node, left=listed.argument, operator=operator, negated=False)
    where = compared if listed.where is None else Junction("AND", (listed.where, compared), node.position)
    none = node.negated or node.operator == "!="
    return f"{write(replace(listed, function='COUNT', where=where))} {'=' if none else '>'} 0"


def _comparison(expression: Comparison) -> str:
    left, operator = write(expression.left), expression.operator
    if operator == "IS NULL":
        return f"{left} IS {'NOT ' if expression.negated else ''}NULL"
    values = ", ".join(str(value) for value in expression.values)
    negated = "NOT " if expression.negated else ""
    return f"{left} {negated}{operator} {f'({values})' if operator == 'IN' else values}"


def _nested(part: Expression) -> str:
    return f"({write(part)})" if isinstance(part, Junction) else write(part)


def write_word(name: str) -> str:
    """A name, quoted where it has to be."""
    if _PLAIN.fullmatch(name) and name.upper() not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'
