"""A syntax tree as text of the language again, so that a message can show a form that is read as it stands."""

from __future__ import annotations

import re
from typing import Final

from gnnscale.query.tree import Aggregation, ColumnName, Comparison, Expression, Junction, Negation
from gnnscale.query.window import Window

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
    return f"{_quoted(table)}.{column if column == '*' else _quoted(column)}"


def write_window(window: Window | None) -> str:
    """What follows the argument of an aggregation; nothing without a window."""
    if window is None:
        return ""
    return f", {'-INF' if window.start is None else window.start}, {window.end}, {window.unit}"


def _comparison(expression: Comparison) -> str:
    left, operator = write(expression.left), expression.operator
    if operator == "IS NULL":
        return f"{left} IS {'NOT ' if expression.negated else ''}NULL"
    values = ", ".join(str(value) for value in expression.values)
    negated = "NOT " if expression.negated else ""
    return f"{left} {negated}{operator} {f'({values})' if operator == 'IN' else values}"


def _nested(part: Expression) -> str:
    return f"({write(part)})" if isinstance(part, Junction) else write(part)


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name) and name.upper() not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'
