"""The network scores an example the same in any batch, and every weight learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnscale.arrays import Ragged
from gnnscale.batches import BatchBuilder, Examples, read_examples
from gnnscale.nn import TwoBranchModel, build_model
from gnnscale.nn.losses.pair_loss import pair_loss
from gnnscale.query.anchors import Split
from gnnscale.store import GraphStore, NodeFeatures


@pytest.fixture(scope="module")
def model(shop, store, builder) -> TwoBranchModel:
    """Fresh weights, stirred so that nothing is zero, in evaluation mode."""
    torch.manual_seed(0)
    model = build_model(shop.settings, shop.query, store.manifest, builder.context_tables)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def examples(shop) -> Examples:
    """The test examples."""
    return read_examples(shop.lake, "next_week", Split.TEST, shop.manifest.origin)


def close(left: torch.Tensor, right: torch.Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_an_examples_scores_do_not_depend_on_its_batch(model, builder, examples):
    anchor = int(examples.anchors[0])
    with torch.no_grad():
        whole_batch = builder.build(Examples.unlabelled(np.arange(40), anchor), negatives=np.arange(30))
        whole = model(whole_batch)
        for entity in (0, 7, 21, 38, 39):
            alone_batch = builder.build(Examples.unlabelled(np.array([entity]), anchor))
            alone = model(alone_batch)
            own = whole_batch.example == entity
            assert whole_batch.candidate_node[own].tolist() == alone_batch.candidate_node.tolist()
            close(alone.pair, whole.pair[own])
            close(alone.local, whole.local[own])
            close(alone.entity[0], whole.entity[entity])
            close(alone.target, whole.target[alone_batch.targets.nodes])


def test_target_vectors_are_the_same_from_every_side(model, builder, examples):
    anchor = int(examples.anchors[0])
    batch = builder.build(examples, negatives=np.arange(30))
    with torch.no_grad():
        scores = model(batch)
        parts = torch.cat([model.encode_targets(part) for part in builder.all_targets(anchor, size=4)])
    close(scores.target, parts)
    assert scores.entity.shape == (len(examples), 9) and (scores.entity[:, -1] == 1).all()


def test_scores_have_one_entry_a_candidate_and_a_shift_an_example(model, builder, examples):
    batch = builder.build(examples)
    with torch.no_grad():
        scores = model(batch)
    assert scores.pair.shape == scores.local.shape == batch.example.shape
    shift = scores.local - scores.pair
    for example in batch.example.unique():
        own = shift[batch.example == example]
        close(own, own[:1].expand_as(own))
    assert torch.isfinite(scores.local).all()


def test_entities_without_history_are_scored_too(model, builder):
    with torch.no_grad():
        scores = model(builder.build(Examples.unlabelled(np.arange(40), -1), negatives=np.arange(30)))
    assert len(scores.pair) == 0
    assert torch.isfinite(scores.entity).all() and torch.isfinite(scores.target).all()


@pytest.mark.parametrize("changed", ["tags", "description", "vector"])
def test_a_products_tags_prose_and_vector_move_it_and_no_other(shop, store, model, builder, examples, changed):
    features, node = store.features("products"), 4
    if changed == "tags":
        lists = features.multicategorical[0]
        rows = [list(codes) for codes in np.split(lists.values, lists.indptr[1:-1])]
        rows[node] = [1, 3] if rows[node] == [2] else [2]
        offsets = np.cumsum([0, *map(len, rows)])
        lists = Ragged(offsets, np.concatenate(rows).astype(np.int32), checked=False)
        other = replace(features, multicategorical=(lists,))
    else:
        place = [f.column for f in store.manifest.table("products").embedded].index(changed)
        vectors = [np.array(column) for column in features.embedded]
        vectors[place][node] = 0.25
        other = replace(features, embedded=tuple(vectors))

    class Changed(GraphStore):
        def features(self, table: str) -> NodeFeatures:
            return other if table == "products" else super().features(table)

    settings = shop.settings
    changed_store = Changed(store.manifest, store.folder)
    changed_builder = BatchBuilder(
        changed_store, shop.query, settings.sampling, settings.model.group_columns, settings.seed
    )
    anchor, everything = int(examples.anchors[0]), np.arange(store.node_count("products"))
    with torch.no_grad():
        before = model.encode_targets(builder.build_targets(everything, anchor))
        after = model.encode_targets(changed_builder.build_targets(everything, anchor))
    assert (before != after).any(dim=1).nonzero().flatten().tolist() == [node]


def test_gradients_reach_every_parameter(shop, store, builder, examples):
    torch.manual_seed(0)
    model = build_model(shop.settings, shop.query, store.manifest, builder.context_tables).train()
    batch = builder.build(examples, negatives=np.arange(30))
    loss = pair_loss(model(batch), batch, torch.full((30,), -math.log(30)), 1_000)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.numel() and (parameter.grad is None or not parameter.grad.any())
    ]
    assert without == []


def test_a_few_steps_lower_the_loss(shop, store, builder, examples):
    torch.manual_seed(0)
    model = build_model(shop.settings, shop.query, store.manifest, builder.context_tables)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    batch = builder.build(examples, negatives=np.arange(30))
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = pair_loss(model(batch), batch, torch.full((30,), -math.log(30)), 1_000).total
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]
