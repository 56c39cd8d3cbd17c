"""A question to a lake takes its tables from the lake's graph and the rest from mode and overrides."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.config import ask_settings, build_settings, graph_overrides, recipe_record
from gnnscale.config.ask import query_name
from gnnscale.schema import ConfigError

TEXT = "PREDICT COUNT(purchases.*, 0, 28) = 0 FOR EACH customers.customer_id"


def test_tables_and_graph_come_from_the_lake_and_the_question_from_the_asker(shop_content):
    declared = build_settings({**shop_content, "graph": {"max_categories": 7}})
    record = json.loads(json.dumps(recipe_record(declared)))
    settings = ask_settings(record, "/some/lake", TEXT, mode="fast")
    assert (settings.tables, settings.graph, settings.spark) == (declared.tables, declared.graph, declared.spark)
    assert (settings.recipe, settings.seed) == (declared.recipe, declared.seed)
    assert settings.lake.uri == "/some/lake"
    assert (settings.query.text, settings.query.name) == (TEXT, query_name(TEXT))
    # Nothing of the recipe's own question and network.
    assert settings.sampling.entity_hops == () and settings.model.group_columns == ()
    assert settings.training.batch_size != declared.training.batch_size


def test_name_mode_and_overrides_count(shop_content):
    record = recipe_record(build_settings(shop_content))
    normal, fast = (ask_settings(record, "lake", TEXT, mode=mode) for mode in ("normal", "fast"))
    assert fast.training.epochs < normal.training.epochs
    settings = ask_settings(record, "lake", TEXT, "churn", ["training.epochs=1", "model.hidden=[8, 16]"], "fast")
    assert (settings.query.name, settings.training.epochs) == ("churn", 1)
    assert settings.search.space == {"model.hidden": (8, 16)}
    assert settings.anchors == fast.anchors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"mode": "fats"}, "unknown run mode 'fats'. Did you mean 'fast'"),
        ({"name": "Next Week"}, r"query\.name"),
        ({"overrides": ["training.epoch=1"]}, r"'training\.epoch'. Did you mean 'epochs'"),
        ({"overrides": ["epochs"]}, "'epochs' is not an override"),
    ],
)
def test_a_fault_is_named(shop_content, arguments, says):
    with pytest.raises(ConfigError, match=says):
        ask_settings(recipe_record(build_settings(shop_content)), "lake", TEXT, **arguments)


def test_what_a_graph_was_built_with_is_not_overridden_without_a_word(shop_content):
    record = json.loads(json.dumps(recipe_record(build_settings(shop_content))))

    def told(*overrides):
        return graph_overrides(ask_settings(record, "lake", TEXT, overrides=overrides), record, overrides)

    assert told() == told("training.epochs=1", "spark.driver_memory=2g", "seed=9") == []
    changed = ["graph.fit_until=2024-01-05", "tables.customers.columns.age=categorical"]
    assert told("training.epochs=1", *changed) == changed
    assert told("graph.max_categories=10000", "tables.customers.primary_key=customer_id") == []


@given(st.one_of(st.text(max_size=300), st.sampled_from([TEXT, TEXT * 3, "PREDICT", "", "   ", "_", "PREDICT 1"])))
def test_every_text_makes_a_name_that_tables_can_carry(text):
    name = query_name(text)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name)


def test_a_name_follows_the_words_and_not_their_spacing():
    name = query_name(TEXT)
    assert name.startswith("q_count_purchases_0_28_0_for_each_")
    assert query_name(f"  {TEXT}\n") == query_name(TEXT.replace(" ", "\n  ")) == name
    assert query_name(TEXT.replace("28", "29")) != name
    # Only what is cut off tells these apart.
    assert query_name(TEXT + " WHERE customers.age > 3") != query_name(TEXT + " WHERE customers.age > 4")
