"""Files and overrides compose in order, and every fault is one line that names the key."""

from pathlib import Path

import pytest
import yaml

from gnnscale.config import Settings, build_graph_schema, build_settings, kept_content, load_settings
from gnnscale.config.load import compose_settings, mode_names, recipe_kind, recipe_names
from gnnscale.schema import ConfigError, GnnscaleError, ValueKind

RECIPE = {
    "tables": {"customers": {"source": "c.parquet", "primary_key": "id"}, "facts": {"source": "f.csv"}},
    "query": {"name": "q", "text": "PREDICT"},
    "sampling": {"entity_hops": [{"facts.customer_id": 4}], "target_hops": []},
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration folder with one recipe, ``small``."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "modes").mkdir()
    (tmp_path / "modes" / "quick.yaml").write_text("training: {epochs: 1, batch_size: 2, patience: 4}")
    (tmp_path / "modes" / "slow.yaml").write_text("training: {epochs: [8, 9], negatives: [5, 6]}")
    defaults = {"seed": 1, "lake": {"uri": "lake/${recipe}"}, "training": {"epochs": 5, "batch_size": 7}}
    (tmp_path / "defaults.yaml").write_text(yaml.safe_dump(defaults))
    (tmp_path / "recipes" / "small.yaml").write_text(yaml.safe_dump({**RECIPE, "training": {"epochs": 6}}))
    return tmp_path


def load(conf: Path, *overrides: str, recipe: str = "small", mode: str | None = None) -> Settings:
    return load_settings(recipe, overrides, conf, mode)


def test_recipe_wins_over_defaults_and_overrides_over_both(conf):
    assert load(conf).training.epochs == 6
    assert load(conf).training.batch_size == 7
    settings = load(conf, "training.epochs=9", "training.batch_size=8", "seed=2", "training.epochs=10")
    assert (settings.training.epochs, settings.training.batch_size, settings.seed) == (10, 8, 2)


def test_a_mode_wins_over_defaults_and_the_recipe_over_the_mode(conf):
    training = load(conf, mode="quick").training
    assert (training.epochs, training.batch_size, training.patience) == (6, 2, 4)
    assert load(conf, "training.patience=7", mode="quick").training.patience == 7
    assert load(conf, recipe="small").training.patience == 3


def test_a_mode_may_search_and_a_single_value_ends_that(conf):
    settings = load(conf, mode="slow")
    assert settings.search.space == {"training.negatives": (5, 6)}
    assert (settings.training.epochs, settings.training.negatives) == (6, 5)
    assert load(conf, "training.negatives=9", mode="slow").search.space == {}
    assert load(conf, "training.epochs=[1, 2]", "training.negatives=9", mode="slow").search.space == {
        "training.epochs": (1, 2)
    }


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ("cuda_graphs=true", "micro_batches=2"),
            r"training.cuda_graphs=true does not go with training.micro_batches=2",
        ),
        (("cuda_graphs=true", "gpu=no"), r"training.cuda_graphs=true is for training on a GPU, and training.gpu=no"),
        (("sampler=gpu", "gpu=no"), r"training.sampler=gpu is for training on a GPU, and training.gpu=no"),
    ],
)
def test_what_of_a_gpu_does_not_go_together_is_refused_by_name(conf, overrides, says):
    given = ["model.network=blocks", *(f"training.{each}" for each in overrides)]
    assert load(conf, *given[:2]).model.network == "blocks"
    with pytest.raises(ConfigError, match=says):
        load(conf, *given)


def test_an_unknown_mode_names_the_nearest(conf):
    with pytest.raises(ConfigError, match=r"unknown run mode 'quik'. Did you mean 'quick'"):
        load(conf, mode="quik")
    assert mode_names(conf) == ["quick", "slow"]


def test_the_modes_that_ship_are_valid_and_cost_more_from_fast_to_best():
    assert mode_names() == ["best", "fast", "normal"]
    for mode in mode_names():
        load_settings("complete_journey", mode=mode)
    bare = {"recipe": "r", "lake": {"uri": "x"}, **RECIPE}
    fast, normal, best = (compose_settings([bare], [], mode, None, "r") for mode in ("fast", "normal", "best"))
    assert fast.training.epochs < normal.training.epochs < best.training.epochs
    assert not fast.search.space and not normal.search.space
    assert "training.learning_rate" in best.search.space and best.search.trials > 1


def test_what_no_file_says_is_as_the_settings_say(conf):
    assert load(conf).training.negatives == 1024
    assert load(conf).anchors.step_days is None


def test_the_recipe_has_its_name_and_interpolates_it(conf):
    assert load(conf).recipe == "small"
    assert load(conf).lake.uri == "lake/small"
    path = conf / "other.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    assert load(conf, recipe=str(path)).lake.uri == "lake/other"


def test_override_values_are_yaml(conf):
    settings = load(
        conf, "model.group_columns=[a, b]", "graph.min_match_rate=1e-1", "anchors.test=2024-02-20", "tracking.uri=null"
    )
    assert settings.model.group_columns == ("a", "b")
    assert settings.graph.min_match_rate == 0.1
    assert settings.anchors.test is not None and settings.anchors.test.isoformat() == "2024-02-20T00:00:00"
    assert settings.tracking.uri is None


@pytest.mark.parametrize("text", ["%d/%m/%Y %H:%M", "orders #1.csv", "@home", "`a`", "\U0001f600 #2"])
def test_text_that_a_shell_has_taken_the_quotes_off_is_taken_as_it_is(conf, text):
    settings = load(conf, f"tables.facts.time_format={text}" if "%" in text else f"lake.uri={text}", "seed=3")
    assert (settings.tables["facts"].time_format if "%" in text else settings.lake.uri) == text and settings.seed == 3


def test_a_value_that_may_be_of_several_types_is_told_in_one_line(conf):
    message = (
        r"^configuration key 'retrieval\.filters\.bought': input should be a valid boolean or 'auto'; it is 'exclude'$"
    )
    with pytest.raises(ConfigError, match=message):
        load(conf, "retrieval.filters.bought=exclude")


def test_an_override_may_have_a_comment_or_be_a_mapping(conf):
    settings = load(conf, "training.epochs=5 # five", "tracking.uri=null # none", "tables.facts.columns=a: text")
    assert settings.training.epochs == 5 and settings.tracking.uri is None
    assert list(settings.tables["facts"].columns) == ["a"]


def test_an_override_that_is_no_yaml_is_named_alone(conf):
    with pytest.raises(ConfigError, match=r"^override model\.group_columns=\[a: ") as caught:
        load(conf, "seed=3", "model.group_columns=[a", "training.epochs=2")
    assert "seed" not in str(caught.value)


def test_a_model_that_was_kept_before_networks_had_features_has_none():
    assert kept_content({"seed": 1, "model": {"hidden": 5}}) == {"seed": 1, "model": {"hidden": 5, "features": False}}
    assert kept_content({"model": {"features": True}}) == {"model": {"features": True}}
    assert kept_content({"seed": 1}) == {"seed": 1}


def test_the_recipes_that_ship_are_valid():
    assert "complete_journey" in recipe_names()
    for name in recipe_names():
        if recipe_kind(name) != "graph":
            continue
        settings = load_settings(name)
        assert settings.recipe == name
        build_graph_schema(settings)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.epoch=2", "unknown configuration key 'training.epoch'. Did you mean 'training.epochs'"),
        ("trainning.epochs=2", "unknown configuration key 'trainning'. Did you mean 'training'"),
        ("tables.facts.primary_ky=x", "'tables.facts.primary_ky'. Did you mean 'tables.facts.primary_key'"),
        ("spark.cores=2", "unknown configuration key 'spark.cores'. Known: conf, driver_memory"),
        ("training.seed=2", "unknown configuration key 'training.seed'. Did you mean 'seed'"),
        ("epochs=2", "unknown configuration key 'epochs'. Did you mean 'training.epochs'"),
        ("mode=fast", "'mode' is no configuration key: a run mode is asked for by --mode"),
    ],
)
def test_an_unknown_key_names_the_nearest(conf, override, says):
    with pytest.raises(ConfigError, match=says):
        load(conf, override)


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs=0",
        "training.epochs=many",
        "training.epochs=1.5",
        "training.learning_rate=0",
        "model.dropout=1",
        "graph.min_match_rate=1.01",
        "sampling.strategy=newest",
        "sampling.cap=0",
        "training.gpu=perhaps",
        "tables.customers.columns.age=number",
        "anchors.test=tomorrow",
        "anchors.step_days=-1",
        "spark.shuffle_partitions=0",
        "training=5",
        "lake=null",
    ],
)
def test_a_bad_value_is_told_with_its_key_and_value(conf, override):
    key, value = override.split("=")
    with pytest.raises(ConfigError, match=f"configuration key '{key}.*: .*; it is ") as caught:
        load(conf, override)
    assert value.strip("-") in str(caught.value) or value == "null"


def test_every_fault_is_told_at_once(conf):
    with pytest.raises(ConfigError) as caught:
        load(conf, "training.epochs=0", "model.dropout=2", "sed=1")
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="configuration key 'tables' is missing"):
        build_settings({"recipe": "r", "lake": {"uri": "x"}})


def test_an_unknown_recipe_names_the_nearest(conf):
    with pytest.raises(ConfigError, match=r"no recipe 'smal'.*Did you mean 'small'"):
        load(conf, recipe="smal")
    with pytest.raises(ConfigError, match=r"no recipe '/nowhere/a.yaml'"):
        load(conf, recipe="/nowhere/a.yaml")


@pytest.mark.parametrize("override", ["epochs", "=5", "a=[1", "lake.uri=${nothing}", "seed=${oc.env:NO_SUCH_NAME}"])
def test_an_override_that_cannot_be_read_is_an_error(conf, override):
    with pytest.raises(ConfigError):
        load(conf, override)


@pytest.mark.parametrize("override", ["training=[1]", "tables=[1]", "tables.facts=[1]", "sampling.entity_hops.0.x=1"])
def test_an_override_of_the_wrong_shape_is_an_error(conf, override):
    with pytest.raises(GnnscaleError):
        load(conf, override)


@pytest.mark.parametrize(
    "content", [b"a: [1", b"- 1\n- 2", b"lake: [1]", b"\xff\xfe\x00", b"a: 1\na: 2", b"word", b""], ids=repr
)
def test_a_recipe_that_cannot_be_read_is_an_error(conf, content):
    path = conf / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(GnnscaleError):
        load(conf, recipe=str(path))


def test_settings_do_not_change(conf):
    settings = load(conf)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 5
    with pytest.raises(ValueError, match="frozen"):
        settings.training.epochs = 5


def test_settings_are_the_same_after_json(conf):
    settings = load(conf, "anchors.test=2024-02-20")
    assert build_settings(settings.model_dump(mode="json")) == settings


def test_the_graph_has_the_tables_as_configured(shop_content):
    graph = build_graph_schema(build_settings(shop_content))
    assert list(graph.tables) == list(shop_content["tables"])
    assert graph.table("products").keys_from == ("purchases.product_id",)
    assert graph.table("mailings").time_from == "campaign_id"
    assert [link.name for link in graph.links] == ["mailings.campaign_id"]


def test_the_graph_knows_kinds_where_they_are_given(shop_content):
    graph = build_graph_schema(build_settings(shop_content), {"customers": {"age": ValueKind.NUMBER}})
    assert graph.table("customers").kinds == {"age": ValueKind.NUMBER}
    assert graph.table("customers").kind("age") is ValueKind.NUMBER
    assert graph.table("purchases").kinds == {}


def test_every_key_of_a_table_reaches_the_graph(conf):
    content = yaml.safe_load((conf / "recipes" / "small.yaml").read_text())
    content["tables"]["customers"] |= {"time_column": "since", "end_time": "until", "display": ["name"]}
    (conf / "recipes" / "ends.yaml").write_text(yaml.safe_dump(content))
    table = build_graph_schema(load(conf, recipe="ends")).table("customers")
    assert (table.primary_key, table.time_column, table.end_time, table.display) == ("id", "since", "until", ("name",))


def test_a_column_is_told_by_its_type_alone_or_with_options(conf):
    columns = "tables.facts.columns={tags: multicategorical, words: {type: multicategorical, separator: '|'}}"
    settings = load(conf, columns)
    table = build_graph_schema(settings).table("facts")
    assert table.columns == {"tags": "multicategorical", "words": "multicategorical"}
    assert table.separators == {"words": "|"}
    assert build_settings(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("tables.facts.columns={x: multicategoric}", "columns.x.type': input should be .*'multicategorical'"),
        ("tables.facts.columns={x: 3}", "columns.x.type': input should be"),
        (
            "tables.facts.columns={x: {type: text, seperator: a}}",
            "x.seperator'. Did you mean 'tables.facts.columns.x.separator'",
        ),
        ("tables.facts.columns={x: {type: text, separator: a}}", "only a multicategorical column has a separator"),
        ("tables.facts.columns={x: {type: multicategorical, separator: ''}}", "at least 1 character"),
        ("tables.facts.columns={x: {separator: a}}", "columns.x.type' is missing"),
        (
            "graph.text={encodr: hashed}",
            "unknown configuration key 'graph.text.encodr'. Did you mean 'graph.text.encoder'",
        ),
        ("graph.text={encoder: sentence_transformers}", "text_encoder 'sentence_transformers' needs a model"),
        ("graph.text={model: m}", "hashed has none"),
        ("graph.text={dims: 0}", "greater than 0"),
    ],
)
def test_a_column_or_text_that_is_told_wrongly_is_an_error(conf, override, says):
    with pytest.raises(ConfigError, match=says):
        load(conf, override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.siblings=[a]", "'model.siblings' is called 'model.group_columns' now"),
        ("retrieval.index.effort=4", "called 'retrieval.index.nprobe .of hnsw: ef_search.' now"),
        ("retrieval.index.lists=64", "'retrieval.index.lists' is called 'retrieval.index.nlist' now"),
        ("training.ahead=1", "'training.ahead' is called 'training.prefetch' now"),
        ("relations.r={kind: events, facts: f, source: a, target: b}", "'relations.r.facts' is called"),
    ],
)
def test_keys_of_earlier_versions_are_told_what_they_are_called_now(conf, override, message):
    with pytest.raises(ConfigError, match=message):
        load(conf, override)


def test_a_query_may_be_its_text_alone(conf):
    text = "PREDICT COUNT(facts.*, 0, 7, days) = 0 FOR EACH customers.id"
    (conf / "recipes" / "brief.yaml").write_text(yaml.safe_dump({**RECIPE, "query": text}))
    query = load(conf, recipe="brief").query
    assert query.text == text and query.name.startswith("q_count_facts_0_7_days")
    assert load(conf, "query.name=mine", recipe="brief").query.name == "mine"


FAULTY = {
    "anchors.start=2024-03-01 anchors.end=2024-02-01": "configuration key 'anchors': start is 2024-03-01",
    "anchors.validation=2024-03-01 anchors.test=2024-03-01": "validation must be before test",
    "tables.facts.time_format=dd.MM.yyyy": "'tables.facts.time_format': time_format 'dd.MM.yyyy' is none",
}


@pytest.mark.parametrize("overrides", FAULTY)
def test_what_can_not_be_is_told_before_anything_runs(conf, overrides):
    with pytest.raises(ConfigError) as raised:
        load(conf, *overrides.split())
    assert FAULTY[overrides] in str(raised.value) and "\n" not in str(raised.value)
