"""Every fault of a query is a QueryError with its line, column, a caret under the place and a way out."""

from __future__ import annotations

import re

import pytest

from gnnscale.query import MULTILABEL_CLASSIFICATION, PredictiveQuery
from gnnscale.schema import GraphSchema, QueryError, Table, ValueKind
from tests.query_labels.declared import declared_graph

USERS = "FOR EACH users.user_id"
WEEK = f"PREDICT COUNT(orders.*, 0, 7) {USERS}"

# Name -> (text, words of the message). The caret stands at or between the marks; without marks, at the end.
LEXICAL = {
    "quote that does not end": (f"{WEEK} WHERE users.country = «'DE»", "no closing '"),
    "double quote that does not end": (f'PREDICT COUNT(«"orders.*, 0, 7) {USERS}»', "closing|quote"),
    "a quote over two lines": (f"{WEEK} WHERE users.country = «'DE\n'»", "no closing '"),
    "comment that does not end": (f"PREDICT COUNT(orders.*, 0, 7) «/* next week {USERS}»", "closing \\*/"),
    "a sign that means nothing": (f"PREDICT COUNT(orders.*, 0, 7) «§» {USERS}", "unexpected"),
    "more after a semicolon": (f"{WEEK}; «PREDICT» users.age {USERS}", "end of the query|expected"),
    "backquote that does not end": (f"PREDICT COUNT(«`orders.*, 0, 7) {USERS}»", "closing|quote"),
    "control character": (f"PREDICT COUNT(orders.*, 0, 7)«\0» {USERS}", "unexpected"),
    "digits of another script": (f"PREDICT COUNT(orders.*, 0, «\u0967») {USERS}", "unexpected|whole number"),
    "two points in a number": (f"{WEEK} WHERE users.age > «1.2.3»", "unexpected|number"),
    "letters in a number": (f"{WEEK} WHERE users.age > «12abc»", "unexpected|number"),
    "an equals sign too many": (f"{WEEK} WHERE users.age =«==» 3", "unexpected"),
    "half an operator": (f"{WEEK} WHERE users.age «! 3»", "!=|unexpected"),
}
SYNTAX = {
    "nothing": ("", "ends here.*PREDICT"),
    "blank": ("  \n ", "PREDICT"),
    "no PREDICT": (f"«COUNT(orders.*, 0, 7)» {USERS}", "PREDICT"),
    "PREDICT misspelt": (f"«PREDCIT COUNT»(orders.*, 0, 7) {USERS}", "PREDICT"),
    "no target": ("PREDICT «FOR EACH» users.user_id", "expected"),
    "no FOR": ("PREDICT COUNT(orders.*, 0, 7)", "ends here.*FOR"),
    "a column without its table": (f"{WEEK} WHERE country «=» 'DE'", "written with its table, as in table.column"),
    "EXISTS that is compared": (f"{WEEK} WHERE EXISTS(orders.*, -7, 0) «>» 0", "true or false by itself.*leave > and"),
    "EXISTS that is like": (f"{WEEK} WHERE EXISTS(orders.*, -7, 0) NOT «LIKE» '0'", "true or false by itself"),
    "EXISTS that is missing": (f"{WEEK} WHERE EXISTS(orders.*, -7, 0) «IS» NULL", "true or false by itself"),
    "EXISTS in a list": (f"{WEEK} WHERE EXISTS(orders.*, -7, 0) «IN» (0, 1)", "true or false by itself"),
    "FOR alone": ("PREDICT COUNT(orders.*, 0, 7) FOR", "EACH"),
    "FOR EVERY": ("PREDICT COUNT(orders.*, 0, 7) FOR «EVERY users».user_id", "EACH|'\\.'"),
    "FOR EACH without a key": ("PREDICT COUNT(orders.*, 0, 7) FOR EACH users", "\\.|primary key"),
    "FOR EACH with a value": (f"{WEEK} «= 'u01'»", "end of the query|FOR "),
    "open parenthesis": ("PREDICT COUNT(orders.*, 0, 7 «FOR» EACH users.user_id", "'\\)'"),
    "parenthesis too many": (f"PREDICT COUNT(orders.*, 0, 7)«)» {USERS}", "unexpected '\\)'"),
    "no arguments": (f"PREDICT COUNT(«)» {USERS}", "expected"),
    "no end of the window": (f"PREDICT COUNT(orders.*, 0«)» {USERS}", "','"),
    "four arguments": (f"PREDICT COUNT(orders.*, 0, 7, days«, 3») {USERS}", "'\\)'"),
    "word for a bound": (f"PREDICT COUNT(orders.*, «zero», 7) {USERS}", "number"),
    "fraction for a bound": (f"PREDICT COUNT(orders.*, 0, «1.5») {USERS}", "whole number|unexpected"),
    "no TIMEFRAMES": ("PREDICT COUNT(orders.*, 0, 7) FORECAST 3 «FOR» EACH users.user_id", "TIMEFRAMES"),
    "no number of TIMEFRAMES": (f"PREDICT COUNT(orders.*, 0, 7) FORECAST «TIMEFRAMES» {USERS}", "number"),
    "no number after TOP": ("PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP «FOR» EACH users.user_id", "number"),
    "TOP with a sign": (f"PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP «-1» {USERS}", "number|at least 1"),
    "WHERE alone": (f"{WEEK} WHERE", "ends here"),
    "operator alone": (f"{WEEK} WHERE users.age >", "ends here"),
    "no operator": (f"{WEEK} WHERE users.age «3»", "expected"),
    "IN nothing": (f"{WEEK} WHERE users.age IN («)»", "expected|value"),
    "no comma": (f"{WEEK} WHERE users.country IN ('DE' «'FR'»)", "','"),
    "AND alone": (f"{WEEK} WHERE users.age > 3 AND", "ends here"),
    "ASSUMING before WHERE": (f"{WEEK} ASSUMING EXISTS(visits.*, 0, 7) «WHERE» users.age > 3", "unexpected 'WHERE'"),
    "WHERE twice": (f"{WEEK} WHERE users.age > 3 «WHERE» users.age < 9", "unexpected 'WHERE'"),
    "STARTS alone": (f"{WEEK} WHERE users.country STARTS «'D'»", "WITH"),
    "a statement more": (f"{WEEK} «PREDICT» users.age", "unexpected 'PREDICT'"),
    "column against column": (f"{WEEK} WHERE users.age > «users.city_id»", "expected|value|constant"),
}
NAMES = {
    "unknown function": (f"PREDICT «CUONT»(orders.*, 0, 7) {USERS}", "COUNT"),
    "unknown table": (f"PREDICT COUNT(«order».*, 0, 7) {USERS}", "unknown table 'order'.*Did you mean 'orders'"),
    "table in another case": (f"PREDICT COUNT(«Orders».*, 0, 7) {USERS}", "Did you mean 'orders'"),
    "unknown column": (f"PREDICT SUM(«orders.amout», 0, 7) {USERS}", "amout.*Did you mean 'amount'"),
    "unknown unit": (f"PREDICT COUNT(orders.*, 0, 7, «dasy») {USERS}", "unit 'dasy'.*Did you mean 'days'"),
    "unit that does not exist": (f"PREDICT COUNT(orders.*, 0, 7, «fortnights») {USERS}", "fortnights.*days, hours"),
    "unknown entity": ("PREDICT COUNT(orders.*, 0, 7) FOR EACH «user».user_id", "Did you mean 'users'"),
    "keys of what has no table": (
        "PREDICT COUNT(orders.*, 0, 7) FOR EACH «channels».channel",
        r"Where orders.channel holds .*primary_key=channel and tables.channels.keys_from=.orders.channel",
    ),
    "not the primary key": ("PREDICT COUNT(orders.*, 0, 7) FOR EACH «users.country»", "primary key.*user_id"),
    "entity without a key": ("PREDICT COUNT(orders.*, 0, 7) FOR EACH «visits.at»", "primary key"),
    "unknown column of the population": (f"{WEEK} WHERE «users.contry» = 'DE'", "Did you mean 'country'"),
    "unknown table of the population": (f"{WEEK} WHERE «user».country = 'DE'", "Did you mean 'users'"),
    "unknown column of the facts": (
        f"PREDICT COUNT(orders.* WHERE «orders.chanel» = 'web', 0, 7) {USERS}",
        "Did you mean 'channel'",
    ),
    "quoted name": (f'PREDICT SUM(«items."unit price"», 0, 7) {USERS}', "Did you mean 'Unit Price'"),
    "unknown own column": (f"PREDICT «users.ages» {USERS}", "Did you mean 'age'"),
}
TYPES = {
    "SUM of text": (f"PREDICT «SUM(orders.channel», 0, 7) {USERS}", "channel.*(text|number)"),
    "AVG of text": (f"PREDICT «AVG(orders.note», 0, 7) {USERS}", "note.*(text|number)"),
    "MAX of a parent's text": (f"PREDICT «MAX(items.category», 0, 7) {USERS}", "category.*(text|number)"),
    "SUM of a boolean": (f"PREDICT «SUM(orders.gift», 0, 7) {USERS}", "gift"),
    "SUM of times": (f"PREDICT «SUM(orders.ordered_at», 0, 7) {USERS}", "ordered_at"),
    "SUM of rows": (f"PREDICT «SUM(orders.*», 0, 7) {USERS}", "COUNT"),
    "LAST of rows": (f"PREDICT «LAST(orders.*», 0, 7) {USERS}", "COUNT"),
    "number against text": (f"{WEEK} WHERE «users.age > 'old'»", "age.*number|number.*age"),
    "text against number": (f"{WEEK} WHERE «users.country = 49»", "country.*text|text.*country"),
    "text in an order": (f"{WEEK} WHERE «users.country > 'DE'»", "country|text|order"),
    "boolean against text": (f"{WEEK} WHERE «users.premium = 'yes'»", "TRUE|boolean"),
    "boolean against number": (f"{WEEK} WHERE «users.premium = 1»", "TRUE|boolean"),
    "time against number": (f"{WEEK} WHERE «users.joined > 2024»", "'2024-01-31|date|time"),
    "time against words": (f"{WEEK} WHERE «users.joined > 'yesterday'»", "yesterday.*2024|date|time"),
    "a day that does not exist": (f"{WEEK} WHERE «users.joined > '2023-02-29'»", "2023-02-29"),
    "count against text": (f"PREDICT «COUNT(orders.*, 0, 7) > 'many'» {USERS}", "number"),
    "last text against number": (f"PREDICT «LAST(orders.channel, 0, 7) = 3» {USERS}", "text"),
    "kinds mixed in a list": (f"{WEEK} WHERE «users.country IN ('DE', 49»)", "49|text"),
    "LIKE of a number": (f"{WEEK} WHERE «users.age LIKE '4%'»", "LIKE|text"),
    "LIKE with a number": (f"{WEEK} WHERE «users.country LIKE 4»", "text|quote|expected"),
    "CONTAINS of a boolean": (f"{WEEK} WHERE «users.premium CONTAINS 't'»", "CONTAINS|text"),
    "STARTS WITH of a sum": (f"PREDICT «SUM(orders.amount, 0, 7) STARTS WITH '1'» {USERS}", "STARTS|text"),
    "equals NULL": (f"{WEEK} WHERE users.country «= NULL»", "IS NULL"),
    "text key against number": ("PREDICT COUNT(orders.*, 0, 7) FOR «users.user_id = 5»", "text|'5'"),
    "number key against text": ("PREDICT COUNT(orders.*, 0, 7) FOR «items.item_id IN (1, 'two')»", "number|two"),
}
MEANING = {
    "window on a table without times": (f"PREDICT «COUNT(reviews.*, 0, 7)» {USERS}", "'reviews' has no time"),
    "past window on a table without times": (f"{WEEK} WHERE «COUNT(reviews.*, -7, 0)» > 0", "'reviews' has no time"),
    "start is end": (f"PREDICT COUNT(orders.*, «7, 7») {USERS}", "start must be before"),
    "start after end": (f"PREDICT COUNT(orders.*, «7, 0») {USERS}", "start must be before"),
    "end before start in the past": (f"{WEEK} WHERE COUNT(orders.*, «0, -7») > 0", "start must be before"),
    "a target in the past": (f"PREDICT COUNT(orders.*, «-7, 0») {USERS}", "target.*start.*0"),
    "a target from ever on": (f"PREDICT COUNT(orders.*, «-INF, 7») {USERS}", "target.*start.*0"),
    "an endless window": (f"PREDICT COUNT(orders.*, 0, «INF») {USERS}", "expected|whole number"),
    "a population by the future": (f"{WEEK} WHERE COUNT(orders.*, «0, 7») > 0", "WHERE.*0|ASSUMING"),
    "an assumption on the past": (f"{WEEK} ASSUMING COUNT(orders.*, «-7, 0») > 0", "ASSUMING.*0|WHERE"),
    "no window in the target of a query with one": (
        f"PREDICT COUNT(orders.*, 0, 7) > 0 AND «COUNT(visits.*)» > 0 {USERS}",
        "window",
    ),
    "a population by all times": (f"{WEEK} WHERE «COUNT(orders.*)» > 0", "window"),
    "facts that are not the entity's": (f"PREDICT COUNT(«cities».*, 0, 7) {USERS}", "cities"),
    "facts of somebody else": ("PREDICT COUNT(«visits».*, 0, 7) FOR EACH items.item_id", "visits.*orders"),
    "unreachable table in WHERE": (f"{WEEK} WHERE «items.category» = 'food'", "items"),
    "a parent two hops away": (f"PREDICT COUNT(orders.* WHERE «cities.size» = 'big', 0, 7) {USERS}", "cities"),
    "a parent of other facts": (f"PREDICT COUNT(visits.* WHERE «items.category» = 'food', 0, 7) {USERS}", "items"),
    "another table's column": (f"PREDICT «items.price» {USERS}", "users"),
    "nested aggregates": (f"PREDICT SUM(«COUNT(orders.*, 0, 1)», 0, 7) {USERS}", "nest|aggregat|expected"),
    "an aggregate inside WHERE inside": (
        f"PREDICT COUNT(orders.* WHERE «COUNT(visits.*, 0, 1)» > 0, 0, 7) {USERS}",
        "nest|aggregat|expected",
    ),
    "LIKE without %": (f"{WEEK} WHERE users.country LIKE «'DE'»", "%"),
    "NOT LIKE without %": (f"{WEEK} WHERE users.country NOT LIKE «'D_'»", "%"),
    "a list in WHERE": (f"{WEEK} WHERE «LIST_DISTINCT(orders.item_id, -7, 0) = 3»", "list"),
    "no comparison in WHERE": (f"{WEEK} WHERE «COUNT(orders.*, -7, 0)»", "compar|> 0|condition|expected"),
    "a number AND a number": (
        f"PREDICT «COUNT(orders.*, 0, 7) AND COUNT(visits.*, 0, 7)» {USERS}",
        "compar|> 0|condition|expected",
    ),
    "NOT of a number": (f"PREDICT NOT «SUM(orders.amount, 0, 7)» {USERS}", "compar|> 0|condition|expected"),
    "RANK of a number": (f"PREDICT COUNT(orders.*, 0, 7) «RANK TOP 3» {USERS}", "RANK|TOP"),
    "CLASSIFY of a number": (f"PREDICT SUM(orders.amount, 0, 7) «CLASSIFY» {USERS}", "CLASSIFY"),
    "CLASSIFY of a foreign key": (
        f"PREDICT «LIST_DISTINCT(orders.item_id, 0, 7) CLASSIFY» {USERS}",
        "RANK",
    ),
    "a foreign key without RANK": (f"PREDICT «LIST_DISTINCT(orders.item_id, 0, 7)» {USERS}", "RANK"),
    "RANK of a foreign key without TOP": (f"PREDICT «LIST_DISTINCT(orders.item_id, 0, 7) RANK» {USERS}", "TOP"),
    "a list of numbers": (f"PREDICT «LIST_DISTINCT(orders.amount, 0, 7) RANK TOP 3» {USERS}", "amount|foreign key"),
    "TOP of a condition": (f"PREDICT EXISTS(orders.*, 0, 7) «TOP 3» {USERS}", "TOP"),
    "TOP 0": (f"PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP «0» {USERS}", "at least 1"),
    "huge TOP": (f"PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP «{9**50}» {USERS}", "too large|at most"),
    "FORECAST 0": (f"PREDICT COUNT(orders.*, 0, 7) FORECAST «0» TIMEFRAMES {USERS}", "1 to|at least"),
    "FORECAST of a condition": (f"PREDICT COUNT(orders.*, 0, 7) > 0 «FORECAST 3» TIMEFRAMES {USERS}", "FORECAST"),
    "FORECAST of a text": (f"PREDICT LAST(orders.channel, 0, 7) «FORECAST 3» TIMEFRAMES {USERS}", "FORECAST"),
    "FORECAST without a window": (f"PREDICT «users.age FORECAST 3 TIMEFRAMES» {USERS}", "FORECAST"),
    "the key itself": (f"PREDICT «users.user_id» {USERS}", "key"),
    "the time itself": (f"PREDICT «users.joined» {USERS}", "time"),
    "huge window": (f"PREDICT COUNT(orders.*, 0, «{9**50}») {USERS}", "too large|at most"),
    "a window past all calendars": (
        f"PREDICT COUNT(orders.*, 0, «1000000000, months») {USERS}",
        "too large|at most|long",
    ),
    "a query too long": (f"PREDICT {' ' * 100_001}", "at most 100,000"),
}
FAULTS = {**LEXICAL, **SYNTAX, **NAMES, **TYPES, **MEANING}


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, from 1."""
    before = text[:offset].split("\n")
    return len(before), len(before[-1]) + 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_place_and_a_way_out(name):
    marked, words = FAULTS[name]
    marked = marked.replace(" FOR ", "\n  FOR ").replace(" FOR «", "\n  FOR «")
    text = marked.replace("«", "").replace("»", "")
    # What has no mark is at fault at its end, with or without the blanks there.
    first = marked.index("«") if "«" in marked else len(text.rstrip())
    last = marked.index("»") - 1 if "»" in marked else len(text)
    with pytest.raises(QueryError) as caught:
        PredictiveQuery(declared_graph(), text)
    error, message = caught.value, str(caught.value)
    assert re.search(words, message.split("\n")[0]), message
    if len(text) > 100_000 or not text:
        return
    assert (error.line, error.column) in {place(text, i) for i in range(first, last + 1)}, message
    assert message.startswith(f"line {error.line}, column {error.column}: ")
    shown, caret = message.split("\n")[-2:]
    assert caret.strip() == "^"
    under = text.split("\n")[error.line - 1][error.column - 1 :]
    found = shown[caret.index("^") :]
    under = "".join(c if c.isprintable() else " " for c in under)
    assert under.startswith(found) and bool(under) == bool(found)


def test_the_caret_is_shown_of_a_line_of_any_length():
    text = f"PREDICT COUNT(orders.*, 0, 7) {USERS} WHERE {'users.age > 1 AND ' * 300}users.agee = 3"
    with pytest.raises(QueryError) as caught:
        PredictiveQuery(declared_graph(), text)
    shown, caret = str(caught.value).split("\n")[-2:]
    assert len(shown) < 200
    assert "users.agee".endswith(shown[caret.index("^") :].split(" ")[0])


def test_links_that_leave_a_choice_ask_for_it():
    graph = GraphSchema(
        [
            Table("people", primary_key="person"),
            Table("things", primary_key="thing", columns={"kind": "categorical"}),
            Table("gifts", time_column="at", foreign_keys={"giver": "people", "taker": "people", "thing": "things"}),
            Table("sales", time_column="at", foreign_keys={"person": "people", "thing": "things"}),
            Table("loans", time_column="at", foreign_keys={"person": "people", "thing": "things"}),
        ]
    )
    with pytest.raises(QueryError, match=r"gifts\.giver.*gifts\.taker"):
        PredictiveQuery(graph, "PREDICT COUNT(gifts.*, 0, 7) FOR EACH people.person")
    with pytest.raises(QueryError, match=r"loans.*sales|sales.*loans"):
        PredictiveQuery(graph, "PREDICT FIRST(things.kind, 0, 7) FOR EACH people.person")


@pytest.mark.parametrize("target", ["LIST_DISTINCT(orders.marks, 0, 7) CLASSIFY", "COUNT(orders.tags, 0, 7)"])
def test_lists_are_no_values_of_a_query(target):
    kinds = {"user_id": ValueKind.TEXT, "at": ValueKind.TIME, "tags": ValueKind.OTHER, "marks": ValueKind.OTHER}
    orders = Table("orders", "", time_column="at", kinds=kinds, columns={"tags": "multicategorical"})
    graph = GraphSchema([Table("users", "", "user_id"), orders])
    graph.add_link("orders", "user_id", "users")
    with pytest.raises(QueryError, match=r"orders.(tags|marks) holds lists .* queries take numbers, text, times"):
        PredictiveQuery(graph, f"PREDICT {target} {USERS}")


def test_lists_of_text_have_several_classes_without_being_declared() -> None:
    kinds = {"user_id": ValueKind.TEXT, "at": ValueKind.TIME, "tags": ValueKind.TEXTS, "point": ValueKind.VECTOR}
    graph = GraphSchema([Table("users", "", "user_id"), Table("orders", "", time_column="at", kinds=kinds)])
    graph.add_link("orders", "user_id", "users")
    query = PredictiveQuery(graph, f"PREDICT LIST_DISTINCT(orders.tags, 0, 7) CLASSIFY {USERS}")
    assert query.task_type is MULTILABEL_CLASSIFICATION
    for column in ("tags", "point"):
        with pytest.raises(QueryError, match=rf"orders\.{column} holds lists .* queries take numbers, text, times"):
            PredictiveQuery(graph, f"PREDICT COUNT(orders.{column}, 0, 7) {USERS}")
    with pytest.raises(QueryError, match=r"orders\.point holds lists"):
        PredictiveQuery(graph, f"PREDICT LIST_DISTINCT(orders.point, 0, 7) CLASSIFY {USERS}")


def test_a_time_that_is_text_and_a_key_of_another_name_are_pointed_at() -> None:
    """Both were left as categories, and the question that needs them said only that something was missing."""
    text, number = ValueKind.TEXT, ValueKind.NUMBER
    users = Table("users", primary_key="user_id", kinds={"user_id": text, "name": text})
    sales = Table(
        "sales", kinds={"buyer_id": text, "seller_id": text, "shop_id": number, "sold_date": text, "paid": number}
    )
    notes = Table("notes", kinds={"user_id": text, "word": text})
    graph = GraphSchema([users, sales, notes])
    graph.add_link("notes", "user_id", "users")
    asked = "PREDICT COUNT({}.*, 0, 7) FOR EACH users.user_id"
    with pytest.raises(QueryError, match="no foreign key to 'users'") as caught:
        PredictiveQuery(graph, asked.format("sales"))
    assert (
        "buyer_id or seller_id may hold keys of 'users': say so with tables.sales.foreign_keys.buyer_id=users"
        in str(caught.value)
    )
    graph.add_link("sales", "buyer_id", "users")
    with pytest.raises(QueryError, match="no time_column") as caught:
        PredictiveQuery(graph, asked.format("sales"))
    assert "sold_date may hold times: say so with tables.sales.time_column=sold_date and" in str(caught.value)
    with pytest.raises(QueryError, match="declare the column\n"):
        PredictiveQuery(graph, asked.format("notes"))


def test_times_that_are_numbers_are_no_amounts():
    kinds = {"call": "number", "person": "number", "began": "number", "ended": "number", "cost": "number"}
    graph = GraphSchema(
        [
            Table("people", primary_key="person", kinds={"person": ValueKind.NUMBER}),
            Table(
                "calls",
                primary_key="call",
                time_column="began",
                end_time="ended",
                foreign_keys={"person": "people"},
                kinds={name: ValueKind(kind) for name, kind in kinds.items()},
            ),
        ]
    )
    for name in ("began", "ended"):
        with pytest.raises(
            QueryError, match=rf"calls\.{name} is a time of its rows\. Numerical columns of calls: cost\."
        ):
            PredictiveQuery(graph, f"PREDICT SUM(calls.{name}, 0, 7) FOR EACH people.person")
