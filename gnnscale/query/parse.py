"""Text to syntax tree."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

from gnnscale.query.tree import UNIT_SECONDS, Aggregation, ColumnName, QueryTree, Window
from gnnscale.schema.errors import QueryError, nearest

MAX_LENGTH = 100_000
MAX_INTEGER = 10**9

_WORDS = {
    "NAME": "a name",
    "COUNT": "a whole number",
    "SIGNED_INT": "a whole number",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "DOT": "'.'",
    "$END": "the end of the query",
}


def parse(text: str) -> QueryTree:
    """Read a predictive query.

    Args:
        text: the query, at most 100,000 characters.

    Returns:
        Its syntax tree; names are not checked against any graph yet.

    Raises:
        QueryError: with line, column and a caret under the place.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        position = error.token.start_pos if error.token.type != "$END" else len(text)
        found = "the query ends here" if error.token.type == "$END" else f"unexpected '{error.token}'"
        raise QueryError(f"{found}; expected {_expected(error.expected)}", text, position or 0) from None
    except UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        message = f"unexpected '{text[position]}'; expected {_expected(error.allowed or set())}"
        raise QueryError(message, text, position) from None
    except UnexpectedEOF as error:
        raise QueryError(f"the query ends here; expected {_expected(error.expected)}", text, len(text)) from None
    return _Builder(text).build(tree)


@cache
def _parser() -> Lark:
    grammar = files("gnnscale.query").joinpath("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", maybe_placeholders=True, propagate_positions=True)


def _expected(terminals: Any) -> str:
    words = sorted(_WORDS.get(name, name) for name in terminals)
    return " or ".join(words) if words else "something else"


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text

    def build(self, tree: Any) -> QueryTree:
        target, top, entity = self._children(tree)
        return QueryTree(target, top, entity)

    def _children(self, tree: Any) -> list[Any]:
        return [getattr(self, child.data)(child) for child in tree.children]

    def column(self, tree: Any) -> ColumnName:
        table, column = tree.children
        return ColumnName(table.strip('"'), column.strip('"'), table.start_pos, column.start_pos)

    def rank(self, tree: Any) -> int:
        count = self._integer(tree.children[0])
        if count < 1:
            raise QueryError("TOP needs at least 1", self.text, tree.children[0].start_pos)
        return count

    def target(self, tree: Any) -> Aggregation:
        column, start, end, unit = tree.children
        seconds = UNIT_SECONDS["days"] if unit is None else self._unit(unit.children[0])
        start_token, end_token = start.children[0], end.children[0]
        window = Window(self._integer(start_token) * seconds, self._integer(end_token) * seconds, start_token.start_pos)
        if window.start >= window.end:
            raise QueryError(
                f"the window starts at {start_token} and ends at {end_token}: start must be before end",
                self.text,
                window.position,
            )
        return Aggregation("LIST_DISTINCT", self.column(column), window, tree.meta.start_pos)

    def _unit(self, token: Token) -> int:
        name = token.lower()
        if name not in UNIT_SECONDS:
            raise QueryError(f"unknown unit '{token}'.{nearest(name, UNIT_SECONDS)}", self.text, token.start_pos or 0)
        return UNIT_SECONDS[name]

    def _integer(self, token: Token) -> int:
        if len(token) > 10 or abs(int(token)) > MAX_INTEGER:
            raise QueryError(f"{token[:12]} is too large; at most {MAX_INTEGER:,}", self.text, token.start_pos or 0)
        return int(token)
