"""The category of an entity is that of most of its events."""

from collections import Counter

import numpy as np
import pytest

from gnnscale.retrieval import History
from gnnscale.retrieval.filters.query_filters import usual_categories


@pytest.mark.parametrize("seed", range(4))
def test_the_usual_category_is_that_of_most_events(seed):
    rng = np.random.default_rng(seed)
    entity, item = rng.integers(0, 7, 60), rng.integers(0, 12, 60)
    codes = rng.integers(-1, 4, 12).astype(np.int32)
    found = usual_categories(History(entity, item, np.zeros(60, np.int64), 8, 12), codes)
    for i in range(8):
        named = Counter(int(code) for code in codes[item[entity == i]] if code >= 0)
        assert found[i] == min(named, key=lambda code: (-named[code], code), default=-1)


def test_no_category_at_all():
    history = History(np.array([0]), np.array([1]), np.array([0]), 2, 3)
    assert usual_categories(history, np.full(3, -1, np.int32)).tolist() == [-1, -1]
