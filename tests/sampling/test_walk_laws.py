"""Steps, walks and restarts come as often as chance gives, and always the same."""

import numpy as np
import pytest

from gnnscale.sampling import WalkRule, find_backend
from gnnscale.sampling.walks.walk_sampler import follow
from tests.sampling.graphs import adjacency_of, features_of, keys_for, one_hub, with_weights


def last_nodes(cycle, rounds: int, rule: WalkRule) -> np.ndarray:
    """Nodes after each step of many walks from node 0, ``[walks, steps]``."""
    seeds, anchors = np.zeros(40, np.int64), np.full(40, 10_000, np.int32)
    nodes, _ = follow(
        cycle * rounds, len(cycle), seeds, anchors, keys_for(40), rule, find_backend("numba").fill_neighbors
    )
    return nodes.reshape(-1, nodes.shape[-1])


def deviations(found: np.ndarray, chances: list[float]) -> float:
    """Chi-square of nodes against their chances, in standard deviations from what chance gives."""
    counts = np.bincount(found, minlength=len(chances))
    assert len(counts) == len(chances)
    expected = np.array(chances) * len(found)
    freedom = len(chances) - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize(("strategy", "weights"), [("uniform", [1, 1, 1, 1]), ("weighted", [1, 2, 3, 10])])
def test_a_step_takes_each_edge_with_its_chance(strategy, weights):
    hub = with_weights(one_hub(4), [1, 2, 3, 10])
    found = last_nodes([(hub, features_of())], 1, WalkRule(1_000, strategy=strategy))[:, 0]
    shares = [w / sum(weights) for w in weights]
    # The draws are fixed; 5 deviations are under one in ten thousand.
    assert deviations(found, shares) < 5
    assert deviations(found, [shares[0] * 1.1, shares[1] - shares[0] * 0.1, *shares[2:]]) > 5


def test_steps_of_a_walk_are_drawn_apart():
    # From every node to nodes 0 to 3: pairs of steps are all as likely.
    adjacency = adjacency_of([[(0, n) for n in range(4)]] * 4)
    found = last_nodes([(adjacency, features_of())], 3, WalkRule(1_000))
    for left, right in ((0, 1), (1, 2), (0, 2)):
        assert deviations(found[:, left] * 4 + found[:, right], [1 / 16] * 16) < 5


def test_walks_of_a_seed_are_drawn_apart():
    found = last_nodes([(one_hub(4), features_of())], 1, WalkRule(1_000))[:, 0]
    assert deviations(found[:-1] * 4 + found[1:], [1 / 16] * 16) < 5


@pytest.mark.parametrize("restart", [0.0, 0.25, 0.9])
def test_a_walk_restarts_as_often_as_it_should(restart):
    # A line 0 -> 1 -> 2: the second step reaches 2, or 1 where it started anew.
    line = adjacency_of([[(0, 1)], [(0, 2)], [(0, 2)]])
    found = last_nodes([(line, features_of())], 2, WalkRule(1_000, restart=restart))
    assert (found[:, 0] == 1).all()
    assert abs((found[:, 1] == 1).mean() - restart) <= 5 * np.sqrt(restart * (1 - restart) / 40_000)


def test_an_ended_walk_goes_on_where_it_restarts():
    dead_end = adjacency_of([[(0, 1)], []])
    found = last_nodes([(dead_end, features_of())], 3, WalkRule(1_000, restart=0.5))
    assert (found[:, 1] == -1).any() and (found[found[:, 1] < 0, 2] == 1).any()


def test_walks_never_change():
    hub = adjacency_of([[(n, (n * 7 + start) % 50) for n in range(50)] for start in range(50)])
    found = last_nodes([(hub, features_of())], 4, WalkRule(3, restart=0.2))
    assert found[:3].tolist() == [[39, 48, 36, 47], [8, 19, 49, 42], [12, 23, 1, 8]]
