from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from gnnscale.collaborative import InteractionLog, read_interactions, split_interactions
from gnnscale.collaborative.reading import split as split_module
from gnnscale.config import InteractionSettings, LakeSettings
from gnnscale.schema import DataError, LakeError

PAIRS = {(1, 10), (1, 30), (1, 20), (2, 10), (3, 30), (3, 20)}


def settings(source: Path | str, **keys: Any) -> InteractionSettings:
    return InteractionSettings(
        kind="interactions", recipe="r", lake=LakeSettings(uri="lake"), source=str(source), **keys
    )


def pairs_of(log: InteractionLog, rows: Any = slice(None)) -> set[tuple[Any, Any]]:
    users, items = log.user_keys.to_pylist(), log.item_keys.to_pylist()
    return {(users[u], items[i]) for u, i in zip(log.user[rows], log.item[rows], strict=True)}


TEXTS = {
    "plain.csv": "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{u + i}\n" for u, i in PAIRS),
    "u.data": "".join(f"{u}\t{i}\t4\t{u + i}\n" for u, i in PAIRS),
    "ratings.dat": "".join(f"{u}::{i}::4.5::{u + i}\n" for u, i in PAIRS),
    "some.inter": "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(f"{u}\t{i}\t{u + i}\n" for u, i in PAIRS),
    "all.txt": "1 10 30 20\n2 10\n3 30 20\n4\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_any_form_hold_the_same_pairs(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TEXTS[name])
    log = read_interactions(settings(tmp_path / name))
    assert pairs_of(log) == PAIRS and len(log) == 6
    if log.time is not None:
        assert {(u, i): t for u, i, t in zip(log.user, log.item, log.time, strict=True)}[0, 0] == 11
    assert (log.time is None) == (name == "all.txt")


def test_parquet_and_sparse_matrices_are_read(tmp_path: Path) -> None:
    rows = sorted(PAIRS)
    columns = {
        "uid": [f"u{u}" for u, _ in rows],
        "iid": [i for _, i in rows],
        "date": np.arange(6) + np.datetime64("2024-01-01", "s"),
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    log = read_interactions(settings(tmp_path / "rows.parquet"))
    assert pairs_of(log) == {(f"u{u}", i) for u, i in PAIRS}
    assert np.diff(log.time).tolist() == [1_000_000] * 5
    matrix = scipy.sparse.coo_matrix((np.full(6, 2.0), tuple(zip(*rows, strict=True))), shape=(9, 40))
    scipy.sparse.save_npz(tmp_path / "matrix.npz", matrix)
    assert pairs_of(read_interactions(settings(tmp_path / "matrix.npz"))) == PAIRS


def test_lists_of_the_papers_are_a_given_split(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 1 2 3 4 5 6 7 8 9 10\n1 2 3\n2 5 4 3 2 1 0 6 7 8\n")
    (tmp_path / "test.txt").write_text("0 11\n1 1 2\n7 3 4\n")
    (tmp_path / "readme.md").write_text("not read")
    log = read_interactions(settings(tmp_path))
    split = split_interactions(log, settings(tmp_path))
    assert split.rule == "given"
    # (1, 2) was in training, and user 7 was not
    users = log.user_keys.to_pylist()
    found = {(users[u], log.item_keys[int(i)].as_py()) for u, i in zip(*split.test.truth.nonzero(), strict=True)}
    assert found == {(0, 11), (1, 1)}
    assert split.test.had.nnz == 21 and split.validation.had.nnz + split.validation.truth.nnz == 21
    (tmp_path / "other.train.txt").write_text("0 1\n1 2 3\n")
    with pytest.raises(DataError, match="two files of the train part"):
        read_interactions(settings(tmp_path))


def test_splits_hold_what_their_rule_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = sorted({(int(u), int(i)) for u, i in rng.integers(0, 40, (600, 2))})
    time = rng.permutation(len(rows))
    text = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for (u, i), t in zip(rows, time, strict=True))
    (tmp_path / "log.csv").write_text(text)
    log = read_interactions(settings(tmp_path / "log.csv"))
    stamps = scipy.sparse.coo_matrix((log.time + 1, (log.user, log.item)), shape=(40, 40)).tocsr()
    for rule in ("time", "latest", "random"):
        split = split_interactions(log, settings(tmp_path / "log.csv", split=rule, test_share=0.2))
        test, validation = split.test, split.validation
        assert ((test.had + test.truth) != split.had).nnz == 0
        assert ((validation.had + validation.truth) != test.had).nnz == 0
        assert test.truth.nnz == pytest.approx(0.2 * len(rows), rel=0.15)
        known, after = (stamps.multiply(part > 0).tocsr() for part in (test.had, test.truth))
        if rule == "time":
            assert known.max() < after.data.min()
        if rule == "latest":
            for user in range(40):
                assert known[user].max() < after[user].data.min()


def test_a_given_validation_of_few_users_is_held_out_of_others_too(tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    rows = [(user, item, stamp) for user in range(30) for stamp, item in enumerate(rng.permutation(40)[: 3 + user % 5])]
    table = pd.DataFrame(rows, columns=["user", "item", "position"])
    last = table.groupby("user")["position"].transform("max")
    table["part"] = np.where((table["user"] < 4) & (table["position"] == last), "validation", "train")
    table.loc[(table["user"] < 4) & (table["position"] == last - 1), "part"] = "validation"
    tests = pd.DataFrame({"user": range(30), "item": 99, "position": 99, "part": "test"})
    pd.concat([table, tests]).to_csv(tmp_path / "log.csv", index=False)
    log = read_interactions(settings(tmp_path / "log.csv"))
    for enough, held in ((30, 30), (10, 10), (2, 4)):
        monkeypatch.setattr(split_module, "ENOUGH_USERS", enough)
        split = split_interactions(log, settings(tmp_path / "log.csv"))
        owners = np.flatnonzero(np.diff(split.validation.truth.indptr))
        assert len(owners) == held and set(range(4)) <= set(owners)
        # The latest two of each, as those that are given have two; what is held out is no input.
        for user in owners:
            own = table[table["user"] == user].nlargest(2, "position")["item"].astype(str)
            keys = [log.item_keys[int(item)].as_py() for item in split.validation.truth[user].indices]
            assert set(map(str, keys)) == set(own)
        assert split.validation.seen.multiply(split.validation.truth).nnz == 0
        assert split.test.seen.nnz == len(table)


def test_behaviors_are_summed_and_never_below_zero(tmp_path: Path) -> None:
    events = [("a", "x", "view"), ("a", "x", "cart"), ("a", "y", "cart"), ("a", "y", "remove"), ("a", "y", "remove")]
    events += [("b", "x", "view"), ("b", "y", "buy"), ("b", "z", "other"), ("b", "w", "buy"), ("a", "w", "buy")]
    stamped = [f"{u},{i},{kind},2024-01-{day + 1:02d} 08:00:00 UTC" for day, (u, i, kind) in enumerate(events)]
    (tmp_path / "log.csv").write_text("user,item,event_type,event_time\n" + "\n".join(stamped) + "\n")
    weights = {"view": 1, "cart": 3, "remove": -2, "buy": 5}
    given = settings(tmp_path / "log.csv", behaviors=weights, targets=("buy",))
    log = read_interactions(given)
    assert len(log) == 9 and log.is_target.sum() == 3
    part = np.zeros(9, np.int8)
    part[[7, 8]] = 2, 1
    split = split_interactions(
        InteractionLog(**{**log.__dict__, "part": part}), given.model_copy(update={"split": "given"})
    )
    names = log.user_keys.to_pylist(), log.item_keys.to_pylist()
    cells = {(names[0][u], names[1][i]): split.whole[u, i] for u, i in zip(*split.whole.nonzero(), strict=True)}
    assert cells == {("a", "x"): 4, ("b", "x"): 1, ("b", "y"): 5, ("b", "w"): 5, ("a", "w"): 5}


FAULTS = {
    "who,what\n1,2\n": "no column of users nor of items is found among who, what; name it: columns.user=NAME columns",
    "user,item\n": "has no interactions",
    "": "is empty",
    "alone\n": "the first line has no two values: 'alone'",
    "user item\n1 2 3\n1 2\n": "log.txt: CSV parse error",
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(DataError, match=FAULTS[text]):
        read_interactions(settings(tmp_path / "log.txt"))


def test_what_a_recipe_asks_for_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("user,item\n1,2\n1,3\n1,4\n")
    with pytest.raises(DataError, match=r"there is no column 'itm'. Did you mean 'item'"):
        read_interactions(settings(tmp_path / "log.txt", columns={"item": "itm"}))
    with pytest.raises(DataError, match="min_rating needs a column of ratings"):
        read_interactions(settings(tmp_path / "log.txt", min_rating=3))
    with pytest.raises(DataError, match="split=time needs a column of times"):
        split_interactions(read_interactions(settings(tmp_path / "log.txt")), settings(tmp_path, split="time"))
    with pytest.raises(DataError, match="a given split needs a column or files"):
        split_interactions(read_interactions(settings(tmp_path / "log.txt")), settings(tmp_path, split="given"))
    with pytest.raises(LakeError, match="no file or folder"):
        read_interactions(settings(tmp_path / "nothing.csv"))
    with pytest.raises(ValueError, match="buy is none of behaviors, which are view"):
        settings("log", behaviors={"view": 1.0}, targets=("buy",))
