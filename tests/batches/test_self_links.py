"""Rows that name rows of their own table: neighborhoods whose slots are many, and mostly empty."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnscale.batches import EntityBatch, EntityBatchBuilder, EntityExamples, default_hops
from gnnscale.batches.neighborhoods import entity_batches
from gnnscale.config.sections.sampling import SamplingSettings
from gnnscale.query import PredictiveQuery
from gnnscale.schema import FeatureManifest, GraphSchema, Table
from gnnscale.store import GraphStore
from tests.array_graph import write_graph

JOBS, CUSTOMERS = 400, 30
KEYS = {"previous_id": "jobs", "customer_id": "customers", "payer_id": "customers"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> GraphStore:
    folder: Path = tmp_path_factory.mktemp("jobs")
    rng = np.random.default_rng(0)
    times = np.arange(JOBS, dtype=np.int32) * 3_600
    before = np.array([rng.integers(0, job) if job and rng.random() < 0.7 else -1 for job in range(JOBS)])
    links = {
        ("jobs", "previous_id", "jobs"): (before, times),
        ("jobs", "customer_id", "customers"): (rng.integers(0, CUSTOMERS, JOBS), times),
        ("jobs", "payer_id", "customers"): (rng.integers(0, CUSTOMERS, JOBS), times),
    }
    cost = rng.normal(size=(JOBS, 1)).astype(np.float32)
    columns = {"jobs": (FeatureManifest("cost", "numerical"),)}
    return write_graph(
        folder, {"jobs": JOBS, "customers": CUSTOMERS}, links, columns, {"jobs": times}, {"jobs": cost}, {}
    )


@pytest.fixture(scope="module")
def query() -> PredictiveQuery:
    jobs = Table("jobs", primary_key="job_id", time_column="opened_at", foreign_keys=KEYS)
    graph = GraphSchema([jobs, Table("customers", primary_key="customer_id")])
    return PredictiveQuery(graph, "PREDICT COUNT(jobs.* BY customer_id, 0, 7, days) FOR EACH customers.customer_id")


def examples(count: int) -> EntityExamples:
    entities = np.arange(count) % CUSTOMERS
    nothing = np.zeros((count, 1), np.float32)
    return EntityExamples(entities, (JOBS * 1_800 + 3_600 * np.arange(count)).astype(np.int32), nothing, nothing)


def differ(one: EntityBatch, other: EntityBatch) -> list[str]:
    """Names of what is not the same in two batches."""
    found = [own.name for own in fields(EntityBatch) if own.name not in ("features", "slots")]
    wrong = [name for name in found if not torch.equal(*(torch.as_tensor(getattr(b, name)) for b in (one, other)))]
    for place, (mine, yours) in enumerate(zip(one.slots, other.slots, strict=True)):
        for name in ("parent", "row", "age", "dated", "gap", "opens"):
            wrong += [] if torch.equal(getattr(mine, name), getattr(yours, name)) else [f"{place}/{name}"]
        if not torch.equal(mine.features.numerical, yours.features.numerical):
            wrong.append(f"{place}/features")
    return wrong


def test_no_slots_are_made_beyond_what_a_row_can_fill(store, query):
    every = default_hops(query.graph, "customers", hidden_tables=query.hidden_tables)
    whole = EntityBatchBuilder(store, query, SamplingSettings(entity_hops=every), 5)
    bounded = EntityBatchBuilder(store, query, SamplingSettings(), 5)
    assert bounded._sampler.slots < whole._sampler.slots / 20
    assert differ(bounded.build(examples(50)), whole.build(examples(50))) == []


@pytest.mark.parametrize("strategy", ["last", "uniform"])
def test_seeds_that_are_taken_in_turns_give_the_batch_of_all(store, query, strategy, monkeypatch):
    hops = (
        {"jobs.customer_id": 6, "jobs.payer_id": 6},
        {"rev_jobs.previous_id": 3, "jobs.previous_id": 1},
        {"jobs.customer_id": 1},
    )
    builder = EntityBatchBuilder(store, query, SamplingSettings(entity_hops=hops, strategy=strategy), 5)
    whole = builder.build(examples(50), epoch=2)
    assert whole.edges and all(len(slots) for slots in whole.slots)
    # Seven seeds at a time, the last of them one.
    monkeypatch.setattr(entity_batches, "MOST_SLOTS", 7 * builder._sampler.slots)
    assert differ(builder.build(examples(50), epoch=2), whole) == []
    monkeypatch.setattr(entity_batches, "MOST_SLOTS", 1)
    assert differ(builder.build(examples(50), epoch=2), whole) == []
