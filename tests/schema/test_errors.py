"""Errors lead from what was given to what was meant."""

import pytest

from gnnscale.schema import ConfigError, DataError, GnnscaleError, LakeError, QueryError, SchemaError
from gnnscale.schema.errors import nearest


@pytest.mark.parametrize("kind", [ConfigError, DataError, LakeError, QueryError, SchemaError])
def test_every_error_is_a_gnnscale_error_and_a_value_error(kind):
    assert issubclass(kind, GnnscaleError) and issubclass(kind, ValueError)


def test_nearest_names_a_close_one_else_all():
    assert nearest("custmer", ["customer", "product"]) == " Did you mean 'customer'?"
    assert nearest("zzz", ["b", "a"]) == " Known: a, b."
    assert nearest("zzz", []) == ""


@pytest.mark.parametrize(
    ("position", "line", "column"), [(0, 1, 1), (2, 1, 3), (3, 1, 4), (4, 2, 1), (6, 2, 3), (99, 2, 4), (-5, 1, 1)]
)
def test_a_position_becomes_line_and_column(position, line, column):
    error = QueryError("no", "abc\ndef", position)
    assert (error.line, error.column) == (line, column)
    shown, caret = str(error).splitlines()[1:]
    assert shown == "  " + ["abc", "def"][line - 1]
    assert caret.index("^") == 2 + column - 1


def test_the_caret_stays_under_the_place_in_a_long_line():
    text = "x" * 500 + "!" + "y" * 500
    shown, caret = str(QueryError("no", text, 500)).splitlines()[1:]
    assert shown[caret.index("^")] == "!" and len(shown) <= 102


@pytest.mark.parametrize("separator", ["\x0c", "\u2028", "\r", "\x85"])
def test_only_line_feeds_end_a_line(separator):
    error = QueryError("no", f"abc{separator}d!f", 5)
    assert (error.line, error.column) == (1, 6)
    shown, caret = str(error).split("\n")[1:]
    assert shown[caret.index("^")] == "!"
