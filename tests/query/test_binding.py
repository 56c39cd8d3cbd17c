"""A query is bound to a graph, or the fault is told with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.query import PredictiveQuery, TaskType
from gnnscale.schema import Graph, Link, QueryError, Table

SAMPLE = "PREDICT LIST_DISTINCT(transactions.product_id, 0, 7, days) RANK TOP 25 FOR EACH households.household_id"


def sample_graph() -> Graph:
    graph = Graph(
        [
            Table("households", primary_key="household_id"),
            Table("products", primary_key="product_id", columns={"brand": "categorical"}),
            Table(
                "transactions",
                time_column="at",
                columns={"quantity": "numerical", "household_id": "ignore", "product_id": "ignore"},
            ),
            Table("baskets", columns={"household_id": "ignore", "product_id": "ignore"}),
            Table("views", time_column="at", foreign_keys={"product_id": "products"}),
            Table("gifts", time_column="at", foreign_keys={"giver": "households", "taker": "households"}),
        ]
    )
    graph.infer_links()
    return graph


def test_the_sample_query_is_bound():
    query = PredictiveQuery(sample_graph(), SAMPLE)
    assert query.task_type is TaskType.TEMPORAL_LINK_PREDICTION
    assert (query.entity.name, query.facts.name, query.target.name) == ("households", "transactions", "products")
    assert query.entity_link == Link("transactions", "household_id", "households")
    assert query.target_link == Link("transactions", "product_id", "products")
    assert (query.top, query.window.start, query.window.end) == (25, 0, 7 * 86_400)


def test_explain_tells_task_tables_window_and_top():
    text = PredictiveQuery(sample_graph(), SAMPLE).explain()
    for word in (
        "temporal link prediction",
        "households",
        "25",
        "products",
        "transactions",
        "+0 d",
        "+7 d",
        "(7 days)",
    ):
        assert word in text


FAULTS = {
    "unknown table": ("transactions.p", "transaction.p", "transaction.p", "Did you mean 'transactions'"),
    "unknown entity table": ("households.", "housholds.", "housholds.", "Did you mean 'households'"),
    "unknown column": (".product_id", ".produt_id", "produt_id", "Did you mean 'product_id'"),
    "not the primary key": (
        "households.household_id",
        "households.age",
        "age",
        "households' is household_id, not 'age'",
    ),
    "entity without key": ("households.household_id", "views.at", "at", "no primary key"),
    "target is no foreign key": (".product_id", ".quantity", "quantity", "Foreign keys.*household_id, product_id"),
    "facts without time": ("transactions.p", "baskets.p", "0, 7", "'baskets' has no time_column"),
    "facts without entity": ("transactions.p", "views.p", "views.p", "no foreign key to 'households'.*transactions"),
    "two links to the entity": ("transactions.product_id", "gifts.giver", "gifts.g", "gifts.giver and gifts.taker"),
    "window in the past": ("0, 7", "-1, 7", "-1, 7", "starts at 0 or later"),
}


@pytest.mark.parametrize(("old", "new", "place", "says"), FAULTS.values(), ids=FAULTS)
def test_a_name_that_does_not_fit_is_told_with_its_place(old, new, place, says):
    text = SAMPLE.replace(old, new).replace(" RANK", "\nRANK").replace(" FOR", "\nFOR")
    with pytest.raises(QueryError, match=says) as caught:
        PredictiveQuery(sample_graph(), text)
    position = text.index(place)
    assert caught.value.position == position
    assert caught.value.line == text[:position].count("\n") + 1
    shown, caret = str(caught.value).split("\n")[-2:]
    assert shown[caret.index("^") :].startswith(text[position:].split("\n")[0])


def test_quoted_names_are_bound_as_plain_ones():
    quoted = SAMPLE.replace("transactions.product_id", '"transactions"."product_id"')
    assert PredictiveQuery(sample_graph(), quoted).target_link.name == "transactions.product_id"


names = st.sampled_from(["households", "products", "transactions", "household_id", "product_id", "at", "gifts", "x"])


@given(names, names, st.integers(-3, 9), st.integers(-3, 9), names, names)
def test_any_names_bind_or_raise_a_query_error(table, column, start, end, entity, key):
    text = f"PREDICT LIST_DISTINCT({table}.{column}, {start}, {end}) RANK TOP 3 FOR EACH {entity}.{key}"
    try:
        query = PredictiveQuery(sample_graph(), text)
    except QueryError:
        return
    assert query.facts.name == table and query.target_link.column == column
    assert query.entity.name == entity and query.entity.primary_key == key
    assert 0 <= query.window.start < query.window.end
