"""A query is bound to a graph: names to tables, columns and links, and its form to a task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    STATIC_LINK_PREDICTION,
    TEMPORAL_LINK_PREDICTION,
    PredictiveQuery,
    Window,
)
from gnnscale.query.bound import Aggregate, All, Any, Column, Not, aggregates, operands
from gnnscale.query.bound import Test as Comparing
from gnnscale.schema import ColumnType, GraphSchema, Link, QueryError, Table, ValueKind
from tests.query_labels.declared import declared_graph

SAMPLE = "PREDICT LIST_DISTINCT(orders.item_id, 0, 7, days) RANK TOP 25 FOR EACH users.user_id"
USERS = "FOR EACH users.user_id"
BUYER, BOUGHT = Link("orders", "user_id", "users"), Link("orders", "item_id", "items")
AMOUNT = Column("orders", "amount", None, ValueKind.NUMBER, ColumnType.NUMERICAL)
COUNTRY = Column("users", "country", None, ValueKind.TEXT, ColumnType.CATEGORICAL)


def bound(text: str, graph: GraphSchema | None = None) -> PredictiveQuery:
    return PredictiveQuery(graph or declared_graph(), text)


def where(condition: str) -> All | Any | Not | Comparing:
    found = bound(f"PREDICT COUNT(orders.*, 0, 7) {USERS} WHERE {condition}").where
    assert found is not None
    return found


def test_a_ranking_has_facts_targets_and_both_links():
    query = bound(SAMPLE)
    assert query.task_type is TEMPORAL_LINK_PREDICTION and not query.is_static
    assert (query.entity.name, query.event_table.name, query.target.name) == ("users", "orders", "items")
    assert (query.entity_link, query.target_link) == (BUYER, BOUGHT)
    assert query.aggregate.window == Window(0, 7)
    assert (query.top, query.frames, query.keys) == (25, 1, None)
    assert query.timed_event_tables == ["orders"]
    assert query.hidden_columns == frozenset() == query.hidden_tables


TASKS = {
    f"COUNT(orders.*, 0, 7) > 0 {USERS}": BINARY_CLASSIFICATION,
    f"COUNT(orders.*, 0, 7) > 0 CLASSIFY {USERS}": BINARY_CLASSIFICATION,
    f"EXISTS(orders.*, 0, 7) {USERS}": BINARY_CLASSIFICATION,
    f"NOT users.premium {USERS}": BINARY_CLASSIFICATION,
    f"users.country = 'DE' {USERS}": BINARY_CLASSIFICATION,
    f"users.age IS NULL {USERS}": BINARY_CLASSIFICATION,
    f"SUM(orders.amount, 0, 7) {USERS}": REGRESSION,
    f"COUNT_DISTINCT(orders.item_id, 0, 7) {USERS}": REGRESSION,
    f"LAST(orders.amount, 0, 7) {USERS}": REGRESSION,
    f"users.age {USERS}": REGRESSION,
    f"SUM(orders.amount, 0, 7) FORECAST 1 TIMEFRAMES {USERS}": FORECASTING,
    f"AVG(items.price, 0, 1, months) FORECAST 3 TIMEFRAMES {USERS}": FORECASTING,
    f"FIRST(orders.channel, 0, 7) {USERS}": MULTICLASS_CLASSIFICATION,
    f"LAST(orders.gift, 0, 7) CLASSIFY {USERS}": MULTICLASS_CLASSIFICATION,
    f"FIRST(items.shelf, 0, 7) RANK TOP 2 {USERS}": MULTICLASS_CLASSIFICATION,
    f"users.country {USERS}": MULTICLASS_CLASSIFICATION,
    f"users.premium {USERS}": BINARY_CLASSIFICATION,
    "items.shelf CLASSIFY FOR EACH items.item_id": MULTICLASS_CLASSIFICATION,
    f"LIST_DISTINCT(orders.channel, 0, 7) CLASSIFY {USERS}": MULTILABEL_CLASSIFICATION,
    f"LIST_DISTINCT(items.category, 0, 7) RANK TOP 3 {USERS}": MULTILABEL_CLASSIFICATION,
    f"LIST_DISTINCT(items.shelf, 0, 7) {USERS}": MULTILABEL_CLASSIFICATION,
    f"LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP 3 {USERS}": TEMPORAL_LINK_PREDICTION,
    f"FIRST(orders.item_id, 0, 7) RANK TOP 3 {USERS}": TEMPORAL_LINK_PREDICTION,
    f"LIST_DISTINCT(reviews.item_id) RANK TOP 3 {USERS}": STATIC_LINK_PREDICTION,
}


@pytest.mark.parametrize("text", TASKS)
def test_the_form_of_a_query_implies_its_task(text):
    query = bound(f"PREDICT {text}")
    assert query.task_type is TASKS[text]
    links = (TEMPORAL_LINK_PREDICTION, STATIC_LINK_PREDICTION)
    assert query.task_type.predicts_links == (TASKS[text] in links)


def test_an_aggregate_knows_its_facts_column_and_window():
    expression = bound(f"PREDICT SUM(orders.amount WHERE items.category = 'food', 0, 3, weeks) {USERS}").expression
    category = Column("items", "category", BOUGHT, ValueKind.TEXT, ColumnType.CATEGORICAL)
    assert expression == Aggregate(
        "SUM", BUYER, AMOUNT, Comparing(category, "=", ("food",), False), Window(0, 3, "weeks"), None
    )
    assert (expression.event_table, expression.kind) == ("orders", ValueKind.NUMBER)


def test_a_column_of_a_parent_is_reached_through_the_facts():
    expression = bound(f"PREDICT AVG(items.price, 0, 7) {USERS}").expression
    assert isinstance(expression, Aggregate) and expression.column is not None
    assert (expression.link, expression.column.via, expression.column.table) == (BUYER, BOUGHT, "items")
    assert expression.reference is None


def test_an_entity_has_columns_of_its_own_and_of_its_parents():
    found = where("users.age > 30 AND cities.size = 'big'")
    assert isinstance(found, All)
    own, parents = (part.left for part in found.parts)
    assert own == Column("users", "age", None, ValueKind.NUMBER, ColumnType.NUMERICAL)
    assert parents == Column("cities", "size", Link("users", "city_id", "cities"), ValueKind.TEXT, "categorical")


def test_conditions_keep_their_structure():
    found = where("NOT users.country IN ('DE', 'FR') OR users.premium AND users.age IS NOT NULL")
    premium = Column("users", "premium", None, ValueKind.BOOLEAN, ColumnType.CATEGORICAL)
    age = Column("users", "age", None, ValueKind.NUMBER, ColumnType.NUMERICAL)
    assert found == Any(
        (
            Not(Comparing(COUNTRY, "IN", ("DE", "FR"), False)),
            All((Comparing(premium, "=", (True,), False), Comparing(age, "IS NULL", (), True))),
        )
    )
    assert list(operands(found)) == [COUNTRY, premium, age]


def test_operands_leave_out_what_is_inside_aggregates_and_aggregates_come_once():
    found = where("COUNT(orders.* WHERE orders.amount > 2, -7, 0) > 1 AND COUNT(visits.*, -7, 0) = 0")
    both = aggregates(found, found)
    assert [a.event_table for a in both] == ["orders", "visits"]
    assert list(operands(found)) == both


@pytest.mark.parametrize(
    ("constant", "micros"),
    [
        ("'2024-01-31'", 1_706_659_200_000_000),
        ("2024-01-31", 1_706_659_200_000_000),
        ("'2024-01-31 12:00:00.25'", 1_706_702_400_250_000),
        ("'2024-01-31T12:00:00+02:00'", 1_706_695_200_000_000),
        ("'1969-12-31 23:59:59.999999'", -1),
    ],
)
def test_a_constant_against_times_is_microseconds(constant, micros):
    found = where(f"users.joined > {constant}")
    assert isinstance(found, Comparing) and found.values == (micros,)


def test_keys_say_of_whom_predictions_are_wanted():
    assert bound("PREDICT COUNT(orders.*, 0, 7) FOR users.user_id = 'u01'").keys == ("u01",)
    assert bound("PREDICT COUNT(orders.*, 0, 7) FOR users.user_id IN ('u01', 'u02')").keys == ("u01", "u02")
    assert bound("PREDICT COUNT(orders.*, 0, 7) FOR items.item_id IN (3, 4)").keys == (3, 4)


def test_timeframes_follow_each_other():
    query = bound(f"PREDICT SUM(orders.amount, 2, 9) FORECAST 3 TIMEFRAMES {USERS}")
    frames = (Window(2, 9), Window(9, 16), Window(16, 23))
    assert query.frames == 3 and query.frame_windows(query.aggregate.window) == frames
    assert query.horizon.windows == frames
    assert query.horizon.span(0) == (2 * 86_400, 23 * 86_400)


def test_the_horizon_holds_the_windows_of_target_and_assumption_and_not_of_the_population():
    query = bound(
        f"PREDICT COUNT(orders.*, 0, 7) > 0 OR COUNT(orders.*, 3, 9) > 1 {USERS} "
        "WHERE COUNT(visits.*, -30, 0) > 0 ASSUMING COUNT(visits.*, 0, 20) > 0"
    )
    assert query.horizon.windows == (Window(0, 7), Window(3, 9), Window(0, 20))
    assert query.timed_event_tables == ["orders", "visits"]
    assert bound(f"PREDICT COUNT(orders.*, 0, 7) {USERS} WHERE EXISTS(visits.*, -9, 0)").timed_event_tables == [
        "orders"
    ]


def test_what_a_target_is_made_of_is_no_input():
    own = bound(f"PREDICT users.age > 30 AND users.country = 'DE' {USERS} WHERE users.premium")
    assert own.hidden_columns == {("users", "age"), ("users", "country")} and own.hidden_tables == frozenset()
    static = bound(f"PREDICT LIST_DISTINCT(reviews.item_id) RANK TOP 3 {USERS}")
    assert static.is_static and static.horizon.windows == () and static.timed_event_tables == []
    # Its facts are inputs too, in an order of their own.
    assert (static.hidden_tables, static.pseudo_timed_tables) == (frozenset(), "reviews")
    counted = bound(f"PREDICT COUNT(reviews.*) {USERS}")
    assert (counted.hidden_tables, counted.pseudo_timed_tables) == ({"reviews"}, None)
    assert counted.is_static and counted.task_type is REGRESSION


def test_what_a_task_has_not_is_a_type_error():
    with pytest.raises(TypeError, match="no aggregate"):
        _ = bound(f"PREDICT users.age {USERS}").event_table
    with pytest.raises(TypeError, match="no target table"):
        _ = bound(f"PREDICT SUM(orders.amount, 0, 7) {USERS}").target


def test_quoted_names_are_bound_as_plain_ones():
    quoted = SAMPLE.replace("orders.item_id", '"orders".`item_id`')
    assert bound(quoted).target_link == BOUGHT
    spaced = bound(f'PREDICT SUM(items."Unit Price", 0, 7) {USERS}').expression
    assert isinstance(spaced, Aggregate) and str(spaced.column) == "items.Unit Price"


def test_without_kinds_the_declaration_is_believed():
    graph = GraphSchema(
        [
            Table("people", primary_key="person"),
            Table("calls", time_column="at", columns={"seconds": "numerical"}, foreign_keys={"person": "people"}),
        ]
    )
    assert bound("PREDICT SUM(calls.seconds, 0, 7) FOR EACH people.person", graph).task_type is REGRESSION
    with pytest.raises(QueryError, match="unknown column 'secs'"):
        bound("PREDICT SUM(calls.secs, 0, 7) FOR EACH people.person", graph)
    later = bound("PREDICT COUNT(calls.* WHERE calls.at > '2024-01-01', 0, 7) FOR EACH people.person", graph)
    assert isinstance(later.expression, Aggregate) and later.expression.where is not None
    # Numbers and texts as constants both pass where nothing tells what a key's values are.
    assert bound("PREDICT COUNT(calls.*, 0, 7) FOR people.person IN (1, 'x')", graph).keys == (1, "x")


FAULTS = {
    "unknown table": ("orders.i", "order.i", "order.i", "Did you mean 'orders'"),
    "unknown entity table": ("users.", "usrs.", "usrs.", "Did you mean 'users'"),
    "unknown column": (".item_id", ".itm_id", "itm_id", "Did you mean 'item_id'"),
    "not the primary key": ("users.user_id", "users.age", "age", "'users' is user_id, not 'age'"),
    "entity without key": ("users.user_id", "visits.at", "at", "no primary key"),
    "target has no classes": (".item_id", ".quantity", "LIST", "needs a foreign key or a categorical column"),
    "facts without time": ("orders.i", "reviews.i", "0, 7", "'reviews' has no time_column"),
    "facts without entity": ("users.user_id", "cities.city_id", "orders.i", "no foreign key to 'cities'"),
    "window in the past": ("0, 7", "-1, 7", "-1, 7", "starts at 0 or later"),
    "no rank": ("RANK TOP 25 ", "", "LIST", "RANK TOP 10"),
}


@pytest.mark.parametrize(("old", "new", "place", "says"), FAULTS.values(), ids=FAULTS)
def test_a_name_that_does_not_fit_is_told_with_its_place(old, new, place, says):
    text = SAMPLE.replace(old, new).replace(" RANK", "\nRANK").replace(" FOR", "\nFOR")
    with pytest.raises(QueryError, match=says) as caught:
        bound(text)
    position = text.index(place)
    assert caught.value.position == position
    assert caught.value.line == text[:position].count("\n") + 1
    shown, caret = str(caught.value).split("\n")[-2:]
    assert shown[caret.index("^") :].startswith(text[position:].split("\n")[0])


names = st.sampled_from(["users", "items", "orders", "user_id", "item_id", "ordered_at", "visits", "channel", "x"])


@given(names, names, st.integers(-3, 9), st.integers(-3, 9), names, names)
def test_any_names_bind_or_raise_a_query_error(table, column, start, end, entity, key):
    try:
        query = bound(f"PREDICT LIST_DISTINCT({table}.{column}, {start}, {end}) RANK TOP 3 FOR EACH {entity}.{key}")
    except QueryError:
        return
    assert query.entity.name == entity and query.entity.primary_key == key
    column_found = query.aggregate.column
    assert column_found is not None and (column_found.table, column_found.name) == (table, column)
    assert 0 <= start < end and query.aggregate.window == Window(start, end)


def follows() -> GraphSchema:
    """Users that follow users."""
    graph = GraphSchema([Table("users", primary_key="user_id"), Table("follows", time_column="at")])
    for column in ("follower", "followee"):
        graph.add_link("follows", column, "users")
    return graph


def test_of_several_foreign_keys_a_query_says_which_it_goes_by():
    ask = "PREDICT {} FOR EACH users.user_id"
    for column in ("follower", "followee"):
        query = PredictiveQuery(follows(), ask.format(f"COUNT(follows.* BY {column}, 0, 7)"))
        assert query.entity_link.column == column
        assert f"the number of follows rows by {column}" in query.explain()
    query = PredictiveQuery(follows(), ask.format("COUNT_DISTINCT(follows.followee, 0, 7)"))
    assert query.entity_link.column == "follower"
    with pytest.raises(QueryError, match=r"say which counts, as in COUNT\(follows\.\* BY follower\)"):
        PredictiveQuery(follows(), ask.format("COUNT(follows.*, 0, 7)"))
    spaced = GraphSchema([Table("users", primary_key="user_id"), Table("moves", time_column="at")])
    for column in ("From User", "To User"):
        spaced.add_link("moves", column, "users")
    with pytest.raises(QueryError, match=r'as in COUNT\(moves\.\* BY "From User"\)'):
        PredictiveQuery(spaced, ask.format("COUNT(moves.*, 0, 7)"))
    query = PredictiveQuery(spaced, ask.format('COUNT(moves.* BY "From User", 0, 7)'))
    assert query.entity_link.column == "From User"
    with pytest.raises(
        QueryError, match=r"BY takes a foreign key to 'users', and 'at' is none\. Known: followee, follower"
    ):
        PredictiveQuery(follows(), ask.format("COUNT(follows.* BY at, 0, 7)"))


def test_a_table_that_is_a_link_too_far_is_told_with_the_way_to_it():
    graph = GraphSchema(
        [
            Table("members", primary_key="member_id"),
            Table("titles", primary_key="title_id", kinds={"title_id": "number", "genre": "text"}),
            Table("copies", primary_key="copy_id", foreign_keys={"title_id": "titles"}),
            Table("loans", time_column="at", foreign_keys={"copy_id": "copies", "member_id": "members"}),
        ]
    )
    with pytest.raises(QueryError) as caught:
        bound("PREDICT FIRST(titles.genre, 0, 28) FOR EACH members.member_id", graph)
    assert "; loans leads to it through copies, a link too far: put copies.title_id into loans" in str(caught.value)
