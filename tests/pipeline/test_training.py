"""The training loop alone, in one process: it learns, and resuming is exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, TrainResult, build_task, load_link_model, save_model
from tests.recording_callback import RecordingCallback

EPOCHS = 3


def metrics(figures: Mapping[str, float]) -> dict[str, float]:
    """What does not depend on the machine."""
    return {
        name: value
        for name, value in figures.items()
        if name not in ("seeds_per_second", "edges_per_second", "loader_wait", "peak_memory_gb")
    }


@pytest.fixture(scope="module")
def settings(busy_shop: dict[str, Any]) -> Settings:
    training = {**busy_shop["training"], "epochs": EPOCHS, "patience": EPOCHS}
    return build_settings({**busy_shop, "training": training})


def train(
    settings: Settings, resume: Mapping[str, Any] | None = None
) -> tuple[Trainer, TrainResult, RecordingCallback]:
    lake, keeper = Lake(settings.lake.uri), RecordingCallback()
    store = GraphStore.open(lake)
    task = build_task(settings, lake, store, bind_query(settings, store.manifest))
    trainer = Trainer(settings, task, callback=keeper)
    return trainer, trainer.run(resume), keeper


def test_the_loss_falls_and_the_best_weights_are_kept(settings: Settings) -> None:
    _, outcome, _ = train(settings)
    losses = [loss for _, loss in outcome.losses]
    assert losses[-1] < 0.9 * losses[0]
    assert outcome.best["map@10"] == max(figures["map@10"] for figures in outcome.history)
    assert len(outcome.history) == EPOCHS


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(settings: Settings) -> None:
    unbroken, outcome, keeper = train(settings)
    resumed, again, _ = train(settings, resume=keeper.checkpoints[0])
    expected = unbroken.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())
    assert [metrics(figures) for figures in again.history] == [metrics(figures) for figures in outcome.history]
    assert [value for _, value in again.losses] == [value for _, value in outcome.losses]


def test_a_run_taken_up_within_an_epoch_ends_as_the_unbroken_one(settings: Settings) -> None:
    training = settings.training.model_copy(update={"epochs": 2, "checkpoint_steps": 20})
    settings = settings.model_copy(update={"training": training})
    unbroken, outcome, keeper = train(settings)
    steps = len(unbroken.task.batches(0))
    # Every 20 steps at the next tenth of them, but for the ends of epochs, which have one of their own.
    places = [(kept["epoch"], kept["step"]) for kept in keeper.within]
    assert [epoch * steps + step for epoch, step in places] == [at + 1 for at in range(20, 2 * steps - 1, 20)]
    kept = keeper.within[-1]
    assert kept["epoch"] == 1 and 0 < kept["step"] < steps
    resumed, again, _ = train(settings, resume=kept)
    expected = unbroken.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())
    assert again.losses == outcome.losses and metrics(again.best) == metrics(outcome.best)
    assert again.seen == outcome.seen == 2 * len(unbroken.task.objective.training)


def test_threads_that_share_a_batch_do_not_change_what_is_learned(settings: Settings) -> None:
    found = []
    for threads in (1, 2):
        sampling = settings.sampling.model_copy(update={"threads": threads})
        training = settings.training.model_copy(update={"epochs": 1})
        found.append(train(settings.model_copy(update={"sampling": sampling, "training": training}))[1])
    assert found[0].losses == found[1].losses
    assert all(torch.equal(value, found[1].weights[name]) for name, value in found[0].weights.items())


def test_a_table_shared_out_by_row_resumes_exactly_and_is_read_back_as_a_plain_one(settings: Settings) -> None:
    model = settings.model.model_copy(update={"sharded_lookup_rows": 10})
    training = settings.training.model_copy(update={"epochs": 2, "checkpoint_steps": 20})
    settings = settings.model_copy(update={"model": model, "training": training})
    unbroken, outcome, keeper = train(settings)
    assert set(unbroken.tables) == {"described.pair_identity", "described.tower_identity"}
    assert outcome.losses[-1][1] < 0.95 * outcome.losses[0][1]
    resumed, again, _ = train(settings, resume=keeper.within[-1])
    assert again.losses == outcome.losses and metrics(again.best) == metrics(outcome.best)
    for name, table in unbroken.tables.items():
        assert torch.equal(resumed.tables[name].table, table.table)
    lake = Lake(settings.lake.uri)
    save_model(lake, "next_week", outcome)
    plain = load_link_model(settings, lake, GraphStore.open(lake)).model
    assert torch.equal(plain.described.tower_identity.weight, outcome.weights["described.tower_identity.weight"])
    assert isinstance(plain.described.tower_identity, nn.Embedding)


@pytest.mark.parametrize("changed", [{"prefetch": 0}, {"prefetch": 3}, {"micro_batches": 3}])
def test_how_a_batch_is_brought_and_cut_does_not_change_what_is_learned(settings: Settings, changed: dict) -> None:
    base = settings.training.model_copy(update={"epochs": 1})
    assert settings.model.dropout > 0
    found = []
    for update in ({}, changed):
        training = base.model_copy(update=update)
        found.append(train(settings.model_copy(update={"training": training}))[1])
    whole, other = ([loss for _, loss in outcome.losses] for outcome in found)
    # Parts are summed in another order.
    assert other == (pytest.approx(whole, rel=1e-5) if "micro_batches" in changed else whole)
    assert found[0].seen == found[1].seen


def test_half_precision_learns_as_well(settings: Settings) -> None:
    training = settings.training.model_copy(update={"precision": "bf16"})
    _, half, _ = train(settings.model_copy(update={"training": training}))
    _, full, _ = train(settings)
    losses = [[loss for _, loss in outcome.losses] for outcome in (half, full)]
    assert losses[0] != losses[1] and losses[0][-1] == pytest.approx(losses[1][-1], rel=0.1)
    assert 0 <= half.history[0]["loader_wait"] < 1 and half.history[0]["peak_memory_gb"] > 0.05


def test_another_seed_gives_other_weights(settings: Settings) -> None:
    first, _, _ = train(settings)
    other, _, _ = train(settings.model_copy(update={"seed": settings.seed + 1}))
    weights = [t.model.pair_score.weight for t in (first, other)]
    assert not torch.equal(*weights)
