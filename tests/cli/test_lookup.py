"""What was published is read back, and the day's refresh is a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from rich.console import Console

from gnnscale.cli.main import main
from gnnscale.config import build_settings, load_settings, plan_query_anchors
from gnnscale.inference import embed
from gnnscale.lake import Lake
from gnnscale.pipeline import Pipeline, PipelineContext, open_graph
from gnnscale.pipeline.stages.train_stage import TRAINED, portable_settings
from gnnscale.publish import Store
from tests.conftest import Shop
from tests.embedded_shop import copy_shop
from tests.inference.test_refresh import day


@pytest.fixture
def recipe(shop: Shop, tmp_path: Path) -> Path:
    """A shop with embeddings of a model that nobody trained."""
    settings, lake = copy_shop(shop, tmp_path)
    store, query = open_graph(settings, lake)
    plan = plan_query_anchors(settings, query, store.manifest.time_ranges)
    embed(settings, lake, store, [plan.test, plan.latest])
    content: dict[str, Any] = {**shop.content, "lake": {"uri": str(tmp_path / "lake")}}
    del content["recipe"]
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main([*words]) == status
    out, err = capsys.readouterr()
    return err if status == 2 else out


def test_vectors_are_published_and_looked_up(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(recipe)
    assert "there is no store" in told(capsys, "lookup", name, "--key", "c001", status=2)
    assert "publish   would run" in told(capsys, "publish", name, "--dry-run")
    assert not (recipe.parent / "lake/_serving").exists()
    told(capsys, "publish", name)
    assert "publish   would be skipped" in told(capsys, "publish", name, "--dry-run")
    words = told(capsys, "lookup", name, "--table", "customers", "--key", "c001")
    assert words.startswith("c001: vector [") and "] of 9 channels, as of 2024-03-01 00:00" in words
    lines = told(
        capsys, "lookup", name, "--table", "customers", "--json", "--key", "c001", "none", status=1
    ).splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows[0]["row"]["vector"]) == 9 and rows[1] == {"key": "none", "row": None}
    assert "no table 'next_week/predictions' in the store" in told(capsys, "lookup", name, "--key", "c001", status=2)

    words = ("lookup", name, "--key", "c001", "--json", "--rerank", "p001", "none", "p002")
    # A candidate without a vector is one that there is not, as a key is.
    ranked = json.loads(told(capsys, *words, status=1))
    with Store.open(str(recipe.parent / "lake/_serving/store.sqlite")) as store:
        expected = store.rerank("next_week", "c001", ["p001", "p002"])
    assert [(row["target"], row["score"]) for row in ranked["ranked"]] == [*expected, ("none", None)]
    shown = told(capsys, "lookup", name, "--key", "c001", "--rerank", "p001", "none", status=1)
    assert shown.splitlines()[1] == "  2  none  has no vector"
    assert "for one entity, and 2 keys" in told(
        capsys, "lookup", name, "--key", "c001", "c002", "--rerank", "p001", status=2
    )


def test_stages_of_a_day_are_skipped_where_nothing_has_changed(recipe: Path) -> None:
    def run(as_of: str) -> list[str]:
        settings = load_settings(str(recipe), [f"anchors.latest={as_of}"])
        work = PipelineContext(settings, Console(quiet=True))
        with Pipeline(work, work.query) as pipeline:
            planned = [stage.name for stage in pipeline.plan(["refresh", "publish"]) if not stage.current]
            pipeline.run(["refresh", "publish"])
        return planned

    lake = Lake(str(recipe.parent / "lake"))
    assert run("2024-02-10") == ["refresh", "publish"]
    assert run("2024-02-10") == []
    first = lake.read_record("published_next_week")
    assert run("2024-02-11") == ["refresh", "publish"]
    refreshed, published = lake.read_record("refreshed_next_week"), lake.read_record("published_next_week")
    assert first is not None and refreshed is not None and published is not None
    assert set(published["written"].values()) == {refreshed["encoded"]} and published["version"] == first["version"] + 1
    assert published["as_of"] == day(41) and published["lag_seconds"] > 0
    (recipe.parent / "lake/_serving/store.sqlite").unlink()
    assert run("2024-02-11") == ["publish"]


def test_a_query_of_values_has_no_refresh(shop: Shop, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "query.text=PREDICT COUNT(purchases.*, 0, 7, days) FOR EACH customers.customer_id"
    assert "regression has no refresh stage" in told(capsys, "refresh", str(recipe), text, "--dry-run", status=2)


def test_answers_of_one_value_are_published_and_a_lake_stands_for_the_recipe_of_its_question(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, lake = copy_shop(shop, tmp_path)
    text = "PREDICT COUNT(purchases.*, 0, 7) > 2 FOR EACH customers.customer_id"
    time = pa.array([1_709_251_200_000_000] * 2, pa.timestamp("us", "UTC"))
    for name, scores in (("busy", [0.25, 0.75]), ("idle", [0.5, 0.125])):
        content = {**shop.content, "lake": {"uri": lake.uri}, "query": {"name": name, "text": text}}
        settings = build_settings(content)
        lake.write_record(TRAINED.format(query=name), portable_settings(settings, lake))
        rows = {"entity": ["c001", "c002"], "score": pa.array(scores, pa.float32()), "anchor_time": time}
        lake.write(f"predictions_{name}", pa.table(rows))

    assert "holds 2 answers; query.name= says which" in told(capsys, "publish", lake.uri, status=2)
    assert "no answer to 'bussy'" in told(capsys, "publish", lake.uri, "query.name=bussy", status=2)
    told(capsys, "publish", lake.uri, "query.name=busy")
    assert "publish   would be skipped" in told(capsys, "publish", lake.uri, "query.name=busy", "--dry-run")
    said = told(capsys, "lookup", lake.uri, "query.name=busy", "--key", "c002")
    assert said == "c002: score 0.75, as of 2024-03-01 00:00\n"
    # Behind the keys, too, which take all words up to the next option.
    assert told(capsys, "lookup", lake.uri, "--key", "c002", "query.name=busy") == said
    assert "--key names no key" in told(capsys, "lookup", lake.uri, "--key", "query.name=busy", status=2)
    assert "features" in told(capsys, "features", lake.uri, "query.name=busy", "--dry-run")
    for word, says in (
        ("--mode=fast", "are for recipes; the lake"),
        ("lake.uri=elsewhere", "the lake is given, and query.name says"),
    ):
        assert says in told(capsys, "publish", lake.uri, "query.name=busy", word, status=2)
    assert "no recipe" in told(capsys, "train", lake.uri, "query.name=busy", status=2)
    (tmp_path / "empty").mkdir()
    assert "no lake that a question was asked of" in told(capsys, "publish", str(tmp_path / "empty"), status=2)
    assert text in told(capsys, "explain", lake.uri, "query.name=idle")
