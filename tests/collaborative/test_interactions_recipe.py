"""The recipe from a file to predictions, and what stands beside them."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from gnnscale.cli.main import main
from gnnscale.collaborative import (
    compare_methods,
    evaluate_scorer,
    make_recommender,
    read_interactions,
    split_interactions,
)
from gnnscale.collaborative.tuning import fewer_pairs
from gnnscale.config import load_interaction_settings
from gnnscale.lake import Lake
from tests.collaborative.matrices import two_tastes


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = "".join(f"u{u},i{i}\n" for u, i in zip(*two_tastes(120, 40, 9).nonzero(), strict=True))
    path = tmp_path_factory.mktemp("interactions") / "log.csv"
    path.write_text("user,item\n" + rows)
    return path


def test_methods_are_compared_and_the_best_ones_lists_are_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"source={source}", f"lake.uri={tmp_path / 'lake'}", "methods=[popularity,ease,item_knn]", "top=5"]
    words += ["split=random", "test_share=0.2"]
    assert main(["run", "interactions", *words]) == 0
    shown = capsys.readouterr().out
    lake = Lake(str(tmp_path / "lake"))
    record = lake.read_record("evaluation_interactions")
    assert [row["method"] for row in record["rows"]] == re.findall(r"│ (mix|popularity|ease|item_knn) ", shown)
    assert (record["users"], record["items"], record["split"]) == (120, 40, "random")
    rows = {row["method"]: row for row in record["rows"]}
    assert rows["mix"]["test"]["recall@20"] > rows["popularity"]["test"]["recall@20"] + 0.1
    assert sum(row["weight"] for row in record["rows"] if row["method"] != "mix") == pytest.approx(1, abs=1e-3)
    # the figures are those of the split and the settings on record
    settings = load_interaction_settings("interactions", words)
    log = read_interactions(settings)
    fold = split_interactions(log, settings).test
    alone = make_recommender({"name": "ease", **rows["ease"]["options"]}).fit(fold.seen)
    assert evaluate_scorer(alone, fold.had, fold.truth).means["recall@20"] == rows["ease"]["test"]["recall@20"]
    found = lake.read("predictions_interactions").to_pandas()
    assert (found.groupby("user")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3, 4, 5])).all()
    assert found.groupby("user")["score"].apply(lambda scores: (np.diff(scores) <= 0).all()).all()
    had = {
        (log.user_keys[int(u)].as_py(), log.item_keys[int(i)].as_py()) for u, i in zip(log.user, log.item, strict=True)
    }
    assert not had & set(zip(found["user"], found["item"], strict=True))
    # Who is new gets what most have had.
    newcomers = lake.read("newcomers_interactions").to_pandas()
    users_of = pd.Series([item for _, item in had]).value_counts()
    assert newcomers["rank"].tolist() == [1, 2, 3, 4, 5] and not newcomers["explored"].any()
    assert newcomers["score"].tolist() == users_of[newcomers["item"]].tolist() == users_of.nlargest(5).tolist()
    run = mlflow.MlflowClient().get_run(lake.read_record("run_interactions")["run_id"])
    assert run.data.metrics["mix/recall_at_20"] == pytest.approx(rows["mix"]["test"]["recall@20"])
    assert run.data.tags["answer"] == record["answer"]


def test_a_dry_run_writes_nothing_and_faults_are_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = f"lake.uri={tmp_path / 'lake'}"
    assert main(["run", "interactions", f"source={source}", lake, "--dry-run"]) == 0
    assert "predictions_interactions" in capsys.readouterr().out
    assert not (tmp_path / "lake").exists()
    for words, fault in {
        (): "configuration key 'source' is missing",
        ("source=x", "splt=random"): "unknown configuration key 'splt'. Did you mean 'split'",
        ("source=x", "columns.usr=a"): "unknown configuration key 'columns.usr'. Did you mean 'columns.user'",
        (f"source={source}", "methods=[eas]"): "there is no recommender 'eas'",
        (f"source={source}", "metrics=[recal@20]"): "there is no metric 'recal'",
    }.items():
        assert main(["run", "interactions", lake, *words]) == 2
        assert fault in capsys.readouterr().err
    assert main(["run", "interactions", lake, f"source={source}", "--mode", "fast"]) == 2
    assert "no run modes" in capsys.readouterr().err


def test_settings_of_large_logs_are_tried_on_some_users_and_judged_on_all(source: Path, tmp_path: Path) -> None:
    words = [f"source={source}", f"lake.uri={tmp_path}", "methods=[popularity,item_knn]", "split=random"]
    settings = load_interaction_settings("interactions", [*words, "tuning_pairs=150"])
    split = split_interactions(read_interactions(settings), settings)
    fold = split.validation
    few = fewer_pairs(fold, 150, settings.seed)
    assert few.seen.shape[1] == fold.seen.shape[1] and few.truth.nnz
    assert 100 < few.seen.nnz <= 150 + np.diff(fold.seen.indptr).max()
    assert fewer_pairs(fold, fold.seen.nnz, settings.seed) is fold
    for method in compare_methods(fold, split.test, settings):
        if method.name == "item_knn":
            whole = make_recommender(method.implementation, settings.seed).fit(fold.seen)
            assert method.validation == evaluate_scorer(whole, fold.had, fold.truth, settings.metrics).means
            tried = make_recommender(method.implementation, settings.seed).fit(few.seen)
            assert method.validation != evaluate_scorer(tried, few.had, few.truth, settings.metrics).means
