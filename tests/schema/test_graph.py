"""Links are found by name, faults name what was meant."""

import pytest

from gnnscale.schema import EdgeType, GraphSchema, Link, SchemaError, Table, ValueKind


def shop_graph() -> GraphSchema:
    return GraphSchema(
        [
            Table("customers", primary_key="customer_id"),
            Table("products", primary_key="id"),
            Table("purchases", time_column="at", columns={"customer_id": "ignore", "product_id": "ignore"}),
        ]
    )


def test_a_column_named_like_a_primary_key_is_a_link_and_so_is_singular_id():
    graph = shop_graph()
    added = graph.infer_links()
    assert added == [Link("purchases", "customer_id", "customers"), Link("purchases", "product_id", "products")]
    assert graph.links == added
    graph.validate()


@pytest.mark.parametrize("column", ["products_id", "product_id"])
def test_a_primary_key_called_id_is_named_by_table_or_singular(column):
    graph = GraphSchema([Table("products", primary_key="id"), Table("facts")])
    assert graph.infer_links({"facts": [column, "id", "product", "x_product_id"]}) == [
        Link("facts", column, "products")
    ]


def test_columns_given_count_instead_of_declared_ones():
    graph = shop_graph()
    assert graph.infer_links({"purchases": ["amount"]}) == []
    assert graph.infer_links({"purchases": ["amount", "customer_id"]}) == [
        Link("purchases", "customer_id", "customers")
    ]


def test_inferring_twice_adds_nothing():
    graph = shop_graph()
    graph.infer_links()
    assert graph.infer_links() == []
    assert len(graph.links) == 2


def test_a_primary_key_is_no_foreign_key_of_another_table_with_the_same_key():
    graph = GraphSchema([Table("customers", primary_key="customer_id"), Table("profiles", primary_key="customer_id")])
    assert graph.infer_links() == []


def test_a_column_that_matches_two_tables_must_be_declared():
    tables = [Table("customers", primary_key="cid"), Table("clients", primary_key="cid")]
    graph = GraphSchema([*tables, Table("facts", columns={"cid": "ignore"})])
    with pytest.raises(SchemaError, match=r"facts\.cid could point at customers or clients.*foreign_keys"):
        graph.infer_links()
    declared = GraphSchema([*tables, Table("facts", foreign_keys={"cid": "clients"})])
    assert declared.infer_links() == []
    assert declared.links == [Link("facts", "cid", "clients")]


def test_unknown_tables_and_links_name_the_nearest():
    graph = shop_graph()
    graph.infer_links()
    with pytest.raises(SchemaError, match=r"unknown table 'custmers'. Did you mean 'customers'"):
        graph.table("custmers")
    with pytest.raises(SchemaError, match=r"Did you mean 'purchases.customer_id'"):
        graph.link("purchases.custmer_id")
    with pytest.raises(SchemaError, match=r"unknown table 'zzz'. Known: customers, products, purchases"):
        graph.table("zzz")
    with pytest.raises(SchemaError, match=r"'customer'.*Did you mean 'customers'"):
        GraphSchema([Table("customers", primary_key="id"), Table("facts", foreign_keys={"who": "customer"})])


def test_two_tables_of_one_name_are_refused():
    with pytest.raises(SchemaError, match="two tables are named 'a'"):
        GraphSchema([Table("a"), Table("a")])


def test_a_link_needs_a_primary_key_to_point_at():
    with pytest.raises(SchemaError, match="'facts' has no primary_key"):
        GraphSchema([Table("facts"), Table("other", foreign_keys={"x": "facts"})])


def test_a_column_can_point_at_one_table_only():
    graph = shop_graph()
    graph.add_link("purchases", "customer_id", "customers")
    graph.add_link("purchases", "customer_id", "customers")
    assert len(graph.links) == 1
    with pytest.raises(SchemaError, match=r"purchases\.customer_id points at both 'customers' and 'products'"):
        graph.add_link("purchases", "customer_id", "products")


def test_validate_wants_links_and_every_table_on_one():
    graph = shop_graph()
    with pytest.raises(SchemaError, match="no links"):
        graph.validate()
    graph.add_link("purchases", "customer_id", "customers")
    with pytest.raises(SchemaError, match="'products' is linked to no other table"):
        graph.validate()


def test_keys_from_must_name_a_link():
    graph = GraphSchema(
        [
            Table("customers", primary_key="customer_id", keys_from=("purchases.custmer_id",)),
            Table("purchases", columns={"customer_id": "ignore"}),
        ]
    )
    graph.infer_links()
    with pytest.raises(SchemaError, match=r"unknown link 'purchases.custmer_id'. Did you mean 'purchases.customer_id'"):
        graph.validate()


def test_keys_from_must_name_a_link_that_points_at_its_own_table():
    graph = GraphSchema(
        [
            Table("customers", primary_key="customer_id"),
            Table("products", primary_key="product_id", keys_from=("purchases.customer_id",)),
            Table("purchases", columns={"customer_id": "ignore", "product_id": "ignore"}),
        ]
    )
    graph.infer_links()
    with pytest.raises(SchemaError, match=r"purchases\.customer_id"):
        graph.validate()


def test_edge_types_are_both_directions_of_every_link():
    graph = shop_graph()
    graph.infer_links()
    assert [(e.source, e.target, e.table_name) for e in graph.edge_types()] == [
        ("purchases", "customers", "edges_purchases_customer_id"),
        ("customers", "purchases", "edges_rev_purchases_customer_id"),
        ("purchases", "products", "edges_purchases_product_id"),
        ("products", "purchases", "edges_rev_purchases_product_id"),
    ]


def test_edges_from_takes_the_direction_that_leaves_the_table():
    graph = shop_graph()
    graph.infer_links()
    link = graph.link("purchases.customer_id")
    assert graph.edges_from("customers", link.name) == EdgeType(link, reverse=True)
    assert graph.edges_from("purchases", link.name) == EdgeType(link, reverse=False)
    with pytest.raises(SchemaError, match="does not leave table 'products'"):
        graph.edges_from("products", link.name)


def test_a_table_can_point_at_itself_and_towards_the_parent_comes_first():
    graph = GraphSchema([Table("people", primary_key="person_id", foreign_keys={"boss": "people"})])
    graph.validate()
    assert not graph.edges_from("people", "people.boss").reverse


def test_a_key_that_other_tables_have_too_is_what_the_way_out_names():
    members = Table("members", primary_key="plan", kinds=dict.fromkeys(["plan", "member_id", "birth"], ValueKind.TEXT))
    visits = Table("visits", kinds=dict.fromkeys(["member_id", "club_id"], ValueKind.TEXT))
    clubs = Table("clubs", primary_key="club_id", kinds={"club_id": ValueKind.TEXT})
    graph = GraphSchema([members, visits, clubs])
    graph.add_link("visits", "club_id", "clubs")
    with pytest.raises(
        SchemaError, match=r"as in tables.members.primary_key=member_id or tables.members.foreign_keys.mem"
    ):
        graph.validate()
