from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnscale.cli.main import main
from gnnscale.collaborative import ShopLogSettings, explored, item_sets, write_shop_log
from gnnscale.lake import Lake
from gnnscale.schema import ConfigError
from tests.collaborative.matrices import random_matrix

COLUMNS = ["event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cosmetics")
    write_shop_log(place, ShopLogSettings(users=400, products=150, events=30_000))
    return place


def test_a_log_has_the_columns_and_the_months_of_the_public_one(folder: Path, tmp_path: Path) -> None:
    names = [f"{month}.csv" for month in ("2019-Oct", "2019-Nov", "2019-Dec", "2020-Jan", "2020-Feb")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    log = pd.concat(pd.read_csv(folder / name) for name in names)
    assert [*COLUMNS, "user_session"] == list(log.columns)
    assert log["event_time"].is_monotonic_increasing and len(log) == pytest.approx(30_000, rel=0.05)
    kinds = log["event_type"].value_counts(normalize=True)
    assert kinds.index.tolist() == ["view", "cart", "purchase", "remove_from_cart"]
    assert log["user_id"].nunique() == 400
    again = write_shop_log(tmp_path, ShopLogSettings(users=400, products=150, events=30_000))
    assert [path.read_bytes() for path in again] == [(folder / path.name).read_bytes() for path in again]
    with pytest.raises(ConfigError, match="users must be 1 or more: got 0"):
        ShopLogSettings(users=0, products=1, events=1)


def test_purchases_are_foretold_from_events_of_all_types(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"source={folder}", f"lake.uri={tmp_path / 'lake'}", "methods=[popularity,own_items]", "tune=false"]
    assert main(["run", "cosmetics_shop", *words]) == 0
    assert "5% of the places go to items at random" in capsys.readouterr().out
    lake = Lake(str(tmp_path / "lake"))
    record = lake.read_record("evaluation_cosmetics_purchases")
    recall = {row["method"]: row["test"]["recall@20"] for row in record["rows"]}
    assert record["split"] == "time" and recall["mix"] > recall["popularity"] + 0.02
    cost = record["exploration"]
    assert cost["recall@20"] == pytest.approx(recall[record["answer"]], abs=1e-6)
    # one place of twenty, in a catalogue of 150
    assert cost["explored_recall@20"] == pytest.approx(cost["recall@20"], abs=0.03)
    found = lake.read("predictions_cosmetics_purchases").to_pandas()
    drawn = found.groupby("user")["explored"].sum()
    # a draw may name what stood there
    assert drawn.max() == 1 and drawn.mean() > 0.9 and found.loc[found["explored"], "score"].isna().all()
    log = pd.concat(pd.read_csv(path) for path in folder.iterdir())
    bought = log[log["event_type"] == "purchase"]
    assert not set(zip(found["user"], found["item"], strict=True)) & set(
        zip(bought["user_id"], bought["product_id"], strict=True)
    )


def test_items_drawn_at_random_are_new_and_take_the_last_places() -> None:
    seen = random_matrix(50, 30, 0.2)
    had = item_sets(seen)
    lists = np.argsort(seen.toarray() + np.random.default_rng(0).random((50, 30)) * 0.5, axis=1)[:, :10]
    found = explored(lists, had, 0.25, 30, seed=1)
    assert (found[:, :7] == lists[:, :7]).all() and (found[:, 7:] != lists[:, 7:]).any()
    assert not had.contains(found).any() and all(len(set(row)) == 10 for row in found.tolist())
    assert (explored(lists, had, 0.0, 30, seed=1) == lists).all()
    full = item_sets(random_matrix(5, 4, 1.0))
    assert (explored(np.full((5, 2), -1), full, 0.5, 4, seed=0) == -1).all()


def test_the_job_writes_a_log(tmp_path: Path) -> None:
    command = [sys.executable, "jobs/generate_cosmetics.py", str(tmp_path / "out")]
    sizes = ["--users", "20", "--products", "10", "--events", "500"]
    assert subprocess.run([*command, *sizes], capture_output=True, check=False).returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 5
    refused = subprocess.run([*command, "--users", "0"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "users must be 1 or more" in refused.stderr
