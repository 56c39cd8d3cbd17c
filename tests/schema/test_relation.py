"""Relations fit their tables, or say what does not."""

import pytest

from gnnscale.schema import (
    AttributeRelation,
    EventRelation,
    GraphSchema,
    Link,
    SchemaError,
    Table,
    TogetherRelation,
    relation_links,
)
from gnnscale.schema.relation import value_column
from tests.etl.relations.event_table import GRAPH


def test_relations_stand_beside_links():
    relations = [
        EventRelation("does", "events", "user", "item", weight_by="what", weights={"buy": 1}, period_days=2),
        TogetherRelation("with", "events", "basket", "item", within_days=2),
        AttributeRelation("like", "items", "brand"),
    ]
    assert relation_links(relations, GRAPH) == [
        Link("users", "does", "items"),
        Link("items", "with", "items"),
        Link("items", "like", "items"),
    ]
    assert [(r.table, r.columns) for r in relations] == [
        ("events", ("user", "item", "what")),
        ("events", ("basket", "item")),
        ("items", ("brand",)),
    ]


def test_values_of_a_link_are_node_ids_and_others_as_they_came():
    assert value_column(GRAPH, "events", "user") == "fk_user"
    assert value_column(GRAPH, "events", "basket") == "raw_basket"


FAULTS = {
    "no table": (lambda: EventRelation("x", "event", "user", "item"), "no table 'event'. Did you mean 'events'"),
    "no key": (lambda: EventRelation("x", "events", "usr", "item"), "source 'usr' is no foreign key.*mean 'user'"),
    "no column": (
        lambda: EventRelation("x", "events", "user", "item", weight="prize"),
        "weight: table 'events' has no column 'prize'. Did you mean 'price'",
    ),
    "no number": (
        lambda: EventRelation("x", "events", "user", "item", weight="what"),
        "weight 'what' holds values of kind text; allowed: number",
    ),
    "not comparable": (lambda: TogetherRelation("x", "events", "tags", "item"), "group 'tags' .* kind other"),
    "own key": (lambda: AttributeRelation("x", "items", "item"), "'item' is the primary key of 'items'"),
    "link's name": (
        lambda: AttributeRelation("user", "events", "what"),
        r"relation 'user': link events\.user has the table edges_events_user already",
    ),
    "two weights": (
        lambda: EventRelation("x", "events", "user", "item", weight="price", weight_by="what", weights={"buy": 1}),
        "give weight or weight_by, not both",
    ),
    "no weights": (lambda: EventRelation("x", "events", "user", "item", weight_by="what"), "go together"),
    "nothing weighs": (
        lambda: EventRelation("x", "events", "user", "item", weight_by="what", weights={"buy": 0}),
        "all weights are 0",
    ),
    "default alone": (lambda: EventRelation("x", "events", "user", "item", default_weight=1), "default_weight needs"),
    "periods of none": (
        lambda: EventRelation("x", "events", "user", "item", aggregate="none", period_days=1),
        "period_days needs aggregate: pair",
    ),
    "one key": (lambda: EventRelation("x", "events", "user", "user"), "source and target are both 'user'"),
    "group of items": (lambda: TogetherRelation("x", "events", "item", "item"), "group and item are both 'item'"),
    "name": (lambda: AttributeRelation("a-b", "items", "brand"), "relation 'a-b': its name must be letters"),
    "odd ring": (lambda: AttributeRelation("x", "items", "brand", 5, 3), "max_neighbors is 3; a ring"),
    "no bound": (lambda: AttributeRelation("x", "items", "brand", None), "give max_group or max_neighbors"),
}


@pytest.mark.parametrize(("make", "says"), FAULTS.values(), ids=FAULTS)
def test_what_does_not_fit_is_named(make, says):
    with pytest.raises(SchemaError, match=f"relation '.*': .*{says.removeprefix('relation ')}|{says}"):
        relation_links([make()], GRAPH)


def test_days_need_times_and_names_are_taken_once():
    graph = GraphSchema(
        [
            Table("users", primary_key="user"),
            Table("items", primary_key="item"),
            Table("facts", foreign_keys={"user": "users", "item": "items"}),
        ]
    )
    for relation in (
        TogetherRelation("x", "facts", "user", "item", within_days=1),
        EventRelation("x", "facts", "user", "item", period_days=1),
    ):
        with pytest.raises(SchemaError, match=r"relation 'x': (within|period)_days needs times.*'facts' have none"):
            relation_links([relation], graph)
    plain = TogetherRelation("x", "facts", "user", "item")
    with pytest.raises(SchemaError, match="there are two of 'items'"):
        relation_links([plain, plain], graph)
    assert relation_links([plain, EventRelation("x", "facts", "user", "item")], graph)
