"""A question to a lake takes its tables from the lake's graph and the rest from mode and overrides."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.config import ask_settings, build_settings, graph_overrides, read_recipe, recipe_record
from gnnscale.config.ask import query_name
from gnnscale.lake import Lake
from gnnscale.schema import ConfigError

TEXT = "PREDICT COUNT(purchases.*, 0, 28) = 0 FOR EACH customers.customer_id"


def test_tables_and_graph_come_from_the_lake_and_the_question_from_the_asker(shop_content):
    declared = build_settings({**shop_content, "graph": {"max_categories": 7}})
    record = json.loads(json.dumps(recipe_record(declared)))
    settings = ask_settings(record, "/some/lake", TEXT, mode="fast")
    assert (settings.tables, settings.graph) == (declared.tables, declared.graph)
    # Spark's configuration starts Java with whatever options it names: the asker's own counts.
    assert "spark" not in record and settings.spark != declared.spark
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
        ({"overrides": ["training.epoch=1"]}, r"'training\.epoch'. Did you mean 'training\.epochs'"),
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
    brackets = "tables.customers[columns][age]=categorical"
    assert told(brackets) == [brackets]
    # Beside one that is new, those that say what the graph was built with are not blamed.
    assert told("graph.max_categories=10000", changed[0]) == changed[:1]
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


LITERAL = ["${oc.env:HOME}", r"\${a}", r"a\\${b}", "$", "${", "x${a", r"c:\dir\${q}", "${${a}}", "${a}\\", "plain \\ x"]


@pytest.mark.parametrize("text", LITERAL)
def test_nothing_in_a_lake_s_record_is_interpolated(shop_content, monkeypatch, text):
    monkeypatch.setenv("HOME", "secret")
    record = recipe_record(build_settings(shop_content))
    record["tables"]["products"]["source"] = text
    assert ask_settings(record, "lake", TEXT).tables["products"].source == text


def test_somebody_s_recipe_gives_tables_graph_relations_and_seed_and_nothing_else(shop_content, tmp_path):
    lake = Lake(tmp_path)
    own = recipe_record(build_settings(shop_content))
    hostile = {
        "spark": {"conf": {"spark.driver.extraJavaOptions": "-javaagent:/tmp/agent.jar"}},
        "tracking": {"uri": "http://somewhere/${oc.env:SECRET}"},
        "lake": {"cache": "/somewhere"},
        "training": {"epochs": 1000},
    }
    lake.write_record("recipe", {**own, **hostile})
    found = read_recipe(lake)
    assert set(found) == {"recipe", "seed", "tables", "graph", "relations"}
    settings, plain = (ask_settings(record, lake.uri, TEXT) for record in (found, own))
    assert settings == plain and settings.spark.conf == {} and settings.tracking.uri is None


def test_sources_in_a_lake_are_named_from_its_root(shop_content, tmp_path):
    before, after = Lake(tmp_path / "before"), Lake(tmp_path / "after")
    content = {**shop_content, "lake": {"uri": before.uri}}
    content["tables"] = {name: dict(table) for name, table in content["tables"].items()}
    content["tables"]["products"]["source"] = f"{before.uri}/_sources/products.parquet"
    after.write_record("recipe", recipe_record(build_settings(content)))
    assert before.uri.encode() not in after.read_bytes("_records/recipe.json")
    assert read_recipe(after)["tables"]["products"]["source"] == f"{after.uri}/_sources/products.parquet"
