"""Section ``relations`` becomes relations, and its faults are named by key."""

import json

import pytest

from gnnscale.config import build_settings, recipe_record
from gnnscale.config.sections.relations import declared_relations
from gnnscale.schema import AttributeRelation, ConfigError, EventRelation, TogetherRelation

EVENTS = {"kind": "events", "event_table": "f", "source": "a", "target": "b"}
TOGETHER = {"kind": "together", "event_table": "f", "group": "a", "item": "b"}
BASE = {
    "recipe": "r",
    "lake": {"uri": "x"},
    "tables": {"t": {"source": "t.parquet"}},
    "query": {"name": "q", "text": "PREDICT"},
}


def test_sections_become_relations_in_order():
    weights = {"view": 1, 3: 2, True: 0.5}
    settings = build_settings(
        {
            **BASE,
            "relations": {
                "events": {**EVENTS, "weight_by": "w", "weights": weights, "period_days": 30},
                "with": {**TOGETHER, "within_days": 0.5},
                "like": {"kind": "attribute", "table": "t", "column": "c", "max_group": None, "max_neighbors": 4},
            },
        }
    )
    found = declared_relations(settings.relations)
    texts = {"view": 1.0, "3": 2.0, "true": 0.5}
    assert found == [
        EventRelation("events", "f", "a", "b", weight_by="w", weights=texts, period_days=30),
        TogetherRelation("with", "f", "a", "b", within_days=0.5),
        AttributeRelation("like", "t", "c", None, 4),
    ]
    # A lake keeps them for questions that come later.
    record = json.loads(json.dumps(recipe_record(settings)))
    assert build_settings({**BASE, "relations": record["relations"]}).relations == settings.relations


@pytest.mark.parametrize(
    ("relation", "says"),
    [
        (
            {**EVENTS, "wieght_by": "x"},
            r"unknown configuration key 'relations\.r\.wieght_by'. Did you mean 'relations\.r\.weight_by'",
        ),
        ({**EVENTS, "max_group": 3}, r"unknown configuration key 'relations\.r\.max_group'. Known: aggregate"),
        ({"kind": "events", "event_table": "f", "source": "a"}, r"configuration key 'relations\.r\.target' is missing"),
        (
            {"event_table": "f"},
            r"configuration key 'relations\.r\.kind' is missing. Known: attribute, events, together",
        ),
        ({**EVENTS, "kind": "event"}, r"'relations\.r\.kind' is unknown 'event'. Did you mean 'events'"),
        ({**TOGETHER, "min_count": 0}, r"'relations\.r\.min_count': .*greater than 0; it is 0"),
        ({**TOGETHER, "within_days": -1}, r"'relations\.r\.within_days': .*it is -1"),
        ({**EVENTS, "weight_by": "x", "weights": {"a": -1}}, r"'relations\.r\.weights\.a': .*it is -1"),
        ({**EVENTS, "aggregate": "all"}, r"'relations\.r\.aggregate': .*'pair' or 'none'; it is 'all'"),
        ({**EVENTS, "weight": "w", "weight_by": "x", "weights": {"a": 1}}, "'relations': relation 'r': give weight or"),
    ],
)
def test_a_fault_is_named_by_its_key(relation, says):
    with pytest.raises(ConfigError, match=says):
        build_settings({**BASE, "relations": {"r": relation}})


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (
            {"checks": {"max_nul_rate": 0.1}},
            r"'graph\.checks\.max_nul_rate'. Did you mean 'graph\.checks\.max_null_rate'",
        ),
        ({"checks": {"max_null_rate": 1.1}}, r"'graph\.checks\.max_null_rate': .*it is 1\.1"),
        ({"time_range": ["2024-02-01", "2024-01-01"]}, r"'graph\.time_range': it ends at 2024-01-01"),
    ],
)
def test_a_fault_of_the_checks_is_named_by_its_key(graph, says):
    with pytest.raises(ConfigError, match=says):
        build_settings({**BASE, "graph": graph})
