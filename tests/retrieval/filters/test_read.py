"""Lists, conditions and categories come from tables by key, and what does not fit is told."""

import logging

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.arrays import Ragged
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.filters.filter_rule import FilterRule, read_filter
from gnnscale.retrieval.filters.own_category import read_categories
from gnnscale.retrieval.filters.read_filters import read_allowed, read_denied
from gnnscale.retrieval.filters.target_conditions import TargetCondition, read_mask
from gnnscale.schema import ConfigError, DataError, LakeError
from tests.query_labels.declared import declared_graph

USERS = ["ann", "bob", "cem", "dee"]
ITEMS = [10, 30, 20, 40, 50]
QUERY = "PREDICT LIST_DISTINCT(orders.item_id, 0, 7, days) RANK TOP 25 FOR EACH users.user_id"


@pytest.fixture
def lake(tmp_path) -> Lake:
    """Ids and nodes of users and items, in no order; the last item has no row any more."""
    lake = Lake(tmp_path)
    lake.write("ids_users", pa.table({"node_id": [2, 0, 1, 3], "key": ["cem", "ann", "bob", "dee"]}))
    lake.write("ids_items", pa.table({"node_id": range(5), "key": ITEMS}))
    lake.write("nodes_users", pa.table({"node_id": [3, 2, 1, 0], "raw_country": ["AT", None, "DE", "FR"]}))
    rows = {
        "raw_price": [1.5, 2.0, None, 4.0],
        "raw_on": [True, False, True, None],
        "raw_origin": ["DE", "FR", None, "IT"],
    }
    rows["raw_since"] = pa.array([0, 86_400, 172_800, None], pa.timestamp("s", "UTC"))
    lake.write("nodes_items", pa.table({"node_id": [0, 1, 2, 3], **rows}))
    lists = {"entity": ["ann", "cem", "ann", None, "ann"], "target": [30, 10, 10, 50, 30]}
    lake.write("deny_q", pa.table(lists))
    lake.write("allow_q", pa.table({"entity": ["dee", "bob", "bob", "dee"], "target": [20, None, None, 40]}))
    lake.write("stock", pa.table({"target": [10, 10, 30, 20, None], "left": [0, 3, 0, 7, 9]}))
    return lake


def test_deny_lists_are_of_one_entity_or_of_all(lake):
    denied, everyone = read_denied(lake, "deny_q", "users", "items")
    assert denied == Ragged.from_lists([[0, 1], [], [0], []])
    assert everyone.tolist() == [False, False, False, False, True]


def test_allow_lists_may_be_empty(lake, caplog):
    with caplog.at_level(logging.WARNING):
        lists = read_allowed(lake, "allow_q", "users", "items")
    assert lists.targets == Ragged.from_lists([[], [], [], [2, 3]])
    assert lists.listed.tolist() == [False, True, False, True]
    assert "1 entities have an empty allow list" in caplog.text


def test_unknown_keys_are_counted_and_change_nothing_else(lake, caplog):
    lake.write("deny_q", pa.table({"entity": ["ann", "zoe", "bob"], "target": [10, 20, 99]}))
    lake.write("allow_q", pa.table({"entity": ["ann", "bob", "zoe"], "target": [10, 99, 20]}))
    with caplog.at_level(logging.WARNING):
        denied, everyone = read_denied(lake, "deny_q", "users", "items")
        lists = read_allowed(lake, "allow_q", "users", "items")
    assert denied == lists.targets == Ragged.from_lists([[0], [], [], []]) and not everyone.any()
    # A list of nothing but unknown targets is a list.
    assert lists.listed.tolist() == [True, True, False, False]
    assert "deny_q: 1 of 3 rows name an unknown entity, such as 'zoe'" in caplog.text
    assert "allow_q: 1 of 3 rows name an unknown target, such as 99" in caplog.text


CONDITIONS = {
    "number": (TargetCondition("price", "<", 3), [True, True, False, False, False]),
    "negated": (TargetCondition("price", "!=", 2.0), [True, False, False, True, False]),
    "boolean": (TargetCondition("on", "=", True), [True, False, True, False, False]),
    "several": (TargetCondition("origin", "in", ("IT", "DE")), [True, False, False, True, False]),
    "time": (TargetCondition("since", ">=", "1970-01-02T00:00:00Z"), [False, True, True, False, False]),
    "other table": (TargetCondition("left", ">", 0, "stock"), [True, False, True, False, False]),
}


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS.values(), ids=CONDITIONS)
def test_targets_are_given_where_a_value_compares_so(lake, condition, expected):
    assert read_mask(lake, condition, "items").tolist() == expected


def test_tables_share_the_codes_of_categories(lake):
    users, items = read_categories(lake, [("users", "country"), ("items", "origin")])
    assert (users[:, None] == items).tolist() == [
        [False, True, False, False, False],
        [True, False, False, False, False],
        [False, False, True, False, True],
        [False, False, False, False, False],
    ]
    assert users[2] == items[2] == items[4] == -1


def test_a_filter_is_gathered_of_all_that_a_rule_names(lake):
    query = PredictiveQuery(declared_graph(), QUERY)
    past = Ragged.from_lists([[2], [], [3], []])
    valid = np.array([True, True, True, True, False])
    assert read_filter(lake, query, FilterRule(), valid).count_allowed(np.arange(4)).tolist() == [4] * 4
    rule = FilterRule(
        bought=False, allow="allow_q", deny="deny_q", conditions=(TargetCondition("left", ">=", 0, "stock"),)
    )
    keep = read_filter(lake, query, rule, valid, past)
    found = keep.allowed_of(np.arange(4))
    assert [found.row(i).tolist() for i in range(4)] == [[], [], [1, 2], [2]]
    own = {"entity_category": "country", "target_category": "origin"}
    for word, expected in (
        ("only", [[1], [0], [], []]),
        ("others", [[0, 2, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]),
    ):
        found = read_filter(lake, query, FilterRule(own_category=word, **own), valid).allowed_of(np.arange(4))
        assert [found.row(i).tolist() for i in range(4)] == expected
    assert valid.tolist() == [True] * 4 + [False]


def test_tables_and_columns_that_do_not_fit_are_named(lake):
    lake.write("bad", pa.table({"entity": ["ann", None], "target": [None, 10]}))
    lake.write("strangers", pa.table({"entity": ["x", "y"], "target": [10, 10]}))
    lake.write("texts", pa.table({"entity": ["ann"], "target": ["ten"]}))
    with pytest.raises(DataError, match="1 of 2 rows of bad have no target to deny"):
        read_denied(lake, "bad", "users", "items")
    with pytest.raises(DataError, match="1 of 2 rows of bad have no entity"):
        read_allowed(lake, "bad", "users", "items")
    with pytest.raises(DataError, match="no entity of strangers is a known key, such as 'x', 'y'"):
        read_denied(lake, "strangers", "users", "items")
    with pytest.raises(DataError, match=r"texts\.target is of type string, and the keys are of type int64"):
        read_allowed(lake, "texts", "users", "items")
    with pytest.raises(DataError, match=r"table 'stock' has no column 'entity'.*left"):
        read_denied(lake, "stock", "users", "items")
    with pytest.raises(LakeError, match="no table 'deny_r'"):
        read_denied(lake, "deny_r", "users", "items")
    with pytest.raises(DataError, match=r"no column 'raw_prices'. Did you mean 'raw_price'"):
        read_mask(lake, TargetCondition("prices", ">", 0), "items")
    with pytest.raises(DataError, match="column 'origin' is of type string, and can't be compared with 3"):
        read_mask(lake, TargetCondition("origin", ">", 3), "items")
    with pytest.raises(ConfigError, match=r"unknown operator '=='. Did you mean '='"):
        TargetCondition("price", "==", 3)
    for operator, value in (("in", 3), ("=", (3, 4))):
        with pytest.raises(ConfigError, match=f"operator '{operator}' of column 'price' has value"):
            TargetCondition("price", operator, value)
    with pytest.raises(ConfigError, match="own_category 'only' needs entity_category"):
        FilterRule(own_category="only")
    with pytest.raises(ConfigError, match="unknown own_category 'mine'"):
        FilterRule(own_category="mine")
    with pytest.raises(ConfigError, match="past is not known"):
        read_filter(lake, PredictiveQuery(declared_graph(), QUERY), FilterRule(bought=False), np.ones(5, bool))
