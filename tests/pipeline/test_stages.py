"""A stage's fingerprint follows everything that its result depends on, and a query has the stages of its task."""

import subprocess
import sys

import pytest
from rich.console import Console

from gnnscale.config import build_settings
from gnnscale.pipeline.stage_order import ALL_STAGES, ENTITY_STAGES, LINK_STAGES, Pipeline, stage_help
from gnnscale.pipeline.stages.evaluate_stage import EvaluateAnswersStage
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.predict_stage import PredictStage
from gnnscale.pipeline.stages.retrieve_stage import RetrieveStage
from gnnscale.pipeline.stages.shard_stage import with_features
from gnnscale.pipeline.stages.stage import PipelineContext, Stage
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError
from tests.query_labels.declared import declared_graph
from tests.sequence_shop import build_sequence_shop

RANKING = "PREDICT LIST_DISTINCT(orders.item_id, 0, 7) RANK TOP 3 FOR EACH users.user_id"
COUNTING = "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id"


def graph_digest(content: dict) -> str:
    return GraphStage(PipelineContext(build_settings(content), Console())).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"query": {"name": "other", "text": "PREDICT COUNT(purchases.*, 0, 14) FOR EACH customers.customer_id"}},
        {"anchors": {"step_days": 1, "test": "2024-02-20"}},
        {"model": {"channels": 9}},
        {"training": {"epochs": 9}},
        {"seed": 99},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_query_and_nothing_of_its_model_makes_the_graph_stage_run_again(shop_content, change):
    assert graph_digest({**shop_content, **change}) == graph_digest(shop_content)


def test_other_tables_or_encodings_make_the_graph_stage_run_again(shop_content):
    customers = {**shop_content["tables"]["customers"], "columns": {"note": "categorical"}}
    changes = (
        {"graph": {"max_categories": 3}},
        {"graph": {"fit_until": "2024-02-01"}},
        {"graph": {"checks": {"max_null_rate": 0.5}}},
        {"relations": {"like": {"kind": "attribute", "table": "products", "column": "brand"}}},
        {"tables": {**shop_content["tables"], "customers": customers}},
    )
    digests = {graph_digest({**shop_content, **change}) for change in changes}
    assert len(digests | {graph_digest(shop_content)}) == len(changes) + 1


def test_a_graph_stage_leaves_what_no_query_shares(shop_content):
    work = PipelineContext(build_settings(shop_content), Console())
    assert GraphStage(work).record_name == "graph"
    assert {stage(work).record_name for stage in LINK_STAGES[1:]} == {
        f"next_week_{name}" for name in ("labels", "train", "embed", "retrieve", "evaluate")
    }


def pipeline_of(content: dict, text: str) -> Pipeline:
    """Of a query on tables that are declared, and of no lake that there is."""
    return Pipeline(PipelineContext(build_settings(content), Console()), PredictiveQuery(declared_graph(), text))


@pytest.mark.parametrize(("text", "stages"), [(RANKING, LINK_STAGES), (COUNTING, ENTITY_STAGES)])
def test_a_query_has_the_stages_of_its_task(shop_content, text, stages):
    pipeline = pipeline_of(shop_content, text)
    assert pipeline.stages == stages
    for stage in stages:
        assert pipeline.find(stage.name) is stage


@pytest.mark.parametrize("text", [RANKING, COUNTING])
def test_training_on_shards_has_them_sampled_first(shop_content, text):
    content = {**shop_content, "model": {**shop_content["model"], "network": "blocks"}}
    content["training"] = {**content["training"], "source": "shards"}
    stages = pipeline_of(content, text).stages
    assert [stage.name for stage in stages[:4]] == ["graph", "labels", "shards", "train"]
    assert tuple(stage for stage in stages if stage.name != "shards") == pipeline_of(shop_content, text).stages
    # Training maps no features beside them.
    assert with_features(build_settings(content)) and not with_features(build_settings(shop_content))


def test_every_stage_says_what_it_does():
    summaries = stage_help()
    assert list(summaries) == [stage.name for stage in ALL_STAGES]
    assert {stage.name for stage in (*LINK_STAGES, *ENTITY_STAGES)} <= set(summaries)


@pytest.mark.parametrize("stages", [LINK_STAGES, ENTITY_STAGES])
def test_every_stage_stands_behind_the_one_it_builds_on(stages):
    earlier: list[type[Stage]] = []
    for stage in stages:
        assert stage.after is None or stage.after in earlier
        assert stage.name not in {s.name for s in earlier}
        earlier.append(stage)
    assert [stage for stage in stages if stage.after is None] == [GraphStage]
    assert stages[-1].after in (RetrieveStage, PredictStage)


def test_a_stage_that_the_task_has_not_is_an_error_that_names_those_it_has(shop_content):
    ranking, counting = (pipeline_of(shop_content, text) for text in (RANKING, COUNTING))
    with pytest.raises(ConfigError, match=r"regression has no embed stage.*graph, labels, train, predict, evaluate"):
        counting.find("embed")
    with pytest.raises(ConfigError, match="temporal link prediction has no predict stage"):
        ranking.find("predict")
    assert counting.find("evaluate") is EvaluateAnswersStage


def test_a_network_that_is_not_for_the_query_is_told_before_any_stage(shop_content):
    content = {**shop_content, "model": {"network": "lightgcn"}}
    assert pipeline_of(content, RANKING).stages == LINK_STAGES
    with pytest.raises(ConfigError, match=r"model.network=lightgcn is not for regression; allowed: auto, blocks"):
        pipeline_of(content, COUNTING)


def test_what_the_model_names_and_the_graph_has_not_is_told_before_there_are_labels(tmp_path, monkeypatch):
    shop = build_sequence_shop(tmp_path)
    shop.lake.write_record("graph", shop.store.manifest.to_dict())

    class SparkIsOpenedError(Exception):
        """Labels are about to be made."""

    def make(weights: dict) -> None:
        settings = shop.settings({"network": "lightgcn", "lightgcn": {"event_weights": {"channel": weights}}}, {})
        work = PipelineContext(settings, Console())

        def open_spark() -> None:
            raise SparkIsOpenedError

        monkeypatch.setattr(work.spark, "open", open_spark)
        LabelStage(work).make()

    with pytest.raises(SparkIsOpenedError):
        make({"web": 2})
    with pytest.raises(ConfigError, match=r"event_weights: no 'webb' in purchases.channel. Did you mean 'web'"):
        make({"webb": 2})


def test_stages_of_spark_come_before_the_others():
    for stages in (LINK_STAGES, ENTITY_STAGES):
        on_spark = [stage.on_spark for stage in stages]
        assert on_spark == sorted(on_spark, reverse=True)


def test_no_stage_is_known_by_loading_what_does_its_work():
    code = (
        "import sys; import gnnscale.pipeline as p; p.stage_help(); p.prepare_environment();"
        "print([m for m in ('torch', 'ray', 'mlflow', 'pyspark', 'faiss', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
