"""Text becomes a tree, or a QueryError that points at the fault."""

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gnnscale.query import parse
from gnnscale.query.syntax.parser import FUNCTIONS
from gnnscale.query.syntax.tree import (
    Aggregation,
    ColumnName,
    Comparison,
    Condition,
    Entities,
    Junction,
    Literal,
    Negation,
    aggregations,
)
from gnnscale.query.window import UNITS, Window
from gnnscale.schema import QueryError

SAMPLE = "PREDICT LIST_DISTINCT(transactions.product_id, 0, 7, days) RANK TOP 25 FOR EACH households.household_id"
WHOLE = """PREDICT SUM(orders.amount WHERE orders.channel = 'web', 0, 3, months) FORECAST 4 TIMEFRAMES
FOR users.user_id IN ('a', 'b') WHERE COUNT(orders.*, -INF, 0) > 2 ASSUMING NOT EXISTS(visits.*, 0, 1)"""


def plain(node: Any) -> Any:
    """A tree without positions, as nested tuples."""
    if isinstance(node, ColumnName):
        return str(node)
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Aggregation):
        window = (node.window.start, node.window.end, node.window.unit) if node.window else None
        return (node.function, plain(node.argument), plain(node.where), window)
    if isinstance(node, Comparison):
        operator = f"NOT {node.operator}" if node.negated else node.operator
        return (plain(node.left), operator, *map(plain, node.values))
    if isinstance(node, Junction):
        return (node.operator, *map(plain, node.parts))
    if isinstance(node, Negation):
        return ("NOT", plain(node.part))
    if isinstance(node, Entities):
        return (plain(node.column), node.keys and [plain(key) for key in node.keys])
    return node


def shape(text: str) -> tuple:
    tree = parse(text)
    clauses = (tree.target, tree.frames, tree.form, tree.top, tree.entities, tree.where, tree.assuming)
    return tuple(map(plain, clauses))


def target(text: str) -> Any:
    return parse(f"PREDICT {text} FOR EACH c.d").target


def condition(text: str) -> Condition:
    where = parse(f"PREDICT c.x FOR EACH c.d WHERE {text}").where
    assert where is not None
    return where


def test_the_sample_query_is_read():
    listed = ("LIST_DISTINCT", "transactions.product_id", None, (0, 7, "days"))
    assert shape(SAMPLE) == (listed, None, "RANK", 25, ("households.household_id", None), None, None)


def test_every_clause_is_read():
    assert shape(WHOLE) == (
        ("SUM", "orders.amount", ("orders.channel", "=", "web"), (0, 3, "months")),
        4,
        None,
        None,
        ("users.user_id", ["a", "b"]),
        (("COUNT", "orders.*", None, (None, 0, "days")), ">", 2),
        ("NOT", (("COUNT", "visits.*", None, (0, 1, "days")), ">", 0)),
    )
    assert shape(WHOLE + " ;") == shape(WHOLE)


def test_every_part_keeps_its_place():
    tree = parse(WHOLE)
    assert isinstance(tree.target, Aggregation) and isinstance(tree.target.argument, ColumnName)
    assert isinstance(tree.target.where, Comparison) and isinstance(tree.where, Comparison)
    assert tree.target.window is not None and tree.entities.keys is not None
    places = {
        tree.target.position: "SUM(",
        tree.target.argument.position: "orders.amount WHERE",
        tree.target.argument.column_position: "amount WHERE",
        tree.target.where.position: "= 'web'",
        tree.target.where.values[0].position: "'web'",
        tree.target.window.position: "0, 3",
        tree.positions["FORECAST"]: "4 TIME",
        tree.entities.column.position: "users.user_id IN",
        tree.entities.keys[1].position: "'b'",
        tree.positions["WHERE"]: "WHERE COUNT",
        tree.where.position: "> 2",
        tree.positions["ASSUMING"]: "ASSUMING",
    }
    for position, word in places.items():
        assert WHOLE[position:].startswith(word)
    ranked = parse(SAMPLE)
    assert SAMPLE[ranked.positions["RANK"] :].startswith("RANK")
    assert SAMPLE[ranked.positions["TOP"] :].startswith("TOP")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_aggregation_is_read_with_and_without_a_window(function):
    assert plain(target(f"{function.lower()}(a.b, -1, 2)")) == (function, "a.b", None, (-1, 2, "days"))
    assert plain(target(f"{function} ( a.b )")) == (function, "a.b", None, None)


@pytest.mark.parametrize("unit", UNITS)
def test_windows_keep_their_unit_also_in_the_singular(unit):
    for word in (unit.upper(), unit[:-1], unit.title()):
        assert target(f"COUNT(a.*, -2, 5, {word})").window == Window(-2, 5, unit)


def test_the_unit_is_days_where_none_is_given():
    assert target("COUNT(a.*, +1, 3)").window == Window(1, 3, "days")


@pytest.mark.parametrize("word", ["-INF", "-inf", "- INF", "-Infinity", "-INFINITY"])
def test_a_window_may_start_at_minus_infinity(word):
    assert target(f"COUNT(a.*, {word}, 0, weeks)").window == Window(None, 0, "weeks")


CONDITIONS = {
    "a.b = 1": ("a.b", "=", 1),
    "a.b == 1": ("a.b", "=", 1),
    "a.b <> -1.5": ("a.b", "!=", -1.5),
    "a.b != 1e3": ("a.b", "!=", 1000.0),
    "a.b<+3": ("a.b", "<", 3),
    "a.b <= .5": ("a.b", "<=", 0.5),
    "a.b >= 2024-01-31": ("a.b", ">=", "2024-01-31"),
    "a.b = true": ("a.b", "=", True),
    "a.b = FALSE": ("a.b", "=", False),
    "a.b = 'it''s'": ("a.b", "=", "it's"),
    'a.b = "DE"': ("a.b", "=", "DE"),
    "a.b = ''": ("a.b", "=", ""),
    "a.b in (1, 'x')": ("a.b", "IN", 1, "x"),
    "a.b NOT IN ('x')": ("a.b", "NOT IN", "x"),
    "a.b LIKE '%x'": ("a.b", "LIKE", "%x"),
    "a.b not like '%x'": ("a.b", "NOT LIKE", "%x"),
    "a.b CONTAINS 'x'": ("a.b", "CONTAINS", "x"),
    "a.b NOT CONTAINS 'x'": ("a.b", "NOT CONTAINS", "x"),
    "a.b starts  with 'x'": ("a.b", "STARTS WITH", "x"),
    "a.b NOT ENDS WITH 'x'": ("a.b", "NOT ENDS WITH", "x"),
    "a.b IS NULL": ("a.b", "IS NULL"),
    "a.b is not null": ("a.b", "NOT IS NULL"),
    "a.b": "a.b",
    "NOT a.b": ("NOT", "a.b"),
    "EXISTS(f.*, -7, 0)": (("COUNT", "f.*", None, (-7, 0, "days")), ">", 0),
    "SUM(f.x WHERE f.y IS NULL, -7, 0) > 3": (("SUM", "f.x", ("f.y", "IS NULL"), (-7, 0, "days")), ">", 3),
    "COUNT(f.* WHERE f.x = 1 OR f.y = 2) = 0": (
        ("COUNT", "f.*", ("OR", ("f.x", "=", 1), ("f.y", "=", 2)), None),
        "=",
        0,
    ),
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_every_comparison_is_read(text):
    assert plain(condition(text)) == CONDITIONS[text]


def test_and_binds_closer_than_or_and_not_closer_still():
    a, b, c = (("t.a", "=", 1), ("t.b", "=", 2), ("t.c", "=", 3))
    texts = {
        "t.a = 1 OR t.b = 2 AND t.c = 3": ("OR", a, ("AND", b, c)),
        "(t.a = 1 OR t.b = 2) AND t.c = 3": ("AND", ("OR", a, b), c),
        "NOT t.a = 1 AND t.b = 2": ("AND", ("NOT", a), b),
        "NOT (t.a = 1 AND t.b = 2)": ("NOT", ("AND", a, b)),
        "NOT NOT t.a = 1": ("NOT", ("NOT", a)),
        "t.a = 1 AND t.b = 2 AND t.c = 3": ("AND", a, b, c),
        "((t.a = 1))": a,
    }
    for text, expected in texts.items():
        assert plain(condition(text)) == expected


def test_aggregations_come_in_order_and_not_from_inside_others():
    found = aggregations(condition("COUNT(f.*, -1, 0) > 1 AND (NOT SUM(g.x WHERE g.y > 1, -2, 0) = 3 OR t.c = 1)"))
    assert [(a.function, a.window and a.window.start) for a in found] == [("COUNT", -1), ("SUM", -2)]
    assert list(aggregations(None)) == []


@pytest.mark.parametrize("change", [str.lower, str.title, str.swapcase])
def test_keywords_are_read_in_any_case(change):
    words = r"PREDICT|SUM|FORECAST|TIMEFRAMES|FOR|WHERE|COUNT|ASSUMING|NOT|EXISTS|months|IN|INF"
    text = re.sub(rf"\b({words})\b", lambda word: change(word[0]), WHOLE)
    assert text != WHOLE and shape(text) == shape(WHOLE)


def test_comments_and_line_breaks_do_not_count():
    text = """-- what is asked
    PREDICT /* in a
    block */ LIST_DISTINCT(transactions.product_id, 0, -- start, end
      7, days)
    RANK TOP 25 FOR EACH households.household_id -- end"""
    assert shape(text) == shape(SAMPLE)


def test_quoted_names_keep_what_is_between_the_quotes():
    tree = parse('PREDICT COUNT("my table"."a--b.c", 0, 1) FOR EACH `for`."say ""hi"""')
    assert isinstance(tree.target, Aggregation) and isinstance(tree.target.argument, ColumnName)
    assert (tree.target.argument.table, tree.target.argument.column) == ("my table", "a--b.c")
    assert (tree.entities.column.table, tree.entities.column.column) == ("for", 'say "hi"')


@pytest.mark.parametrize("name", ["rank.top", "each.predict", "days.inf", "top.assuming", "forecast.with", "größe.ä"])
def test_keywords_can_be_names_where_only_a_name_can_stand(name):
    assert plain(target(f"COUNT({name}, 0, 1)"))[1] == name


@pytest.mark.parametrize(
    ("clause", "keys"),
    [
        ("FOR EACH c.d", None),
        ("FOR c.d = 5", [5]),
        ("FOR c.d == 'x'", ["x"]),
        ("FOR c.d IN (1, 2, 1)", [1, 2, 1]),
    ],
)
def test_entities_are_all_one_or_several(clause, keys):
    found = parse(f"PREDICT c.x {clause}").entities
    assert plain(found) == ("c.d", keys)


def test_forms_are_read():
    assert shape("PREDICT FIRST(a.b, 0, 1) CLASSIFY FOR EACH c.d")[2:4] == ("CLASSIFY", None)
    assert shape("PREDICT FIRST(a.b, 0, 1) classify top 3 FOR EACH c.d")[2:4] == ("CLASSIFY", 3)
    assert shape("PREDICT FIRST(a.b, 0, 1) RANK FOR EACH c.d")[2:4] == ("RANK", None)
    assert shape("PREDICT FIRST(a.b, 0, 1) TOP 3 FOR EACH c.d")[2:4] == (None, 3)


END = "FOR EACH c.d"
FAULTS = {
    "nothing": ("", "", "ends here"),
    "blank": ("  ", "", "ends here"),
    "cut after PREDICT": ("PREDICT", "", "a name"),
    "cut in target": ("PREDICT LIST_DISTINCT(a.b", "", "','"),
    "cut before entity": (f"PREDICT COUNT(a.b, 0, 1) {END[:8]}", "", "a name"),
    "cut after dot": ("PREDICT COUNT(a.b, 0, 1) FOR EACH c.", "", "a name"),
    "misspelt keyword": (f"PREDICT COUNT(a.b, 0, 1) RNAK TOP 1 {END}", "RNAK", "Did you mean 'RANK'"),
    "misspelt function": (f"PREDICT CUONT(a.b, 0, 1) {END}", "CUONT", "Did you mean 'COUNT'"),
    "no such function": (f"PREDICT MEDIAN(a.b, 0, 1) {END}", "MEDIAN", "unknown aggregation 'MEDIAN'"),
    "no table": (f"PREDICT COUNT(b, 0, 1) {END}", ", 0", r"'\.'"),
    "word for number": (f"PREDICT COUNT(a.b, zero, 1) {END}", "zero", "a number"),
    "fraction as start": (f"PREDICT COUNT(a.b, 0.5, 1) {END}", "0.5", "start is a whole number"),
    "fraction as end": (f"PREDICT COUNT(a.b, 0, 1.5) {END}", "1.5", "end is a whole number"),
    "end at minus infinity": (f"PREDICT COUNT(a.b, 0, -INF) {END}", "-INF", "only its start may be -INF"),
    "plus infinity": (f"PREDICT COUNT(a.b, 0, INF) {END}", "INF", "a number"),
    "unit": (f"PREDICT COUNT(a.b, 0, 1, dasy) {END}", "dasy", "Did you mean 'days'"),
    "far unit": (f"PREDICT COUNT(a.b, 0, 1, fortnights) {END}", "fortnights", "Known: days, hours"),
    "years": (f"PREDICT COUNT(a.b, 0, 1, years) {END}", "years", "unknown unit 'years'"),
    "start after end": (f"PREDICT COUNT(a.b, 7, 0) {END}", "7, 0", "start must be before end"),
    "start is end": (f"PREDICT COUNT(a.b, 7, 7) {END}", "7, 7", "start must be before end"),
    "top 0": (f"PREDICT FIRST(a.b, 0, 7) RANK TOP 0 {END}", "0 FOR", "at least 1"),
    "negative top": (f"PREDICT FIRST(a.b, 0, 7) RANK TOP -1 {END}", "-1", "at least 1"),
    "half a top": (f"PREDICT FIRST(a.b, 0, 7) RANK TOP 2.5 {END}", "2.5", "a whole number"),
    "huge top": (f"PREDICT FIRST(a.b, 0, 7) RANK TOP 99999999999 {END}", "9999999", "too large"),
    "huge end": (f"PREDICT COUNT(a.b, 0, 1000000001) {END}", "1000000001", "too large"),
    "huge digits": (f"PREDICT COUNT(a.b, 0, {'9' * 9000}) {END}", "9999", "too large"),
    "no frames": (f"PREDICT COUNT(a.b, 0, 1) FORECAST 0 TIMEFRAMES {END}", "0 TIME", "1 to 1,000"),
    "too many frames": (f"PREDICT COUNT(a.b, 0, 1) FORECAST 1001 TIMEFRAMES {END}", "1001", "1 to 1,000"),
    "equals NULL": (f"PREDICT c.x {END} WHERE c.y = NULL", "NULL", "write IS NULL"),
    "NULL in a list": (f"PREDICT c.x {END} WHERE c.y IN (1, NULL)", "NULL", "write IS NULL"),
    "half a comparison": (f"PREDICT c.x {END} WHERE c.y >", "", "a constant"),
    "a value and a value": (f"PREDICT c.x {END} WHERE c.y = c.z", "c.z", "a constant"),
    "a number too large": (f"PREDICT c.x {END} WHERE c.y = 1e999", "1e999", "too large a number"),
    "clauses in another order": (f"PREDICT c.x {END} ASSUMING c.y = 1 WHERE c.y = 1", "WHERE", "unexpected 'WHERE'"),
    "more": (f"PREDICT COUNT(a.b, 0, 7) {END}, e", ", e", "the end of the query"),
    "open comment": (f"PREDICT COUNT(a.b, 0, 7) /* RANK TOP 1 {END}", "/*", "no closing"),
    "open quote": (f"PREDICT c.x {END} WHERE c.y = 'x", "'x", "no closing '"),
    "other script": (f"PREDICT COUNT(a.b, 0, \u0967) {END}", "\u0967", "a number"),
}


@pytest.mark.parametrize(("text", "place", "says"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_place(text, place, says):
    with pytest.raises(QueryError, match=says) as caught:
        parse(text)
    expected = text.index(place) if place else len(text)
    assert caught.value.position == expected
    assert (caught.value.line, caught.value.column) == (1, expected + 1)
    if text.strip():
        shown, caret = str(caught.value).split("\n")[-2:]
        under = text[expected:].split("\n")[0]
        found = shown[caret.index("^") :]
        assert under.startswith(found) and bool(found) == bool(under)


def test_a_fault_on_a_later_line_is_told_there():
    with pytest.raises(QueryError) as caught:
        parse("PREDICT LIST_DISTINCT(a.b, 0, 7)\n  RANK TOP 0\nFOR EACH c.d")
    assert (caught.value.line, caught.value.column) == (2, 12)
    assert str(caught.value).split("\n")[1:] == ["    RANK TOP 0", "             ^"]


@pytest.mark.parametrize("text", ["(" * 100_000, "/*" * 50_000, '"' * 100_000, "PREDICT " * 12_500, "-" * 100_000])
def test_a_hundred_kilobytes_of_nonsense_is_a_query_error(text):
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert len(str(caught.value)) < 1_000


def test_text_that_is_too_long_is_refused_whole():
    with pytest.raises(QueryError, match="100,001 characters; at most 100,000"):
        parse("(" * 100_001)


def test_conditions_may_be_as_deep_and_as_many_as_is_said_and_no_more():
    condition("NOT " * 49 + "t.a = 1")
    with pytest.raises(QueryError, match="more than 50 levels deep"):
        condition("NOT " * 50 + "t.a = 1")
    condition(" OR ".join(["t.a = 1"] * 500))
    with pytest.raises(QueryError, match="OR joins 501 conditions; at most 500"):
        condition(" OR ".join(["t.a = 1"] * 501))
    condition(f"t.a IN ({', '.join(['1'] * 10_000)})")
    with pytest.raises(QueryError, match="IN takes at most 10,000 constants, not 10,001"):
        condition(f"t.a IN ({', '.join(['1'] * 10_001)})")


def read_or_query_error(text: str) -> None:
    with suppress(QueryError):
        parse(text)
        return
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert 0 <= error.position <= len(text) and error.line >= 1 and error.column >= 1
    assert not text or "^" in str(error).split("\n")[-1]


@given(st.text(max_size=200))
@example("\x00")
@example('"')
@example('"".""')
def test_arbitrary_text_raises_nothing_but_a_query_error(text):
    read_or_query_error(text)


pieces = st.one_of(st.text(max_size=5), st.sampled_from([*WHOLE.split(), "(", ")", ",", ".", "0", "-1", '"', "/*"]))


@given(st.sampled_from([SAMPLE, WHOLE]), st.integers(0, len(WHOLE)), st.integers(0, 12), pieces)
def test_a_mutated_query_raises_nothing_but_a_query_error(text, start, length, piece):
    read_or_query_error(text[:start] + piece + text[start + length :])


@given(st.integers(0, len(SAMPLE) - 20))
def test_a_query_that_is_cut_off_says_that_it_ends(length):
    with pytest.raises(QueryError):
        parse(SAMPLE[:length])


@given(st.integers(-600, 600), st.integers(1, 600), st.sampled_from(UNITS))
def test_every_window_that_is_read_is_the_one_that_was_written(start, length, unit):
    end = start + length
    assert target(f"COUNT(a.b, {start}, {end}, {unit})").window == Window(start, end, unit)


@given(st.text(max_size=30).filter(lambda text: "\n" not in text))
def test_every_constant_and_name_that_is_read_is_the_one_that_was_written(text):
    quoted = text.replace("'", "''")
    assert condition(f"t.a = '{quoted}'").values[0].value == text
    if text:
        name = text.replace('"', '""')
        assert condition(f't."{name}" = 1').left.column == text
