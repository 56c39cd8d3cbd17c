"""The sequence network from a configuration: what it learns, resumes and ranks, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.config import Settings
from gnnscale.schema import ConfigError
from gnnscale.training import (
    DistributedContext,
    SequencePredictor,
    Task,
    Trainer,
    TrainResult,
    build_task,
    check_task,
    load_link_model,
    save_model,
)
from gnnscale.training.networks.sequence import SequenceNetwork
from gnnscale.training.objectives.ranking import rank_targets
from gnnscale.training.objectives.sequence_training import AskedBatch
from tests.recording_callback import RecordingCallback
from tests.sequence_shop import PRODUCTS, SequenceShop, build_sequence_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SequenceShop:
    """In memory, without Spark."""
    return build_sequence_shop(tmp_path_factory.mktemp("sequences"))


def settings_of(shop: SequenceShop, sequence: dict[str, Any] | None = None, **training: Any) -> Settings:
    width = {"tower_channels": training.pop("channels")} if "channels" in training else {}
    return shop.settings(
        {"sequence": {"length": 12, "heads": 2} | (sequence or {})} | width, {"checkpoint_steps": 2} | training
    )


def task_of(settings: Settings, shop: SequenceShop, context: DistributedContext | None = None) -> Task[Any]:
    return build_task(settings, shop.lake, shop.store, shop.query(settings), context)


def train(settings: Settings, shop: SequenceShop, resume: Any = None) -> tuple[Trainer, TrainResult, RecordingCallback]:
    keeper = RecordingCallback()
    trainer = Trainer(settings, task_of(settings, shop), callback=keeper)
    return trainer, trainer.run(resume), keeper


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"frequency": "streaming"}, {"negative_strategy": "mixed", "objective": {"name": "dense_all_action", "days": 7}}),
    ({"frequency": "none"}, {"negative_strategy": "in_batch", "objective": "sasrec", "micro_batches": 2}),
    ({"causal": False}, {"objective": {"name": "all_action", "days": 7}, "loss": "softmax"}),
    ({"action_type": "channel", "positive_types": ["web"]}, {"objective": "next_action"}),
    ({"scores": "product"}, {"objective": "sasrec", "loss": "softmax", "channels": 16}),
    ({}, {"negative_strategy": "uniform", "negatives": 4, "loss": {"name": "gbce", "calibration": 0.5}}),
]


@pytest.mark.parametrize(("sequence", "training"), CASES)
def test_it_learns_and_resumes_exactly(shop: SequenceShop, sequence: dict[str, Any], training: dict[str, Any]) -> None:
    settings = settings_of(shop, sequence, epochs=4, **training)
    trainer, outcome, keeper = train(settings, shop)
    assert outcome.losses[-1][1] < outcome.losses[0][1]
    assert 0 < outcome.best["map@10"] <= 1
    resumed, again, _ = train(settings, shop, resume=keeper.within[-1])
    assert again.losses == outcome.losses
    expected = trainer.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())


def test_no_training_sequence_reaches_past_the_validation_anchor(shop: SequenceShop) -> None:
    task = task_of(settings_of(shop), shop)
    source = task.source
    known, log = source.known, source.known.log
    until = source.examples.anchors.max()
    assert known.until == until > source.examples.anchors.min()
    asked = source.ask(np.arange(len(source.lengths)), 0)
    assert len(asked.place) and (log.times[asked.positive] <= until).all()
    assert (log.times[known.limits[np.diff(log.indptr) > 0] - 1] <= until).all()
    # Of a validation example, what is read is no later than its anchor.
    ends = source.ends[np.flatnonzero(source.examples.anchors == until)]
    assert (log.times[ends[ends > 0] - 1] <= until).all()
    # Nothing is copied: the log reads the store's own arrays.
    assert isinstance(log.rows.base, np.memmap) and isinstance(log.targets.base, np.memmap)


def test_parts_of_a_batch_add_up_to_the_whole(shop: SequenceShop) -> None:
    settings = settings_of(shop, {"frequency": "streaming"}, negative_strategy="mixed", batch_size=8)
    tasks = [task_of(settings, shop, DistributedContext(r, 2)) for r in range(2)]
    rows = tasks[0].batches(1)[0]
    model = tasks[0].model.eval()
    whole, first, second = (
        task.loss(model, task.prepare(part, 1, 0))
        for task, part in zip([tasks[0], *tasks], [rows, rows[::2], rows[1::2]], strict=True)
    )
    # What is masked for one sequence are positives of its own, in whichever part it is.
    torch.testing.assert_close(first + second, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss", ["sampled_softmax", "softmax"])
def test_all_that_learns_has_a_gradient(shop: SequenceShop, loss: str) -> None:
    """Workers wait for the gradient of every weight that learns."""
    task = task_of(settings_of(shop, {"repeats": "auto"}, loss=loss), shop)
    assert bool(task.model.repeats) == (loss == "sampled_softmax")
    task.loss(task.model, task.prepare(task.batches(0)[0], 0, 0)).backward()
    learning = {name for name, weight in task.model.named_parameters() if weight.requires_grad}
    assert learning == {name for name, weight in task.model.named_parameters() if weight.grad is not None}


def test_what_was_had_stands_for_itself_and_the_negatives_for_all_else(shop: SequenceShop) -> None:
    """With every target among the negatives once, the loss is the full softmax over scores as they are ranked by."""
    settings = settings_of(shop, {"repeats": True})
    task = task_of(settings, shop)
    model, source = task.model.eval(), task.source
    torch.manual_seed(0)
    for linear in (model.repeat.by_state, model.repeat.by_target):
        torch.nn.init.normal_(linear.weight, std=0.3)
    targets = source.builder.catalogue
    asked = source.ask(np.arange(4), 0)
    windows, log = source.windows.take(np.arange(4)), source.known.log
    positives = log.targets_at(asked.positive)
    everything = np.concatenate([positives, np.arange(targets)])
    sample = source.builder.build(windows.entities, windows.ends, (asked.window, asked.place), positives, everything)
    # Some positives are new, and some are not.
    present = torch.ones(4, targets, dtype=torch.bool)
    share = torch.full((targets,), -math.log(targets))
    batch = AskedBatch(sample, torch.from_numpy(asked.window), present, share, 1.0)
    with torch.no_grad():
        found = task.objective.loss(model(sample), batch)
        vectors, repeated = model.encode_repeats(sample)
        scores = vectors @ model.encode_targets(sample.items).T
        example, column = repeated.had.nonzero(as_tuple=True)
        scores[example, repeated.rows[example, column]] = repeated.scores[example, column]
    rows = sample.targets[: len(positives)]
    new = ~(repeated.had & (repeated.rows == rows[:, None])).any(1)
    assert 0 < new.sum() < len(new)
    # A positive that is new stands among the negatives, too.
    right = scores[torch.arange(len(rows)), rows]
    doubled = torch.logaddexp(scores.logsumexp(1), torch.where(new, right, -torch.inf))
    torch.testing.assert_close(found, (doubled - right).sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scores", "channels"), [("cosine", 8), ("product", 16)])
def test_a_saved_network_ranks_as_the_one_that_was_trained(shop: SequenceShop, scores: str, channels: int) -> None:
    settings = settings_of(shop, {"numbers": ["amount"], "contexts": ["channel"], "scores": scores}, channels=channels)
    trainer, outcome, _ = train(settings, shop)
    save_model(shop.lake, "sequences", outcome)
    content = shop.lake.read_bytes("_models/sequences/model.pt")
    predictor = load_link_model(settings, shop.lake, shop.store, content=content)
    network = SequenceNetwork(settings, shop.store, shop.query(settings))
    trainer.model.load_state_dict(outcome.weights)
    own = network.predictor(trainer.model.eval(), trainer.task.source, torch.device("cpu"))
    nodes, anchor = np.arange(shop.store.node_count("customers")), int(trainer.task.source.known.until)
    one, other = (p.score_entities(p.entity_batch(nodes, anchor)) for p in (predictor, own))
    np.testing.assert_array_equal(one.vectors, other.vectors)
    products = np.arange(shop.store.node_count("products"))
    targets = predictor.encode_targets(predictor.target_batch(products, anchor))
    assert np.isfinite(one.vectors @ targets.T).all()
    # Most of what is bought here was bought before.
    for name in ("counts", "targets", "scores"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    bonus = one.scores - (one.vectors @ targets.T)[np.repeat(nodes, one.counts), one.targets]
    assert one.counts.max() > 10 and np.ptp(bonus) > 0.1
    # An entity's vector follows from its actions alone, and not from those beside it.
    np.testing.assert_allclose(
        predictor.score_entities(predictor.entity_batch(nodes[5:6], anchor)).vectors[0], one.vectors[5], atol=1e-5
    )
    fields = network.receptive_fields()
    (hop,) = fields[1].hops.values()
    assert fields[0].table == "products" and hop[0] == 1024


@pytest.mark.parametrize(
    ("sequence", "training", "message"),
    [
        ({"causal": False}, {"objective": "sasrec"}, "asks at many positions"),
        ({"heads": 3}, {}, "does not divide model.hidden, 16"),
        ({"scores": "product"}, {}, "has no towers: model.tower_channels is 8, and has to be model.hidden, 16"),
        ({"action_type": "chanel"}, {}, "no such column of 'purchases'"),
        ({"positive_types": ["web"]}, {}, "needs model.sequence.action_type"),
        ({"action_type": "channel", "positive_types": ["wob"]}, {}, "Did you mean 'web'"),
        ({}, {"objective": "sasrek"}, "sasrec"),
        ({}, {"objective": {"name": "all_action", "dayz": 3}}, "has no option 'dayz'"),
        ({}, {"negative_strategy": "hard"}, "is for model.network=blocks"),
        ({"periods_days": [0.0]}, {}, "each is over 0"),
        ({"repeats": True}, {"loss": "softmax"}, "repeats=true is for sampled_softmax"),
    ],
)
def test_what_does_not_fit_is_refused(
    shop: SequenceShop, sequence: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    query = shop.query(settings_of(shop))
    with pytest.raises(ConfigError, match=message):
        check_task(settings_of(shop, sequence, **training), shop.lake, shop.store, query)


def test_settings_of_sequences_are_refused_for_other_networks(shop: SequenceShop) -> None:
    with pytest.raises(ConfigError, match=r"model\.sequence is for model\.network=sequence"):
        shop.settings({"network": "blocks", "sequence": {"length": 12}}, {})


@pytest.mark.parametrize("repeats", [True, False])
def test_what_is_gone_or_not_learned_is_not_ranked_though_it_was_had(shop: SequenceShop, repeats: bool) -> None:
    settings = settings_of(shop, {"repeats": repeats})
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"new_targets": False})})
    task = task_of(settings, shop)
    model, source = task.model.eval(), task.source
    model.learned[3] = False
    until = np.full(PRODUCTS, 2**31 - 1, np.int32)
    until[4] = 1
    source.builder.features = replace(source.builder.features, valid_until=until)
    predictor = SequencePredictor(model, source, torch.device("cpu"))
    anchors = source.examples.anchors
    rows = np.flatnonzero(anchors == anchors.max())
    given = (predictor, source.build, anchors[rows], rows, PRODUCTS, PRODUCTS - 2)
    ranked, _ = rank_targets(*given, DistributedContext())
    assert len(ranked) > 10 and not np.isin(ranked, [3, 4]).any()
    scores = predictor.entity_scores(source.build(rows))
    assert (len(scores.target) > 0) == repeats and not np.isin(scores.target.numpy(), [3, 4]).any()
