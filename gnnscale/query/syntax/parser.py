"""Text to syntax tree."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, v_args

from gnnscale.query.syntax.tree import (
    Aggregation,
    ByColumn,
    ColumnName,
    Comparison,
    Entities,
    Expression,
    Junction,
    Literal,
    Negation,
    QueryTree,
)
from gnnscale.query.window import UNITS, Window, shift
from gnnscale.schema import QueryError, nearest

MAX_LENGTH: Final = 100_000
MAX_INTEGER: Final = 10**9
MAX_DIGITS: Final = 38
"""Digits up to which a whole number is exact: as many as the longest decimals have."""
MAX_DEPTH: Final = 50
MAX_COMPARISONS: Final = 500
MAX_VALUES: Final = 10_000
MAX_FRAMES: Final = 1_000
MAX_YEARS: Final = 100
YEAR: Final = 365.25 * 86_400

FUNCTIONS: Final = ("SUM", "AVG", "MIN", "MAX", "COUNT", "COUNT_DISTINCT", "FIRST", "LAST", "LIST_DISTINCT")
SUGAR: Final = "EXISTS"

_WORDS: Final = {
    "NAME": "a name",
    "QUOTED": "a name",
    "BACKTICKED": "a name",
    "NUMBER": "a number",
    "MINUS_INF": "-INF",
    "STRING": "text in quotes",
    "DATE": "a date",
    "STAR": "'*'",
    "EQUAL": "'='",
    "COMPARE": "a comparison",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "DOT": "'.'",
    "SEMICOLON": "",
    "$END": "the end of the query",
}
_LITERALS: Final = {"NUMBER", "STRING", "QUOTED", "DATE", "TRUE", "FALSE", "NULL"}
_OPERATORS: Final = {"EQUAL", "COMPARE", "IN", "LIKE", "CONTAINS", "STARTS", "ENDS", "IS"}


def parse(text: str) -> QueryTree:
    """Read a predictive query.

    Args:
        text: the query, at most 100,000 characters.

    Returns:
        Its syntax tree; names are not checked against any graph yet.

    Raises:
        QueryError: with line, column and a caret under the position.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    try:
        tree: QueryTree = _parser().parse(text)  # type: ignore[assignment]
        return tree
    except _FaultError as fault:
        raise QueryError(fault.message, text, fault.position) from None
    except UnexpectedToken as error:
        ended = error.token.type == "$END"
        position = len(text) if ended else error.token.start_pos or 0
        found = "the query ends here" if ended else f"unexpected '{_short(error.token)}'"
        raise QueryError(_unexpected(found, error.token, error.accepts or error.expected), text, position) from None
    except UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        raise QueryError(_unreadable(text, position, error.allowed or set()), text, position) from None
    except UnexpectedEOF as error:
        raise QueryError(_unexpected("the query ends here", None, error.expected), text, len(text)) from None


@cache
def _parser() -> Lark:
    grammar = files("gnnscale.query.syntax").joinpath("grammar.lark").read_text()
    # The transformer runs while parsing, so that no depth of nesting makes Python recurse.
    return Lark(grammar, parser="lalr", maybe_placeholders=True, propagate_positions=True, transformer=_Builder())


class _FaultError(Exception):
    def __init__(self, message: str, position: int | None) -> None:
        super().__init__(message)
        self.message, self.position = message, position or 0


def _short(token: str) -> str:
    return token if len(token) <= 40 else token[:37] + "..."


def _unexpected(found: str, token: Token | None, expected: Any) -> str:
    names = set(expected)
    keywords = sorted(name for name in names if name.isalpha() and name not in _WORDS)
    if token is not None and token.upper() in ("EVERY", "ALL") and "EACH" in keywords:
        return f"{found}. Did you mean 'EACH'?"
    if token is not None and token.type == "NAME":
        # A misspelt keyword is the likeliest fault.
        close = nearest(token.upper(), keywords)
        if close.startswith(" Did you mean"):
            return f"{found}.{close}"
    words = []
    if names >= _LITERALS:
        words.append("a constant (a number, text in quotes, a date, TRUE or FALSE)")
        names -= _LITERALS
    if names >= _OPERATORS:
        words.append("a comparison (= != < <= > >= IN LIKE CONTAINS STARTS WITH ENDS WITH IS NULL)")
        names -= _OPERATORS | {"NOT"}
    if names == {"LPAR", "DOT"}:
        return f"{found}; expected '.' or '(': a column is written with its table, as in table.column"
    words += sorted({_WORDS.get(name, name) for name in names} - {""})
    return f"{found}; expected {' or '.join(words) or 'something else'}"


def _unreadable(text: str, position: int, allowed: Any) -> str:
    character = text[position]
    if character in "'\"`":
        return f"the text that starts with {character} has no closing {character} on its line"
    if text.startswith("/*", position):
        return "the comment that starts with /* has no closing */"
    return _unexpected(f"unexpected '{character}'", None, allowed)


@v_args(inline=True)
class _Builder(Transformer[Token, QueryTree]):
    """Makes the tree's nodes bottom up."""

    def start(self, target: Expression, frames: Any, form: Any, top: Any, entities: Entities, *rest: Any) -> QueryTree:
        where, assuming = rest[0], rest[1]
        positions = {name: clause[1] for name, clause in (("FORECAST", frames), ("TOP", top)) if clause}
        positions |= {str(form).upper(): form.start_pos or 0} if form else {}
        positions |= {name: clause[1] for name, clause in (("WHERE", where), ("ASSUMING", assuming)) if clause}
        return QueryTree(
            target,
            frames[0] if frames else None,
            str(form).upper() if form else None,
            top[0] if top else None,
            entities,
            where[0] if where else None,
            assuming[0] if assuming else None,
            positions,
        )

    def forecast(self, count: Token) -> tuple[int, int]:
        frames = _integer(count)
        if not 1 <= frames <= MAX_FRAMES:
            raise _FaultError(f"FORECAST takes 1 to {MAX_FRAMES:,} timeframes, not {count}", count.start_pos)
        return frames, count.start_pos or 0

    def form(self, word: Token) -> Token:
        return word

    def top(self, word: Token, count: Token) -> tuple[int, int]:
        number = _integer(count)
        if number < 1:
            raise _FaultError("TOP needs at least 1", count.start_pos)
        return number, word.start_pos or 0

    def each(self, column: ColumnName) -> Entities:
        return Entities(column)

    def one(self, column: ColumnName, _: Token, value: Literal) -> Entities:
        return Entities(column, (value,))

    def several(self, column: ColumnName, _: Token, values: tuple[Literal, ...]) -> Entities:
        return Entities(column, values)

    def where(self, word: Token, condition: Expression) -> tuple[Expression, int]:
        return condition, word.start_pos or 0

    inner_where = where
    assuming = where

    def disjunction(self, *parts: Expression) -> Expression:
        return _junction("OR", parts)

    def conjunction(self, *parts: Expression) -> Expression:
        return _junction("AND", parts)

    def negated(self, word: Token, part: Expression) -> Negation:
        return Negation(part, word.start_pos or 0, _deeper((part,), word.start_pos))

    def compared(self, left: Any, operator: Token, value: Literal) -> Comparison:
        symbol = {"==": "=", "<>": "!="}.get(str(operator), str(operator))
        return Comparison(_compared(left, operator), symbol, (_present(value),), False, operator.start_pos or 0)

    def member(self, left: Any, negated: Token | None, operator: Token, values: tuple[Literal, ...]) -> Comparison:
        checked = tuple(_present(value) for value in values)
        left = _compared(left, operator)
        return Comparison(left, "IN", checked, negated is not None, operator.start_pos or 0)

    def matched(self, left: Any, negated: Token | None, operator: Token, value: Literal) -> Comparison:
        word = str(operator).upper()
        symbol = f"{word} WITH" if word in ("STARTS", "ENDS") else word
        left = _compared(left, operator)
        return Comparison(left, symbol, (_present(value),), negated is not None, operator.start_pos or 0)

    def missing(self, left: Any, operator: Token, negated: Token | None) -> Comparison:
        left = _compared(left, operator)
        return Comparison(left, "IS NULL", (), negated is not None, operator.start_pos or 0)

    def by(self, column: Token) -> ByColumn:
        return ByColumn(_name(column), column.start_pos or 0)

    def aggregation(
        self, name: Token, argument: Any, by: ByColumn | None, where: Any, window: Window | None
    ) -> Expression:
        function = str(name).upper()
        position = name.start_pos or 0
        if function not in (*FUNCTIONS, SUGAR):
            close = nearest(function, (*FUNCTIONS, SUGAR))
            raise _FaultError(f"unknown aggregation '{_short(name)}'.{close}", position)
        counted = "COUNT" if function == SUGAR else function
        node = Aggregation(counted, argument, where[0] if where else None, window, position, by)
        return Comparison(node, ">", (Literal(0, position),), False, position) if function == SUGAR else node

    def window(self, start: Token, end: Token, unit: Token | None) -> Window:
        begin = None if start.type == "MINUS_INF" else _integer(start, "a window's start is a whole number or -INF")
        if end.type == "MINUS_INF":
            raise _FaultError("a window ends at a whole number; only its start may be -INF", end.start_pos)
        finish = _integer(end, "a window's end is a whole number")
        if begin is not None and begin >= finish:
            raise _FaultError(
                f"the window starts at {start} and ends at {end}: start must be before end", start.start_pos
            )
        name = _unit(unit)
        for bound, said in ((begin, start), (finish, end)):
            years = abs(shift(0, bound, name)) / YEAR if bound is not None else 0
            if years > MAX_YEARS:
                raise _FaultError(
                    f"{said} {name} are too long; windows reach {MAX_YEARS} years at most", said.start_pos
                )
        return Window(begin, finish, name, start.start_pos or 0)

    def bound(self, token: Token) -> Token:
        return token

    unit = bound
    name = bound

    def column(self, table: Token, column: Token) -> ColumnName:
        return ColumnName(_name(table), _name(column), table.start_pos or 0, column.start_pos or 0)

    def literals(self, *values: Literal) -> tuple[Literal, ...]:
        if len(values) > MAX_VALUES:
            raise _FaultError(f"IN takes at most {MAX_VALUES:,} constants, not {len(values):,}", values[0].position)
        return values

    def literal(self, token: Token) -> Literal:
        return Literal(_value(token), token.start_pos or 0)


def _junction(operator: str, parts: tuple[Expression, ...]) -> Junction:
    position = getattr(parts[0], "position", 0)
    if len(parts) > MAX_COMPARISONS:
        raise _FaultError(f"{operator} joins {len(parts):,} conditions; at most {MAX_COMPARISONS:,} are read", position)
    return Junction(operator, parts, position, _deeper(parts, position))


def _deeper(parts: tuple[Expression, ...], position: int | None) -> int:
    depth = 1 + max(getattr(part, "depth", 1) for part in parts)
    if depth > MAX_DEPTH:
        raise _FaultError(f"conditions are nested more than {MAX_DEPTH} levels deep", position)
    return depth


def _compared(left: Any, operator: Token) -> ColumnName | Aggregation:
    """The left side of a comparison, which is a value."""
    if isinstance(left, Comparison):
        raise _FaultError(
            f"{SUGAR} is true or false by itself, and is compared with nothing: leave {str(operator).upper()} and what "
            "follows it out, or count with COUNT",
            operator.start_pos or 0,
        )
    found: ColumnName | Aggregation = left
    return found


def _present(value: Literal) -> Literal:
    if value.value is None:
        raise _FaultError("nothing equals NULL: write IS NULL or IS NOT NULL", value.position)
    return value


def _name(token: Token) -> str:
    if token.type == "QUOTED":
        return token[1:-1].replace('""', '"')
    return token[1:-1] if token.type == "BACKTICKED" else str(token)


def _unit(token: Token | None) -> str:
    if token is None:
        return "days"
    name = token.lower()
    # One day or one month reads better in the singular.
    for unit in UNITS:
        if name in (unit, unit[:-1]):
            return unit
    raise _FaultError(f"unknown unit '{_short(token)}'.{nearest(name, UNITS)}", token.start_pos)


def _integer(token: Token, rule: str = "a whole number is wanted") -> int:
    if not token.lstrip("+-").isdigit():
        raise _FaultError(f"{rule}, not {_short(token)}", token.start_pos)
    if len(token.lstrip("+-")) > 10 or abs(int(token)) > MAX_INTEGER:
        raise _FaultError(f"{_short(token)} is too large; at most {MAX_INTEGER:,}", token.start_pos)
    return int(token)


def _value(token: Token) -> float | int | str | bool | None:
    if token.type == "NUMBER":
        number = float(token)
        if not math.isfinite(number):
            raise _FaultError(f"{_short(token)} is too large a number", token.start_pos)
        whole = token.lstrip("+-").isdigit() and len(token.lstrip("+-").lstrip("0")) <= MAX_DIGITS
        return int(token) if whole else number
    if token.type in ("TRUE", "FALSE", "NULL"):
        return {"TRUE": True, "FALSE": False, "NULL": None}[token.type]
    if token.type == "DATE":
        return str(token)
    quote = token[0]
    return token[1:-1].replace(2 * quote, quote)
