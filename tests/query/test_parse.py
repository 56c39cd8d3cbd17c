"""Text becomes a tree, or a QueryError that points at the fault."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gnnscale.query import parse
from gnnscale.query.tree import UNIT_SECONDS
from gnnscale.schema import QueryError

SAMPLE = "PREDICT LIST_DISTINCT(transactions.product_id, 0, 7, days) RANK TOP 25 FOR EACH households.household_id"
DAY = 86_400


def shape(text: str) -> tuple:
    tree = parse(text)
    return (str(tree.target.column), tree.target.window.start, tree.target.window.end, tree.top, str(tree.entity))


def test_the_sample_query_is_read():
    assert shape(SAMPLE) == ("transactions.product_id", 0, 7 * DAY, 25, "households.household_id")
    tree = parse(SAMPLE)
    assert tree.target.function == "LIST_DISTINCT"
    assert SAMPLE[tree.target.position :].startswith("LIST_DISTINCT")
    assert SAMPLE[tree.target.column.column_position :].startswith("product_id")
    assert SAMPLE[tree.target.window.position :].startswith("0, 7")
    assert SAMPLE[tree.entity.position :] == "households.household_id"


@pytest.mark.parametrize(("unit", "seconds"), UNIT_SECONDS.items())
def test_windows_are_in_seconds_of_their_unit(unit, seconds):
    window = parse(f"PREDICT LIST_DISTINCT(a.b, -2, 5, {unit.upper()}) RANK TOP 1 FOR EACH c.d").target.window
    assert (window.start, window.end, window.length) == (-2 * seconds, 5 * seconds, 7 * seconds)


def test_units_have_their_usual_lengths():
    assert UNIT_SECONDS == {"seconds": 1, "minutes": 60, "hours": 3600, "days": DAY, "weeks": 7 * DAY}


def test_the_unit_is_days_where_none_is_given():
    assert shape("PREDICT LIST_DISTINCT(a.b, +1, 3) RANK TOP 4 FOR EACH c.d") == ("a.b", DAY, 3 * DAY, 4, "c.d")


@pytest.mark.parametrize("change", [str.lower, str.title, str.swapcase])
def test_keywords_are_read_in_any_case(change):
    words = ["PREDICT", "LIST_DISTINCT", "RANK", "TOP", "FOR", "EACH", "days"]
    text = SAMPLE
    for word in words:
        text = text.replace(word, change(word))
    assert text != SAMPLE and shape(text) == shape(SAMPLE)


def test_comments_and_line_breaks_do_not_count():
    text = """-- what is asked
    PREDICT /* in a
    block */ LIST_DISTINCT(transactions.product_id, 0, -- start, end
      7, days)
    RANK TOP 25 FOR EACH households.household_id -- end"""
    assert shape(text) == shape(SAMPLE)


def test_quoted_names_keep_what_is_between_the_quotes():
    tree = parse('PREDICT LIST_DISTINCT("my table"."a--b.c", 0, 1) RANK TOP 1 FOR EACH "for"."each"')
    assert (tree.target.column.table, tree.target.column.column) == ("my table", "a--b.c")
    assert (tree.entity.table, tree.entity.column) == ("for", "each")


def test_keywords_can_be_names():
    assert shape("PREDICT LIST_DISTINCT(rank.top, 0, 1) RANK TOP 1 FOR EACH each.predict")[0] == "rank.top"


FAULTS = {
    "nothing": ("", "", "ends here"),
    "blank": ("  ", "", "ends here"),
    "cut after PREDICT": ("PREDICT", "", "LIST_DISTINCT"),
    "cut in target": ("PREDICT LIST_DISTINCT(a.b", "", "','"),
    "cut before entity": ("PREDICT LIST_DISTINCT(a.b, 0, 1) RANK TOP 1 FOR EACH", "", "a name"),
    "cut after dot": ("PREDICT LIST_DISTINCT(a.b, 0, 1) RANK TOP 1 FOR EACH c.", "", "a name"),
    "wrong function": ("PREDICT COUNT(a.b, 0, 1) RANK TOP 1 FOR EACH c.d", "COUNT", "LIST_DISTINCT"),
    "no table": ("PREDICT LIST_DISTINCT(b, 0, 1) RANK TOP 1 FOR EACH c.d", ", 0", r"'\.'"),
    "word for number": ("PREDICT LIST_DISTINCT(a.b, zero, 1) RANK TOP 1 FOR EACH c.d", "zero", "a whole number"),
    "fraction": ("PREDICT LIST_DISTINCT(a.b, 0, 1.5) RANK TOP 1 FOR EACH c.d", ".5", "','"),
    "unit": ("PREDICT LIST_DISTINCT(a.b, 0, 1, dasy) RANK TOP 1 FOR EACH c.d", "dasy", "Did you mean 'days'"),
    "far unit": ("PREDICT LIST_DISTINCT(a.b, 0, 1, fortnights) RANK TOP 1 FOR EACH c.d", "fortnights", "days, hours"),
    "start after end": ("PREDICT LIST_DISTINCT(a.b, 7, 0) RANK TOP 1 FOR EACH c.d", "7, 0", "start must be before end"),
    "start is end": ("PREDICT LIST_DISTINCT(a.b, 7, 7) RANK TOP 1 FOR EACH c.d", "7, 7", "start must be before end"),
    "top 0": ("PREDICT LIST_DISTINCT(a.b, 0, 7) RANK TOP 0 FOR EACH c.d", "0 FOR", "at least 1"),
    "negative top": ("PREDICT LIST_DISTINCT(a.b, 0, 7) RANK TOP -1 FOR EACH c.d", "-1", "a whole number"),
    "huge top": ("PREDICT LIST_DISTINCT(a.b, 0, 7) RANK TOP 99999999999 FOR EACH c.d", "9999999", "too large"),
    "huge end": ("PREDICT LIST_DISTINCT(a.b, 0, 1000000001) RANK TOP 1 FOR EACH c.d", "1000000001", "too large"),
    "huge digits": (f"PREDICT LIST_DISTINCT(a.b, 0, {'9' * 9000}) RANK TOP 1 FOR EACH c.d", "9999", "too large"),
    "more": ("PREDICT LIST_DISTINCT(a.b, 0, 7) RANK TOP 1 FOR EACH c.d, e", ", e", "the end of the query"),
    "open comment": ("PREDICT LIST_DISTINCT(a.b, 0, 7) /* RANK TOP 1 FOR EACH c.d", "/*", "RANK"),
    "other script": ("PREDICT LIST_DISTINCT(a.b, 0, \u0967) RANK TOP 1 FOR EACH c.d", "\u0967", "a whole number"),
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
        assert (shown + " ")[caret.index("^")] == (text + " ")[expected]


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


pieces = st.one_of(st.text(max_size=5), st.sampled_from([*SAMPLE.split(), "(", ")", ",", ".", "0", "-1", '"', "/*"]))


@given(st.integers(0, len(SAMPLE)), st.integers(0, 12), pieces)
def test_a_mutated_query_raises_nothing_but_a_query_error(start, length, piece):
    read_or_query_error(SAMPLE[:start] + piece + SAMPLE[start + length :])


@given(st.integers(0, len(SAMPLE) - 20))
def test_a_query_that_is_cut_off_says_that_it_ends(length):
    with pytest.raises(QueryError):
        parse(SAMPLE[:length])


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.sampled_from(sorted(UNIT_SECONDS)))
def test_every_window_that_is_read_is_the_one_that_was_written(start, length, unit):
    end = start + length
    if abs(end) > 10**9 or start <= -(10**9):
        return
    window = parse(f"PREDICT LIST_DISTINCT(a.b, {start}, {end}, {unit}) RANK TOP 1 FOR EACH c.d").target.window
    assert (window.start, window.end) == (start * UNIT_SECONDS[unit], end * UNIT_SECONDS[unit])
