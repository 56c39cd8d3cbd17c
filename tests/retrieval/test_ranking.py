"""Lists of a batch: filtered, ranked, capped, explored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.ranking.exploration import Exploration
from gnnscale.retrieval.ranking.rank_batch import RankingRule, rank_batch
from gnnscale.schema import ConfigError
from tests.retrieval.filter_cases import allowed_targets
from tests.retrieval.ranking_cases import make_inventory


@settings(deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.sampled_from(["any", "only", "others"]),
    st.none() | st.integers(1, 3),
    st.integers(1, 20),
    st.sampled_from([None, 0.3, 1.0]),
    st.booleans(),
)
def test_the_ranked_part_is_that_of_brute_force(seed, targets, category, cap, k, share, paired):
    case, rows = make_inventory(seed, 5, targets, category, paired), np.array([3, 0, 4])
    rule = RankingRule(k, 4, None if share is None else Exploration(share, 1))
    ranked = rank_batch(case.search(cap), rule, case.queries[rows], rows)
    for i, row in enumerate(rows):
        allowed = allowed_targets(case.keep, row)
        score = dict(zip(*case.ranked(row, targets), strict=True))
        length = len(case.ranked(row, k, cap)[0])
        best, scores = case.ranked(row, length - int(ranked.explored[i].sum()), cap)
        own = (ranked.targets[i] >= 0) & ~ranked.explored[i]
        assert ranked.targets[i][own].tolist() == best and ranked.scores[i][own].tolist() == scores
        assert ranked.allowed[i] == len(allowed)
        drawn = ranked.targets[i][ranked.explored[i]].tolist()
        assert [score[target] for target in drawn] == ranked.scores[i][ranked.explored[i]].tolist()
        if share is None:
            assert not drawn
        if cap is None and share == 1.0:
            assert len(drawn) == min(length, len(allowed) - length)
        if cap is not None:
            listed = ranked.targets[i][ranked.targets[i] >= 0]
            assert len(listed) == length and fits(case.categories, listed, cap)
            if share == 1.0 and not drawn and length:
                # Nothing else has room beside what would be kept, were one of the list to give way.
                kept, whole = case.ranked(row, length - 1, cap)[0], case.ranked(row, length, cap)[0]
                others = set(allowed) - set(whole)
                assert not any(fits(case.categories, np.array([*kept, other]), cap) for other in others)


def fits(categories: np.ndarray, targets: np.ndarray, cap: int) -> bool:
    """Whether no category has more targets than the cap; those without one (-1) are free."""
    return bool((np.bincount(categories[targets] + 1, minlength=1)[1:] <= cap).all())


def test_the_cap_is_the_most_of_a_category_and_those_without_one_are_free():
    case = make_inventory(5, 1, 400, paired=False)
    case.keep, case.categories = Filter(np.ones(400, bool)), np.repeat([0, 1, 2, -1], 100)
    ranked = rank_batch(case.search(2), RankingRule(30, 5), case.queries, np.zeros(1, np.int64))
    assert (ranked.targets >= 0).all()
    counts = np.bincount(case.categories[ranked.targets[0]] + 1, minlength=4)
    assert counts[1:].max() == 2 and counts[0] >= 24


def test_exploration_needs_vectors_and_sizes_are_positive():
    case = make_inventory(0, 2, 30)
    case.keep = Filter(np.ones(30, bool))
    rule = RankingRule(4, 4, Exploration(1.0, 0))
    with pytest.raises(ConfigError, match="can't be scored without the vectors"):
        rank_batch(case.search(vectors=False), rule, case.queries, np.arange(2))
    with pytest.raises(ConfigError, match="k of a ranking is 0"):
        RankingRule(0, 4)
    with pytest.raises(ConfigError, match="depth of a ranking is -1"):
        RankingRule(4, -1)
