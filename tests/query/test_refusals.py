"""What can't be answered is refused when the query is bound, with a form in its place that can."""

from __future__ import annotations

import re

import pytest

from gnnscale.query import (
    BINARY_CLASSIFICATION,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    PredictiveQuery,
)
from gnnscale.query.syntax.parser import parse
from gnnscale.query.syntax.writing import write
from gnnscale.schema import GraphSchema, QueryError, Table, ValueKind

MEMBERS = "FOR EACH members.mid"
KINDS = {"number": ValueKind.NUMBER, "text": ValueKind.TEXT, "time": ValueKind.TIME, "boolean": ValueKind.BOOLEAN}


def club() -> GraphSchema:
    """Members, the shops that they buy in, and visits without times."""
    return GraphSchema(
        [
            Table(
                "members",
                primary_key="mid",
                columns={"hobbies": "multicategorical", "bio": "text", "tags": "multicategorical"},
                foreign_keys={"city": "cities"},
                kinds={"mid": "number", "plan": "text", "vip": "boolean", "hobbies": "text", "bio": "text"}
                | {"tags": "other", "city": "number"},
            ),
            Table("cities", primary_key="city", kinds={"city": "number", "name": "text"}),
            Table("shops", primary_key="sid", kinds={"sid": "number", "kind": "text", "size": "number"}),
            Table(
                "buys",
                primary_key="bid",
                time_column="at",
                columns={"notes": "text", "topics": "multicategorical"},
                foreign_keys={"mid": "members", "sid": "shops"},
                kinds={"bid": "text", "mid": "number", "sid": "number", "at": "time", "paid": "number"}
                | {"notes": "text", "topics": "text", "how": "text"},
            ),
            Table(
                "votes",
                foreign_keys={"mid": "members", "sid": "shops"},
                kinds={"mid": "number", "sid": "number", "stars": "number", "word": "text", "day": "time"},
            ),
        ]
    )


def bound(target: str, rest: str = MEMBERS) -> PredictiveQuery:
    return PredictiveQuery(club(), f"PREDICT {target} {rest}")


REFUSED = {
    "members rank themselves": (
        "LIST_DISTINCT(buys.mid, 0, 30) RANK TOP 3",
        "names the row of 'members' that is asked",
    ),
    "the first of them": ("FIRST(buys.mid, 0, 30) RANK TOP 3", "names the row of 'members'"),
    "itself without a window": ("LIST_DISTINCT(votes.mid) RANK TOP 3", "names the row of 'members'"),
    "a sum that is missing": ("SUM(buys.paid, 0, 30) IS NULL", "SUM over nothing is 0"),
    "a count that is not": ("COUNT(buys.* WHERE buys.paid > 3, 0, 30) IS NOT NULL", "COUNT over nothing is 0"),
    "a number of kinds": ("NOT COUNT_DISTINCT(shops.kind, 0, 30) IS NULL", "COUNT_DISTINCT over nothing is 0"),
    "a key as class": ("LAST(buys.bid, 0, 30)", "buys.bid is a key"),
    "keys as classes": ("LIST_DISTINCT(buys.bid, 0, 30) CLASSIFY", "buys.bid is a key"),
    "prose as class": ("LAST(buys.notes, 0, 30)", "buys.notes is prose"),
    "prose as classes": ("LIST_DISTINCT(buys.notes, 0, 30) CLASSIFY", "buys.notes is prose"),
    "own prose": ("members.bio", "members.bio is prose"),
    "the last of what has no times": ("LAST(votes.word)", "LAST needs times"),
    "another table's column": ("buys.paid", "a column of 'members'"),
    "another table's key": ("buys.bid", "a column of 'members'"),
    "another table's prose": ("buys.notes", "a column of 'members'"),
    "another table's time": ("buys.at", "a column of 'members'"),
    "another table's rows": ("buys.*", "a column of 'members'"),
    "another table's list": ("buys.topics", "a column of 'members'"),
    "a column behind events": ("shops.size", "is reached through|a column of 'members'"),
    "a number without a time": ("votes.stars", "a column of 'members'"),
    "a word without a time": ("votes.word", "a column of 'members'"),
    "a list compared": ("LIST_DISTINCT(shops.kind, 0, 30) = 'food'", "a list can't be compared"),
    "a list compared with several": (
        "LIST_DISTINCT(buys.how WHERE buys.paid > 1 OR buys.paid < 0, 0, 30) NOT IN ('web', 'app')",
        "a list can't be compared",
    ),
    "a list is no condition": ("LIST_DISTINCT(buys.how, 0, 30) AND members.vip", "is no condition"),
    "text is no condition": ("members.plan OR members.vip", "is no condition"),
    "a sum is no condition": ("NOT SUM(buys.paid, 0, 2, weeks)", "is no condition"),
    "no window": ("COUNT(buys.*)", "needs a window"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_so_with_a_form_that_is_not(name):
    target, says = REFUSED[name]
    with pytest.raises(QueryError, match=says) as caught:
        bound(target)
    told = str(caught.value).split("\n")[0]
    advised = re.findall(r"as in (.+?)(?=, or | or count|$)", told)
    assert advised or "lead to" in told or "reached through" in told, told
    for form in advised:
        bound(form)


def test_a_parents_column_is_advised_only_where_it_can_be_reached():
    with pytest.raises(QueryError, match=r"only tables that lead to 'members' can be aggregated \(buys, votes\)"):
        bound("cities.name")


def test_nothing_is_assumed_of_a_target_without_a_future():
    with pytest.raises(QueryError, match=r"ASSUMING takes something as true of the future.*WHERE") as caught:
        bound("members.plan", f"{MEMBERS} ASSUMING COUNT(buys.*, 0, 7) > 0")
    assert str(caught.value).startswith("line 1, column 43")
    with pytest.raises(QueryError) as told:
        bound("members.plan", f"{MEMBERS} WHERE COUNT(buys.*, 0, 7) > 0")
    assert "ASSUMING" not in str(told.value).split("\n")[0]


def test_several_values_of_one_row_are_several_classes_and_a_truth_value_is_a_condition():
    for target in ("members.hobbies CLASSIFY", "members.hobbies", "members.tags CLASSIFY TOP 3"):
        assert bound(target).task_type is MULTILABEL_CLASSIFICATION
    for target in ("LIST_DISTINCT(buys.topics, 0, 9) CLASSIFY", "LAST(buys.topics, 0, 9)"):
        assert bound(target).task_type is MULTILABEL_CLASSIFICATION
    assert bound("members.vip").task_type is BINARY_CLASSIFICATION
    assert bound("members.vip").hidden_columns == {("members", "vip")}
    assert bound("members.plan").task_type is MULTICLASS_CLASSIFICATION


def test_a_target_knows_the_columns_that_must_be_known():
    query = bound("members.plan = 'gold' AND NOT members.vip OR members.bio IS NULL AND COUNT(buys.*, 0, 7) > 0")
    assert [str(c) for c in query.target_columns] == ["members.plan", "members.vip"]
    assert bound("COUNT(buys.*, 0, 7)").target_columns == ()


@pytest.mark.parametrize(
    "text",
    [
        "COUNT(buys.* WHERE (buys.paid > 3 OR buys.how IN ('a', 'b''c')) AND NOT (buys.paid = 1), -INF, 30, weeks)",
        'SUM("two words"."select one", 0, 7, days)',
        "a.b NOT LIKE 'x%'",
        "a.b IS NOT NULL",
        "\"where\".x STARTS WITH 'y'",
    ],
)
def test_what_is_read_is_written_as_it_was(text):
    written = write(parse(f"PREDICT {text} FOR EACH t.k").target)
    again = parse(f"PREDICT {written} FOR EACH t.k").target
    assert write(again) == written
