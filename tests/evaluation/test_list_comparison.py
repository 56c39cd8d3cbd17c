from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gnnscale.arrays import Ragged
from gnnscale.evaluation import Comparison, method_title
from gnnscale.evaluation.baselines.baseline import RankBaseline, link_baselines
from gnnscale.evaluation.comparison import MODEL, TOWER, rivals_of
from gnnscale.evaluation.list_comparison import PARTS, MethodLists, compare_lists
from gnnscale.interface.model_figures import Metrics
from gnnscale.metrics.intervals import bootstrap_interval, paired_difference
from gnnscale.metrics.ranking_metrics import evaluate_ranking
from gnnscale.pipeline.stages.evaluate_and_report import comparison_in_words
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.retrieval import History
from gnnscale.schema.errors import DataError

N, ITEMS = 60, 80
LINKS = TEMPORAL_LINK_PREDICTION
BASELINES = {
    name: baseline.rank for name, baseline in link_baselines(LINKS).items() if isinstance(baseline, RankBaseline)
}
BOUNDED_METRICS = ("map@10", "recall@10", "recall@20", "ndcg@10", "hit_rate@10", "mrr@10")


@pytest.fixture(scope="module")
def past() -> History:
    rng = np.random.default_rng(0)
    items = rng.integers(0, ITEMS, 900) ** 2 // ITEMS
    return History(rng.integers(0, N, 900), items, rng.integers(0, 10**7, 900), N, ITEMS)


@pytest.fixture(scope="module")
def truth() -> Ragged:
    rng = np.random.default_rng(1)
    return Ragged.from_pairs(rng.integers(0, N, 200), rng.integers(0, ITEMS, 200) ** 2 // ITEMS, N)


@pytest.fixture(scope="module")
def methods(past: History) -> list[MethodLists]:
    return [
        MethodLists(name, *(baseline(past, 20, among=among) for among in PARTS)) for name, baseline in BASELINES.items()
    ]


@pytest.fixture(scope="module")
def comparison(methods: list[MethodLists], truth: Ragged, past: History) -> Comparison:
    return compare_lists(LINKS, methods, truth, past.past, ITEMS)


def test_each_part_is_scored_against_its_own_truth(
    comparison: Comparison, methods: list[MethodLists], truth: Ragged, past: History
) -> None:
    parts = {
        "all": truth,
        "repeat": Ragged.from_lists([set(truth.row(i)) & set(past.past.row(i)) for i in range(N)]),
        "explore": Ragged.from_lists([set(truth.row(i)) - set(past.past.row(i)) for i in range(N)]),
    }
    assert comparison.methods == tuple(BASELINES)
    for method in methods:
        for among in PARTS:
            expected = evaluate_ranking(getattr(method, among), parts[among], ITEMS)
            assert comparison.result(method.name, among).metrics == expected.means


def test_entities_with_and_without_a_past_are_scored_apart(
    methods: list[MethodLists], truth: Ragged, past: History
) -> None:
    cold = np.arange(N) % 3 == 0
    found = compare_lists(LINKS, methods, truth, past.past, ITEMS, cold=cold)
    assert found.parts == (*PARTS, "warm", "cold")
    for name, rows in (("warm", np.flatnonzero(~cold)), ("cold", np.flatnonzero(cold))):
        for method in methods:
            alone = evaluate_ranking(method.all[rows], truth.take(rows), ITEMS)
            result = found.result(method.name, name)
            assert result.evaluated == alone.n_evaluated
            assert result.metrics["map@10"] == pytest.approx(alone.means["map@10"])


def test_intervals_and_differences_are_those_of_the_entities(
    comparison: Comparison, methods: list[MethodLists], truth: Ragged, past: History
) -> None:
    truth_again = truth.intersection(past.past)
    rankings = {m.name: evaluate_ranking(m.repeat, truth_again, ITEMS) for m in methods}
    mine = comparison.result("popularity", "repeat")
    base = comparison.result(comparison.reference, "repeat")
    for metric in BOUNDED_METRICS:
        a, b = (rankings[result.method].per_entity[metric] for result in (mine, base))
        alone, paired = bootstrap_interval(a), paired_difference(a, b)
        assert mine.intervals[metric].low == pytest.approx(alone.low)
        assert mine.intervals[metric].high == pytest.approx(alone.high)
        assert mine.differences[metric].mean == pytest.approx(paired.mean)
        assert mine.differences[metric].interval.low == pytest.approx(paired.interval.low)
        assert mine.differences[metric].interval.high == pytest.approx(paired.interval.high)
        assert base.differences[metric].mean == 0


@pytest.mark.parametrize("shift", range(len(BASELINES)))
def test_methods_are_held_against_the_strongest_baseline_whatever_it_is_called(
    methods: list[MethodLists], truth: Ragged, past: History, shift: int
) -> None:
    names = np.roll(list(BASELINES), shift)
    called = [replace(method, name=str(name)) for method, name in zip(methods, names, strict=True)]
    means = [evaluate_ranking(method.all, truth, ITEMS).means["map@10"] for method in methods]
    found = compare_lists(LINKS, called, truth, past.past, ITEMS)
    assert found.reference == called[int(np.argmax(means))].name
    assert np.ptp(means) > 0


def test_difference_between_any_two(comparison: Comparison) -> None:
    there = comparison.difference("popularity", "personal_frequency", "map@10")
    back = comparison.difference("personal_frequency", "popularity", "map@10")
    assert there.mean == pytest.approx(-back.mean)
    assert there.interval.low == pytest.approx(-back.interval.high)


def test_rows_are_flat_and_json(comparison: Comparison) -> None:
    rows = comparison.rows()
    assert [(row["method"], row["among"]) for row in rows] == [(m, a) for m in BASELINES for a in PARTS]
    values = [value for row in rows for name, value in row.items() if not name.endswith("_verdict")]
    assert all(isinstance(value, str | int | float) for value in values)
    assert {"entities", "map@10", "map@10_low", "recall@20_difference_high", "coverage@10"} <= set(rows[0])
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["rows"] == rows


def test_a_part_without_truth_gives_none(methods: list[MethodLists], truth: Ragged) -> None:
    nothing_before = Ragged.from_lists([[] for _ in range(N)])
    comparison = compare_lists(LINKS, methods, truth, nothing_before, ITEMS)
    row = next(row for row in comparison.rows() if row["among"] == "repeat")
    assert row["entities"] == 0
    assert row["map@10"] is row["map@10_low"] is row["map@10_difference"] is None
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_faults_are_named(methods: list[MethodLists], truth: Ragged, past: History) -> None:
    with pytest.raises(DataError, match="Did you mean 'popularity'"):
        compare_lists(LINKS, methods, truth, past.past, ITEMS, reference="popularty")
    with pytest.raises(DataError, match="different names"):
        compare_lists(LINKS, [methods[0], methods[0]], truth, past.past, ITEMS, reference="popularity")
    with pytest.raises(DataError, match="no result for 'model'"):
        compare_lists(LINKS, methods, truth, past.past, ITEMS).result("model")


def test_the_tower_is_no_rival_of_the_model_that_it_is_a_part_of(
    methods: list[MethodLists], truth: Ragged, past: History
) -> None:
    known = {method.name: method for method in methods}
    knowing = np.full((N, 20), -1, np.int64)
    for entity in range(N):
        true = truth.row(entity)[:20]
        knowing[entity, : len(true)] = true
    lists = [replace(known["popularity"], name=MODEL), MethodLists(TOWER, knowing, knowing, knowing), *methods]
    comparison = compare_lists(LINKS, lists, truth, past.past, ITEMS)
    assert comparison.best("map@10") == TOWER
    assert rivals_of(comparison.methods) == list(BASELINES)
    best = Metrics(comparison.to_dict()).best_baseline
    assert best == comparison.best("map@10", list(BASELINES))
    words = comparison_in_words(comparison)
    assert method_title(TOWER, LINKS) not in words
    told = {"beats": "better than ", "ties": "level with ", "loses": "worse than "}
    for name in BASELINES:
        after = words.partition(told[comparison.verdict(MODEL, other=name)])[2]
        assert method_title(name, LINKS) in after.partition(";")[0]


def test_lists_of_one_entity_are_drawn_together(past, truth):
    once = [MethodLists(name, *(b(past, 20, among=part) for part in PARTS)) for name, b in BASELINES.items()]
    thrice = [MethodLists(m.name, *(np.concatenate([getattr(m, part)] * 3) for part in PARTS)) for m in once]
    rows = np.tile(np.arange(N), 3)
    found = compare_lists(LINKS, thrice, truth.take(rows), past.past.take(rows), ITEMS, entities=rows, resamples=400)
    alone = compare_lists(LINKS, once, truth, past.past, ITEMS, resamples=400)
    apart = compare_lists(LINKS, thrice, truth.take(rows), past.past.take(rows), ITEMS, resamples=400)
    assert (found.examples, found.entities) == (3 * N, N)
    for name in BASELINES:
        own, single, loose = (c.result(name).intervals["recall@10"] for c in (found, alone, apart))
        assert found.result(name).metrics == pytest.approx(alone.result(name).metrics)
        # What comes three times tells no more than once.
        assert own.high - own.low == pytest.approx(single.high - single.low, rel=0.2)
        assert loose.high - loose.low < 0.8 * (own.high - own.low)
