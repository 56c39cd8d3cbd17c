"""The loss equals a softmax over all targets, worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from gnnscale.batches import Examples, PairBatch, read_examples
from gnnscale.nn import Scores
from gnnscale.nn.losses.lambda_rank import lambda_rank_loss
from gnnscale.nn.losses.pair_loss import pair_loss
from gnnscale.query.anchors import Split

TARGETS = 30
DEPTH = 1_000


def random_scores(batch: PairBatch, seed: int = 0) -> Scores:
    """Scores that follow from nothing, in double precision."""
    generator = torch.Generator().manual_seed(seed)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Scores(
        values(len(batch.example)),
        values(len(batch.example)),
        values(len(batch), 4),
        values(len(batch.targets.nodes), 4),
    )


@pytest.fixture(scope="module")
def examples(shop) -> Examples:
    """The test examples."""
    return read_examples(shop.lake, "next_week", Split.TEST, shop.manifest.origin)


def dense(batch: PairBatch, scores: Scores) -> torch.Tensor:
    """Fused scores of every target, ``[examples, targets]``; the batch must hold all targets."""
    assert batch.targets.nodes.tolist() == list(range(TARGETS))
    table = scores.entity @ scores.target.T
    table[batch.example, batch.candidate_node] = scores.local
    return table


def one_truth_each(examples: Examples, number: int) -> Examples:
    rows = np.arange(number)
    entities, anchors = examples.entities[rows], examples.anchors[rows]
    return Examples(entities, anchors, np.arange(number + 1), (7 * rows) % TARGETS)


def test_with_every_target_once_and_one_truth_it_is_plain_cross_entropy(examples, builder):
    examples = one_truth_each(examples, 12)
    batch = builder.build(examples, negatives=np.arange(TARGETS))
    assert batch.is_positive.any() and len(batch.explore_target) > 0
    scores = random_scores(batch)
    # Each is drawn once: a probability of 1 / n in each of n draws.
    log_share = torch.full((TARGETS,), -math.log(TARGETS), dtype=torch.float64)
    loss = pair_loss(scores, batch, log_share, DEPTH)
    expected = functional.cross_entropy(dense(batch, scores), torch.from_numpy(examples.targets), reduction="sum")
    torch.testing.assert_close(loss.fused, expected)


def by_hand(batch: PairBatch, scores: Scores, examples: Examples, weight: np.ndarray) -> float:
    """The fused loss in loops; a sampled negative counts as ``weight`` targets of its score."""
    fused = 0.0
    tower = (scores.entity @ scores.target.T).numpy()
    place = {int(node): i for i, node in enumerate(batch.targets.nodes)}
    for i in range(len(examples)):
        truth = set(examples.targets[examples.indptr[i] : examples.indptr[i + 1]].tolist())
        own = (batch.example == i).nonzero()[:, 0].tolist()
        nodes = [int(batch.candidate_node[c]) for c in own]
        rest = sum(math.exp(scores.local[c]) for c in own)
        for j, node in enumerate(batch.negatives.tolist()):
            if node not in truth and node not in nodes:
                rest += weight[j] * math.exp(tower[i, place[node]])
        for node in truth:
            if node in nodes:
                fused += (math.log(rest) - float(scores.local[own[nodes.index(node)]])) / len(truth)
            else:
                reached = tower[i, place[node]]
                fused += (math.log(rest + math.exp(reached)) - reached) / len(truth)
    return fused


@pytest.mark.parametrize("seed", [0, 1])
def test_with_sampled_negatives_it_equals_the_loops(examples, builder, seed):
    rng = np.random.default_rng(seed)
    negatives = rng.integers(0, TARGETS, 20)
    shares = rng.dirichlet(np.ones(TARGETS))
    batch = builder.build(examples, negatives=negatives)
    scores = random_scores(batch, seed)
    loss = pair_loss(scores, batch, torch.from_numpy(np.log(shares[negatives])), DEPTH)
    fused = by_hand(batch, scores, examples, 1 / (len(negatives) * shares[negatives]))
    assert float(loss.fused) == pytest.approx(fused)
    rank = lambda_rank_loss(scores.pair, batch.example, batch.is_positive, len(examples), DEPTH)
    assert float(loss.total) == pytest.approx(fused + float(rank))


def test_drawing_everything_twice_changes_nothing(examples, builder):
    losses = []
    for times in (1, 2):
        batch = builder.build(examples, negatives=np.tile(np.arange(TARGETS), times))
        log_share = torch.full((times * TARGETS,), -math.log(TARGETS), dtype=torch.float64)
        losses.append(pair_loss(random_scores(batch), batch, log_share, DEPTH).fused)
    torch.testing.assert_close(losses[0], losses[1])


def test_examples_without_candidates_still_learn(examples, builder):
    # Before the first purchase nobody has bought anything yet.
    cold = Examples(examples.entities[:3], np.full(3, -1, np.int32), np.array([0, 1, 2, 3]), np.array([4, 5, 6]))
    batch = builder.build(cold, negatives=np.arange(TARGETS))
    assert len(batch.example) == 0
    scores = random_scores(batch)
    log_share = torch.full((TARGETS,), -math.log(TARGETS), dtype=torch.float64)
    loss = pair_loss(scores, batch, log_share, DEPTH)
    assert float(loss.rank) == 0
    expected = functional.cross_entropy(dense(batch, scores), torch.tensor([4, 5, 6]), reduction="sum")
    torch.testing.assert_close(loss.fused, expected)
