"""Networks on blocks from a configuration: links with every kind of negatives, walks, and answers read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.batches import read_entity_examples
from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.metrics import validate_task
from gnnscale.query import REGRESSION
from gnnscale.query.anchors import Split
from gnnscale.sampling import NegativeRequest, Negatives, TargetSource
from gnnscale.sampling.negatives.popular import UniformOptions
from gnnscale.schema import NEGATIVES, ConfigError, DataError
from gnnscale.store import GraphStore
from gnnscale.training import (
    DistributedContext,
    Trainer,
    TrainResult,
    build_task,
    check_task,
    load_node_model,
    save_model,
)
from gnnscale.training.objectives.link_objective import LinkObjective
from gnnscale.training.objectives.node_objective import NodeObjective
from tests.conftest import Shop
from tests.entity_shop import entity_settings, write_labels
from tests.recording_callback import RecordingCallback

AROUND = ["purchases.product_id", "purchases.customer_id", "purchases.customer_id", "purchases.product_id"]
TO_PRODUCTS = ["purchases.customer_id", "purchases.product_id"]
HARD = {"hard_walks": {"cycle": AROUND, "number": 50, "top": 20}, "hard_ranks": [2, 15], "negatives": 4}


def settings_of(shop: Shop, model: dict[str, Any], sampling: dict[str, Any] | None = None, **training: Any) -> Settings:
    content = dict(shop.content)
    content["model"] = content["model"] | {"network": "blocks"} | model
    content["sampling"] = content["sampling"] if sampling is None else sampling
    content["training"] = content["training"] | {"epochs": 2, "learning_rate": 1e-2, "checkpoint_steps": 10} | training
    return build_settings(content)


def train(
    settings: Settings, shop: Shop, store: GraphStore, resume: Any = None
) -> tuple[Trainer, TrainResult, RecordingCallback]:
    keeper = RecordingCallback()
    task = build_task(settings, shop.lake, store, shop.query)
    trainer = Trainer(settings, task, callback=keeper)
    return trainer, trainer.run(resume), keeper


@pytest.mark.parametrize("strategy", ["shared", "in_batch", "popularity", "uniform", "hard"])
def test_links_are_learned_with_every_kind_of_negatives(shop: Shop, store: GraphStore, strategy: str) -> None:
    settings = settings_of(shop, {}, negative_strategy=strategy, **(HARD if strategy == "hard" else {}))
    trainer, outcome, keeper = train(settings, shop, store)
    assert isinstance(trainer.task.objective, LinkObjective)
    assert outcome.losses[-1][1] < 0.98 * outcome.losses[0][1]
    assert 0 < outcome.best["map@10"] <= 1 and outcome.best["edges_per_second"] > outcome.best["seeds_per_second"]
    resumed, again, _ = train(settings, shop, store, resume=keeper.within[-1])
    assert again.losses == outcome.losses
    expected = trainer.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())


def test_half_precision_learns_as_well(shop: Shop, store: GraphStore) -> None:
    half, full = (train(settings_of(shop, {}, precision=p), shop, store)[1].losses for p in ("bf16", "fp32"))
    assert half != full and half[-1][1] == pytest.approx(full[-1][1], rel=0.05)


def test_fresh_weights_follow_the_seed(shop: Shop, store: GraphStore) -> None:
    first, again, other = (
        build_task(settings_of(shop, {}).model_copy(update={"seed": seed}), shop.lake, store, shop.query).model
        for seed in (1, 1, 2)
    )
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.own.weight, other.own.weight)


def test_negatives_of_a_batch_are_the_same_on_every_process(shop: Shop, store: GraphStore) -> None:
    settings = settings_of(shop, {}, negative_strategy="in_batch")
    tasks = [build_task(settings, shop.lake, store, shop.query, DistributedContext(r, 2)) for r in range(2)]
    rows = tasks[0].batches(1)[0]
    whole, first, second = (
        t.prepare(r, 1, 0) for t, r in zip([tasks[0], *tasks], [rows, rows[::2], rows[1::2]], strict=True)
    )
    for part, mine in ((first, slice(0, None, 2)), (second, slice(1, None, 2))):
        own, every = part.sample.targets.nodes, whole.sample.targets.nodes
        assert own[len(part.present) :].tolist() == every[len(rows) :].tolist()
        assert torch.equal(part.present, whole.present[mine])
        assert torch.equal(part.log_share, whole.log_share)
    # The positive of an example is among the negatives of others alone.
    assert not whole.present.diagonal().any() and whole.present.any()


def test_a_look_up_shared_out_by_row_learns_in_two_towers(shop: Shop, store: GraphStore) -> None:
    settings = settings_of(shop, {"sharded_lookup_rows": 5, "target_embedding": "lookup"})
    trainer, outcome, keeper = train(settings, shop, store)
    assert list(trainer.tables) == ["own"] and outcome.losses[-1][1] < outcome.losses[0][1]
    _, again, _ = train(settings, shop, store, resume=keeper.within[-1])
    assert again.losses == outcome.losses and torch.equal(again.weights["own.weight"], outcome.weights["own.weight"])


@pytest.mark.parametrize("convolution", ["sum", "max", "attention", "importance"])
def test_a_convolution_by_its_name_learns(shop: Shop, store: GraphStore, convolution: str) -> None:
    settings = settings_of(shop, {"convolution": convolution}, learning_rate=5e-3)
    trainer, outcome, _ = train(settings, shop, store)
    used = {type(m).__name__ + getattr(m, "pooling", "") for m in trainer.model.modules() if "Conv" in type(m).__name__}
    expected = {"attention": "AttentionConv", "importance": "ImportanceConv"}
    assert used == {expected.get(convolution, f"SAGEConv{convolution}")}
    assert outcome.losses[-1][1] < outcome.losses[0][1]


def test_heads_divide_a_single_output(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    base = entity_settings(shop.content, tmp_path, REGRESSION)
    model = base.model.model_copy(update={"network": "blocks", "convolution": "attention"})
    lake, settings = Lake(base.lake.uri), base.model_copy(update={"model": model})
    query = bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    outcome = Trainer(settings, build_task(settings, lake, store, query)).run()
    assert np.isfinite(outcome.best["mae"])


def test_walks_stand_in_for_fan_outs(shop: Shop, store: GraphStore) -> None:
    walks = {"strategy": "walk", "walks": {"cycle": TO_PRODUCTS, "number": 20, "top": 5}}
    trainer, outcome, _ = train(settings_of(shop, {}, walks), shop, store)
    assert outcome.losses[-1][1] < outcome.losses[0][1]
    blocks = trainer.task.source.blocks
    block = blocks.build(np.arange(6))
    (hop,) = block.hops[1:]
    assert hop[-1].target == "products" and block.nodes[1].shape == (6, 5)
    walked = blocks.sampler.sample(blocks.seeds[:6], blocks.anchors[:6])
    np.testing.assert_array_equal(block.nodes[1], walked.nodes)
    np.testing.assert_array_equal(block.weights[0], walked.weights())
    assert block.edges == walked.counts.sum() > 0
    categorical = store.features("products").categorical[np.maximum(walked.nodes, 0)]
    there, single = (walked.nodes >= 0)[..., None], categorical.shape[-1]
    np.testing.assert_array_equal(block.codes[1][..., :single], categorical * there)
    # The tags of products stand behind.
    assert block.codes[1].shape[-1] > single and block.codes[1][..., single:].any()


def test_answers_of_a_node_level_task_are_read_back_as_they_were(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    base = entity_settings(shop.content, tmp_path, REGRESSION, epochs=2, learning_rate=1e-2)
    settings = base.model_copy(update={"model": base.model.model_copy(update={"network": "blocks"})})
    lake = Lake(settings.lake.uri)
    query = bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    check_task(settings, lake, store, query)
    task = build_task(settings, lake, store, query)
    assert isinstance(task.objective, NodeObjective)
    few = settings.model_copy(update={"training": settings.training.model_copy(update={"max_examples": 50})})
    assert sum(map(len, build_task(few, lake, store, query).batches(1))) == 50
    outcome = Trainer(settings, task).run()
    save_model(lake, "asked", outcome)
    predictor = load_node_model(settings, lake, store)
    examples = read_entity_examples(lake, "asked", Split.VALIDATION, store.manifest.origin)
    again = validate_task(predictor.knowledge.shape.task, predictor.predict(examples), examples.values, None)
    assert again["mae"] == pytest.approx(outcome.best["mae"])
    labels = lake.read("labels_asked")
    lake.write("labels_asked", labels.filter([s != "validation" for s in labels["split"].to_pylist()]))
    with pytest.raises(DataError, match="no validation example"):
        build_task(settings, lake, store, query)


@pytest.mark.parametrize(
    ("model", "sampling", "training", "says"),
    [
        ({"network": "auto"}, {"strategy": "walk"}, {}, r"sampling.strategy=walk is for model.network=blocks"),
        (
            {"network": "auto"},
            None,
            {"negative_strategy": "hard"},
            r"negative_strategy=hard .* allowed: shared, in_batch",
        ),
        ({"network": "auto"}, None, {"source": "shards"}, r"training.source=shards .* allowed: memory"),
        ({}, {"strategy": "walk"}, {}, "needs sampling.walks"),
        ({}, None, {"negative_strategy": "hard"}, "needs training.hard_walks.*'products' to itself"),
        ({}, {"strategy": "walk", "walks": {"cycle": TO_PRODUCTS}}, {"sampler": "gpu"}, "walks on the CPU"),
    ],
)
def test_what_does_not_go_together_is_an_error(
    shop: Shop, store: GraphStore, model: Any, sampling: Any, training: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        build_task(settings_of(shop, model, sampling, **training), shop.lake, store, shop.query)


def test_two_branches_learn_from_the_targets_of_their_batch(shop: Shop, store: GraphStore) -> None:
    settings = settings_of(shop, {"network": "auto"}, negative_strategy="in_batch")
    trainer, outcome, _ = train(settings, shop, store)
    rows = trainer.task.batches(0)[0]
    prepared = trainer.task.prepare(rows[:3], 0, 0)
    training = trainer.task.objective.training
    for row, node in zip(rows, prepared.sample.negatives.tolist(), strict=True):
        assert node in training.targets[training.indptr[row] : training.indptr[row + 1]]
    assert len(prepared.log_share) == len(rows) and outcome.losses[-1][1] < outcome.losses[0][1]


class EveryTarget:
    """All targets, as negatives of every example of a batch."""

    Options = UniformOptions
    needs_walks = False
    per_batch = True

    def __init__(self, number: int, targets: int) -> None:
        self.nodes = np.arange(min(number, targets))
        self.log_share = np.full(len(self.nodes), -np.log(targets), np.float32)

    @classmethod
    def build(cls, options: UniformOptions, source: TargetSource) -> EveryTarget:
        return cls(options.number, len(source.counts))

    def sample(self, request: NegativeRequest) -> Negatives:
        return Negatives(self.nodes, np.ones((len(request), len(self.nodes)), bool), self.log_share)


class EachApart(EveryTarget):
    """The same for one network of each example apart."""

    per_batch = False


@pytest.fixture
def own_negatives() -> Iterator[None]:
    with NEGATIVES.temporarily({"every_target": EveryTarget, "each_apart": EachApart}):
        yield


@pytest.mark.parametrize(
    ("strategy", "number"),
    [
        ({"name": "shared", "number": 7}, 7),
        ({"name": "every_target", "number": 5}, 5),
        ("every_target", 30),
    ],
)
@pytest.mark.parametrize("network", ["auto", "two_branch"])
def test_two_branches_take_whatever_negatives_a_batch_shares(
    shop: Shop, store: GraphStore, own_negatives: None, strategy: Any, number: int, network: str
) -> None:
    settings = settings_of(shop, {"network": network}, negative_strategy=strategy, negatives=64)
    task = build_task(settings, shop.lake, store, shop.query)
    prepared = task.prepare(task.batches(0)[0], 0, 0)
    assert len(prepared.sample.negatives) == len(prepared.log_share) == number
    assert torch.isfinite(task.loss(task.model, prepared))


@pytest.mark.parametrize("strategy", ["each_apart", {"name": "popularity", "power": 0.5}])
def test_negatives_of_each_example_apart_are_refused_by_two_branches(
    shop: Shop, own_negatives: None, strategy: Any
) -> None:
    says = r"negative_strategy=(each_apart|popularity) is for .*blocks.*; .*: shared, every_target, in_batch, mixed$"
    with pytest.raises(ConfigError, match=says):
        settings_of(shop, {"network": "two_branch"}, negative_strategy=strategy)
