"""The constants that queries compare with, held against what they are compared to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gnnscale.query.bound import Aggregate, Column, Value
from gnnscale.query.syntax.tree import Comparison, Literal
from gnnscale.schema import QueryError, ValueKind

TEXT_OPERATORS = ("LIKE", "CONTAINS", "STARTS WITH", "ENDS WITH")
ORDERINGS = ("<", "<=", ">", ">=")

Fail = Callable[[str, int], QueryError]
"""Makes an error of a message and a place of the query."""

KINDS = {ValueKind.NUMBER: "a number", ValueKind.TEXT: "text", ValueKind.BOOLEAN: "a truth value"}


def bind_literal(fail: Fail, node: Comparison, literal: Literal, left: Column | Aggregate) -> Value:
    """The value that a column or an aggregation is compared with; a time as microseconds after 1970 in UTC.

    Args:
        fail: makes an error at a place of the query.
        node: the comparison.
        literal: of its right side.
        left: what is compared.

    Raises:
        QueryError: it is not of the kind that the left side holds, or the operator takes no such values.
    """
    kind, value, operator = left.kind, literal.value, node.operator
    assert value is not None
    if operator in TEXT_OPERATORS:
        if kind not in (None, ValueKind.TEXT):
            raise fail(f"{operator} needs text, and {left} holds {_values(kind)}", node.position)
        if not isinstance(value, str):
            raise fail(f"{operator} needs text in quotes, not {literal}", literal.position)
        if operator == "LIKE" and "%" not in value:
            equal = "!=" if node.negated else "="
            raise fail(
                f"LIKE {literal} has no %: write {equal} {literal}, or put % where any text may stand",
                literal.position,
            )
        return value
    if kind is ValueKind.TIME:
        return _time(fail, literal, left)
    given = ValueKind.BOOLEAN if isinstance(value, bool) else ValueKind.NUMBER
    given = ValueKind.TEXT if isinstance(value, str) else given
    if kind not in (None, given):
        hint = " (write it without quotes)" if kind is ValueKind.NUMBER and given is ValueKind.TEXT else ""
        hint = f" (write '{value}')" if kind is ValueKind.TEXT else hint
        raise fail(f"{left} holds {_values(kind)}, and {literal} is {KINDS[given]}{hint}", literal.position)
    if operator in ORDERINGS and kind in (ValueKind.TEXT, ValueKind.BOOLEAN):
        raise fail(
            f"{operator} needs numbers or times, and {left} holds {_values(kind)}: compare with = != IN"
            + (" LIKE CONTAINS STARTS WITH ENDS WITH" if kind is ValueKind.TEXT else ""),
            node.position,
        )
    return value


def _time(fail: Fail, literal: Literal, left: Column | Aggregate) -> int:
    try:
        if not isinstance(literal.value, str):
            raise ValueError
        time = datetime.fromisoformat(literal.value)
    except ValueError:
        raise fail(
            f"{left} holds times, and {literal} is none: write '2024-01-31' or '2024-01-31 12:00:00' (UTC)",
            literal.position,
        ) from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _values(kind: ValueKind | None) -> str:
    names = {
        ValueKind.NUMBER: "numbers",
        ValueKind.TEXT: "text",
        ValueKind.TIME: "times",
        ValueKind.BOOLEAN: "TRUE and FALSE",
    }
    return names.get(kind or ValueKind.OTHER, "values of another kind")
