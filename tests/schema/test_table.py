"""A table's declaration is checked when it is made."""

import pytest

from gnnscale.schema import ColumnType, SchemaError, Table, ValueKind


@pytest.mark.parametrize("name", ["", "a b", "1a", "a.b", "a-b"])
def test_a_name_is_letters_digits_and_underscores(name):
    with pytest.raises(SchemaError, match="letters, digits"):
        Table(name)


def test_time_comes_from_one_place():
    with pytest.raises(SchemaError, match="time_column or time_from, not both"):
        Table("a", time_column="t", time_from="b", foreign_keys={"b": "c"})


def test_time_from_is_a_foreign_key_and_a_wrong_one_names_the_nearest():
    with pytest.raises(SchemaError, match=r"time_from 'campain_id'.*Did you mean 'campaign_id'"):
        Table("mailings", time_from="campain_id", foreign_keys={"campaign_id": "campaigns"})


def test_keys_from_needs_a_primary_key():
    with pytest.raises(SchemaError, match="keys_from needs a primary_key"):
        Table("a", keys_from=("b.c",))


def test_named_columns_are_all_that_the_declaration_mentions():
    table = Table("a", "", "k", "t", {"c": "numerical"}, {"f": "b"}, display=("d",))
    assert table.named_columns == {"k", "t", "c", "f", "d"}
    assert Table("a").named_columns == set()


@pytest.mark.parametrize("column", ["a.b", "a`b", "", "gnnscale|time", "GNNScale|x"])
def test_a_column_whose_name_the_graph_can_not_take_is_told(column):
    with pytest.raises(SchemaError, match="table 'a': a column can't be called"):
        Table("a").check_columns(["x", column])
    # What the graph adds has names that no column of a source can have.
    Table("a").check_columns(["x", "time", "_time", "_Time2", "Node_ID", "raw_x", "key", "count", "rows"])


@pytest.mark.parametrize("columns", [["x", "Amount", "amount"], ["x", "y", "x"]])
def test_columns_that_differ_in_case_alone_are_told(columns):
    with pytest.raises(SchemaError, match=rf"table 'a' has columns '{columns[1]}' and '{columns[2]}'|'x' and 'x'"):
        Table("a").check_columns(columns)


@pytest.mark.parametrize("column", ["store_id", "storeId", "storeID", "id", "ID", "shop-id", "guid", "row_uuid"])
def test_numbers_that_are_called_ids_are_no_amounts(column):
    table = Table("a", kinds={column: ValueKind.NUMBER})
    assert table.meaning(column) is ColumnType.CATEGORICAL
    assert Table("a", columns={column: ColumnType.NUMERICAL}, kinds=table.kinds).meaning(column) is ColumnType.NUMERICAL


@pytest.mark.parametrize("column", ["bid", "paid", "PAID", "amount", "id_count", "idle", "grid"])
def test_numbers_that_are_called_otherwise_are_amounts(column):
    assert Table("a", kinds={column: ValueKind.NUMBER}).meaning(column) is ColumnType.NUMERICAL
