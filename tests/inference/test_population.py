"""Predictions are wanted of those that a query names, of those that its condition lets through."""

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.inference import query_population
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import DataError, GraphSchema, Table

TABLES = [
    Table("users", primary_key="user_id", columns={"age": "numerical"}),
    Table("orders", time_column="at", foreign_keys={"user_id": "users"}),
]


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path)
    lake.write("ids_users", pa.table({"key": pa.array([30, 10, 20, 40], pa.int64()), "node_id": [2, 0, 1, 3]}))
    lake.write("population_q", pa.table({"entity": [3, 1]}))
    return lake


def query(whom: str) -> PredictiveQuery:
    return PredictiveQuery(GraphSchema(TABLES), f"PREDICT COUNT(orders.*, 0, 7) {whom}")


@pytest.mark.parametrize(
    ("whom", "nodes"),
    [
        ("FOR EACH users.user_id", None),
        ("FOR users.user_id = 30", [2]),
        ("FOR users.user_id IN (40, 10, 40)", [0, 3]),
        ("FOR EACH users.user_id WHERE users.age > 3", [1, 3]),
        ("FOR users.user_id IN (10, 20) WHERE users.age > 3", [1]),
    ],
)
def test_nodes_are_those_named_and_let_through(lake, whom, nodes):
    found = query_population(lake, query(whom), "q")
    assert (found is None) if nodes is None else np.array_equal(found, nodes)


def test_an_unknown_key_is_named(lake):
    with pytest.raises(DataError, match=r"1 of 2 keys are not a user_id of 'users', such as 11"):
        query_population(lake, query("FOR users.user_id IN (10, 11)"), "q")


def test_a_key_of_another_kind_is_an_error(lake):
    with pytest.raises(DataError, match="'ten' is no user_id"):
        query_population(lake, query("FOR users.user_id = 'ten'"), "q")
