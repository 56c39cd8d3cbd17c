"""No text makes the language raise anything but a QueryError, or take long."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import plan_anchors
from gnnscale.schema import DataError, QueryError
from tests.query_labels import cases_aggregates, cases_conditions, cases_inner_where, cases_population, cases_tasks
from tests.query_labels.declared import COLUMNS, declared_graph

LIMIT = timedelta(seconds=5)
QUERIES = [
    case.text
    for module in (cases_aggregates, cases_conditions, cases_inner_where, cases_population, cases_tasks)
    for case in module.CASES
]
SAID = """
PREDICT FOR EACH FORECAST TIMEFRAMES CLASSIFY RANK TOP WHERE ASSUMING AND OR NOT IN LIKE CONTAINS STARTS ENDS WITH IS
NULL TRUE FALSE DATE SUM AVG MIN MAX COUNT COUNT_DISTINCT FIRST LAST LIST_DISTINCT EXISTS INF -INF days months weeks
( ) , . * = != < <= > >= - + -- /* */ ' " 0 7 -7 28 1.5 1e9 99999999999 '%a%' 'web' '2024-01-31' "DE" ; § \u0967
"""
WORDS = [*re.findall(r"\S+", SAID), "\0", "\n", "users.*", "orders.*"]
NAMES = [*COLUMNS, *(f"{table}.{column}" for table, columns in COLUMNS.items() for column in columns)]
UNITS = ["seconds", "minutes", "hours", "days", "weeks", "months"]
OPENING = 1_704_067_200  # 2024-01-01
GRAPH = declared_graph()
tokens = st.one_of(st.sampled_from(WORDS), st.sampled_from(NAMES), st.text(max_size=3))


@contextmanager
def in_time() -> Iterator[None]:
    """Break off what hangs."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"not done after {LIMIT}")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LIMIT.total_seconds())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def bound_or_refused(text: str) -> bool:
    """Whether the query is bound; whatever else it is, it is a QueryError that has a place in the text."""
    try:
        with in_time():
            query = PredictiveQuery(GRAPH, text)
    except QueryError as refusal:
        error = refusal
    else:
        assert query.explain()
        return True
    assert 1 <= error.line <= text.count("\n") + 1 and error.column >= 1
    return False


@settings(deadline=LIMIT)
@given(st.text(max_size=300))
def test_any_text(text):
    bound_or_refused(text)


@settings(deadline=LIMIT)
@given(st.lists(tokens, max_size=40))
def test_any_words(words):
    bound_or_refused(" ".join(words))


@settings(deadline=LIMIT)
@given(st.lists(tokens, max_size=25), st.sampled_from(["target", "where", "fact", "end"]))
def test_any_words_in_a_place_of_a_query(words, place):
    said = dict.fromkeys(["target", "where", "fact", "end"], "")
    said |= {"target": "COUNT(orders.*, 0, 7)", "where": "users.age > 3", "fact": "orders.amount > 3"}
    said[place] = " ".join(words)
    bound_or_refused(
        f"PREDICT {said['target']} FOR EACH users.user_id "
        f"WHERE {said['where']} AND EXISTS(orders.* WHERE {said['fact']}, -7, 0) {said['end']}"
    )


@settings(deadline=LIMIT, max_examples=300)
@given(st.data())
def test_a_query_with_pieces_cut_doubled_swapped_and_put_in(data):
    text = data.draw(st.sampled_from(QUERIES))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        piece = text[start:end]
        other = data.draw(st.one_of(tokens, st.just(piece + piece), st.just(piece[::-1]), st.just(piece.swapcase())))
        text = text[:start] + other + text[end:]
    bound_or_refused(text)


@settings(deadline=LIMIT)
@given(st.sampled_from(QUERIES), st.data())
def test_a_query_cut_anywhere(text, data):
    bound_or_refused(text[: data.draw(st.integers(0, len(text)))])


@settings(deadline=LIMIT)
@given(st.sampled_from(QUERIES), st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_any_numbers(text, start, end):
    bound_or_refused(
        text.replace("0, 28", f"{start}, {end}").replace("0, 7", f"{start}, {end}").replace("TOP 3", f"TOP {end}")
    )


@settings(deadline=LIMIT)
@given(st.text(max_size=50), st.sampled_from(["=", "LIKE", "CONTAINS", "ENDS WITH", "IN"]))
def test_any_constant(text, operator):
    value = f"""('{text.replace("'", "")}')""" if operator == "IN" else f"""'{text.replace("'", "")}'"""
    bound_or_refused(f"PREDICT users.age FOR EACH users.user_id WHERE users.country {operator} {value}")
    bound_or_refused(f"PREDICT users.age FOR EACH users.user_id WHERE users.joined >= {value}")


sizes = st.one_of(st.integers(0, 400), st.integers(0, 10**9), st.sampled_from([10**4, 10**5, 10**6, 10**9]))


@settings(deadline=LIMIT)
@given(sizes, sizes, st.sampled_from(UNITS), st.sampled_from([None, 1, 7]), st.booleans(), st.integers(0, 400))
@example(0, 10**9, "months", None, False, 120)
@example(0, 10**9, "months", 1, True, 120)
@example(0, 10**9, "days", 1, True, 120)
@example(0, 10**9, "weeks", None, True, 120)
@example(0, 5, "seconds", None, False, 400)
def test_anchors_of_any_window_are_planned_or_refused(start, length, unit, step, tested, days):
    text = f"PREDICT COUNT(orders.*, {start}, {start + length}, {unit}) FOR EACH users.user_id"
    with suppress(QueryError, DataError), in_time():
        query = PredictiveQuery(GRAPH, text)
        test = datetime(2024, 3, 1) if tested else None
        plan = plan_anchors(query.horizon, (OPENING, OPENING + days * 86_400), test=test, step_days=step)
        assert plan.train and plan.train[-1] < plan.validation < plan.test <= plan.latest


def test_every_query_of_the_cases_is_bound():
    assert [text for text in QUERIES if not bound_or_refused(text)] == []


LENGTH = 100_000
HEAD, TAIL = "PREDICT ", " FOR EACH users.user_id"
AGE = "users.age > 3"


def filled(before: str, piece: str, after: str, repeats: int | None = None) -> str:
    """``piece`` as often as fits into the longest query that is read."""
    room = LENGTH - len(before) - len(after)
    return before + piece * (repeats or room // len(piece)) + after


def nested(opening: str, inner: str, closing: str, before: str = HEAD, after: str = TAIL) -> str:
    """``inner`` in as many pairs as fit."""
    depth = (LENGTH - len(before + inner + after)) // len(opening + closing)
    return before + opening * depth + inner + closing * depth + after


LONG = {
    "opening parentheses": "(" * LENGTH,
    "closing parentheses": ")" * LENGTH,
    "opening parentheses after PREDICT": filled(HEAD, "(", ""),
    "pairs of parentheses": nested("(", AGE, ")"),
    "parentheses one too many": nested("(", AGE, ")").replace(AGE, "(" + AGE),
    "parentheses in WHERE": nested("(", AGE, ")", before=f"PREDICT users.country{TAIL} WHERE ", after=""),
    "parentheses in an aggregate": nested("COUNT(", "orders.*", ")"),
    "parentheses around facts": nested(
        "(", "orders.amount > 3", ")", before="PREDICT COUNT(orders.* WHERE ", after=f", 0, 7){TAIL}"
    ),
    "NOT": filled(HEAD, "NOT ", AGE + TAIL),
    "NOT and nothing": filled(HEAD, "NOT ", ""),
    "NOT and parentheses": nested("NOT (", AGE, ")"),
    "NOT in WHERE": filled(f"PREDICT users.country{TAIL} WHERE ", "NOT ", AGE),
    "AND": filled(HEAD, f"{AGE} AND ", AGE + TAIL),
    "OR": filled(HEAD, f"{AGE} OR ", AGE + TAIL),
    "AND and OR": filled(HEAD, f"{AGE} AND {AGE} OR ", AGE + TAIL),
    "AND of aggregates": filled(HEAD, "COUNT(orders.*, 0, 7) > 0 AND ", "COUNT(orders.*, 0, 7) > 0" + TAIL),
    "AND of as many windows": HEAD + " AND ".join(f"COUNT(orders.*, 0, {i}) > 0" for i in range(1, 3_000)) + TAIL,
    "AND in WHERE": filled(f"PREDICT users.country{TAIL} WHERE ", f"{AGE} AND ", AGE),
    "AND in parentheses to the right": nested(f"({AGE} AND ", AGE, ")"),
    "AND in parentheses to the left": nested("(", AGE, f" AND {AGE})"),
    "AND alone": filled(HEAD, "AND ", ""),
    "WHERE inside WHERE": nested("COUNT(orders.* WHERE ", "orders.amount > 3", ", 0, 7) > 0"),
    "IN many": filled(f"PREDICT users.country{TAIL} WHERE users.country IN (", "'DE', ", "'FR')"),
    "IN many numbers": filled(f"PREDICT users.country{TAIL} WHERE users.age IN (", "1,", "2)"),
    "FOR IN many": filled("PREDICT users.age FOR users.user_id IN (", "'u01',", "'u02')"),
    "commas": filled("PREDICT users.age FOR users.user_id IN (", ",", ")"),
    "wildcards": filled(f"PREDICT users.age{TAIL} WHERE users.country LIKE '", "%", "'"),
    "wildcards and letters": filled(f"PREDICT users.age{TAIL} WHERE users.country LIKE '", "%a", "%b'"),
    "a constant": filled(f"PREDICT users.age{TAIL} WHERE users.country = '", "x", "'"),
    "a constant of digits": filled(f"PREDICT users.age{TAIL} WHERE users.age = ", "9", ""),
    "a constant of zeros": filled(f"PREDICT users.age{TAIL} WHERE users.age = 1", "0", ""),
    "a fraction": filled(f"PREDICT users.age{TAIL} WHERE users.age = 0.", "1", ""),
    "a name": filled(HEAD, "a", ".b" + TAIL),
    "a quoted name": filled(HEAD + '"', "a b ", '".b' + TAIL),
    "points": filled(HEAD, "a.", "b" + TAIL),
    "quotes": filled(HEAD, "'", TAIL),
    "double quotes": filled(HEAD, '"', TAIL),
    "quotes of both kinds": filled(HEAD, "\"'", TAIL),
    "comments": filled(HEAD, "/**/", AGE + TAIL),
    "openings of a comment": filled(HEAD, "/*", AGE + TAIL),
    "stars": filled(HEAD + "/", "*", AGE + TAIL),
    "dashes": filled(HEAD, "-", AGE + TAIL),
    "lines of comments": filled(HEAD, "--\n", AGE + TAIL),
    "lines": filled(HEAD, "\n", AGE + TAIL),
    "blanks": filled(HEAD, " ", AGE + TAIL),
    "blanks at the end": filled(HEAD + AGE + TAIL, " \t", ""),
    "PREDICT": filled("", "PREDICT ", ""),
    "IS NOT": filled(HEAD + "users.age ", "IS NOT ", "NULL" + TAIL),
    "signs": filled("PREDICT COUNT(orders.*, 0, ", "+", f"7){TAIL}"),
    "operators": filled(HEAD + "users.age ", "<", "3" + TAIL),
    "a sign more than is read": "(" * (LENGTH + 1),
    "control characters": "\0" * LENGTH,
    "halves of characters": "\ud800" * 1_000,
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_text_is_bound_or_refused_in_a_few_seconds(name):
    bound_or_refused(LONG[name])


def test_a_condition_of_a_sensible_size_is_bound():
    assert bound_or_refused(HEAD + "(" * 30 + AGE + ")" * 30 + TAIL)
    assert bound_or_refused(HEAD + " AND ".join([AGE] * 200) + TAIL)
    assert bound_or_refused(HEAD + "NOT " * 30 + AGE + TAIL)
