from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnscale.collaborative import evaluate_scorer, hold_out, make_recommender
from gnnscale.collaborative.pair_losses import LOSSES, LossOptions, PairBatch
from gnnscale.collaborative.propagation import BipartiteGraph
from tests.collaborative.matrices import random_matrix, two_tastes


def test_smoothing_and_its_gradient_are_those_of_the_layers() -> None:
    """LightGCN (He et al., 2020), eq. 3 and 4, layer by layer on dense matrices."""
    seen = random_matrix(20, 9)
    dense = torch.zeros(29, 29, dtype=torch.float64)
    dense[:20, 20:] = torch.from_numpy(seen.toarray())
    dense += dense.T.clone()
    level = dense.sum(1).clamp(min=1e-12) ** -0.5
    matrix = level[:, None] * dense * level
    start = torch.randn(29, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    right = torch.randn(29, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain = start.clone().requires_grad_()
    layers = [plain]
    for _ in range(3):
        layers.append(matrix @ layers[-1])
    mean = torch.stack(layers).mean(0)
    (mean * right).sum().backward()
    ours = start.float().requires_grad_()
    smoothed = BipartiteGraph(seen).smooth(ours, 3)
    (smoothed * right.float()).sum().backward()
    torch.testing.assert_close(smoothed.double(), mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.grad.double(), plain.grad, atol=1e-5, rtol=1e-5)


def test_losses_are_their_formulas() -> None:
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 3, generator=generator) for n in (5, 7))
    batch = PairBatch(*map(torch.tensor, ([1, 4], [0, 0, 1], [2, 6, 3], [0, 5, 5, 1])))
    options = LossOptions(temperature=0.5, margin=0.1, negative_weight=3.0)
    pairs = [(1, 2), (1, 6), (4, 3)]
    scores = (users @ items.T) / 0.5
    found = {name: float(LOSSES[name](users, items, batch, options)) for name in ("softmax", "sampled_softmax")}
    assert found["softmax"] == pytest.approx(-sum(float(scores[u].log_softmax(0)[i]) for u, i in pairs), rel=1e-5)
    right = 0.0
    for u, i in pairs:
        drawn = 7 / 4 * scores[u][batch.drawn].exp().sum()
        right -= float(torch.log(scores[u, i].exp() / (scores[u, i].exp() + drawn)))
    assert found["sampled_softmax"] == pytest.approx(right, rel=1e-5)
    cosine = torch.nn.functional.normalize(users, dim=1) @ torch.nn.functional.normalize(items, dim=1).T
    right = sum(1 - cosine[u, i] + 3 * (cosine[u][batch.drawn] - 0.1).clamp(min=0).mean() for u, i in pairs)
    assert float(LOSSES["cosine_contrastive"](users, items, batch, options)) == pytest.approx(float(right), rel=1e-5)
    each = PairBatch(batch.users, batch.user_of_pair, batch.items, torch.tensor([[0], [1], [5]]))
    gaps = [users[u] @ (items[i] - items[n]) for (u, i), n in zip(pairs, (0, 1, 5), strict=True)]
    right = sum(float(torch.log1p((-gap).exp())) for gap in gaps)
    assert float(LOSSES["bpr"](users, items, each, options)) == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_tells_tastes_apart(loss: str) -> None:
    train, held = hold_out(two_tastes(), 0.25)
    options = {"loss": loss, "start": "random", "epochs": 40, "dims": 8, "negatives": 32, "learning_rate": 0.05}
    if loss == "cosine_contrastive":
        options |= {"layers": 1, "margin": 0.0, "negative_weight": 10.0}
    model = make_recommender({"name": "lightgcn", **options}).fit(train)
    popular = make_recommender("popularity").fit(train)
    found, least = (evaluate_scorer(m, train, held, ["recall@10"]).means["recall@10"] for m in (model, popular))
    assert found > least + 0.1


def test_batches_hold_every_pair_once_and_differ_by_epoch() -> None:
    seen = random_matrix(60, 30)
    model = make_recommender({"name": "lightgcn", "batch_pairs": 100, "epochs": 1}).fit(seen)
    epochs = []
    for epoch in (0, 1, 0):
        pairs = []
        for batch in model._batches(epoch, "cpu"):
            assert 50 < len(batch.items) < 200
            pairs.append(torch.stack([batch.users[batch.user_of_pair], batch.items], 1).numpy())
        epochs.append(np.concatenate(pairs))
        found = np.zeros(seen.shape)
        np.add.at(found, tuple(epochs[-1].T), 1)
        assert (found == seen.toarray()).all()
    assert (epochs[0] == epochs[2]).all() and (epochs[0] != epochs[1]).any()
