"""Predictions equal brute force over what the filters allow, at any size of partition and after a kill."""

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.retrieval import build_query_indexes
from gnnscale.retrieval.index.saved import load_index, read_manifest
from gnnscale.retrieval.retrieve_stage import retrieve
from gnnscale.schema import ConfigError, DataError, LakeError
from tests.retrieval.inventory_lake import LATEST, TEST, anchor_of, make_inventory

K = 10
FILTERS = {
    "conditions": [{"column": "stock", "operator": ">", "value": 0}],
    "category": {"entity": "taste", "target": "category", "own": "others"},
    "deny": "deny_next_week",
    "allow": "allow_next_week",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three thousand items for three hundred shoppers, with deny and allow lists."""
    inventory = make_inventory(tmp_path_factory.mktemp("small"), 3000, 300)
    rng = np.random.default_rng(3)
    denied = {"entity": [f"s{i}" for i in rng.integers(0, 300, 900)], "target": 1000 + rng.integers(0, 3000, 900)}
    everyone = {"entity": pa.nulls(20, pa.string()), "target": 1000 + rng.integers(0, 3000, 20)}
    inventory.lake.write("deny_next_week", pa.concat_tables([pa.table(denied), pa.table(everyone)]))
    some = 1000 + np.tile(np.arange(0, 3000, 7), 2)
    names = ["s5"] * 429 + ["s6"] * 429
    # s7 has a list, and nothing that is known in it.
    allowed = pa.table({"entity": [*names[: len(some)], "s7"], "target": np.append(some, 1)})
    inventory.lake.write("allow_next_week", allowed)
    return inventory


def run(inventory, **retrieval):
    settings = inventory.settings(**retrieval)
    anchors = [inventory.plan.test, inventory.plan.latest]
    build_query_indexes(settings, inventory.lake, inventory.query, anchors)
    return retrieve(settings, inventory.lake, inventory.query, inventory.plan)


def lists_of(inventory, table="predictions_next_week") -> dict[int, tuple[list[int], list[float]]]:
    rows = inventory.lake.read(table).sort_by([("entity", "ascending"), ("rank", "ascending")]).to_pylist()
    found: dict[int, tuple[list[int], list[float]]] = {}
    for row in rows:
        targets, scores = found.setdefault(int(row["entity"][1:]), ([], []))
        targets.append(row["target"] - 1000)
        scores.append(row["score"])
        assert row["rank"] == len(targets)
    return found


def allowed_items(inventory, shopper: int) -> np.ndarray:
    """By the definition, from the tables."""
    denied = inventory.lake.read("deny_next_week").to_pylist()
    listed = inventory.lake.read("allow_next_week").to_pylist()
    keep = (inventory.stock > 0) & (inventory.category != inventory.taste[shopper])
    for row in denied:
        if row["entity"] in (None, f"s{shopper}"):
            keep[row["target"] - 1000] = False
    own = [row["target"] - 1000 for row in listed if row["entity"] == f"s{shopper}"]
    if own:
        keep &= np.isin(np.arange(len(keep)), own)
    return np.flatnonzero(keep)


def check(inventory, lists, shopper: int, allowed: np.ndarray) -> None:
    scores = inventory.scores(shopper)
    best = allowed[np.argsort(-scores[allowed], kind="stable")][:K]
    targets, predicted = lists.get(shopper, ([], []))
    assert len(targets) == len(best) and set(targets) <= set(allowed.tolist())
    np.testing.assert_allclose(predicted, scores[best], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(predicted, scores[targets], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["flat", "grouped", "hnsw"])
def test_predictions_are_the_best_of_what_filters_allow(small, kind):
    done = run(small, filters=FILTERS, index={"kind": kind, "recall": 0.99, "nlist": 16}, partition_rows=77)
    lists = lists_of(small)
    assert 7 not in lists, "an empty allow list gives no rows"
    if kind == "flat":
        for shopper in range(300):
            check(small, lists, shopper, allowed_items(small, shopper))
        assert done.recall.mean == 1
    assert done.recall.low > 0.9 and done.rows == sum(len(targets) for targets, _ in lists.values())
    assert done.entities == len(lists) + 1
    assert all(len(targets) == K for shopper, (targets, _) in lists.items())
    for shopper, (targets, _) in lists.items():
        assert set(targets) <= set(allowed_items(small, shopper).tolist())
    assert anchor_of(small.lake.read("predictions_next_week")) == {LATEST}


def test_the_holdout_is_not_filtered_and_of_its_own_anchor(small):
    run(small, filters=FILTERS)
    assert anchor_of(small.lake.read("holdout_next_week")) == {TEST}
    lists = lists_of(small, "holdout_next_week")
    for shopper in range(0, 300, 10):
        scores = -(small.items @ small.shoppers[shopper])
        for item, score in small.pairs[shopper].items():
            scores[item] = score
        np.testing.assert_allclose(lists[shopper][1], -np.sort(-scores)[:K], rtol=1e-4, atol=1e-4)


def test_partitions_and_runs_do_not_change_the_rows(small):
    run(small, partition_rows=41)
    one = small.lake.read("predictions_next_week").sort_by([("entity", "ascending"), ("rank", "ascending")])
    assert len(small.lake.open("predictions_next_week").file_uris()) == 8
    run(small, partition_rows=1000)
    assert len(small.lake.open("predictions_next_week").file_uris()) == 1
    two = small.lake.read("predictions_next_week").sort_by([("entity", "ascending"), ("rank", "ascending")])
    assert one.equals(two)
    version = small.lake.version("predictions_next_week")
    retrieve(small.settings(partition_rows=1000), small.lake, small.query, small.plan)
    assert small.lake.version("predictions_next_week") == version, "the same answers are not committed again"


def test_diversity_and_exploration_keep_to_their_rules(small):
    run(
        small,
        diversity={"column": "category", "cap": 2},
        exploration=0.2,
        filters={"conditions": FILTERS["conditions"]},
    )
    rows = small.lake.read("predictions_next_week").to_pandas()
    item = rows["target"].to_numpy() - 1000
    assert (small.stock[item] > 0).all()
    ranked = rows[~rows["explored"]].assign(category=small.category[item[~rows["explored"]]])
    assert ranked.groupby(["entity", "category"]).size().max() == 2
    assert (rows.groupby("entity").size() == K).all()
    assert 0.15 < rows["explored"].mean() < 0.25


def test_what_the_filters_leave_to_nobody_is_an_error_and_changes_nothing(small):
    run(small)
    version = small.lake.version("predictions_next_week")
    nothing = small.settings(filters={"conditions": [{"column": "stock", "operator": ">", "value": 9}]})
    with pytest.raises(ConfigError, match="let none of 3,000 items through"):
        retrieve(nothing, small.lake, small.query, small.plan)
    with pytest.raises(LakeError, match="no table 'deny_week'"):
        retrieve(small.settings(filters={"deny": "deny_week"}), small.lake, small.query, small.plan)
    wrong = small.settings(filters={"conditions": [{"column": "colour", "value": "red"}]})
    with pytest.raises(DataError, match="no column 'raw_colour'"):
        retrieve(wrong, small.lake, small.query, small.plan)
    assert small.lake.version("predictions_next_week") == version


def test_an_index_is_kept_and_refused_when_its_embeddings_have_changed(tmp_path):
    inventory = make_inventory(tmp_path, 500, 20)
    settings = inventory.settings(index={"kind": "grouped", "nlist": 8})
    with pytest.raises(LakeError, match="run the index stage"):
        retrieve(settings, inventory.lake, inventory.query, inventory.plan)
    build_query_indexes(settings, inventory.lake, inventory.query, [TEST, LATEST])
    loaded = load_index(inventory.lake, "next_week", LATEST)
    index, manifest, folder = loaded.index, loaded.manifest, loaded.folder
    assert manifest == read_manifest(inventory.lake, "next_week", LATEST)
    assert (index.size, manifest.size, manifest.anchor) == (500, 500, LATEST)
    assert manifest.recall.low >= 0.8 and manifest.files["targets.npy"][0] > 500 * 16 * 4
    np.testing.assert_array_equal(loaded.vectors, inventory.items)
    rows = inventory.lake.read("embeddings_items")
    inventory.lake.write("embeddings_items", rows)
    with pytest.raises(LakeError, match=r"is of version 1 of embeddings_items, which is at version 2 now; run"):
        retrieve(settings, inventory.lake, inventory.query, inventory.plan)
    assert not inventory.lake.exists("predictions_next_week")
    build_query_indexes(settings, inventory.lake, inventory.query, [TEST, LATEST])
    (folder / "ids.npy").write_bytes(b"half")
    with pytest.raises(LakeError, match=r"ids.npy is missing or not of"):
        load_index(inventory.lake, "next_week", LATEST)


SCRIPT = """
import pickle, sys
from gnnscale.retrieval.retrieve_stage import retrieve
retrieve(*pickle.load(open(sys.argv[1], 'rb')))
"""


def test_200_thousand_items_equal_brute_force_and_a_killed_run_is_taken_up(tmp_path):
    inventory = make_inventory(tmp_path, 200_000, 2000)
    settings = inventory.settings(
        partition_rows=20,
        index={"kind": "grouped", "recall": 0.95, "sample": 300},
        filters={"conditions": FILTERS["conditions"]},
    )
    build_query_indexes(settings, inventory.lake, inventory.query, [TEST, LATEST])
    arguments = tmp_path / "arguments.pickle"
    arguments.write_bytes(pickle.dumps((settings, inventory.lake, inventory.query, inventory.plan)))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(arguments)], cwd=Path(__file__).parents[2])
    folder = Path(inventory.lake.table_uri("predictions_next_week"))
    limit = time.monotonic() + 120
    while time.monotonic() < limit and len(list(folder.glob("answers-*"))) < 5:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {file.name: file.stat().st_mtime_ns for file in folder.glob("answers-*")}
    assert 5 <= len(before) < 100, "it should have been killed on its way"
    assert not inventory.lake.exists("predictions_next_week")
    store = Path(inventory.lake.uri) / "_store"
    assert list(store.glob("search-*")), "vectors were mapped while they were searched for"
    done = retrieve(settings, inventory.lake, inventory.query, inventory.plan)
    assert not list(store.glob("search-*"))
    after = {file.name: file.stat().st_mtime_ns for file in folder.glob("answers-*")}
    assert len(after) == 100 and all(after[name] == at for name, at in before.items())
    lists = lists_of(inventory)
    allowed = np.flatnonzero(inventory.stock > 0)
    right = 0
    for shopper in range(0, 2000, 20):
        scores = inventory.scores(shopper)
        last = -np.sort(-scores[allowed])[K - 1]
        targets, predicted = lists[shopper]
        assert len(targets) == K and (inventory.stock[targets] > 0).all()
        np.testing.assert_allclose(predicted, scores[targets], rtol=1e-4, atol=1e-4)
        right += int((np.array(predicted) >= last - 1e-4).sum())
    assert right / 1000 > 0.93
    assert done.recall.low <= right / 1000 <= 1 and done.recall.mean >= 0.95
    assert len(lists) == 2000
    unbroken = inventory.lake.read("predictions_next_week")
    for file in folder.glob("answers-*"):
        file.touch()
    retrieve(settings, inventory.lake, inventory.query, inventory.plan, run_nonce="once more")
    again = inventory.lake.read("predictions_next_week")
    order = [("entity", "ascending"), ("rank", "ascending")]
    assert again.sort_by(order).equals(unbroken.sort_by(order))
