"""The leave-last-out protocol on small files: parts, ranks, and a chain that a network learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnscale.cli.main import main
from gnnscale.config import load_sequence_settings
from gnnscale.config.sections.training import ModelSettings
from gnnscale.evaluation import run_leave_last_out
from gnnscale.evaluation.leave_last_out.ordered_items import read_ordered_items
from gnnscale.evaluation.leave_last_out.protocol import draw_unseen, list_figures, rank_last
from gnnscale.lake import Lake
from gnnscale.schema import ConfigError, DataError

ITEMS = 24
SMALL = [
    "model.hidden=16",
    "model.tower_channels=16",
    "model.sequence.length=16",
    "model.dropout=0.0",
    "training.batch_size=16",
    "training.learning_rate=0.01",
    "training.warmup_steps=5",
    "training.epochs=6",
    "resamples=100",
]


def chain(folder: Path) -> Path:
    """Users who go from item to the next, each from another one on."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        start, length = rng.integers(0, ITEMS), rng.integers(5, 15)
        rows += [(f"u{user}", int((start + step) % ITEMS) * 10, step) for step in range(length)]
    frame = pd.DataFrame(rows, columns=["user", "item", "position"]).sample(frac=1, random_state=1)
    frame.to_csv(folder / "chain.csv", index=False)
    return folder / "chain.csv"


def read(path: Path, *words: str):
    return read_ordered_items(load_sequence_settings("sequences", [f"source={path}", *words]))


def test_the_last_row_of_a_user_is_the_tests(tmp_path: Path) -> None:
    frame = pd.DataFrame({"u": [7, 7, 7, 7, 3, 3, 9, 9, 9], "i": list("abcdabcab"), "t": [4, 3, 2, 1, 1, 2, 5, 6, 7]})
    frame.to_parquet(tmp_path / "some.parquet")
    data = read(tmp_path / "some.parquet", "columns.user=u", "columns.item=i", "columns.time=t")
    assert data.items == 4 and data.log.indptr.tolist() == [0, 2, 6, 9]
    # In order of time, user 7 had d, c, b, a; user 3 has too few to be judged.
    assert data.log.targets_at(np.arange(2, 6)).tolist() == [3, 2, 1, 0]
    assert data.users.tolist() == [1, 2] and data.train.tolist() == [2, 4, 7]
    assert data.validation.tolist() == [4, 7] and data.test.tolist() == [5, 8]
    assert data.log.times is None
    plain = read(tmp_path / "some.parquet", "columns.user=u", "columns.item=i")
    assert plain.log.targets_at(np.arange(2, 6)).tolist() == [0, 1, 2, 3] and plain.log.times is None
    for when in (pd.to_datetime(frame["t"], unit="h", origin="2024-01-01"), 1_704_067_200_000 + 3_600_000 * frame["t"]):
        frame.assign(timestamp=when).to_parquet(tmp_path / "timed.parquet")
        timed = read(tmp_path / "timed.parquet", "columns.user=u", "columns.item=i")
        assert (timed.log.times / 3600).tolist() == [0, 1, 0, 1, 2, 3, 4, 5, 6]


def test_parts_are_taken_as_they_are_said(tmp_path: Path) -> None:
    parts = ["train", "context", "validation", "test", "train", "train", "test"]
    frame = pd.DataFrame({"user": [1, 1, 1, 1, 2, 2, 2], "item": [1, 2, 3, 4, 1, 2, 3], "part": pd.Categorical(parts)})
    frame.to_parquet(tmp_path / "parts.parquet")
    data = read(tmp_path / "parts.parquet")
    assert data.users.tolist() == [0] and data.train.tolist() == [2, 6]
    assert data.validation.tolist() == [2] and data.test.tolist() == [3]
    frame["part"] = ["train", "test", "validation", "test", "train", "train", "test"]
    frame.to_parquet(tmp_path / "parts.parquet")
    with pytest.raises(DataError, match="a test row before a validation row"):
        read(tmp_path / "parts.parquet")
    frame["part"] = "all"
    frame.to_parquet(tmp_path / "parts.parquet")
    with pytest.raises(DataError, match="has a row to train on, one to validate"):
        read(tmp_path / "parts.parquet")
    with pytest.raises(DataError, match="no column 'usr'"):
        read(tmp_path / "parts.parquet", "columns.user=usr")


def test_ties_count_against_the_model_and_seen_items_are_left_out(tmp_path: Path) -> None:
    data = read(chain(tmp_path))
    users, places = data.users[:9], data.test[:9]
    right = data.log.targets_at(places)

    def level(own, ends):
        return np.zeros((len(own), data.items), np.float32)

    def best(own, ends):
        found = level(own, ends)
        found[np.arange(len(own)), data.log.targets_at(ends)] = 1
        return found

    def undefined(own, ends):
        return np.full((len(own), data.items), np.nan, np.float32)

    for scores in (level, undefined):
        full, sampled = rank_last(scores, data.log, users, places, seen=True, negatives=4)
        assert (full == data.items).all() and (sampled == 5).all()
    had = places - data.log.indptr[users]
    assert (rank_last(level, data.log, users, places, False)[0] == data.items - had).all()
    assert (rank_last(best, data.log, users, places, True, 4)[0] == 1).all()
    drawn = draw_unseen(3, right[:2], data.items, 10, seed=1)
    assert len(set(drawn.tolist()) - set(right[:2].tolist())) == 10
    assert drawn.tolist() == draw_unseen(3, right[:2], data.items, 10, seed=1).tolist()
    assert drawn.tolist() != draw_unseen(4, right[:2], data.items, 10, seed=1).tolist()
    figures = list_figures(np.array([1, 3, 11]), 10)
    assert figures["hr@10"].tolist() == [1, 1, 0] and figures["ndcg@10"].tolist() == [1, 0.5, 0]


def test_a_chain_is_learned_and_a_killed_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"source={chain(tmp_path)}", *SMALL, "negatives=10", "length=2"]
    found = run_leave_last_out(load_sequence_settings("sequences", [*words, f"lake.uri={tmp_path / 'whole'}"]))
    # By chance it would be two of some fifteen items.
    assert found.figures["hr@2"] > 0.9 and found.figures["sampled_hr@2"] >= found.figures["hr@2"]
    interval = found.intervals["ndcg@2"]
    assert interval.low <= found.figures["ndcg@2"] <= interval.high and found.users == 60
    assert Lake(tmp_path / "whole").read_record("leave_last_out")["figures"] == found.figures
    again = run_leave_last_out(load_sequence_settings("sequences", [*words, f"lake.uri={tmp_path / 'whole'}"]))
    assert again.figures == found.figures and again.epochs == found.epochs
    assert main(["run", "sequences", *words, f"lake.uri={tmp_path / 'whole'}"]) == 0
    shown = capsys.readouterr().out
    assert "hr@2" in shown and f"{found.figures['hr@2']:.4f}" in shown


def test_what_reads_no_interactions_is_refused(tmp_path: Path) -> None:
    words = [f"source={chain(tmp_path)}", f"lake.uri={tmp_path}"]
    settings = load_sequence_settings("sequences", words)
    blocks = settings.model_copy(update={"model": ModelSettings(network="blocks")})
    with pytest.raises(ConfigError, match="set it to sequence"):
        run_leave_last_out(blocks)
    assert main(["run", "sequences", "source=nowhere.csv", f"lake.uri={tmp_path}"]) == 2
    assert main(["run", "sequences", f"source={chain(tmp_path)}", "columns.usr=x"]) == 2
