"""LightGCN from a configuration: what it learns from, resumes and ranks, alone and as several processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.batches import EntityEvents
from gnnscale.collaborative import BipartiteGraph
from gnnscale.config import Settings
from gnnscale.nn import sharded_tables
from gnnscale.schema import ConfigError, DataError
from gnnscale.training import DistributedContext, Task, Trainer, TrainResult, build_task, load_link_model, save_model
from gnnscale.training.networks.sampled_lightgcn import LightGCNPredictor, SampledLightGCN, WholeGraphPredictor
from tests.gloo_group import run_group
from tests.gpu.graphs import DAY
from tests.recording_callback import RecordingCallback
from tests.sequence_shop import SequenceShop, build_sequence_shop

FIRST_VALIDATION = 50 * DAY


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SequenceShop:
    """In memory, without Spark."""
    return build_sequence_shop(tmp_path_factory.mktemp("lightgcn"))


def settings_of(shop: SequenceShop, own: dict[str, Any] | None = None, model: Any = None, **training: Any) -> Settings:
    small = {"network": "lightgcn", "hidden": 128, "tower_channels": 48}
    narrow = {"dims": 8, "neighbors": 4} | (own or {})
    return shop.settings(
        small | {"lightgcn": narrow} | (model or {}), {"checkpoint_steps": 2, "batch_size": 64} | training
    )


def task_of(settings: Settings, shop: SequenceShop, context: DistributedContext | None = None) -> Task[Any]:
    return build_task(settings, shop.lake, shop.store, shop.query(settings), context)


def train(settings: Settings, shop: SequenceShop, resume: Any = None) -> tuple[Trainer, TrainResult, RecordingCallback]:
    keeper = RecordingCallback()
    trainer = Trainer(settings, task_of(settings, shop), callback=keeper)
    return trainer, trainer.run(resume), keeper


CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {}),
    ({"start": "random", "layers": 1, "answers": "samples"}, {"temperature": 0.2}, {"loss": "bpr"}),
    ({"positives": "targets", "layers": 3}, {}, {"negative_strategy": "in_batch", "micro_batches": 2, "batch_size": 4}),
    ({"event_weights": {"channel": {"web": 3, "store": 0}}, "layers": 0}, {}, {"loss": "max_margin"}),
    ({}, {"sharded_lookup_rows": 20}, {"negative_strategy": "uniform"}),
]


@pytest.mark.parametrize(("own", "model", "training"), CASES)
def test_it_learns_and_resumes_exactly(
    shop: SequenceShop, own: dict[str, Any], model: dict[str, Any], training: dict[str, Any]
) -> None:
    settings = settings_of(shop, own, model, **{"epochs": 6, "learning_rate": 0.05, "batch_size": 32} | training)
    trainer, outcome, keeper = train(settings, shop)
    values = [loss for _, loss in outcome.losses]
    half = len(values) // 2
    assert np.mean(values[half:]) < np.mean(values[:half])
    assert 0 < outcome.best["map@10"] <= 1
    resumed, again, _ = train(settings, shop, resume=keeper.within[-1])
    assert again.losses == outcome.losses
    expected = trainer.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())
    assert set(again.weights) == {
        *("log_factor", "demand", "entities.own.weight", "targets.own.weight", "entities.learned", "targets.learned")
    }


def test_it_learns_from_all_pairs_before_the_first_validation_anchor(shop: SequenceShop) -> None:
    settings = settings_of(shop, {"event_weights": {"channel": {"store": 0}}})
    task = task_of(settings, shop)
    source, objective = task.source, task.objective
    examples = source.examples.take(source.chosen)
    assert (examples.anchors == FIRST_VALIDATION).all() and (np.diff(examples.indptr) == 1).all()
    query = shop.query(settings)
    events = EntityEvents.read(shop.store, query)
    everyone = np.arange(len(events.indptr) - 1)
    had = events.past(everyone, np.full(len(everyone), FIRST_VALIDATION))
    pairs = set(zip(examples.entities.tolist(), examples.targets.tolist(), strict=True))
    # Only what was bought on the web, the other channel weighs nothing: fewer pairs, and no other.
    assert pairs < {(e, t) for e in everyone.tolist() for t in had.values[had.indptr[e] : had.indptr[e + 1]].tolist()}
    assert len(pairs) == len(examples) > 50
    shown = source.examples.take(objective.validation)
    labels = shop.lake.read("labels_next").to_pandas()
    wanted = labels[labels["split"] == "validation"].sort_values("entity")["targets"]
    assert [row.tolist() for row in np.split(shown.targets, shown.indptr[1:-1])] == [list(row) for row in wanted]


def test_it_starts_from_what_smoothing_would_leave(shop: SequenceShop) -> None:
    settings = settings_of(shop)
    graph = BipartiteGraph(SampledLightGCN(settings, shop.store, shop.query(settings)).sides.matrix(FIRST_VALIDATION))

    def kept(start: str) -> float:
        """Share of the vectors that a product with the graph keeps: the mean of its values, weighed by them."""
        vectors = task_of(settings_of(shop, {"dims": 4, "start": start}), shop).model.all_vectors().detach()
        assert float(vectors.square().mean()) == pytest.approx(0.01, rel=0.35)
        product = 2 * graph.smooth(vectors, 1) - vectors
        return float((vectors * product).sum() / vectors.square().sum())

    assert kept("spectral") > 0.5 > 0.2 > kept("random")


@pytest.mark.parametrize("answers", ["whole", "samples"])
def test_a_saved_network_ranks_as_the_one_that_was_trained(shop: SequenceShop, answers: str) -> None:
    settings = settings_of(shop, {"answers": answers})
    trainer, outcome, _ = train(settings, shop)
    save_model(shop.lake, "next", outcome)
    content = shop.lake.read_bytes("_models/next/model.pt")
    predictor = load_link_model(settings, shop.lake, shop.store, content=content)
    assert isinstance(predictor, WholeGraphPredictor if answers == "whole" else LightGCNPredictor)
    network = SampledLightGCN(settings, shop.store, shop.query(settings))
    trainer.model.load_state_dict(outcome.weights)
    own = network.predictor(trainer.model.eval(), trainer.task.source, torch.device("cpu"))
    nodes, anchor = np.arange(shop.store.node_count("customers")), 55 * DAY
    one, other = (p.score_entities(p.entity_batch(nodes, anchor)) for p in (predictor, own))
    np.testing.assert_array_equal(one.vectors, other.vectors)
    products = np.arange(shop.store.node_count("products"))
    targets = predictor.encode_targets(predictor.target_batch(products, anchor))
    assert np.isfinite(one.vectors @ targets.T).all() and not one.counts.any()
    # An entity's vector follows from its events, and not from who is beside it.
    np.testing.assert_allclose(
        predictor.score_entities(predictor.entity_batch(nodes[5:6], anchor)).vectors[0], one.vectors[5], atol=1e-6
    )


def test_a_model_goes_on_where_customers_came_since(shop: SequenceShop) -> None:
    settings = settings_of(shop)
    _, outcome, _ = train(settings, shop)
    fewer = {name: weight[:-3] if name.startswith("entities") else weight for name, weight in outcome.weights.items()}
    save_model(shop.lake, "next", replace(outcome, weights=fewer))
    predictor = load_link_model(settings, shop.lake, shop.store)
    vectors = predictor.score_entities(predictor.entity_batch(np.arange(30), 55 * DAY)).vectors
    assert vectors[:-3, :-1].any(axis=1).all() and np.isfinite(vectors).all()
    # What was bought by those that came since says what they are.
    bought = np.asarray(
        SampledLightGCN(settings, shop.store, shop.query(settings)).sides.matrix(55 * DAY).sum(axis=1)
    ).ravel()
    assert (vectors[-3:, :-1].any(axis=1) == (bought[-3:] > 0)).all() and (bought[-3:] > 0).any()


TOLERANCE = {"rel": 2e-5, "abs": 2e-5}


def spread(rank: int, workers: int, folder: str) -> None:
    """Train as one process of a group, on plain and on sharded tables; rank 0 leaves what came of it."""
    torch.set_num_threads(1)
    found = {}
    for name, rows in (("plain", 1000), ("sharded", 10)):
        shop = build_sequence_shop(Path(folder) / f"{name}-{rank}")
        settings = settings_of(shop, {"answers": "samples"}, {"sharded_lookup_rows": rows})
        task = task_of(settings, shop, DistributedContext(rank, workers))
        assert len(sharded_tables(task.model)) == (2 if rows == 10 else 0)
        trainer = Trainer(settings, task, DistributedContext(rank, workers))
        # What is averaged starts from the same vectors on every process, too.
        began = {weight: value.clone() for weight, value in trainer.average.state.items()}
        outcome = trainer.run()
        found[name] = outcome.losses, outcome.weights, outcome.best["map@10"]
        torch.save(began, Path(folder) / f"{name}-{rank}-began.pt")
    if rank == 0:
        torch.save(found, Path(folder) / f"{workers}.pt")


@pytest.mark.slow
def test_processes_train_as_one(tmp_path: Path) -> None:
    for name in ("alone", "group"):
        (tmp_path / name).mkdir()
    spread(0, 1, str(tmp_path / "alone"))
    run_group(spread, 2, tmp_path / "group")
    alone, group = torch.load(tmp_path / "alone/1.pt"), torch.load(tmp_path / "group/2.pt")
    for name in ("plain", "sharded"):
        (steps, losses), (same, others) = (zip(*found[name][0], strict=True) for found in (alone, group))
        assert steps == same and losses == pytest.approx(others, **TOLERANCE)
        one, *others = (torch.load(path) for path in sorted(tmp_path.glob(f"*/{name}-*-began.pt")))
        assert len(others) == 2 and all(torch.equal(o[weight], one[weight]) for o in others for weight in one)
        assert alone[name][2] == pytest.approx(group[name][2], rel=1e-3)
        for weight, value in alone[name][1].items():
            torch.testing.assert_close(group[name][1][weight], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("own", "rest", "told"),
    [
        ({"event_weights": {"canal": {"web": 1}}}, {}, "no categorical column 'canal'; allowed: channel"),
        ({"event_weights": {"channel": {"webb": 1}}}, {}, r"no 'webb' in purchases.channel. Did you mean 'web'\?"),
        ({}, {"sampling": {"strategy": "weighted"}}, "strategy=weighted is .*network=lightgcn, allowed: uniform"),
        ({}, {"sampling": {"cap": 2}}, "^sampling.cap is not for model.network=lightgcn"),
        ({"event_weights": {"channel": {"web": float("inf")}}}, {}, "less than"),
        ({"event_weights": {"channel": {True: 2}}}, {}, "no 'true' in purchases.channel"),
        ({}, {"sampling": {"roots": {"top": 3}}}, "sampling.roots is for model.lightgcn.positives=targets"),
        ({}, {"embedding": {"method": "layerwise"}}, "method=layerwise is for .*network=lightgcn, allowed: sampled"),
        ({}, {"training": {"loss": "pair"}}, "training.loss=pair does not fit"),
        ({"layers": -1}, {}, "layers"),
    ],
)
def test_what_does_not_fit_is_told(shop: SequenceShop, own: Any, rest: Any, told: str) -> None:
    other = replace(shop, content={**shop.content, **{k: v for k, v in rest.items() if k != "training"}})
    with pytest.raises((ConfigError, ValueError), match=told):
        task_of(settings_of(other, own, **rest.get("training", {})), shop)


def test_a_graph_of_no_weight_is_refused(shop: SequenceShop) -> None:
    with pytest.raises(DataError, match="no event of 'purchases' up to the validation anchor is of any weight"):
        task_of(settings_of(shop, {"event_weights": {"channel": {"web": 0, "store": 0}}}), shop)


def test_off_is_a_word_of_yaml_too(shop: SequenceShop) -> None:
    assert settings_of(shop, model={"blend": False}).model.blend == "off"
    with pytest.raises(ConfigError, match=r"model\.blend"):
        settings_of(shop, model={"blend": True})
