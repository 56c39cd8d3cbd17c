"""Shards in real Ray actors: the table that one process writes, also where an actor is killed on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray

from gnnscale.pipeline.workers.ray_index import cpu_share, ray_shards
from gnnscale.retrieval import Retrieved, build_query_indexes, retrieve
from gnnscale.retrieval.index_shards.index_shard import TargetShard
from gnnscale.retrieval.index_shards.shard_pool import OpenShard, Question, ShardPool, StartShards
from gnnscale.schema import GnnscaleError, LakeError
from tests.cluster import wait_until
from tests.ray_actors import actor_processes
from tests.retrieval.inventory_lake import LATEST, TEST, Inventory, make_inventory
from tests.retrieval.shards_here import start_workers_here

pytestmark = pytest.mark.slow

FILTERS = {"conditions": [{"column": "stock", "operator": ">", "value": 0}]}


@pytest.fixture(scope="module")
def found_ray() -> Iterator[None]:
    """A Ray that was there before; where there is none, shards begin one of their own and end it."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return make_inventory(tmp_path_factory.mktemp("sharded"), 3000, 200)


def answers(
    inventory: Inventory, advance: Callable[[int], None] = lambda rows: None, **index: object
) -> tuple[Retrieved, pa.Table]:
    """Predictions, by Ray where there are several shards, in order of entity and rank; the indexes are built here."""
    settings = inventory.settings(index=index, filters=FILTERS, partition_rows=50)
    build_query_indexes(settings, inventory.lake, inventory.query, [TEST, LATEST], start_workers_here)
    with ray_shards(settings) as start_workers:
        done = retrieve(
            settings, inventory.lake, inventory.query, inventory.plan, None, advance, start_workers=start_workers
        )
    order = [("entity", "ascending"), ("rank", "ascending")]
    return done, inventory.lake.read("predictions_next_week").sort_by(order)


def test_three_actors_answer_as_one_process_and_one_that_is_killed_is_replaced(inventory: Inventory) -> None:
    _, one = answers(inventory, kind="flat")
    assert not ray.is_initialized(), "one index needs no Ray"
    rows, killed = [0], []

    def kill(done: int) -> None:
        rows[0] += done
        # On the way through the predictions, after the holdout.
        if not killed and rows[0] > 250:
            processes = actor_processes("_ShardActor")
            assert len(processes) == 3
            killed.append(processes[1])
            os.kill(killed[0], signal.SIGKILL)

    done, three = answers(inventory, kill, kind="flat", shards=3)
    assert killed and rows[0] == 400
    assert done.index.shards == (1000, 1000, 1000) and done.recall.mean == 1
    for column in ("entity", "target", "rank", "anchor_time"):
        assert three[column].equals(one[column]), column
    np.testing.assert_allclose(three["score"].to_numpy(), one["score"].to_numpy(), rtol=1e-5)
    # Ray ends processes after the call that ends actors has returned.
    wait_until(lambda: not actor_processes("_ShardActor"))
    assert not ray.is_initialized()


class KillingPool:
    """Kills the actor of a shard before the fifth question."""

    def __init__(self, pool: ShardPool) -> None:
        self.pool, self.questions = pool, 0

    def ask(self, questions: Mapping[int, Question[Any]]) -> dict[int, Any]:
        self.questions += 1
        if self.questions == 5:
            os.kill(actor_processes("_ShardActor")[0], signal.SIGKILL)
        return self.pool.ask(questions)


def killing(start_workers: StartShards, pools: list[KillingPool]) -> StartShards:
    """Hires as the other does, and kills on the way."""

    @contextmanager
    def hire_and_kill(opens: Sequence[OpenShard], needed: int) -> Iterator[KillingPool]:
        with start_workers(opens, needed) as pool:
            pools.append(KillingPool(pool))
            yield pools[-1]

    return hire_and_kill


@pytest.mark.usefixtures("found_ray")
def test_an_actor_that_is_killed_while_the_search_is_widened_builds_its_clusters_again(inventory: Inventory) -> None:
    settings = inventory.settings(index={"kind": "grouped", "nlist": 48, "recall": 0.8, "sample": 200, "shards": 2})
    lake, query, pools = inventory.lake, inventory.query, list[KillingPool]()
    whole = build_query_indexes(settings, lake, query, [LATEST, TEST], start_workers_here)[0]
    assert whole.recall.low >= 0.8 and 1 < whole.setting.search_width < 12
    with ray_shards(settings) as start_workers:
        again = build_query_indexes(settings, lake, query, [LATEST], killing(start_workers, pools))[0]
    # Bounds, exact answers, setting and first index come before, and saving comes after.
    assert pools[0].questions > 6
    assert again.files == whole.files and again.recall == whole.recall
    assert again.setting.search_width == whole.setting.search_width
    assert retrieve(settings, lake, query, inventory.plan, start_workers=start_workers_here).recall.mean >= 0.8


@pytest.mark.usefixtures("found_ray")
def test_no_room_too_many_losses_and_a_fault_of_the_input_are_told(inventory: Inventory) -> None:
    settings = inventory.settings(index={"kind": "flat", "shards": 2})
    lake, query = inventory.lake, inventory.query
    build_query_indexes(settings, lake, query, [TEST, LATEST], start_workers_here)
    folder = Path(lake.uri) / "_indexes" / "next_week"
    (folder / str(TEST) / "shard-1" / "index.faiss").write_bytes(b"half")
    with ray_shards(settings, room_seconds=1, max_failures=0) as start_workers:
        with (
            pytest.raises(GnnscaleError, match=r"no room within 1 s for retrieval.index.shards=2 with 9000.0 GB"),
            start_workers([TargetShard] * 2, 9_000 * 10**9),  # type: ignore[list-item]
        ):
            pass
        with pytest.raises(LakeError, match=r"shard-1/index.faiss is missing or not of"):
            retrieve(settings, lake, query, inventory.plan, start_workers=start_workers)
        with pytest.raises(GnnscaleError, match="1 actors that hold shards of the index were lost, more than 0"):
            build_query_indexes(settings, lake, query, [LATEST], killing(start_workers, []))
    wait_until(lambda: not actor_processes("_ShardActor"))


@pytest.mark.parametrize(
    ("cpus", "shards", "share"),
    [([2], 3, 0.66), ([16, 16, 16], 3, 16), ([4, 16, 16], 3, 8), ([0, 8], 2, 4), ([3, 3], 4, 1), ([1], 4, 0.25)],
)
def test_shards_have_all_the_cores_that_they_can(cpus: list[float], shards: int, share: float) -> None:
    assert cpu_share(cpus, shards) == share
