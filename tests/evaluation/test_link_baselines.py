from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.evaluation.baselines.baseline import RankBaseline, link_baselines
from gnnscale.evaluation.baselines.link_baselines import DAY, personal_frequency, popularity, recency_weighted_frequency
from gnnscale.evaluation.comparison import Part
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.retrieval import History
from gnnscale.schema.errors import ConfigError, DataError

LINK_BASELINES = link_baselines(TEMPORAL_LINK_PREDICTION)
BASELINES = {name: baseline.rank for name, baseline in LINK_BASELINES.items() if isinstance(baseline, RankBaseline)}


def history(*events: tuple[int, int, int], n_entities: int = 3, n_items: int = 8) -> History:
    """Events of (entity, item, age in days)."""
    table = np.array(events, dtype=np.int64).reshape(-1, 3)
    return History(table[:, 0], table[:, 1], table[:, 2] * DAY, n_entities, n_items)


# entity 0 had 3 twice long ago and 5 once yesterday; entity 1 had 1, 2 and 3 once; entity 2 nothing
SMALL = history((0, 3, 200), (0, 3, 190), (0, 5, 1), (1, 2, 5), (1, 1, 5), (1, 3, 40))


def test_popularity_counts_the_window_then_the_total_then_the_id() -> None:
    # in 30 days: 1, 2 and 5 once each, 3 never; in total 3 leads
    assert popularity(SMALL, 5).tolist() == [[1, 2, 5, 3, -1]] * 3
    assert popularity(SMALL, 2, window_seconds=365 * DAY).tolist() == [[3, 1]] * 3
    tied = history((0, 4, 1), (0, 2, 1), (1, 4, 100))
    assert popularity(tied, 2)[0].tolist() == [4, 2]


def test_the_window_leaves_out_its_older_end() -> None:
    assert popularity(history((0, 1, 31), (0, 1, 30), (0, 2, 29)), 2)[0].tolist() == [2, 1]


def test_personal_frequency_by_hand() -> None:
    # entity 0: 3 twice, 5 once, then what is popular; entity 1: all once, 3 has the larger total, then ids
    assert personal_frequency(SMALL, 4).tolist() == [[3, 5, 1, 2], [3, 1, 2, 5], [1, 2, 5, 3]]
    assert personal_frequency(SMALL, 4, pad=False).tolist() == [
        [3, 5, -1, -1],
        [3, 1, 2, -1],
        [-1, -1, -1, -1],
    ]


def test_recency_turns_the_order() -> None:
    # 2^(-200/90) + 2^(-190/90) = .446 for item 3, 2^(-1/90) = .992 for item 5
    assert recency_weighted_frequency(SMALL, 2).tolist()[0] == [5, 3]
    assert recency_weighted_frequency(SMALL, 2, half_life_seconds=10_000 * DAY).tolist()[0] == [3, 5]


def test_the_half_life_halves() -> None:
    # two events of one half-life weigh as much as one of now: a tie, which the total of item 6 then breaks
    two_old_one_new = history((0, 6, 90), (0, 6, 90), (0, 2, 0))
    assert recency_weighted_frequency(two_old_one_new, 2)[0].tolist() == [6, 2]
    slightly_older = history((0, 6, 91), (0, 6, 90), (0, 2, 0))
    assert recency_weighted_frequency(slightly_older, 2)[0].tolist() == [2, 6]


def test_restricted_forms_by_hand() -> None:
    assert popularity(SMALL, 3, among="repeat").tolist() == [[5, 3, -1], [1, 2, 3], [-1, -1, -1]]
    assert popularity(SMALL, 3, among="explore").tolist() == [[1, 2, -1], [5, -1, -1], [1, 2, 5]]
    assert personal_frequency(SMALL, 3, among="repeat").tolist() == [[3, 5, -1], [3, 1, 2], [-1, -1, -1]]
    assert personal_frequency(SMALL, 3, among="explore").tolist() == [[1, 2, -1], [5, -1, -1], [1, 2, 5]]
    assert (personal_frequency(SMALL, 3, among="explore", pad=False) == -1).all()


HISTORIES = st.builds(
    lambda events, n_items: history(*[(e, i % n_items, a) for e, i, a in events], n_entities=4, n_items=n_items),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(0, 120)), max_size=60),
    st.integers(1, 40),
)


@settings(max_examples=80, deadline=None)
@given(HISTORIES, st.sampled_from(sorted(BASELINES)), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_lists_keep_their_promises(past: History, name: str, k: int, seed: int) -> None:
    had = [set(past.past.row(i).tolist()) for i in range(4)]
    known = set(past.item.tolist())
    allowed: dict[Part, list[set[int]]] = {
        "all": [known] * 4,
        "repeat": had,
        "explore": [known - mine for mine in had],
    }
    order = np.random.default_rng(seed).permutation(past.item.size)
    shuffled = History(past.entity[order], past.item[order], past.age[order], 4, past.n_items)
    for among, sets in allowed.items():
        ranked = BASELINES[name](past, k, among=among)
        assert ranked.shape == (4, k)
        assert ranked.dtype == np.int64
        assert (BASELINES[name](shuffled, k, among=among) == ranked).all()
        for row, ids in zip(ranked.tolist(), sets, strict=True):
            items = [i for i in row if i >= 0]
            assert row == items + [-1] * (k - len(items))
            assert len(set(items)) == len(items) == min(k, len(ids))
            assert set(items) <= ids


@given(HISTORIES, st.integers(1, 6))
def test_personal_frequency_equals_sorting(past: History, k: int) -> None:
    totals = np.bincount(past.item, minlength=past.n_items)
    for entity, row in enumerate(personal_frequency(past, k, pad=False).tolist()):
        mine = past.item[past.entity == entity].tolist()
        expected = sorted(set(mine), key=lambda i: (-mine.count(i), -totals[i], i))[:k]
        assert [i for i in row if i >= 0] == expected


def test_filling_looks_beyond_the_first_candidates() -> None:
    # entity 0 had the 50 most popular items, so its news start at the 51st
    events = [(0, item, 1) for item in range(50)] + [(1, item, 1) for item in range(60)]
    assert popularity(history(*events, n_items=60), 3, among="explore").tolist() == [
        [50, 51, 52],
        [-1, -1, -1],
        [0, 1, 2],
    ]


def test_no_events_give_empty_lists() -> None:
    for baseline in BASELINES.values():
        for among in ("all", "repeat", "explore"):
            assert (baseline(history(), 3, among=among) == -1).all()


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="among must be all, repeat or explore: got 'new'"):
        popularity(SMALL, 3, among="new")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="k must be 1 or more"):
        personal_frequency(SMALL, 0)
    with pytest.raises(ConfigError, match="half_life_seconds"):
        recency_weighted_frequency(SMALL, 3, half_life_seconds=0)
    with pytest.raises(DataError, match=r"history\.age"):
        history((0, 1, -1))
    with pytest.raises(DataError, match=r"history\.item"):
        history((0, 8, 1))
