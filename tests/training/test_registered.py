"""Convolutions, losses and networks from outside the package train, and are read back from the model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnscale.batches import read_entity_examples
from gnnscale.config import Section, Settings, bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.nn import LinkLoss, NodeLoss, TargetTransform, TowerVectors
from gnnscale.query import REGRESSION
from gnnscale.query.anchors import Split
from gnnscale.schema import CONVOLUTIONS, LOSSES, NETWORKS, ConfigError
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, build_task, check_task, load_link_model, load_node_model, save_model
from gnnscale.training.networks.neighborhood import NeighborhoodNetwork
from tests.conftest import Shop
from tests.embedded_shop import train_towers
from tests.entity_shop import entity_settings, write_labels


class GateOptions(Section):
    sharpness: float = 1.0


@CONVOLUTIONS.register("gated")
class GatedConv(nn.Module):
    """A sum of neighbors, each through a gate of its own."""

    Options = GateOptions

    def __init__(self, parents: int, children: int, out: int, sharpness: float) -> None:
        super().__init__()
        self.gate, self.value, self.sharpness = nn.Linear(children, 1), nn.Linear(children, out), sharpness

    def forward(self, parents: Tensor, children: Tensor, present: Tensor, weights: Tensor | None = None) -> Tensor:
        gate = torch.sigmoid(self.sharpness * self.gate(children)) * present.unsqueeze(-1)
        return (gate * self.value(children)).sum(-2)


class QuantileOptions(Section):
    quantile: float = 0.5


@LOSSES.register("tilted")
class PinballLoss(NodeLoss):
    """Its optimum is a quantile."""

    heads = ("identity",)
    Options = QuantileOptions

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        over = values - transform.decode(outputs)
        share = self.options.quantile
        return torch.maximum(share * over, (share - 1) * over)


@LOSSES.register("hinge")
class HingeLoss(LinkLoss):
    """A positive is to be one above each negative that all examples share."""

    outputs = TowerVectors
    one_positive = True

    def total(self, outputs: TowerVectors, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        entity, target = outputs
        own = (entity * target[: len(entity)]).sum(1, keepdim=True)
        return (torch.relu(1 - own + entity @ target[len(entity) :].T) * present).mean(1).sum()


@NETWORKS.register("short_sighted")
class ShortSightedNetwork(NeighborhoodNetwork):
    """The neighborhood network of the last three rows."""

    automatic = False
    uses: ClassVar[dict[str, tuple[Any, ...]]] = {"sampling.strategy": ("last",)}


def over_shop(shop: Shop, store: GraphStore, folder: Path, **changes: dict[str, Any]) -> tuple[Settings, Lake, Any]:
    """A regression over the shop in a lake of its own."""
    base = entity_settings(shop.content, folder, REGRESSION, epochs=2, learning_rate=1e-2).model_dump(mode="json")
    settings = build_settings(base | {section: base[section] | change for section, change in changes.items()})
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    return settings, lake, query


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"network": "blocks", "convolution": {"name": "gated", "sharpness": 3.0}}, {}),
        ({"network": "blocks", "convolution": {"name": "attention", "heads": 2}}, {"loss": "huber"}),
        ({}, {"loss": {"name": "tilted", "quantile": 0.9}}),
        ({"network": "short_sighted"}, {"loss": {"name": "huber", "delta": 0.5}}),
    ],
)
def test_what_is_registered_trains_and_is_read_back(
    shop: Shop, store: GraphStore, tmp_path: Path, model: Any, training: Any
) -> None:
    settings, lake, query = over_shop(shop, store, tmp_path, model=model, training=training)
    trainer = Trainer(settings, build_task(settings, lake, store, query))
    outcome = trainer.run()
    assert outcome.losses[-1][1] < outcome.losses[0][1]
    save_model(lake, "asked", outcome)
    predictor = load_node_model(settings, lake, store)
    examples = read_entity_examples(lake, "asked", Split.VALIDATION, store.manifest.origin)
    error = np.abs(predictor.predict(examples) - examples.values).mean()
    assert error == pytest.approx(outcome.best["mae"], rel=1e-5)
    modules = [module for module in predictor.model.modules() if isinstance(module, GatedConv)]
    assert {module.sharpness for module in modules} == ({3.0} if "gated" in str(model) else set())


def test_a_quantile_is_what_its_loss_leads_to(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    means = []
    for quantile in (0.1, 0.9):
        loss = {"name": "tilted", "quantile": quantile}
        settings, lake, query = over_shop(shop, store, tmp_path / str(quantile), training={"loss": loss})
        save_model(lake, "asked", Trainer(settings, build_task(settings, lake, store, query)).run())
        examples = read_entity_examples(lake, "asked", Split.VALIDATION, store.manifest.origin)
        means.append(load_node_model(settings, lake, store).predict(examples).mean())
    assert means[0] < means[1]


def test_links_take_a_registered_loss_and_convolution(shop: Shop, tmp_path: Path) -> None:
    content = {**shop.content, "training": {**shop.content["training"], "loss": "hinge"}}
    changed = Shop(**{**vars(shop), "content": content})
    settings, lake, trainer = train_towers(changed, tmp_path, convolution="gated")
    assert isinstance(trainer.task.objective.link_loss, HingeLoss)
    before, after = (trainer.losses, Trainer(settings, trainer.task).run().losses)
    assert np.mean([loss for _, loss in after]) < np.mean([loss for _, loss in before])
    store = GraphStore.open(lake)
    predictor = load_link_model(settings, lake, store)
    assert any(isinstance(module, GatedConv) for module in predictor.model.modules())


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        ("model", {"network": "two_branches"}, r"no network 'two_branches'.*two_branch.*Allowed: .*blocks"),
        ("model", {"convolution": "atention"}, r"model.convolution.*no convolution 'atention'.*'attention'.*Allowed"),
        ("model", {"convolution": {"name": "attention", "head": 2}}, r"'attention' has no option 'head'.*'heads'"),
        ("model", {"convolution": {"name": "attention", "heads": 0}}, r"option 'heads' of convolution 'attention'"),
        ("model", {"convolution": {"name": "mean", "heads": 2}}, r"'mean' has no option 'heads'.*It has none"),
        ("model", {"convolution": {"heads": 2}}, "has no name"),
        ("model", {"convolution": "attention"}, r"model.convolution=attention is for model.network=blocks; .* default"),
        ("training", {"loss": "l3"}, r"training.loss.*no loss 'l3'.*Allowed: .*l1"),
        ("training", {"loss": {"name": "focal", "focus": -1}}, r"option 'focus' of loss 'focal'"),
        ("training", {"sampler": "gpu"}, r"training.sampler=gpu is for model.network=blocks; .* allowed: auto, cpu"),
        ("training", {"feature_type": "int8"}, r"training.feature_type=int8 is for .*blocks; .* allowed: fp32"),
        ("training", {"cuda_graphs": True}, r"training.cuda_graphs=True is for .*blocks; .* allowed: False"),
        (
            "sampling",
            {"walks": {"cycle": ["a"]}},
            r"sampling.walks is for .*blocks or pinsage; .* its default",
        ),
    ],
)
def test_what_is_unknown_or_of_no_use_is_refused_by_name(
    shop: Shop, section: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        build_settings({**shop.content, section: {**shop.content[section], **values}})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model": {"network": "two_branch"}},
            r"network=two_branch is not for regression; allowed: auto, blocks",
        ),
        (
            {"training": {"loss": "sampled_softmax"}},
            r"sampled_softmax does not fit regression; allowed are auto, l1",
        ),
        ({"training": {"rank_depth": 5}}, "training.rank_depth is for queries that rank rows"),
        (
            {"model": {"network": "short_sighted"}, "sampling": {"strategy": "uniform"}},
            r"sampling.strategy=uniform is for .*blocks.*; with model.network=short_sighted, allowed: last",
        ),
    ],
)
def test_what_does_not_fit_a_node_level_task_is_refused(
    shop: Shop, store: GraphStore, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        build_task(*_with_store(over_shop(shop, store, tmp_path, **changes), store))


@pytest.mark.parametrize(
    ("network", "loss", "says"),
    [
        (
            "auto",
            "l1",
            r"l1 does not fit temporal link prediction by .*two_branch; allowed are auto, pair$",
        ),
        (
            "blocks",
            "pair",
            r"pair does not fit .*blocks; allowed are auto, sampled_softmax, bpr, hinge, max_margin$",
        ),
        (
            "neighborhood",
            "auto",
            r"network=neighborhood is not for temporal link prediction; allowed: auto, blocks",
        ),
    ],
)
def test_what_does_not_fit_links_is_refused(shop: Shop, store: GraphStore, network: str, loss: str, says: str) -> None:
    content = {**shop.content, "model": {**shop.content["model"], "network": network}}
    settings = build_settings({**content, "training": {**content["training"], "loss": loss}})
    with pytest.raises(ConfigError, match=says):
        build_task(settings, shop.lake, store, shop.query)


def _with_store(made: tuple[Settings, Lake, Any], store: GraphStore) -> tuple[Settings, Lake, GraphStore, Any]:
    settings, lake, query = made
    return settings, lake, store, query


def test_what_a_network_does_not_need_is_told(shop: Shop, store: GraphStore, caplog: pytest.LogCaptureFixture) -> None:
    content = {**shop.content, "model": {**shop.content["model"], "network": "blocks", "dropout": 0.3}}
    check_task(build_settings(content), shop.lake, store, shop.query)
    assert "has no use for model.group_columns, model.id_channels, model.dropout, sampling.target_hops" in caplog.text
    caplog.clear()
    check_task(shop.settings, shop.lake, store, shop.query)
    assert not caplog.text
    # What a run mode sets, nobody has asked of the network.
    content["model"] |= {"network": "trees", "dropout": 0.0, "hidden": 64, "group_columns": [], "id_channels": 16}
    content["training"] = {**content["training"], "epochs": 2, "warmup_steps": 20}
    check_task(build_settings(content), shop.lake, store, shop.query)
    assert "model.hidden" not in caplog.text and "training.epochs" not in caplog.text, caplog.text
    content["model"]["hidden"] = 77
    check_task(build_settings(content), shop.lake, store, shop.query)
    assert "has no use for" in caplog.text and "model.hidden" in caplog.text
