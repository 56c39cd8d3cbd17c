"""Every command of README and the docs does what it says: on a small lake, in the order in which a reader would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gnnscale.batches import ShardReader, dense_features
from gnnscale.cli.main import main
from gnnscale.collaborative import ShopLogSettings, write_shop_log
from gnnscale.config import load_interaction_settings, load_sequence_settings, load_settings, recipe_kind
from gnnscale.lake import Lake
from gnnscale.sampling import NeighborSampler
from gnnscale.store import GraphStore
from tests.docs.pages import ROOT, blocks, commands
from tests.pipeline.test_queries import QUERIES
from tests.shop import make_shop

pytestmark = pytest.mark.slow

ANY_QUERY = "PREDICT COUNT(purchases.*, 0, 7, days) > 2 FOR EACH customers.customer_id"
SMALL = ["training.epochs=1", "training.workers=1", "anchors.train=2", "evaluation.resamples=50"]
STAGES = ("graph", "labels", "features", "shards", "train", "embed", "index", "retrieve", "predict", "evaluate")
SERVING = ("publish", "refresh", "lookup")


def expanded() -> list[list[str]]:
    """Commands of ``gnnscale``, one a verb."""
    found = []
    for _, words in commands():
        if words[0] == "gnnscale":
            found += [["gnnscale", verb, *words[2:]] for verb in words[1].split("|")]
    return [words for i, words in enumerate(found) if words not in found[:i]]


COMMANDS = expanded()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, none of whose stages has run."""
    folder = tmp_path_factory.mktemp("docs")
    content: dict[str, Any] = make_shop(folder, seed=9, purchases=600)
    del content["recipe"]
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_stages_of_rankings_run_as_they_are_written(
    recipe: Path, spark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    written = [words for words in COMMANDS if words[1] in STAGES and words[2:3] == ["RECIPE"] and words[1] != "predict"]
    assert {words[1] for words in written} == set(STAGES) - {"predict"}
    plain = [words for words in written if len(words) == 3]
    for words in sorted(plain, key=lambda words: STAGES.index(words[1])) + [w for w in written if len(w) > 3]:
        assert main([words[1], str(recipe), *words[3:]]) == 0, words
    assert "popularity" in capsys.readouterr().out.lower()


def test_answers_are_published_refreshed_and_looked_up_as_it_is_written(
    recipe: Path, spark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the stages of rankings; without a date, the refresh is as of the end of the data."""
    written = [words for words in COMMANDS if words[1] in SERVING]
    assert {words[1] for words in written} == set(SERVING)
    for words in sorted(written, key=lambda words: (SERVING.index(words[1]), -len(words))):
        assert main([words[1], str(recipe), *words[3:]]) == 0, words
    shown = capsys.readouterr().out
    assert "c002: target " in shown and '"vector": [' in shown
    refreshed = Lake(str(recipe.parent / "lake")).read_record("refreshed_next_week")
    assert refreshed is not None and refreshed["since"] == 1_708_387_200 < refreshed["as_of"]


def test_shards_are_loaded_as_they_are_written(recipe: Path, spark: Any) -> None:
    assert main(["shards", str(recipe), "shards.features=true"]) == 0
    lake, settings = Lake(str(recipe.parent / "lake")), load_settings(str(recipe))
    store = GraphStore.open(lake)
    hops = settings.sampling.entity_hops
    sampler = NeighborSampler(store, hops, settings.sampling.strategy, settings.seed, table="customers")
    (block,) = [block for block in blocks("python") if "ShardLoader" in block.content]
    labels = ShardReader(lake, "next_week").labels()
    names: dict[str, Any] = {
        "lake": lake,
        "sampler": sampler,
        "features": {t.name: dense_features(store, t.name) for t in store.manifest.tables},
        "seeds": labels["entity"].to_numpy(),
        "anchors": (labels["anchor_time"].to_numpy() - store.manifest.origin).astype("int32"),
        "training_rows": np.flatnonzero(np.array(labels["split"].to_pylist()) == "train"),
    }
    exec(compile(block.content.replace('"churn"', '"next_week"'), str(block), "exec"), names)
    mine, theirs = (next(names[name].epoch(0)) for name in ("on_disk", "in_memory"))
    assert (mine.rows == theirs.rows).all()
    assert all((a == b).all() for a, b in zip(mine.nodes, theirs.nodes, strict=True))


def test_a_ranking_has_no_predict_stage_and_a_query_that_has_one_is_answered(
    recipe: Path, spark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(recipe)]) == 2
    assert "its stages are graph" in capsys.readouterr().err
    lake = str(recipe.parent / "lake")
    asked = [words for words in COMMANDS if words[1] == "query" and "PREDICT ..." in words]
    assert asked
    for words in asked:
        place = words[words.index("--lake") + 1]
        assert place in ("PATH", "lake/complete_journey")
        assert main(["query", ANY_QUERY, "--lake", lake, "--mode", "fast", *SMALL]) == 0
    assert "auroc" in capsys.readouterr().out.lower()


def test_searches_and_explanations_are_read(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = str(recipe.parent / "lake")
    searched = [words for words in COMMANDS if words[1] == "query" and "..." in words]
    assert searched
    for words in searched:
        rest = [word for word in words[5:] if "=" in word]
        assert main(["query", ANY_QUERY, "--lake", lake, *rest, "--dry-run"]) == 0
    assert main(["query", ANY_QUERY, "--lake", lake, "--explain"]) == 0
    assert main(["explain", str(recipe)]) == 0
    assert "PREDICT" in capsys.readouterr().out


def test_the_recipe_of_the_demo_takes_what_is_written() -> None:
    written = [words for words in COMMANDS if words[1:3] == ["run", "complete_journey"]]
    assert written
    for words in written:
        settings = load_settings(words[2], words[3:])
        assert settings.spark.master == "spark://host:7077"


def test_recipes_of_interactions_run_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = [words for words in COMMANDS if words[1] == "run" and recipe_kind(words[2]) == "interactions"]
    assert {words[2] for words in written} == {"interactions", "cosmetics_shop"}
    monkeypatch.chdir(tmp_path)
    write_shop_log("raw/cosmetics", ShopLogSettings(users=60, products=40, events=2_000))
    pairs = sorted({(u % 50, (u * u + 7 * u) % 41 % 30) for u in range(700)})
    Path("ratings.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in pairs))
    for words in written:
        assert main([*words[1:], "methods=[popularity]"]) == 0, words


def test_recipes_without_a_graph_and_other_questions_take_what_is_written() -> None:
    written = [words for words in COMMANDS if words[1] == "run" and words[2] != "complete_journey"]
    assert {"sequences", "pinnerformer"} <= {words[2] for words in written}
    load = {"graph": load_settings, "interactions": load_interaction_settings, "sequences": load_sequence_settings}
    for words in written:
        assert load[recipe_kind(words[2])](words[2], words[3:]).recipe == words[2]  # type: ignore[operator]


def test_the_question_of_the_readme_is_one_that_is_tested() -> None:
    (asked,) = {words[2] for words in COMMANDS if words[1] == "query" and len(words) > 2 and "transactions" in words[2]}
    assert asked.split() == QUERIES["churn"].split()


def test_every_command_was_run_or_is_known() -> None:
    """What none of these tests has taken up would show here."""
    for words in COMMANDS:
        # Of ``runs``, see tests/tracking/test_run_comparison.py.
        assert words[1] in (*STAGES, *SERVING, "run", "query", "explain", "runs"), words
    for place, words in commands():
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), (place, words)
        elif words[:2] == ["python", "-m"]:
            file = ROOT / (words[2].replace(".", "/") + ".py")
            content = file.read_text() + (ROOT / "tests/benchmarks/measure.py").read_text()
            assert all(f'"{flag}"' in content for flag in words[3:]), (place, words)
        elif words[0] == ".venv/bin/python":
            assert (ROOT / words[3]).is_file(), (place, words)
        else:
            assert words[0] == "gnnscale", (place, words)


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if "query: >-" not in b.content], ids=str)
def test_configuration_of_the_docs_is_taken(
    block: Any, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of recipes; the one that is whole is read in ``test_recipe``."""
    for variable in re.findall(r"oc\.env:(\w+)", block.content):
        monkeypatch.setenv(variable, "secret")
    content = yaml.safe_load(recipe.read_text())
    given = yaml.safe_load(block.content)
    if "network" in given.get("model", {}):
        content.pop("sampling")
    path = tmp_path / "told.yaml"
    path.write_text(yaml.safe_dump({**content, **given}))
    settings = load_settings(str(path))
    for section, values in given.items():
        kept = settings.model_dump(mode="json")[section]
        assert set(values) <= set(kept), section
